"""Checks of the group "Copies and leftovers": what lies beside the secret file and msmtprc, by its name."""

from collections.abc import Iterator
from shlex import quote

from msmtp_agent.facts import Facts, Stray, known
from msmtp_agent.host import MSMTPRC, SECRET
from msmtp_agent.model import FileFacts

from .check import ERROR, INFO, WARNING, Flaw, Group, rights

CHECKS = Group("Copies and leftovers")
_CHANGE = "msmtp-config   # with a new password: have this one changed where it was issued"


def _copies(facts: Facts, original: str) -> Iterator[Stray]:
    return (stray for stray in known(facts.strays) if stray.of == original)


def _readable(file: FileFacts) -> bool:
    """Whether others than root can read it, its owner at any mode (an ACL's mask stands in the group's bits)."""
    return file.uid != 0 or bool(file.mode & 0o044)


def _open_to_others(file: FileFacts) -> bool:
    return file.uid != 0 or bool(file.mode & 0o077)


def _rights(file: FileFacts) -> str:
    """The file's rights, and what they let others do."""
    if _readable(file):
        return f"{file.rights}: others can read it"
    return f"{file.rights}: others can change it" if file.mode & 0o022 else f"{file.rights}: not root's alone"


@CHECKS("stray-secret", ERROR)
def secret(facts: Facts) -> Iterator[Flaw]:
    """A copy of the secret file is open to others.

    Editors, backups and interrupted writers leave copies (`.bak`, `~`, `.swp`, `.dpkg-old`, `#...#`), often with wider
    rights than the original's. One that others can read gives the password away. One that they can change holds what
    they like, when somebody puts it back.

    Remove it; `audit --fix` makes it root's alone. If others could read it, have the password changed where it was
    issued, and store the new one. Examples and encrypted files are not meant.
    """
    for copy in _copies(facts, SECRET):
        file, path = copy.file, quote(copy.file.path)
        if _open_to_others(file):
            remedy = f"rm {path} && {_CHANGE}" if _readable(file) else f"rm {path}"
            yield Flaw(file.path, f"a copy of {SECRET} by its name, {_rights(file)}", "no copy", remedy)


@CHECKS("stray-secret-copy", WARNING)
def secret_copy(facts: Facts) -> Iterator[Flaw]:
    """A second copy of the secret file lies beside it.

    Root alone can read it, but it is a second place where the password stands: nobody changes it with the first, and
    it goes into every backup.

    Remove it. Files from which an account of msmtprc takes its password, examples, and encrypted files are not meant.
    """
    for copy in _copies(facts, SECRET):
        file = copy.file
        if not _open_to_others(file):
            observed = f"a copy of {SECRET} by its name, {file.rights}"
            yield Flaw(file.path, observed, "no copy", f"rm {quote(file.path)}")


_PASSWORD = {True: " with an inline password", False: "", None: ", whether with a password cannot be told"}


@CHECKS("stray-config", ERROR)
def config(facts: Facts) -> Iterator[Flaw]:
    """A copy of msmtprc is open to others.

    A copy keeps what the original once held: servers, users, and perhaps an inline password. One with a password, or
    one that cannot be read to its end, is an error; one without is a warning.

    Remove it, or give it to root with mode 0600, as `audit --fix` does. Have a password that others could read changed
    where it was issued.
    """
    for copy in _copies(facts, MSMTPRC):
        file, path = copy.file, quote(copy.file.path)
        if not _open_to_others(file):
            continue
        observed = f"a copy of {MSMTPRC} by its name{_PASSWORD[copy.password]}, {_rights(file)}"
        if copy.password is False:
            mode = f"{rights(file.path)}   # or rm {path}"
            yield Flaw(file.path, observed, "0600 root:root", mode, severity=WARNING)
        else:
            yield Flaw(file.path, observed, "no copy", f"rm {path} && {_CHANGE}" if _readable(file) else f"rm {path}")


@CHECKS("stray-config-copy", INFO)
def config_copy(facts: Facts) -> Iterator[Flaw]:
    """A second copy of msmtprc lies beside it.

    Root alone can read it. `audit --fix` keeps one such, with the date in its name, of a file that it changes. A copy
    keeps what the original once held, perhaps an inline password.

    Remove it when it is no longer needed.
    """
    for copy in _copies(facts, MSMTPRC):
        file = copy.file
        if not _open_to_others(file):
            observed = f"a copy of {MSMTPRC} by its name{_PASSWORD[copy.password]}, {file.rights}"
            yield Flaw(file.path, observed, "no copy that is not needed", f"rm {quote(file.path)}")
