"""The difference of two versions of a file, for a person's eyes: no secret of either stands in it."""

import re
from collections.abc import Sequence

from .msmtprc import Account, MsmtprcError, Setting, parse
from .printable import printable
from .readiness import reads_secret_file
from .secret import Secret

_HIDDEN = "***"
_MOST_LINES = 400  # that are shown
_MOST_COMPARED = 20_000  # lines; difflib takes minutes for ten times as many of which most are alike
_MOST_PASSWORDS = 64  # that are looked for in other lines than their own
_UNENDED = " [no line feed at the end]"
_LONGEST_LINE = 300  # characters; one of msmtp's own may have 499
_LINE = re.compile(r"(?P<blank>[ \t]*)(?P<command>[^ \t]+)(?P<gap>[ \t]*)(?P<argument>.*)", re.DOTALL)
# What a comment says behind such a word may be the secret itself: `# password: ...`, `#eval ...`, `# old api key ...`.
_TELLING = re.compile(r"(?i)passwordeval|password|passphrase|passwd|pass|pwd|secret|token|key|eval|credential")
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_.~-]{8,}")  # what may be a token or a password, if it is not plain
_LONGEST_MIXED = 20  # characters from which on a word of letters and signs is no word of a language
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+|~?(/[a-z0-9._-]+)+/?")  # of a host, of a file
_PROGRAM = re.compile(r"[A-Za-z0-9._/+-]+")


def difference(
    path: str, old: bytes | None, new: bytes, hidden: Sequence[Secret] = (), *, settings: bool = False
) -> tuple[str, ...]:
    """The lines of a unified diff; `old` is None where there is no file yet, none are given where nothing differs.

    `hidden` is kept out of it in every form that `Secret.redact` knows. With `settings` the two are msmtprc files, and
    what may be a secret there is hidden as well: passwords, commands that print one, also where they are commented out
    or misspelt, and the end of a user name that is a token.
    """
    from difflib import unified_diff  # here, because most runs find nothing to show

    if old == new:
        return ()
    before, after = _lines(old or b""), _lines(new)
    head = "/dev/null" if old is None else path
    if max(len(before), len(after)) > _MOST_COMPARED:
        return f"--- {head}", f"+++ {path}", f"[{len(before)} lines become {len(after)}, too many to be compared]"
    lines = list(unified_diff(before, after, head, path, lineterm=""))[2:]
    shown = [f"--- {head}", f"+++ {path}"]
    for line in lines[:_MOST_LINES]:
        sign, text = line[:1], line[1:]
        if sign != "@":
            unended = text.endswith(_UNENDED)
            text = text.removesuffix(_UNENDED)
            if settings:  # comments of the new version are ours
                comment = text.lstrip(" \t").startswith("#")
                text = _setting(text) if not comment else _comment(text) if sign == "-" else text
            for secret in hidden:
                text = secret.redact(text)
            text = printable(text) + (_UNENDED if unended else "")
        shown.append(sign + (text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]} [cut]"))
    if len(lines) > _MOST_LINES:
        shown.append(f"[{len(lines) - _MOST_LINES} more lines]")
    return tuple(shown)


def passwords(content: bytes) -> tuple[Secret, ...]:
    """The inline passwords of an msmtprc (64 at most), in force or not, also of a file that msmtp refuses.

    The one in force is always among them.
    """
    try:
        account = parse(content).get("default")
    except MsmtprcError:
        account = None
    found = [account.get("password").encode("utf-8", "surrogateescape")] if account else []
    found += [match[1].strip(b' \t\r"') for match in re.finditer(rb"(?m)^[ \t]*password[ \t]+([^\n]+)$", content)]
    return tuple(Secret(value) for value in dict.fromkeys(found) if value)[:_MOST_PASSWORDS]


def _lines(content: bytes) -> list[str]:
    """The lines, what follows the last line feed marked as diff(1) does."""
    *whole, rest = content.decode("utf-8", "surrogateescape").split("\n")
    return [*whole, f"{rest}{_UNENDED}"] if rest else whole


def _setting(line: str) -> str:
    """A line of an msmtprc without what may be a secret."""
    found = _LINE.fullmatch(line)
    if found is None:
        return line
    blank, command, gap, argument = found.groups()
    fault = _refusal(line)
    if fault.startswith("unknown command"):
        command = _HIDDEN  # misspelt, or a password that stands alone or is written to the word
    if fault or command == "password":
        argument = argument and _HIDDEN
    elif command == "passwordeval":
        argument = command_line(argument)
    elif command == "user":
        argument = _user(argument)
    return f"{blank}{command}{gap}{argument}"


def _refusal(line: str) -> str:
    """Why msmtp would refuse this line whatever stands before it; what it would be refused for may be a password."""
    if line.lstrip(" \t").startswith("account"):
        return ""
    try:
        parse(f"account default\n{line}\n".encode("utf-8", "surrogateescape"))
    except MsmtprcError as error:
        return error.fault
    return ""


def command_line(argument: str) -> str:
    """A secret command: the program that it begins with, and the rest where that reads the secret file alone."""
    account = Account("default", 0, {"passwordeval": Setting(argument.strip(' \t"'), 0)})
    if reads_secret_file(account):
        return argument
    first, *rest = argument.strip().split(None, 1)[:2] or [""]
    program = first.strip('"')
    # `TOKEN=... command`, `echo${IFS}...`; and a word alone may be the password that somebody took for the argument.
    if not _PROGRAM.fullmatch(program) or not (rest or "/" in program):
        return _HIDDEN
    quote = '"' if first.startswith('"') else ""
    return f"{first} {_HIDDEN}{quote}" if rest else first


def _user(argument: str) -> str:
    account = Account("default", 0, {"user": Setting(argument.strip(' \t"\r'), 0)})
    return argument if account.shown_user == account.get("user") else account.shown_user


def _comment(line: str) -> str:
    """A comment: nothing behind a word that tells of a secret, and no token."""
    found = _TELLING.search(line)
    if found and line[found.end() :].strip():
        line = f"{line[: found.end()]} {_HIDDEN}"
    return _OPAQUE.sub(lambda token: token[0] if _is_plain(token[0]) else _HIDDEN, line)


def _is_plain(word: str) -> bool:
    """Whether this is a path, a name of a host, or a word of one kind of letters: no token looks like that."""
    if _NAME.fullmatch(word) or word.isalpha() or not any(map(str.isalpha, word)):
        return True
    return len(word) < _LONGEST_MIXED and not any(map(str.isdigit, word))
