"""The secret file: its rights, the directories above it, and the faults of its content, of which nothing is kept."""

from msmtp_agent.facts import Access, SecretFile
from msmtp_agent.host import SECRET, Host
from msmtp_agent.model import FileKind
from msmtp_agent.secret import ENCRYPTED_CREDENTIAL, MAXIMUM

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def gather(host: Host) -> SecretFile:
    """What is known of the secret file. Raises InputOutputError."""
    facts, content = host.read(SECRET, 2 * MAXIMUM)
    above = tuple(host.inspect(directory, follow=True) for directory in ("/", "/etc"))
    if facts.kind is not FileKind.REGULAR:
        return SecretFile(Access(facts), above)
    return SecretFile(Access(facts, host.acl(SECRET)), above, frozenset(_faults(content)))


def _faults(content: bytes) -> list[str]:
    """The faults that the checks know by these names, of the line that msmtp reads: the first."""
    if not content:
        return ["empty"]
    line, ended, rest = content.partition(b"\n")
    if ended:
        line = line.removesuffix(b"\r")  # as msmtp does; without a line feed it sends the carriage return
    found = {
        "blank": not line.strip(),
        "lines": bool(rest.strip()),
        "carriage return": b"\r" in line,
        "NUL": b"\0" in line,
        "byte order mark": line.startswith(_BOMS),
        "UTF-8": not _is_utf8(line),
        "encrypted": content.startswith(ENCRYPTED_CREDENTIAL),
    }
    return [name for name, present in found.items() if present]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
