"""Checks of the group "Secret elsewhere": does the secret stand where others, or a backup, can have it."""

from collections.abc import Iterator
from shlex import quote

from msmtp_agent.facts import CannotTellError, Elsewhere, Facts, NotApplicableError, Search, Unknown, known
from msmtp_agent.model import FileFacts

from .check import ERROR, INFO, Flaw, Group

CHECKS = Group("Secret elsewhere")
_NEW = "msmtp-config   # with a new password: have this one changed where it was issued"


def _elsewhere(facts: Facts) -> Elsewhere:
    elsewhere = known(facts.elsewhere)
    if not elsewhere.sought:
        raise NotApplicableError("there is no secret to look for")
    return elsewhere


def _copies(facts: Facts, search: Search, place: str) -> list[FileFacts]:
    """The files that hold the secret; copies beside the secret file are judged by checks of their own.

    Raises CannotTellError when there are none, but not everything was searched.
    """
    judged = set() if isinstance(facts.strays, Unknown) else {stray.file.path for stray in facts.strays}
    copies = [copy for copy in search.copies if copy.path not in judged]
    if not copies and search.left_out:
        raise CannotTellError(place, f"not searched: {', '.join(search.left_out)}")
    return copies


@CHECKS("elsewhere-cloud", ERROR)
def cloud(facts: Facts) -> Iterator[Flaw]:
    """The secret stands in what cloud-init keeps.

    Passwords in user data stay on the disk below /var/lib/cloud, in the logs of cloud-init, and with the provider,
    where every program of the machine can ask for them over the network. Files of any mode are reported.

    Give the machine the password as a systemd credential (`msmtp.password`), or type it. Have this one changed where it
    was issued, and remove the file. What is base64 or encrypted there is not recognised.
    """
    for copy in _copies(facts, _elsewhere(facts).cloud, "/var/lib/cloud"):
        expected = "no password in user data"
        yield Flaw(copy.path, f"holds the secret, {copy.rights}", expected, f"rm {quote(copy.path)} && {_NEW}")


@CHECKS("elsewhere-config", ERROR)
def config(facts: Facts) -> Iterator[Flaw]:
    """The secret stands in a file of /etc that others can read.

    Another program's configuration, or a note, holds the same password, and its mode or its owner lets others than root
    read it. /etc/msmtprc and copies beside the secret file have checks of their own.

    Close the file, have the password changed where it was issued, and store the new one. One password for two services
    means that both have to be changed.
    """
    for copy in _copies(facts, _elsewhere(facts).config, "/etc"):
        yield Flaw(copy.path, f"holds the secret, {copy.rights}: others can read it", "0600 root:root", _NEW)


@CHECKS("elsewhere-log", ERROR)
def log(facts: Facts) -> Iterator[Flaw]:
    """The secret stands in a log that others can read.

    A command line with a password in it is written down by sudo, by auditd and by systemd, and logs are read by the
    group adm, copied to other machines, and kept for weeks. Logs packed by gzip are searched, too; large ones in part
    (elsewhere-bounded).

    Have the password changed where it was issued, and store the new one by typing it: the log does no harm then.
    """
    for copy in _copies(facts, _elsewhere(facts).log, "/var/log"):
        yield Flaw(copy.path, f"holds the secret, {copy.rights}: others can read it", "no password in a log", _NEW)


@CHECKS("elsewhere-history", ERROR)
def history(facts: Facts) -> Iterator[Flaw]:
    """The secret stands in what root's shell or editor remembers.

    A password on a command line is kept in the shell's history, from where it goes into backups and onto the screen of
    whoever presses the arrow key; while such a command ran, every user could see it in the list of processes.

    Delete the line, have the password changed where it was issued, and type the new one at the prompt of msmtp-config,
    or hand it over on standard input.
    """
    for copy in _copies(facts, _elsewhere(facts).history, "/root"):
        remedy = f"sensible-editor {quote(copy.path)} && {_NEW}"
        yield Flaw(copy.path, f"holds the secret, {copy.rights}", "no password in a history", remedy)


@CHECKS("elsewhere-bounded", INFO)
def bounded(facts: Facts) -> Iterator[Flaw]:
    """Of large files only the beginning and the end were searched for the secret.

    Of a file larger than 8 MiB the first and the last 4 MiB are searched, of a packed one the first 8 MiB of what it
    unpacks to: a journal has up to 4 GiB, and an audit is to end soon. Holes do not count, and are not searched. What
    stands in between was not looked at. The files of the journal are searched so, too, and not named here, because they
    are large on every host: `journalctl --grep` searches all of them.

    Nothing has to be done. The remedy searches every byte of the first one's directory for what stands in the secret
    file, and prints the names of the files that hold it; packed ones have to be unpacked for that.
    """
    elsewhere = _elsewhere(facts)
    for search in (elsewhere.cloud, elsewhere.config, elsewhere.log, elsewhere.history):
        if search.bounded:
            path = search.bounded[0].rpartition(" (")[0]
            observed = f"searched in part: {', '.join(search.bounded)}"
            directory = quote(path.rpartition("/")[0])
            remedy = f"head -n 1 /etc/msmtp-password | tr -d '\\r' | grep -rlFf - {directory}   # reads all of it"
            yield Flaw(path, observed, "every byte searched", remedy)
