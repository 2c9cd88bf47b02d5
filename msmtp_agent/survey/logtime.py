"""The times in msmtp's log: `logfile_time_format` read back, the year told from what was written later."""

import re
import time

_MONTHS = {
    month: number
    for number, month in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_DEFAULT = "%b %d %H:%M:%S"
_LONGEST = 128  # bytes of a time: msmtp writes none that is longer
_DAY = 86400.0
# What strftime(3) knows and Python's strptime() does not, in its words.
_SAME = {
    "T": "%H:%M:%S", "F": "%Y-%m-%d", "D": "%m/%d/%y", "R": "%H:%M", "r": "%I:%M:%S %p", "e": "%d", "k": "%H",
    "l": "%I", "h": "%b", "P": "%p", "n": " ", "t": " ",
}  # fmt: skip
_WITH_YEAR, _WITH_DAY = frozenset("YyFDcx"), frozenset("deFDcx")


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
        self._live = live
        self._translated: tuple[str, frozenset[str]] | None = None

    def read(self, text: bytes) -> float | None:
        """Seconds since 1970 for what stands in front of a line, None where it is no such time.

        A log may hold times of the default format from before another one was set.
        """
        found = None
        if len(text) <= _LONGEST and self._format != "none":
            if self._format != _DEFAULT:
                found = self._custom(text.decode("utf-8", "replace").strip())
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

    def _custom(self, text: str) -> float | None:
        if self._translated is None:
            self._translated = _translate(self._format)
        time_format, directives = self._translated
        if time_format == "%s":
            return float(text) if text.isascii() and text.isdigit() else None
        if not directives & _WITH_DAY:
            return None
        dated = bool(directives & _WITH_YEAR)
        try:
            # A leap year, so that 29 February can be read at all.
            found = time.strptime(*((text, time_format) if dated else (f"2024 {text}", f"%Y {time_format}")))
        except (ValueError, re.error):  # re.error: a directive that stands twice
            return None
        fields = (found.tm_mon, found.tm_mday, found.tm_hour, found.tm_min, found.tm_sec)
        if not dated:
            return self._in_its_year(*fields)
        if "z" in directives:
            return _utc(found.tm_year, *fields) - found.tm_gmtoff
        return self._epoch(found.tm_year, *fields)

    def _in_its_year(self, month: int, day: int, hour: int, minute: int, second: int) -> float | None:
        """The latest such time that is not in the future of what was written behind it."""
        if not (1 <= day <= 31 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 62):
            return None
        latest = self._newest + _DAY
        newest_year = time.gmtime(latest).tm_year + 1  # local time may be a year ahead
        for year in range(newest_year, newest_year - 10, -1):  # 29 February may be eight years away
            if (month, day) == (2, 29) and (year % 4 or (year % 100 == 0 and year % 400)):
                continue
            found = self._epoch(year, month, day, hour, minute, second)
            if found is not None and found <= latest:
                return found
        return None

    def _epoch(self, year: int, month: int, day: int, hour: int, minute: int, second: int) -> float | None:
        if not self._live:
            return _utc(year, month, day, hour, minute, second)
        try:
            return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
        except (OverflowError, ValueError):
            return None


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float:
    """Seconds since 1970 of a date of the Gregorian calendar, in UTC (`calendar` would cost 2 ms at import)."""
    year -= month < 3
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 719469
    return float(days * 86400 + hour * 3600 + minute * 60 + second)


def _translate(time_format: str) -> tuple[str, frozenset[str]]:
    """The format as strptime() takes it, and the letters of its directives."""
    letters = set()

    def directive(found: re.Match[str]) -> str:
        letters.add(found[1])
        return _SAME.get(found[1], f"%{found[1]}")

    # glibc allows a flag, a width, and E or O in front of the letter.
    return re.sub(r"%[-_0^#]*[0-9]*[EO]?(.)", directive, time_format).strip(), frozenset(letters)
