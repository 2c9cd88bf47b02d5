"""What `render` prints: the files that settings become, one of them, or a cloud-config; the host is not touched."""

import sys
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from . import arguments, render
from .aliases import AliasesError
from .errors import DataError, InputOutputError
from .host import ALIASES, MSMTPRC, Host
from .log_rule import LOGROTATE
from .model import FileKind, Problem

if TYPE_CHECKING:
    from .cloudconfig import Package
    from .host_files import HostFile
    from .settings import Settings

_FILES = {"msmtprc": MSMTPRC, "aliases": ALIASES, "logrotate": LOGROTATE}
_CLOUD = "cloud-config"
FORMATS = ("files", *_FILES, _CLOUD)
_MOST_KEY = 65_536  # bytes


class Options(NamedTuple):
    """The options as they were given."""

    path: str
    form: str
    output: str | None
    deb_url: str | None
    deb_sha256: str | None
    apt_source: str | None
    apt_key: str | None
    allow_password: bool


def run(options: Options) -> int:
    """Render, and return the exit status: 0 also where the settings name no server, and nothing is generated.

    Raises UsageError for options that do not go together, SettingsError, InputOutputError and CantCreateError.
    """
    from . import interruption, settings_file, shield

    arguments.absolute("render", "FILE", options.path)  # no empty variable, and no standard input
    output = _checked(options)
    shield.shield()
    interruption.install()
    with Host() as host:
        package = _package(host, options) if options.form == _CLOUD else None
        _refuse_replacing_input(host, options, output)
        settings = settings_file.read(host, options.path)
        if settings is None:
            words = f"msmtp-config: {options.path}: has no `host` and no `provider`: nothing is generated"
            render.say(render.wrapped(words, sys.stderr, "  "), sys.stderr)
            return 0
        _warn(options, settings)
        files = _files(options.path, settings)
        if package is None:
            text = _text(options.form, files)
            if text:
                _write(host, text, output)
            return 0
        return _cloud_config(host, options, output, settings, files, package)


def _checked(options: Options) -> str | None:
    """The absolute path of `--output`. Raises UsageError for options that are wrong, or go with another format."""
    if options.form not in FORMATS:
        raise arguments.unknown("render", "--format", options.form, FORMATS)
    given = {
        "--deb-url": options.deb_url,
        "--deb-sha256": options.deb_sha256,
        "--apt-source": options.apt_source,
        "--apt-key": options.apt_key,
        "--allow-password-in-user-data": options.allow_password or None,
    }
    for option, value in given.items():
        if value is not None and options.form != _CLOUD:
            words = f"goes with --format {_CLOUD}, and the format is {options.form}"
            raise arguments.refused("render", option, words)
    return None if options.output is None else arguments.replaceable("render", "--output", options.output)


def _package(host: Host, options: Options) -> "Package":
    from . import cloudconfig  # for one format alone

    key = None if options.apt_key is None else _key(host, options.apt_key)
    return cloudconfig.package(options.deb_url, options.deb_sha256, options.apt_source, key)


def _key(host: Host, path: str) -> str:
    if not path:
        raise arguments.refused("render", "--apt-key", "is ''", "the file of the apt source's key")
    facts, content = host.read(path, _MOST_KEY + 1, follow=True)
    remedy = f"ls -l {quote(path)}"
    if facts.kind is not FileKind.REGULAR:
        raise InputOutputError(path, f"is {facts.kind.value}", expected="the apt source's key", remedy=remedy)
    if len(content) > _MOST_KEY:
        raise DataError(path, f"holds more than {_MOST_KEY} bytes", expected="the apt source's key", remedy=remedy)
    return content.decode("utf-8", "replace")  # what is no text is no armoured key


def _refuse_replacing_input(host: Host, options: Options, output: str | None) -> None:
    """Raise UsageError when the output would take the place of what is read: the only copy, perhaps."""
    if output is None:
        return
    there = host.inspect(output)
    for path in filter(None, (options.path, options.apt_key)):
        facts = host.inspect(path, follow=True)
        if there.kind is FileKind.REGULAR and facts.identity == there.identity:
            raise arguments.refused("render", "--output", f"names {path}, which is read", "another file")


def _warn(options: Options, settings: "Settings") -> None:
    """To standard error, so that a pipe gets the files alone."""
    text = render.Text(quiet=False)
    for warning in settings.warnings:
        text.warning(warning)
    if settings.passwordeval and options.form == _CLOUD:
        text.warning("passwordeval stands in the user data as it is, which others can read: no token may be in it")
    if settings.secret is not None and options.form != _CLOUD:
        path = quote(options.path)
        text.warning(f"the password is in none of these files; sudo msmtp-config apply {path} stores it in its own")


def _files(path: str, settings: "Settings") -> "tuple[HostFile, ...]":
    from . import host_files

    try:
        return host_files.of(settings)
    except AliasesError as error:
        raise DataError(f"{path}: recipient", error.fault, remedy=f"sensible-editor {quote(path)}") from None
    except ValueError as error:
        raise DataError(path, str(error), remedy=f"sensible-editor {quote(path)}") from None


def _text(form: str, files: "tuple[HostFile, ...]") -> str:
    """The one file that was asked for, or all of them under their names; msmtprc, which names the others, first."""
    wanted = _FILES.get(form)
    parts = []
    for file in sorted(files, key=lambda file: file.path != MSMTPRC):
        content = file.content.decode("utf-8", "surrogateescape")
        if wanted is None:
            parts.append(f"# ==> {file.path} ({file.mode:04o} root:root) <==\n{content}")
        elif file.path == wanted:
            return content
    if wanted is None:
        return "\n".join(parts)
    words = "msmtp-config: the settings let msmtp log to syslog: there is no log to rotate, and no rule"
    render.say(render.wrapped(words, sys.stderr, "  "), sys.stderr)
    return ""


def _cloud_config(
    host: Host,
    options: Options,
    output: str | None,
    settings: "Settings",
    files: "tuple[HostFile, ...]",
    package: "Package",
) -> int:
    from . import cloudconfig, handing_over

    try:
        text = cloudconfig.document(settings, files, package, allow_password=options.allow_password)
    except cloudconfig.PasswordInUserDataError as error:
        remedy = (
            f"sensible-editor {quote(options.path)}   # take the password out, and hand it over in one of these ways:"
        )
        render.problem(Problem(error.code, f"{options.path}: {error.message}", remedy, ()))
        for line in handing_over.lines():
            render.say(line, sys.stderr)  # never folded: it is to be pasted
        return error.code
    _write(host, text, output)
    return 0


def _write(host: Host, text: str, output: str | None) -> None:
    """To standard output as UTF-8, whatever the locale, or in the place of a file that root or the user alone reads."""
    if output is None:
        render.use_utf8(sys.stdout)
        render.say(text, sys.stdout, end="")
        return
    from . import files

    files.replace(host, output, text.encode("utf-8", "surrogateescape"), 0o600)
