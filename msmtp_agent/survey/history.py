"""What msmtp's log and its rotated predecessors tell of the deliveries."""

import math
import posixpath
import re
from collections import Counter

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import History
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind
from msmtp_agent.msmtprc import Account
from msmtp_agent.readiness import WITHOUT_PASSWORD, reads_secret_file

from . import log, packed, rotation
from .logtime import Clock

_FIRST, _MOST = 64 << 10, 1 << 20  # bytes of a log's end that are read at first, and where no success is among them
_MOST_UNPACKED = 2 << 20  # bytes that a compressed log may have: it has no end to begin at
_MOST_BYTES, _MOST_FILES = 4 << 20, 60  # of all predecessors
_TIMED = 200  # failures whose time is read each, to tell the year of older ones; of those behind them every 100th
_LONGEST_CODE = 20  # characters: `EX_UNAVAILABLE` is msmtp's longest
_COMPRESSED = r"(?:\.(gz|bz2|xz|lzma|zst|lz4|lzo|Z|zip))?"


def gather(host: Host, account: Account | None, now: float, stored: float | None) -> History | None:
    """The deliveries up to `now`; `stored` is when the secret was. None where there is no log.

    Those alone that went to the account's server under its user: other accounts may write into the same log.
    Raises InputOutputError when the log itself cannot be read.
    """
    path = log.path_of(host, account)
    if account is None or path is None:
        return None
    attempts = _Attempts(account)
    _read_all(host, log.resolved(host, path), attempts, account.get("logfile_time_format"))
    uses_secret = account.method not in WITHOUT_PASSWORD and not account.get("password") and reads_secret_file(account)
    last_success = attempts.oldest if attempts.succeeded else None
    return History(
        path=path,
        last_success=min(last_success, now) if last_success is not None else None,
        failures=tuple(attempts.failures.most_common()),
        failed_in_a_row=attempts.failed,
        attempts=attempts.failed + attempts.succeeded,
        since=attempts.oldest,
        dated=attempts.dated,
        proven=_proven(attempts, stored) if uses_secret and stored is not None else None,
        left_out=tuple(attempts.left_out),
    )


def _proven(attempts: "_Attempts", stored: float) -> bool | None:
    if attempts.succeeded and not attempts.dated:
        return None
    # The log's times are whole seconds.
    if attempts.succeeded and attempts.oldest is not None and attempts.oldest >= math.floor(stored):
        return True
    return None if attempts.left_out else False


def _read_all(host: Host, path: str, attempts: "_Attempts", time_format: str) -> None:
    """Count the attempts back to the last success."""
    _read_end(host, path, attempts, time_format)
    read = 0
    for number, (name, packing) in enumerate(
        [] if attempts.succeeded else _predecessors(host, path, attempts.left_out)
    ):
        if number >= _MOST_FILES or read >= _MOST_BYTES:
            attempts.left_out.append(f"{name} and older ones")
            return
        try:
            if packing:
                read += _MOST_UNPACKED  # what fails may have cost as much
                content, modified = _unpacked(host, name, packing)
                read += len(content) - _MOST_UNPACKED
                attempts.count(content, Clock(time_format, newest=attempts.limit(modified), live=host.live))
            else:
                read += _read_end(host, name, attempts, time_format)
        except (InputOutputError, _UnreadError) as error:
            attempts.left_out.append(f"{name} ({error.args[-1]})")
        if attempts.succeeded:
            return


def _read_end(host: Host, path: str, attempts: "_Attempts", time_format: str) -> int:
    """Count the attempts of a log from its end to the last success; how many bytes were read."""
    facts = host.inspect(path, follow=True)
    clock = Clock(time_format, newest=attempts.limit(facts.modified), live=host.live)
    end = facts.size if facts.kind is FileKind.REGULAR else 0
    for most in (_FIRST, _MOST):
        begin = max(0, facts.size - most)
        content = host.read(path, end - begin, offset=begin, follow=True)[1] if end > begin else b""
        # A line that begins further in front is left for the next piece.
        whole = content.find(b"\n") + 1 or len(content) if begin else 0
        attempts.count(content[whole:], clock)
        end = begin + whole
        if attempts.succeeded or not begin:
            return facts.size - begin
    attempts.left_out.append(f"{path} (all but the last {_MOST >> 20} MiB)")
    return _MOST


def _predecessors(host: Host, path: str, left_out: list[str]) -> list[tuple[str, str]]:
    """The rotated logs, newest first, and how each is compressed: `.1`, `.2.gz`, `-20261101.xz`, also before a suffix.

    Those with a date come first: whoever changes the names goes from numbers to dates.
    """
    directory, base = posixpath.split(path)
    stem, suffix = posixpath.splitext(base)
    pattern = re.compile(
        rf"(?:{re.escape(base)}[.-]([0-9][0-9.T:-]*?)|{re.escape(stem)}[.-]([0-9][0-9.T:-]*?){re.escape(suffix)})"
        + _COMPRESSED
    )
    try:
        rule = rotation.find(host, path, host.inspect(directory, follow=True))
    except InputOutputError as error:
        rule = None
        left_out.append(f"what logrotate may have moved elsewhere ({error.subject}: {error.observed})")
    places = [directory, posixpath.join(directory, rule.olddir)] if rule and rule.olddir else [directory]
    dates, numbers = [], []
    for place in places:
        for name in host.names(place):
            found = pattern.fullmatch(name) if name.startswith(stem) else None
            if found:
                version = found[1] or found[2]
                entry = (posixpath.join(place, name), found[3] or "")
                if version.isdigit() and len(version) < 5:
                    numbers.append((int(version), *entry))
                else:
                    dates.append((version, *entry))
    return [(name, packing) for _, name, packing in (*sorted(dates, reverse=True), *sorted(numbers))]


class _UnreadError(Exception):
    """Why a compressed log was not read."""


def _unpacked(host: Host, path: str, packing: str) -> tuple[bytes, float]:
    """The content of a compressed log, and when it was last written. Raises _UnreadError."""
    facts, compressed = host.read(path, _MOST, follow=True)
    if not packed.is_packed(compressed):
        raise _UnreadError(f"compressed in a way that is not read: .{packing}")
    content = b""
    try:
        for piece in packed.unpacked(compressed, bytes, _MOST_UNPACKED):
            content += piece
            if len(content) > _MOST_UNPACKED:
                raise _UnreadError(f"holds more than {_MOST_UNPACKED >> 20} MiB")
    except packed.PackedError as error:
        raise _UnreadError(str(error)) from None
    return content, facts.modified


class _Attempts:
    """The attempts of one account, from the newest to the oldest, as far as they were read.

    `oldest` is the time of the last that was read, `dated` whether it could be. Failures behind something that was left
    out are not counted: a success may be in it.
    """

    def __init__(self, account: Account) -> None:
        self.failures: Counter[str] = Counter()
        self.failed = 0
        self.succeeded = False
        self.oldest: float | None = None
        self.dated = True
        self.left_out: list[str] = []
        kind = "host" if account.get("host") else "socket"
        method = account.method
        self._key = f"{kind}=".encode()
        self._server = _bytes(f"{kind}={account.get(kind)} tls=")
        user = f"user={account.get('user')} from=" if account.get("user") and method != "off" else ""
        login = _bytes(f" auth={'off' if method == 'off' else 'on'} {user}")
        self._login = (b"on" + login, b"off" + login)

    def limit(self, modified: float) -> float:
        """When the newest line of the next file was written at the latest."""
        return modified if self.oldest is None else min(modified, self.oldest)

    def count(self, content: bytes, clock: Clock) -> None:
        """Count the lines of `content`, the newest first, up to a success."""
        begin = len(content)
        # From one end of an entry to the one in front of it: other lines cost nothing.
        while not self.succeeded and (mark := content.rfind(b" exitcode=", 0, begin)) >= 0:
            begin = content.rfind(b"\n", 0, mark) + 1
            end = content.find(b"\n", mark)
            if end < 0:
                continue  # not whole: msmtp is writing it, or the disk was full
            place = content.find(self._key, begin, mark)
            if (
                place >= 0
                and content.startswith(self._server, place)
                and content.startswith(self._login, place + len(self._server))
            ):
                self._add(content[begin:place], content[place:end], clock)

    def _add(self, text: bytes, entry: bytes, clock: Clock) -> None:
        code = entry.rpartition(b" exitcode=")[2].decode("ascii", "replace")
        if not (code.startswith("EX_") and code[3:].isalpha() and len(code) <= _LONGEST_CODE):
            return
        self.succeeded = code == "EX_OK"
        if self.succeeded or self.failed < _TIMED or self.failed % 100 == 0:
            self.oldest = clock.read(text)
            self.dated = self.oldest is not None
        if not self.succeeded and not self.left_out:
            status = _status(entry)
            self.failures[f"{code} smtpstatus={status}" if status else code] += 1
            self.failed += 1


def _status(entry: bytes) -> str:
    """The server's status in the entry of a failure, or nothing.

    What is quoted holds no `'`, because msmtp writes `?` for one: it is passed over from its end, whatever a server
    or a recipient says.
    """
    rest = entry.rpartition(b" exitcode=")[0]
    if rest.endswith(b"'") and b" errormsg='" in rest:
        rest = rest[: rest.rfind(b" errormsg='")]
    if not rest.endswith(b"'"):
        return ""
    status = rest.rpartition(b" smtpmsg='")[0].rpartition(b" smtpstatus=")[2].decode("ascii", "replace")
    return status if len(status) == 3 and status.isdigit() else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
