"""Parse `msmtprc` and look an account up, with msmtp's own rules (its `conf.c`, 1.8.20 to 1.8.33)."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

LONGEST_LINE = 499  # bytes without the line feed: msmtp reads 500 characters and wants the line feed among them

_OPAQUE = 20  # characters of a user name that no person has chosen: a token, or the key of a cloud service


class MsmtprcError(Exception):
    """A line that msmtp would refuse, or that cannot be judged without running a program; `line` counts from 1."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(line, fault)
        self.line = line
        self.fault = fault


class Setting(NamedTuple):
    """A command's argument and the line that it stands on."""

    value: str
    line: int


class Account:
    """One account with everything that is in force for it; `line` is where it is defined.

    `own` names what was set for it or copied from another account: only that is handed on by `account x : y`.
    `overruled` are the settings that a later line of the same account took the place of, by command; `defaults` is what
    the section of that name said when the account was opened.
    """

    __slots__ = ("defaults", "line", "name", "overruled", "own", "settings")

    def __init__(self, name: str, line: int, settings: dict[str, Setting] | None = None) -> None:
        self.name = name
        self.line = line
        self.settings = settings or {}
        self.defaults = dict(self.settings)
        self.own: set[str] = set()
        self.overruled: dict[str, Setting] = {}

    def get(self, command: str) -> str:
        """The argument in force, or the empty string: msmtp treats an empty argument as not set."""
        setting = self.settings.get(command)
        return setting.value if setting else ""

    def line_of(self, command: str) -> int:
        """The line that the setting in force stands on, or the account's own."""
        setting = self.settings.get(command)
        return setting.line if setting else self.line

    @property
    def shown_user(self) -> str:
        """The user name as messages show it: of a long one that is no address, the beginning.

        Such a name may be the secret itself: at Postmark the server token is both.
        """
        user = self.get("user")
        return user if "@" in user or len(user) < _OPAQUE else f"{user[:4]}..."

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted; msmtp's default is that it is not."""
        return self.get("tls") == "on"

    @property
    def method(self) -> str:
        """`on` (msmtp chooses), a method's name, or `off`, which is msmtp's default."""
        return self.get("auth") or "off"

    @property
    def port(self) -> int:
        """The port, with msmtp's defaults: 25, or 465 when TLS starts with the connection."""
        implicit = self.uses_tls and self.get("tls_starttls") == "off"
        return _strtol(self.get("port")) or (465 if implicit else 25)


def _flag(*others: str) -> Callable[[str], bool]:
    return lambda argument: argument in ("on", "off", *others)


def _strtol(argument: str) -> int:
    """The number as C reads it, 0 if it is none: `025` is octal 21, `0x19` is 25."""
    digits = argument.strip().removeprefix("+")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" else 10
    try:
        return int(digits, base) if digits.isalnum() else 0
    except ValueError:
        return 0


def _number(most: int) -> Callable[[str], bool]:
    return lambda argument: 0 < _strtol(argument) <= most


def _fingerprint(argument: str) -> bool:
    return argument == "" or (
        len(argument) in (95, 59, 47) and re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*", argument) is not None
    )


# fmt: off
_METHODS = (
    "plain", "scram-sha-1", "scram-sha-1-plus", "scram-sha-256", "scram-sha-256-plus", "external", "gssapi",
    "cram-md5", "digest-md5", "login", "ntlm", "oauthbearer", "xoauth2",
)
_ON_WHEN_EMPTY = (
    "auth", "tls", "tls_starttls", "tls_certcheck", "syslog", "set_to_header", "remove_bcc_headers",
    "undisclosed_recipients", "add_missing_from_header", "add_missing_date_header", "auto_from", "keepbcc",
)
# fmt: on
_AUTO_WHEN_EMPTY = ("set_from_header", "set_date_header", "set_msgid_header")
_INTEGER = 2**31 - 1


def _automatic(argument: str) -> bool:
    return argument in ("auto", "off")


def _anything(_: str) -> bool:
    return True


def _something(argument: str) -> bool:
    return argument != ""


# Which arguments msmtp accepts for each command; what an empty one means is in `_set`.
_COMMANDS: Mapping[str, Callable[[str], bool]] = {
    "host": _something,
    "port": _number(65535),
    "timeout": lambda argument: argument == "off" or _number(_INTEGER)(argument),
    "protocol": lambda argument: argument in ("smtp", "lmtp"),
    "domain": _anything,
    "from": _anything,
    "from_full_name": _anything,
    "allow_from_override": _flag(),
    "auth": _flag(*_METHODS),
    "user": _anything,
    "password": _anything,
    "passwordeval": _anything,
    "ntlmdomain": _anything,
    "tls": _flag(),
    "tls_starttls": _flag(),
    "tls_key_file": _anything,
    "tls_cert_file": _anything,
    "tls_trust_file": _anything,
    "tls_crl_file": _anything,
    "tls_fingerprint": _fingerprint,
    "tls_certcheck": _flag(),
    "tls_min_dh_prime_bits": lambda argument: argument == "" or _number(_INTEGER)(argument),
    "tls_priorities": _anything,
    "tls_host_override": _anything,
    "dsn_return": lambda argument: argument in ("off", "headers", "full"),
    "dsn_notify": _something,
    "logfile": _anything,
    "logfile_time_format": _anything,
    "syslog": _flag("LOG_MAIL", "LOG_USER", *(f"LOG_LOCAL{number}" for number in range(8))),
    "aliases": _anything,
    "proxy_host": _anything,
    "proxy_port": lambda argument: argument == "" or _number(65535)(argument),
    "set_from_header": _flag("auto"),
    "set_date_header": _automatic,
    "set_msgid_header": _automatic,
    "set_to_header": _flag("undisclosed_recipients"),
    "remove_bcc_headers": _flag(),
    "source_ip": _anything,
    "socket": _anything,
    "undisclosed_recipients": _flag(),
    "add_missing_from_header": _flag(),
    "add_missing_date_header": _flag(),
    "auto_from": _flag(),
    "maildomain": _anything,
    "keepbcc": _flag(),
}
# Old names, with the argument that they stand for when they take none themselves.
_OLD: Mapping[str, tuple[str, str | None]] = {
    "connect_timeout": ("timeout", None),
    "tls_nocertcheck": ("tls_certcheck", "off"),
    "tls_nostarttls": ("tls_starttls", "off"),
}


def parse(content: bytes) -> dict[str, Account]:
    """Every account of the file by name, in order. Raises MsmtprcError for the first line that msmtp refuses."""
    accounts: dict[str, Account] = {}
    defaults = Account("defaults", 0)
    current: Account | None = None
    for number, (command, argument) in _lines(content):
        if command == "defaults":
            if argument:
                raise MsmtprcError(number, "command defaults does not take an argument")
            current = defaults
        elif command == "account":
            current = _open_account(accounts, defaults, number, argument)
        else:
            if current is None:  # a file of the 1.2 kind: settings without an account belong to "default"
                current = accounts["default"] = Account("default", number)
            _set(current, number, command, argument)
    return accounts


def refusal(account: Account) -> str:
    """Why msmtp would not use an account although every line of it is right, in its own words; empty if it would.

    What stands last, as its `check_account()` has it. (That without `host` is told elsewhere as well.)
    """
    key, certificate = account.get("tls_key_file"), account.get("tls_cert_file")
    # An empty `tls_trust_file` is no file; without the command, or where only the defaults have it, it is the system's.
    trust = account.get("tls_trust_file") or "tls_trust_file" not in account.own
    if not (account.get("host") or account.get("socket")):
        return "host not set"
    if key and not certificate:
        return "tls_key_file requires tls_cert_file"
    if certificate and not key:
        return "tls_cert_file requires tls_key_file"
    if account.uses_tls and not (trust or account.get("tls_fingerprint") or account.get("tls_certcheck") == "off"):
        return "tls requires either tls_trust_file or tls_fingerprint or a disabled tls_certcheck"
    if account.get("tls_crl_file") and not trust:
        return "tls_crl_file requires tls_trust_file"
    return ""


def _lines(content: bytes) -> list[tuple[int, tuple[str, str]]]:
    """The commands of the file with their line numbers, blank lines and comments left out."""
    commands = []
    ends = content.count(b"\n")
    for number, raw in enumerate(content.split(b"\n"), 1):
        if len(raw) > LONGEST_LINE:
            raise MsmtprcError(number, f"line longer than {LONGEST_LINE} characters")
        # msmtp works on C strings: a line ends at its first NUL, and a CR goes with the LF that it sees behind it.
        seen, nul, _ = raw.partition(b"\0")
        if not nul and number <= ends:
            seen = seen.removesuffix(b"\r")
        line = seen.decode("utf-8", "surrogateescape").strip(" \t")
        if line and not line.startswith("#"):
            command, *argument = re.split(r"[ \t]+", line, maxsplit=1)
            commands.append((number, (command, _unquote("".join(argument)))))
    return commands


def _unquote(argument: str) -> str:
    """Without blanks around it, and without the double quotes when it is in them; nothing is escaped inside."""
    argument = argument.strip(" \t")
    return argument[1:-1] if len(argument) >= 2 and argument[0] == argument[-1] == '"' else argument


def _open_account(accounts: dict[str, Account], defaults: Account, number: int, argument: str) -> Account:
    name, colon, sources = argument.partition(":")
    name = _unquote(name) if colon else name
    copied = []
    for source in sources.split(",") if colon else ():
        wanted = _unquote(source)
        if not wanted:
            raise MsmtprcError(number, "missing account name")
        if wanted not in accounts:
            raise MsmtprcError(number, f"account {wanted} not (yet) defined")
        copied.append(accounts[wanted])
    if not name:
        raise MsmtprcError(number, "missing account name")
    if "," in name or ":" in name:
        raise MsmtprcError(number, "an account name must not contain colons or commas")
    if name in accounts:
        raise MsmtprcError(number, f"account {name} was already defined")
    account = Account(name, number, dict(defaults.settings))
    for source_account in copied:
        for command in source_account.own:
            account.settings[command] = source_account.settings[command]
        account.own |= source_account.own
    accounts[name] = account
    return account


def _set(account: Account, number: int, command: str, argument: str) -> None:
    if command == "eval":
        raise MsmtprcError(number, "command eval takes a setting from a program, so it cannot be read here")
    if command == "tls_force_sslv3":  # ignored since 1.4.33
        return
    new, fixed = _OLD.get(command, (command, None))
    if new not in _COMMANDS:
        raise MsmtprcError(number, f"unknown command {command}")
    if fixed is not None:
        if argument:
            raise MsmtprcError(number, f"command {command} does not take an argument")
        argument = fixed
    if not argument:
        argument = "on" if new in _ON_WHEN_EMPTY else "auto" if new in _AUTO_WHEN_EMPTY else ""
    if not _COMMANDS[new](argument):
        # `allow_from_override` without an argument is the one switch that msmtp calls invalid, not incomplete.
        empty = not argument and new != "allow_from_override"
        fault = (
            f"command {command} needs an argument" if empty else f"invalid argument {argument} for command {command}"
        )
        raise MsmtprcError(number, fault)
    former = account.settings.get(new)
    if former is not None and former.line >= account.line and former.value:
        account.overruled[new] = former
    account.settings[new] = Setting(argument, number)
    account.own.add(new)
