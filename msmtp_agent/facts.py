"""What one audit knows of a host: frozen values without the secret, and `Unknown` where a fact could not be had."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from .model import FileFacts
from .msmtprc import Account

T = TypeVar("T")


class Unknown(NamedTuple):
    """A fact that could not be gathered: where, and why."""

    path: str
    why: str


class CannotTellError(Exception):
    """A check needs a fact that could not be gathered."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why


class NotApplicableError(Exception):
    """A check has nothing to judge on this host."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def known(fact: T | Unknown) -> T:
    """The fact. Raises CannotTellError where it could not be gathered."""
    if isinstance(fact, Unknown):
        raise CannotTellError(fact.path, fact.why)
    return fact


class Access(NamedTuple):
    """A file, and who else an ACL lets at it: entries as `getfacl` writes them, those alone that the mask leaves."""

    file: FileFacts
    entries: tuple[str, ...] = ()


class SecretFile(NamedTuple):
    """The secret file, the directories above it, and which faults its content has (none of the content itself)."""

    access: Access
    directories: tuple[FileFacts, ...]
    faults: frozenset[str] = frozenset()


class Stray(NamedTuple):
    """A copy or a leftover of the secret file or of msmtprc, by its name; `of` is the path of the original.

    `password`: whether a copy of msmtprc holds an inline password (None: it could not be read).
    """

    file: FileFacts
    of: str
    password: bool | None = False


class Fault(NamedTuple):
    """Why msmtp refuses a file: the line, and what is wrong with it (nothing is quoted that may be a secret)."""

    line: int
    words: str


class Configuration(NamedTuple):
    """`/etc/msmtprc`, its default account, and root's own file (`shadow`: the line of its default account, 0: none)."""

    access: Access
    fault: Fault | None = None
    account: Account | None = None
    own: FileFacts | Unknown | None = None
    own_fault: Fault | None = None
    shadow: int = 0


class Pem(NamedTuple):
    """A file of certificates or of a key, links followed: how many blocks, when it expires, whether one is `damaged`.

    A bundle expires with the last of its certificates, a client's with the first.
    """

    file: FileFacts
    blocks: int = 0
    expires: float | None = None
    damaged: bool = False


class AliasFile(NamedTuple):
    """The aliases file (the account's, or `/etc/aliases`), its fault, and the names with what stands behind them."""

    file: FileFacts
    fault: Fault | None = None
    names: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Rotation(NamedTuple):
    """The logrotate rule for the log: where it stands, and what logrotate makes of it.

    `create` is the mode, owner and group of the new log, each empty where the old log's stay, and None where logrotate
    makes none; `origin` is where that is said. `why_not`: why logrotate passes over the rule. `olddir` as in the rule.
    """

    path: str
    line: int
    create: tuple[str, str, str] | None = None
    origin: tuple[str, int] = ("", 0)
    why_not: str = ""
    olddir: str = ""


class Log(NamedTuple):
    """The account's log, the directory of it, whether it may not be changed at all, and its logrotate rule.

    A symbolic link is followed: `file` is then what it leads to, under the path that the account names.
    """

    file: FileFacts
    directory: FileFacts
    immutable: bool | Unknown = False
    rotation: Rotation | Unknown | None = None
    logrotate: bool = True  # the program is installed


class History(NamedTuple):
    """What the log at `path` and its rotated predecessors tell of the account; times in seconds since 1970.

    What was read goes back to the last success, or to the oldest attempt, at `since`: `attempts` counts them.
    `failures` since the last success, by cause (of `exitcode=` and `smtpstatus=` alone, since a server may say the
    secret again), most frequent first; `failed_in_a_row` counts them. `dated` says whether the times could be read.
    `proven`: whether a mail was accepted since the secret was stored. `left_out`, where no success was found, names
    files, or parts of them, that were too large, too many, or could not be read.
    """

    path: str = ""
    last_success: float | None = None
    failures: tuple[tuple[str, int], ...] = ()
    failed_in_a_row: int = 0
    attempts: int = 0
    since: float | None = None
    dated: bool = True
    proven: bool | None = None
    left_out: tuple[str, ...] = ()


class Sender(NamedTuple):
    """A user other than root whose cron job's output is mailed, and the first line that says so."""

    user: str
    path: str
    line: int = 0
    uid: int = -1
    gids: frozenset[int] = frozenset()


class Unit(NamedTuple):
    """A service that sends mail: its name, the file that sets what matters, its user, and NoNewPrivileges=.

    `uid` is -1 where `/etc/passwd` does not have the user, `because` the setting that forbids new privileges; a unit
    that `may` send does so only where it was told to.
    """

    name: str
    path: str
    user: str = ""
    no_new_privileges: bool = False
    uid: int = 0
    gids: frozenset[int] = frozenset()
    because: str = ""
    may: bool = False


class MailTo(NamedTuple):
    """A MAILTO= of a crontab: where it stands, and the recipients that msmtp makes of it.

    There are none where cron has `refused` it: then the output of the jobs is lost.
    """

    path: str
    line: int
    recipients: tuple[str, ...]
    refused: bool = False


class Senders(NamedTuple):
    """Who sends mail on this host; `configured` are users with a msmtp configuration of their own.

    What was left out, crontabs and unit files apart, as `path (why)`.
    """

    cron: tuple[Sender, ...] = ()
    units: tuple[Unit, ...] = ()
    mailto: tuple[MailTo, ...] = ()
    configured: frozenset[str] = frozenset()
    left_out: tuple[str, ...] = ()
    units_left_out: tuple[str, ...] = ()


class Programs(NamedTuple):
    """The way in: msmtp, the sendmail command, links followed, the packages, and an old helper in front of us.

    `sendmail_leads_to` is the path at the end of its links; `old_helpers` are paths that `audit --fix` mends.
    """

    msmtp: FileFacts
    sendmail: FileFacts
    sendmail_leads_to: str
    packages: Mapping[str, str] | Unknown = MappingProxyType({})  # installed: name to version
    helpers: tuple[FileFacts, ...] = ()
    old_helpers: frozenset[str] = frozenset()
    sendmail_is_msmtp: bool = False


class Refused(NamedTuple):
    """Something that the account uses and the profile refuses: the setting, and the path (links followed).

    The path is empty where the secret command names what does not exist. `wanted` are the letters of the permission.
    `mend` is where the profile has to be edited when no local rule helps: the file, and the line of the profile's head
    or, with `deny`, of a rule that denies it.
    """

    setting: str
    path: str
    wanted: str
    mend: tuple[str, int] | None = None
    deny: bool = False


class AppArmor(NamedTuple):
    """msmtp's profile: whether it is in force (`why_not`), and what of the account it refuses.

    `shell` is the one that starts the secret command, and `programs` are what it starts (links followed).
    """

    enforced: bool = False
    why_not: str = ""
    shell: str = ""
    programs: tuple[str, ...] = ()
    command: Refused | Unknown | None = None
    files: tuple[Refused, ...] | Unknown = ()
    log: Refused | Unknown | None = None


class Search(NamedTuple):
    """One place that was searched for the secret's exact bytes: the files that hold them, and what was left out.

    `bounded` are the large files of which only a part was to be searched; both as `path (why)`, the last perhaps as
    `and 3 more`.
    """

    copies: tuple[FileFacts, ...] = ()
    left_out: tuple[str, ...] = ()
    bounded: tuple[str, ...] = ()


class Elsewhere(NamedTuple):
    """Where the secret stands outside its own files, by place; `sought` is false where there is no secret."""

    cloud: Search = Search()
    config: Search = Search()
    log: Search = Search()
    history: Search = Search()
    sought: bool = True


class Facts(NamedTuple):
    """Everything that the checks of one root may know."""

    root: str
    now: float
    secret: SecretFile | Unknown
    configuration: Configuration | Unknown
    strays: tuple[Stray, ...] | Unknown = ()
    trust: Pem | Unknown | None = None
    certificate: Pem | Unknown | None = None
    key: Pem | Unknown | None = None
    aliases: AliasFile | Unknown | None = None
    log: Log | Unknown | None = None
    history: History | Unknown | None = None
    senders: Senders | Unknown = Senders()
    programs: Programs | Unknown | None = None
    apparmor: AppArmor | Unknown = AppArmor()
    elsewhere: Elsewhere | Unknown = Elsewhere()
