"""Rules of the decoder: what lies on this host: configuration, secret, log, and how msmtp itself ended."""

from .rule import CERTAIN, GENERAL, HOST, Rule

_ALIASES = "check /etc/aliases: one `name: address` a line, no name twice, no second colon"
_EDIT = "mend the line that msmtp names: sensible-editor /etc/msmtprc"
_TRY = "msmtp --pretend -- root   # shows what msmtp makes of its files"
_AUDIT = "msmtp-config audit   # says what is wrong, and the remedy"

_CONFIGURATION: tuple[Rule, ...] = (
    Rule(
        "local-silent",
        "msmtp did not end, although it had asked no server yet: the secret command waits, or a file that is read",
        HOST,
        (
            "run the command behind `passwordeval` in /etc/msmtprc by hand: does it ask for something, or wait?",
            "see whether a file of it lies on a server that is away: findmnt --target /etc/msmtprc",
        ),
        stage=("configuration", "secret"),
        status=(None,),
    ),
    Rule(
        "aliases-faulty",
        "msmtp cannot use the file of aliases",
        HOST,
        (_ALIASES, _TRY),
        CERTAIN,
        stage=("configuration",),
        own=("delimiter expected", "invalid alias", "duplicate alias", "expanding alias", "aliases: "),
    ),
    Rule(
        "configuration-missing",
        "msmtp finds no configuration that it may read",
        HOST,
        (
            "see that it is there, and for whom: ls -l /etc/msmtprc   # 0600 root:root is for root alone",
            "msmtp-config audit",
        ),
        CERTAIN,
        stage=("configuration",),
        own=("no configuration file available", "msmtprc: no such file", "msmtprc: permission denied"),
    ),
    Rule(
        "account-missing",
        "the configuration has no account of that name",
        HOST,
        ("in /etc/msmtprc: account default   # or, as its last line, account default : NAME", _TRY),
        CERTAIN,
        stage=("configuration",),
        own=("not found in", "not (yet) defined"),
    ),
    Rule(
        "configuration-rights",
        "msmtp does not read its file because others may read or change it",
        HOST,
        ("chmod 0600 FILE, and chown it to its user   # FILE as msmtp names it",),
        CERTAIN,
        stage=("configuration",),
        own=("contains secrets and therefore",),
    ),
    Rule(
        "not-compiled-in",
        "this msmtp was built without what the account asks for",
        HOST,
        (
            "use the package of the distribution: apt install --reinstall msmtp",
            "or take the setting out of /etc/msmtprc",
        ),
        CERTAIN,
        stage=("configuration",),
        own=("not compiled in",),
    ),
    Rule(
        "usage",
        "msmtp was called in a way that it does not understand, or without a recipient",
        HOST,
        ("call it as: msmtp -- ADDRESS, or msmtp -t with a line `To:` in the mail",),
        CERTAIN,
        stage=("configuration", "general"),
        own=(
            "no recipients found",
            "unrecognized option",
            "no envelope from address",
            "too many arguments",
            "cannot use both",
        ),
    ),
    Rule(
        "configuration-faulty",
        "msmtp refuses its configuration",
        HOST,
        (_EDIT, _TRY, _AUDIT),
        CERTAIN,
        stage=("configuration",),
    ),
)

_SECRET: tuple[Rule, ...] = (
    Rule(
        "secret-missing",
        "the file of the password is not there",
        HOST,
        ("store the password: msmtp-config",),
        CERTAIN,
        stage=("secret",),
        own=("/etc/msmtp-password: no such file",),
    ),
    Rule(
        "secret-forbidden",
        "the secret command may not do what it does: a limit of the service, AppArmor, or another user than root",
        HOST,
        (
            "see what was denied: journalctl -k --grep apparmor",
            "for a service: no NoNewPrivileges= together with msmtp's AppArmor profile",
            "msmtp-config audit   # who sends mail on this host, and may they read the password?",
        ),
        stage=("secret",),
        own=("permission denied", "operation not permitted"),
    ),
    Rule(
        "secret-empty",
        "the secret command (`passwordeval`) gave no output: its file is missing or empty, or the program is",
        HOST,
        (
            "run it as root by hand: what does the command behind `passwordeval` in /etc/msmtprc print?",
            "store the password anew: msmtp-config",
        ),
        CERTAIN,
        stage=("secret",),
    ),
)

_LOG: tuple[Rule, ...] = (
    Rule(
        "log-unwritable",
        "the mail has left, and msmtp could not write that to its log",
        HOST,
        ("msmtp-config audit --fix   # owner and rights of the log", "df /var/log   # is there room?"),
        CERTAIN,
        stage=("log",),
        status=(0,),
    ),
    Rule(
        "log-failed",
        "msmtp could not write its log",
        HOST,
        ("msmtp-config audit", "df /var/log   # is there room?"),
        GENERAL,
        stage=("log",),
    ),
)

_ENDED: tuple[Rule, ...] = (
    Rule(
        "temporary-file",
        "msmtp could not write the mail to a temporary file: the disk is full, or /tmp cannot be written",
        HOST,
        ("df /tmp; ls -ld /tmp   # 1777 root root",),
        CERTAIN,
        own=("temporary file",),
    ),
    Rule(
        "no-memory",
        "msmtp got no memory",
        HOST,
        ("free -m; systemctl show NAME -p MemoryMax   # for a service",),
        CERTAIN,
        own=("cannot allocate memory", "not enough memory"),
    ),
    Rule(
        "library-failed",
        "a library that msmtp needs could not start",
        HOST,
        ("apt install --reinstall msmtp libgnutls30* libgsasl18", "msmtp --version"),
        own=("cannot initialize", "error while loading shared libraries"),
    ),
    Rule(
        "aborted",
        "msmtp was ended by SIGABRT or SIGXFSZ: it does that when its log cannot grow; the mail may have left",
        HOST,
        ("df /var/log   # is there room?", "ulimit -f; systemctl show NAME -p LimitFSIZE   # for a service"),
        status=(-6, -25, 134, 153),
    ),
    Rule(
        "killed",
        "msmtp was ended by SIGKILL: the kernel had no memory left, or the service ran out of its time",
        HOST,
        ("journalctl -k --grep 'out of memory'", "for a service: systemctl status NAME"),
        status=(-9, 137),
    ),
    Rule(
        "crashed",
        "msmtp has crashed",
        HOST,
        (
            "apt install --only-upgrade msmtp",
            "if it stays so: coredumpctl info msmtp, and report it to the distribution",
        ),
        status=(-4, -7, -8, -11, -31, 132, 135, 136, 139, 159),
    ),
    Rule(
        "ended-by-signal",
        "msmtp was ended by a signal before it was done",
        HOST,
        ("try again: msmtp-config test", "for a service: systemctl status NAME   # was it stopped?"),
        GENERAL,
        status=(*range(-64, 0), *range(129, 193)),
    ),
)

LOCAL: tuple[Rule, ...] = (*_CONFIGURATION, *_SECRET, *_LOG, *_ENDED)
