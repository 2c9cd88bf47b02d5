"""Decide from the parsed configuration whether the default account would use the secret file, and use it safely."""

import re
import shlex

from .errors import ConfigError, NotUsedError
from .host import MSMTPRC, SECRET
from .loopback import is_loopback
from .msmtprc import Account, MsmtprcError, parse

WANTED = f'passwordeval "cat {SECRET}"'
# Programs that msmtp's AppArmor profile lets a secret command be, and that give the first line of a file as it is.
_READERS = [["cat"], ["head", "-n", "1"], ["head", "-n1"], ["head", "-1"]]
WITHOUT_PASSWORD = ("off", "external", "gssapi")


def find_account(content: bytes, own_path: str, own_content: bytes) -> Account:
    """The account that sends the system's mail; `own_path` is root's own configuration, `own_content` what it holds.

    Raises NotUsedError where msmtp would not take this file's default account, ConfigError where the account lacks
    something or would send a secret in clear text. Both name file and line.
    """
    account = _accounts(MSMTPRC, content).get("default")
    refuse_shadow(own_path, own_content)
    if account is None:
        raise NotUsedError(
            MSMTPRC,
            "has no default account",
            expected="`account default`, or `account default : NAME`",
            remedy=f"sensible-editor {MSMTPRC}   # account default",
        )
    _complete(account)
    _encrypted(account)
    return account


def refuse_shadow(own_path: str, own_content: bytes) -> None:
    """Raise NotUsedError where root's own configuration has a default account, which msmtp would take instead."""
    shadow = _accounts(own_path, own_content).get("default")
    if shadow is not None:
        raise NotUsedError(
            f"{own_path}: line {shadow.line}",
            f"its default account takes the place of the one in {MSMTPRC} when root sends",
            remedy=f"mv {shlex.quote(own_path)} {shlex.quote(own_path)}.off",
        )


def _accounts(path: str, content: bytes) -> dict[str, Account]:
    try:
        return parse(content)
    except MsmtprcError as error:
        raise NotUsedError(
            f"{path}: line {error.line}",
            error.fault,
            expected="a line that msmtp accepts",
            remedy=f"sensible-editor +{error.line} {shlex.quote(path)}",
        ) from None


def _complete(account: Account) -> None:
    wanted = ("host", "from") if account.method in WITHOUT_PASSWORD else ("host", "from", "user")
    present = {"host": account.get("socket"), "from": account.get("auto_from")}
    for command in wanted:
        if not (account.get(command) or present.get(command)):
            raise ConfigError(
                f"{MSMTPRC}: line {account.line}",
                f"the default account has no `{command}`",
                expected=f"a line `{command} ...`",
                remedy=f"sensible-editor +{account.line} {MSMTPRC}   # add: {command} ...",
            )


def _encrypted(account: Account) -> None:
    if account.method in WITHOUT_PASSWORD or account.uses_tls or is_loopback(account.get("host")):
        return
    line = account.line_of("tls")
    raise ConfigError(
        f"{MSMTPRC}: line {line}",
        f"the password would cross the network to {account.get('host')} in clear text (`tls off`)",
        expected="`tls on`",
        remedy=f"sensible-editor +{line} {MSMTPRC}   # tls on",
    )


def require_secret_file(account: Account) -> None:
    """Raise NotUsedError unless the secret in force is the secret file's: an inline password wins over a command."""
    if account.method in WITHOUT_PASSWORD:
        line = account.line_of("auth")
        raise NotUsedError(
            f"{MSMTPRC}: line {line}",
            f"the default account sends no password (`auth {account.method}`)",
            expected="`auth on`",
            remedy=f"sensible-editor +{line} {MSMTPRC}   # auth on",
        )
    if account.get("password"):
        line = account.line_of("password")
        raise NotUsedError(
            f"{MSMTPRC}: line {line}",
            "an inline `password` wins over every other",
            expected=f"`{WANTED}` instead",
            remedy=f"sensible-editor +{line} {MSMTPRC}   # {WANTED}",
        )
    command = account.get("passwordeval")
    if not reads_secret_file(account):
        line = account.line_of("passwordeval")
        raise NotUsedError(
            f"{MSMTPRC}: line {line}",
            "`passwordeval` is another command" if command else "the default account has no `passwordeval`",
            expected=f"`{WANTED}`",
            remedy=f"sensible-editor +{line} {MSMTPRC}   # {WANTED}",
        )


def reads_secret_file(account: Account) -> bool:
    """Whether a shell would print the secret file for `passwordeval`: only forms that leave no doubt."""
    try:
        words = shlex.split(account.get("passwordeval"))
    except ValueError:
        return False
    if len(words) < 2 or words[-1] != SECRET:
        return False
    reader = [re.sub(r"^(/usr)?/bin/", "", words[0]), *words[1:-1]]
    if reader[-1] in ("--", "<"):
        reader.pop()
    return reader in _READERS
