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

from . import log, rotation
from .logtime import Clock

_FIRST, _MOST = 64 << 10, 1 << 20  # bytes of a log's end that are read at first, and where no success is among them
_MOST_UNPACKED = 4 << 20  # bytes that a compressed log may have: it has no end to begin at
_MOST_BYTES, _MOST_FILES = 8 << 20, 60  # of all predecessors
_TIMED = 200  # failures whose time is read each, to tell the year of older ones; of those behind them every 100th
_COMPRESSED = r"(?:\.(gz|bz2|xz|lzma|zst|lz4|lzo|Z|zip))?"
_UNPACKED = ("", "gz", "bz2", "xz", "lzma")


def gather(host: Host, account: Account | None, now: float, stored: float | None) -> History | None:
    """The deliveries up to `now`; `stored` is when the secret was. None where there is no log.

    Those alone that went to the account's server under its user: other accounts may write into the same log.
    Raises InputOutputError when the log itself cannot be read.
    """
    path = log.path_of(host, account)
    if account is None or path is None:
        return None
    attempts = _Attempts(account)
    left_out = _read_all(host, log.resolved(host, path), attempts, account.get("logfile_time_format"))
    if attempts.succeeded:
        left_out = []
    uses_secret = account.method not in WITHOUT_PASSWORD and not account.get("password") and reads_secret_file(account)
    last_success = attempts.oldest if attempts.succeeded else None
    return History(
        path=path,
        last_success=min(last_success, now) if last_success is not None else None,
        failures=tuple(attempts.failures.most_common()),
        failed_in_a_row=attempts.failures.total(),
        attempts=attempts.failures.total() + attempts.succeeded,
        since=attempts.oldest,
        dated=attempts.dated,
        proven=_proven(attempts, stored, complete=not left_out) if uses_secret and stored is not None else None,
        left_out=tuple(left_out),
    )


def _proven(attempts: "_Attempts", stored: float, *, complete: bool) -> bool | None:
    # The log's times are whole seconds.
    before = attempts.oldest is not None and attempts.oldest < math.floor(stored)
    if attempts.succeeded and attempts.dated:
        return not before
    if not attempts.succeeded and (complete or (attempts.dated and before)):
        return False
    return None


def _read_all(host: Host, path: str, attempts: "_Attempts", time_format: str) -> list[str]:
    """Count the attempts back to the last success; what was left out on the way."""
    left_out: list[str] = []
    if _read_end(host, path, attempts, time_format) is False:
        left_out.append(f"{path} (all but the last {_MOST >> 20} MiB)")
    if attempts.succeeded:
        return left_out
    read = 0
    for number, (name, packing) in enumerate(_predecessors(host, path)):
        if number >= _MOST_FILES or read >= _MOST_BYTES:
            left_out.append(f"{name} and older ones")
            break
        try:
            if packing:
                content, modified, why = _unpacked(host, name, packing)
                attempts.count(content, Clock(time_format, newest=attempts.limit(modified), live=host.live))
                read += len(content)
            else:
                why = "" if _read_end(host, name, attempts, time_format) else f"all but the last {_MOST >> 20} MiB"
                read += _MOST
        except InputOutputError as error:
            why = error.observed
        if attempts.succeeded:
            break
        if why:
            left_out.append(f"{name} ({why})")
    return left_out


def _read_end(host: Host, path: str, attempts: "_Attempts", time_format: str) -> bool:
    """Count the attempts of a log from its end to the last success; False when none was in what was read of it."""
    facts = host.inspect(path, follow=True)
    if facts.kind is not FileKind.REGULAR:
        return True
    for most in (_FIRST, _MOST):
        offset = max(0, facts.size - most)
        content = host.read(path, most, offset=offset, follow=True)[1]
        if offset:
            content = content.partition(b"\n")[2]
        if not offset or most == _MOST or attempts.has_success(content):
            attempts.count(content, Clock(time_format, newest=attempts.limit(facts.modified), live=host.live))
            return attempts.succeeded or not offset
    return True


def _predecessors(host: Host, path: str) -> list[tuple[str, str]]:
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
    except InputOutputError:
        rule = None
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


def _unpacked(host: Host, path: str, packing: str) -> tuple[bytes, float, str]:
    """The content of a compressed log, when it was last written, and why it is not to be had, or not whole."""
    facts = host.inspect(path, follow=True)
    if packing not in _UNPACKED:
        return b"", facts.modified, f"compressed with .{packing}, which is not read"
    packed = host.read(path, _MOST, follow=True)[1]
    try:
        content, ended = _decompress(packed, packing)
    except (ArithmeticError, EOFError, OSError, ValueError):
        return b"", facts.modified, "cannot be decompressed"
    if len(content) >= _MOST_UNPACKED or not ended:
        return b"", facts.modified, f"more than {_MOST_UNPACKED >> 20} MiB, or cut off"
    return content, facts.modified, ""


def _decompress(packed: bytes, packing: str) -> tuple[bytes, bool]:
    """At most so much of it as is read, and whether that is all."""
    # Each is imported where it is needed: most runs need none.
    if packing == "gz":
        import zlib

        stream = zlib.decompressobj(wbits=31)
        try:
            return stream.decompress(packed, _MOST_UNPACKED), stream.eof
        except zlib.error as error:
            raise ValueError from error
    if packing == "bz2":
        import bz2

        bzip2 = bz2.BZ2Decompressor()
        return bzip2.decompress(packed, _MOST_UNPACKED), bzip2.eof
    import lzma

    xz = lzma.LZMADecompressor(memlimit=_MOST_MEMORY)
    try:
        return xz.decompress(packed, _MOST_UNPACKED), xz.eof
    except lzma.LZMAError as error:
        raise ValueError from error


_MOST_MEMORY = 80 << 20  # bytes that a decompressor may take: xz -9 wants 65 MiB


class _Attempts:
    """The attempts of one account, from the newest to the oldest, as far as they were read."""

    def __init__(self, account: Account) -> None:
        self.failures: Counter[str] = Counter()
        self.succeeded = False
        self.oldest: float | None = None
        self.dated = True
        kind = "host" if account.get("host") else "socket"
        method = account.method
        self._key = f"{kind}=".encode()
        self._server = _bytes(f"{kind}={account.get(kind)} tls=")
        user = f" user={account.get('user')} from=" if account.get("user") and method != "off" else ""
        login = f" auth={'off' if method == 'off' else 'on'}{user or ' '}"
        self._login = (_bytes(f"on{login}"), _bytes(f"off{login}"))

    def limit(self, modified: float) -> float:
        """When the newest line of a file was written at the latest."""
        return modified if self.oldest is None else min(modified, self.oldest)

    def has_success(self, content: bytes) -> bool:
        """Whether a success may be among these lines."""
        return b" exitcode=EX_OK\n" in content and any(
            self._status(line) == ("EX_OK", "") for line in content.split(b"\n")
        )

    def count(self, content: bytes, clock: Clock) -> None:
        """Count the lines of `content`, the newest first, up to a success."""
        for line in reversed(content.split(b"\n")):
            found = self._status(line)
            if found is None:
                continue
            code, status = found
            self.succeeded = code == "EX_OK"
            failed = self.failures.total()
            if self.succeeded or failed < _TIMED or failed % 100 == 0:
                self.oldest = clock.read(line[: line.find(self._key)])
                self.dated = self.oldest is not None
            if self.succeeded:
                return
            self.failures[f"{code} smtpstatus={status}" if status else code] += 1

    def _status(self, line: bytes) -> tuple[str, str] | None:
        """msmtp's exit code and, for a failure, the server's status; None for a line that is not of this account.

        What is quoted has no `'` in it, because msmtp writes `?` for one: so it is found from the end, whatever the
        server and the recipients say.
        """
        place = line.find(self._key)
        if place < 0 or not line.startswith(self._server, place):
            return None
        if not line.startswith(self._login, place + len(self._server)):
            return None
        rest, _, ending = line.rpartition(b" exitcode=")
        code = ending.decode("ascii", "replace")
        if code == "EX_OK":
            return code, ""
        if not (code.startswith("EX_") and code[3:].isalpha()):
            return None
        if rest.endswith(b"'"):
            rest = rest[: max(0, rest.rfind(b" errormsg='"))]
        status = ""
        if rest.endswith(b"'"):
            status = rest[: max(0, rest.rfind(b" smtpmsg='"))].rpartition(b" smtpstatus=")[2].decode("ascii", "replace")
        return code, status if len(status) == 3 and status.isdigit() else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
