"""The times in msmtp's log: `logfile_time_format` read back, the year told from what was written later."""

import time
from calendar import timegm

_MONTHS = {
    month: number
    for number, month in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_DEFAULT = "%b %d %H:%M:%S"
_LONGEST = 128  # bytes of a time: msmtp writes none that is longer
_DAY = 86400.0
# What strftime(3) has and Python's strptime does not, in its words. A leading `-`, `_`, `0`, `^` or `#` is glibc's.
_SAME = {
    "T": "%H:%M:%S", "F": "%Y-%m-%d", "D": "%m/%d/%y", "R": "%H:%M", "e": "%d", "k": "%H", "l": "%I", "h": "%b",
    "P": "%p", "n": " ", "t": " ", "r": "%I:%M:%S %p", "C": "", "s": "",
}  # fmt: skip


class Clock:
    """Reads the times of one file from its newest line to its oldest.

    The default format has no year: each time is taken to be at most a day after `newest`, which is when the file was
    last written, and after the line that follows it (a day, because clocks are put right). `live`: whether the log is
    of the running system, and in its local time. An image's zone is not read: there the times count as UTC, and are
    wrong by some hours at most.
    """

    def __init__(self, time_format: str, *, newest: float, live: bool) -> None:
        self._format = time_format or _DEFAULT
        self._newest = newest
        self._seconds = time.mktime if live else timegm

    def read(self, text: bytes) -> float | None:
        """Seconds since 1970 for what stands in front of a line, None where it is no such time.

        A log may hold times of the default format from before another one was set.
        """
        found = None
        if len(text) <= _LONGEST:
            if self._format not in (_DEFAULT, "none"):
                found = self._custom(text.decode("utf-8", "replace"))
            if found is None:
                found = self._default(text)
        if found is not None:
            self._newest = min(self._newest, found)
        return found

    def _default(self, text: bytes) -> float | None:
        try:
            month = _MONTHS[text[:3]]
            day, hour, minute, second = int(text[4:6]), int(text[7:9]), int(text[10:12]), int(text[13:15])
        except (KeyError, ValueError):
            return None
        return self._in_its_year(month, day, hour, minute, second)

    def _in_its_year(self, month: int, day: int, hour: int, minute: int, second: int) -> float | None:
        """The latest such time that is not in the future of what was written behind it."""
        if not (1 <= day <= 31 and hour < 24 and minute < 60 and second < 62):
            return None
        latest = self._newest + _DAY
        year = time.gmtime(latest).tm_year + 1  # local time may be a year ahead
        for year in range(year, year - 10, -1):  # noqa: B020 - ten years: 29 February is away for eight at most
            if (month, day) == (2, 29) and not _leap(year):
                continue
            found = self._epoch(year, month, day, hour, minute, second)
            if found is not None and found <= latest:
                return found
        return None

    def _epoch(self, *fields: int) -> float | None:
        try:
            return float(self._seconds((*fields, 0, 0, -1)))
        except (OverflowError, ValueError):
            return None

    def _custom(self, text: str) -> float | None:
        import re  # noqa: PLC0415
        from _strptime import _strptime
        raise NotImplementedError


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
