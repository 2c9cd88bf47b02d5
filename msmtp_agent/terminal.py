"""The person at the terminal: what is told there, one line that is typed, hidden or not, and yes or no."""

import getpass
import os
import signal
import sys
import warnings

from .errors import DataError, InputOutputError
from .printable import printable
from .render import say, wrapped

_TERMINAL = "/dev/tty"  # the person's own: standard input may be one, and standard output a pipe
_LONGEST = 8192  # bytes; a terminal's line holds 4095 and its end


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


def line(prompt: str) -> str | None:
    """The line that a person types and sees, without the blanks around it; None at the end of input.

    What is no text in this terminal's character set stands in it as U+FFFD. Raises InputOutputError without a terminal.
    """
    try:
        with open(_TERMINAL, "r+b", buffering=0) as tty:
            tty.write(prompt.encode())
            typed = tty.readline(_LONGEST)
            if not typed.endswith(b"\n"):  # Ctrl-D, also behind half a line: whoever types it twice wants out
                tty.write(b"\n")
                return None
    except OSError as error:
        raise _cannot_ask(error) from None
    return typed.decode(sys.stdin.encoding, "replace").strip()


def tell(text: str, indent: str | None = None) -> None:
    """Write a line at the terminal. With `indent` it is a text, folded to the terminal's width; else it stays whole.

    Standard output may be a pipe: what a question is about belongs where the question stands. Raises InputOutputError.
    """
    try:
        with open(_TERMINAL, "w", encoding="utf-8") as tty:
            say(printable(text) if indent is None else wrapped(text, tty, indent), tty)
    except OSError as error:
        raise _cannot_ask(error) from None


def confirm(question: str, *, default: bool) -> bool:
    """The person's answer; an empty line or the end of input means `default`. Asked again until it is yes or no."""
    choices = "[Y/n]" if default else "[y/N]"
    try:
        with open(_TERMINAL, "r+b", buffering=0) as tty:
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
        raise _cannot_ask(error) from None


def _cannot_ask(error: OSError) -> InputOutputError:
    return InputOutputError("terminal", f"cannot ask: {error.strerror}", remedy="msmtp-config --help")
