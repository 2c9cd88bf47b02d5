"""Settings as one cloud-config: packages, files, this program's package, and the step that proves the password.

The facts are those of cloud-init 22.4 (Debian 12) and 25.1 (Debian 13).
"""

import re
from collections.abc import Sequence
from shlex import quote
from typing import NamedTuple

from . import __version__
from .errors import DataError, UsageError
from .handing_over import CREDENTIAL
from .host import MSMTPRC
from .host_files import HostFile
from .log_rule import LOGROTATE
from .msmtprc import parse
from .providers import BUILT_IN, by_host
from .providers.fact import Provider
from .readiness import reads_secret_file
from .settings import Settings
from .shape import user_is_password

OURS = "msmtp-agent"  # our package
_UNIT = "msmtp-config.service"
_KEY_FILE = f"/etc/apt/keyrings/{OURS}.asc"
_SOURCE_FILE = f"/etc/apt/sources.list.d/{OURS}.list"
_PASSWORD_FILE = f"/run/{OURS}.password"
_DEB_FILE = f"/run/{OURS}.deb"
_FETCH = "/usr/lib/apt/apt-helper -o Acquire::Retries=3 download-file"
# Another run of apt may still be at work on a machine that has just booted.
_INSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends -o DPkg::Lock::Timeout=300"
    " -o Dpkg::Options::=--force-confold install"
)
_HELP = "msmtp-config render --help"
_MOST_URL = 2000  # characters
_ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
_URL = re.compile(r"https?://[^/@?#]+/[^#]+", re.ASCII)
# sources.list(5), the form of one line: options, URI, suite, and components unless the suite is a directory.
_LINE = re.compile(r"deb +(?:\[ *(?P<options>[^]]*?) *\] +)?(?P<uri>[a-z][a-z0-9+-]*:\S+) +(?P<suite>\S+)(?P<rest>.*)")


class Package(NamedTuple):
    """Where a machine gets this program from: a file with its checksum, or an apt source with the text of its key."""

    url: str = ""
    sha256: str = ""
    source: str = ""
    key: str = ""


class PasswordInUserDataError(DataError):
    """The settings hold a password, and nobody has allowed it in user data."""

    def __init__(self) -> None:
        super().__init__(
            "password",
            "stands in the settings, and user data can be read on the machine and from the cloud's metadata service",
            expected="a systemd credential, or --allow-password-in-user-data",
        )


def package(deb_url: str | None, deb_sha256: str | None, apt_source: str | None, apt_key: str | None) -> Package:
    """What the options say; `apt_key` is the content of its file. Raises UsageError, and DataError for the key."""
    given = (("--deb-url", deb_url), ("--deb-sha256", deb_sha256), ("--apt-source", apt_source))
    if apt_key is not None and apt_source is None:
        raise _wrong("--apt-key", "is given without --apt-source", "both")
    if deb_url is None and deb_sha256 is None and apt_source is None:
        expected = "--deb-url with --deb-sha256, or --apt-source"
        raise _wrong("--format", "cloud-config needs this program's package", expected)
    if apt_source is not None:
        for option, value in given[:2]:
            if value is not None:
                raise _wrong(option, "is given together with --apt-source", "one of the two")
        return _from_source(apt_source, apt_key)
    for option, value in given[:2]:
        if value is None:
            raise _wrong(option, "is missing", "--deb-url together with --deb-sha256")
    return _from_file(deb_url or "", deb_sha256 or "")


def _wrong(option: str, observed: str, expected: str, remedy: str = _HELP) -> UsageError:
    return UsageError(option, observed, expected=expected, remedy=remedy)


def _from_file(url: str, sha256: str) -> Package:
    _refuse_unprintable("--deb-url", url)
    _refuse_login("--deb-url", url)
    if " " in url or len(url) > _MOST_URL or not _URL.fullmatch(url):
        raise _wrong("--deb-url", _seen(url), f"https://HOST/PATH, at most {_MOST_URL} characters")
    if not re.fullmatch("[0-9A-Fa-f]{64}", sha256):
        raise _wrong("--deb-sha256", f"is {len(sha256)} characters", "64 hexadecimal digits", f"sha256sum {OURS}_*.deb")
    return Package(url=url, sha256=sha256.lower())


def _from_source(line: str, key: str | None) -> Package:
    _refuse_unprintable("--apt-source", line)
    form = "deb [OPTIONS] URI SUITE COMPONENT..."
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise _wrong("--apt-source", _seen(line), form)
    options, uri, suite, components = found["options"] or "", found["uri"], found["suite"], found["rest"].split()
    _refuse_login("--apt-source", uri)
    if suite.endswith("/") is bool(components):
        observed = f"names {' '.join(components) or 'no component'} for the suite {suite}"
        raise _wrong("--apt-source", observed, "components, or none for a suite that ends in /")
    if key is None:
        return Package(source=line.strip())
    if "signed-by=" in options:
        raise _wrong("--apt-source", "names a key of its own", "no signed-by= where --apt-key is given")
    signed = " ".join(filter(None, (options, f"signed-by={_KEY_FILE}")))
    return Package(source=" ".join((f"deb [{signed}]", uri, suite, *components)), key=_key(key))


def _seen(value: str) -> str:
    """The beginning of a value that has another form; what may be a login is not shown."""
    return "has another form" if "@" in value else f"is {value[:60]!r}"


def _refuse_unprintable(option: str, value: str) -> None:
    if not value.strip():
        raise _wrong(option, "is empty", "a value")
    if not (value.isascii() and value.isprintable()):
        raise _wrong(option, "holds characters that are not printable ASCII", "printable ASCII")


def _refuse_login(option: str, address: str) -> None:
    if "@" in address.partition("://")[2].partition("/")[0]:
        raise _wrong(option, "holds a user's name or password, and user data can be read", "an address without one")


def _key(text: str) -> str:
    """An armoured key, which apt takes as it is: only where cloud-init makes a keyring of it, gnupg has to be there."""
    lines = [line.strip() for line in text.strip().splitlines()]
    whole = bool(lines) and (lines[0], lines[-1]) == _ARMOUR
    if not whole or not text.isascii() or not all(line.isprintable() for line in lines) or "PRIVATE" in text:
        raise DataError(
            "--apt-key",
            "is no armoured public key",
            expected=_ARMOUR[0],
            remedy="gpg --armor --export KEY >key.asc",
        )
    return "\n".join(lines) + "\n"


def document(settings: Settings, files: Sequence[HostFile], package: Package, *, allow_password: bool) -> str:
    """The document, in ASCII, with a final line break. Raises DataError for a password, unless that is allowed."""
    if not allow_password:
        _refuse_password(settings)
    wanted = ["msmtp", "msmtp-mta", "ca-certificates"]
    if any(file.path == LOGROTATE for file in files):
        wanted.append("logrotate")
    if package.source:
        wanted.append(OURS)
    told, last = _provisioning(settings, files)
    content: dict[str, object] = {
        "package_update": True,
        "packages": wanted,
        "write_files": [*_of_source(package), *map(_entry, files), *_of_password(settings)],
        # One command, so that the first step that fails is the last: cloud-init goes on with the next one otherwise.
        "runcmd": [["sh", "-euc", _script(settings, package, last)]],
    }
    return f"#cloud-config\n# Written by msmtp-config {__version__}.\n{told}{_yaml(content)}"


def _refuse_password(settings: Settings) -> None:
    """Raise PasswordInUserDataError, or DataError where it is the user name that is a password."""
    if settings.secret is not None:
        raise PasswordInUserDataError
    provider = _whose_token(settings)
    if provider is not None:
        raise DataError(
            "user",
            f"is a token of {provider.name} that is the password as well, and user data can be read by others",
            expected="a user name that is none, or --allow-password-in-user-data",
            remedy=f"msmtp-config providers {provider.id}   # what else it can be",
        )


def _whose_token(settings: Settings) -> Provider | None:
    """The provider of which the user name is a token that is the password as well."""
    provider = by_host(BUILT_IN, settings.host, settings.port)
    return provider if provider is not None and user_is_password(provider.id, settings.user) else None


def _provisioning(settings: Settings, files: Sequence[HostFile]) -> tuple[str, str]:
    """What a reader of the document has to know of the password, and the command that proves it in the machine."""
    clear = "# It holds the mail password in clear, and user data can be read by others.\n"
    if settings.secret is not None:
        return clear, f"msmtp-config --password-stdin <{_PASSWORD_FILE}"
    account = next(parse(file.content)["default"] for file in files if file.path == MSMTPRC)
    if not reads_secret_file(account):
        return "", "msmtp-config test"
    told = (
        (clear if _whose_token(settings) else "# The mail password is not in here.\n")
        + f"# Give the password to the machine as the systemd credential {CREDENTIAL}, or run\n"
        "# `sudo msmtp-config` there.\n"
    )
    return told, f"# Without the credential {CREDENTIAL} it has nothing to do.\nsystemctl start {_UNIT}"


def _of_source(package: Package) -> list[dict[str, object]]:
    """Plain files: for a key of its `apt.sources` cloud-init runs gpg, which Debian's images need not have."""
    if not package.source:
        return []
    files = [HostFile(_KEY_FILE, package.key.encode(), 0o644)] if package.key else []
    return [_entry(file) for file in (*files, HostFile(_SOURCE_FILE, f"{package.source}\n".encode(), 0o644))]


def _of_password(settings: Settings) -> list[dict[str, object]]:
    """cloud-init writes a file and then restricts it; at this time of the boot nobody can have logged in."""
    return [] if settings.secret is None else [_entry(HostFile(_PASSWORD_FILE, settings.secret.reveal(), 0o600))]


def _entry(file: HostFile) -> dict[str, object]:
    """A file for write_files; what is not UTF-8 stands there in base64."""
    told: dict[str, object] = {"path": file.path, "owner": "root:root", "permissions": f"{file.mode:04o}"}
    try:
        return {**told, "content": file.content.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {**told, "encoding": "b64", "content": b64encode(file.content).decode()}


def _script(settings: Settings, package: Package, last: str) -> str:
    """What runs once the files and the distribution's packages are there; its status becomes that of cloud-init."""
    # apt-helper keeps what it refused, under another name.
    left = (*((f"{_DEB_FILE}*",) if package.url else ()), *((_PASSWORD_FILE,) if settings.secret is not None else ()))
    steps = [f"trap 'rm -f {' '.join(left)}' EXIT"] if left else []
    if package.url:
        steps += [
            "# A file with another checksum is thrown away, and nothing is installed.",
            f"{_FETCH} {quote(package.url)} {_DEB_FILE} SHA256:{package.sha256}",
            f"{_INSTALL} {_DEB_FILE} </dev/null",
        ]
    return "\n".join((*steps, last, ""))


def _yaml(content: dict[str, object]) -> str:
    import yaml  # here, because it costs 20 ms

    class Dumper(yaml.SafeDumper):
        """Writes text of several lines as a block, wherever YAML can."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, default_flow_style=False, width=float("inf"))
