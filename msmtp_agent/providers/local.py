"""The provider facts of this host: `/etc/msmtp-agent/providers.d/*.yaml` adds to ours, or replaces parts of them."""

from shlex import quote

from msmtp_agent.errors import ConfigError, InputOutputError
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, FileKind

from . import BUILT_IN
from .fact import Provider

_ABOVE = "/etc/msmtp-agent"
DIRECTORY = f"{_ABOVE}/providers.d"
_SUFFIX = ".yaml"
_MOST_FILES = 100
_MOST_BYTES = 262_144  # of all files: reading them takes about a second and a half
_WRITABLE = 0o022  # by the group, by others


def known(host: Host) -> tuple[tuple[Provider, ...], ConfigError | None]:
    """All providers, those of the host first; or ours alone, and the first thing that is wrong with its files."""
    try:
        return _all(host), None
    except ConfigError as error:
        return BUILT_IN, error
    except InputOutputError as error:
        return BUILT_IN, ConfigError(error.subject, error.observed, remedy=error.remedy)


def _all(host: Host) -> tuple[Provider, ...]:
    """Ours and the host's. Raises ConfigError and InputOutputError."""
    directory = host.inspect(DIRECTORY)
    if directory.kind is FileKind.MISSING:
        return BUILT_IN
    for facts in (host.inspect(_ABOVE), directory):
        _refuse_unsafe(facts, FileKind.DIRECTORY, 0o755)
    names = [name for name in host.names(DIRECTORY) if name.endswith(_SUFFIX) and not name.startswith(".")]
    if len(names) > _MOST_FILES:
        raise _too_much(f"has {len(names)} files", f"at most {_MOST_FILES}")
    ours = {provider.id: provider for provider in BUILT_IN}
    found: dict[str, Provider] = {}
    left = _MOST_BYTES
    for name in names:
        path = f"{DIRECTORY}/{name}"
        content = _content(host, path, left)
        left -= len(content)
        found |= _entries(path, content, ours | {id_: entry for id_, entry in found.items() if id_ in ours})
    own = [entry for id_, entry in found.items() if id_ not in ours]
    return (*own, *(found.get(provider.id, provider) for provider in BUILT_IN))


def _content(host: Host, path: str, left: int) -> bytes:
    """What a file holds, where `left` bytes may still be read."""
    from msmtp_agent.yaml_lines import MOST_BYTES

    facts, content = host.read(path, min(left, MOST_BYTES) + 1)
    _refuse_unsafe(facts, FileKind.REGULAR, 0o644)
    if len(content) > left:
        raise _too_much(f"has files of more than {_MOST_BYTES} bytes in all", f"at most {_MOST_BYTES}")
    return content


def _entries(path: str, content: bytes, ours: dict[str, Provider]) -> dict[str, Provider]:
    """The entries of one file; `ours` are those of which a part may be given."""
    from msmtp_agent import yaml_lines

    from . import entry

    try:
        return entry.entries(yaml_lines.read(content), ours, path)
    except yaml_lines.DocumentError as fault:
        raise ConfigError(
            f"{path}: line {fault.line}",
            fault.observed,
            expected=fault.expected,
            remedy=f"sensible-editor +{fault.line} {quote(path)}",
        ) from None
    except ModuleNotFoundError:
        remedy = "apt install python3-yaml"
        raise ConfigError(DIRECTORY, "cannot be read: PyYAML is not installed", remedy=remedy) from None


def _too_much(observed: str, expected: str) -> ConfigError:
    return ConfigError(DIRECTORY, observed, expected=expected, remedy=f"ls -l {DIRECTORY}")


def _refuse_unsafe(facts: FileFacts, kind: FileKind, mode: int) -> None:
    """Refuse what others than root can change: its words reach a terminal, and tell people what to do."""
    if facts.kind is not kind:
        target = f" to {facts.target}" if facts.target else ""
        raise ConfigError(
            facts.path, f"is {facts.kind.value}{target}", expected=kind.value, remedy=f"ls -ld {quote(facts.path)}"
        )
    if facts.uid != 0 or facts.mode & _WRITABLE:
        raise ConfigError(
            facts.path,
            f"is {facts.rights}",
            expected=f"{mode:04o} root:root",
            remedy=f"chown root:root {quote(facts.path)} && chmod {mode:04o} {quote(facts.path)}",
        )
