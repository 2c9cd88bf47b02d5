"""What several verbs ask of their arguments: one of a few words, a path, a file that may be replaced."""

import os
from collections.abc import Sequence

from .errors import UsageError

_MOST_TOLD = 9  # words that are told whole


def refused(verb: str, option: str, observed: str, expected: str = "", remedy: str = "") -> UsageError:
    """The error about an option of a verb."""
    return UsageError(option, observed, expected=expected, remedy=remedy or f"msmtp-config {verb} --help")


def unknown(
    verb: str, option: str, value: str, known: Sequence[str], *, kind: str = "", remedy: str = ""
) -> UsageError:
    """The error about a value that is none of `known`, with the one that was meant if that can be guessed.

    `kind` says what is expected where there are too many to tell.
    """
    from difflib import get_close_matches  # costs time, and most command lines are right

    near = get_close_matches(value, known, 1)
    expected = near[0] if near else ", ".join(known) if len(known) <= _MOST_TOLD else kind
    return refused(verb, option, f"is {value!r}", expected, remedy)


def absolute(verb: str, option: str, path: str) -> str:
    """The absolute path. An empty one is an empty variable, and not the directory that we stand in.

    Raises UsageError.
    """
    if not path or path == "-":
        raise refused(verb, option, f"is {path!r}", "a path")
    try:
        return os.path.abspath(path)
    except OSError as error:
        words = f"{path}: the working directory is gone: {error.strerror}"
        raise refused(verb, option, words, "an absolute path") from None


def replaceable(verb: str, option: str, file: str) -> str:
    """The absolute path of a file that may be replaced: not of a device, whose place nothing is to take.

    Raises UsageError.
    """
    path = absolute(verb, option, file)
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise refused(verb, option, f"{file} is no regular file", "the name of one, or of none")
    return path
