"""Write an `msmtprc`: one directive a line, quoted as msmtp reads it back (the trim_string() of its `conf.c`)."""

from collections.abc import Mapping

from .host import ALIASES, SECRET
from .msmtprc import LONGEST_LINE, Account, Setting
from .readiness import WITHOUT_PASSWORD
from .settings import SYSLOG, Settings

READS_SECRET = f"cat {SECRET}"
TIMEOUT = 60  # seconds
_COLUMN = 15  # where the values stand
_HEAD = "# Written by msmtp-config (`msmtp-config apply` writes it again). No password ever stands here.\n"


def line(command: str, value: str, *, quoted: bool = False) -> bytes:
    """One line without its end; `quoted`: in quotes although nothing wants them.

    Raises ValueError for a value that no line is to hold: with a line break or NUL, or too long.
    """
    if "\r" in value:
        raise ValueError(f"{command} has a line break in its value")
    return _line(command, value, quoted=quoted)


def _line(command: str, value: str, *, quoted: bool = False) -> bytes:
    """A line as `line` has it; msmtp takes a carriage return for a part of a value, unless the line ends with it."""
    for character, words in (("\n", "a line break"), ("\0", "a NUL")):
        if character in value:
            raise ValueError(f"{command} has {words} in its value")
    written = f'"{value}"' if quoted or _wants_quotes(value) else value
    encoded = f"{command:<{_COLUMN - 1}} {written}".encode("utf-8", "surrogateescape")
    if len(encoded) > LONGEST_LINE:
        encoded = f"{command} {written}".encode("utf-8", "surrogateescape")
    if len(encoded) > LONGEST_LINE:
        raise ValueError(f"{command} has a value that makes a line of {len(encoded)} bytes (of {LONGEST_LINE})")
    return encoded


def _wants_quotes(value: str) -> bool:
    """Whether msmtp would read another value without quotes. There is no escaping, and nothing inside them needs it."""
    enclosed = len(value) > 1 and value[0] == value[-1] == '"'
    return enclosed or value.strip(" \t") != value or value == "" or value.endswith("\r")


def render(accounts: Mapping[str, Account]) -> bytes:
    """A file in which every account stands whole: `parse` and msmtp read the same settings from it.

    Raises ValueError for an account that no file can hold.
    """
    return b"\n".join(_section(account) for account in accounts.values())


def _section(account: Account) -> bytes:
    lines = [_line("account", account.name)]
    lines += [
        _line(command, setting.value)
        for command, setting in _in_order(account)
        # An empty one means no trust at all, but in the defaults, where it means the system's (msmtp.c asks the mask).
        if command != "tls_trust_file" or setting.value or command in account.own
    ]
    return b"".join(part + b"\n" for part in lines)


def _in_order(account: Account) -> list[tuple[str, Setting]]:
    """As msmtp came by them: what stood in the defaults, what was copied, what the account says itself.

    Some old commands (`keepbcc`) set what others (`remove_bcc_headers`) do, and the last one counts.
    """

    def rank(item: tuple[str, Setting]) -> tuple[int, int]:
        command, setting = item
        own = 0 if command not in account.own else 2 if setting.line >= account.line else 1
        return own, setting.line

    return sorted(account.settings.items(), key=rank)


def of(settings: Settings, log: str) -> bytes:
    """The `/etc/msmtprc` for these settings, which logs to the file `log` unless they ask for syslog; never a password.

    Raises ValueError for a value that no line can hold.
    """
    directives = (
        ("account", "default"),
        ("host", settings.host),
        ("port", str(settings.port)),
        ("from", settings.sender),
        ("set_from_header", settings.set_from_header),
        ("auth", settings.method),
        ("user", settings.user),
        ("passwordeval", settings.passwordeval or _usual_command(settings.method)),
        ("tls", "on"),
        ("tls_starttls", "off" if settings.implicit_tls else "on"),
        ("tls_trust_file", settings.trust_file),
        ("tls_fingerprint", settings.fingerprint),
        # msmtp looks at a fingerprint only where it checks certificates.
        ("tls_certcheck", "" if settings.certcheck or settings.fingerprint else "off"),
        ("tls_cert_file", settings.cert_file),
        ("tls_key_file", settings.key_file),
        ("timeout", str(TIMEOUT)),
        ("aliases", ALIASES),
        ("syslog", "LOG_MAIL") if settings.log == SYSLOG else ("logfile", log),
    )
    # Of a command the quotes are shown, as msmtp's own examples do.
    lines = [line(name, value, quoted=name == "passwordeval") for name, value in directives if value]
    return _HEAD.encode() + b"".join(part + b"\n" for part in lines)


def _usual_command(method: str) -> str:
    """The command that prints the secret file; none for a method without a password: msmtp would want its output."""
    return "" if method in WITHOUT_PASSWORD else READS_SECRET
