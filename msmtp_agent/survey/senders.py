"""Who sends mail on the host: owners of cron jobs, services, and what crontabs say in MAILTO=."""

from collections.abc import Callable, Iterable, Iterator

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import MailTo, Sender, Senders
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind

from .crontabs import parse
from .unit_files import UnitFiles
from .users import Users

_CRONTAB = "/etc/crontab"
_DIRECTORY = "/etc/cron.d"
_SPOOL = "/var/spool/cron/crontabs"
_DASHES = {ord("-"): None, ord("_"): None}
_MOST_FILES = 1000  # crontabs
_LIMIT = 64 << 10  # bytes of one that are read,
_MOST_BYTES = 4 << 20  # and of all together


def gather(host: Host, redact: Callable[[str], str]) -> Senders:
    """What is known of them; recipients without what `redact` hides. Raises InputOutputError."""
    users = Users(host)
    senders: dict[tuple[str, str], Sender] = {}
    mailto: list[MailTo] = []
    left_out: list[str] = []
    left = _MOST_BYTES
    for path, owner in _crontabs(host, left_out):
        if left <= 0:
            left_out.append(f"{path} and what follows it (more than {_MOST_BYTES >> 20} MiB)")
            break
        try:
            # A link in the spool is none that cron follows.
            facts, content = host.read(path, _LIMIT + 1, follow=not owner)
        except InputOutputError as error:
            left_out.append(f"{error.subject} ({error.observed})")
            continue
        if facts.kind is not FileKind.REGULAR:
            continue
        if len(content) > _LIMIT:
            left_out.append(f"{path} (more than {_LIMIT >> 10} KiB)")
        left -= len(content)
        crontab = parse(path, content[:_LIMIT], owner)
        for setting in crontab.mailto:
            mailto.append(setting._replace(recipients=tuple(map(redact, setting.recipients))))
        for job in crontab.jobs:
            # Cron does not run the jobs of a user who does not exist.
            if (job.user, path) not in senders and (user := users.find(job.user)) is not None and user.uid:
                gids = user.others | {user.gid}
                senders[job.user, path] = Sender(job.user, path, job.line, user.uid, gids)
    files = UnitFiles(host, users)
    units = tuple(files.senders())
    names = {*(sender.user for sender in senders.values()), *(unit.user for unit in units)}
    configured = frozenset(_configured(host, users, names))
    return Senders(tuple(senders.values()), units, tuple(mailto), configured, tuple(left_out), tuple(files.left_out))


def _crontabs(host: Host, left_out: list[str]) -> Iterator[tuple[str, str]]:
    """The paths of all crontabs that cron reads, and whose each is: nobody's where the jobs name their users."""
    # Cron passes over any other character, and with it over backups and over what a package has left.
    system = [name for name in host.names(_DIRECTORY) if name.isascii() and name.translate(_DASHES).isalnum()]
    spool = [name for name in host.names(_SPOOL) if not name.startswith(".")]
    found = [(_CRONTAB, ""), *((f"{_DIRECTORY}/{name}", "") for name in system)]
    found += [(f"{_SPOOL}/{name}", name) for name in spool]
    if len(found) > _MOST_FILES:
        left_out.append(f"{found[_MOST_FILES][0]} and what follows it (more than {_MOST_FILES} crontabs)")
    yield from found[:_MOST_FILES]


def _configured(host: Host, users: Users, names: Iterable[str]) -> Iterator[str]:
    """Those of these users who have a file that msmtp reads after, or instead of, `/etc/msmtprc`."""
    for name in names:
        user = users.find(name)
        if user is not None and user.uid and user.home.startswith("/"):
            for file in (".msmtprc", ".config/msmtp/config"):
                try:
                    facts = host.inspect(f"{user.home}/{file}", follow=True)
                except InputOutputError:
                    continue  # a home that cannot be looked into is none that msmtp finds it in
                if facts.kind is FileKind.REGULAR:
                    yield name
