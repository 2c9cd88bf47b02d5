"""Read an `smtp.config.yaml`: what it asks for, or everything that is wrong with it at once."""

import os
import re
from collections.abc import Mapping, Sequence
from shlex import quote

from . import settings_schema, yaml_lines
from .errors import InputOutputError, UnavailableError
from .host import Host
from .model import FileFacts, FileKind
from .providers.fact import Provider
from .providers.local import known
from .settings import Fault, Settings, SettingsError
from .settings_words import KEYS, PASSWORD, TOP, Shown
from .yaml_lines import Node

_EITHER = ("host", "provider")  # without one of them there is nothing to do
_OTHERS_READ, _OTHERS_WRITE = 0o044, 0o022  # modes: the group, others
# PyYAML's words about one character of the document: it could be one of the password's.
_QUOTED = re.compile(r"(character) '(?!\\t')[^']*'")


def read(host: Host, path: str) -> Settings | None:
    """The settings in the file at `path`, as it was given; None where it names no host and no provider.

    Raises SettingsError with every fault, InputOutputError for what cannot be read, ConfigError for a wrong file in
    providers.d when the settings name a provider, and UnavailableError where a library is not installed.
    """
    facts, content = host.read(path, yaml_lines.MOST_BYTES + 1, follow=True)
    if facts.kind is not FileKind.REGULAR:
        raise InputOutputError(path, f"is {facts.kind.value}", expected="a regular file", remedy=_look(path, facts))
    try:
        document = yaml_lines.read(content, switches=True)
    except yaml_lines.DocumentError as error:
        raise _error(path, [Fault(error.line, "", _harmless(error.observed, content), error.expected)]) from None
    except ModuleNotFoundError:
        remedy = "apt install python3-yaml"
        raise UnavailableError(path, "cannot be read: PyYAML is not installed", remedy=remedy) from None
    entries, faults = settings_schema.check(document, shown := Shown(document))
    if not entries.lines.keys() & set(_EITHER):
        if faults:
            raise _error(path, faults)
        return None
    providers, wrong = known(host)
    if wrong is not None and "provider" in entries.lines:
        raise wrong
    from .settings_meaning import settings

    made, more = settings(entries, providers, shown)
    if faults or more:
        raise _error(path, [*faults, *more])
    return made._replace(warnings=(*_doubts(path, facts, made), *made.warnings))


def of(values: Mapping[str, object], providers: Sequence[Provider]) -> Settings:
    """The settings that a person's answers make, by the keys of the file, and checked like those of one.

    Raises SettingsError, whose faults have no lines, and UnavailableError where a library is not installed.
    """
    nodes = {
        key: Node(value if isinstance(value, str | int | float | bool) else None, 0) for key, value in values.items()
    }
    document = Node({TOP: Node(nodes, 0)}, 0)
    entries, faults = settings_schema.check(document, shown := Shown(document))
    from .settings_meaning import settings

    made, more = settings(entries, providers, shown)
    if not values.keys() & set(_EITHER):
        more.append(Fault(0, "host", "is missing", "a host, or a provider"))
    if faults or more:
        raise SettingsError("settings", [*faults, *more], "")
    return made


def _look(path: str, facts: FileFacts) -> str:
    """The command that shows what is there in place of a file."""
    if facts.kind is FileKind.MISSING:
        return f"ls -l {quote(os.path.dirname(path) or '.')}   # if there are no settings yet: man msmtp-config"
    return f"ls -{'l' if facts.kind is FileKind.DIRECTORY else 'ld'} {quote(path)}"


def _error(path: str, faults: Sequence[Fault]) -> SettingsError:
    """Every fault in the order of the lines, and where to mend the first."""
    ordered = sorted(faults, key=lambda fault: fault.line)
    return SettingsError(path, ordered, f"sensible-editor +{ordered[0].line} {quote(path)}")


def _harmless(observed: str, content: bytes) -> str:
    """Words about a document that could not be read, without what they say of a character: it may be a password's."""
    if b"pass" not in content.lower():
        return observed
    if observed.startswith("has a second") and observed not in [f"has a second {key!r}" for key in (*KEYS, TOP)]:
        return "has a key twice"
    if observed.startswith("has the character"):
        return "has a character that cannot be seen"
    return _QUOTED.sub(r"\1", observed)


def _doubts(path: str, facts: FileFacts, made: Settings) -> list[str]:
    """What is wrong with the file's rights."""
    doubts = []
    if made.secret is not None and facts.mode & _OTHERS_READ:
        doubts.append(
            f"{path} holds a {PASSWORD} and is {facts.rights}, so that others can read it: chmod 0600 {quote(path)}"
        )
    if facts.mode & _OTHERS_WRITE:
        doubts.append(f"{path} is {facts.rights}, so that others can change it: chmod go-w {quote(path)}")
    return doubts
