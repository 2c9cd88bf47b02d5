"""The person at the terminal: one hidden line, and yes or no."""

import getpass
import os
import signal
import sys
import warnings

from .errors import DataError, InputOutputError


def attended() -> bool:
    """Whether a person sits at standard input and can be asked."""
    try:
        return os.isatty(sys.stdin.fileno())
    except (AttributeError, OSError, ValueError):
        return False


def hidden_line(prompt: str) -> bytes:
    """The line that a person types, in UTF-8, without its line end; the terminal shows nothing of it.

    A terminal in another character set is read in that set and the text encoded anew: the server gets what was meant.
    Raises DataError at end of file, and for bytes that are not text there; InputOutputError without a terminal.
    """
    # The shell puts its own modes back when a job stops, and a prompt that goes on after `fg` would show the password.
    stopping = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        with warnings.catch_warnings():
            # Where echo cannot be switched off getpass would warn and then show the password: stop instead.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt).encode("utf-8")
    except EOFError:
        raise DataError("password", "nothing was typed", expected="a password", remedy="msmtp-config") from None
    except UnicodeError:
        raise DataError(
            "password", "is not text in this terminal's character set", expected="text", remedy="locale charmap"
        ) from None
    except (OSError, getpass.GetPassWarning):
        raise InputOutputError(
            "terminal", "the password cannot be read unseen", remedy="msmtp-config --password-stdin < FILE"
        ) from None
    finally:
        signal.signal(signal.SIGTSTP, stopping)


def confirm(question: str, *, default: bool) -> bool:
    """The person's answer; an empty line or the end of input means `default`. Asked again until it is yes or no."""
    choices = "[Y/n]" if default else "[y/N]"
    try:
        with open("/dev/tty", "r+b", buffering=0) as tty:
            while True:
                tty.write(f"{question} {choices} ".encode())
                line = tty.readline(1024)
                answer = line.decode("utf-8", "replace").strip().lower()
                if not line:
                    tty.write(b"\n")
                if not answer:
                    return default
                if answer in ("y", "yes", "n", "no"):
                    return answer.startswith("y")
    except OSError as error:
        raise InputOutputError("terminal", f"cannot ask: {error.strerror}", remedy="msmtp-config --help") from None
