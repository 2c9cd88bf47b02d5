"""Checks of the group "Copies and leftovers": what lies beside the secret file and msmtprc, by its name."""

from collections.abc import Iterator
from shlex import quote

from msmtp_agent.facts import Facts, Stray, known
from msmtp_agent.host import MSMTPRC, SECRET
from msmtp_agent.model import FileFacts

from .check import ERROR, INFO, WARNING, Flaw, Group

CHECKS = Group("Copies and leftovers")


def _copies(facts: Facts, original: str) -> Iterator[Stray]:
    return (stray for stray in known(facts.strays) if stray.of == original)


def _open_to_others(file: FileFacts) -> bool:
    """Whether others than root can read it (an ACL's mask stands in the group's bits)."""
    return file.uid != 0 or bool(file.mode & 0o044)


@CHECKS("stray-secret", ERROR)
def secret(facts: Facts) -> Iterator[Flaw]:
    """A copy of the secret file lies beside it.

    Editors, backups and interrupted writers leave copies (`.bak`, `~`, `.swp`, `.dpkg-old`, `#...#`), often with wider
    rights than the original's. One that others can read gives the password away: an error. One of root's alone is a
    second place where the password stands, which nobody changes with the first: a warning.

    Remove it. If others could read it, have the password changed where it was issued, and store the new one. Files
    from which an account of msmtprc takes its password, examples, and encrypted files are not meant.
    """
    for copy in _copies(facts, SECRET):
        file, path = copy.file, quote(copy.file.path)
        if _open_to_others(file):
            yield Flaw(
                file.path,
                f"a copy of {SECRET} by its name, {file.rights}: others can read it",
                "no copy",
                f"rm {path} && msmtp-config   # with a new password: have this one changed where it was issued",
            )
        else:
            yield Flaw(
                file.path,
                f"a copy of {SECRET} by its name, {file.rights}",
                "no copy",
                f"rm {path}",
                severity=WARNING,
            )


@CHECKS("stray-config", ERROR)
def config(facts: Facts) -> Iterator[Flaw]:
    """A copy of msmtprc lies beside it.

    A copy keeps what the original once held: servers, users, and perhaps an inline password. One with a password that
    others can read is an error, one without it that others can read a warning. A copy of root's alone is worth
    knowing; `audit --fix` keeps one such, with the date in its name, of a file that it changes.

    Remove it, or give it to root with mode 0600. Have a password that others could read changed where it was issued.
    """
    for copy in _copies(facts, MSMTPRC):
        file, path = copy.file, quote(copy.file.path)
        password = {True: " with an inline password", None: ", whether with a password cannot be told"}
        observed = f"a copy of {MSMTPRC} by its name{password.get(copy.password, '')}, {file.rights}"
        if not _open_to_others(file):
            yield Flaw(file.path, observed, "no copy that is not needed", f"rm {path}", severity=INFO)
        elif copy.password:
            change = f"rm {path} && msmtp-config   # with a new password: have this one changed where it was issued"
            yield Flaw(file.path, f"{observed}: others can read it", "no copy", change)
        else:
            mode = f"chown root:root {path} && chmod 0600 {path}   # or rm {path}"
            yield Flaw(file.path, f"{observed}: others can read it", "0600 root:root", mode, severity=WARNING)
