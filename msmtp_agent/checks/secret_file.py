"""Checks of the group "Secret file": is there one, is it root's alone, and would msmtp send what it holds."""

from collections.abc import Iterator

from msmtp_agent.facts import Configuration, Facts, NotApplicableError, known
from msmtp_agent.host import SECRET
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.readiness import reads_secret_file

from .check import ERROR, INFO, WARNING, Flaw, Group, rights

CHECKS = Group("Secret file")
_STORE = "msmtp-config   # asks for the password, proves it and stores it"


def _file(facts: Facts) -> FileFacts:
    return known(facts.secret).access.file


def _faults(facts: Facts) -> frozenset[str]:
    return known(facts.secret).faults


@CHECKS("secret-missing", ERROR)
def missing(facts: Facts) -> Iterator[Flaw]:
    """The secret file is missing.

    The default account reads its password from /etc/msmtp-password. Without the file msmtp ends with status 78
    (`cannot read output of 'cat /etc/msmtp-password'`), and no mail leaves.

    Run `msmtp-config` and type the password, or give the machine the credential `msmtp.password`. Where the account
    takes its password from somewhere else, the check is skipped.
    """
    if _file(facts).kind is FileKind.MISSING:
        configuration = facts.configuration
        account = configuration.account if isinstance(configuration, Configuration) else None
        if account is not None and not reads_secret_file(account):
            raise NotApplicableError("the default account takes no password from it")
        yield Flaw(SECRET, "is missing", "the password, in a file of root's, 0600", _STORE)


@CHECKS("secret-type", ERROR)
def kind(facts: Facts) -> Iterator[Flaw]:
    """Something else stands in the secret file's place.

    A link leads the password to where others may read it, a FIFO makes every mail wait for ever, a device or a
    directory gives no password at all. `msmtp-config` refuses to write there.

    Look at what it is, remove it, and store the password again.
    """
    file = _file(facts)
    if file.kind is FileKind.MISSING:
        raise NotApplicableError("there is no secret file")
    if file.kind is not FileKind.REGULAR:
        target = f" to {file.target}" if file.target else ""
        away = f"mv -T {SECRET} {SECRET}.off" if file.kind is FileKind.DIRECTORY else f"rm {SECRET}"
        yield Flaw(SECRET, f"is {file.kind.value}{target}", "a regular file", f"{away} && msmtp-config")


@CHECKS("secret-links", ERROR, "secret-type")
def links(facts: Facts) -> Iterator[Flaw]:
    """The secret file has another name.

    A hard link elsewhere keeps the old password when a new one is stored, and is read with the rights of its own
    directory.

    Find the other names with `find / -xdev -samefile`, and remove them.
    """
    file = _file(facts)
    if file.links > 1:
        yield Flaw(SECRET, f"has {file.links} names", "one name", f"find / -xdev -samefile {SECRET}")


@CHECKS("secret-owner", ERROR, "secret-type")
def owner(facts: Facts) -> Iterator[Flaw]:
    """The secret file is not root's.

    Its owner can read the password, change it, and give it to others, whatever the mode says.

    `msmtp-config audit --fix` makes it root's. Whoever owned it may have read the password: have it changed.
    """
    file = _file(facts)
    if (file.uid, file.gid) != (0, 0):
        # The group alone matters only through the mode, which another check judges.
        yield Flaw(SECRET, f"is {file.rights}", "root:root", rights(SECRET), severity=ERROR if file.uid else WARNING)


@CHECKS("secret-mode", ERROR, "secret-type")
def mode(facts: Facts) -> Iterator[Flaw]:
    """The secret file's mode is not 0600.

    With a bit for the group or for others, somebody who is not root can read the password or put another one there.
    Root reads it with any mode, so fewer rights than 0600 harm nobody and are only worth knowing.

    `msmtp-config audit --fix` sets 0600. When others could read it, have the password changed.
    """
    file = _file(facts)
    if file.mode not in (0o600, 0o400):
        yield Flaw(SECRET, f"is {file.rights}", "0600", rights(SECRET), severity=ERROR if file.mode & 0o077 else INFO)


@CHECKS("secret-acl", ERROR, "secret-type")
def acl(facts: Facts) -> Iterator[Flaw]:
    """An ACL lets others at the secret file.

    An access control list names users or groups that may read the file beside what its mode shows; `ls -l` has
    nothing but a `+` for it. Entries that the mask takes away are not reported.

    `msmtp-config audit --fix` replaces the file by one without an ACL.
    """
    entries = known(facts.secret).access.entries
    if entries:
        yield Flaw(
            SECRET, f"has an ACL with {', '.join(entries)}", "no ACL", f"setfacl -b {SECRET} && chmod 0600 {SECRET}"
        )


@CHECKS("secret-empty", ERROR, "secret-type")
def empty(facts: Facts) -> Iterator[Flaw]:
    """The secret file is empty.

    msmtp finds no password in it and ends with status 78.

    Run `msmtp-config`. The old shell helper left such a file behind for a password that began with `-n`.
    """
    if "empty" in _faults(facts):
        yield Flaw(SECRET, "is empty", "the password", _STORE)


@CHECKS("secret-blank", ERROR, "secret-empty")
def blank(facts: Facts) -> Iterator[Flaw]:
    """The first line of the secret file is blank.

    msmtp takes the first line and nothing else: it sends an empty password, which the server refuses.

    Run `msmtp-config`, which stores one line.
    """
    if "blank" in _faults(facts):
        yield Flaw(SECRET, "begins with a blank line", "the password on the first line", _STORE)


@CHECKS("secret-lines", WARNING, "secret-empty")
def lines(facts: Facts) -> Iterator[Flaw]:
    """The secret file holds more than one line.

    msmtp reads the first and ignores the others: notes, or the password of another account, lie there for nothing.

    Store the password again with `msmtp-config`, which leaves one line.
    """
    if "lines" in _faults(facts):
        yield Flaw(SECRET, "holds more than one line", "the password alone", _STORE)


@CHECKS("secret-carriage-return", ERROR, "secret-empty")
def carriage_return(facts: Facts) -> Iterator[Flaw]:
    """The password holds a carriage return.

    msmtp drops one before the line feed at the end, and sends every other as a part of the password. A file edited on
    another system is the usual reason. What stands behind the first line does not count.

    Store the password again with `msmtp-config`.
    """
    if "carriage return" in _faults(facts):
        yield Flaw(SECRET, "holds a carriage return", "one line, ended by a line feed", _STORE)


@CHECKS("secret-nul", ERROR, "secret-empty")
def nul(facts: Facts) -> Iterator[Flaw]:
    """The password holds a NUL byte.

    msmtp takes the line for cut off there and ends with status 78 (`cannot read output of ...`). Text in UTF-16 looks
    like this.

    Store the password again with `msmtp-config`.
    """
    if "NUL" in _faults(facts):
        yield Flaw(SECRET, "holds a NUL byte", "text", _STORE)


@CHECKS("secret-byte-order-mark", ERROR, "secret-empty")
def byte_order_mark(facts: Facts) -> Iterator[Flaw]:
    """The secret file begins with a byte order mark.

    msmtp sends it as a part of the password, and the server refuses that. An editor put it there.

    Store the password again with `msmtp-config`.
    """
    if "byte order mark" in _faults(facts):
        yield Flaw(SECRET, "begins with a byte order mark", "the password alone", _STORE)


@CHECKS("secret-utf8", WARNING, "secret-byte-order-mark")
def utf8(facts: Facts) -> Iterator[Flaw]:
    """The secret file is not valid UTF-8.

    msmtp sends the bytes as they are. Servers expect UTF-8 (RFC 4616) and refuse a password with letters in another
    encoding.

    Store the password again with `msmtp-config` at a terminal that speaks UTF-8.
    """
    if "UTF-8" in _faults(facts):
        yield Flaw(SECRET, "is not valid UTF-8", "text in UTF-8", _STORE)


@CHECKS("secret-encrypted", ERROR, "secret-empty")
def encrypted(facts: Facts) -> Iterator[Flaw]:
    """The secret file holds a credential that systemd has encrypted.

    systemd 257 hands out an encrypted credential as it is to a unit with `LoadCredential=`; stored, msmtp would send
    the blob as the password.

    Use `LoadCredentialEncrypted=` in the unit, or store the password itself with `msmtp-config`.
    """
    if "encrypted" in _faults(facts):
        yield Flaw(SECRET, "is a credential that systemd has encrypted", "the password itself", _STORE)


@CHECKS("secret-directories", ERROR)
def directories(facts: Facts) -> Iterator[Flaw]:
    """A directory above the secret file belongs to others, or others may write in it.

    Whoever may write in `/` or `/etc` can put another file in the place of the secret file, and of every other file
    there.

    Make the directory root's with mode 0755, and find out who changed it.
    """
    for directory in known(facts.secret).directories:
        if directory.kind is FileKind.DIRECTORY and (directory.uid != 0 or directory.mode & 0o022):
            yield Flaw(directory.path, f"is {directory.rights}", "0755 root:root", rights(directory.path, "0755"))
