"""The syntax of logrotate's configuration, with the rules of logrotate 3.21 and 3.22 (its `readConfigFile()`)."""

import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

_LONGEST_PATTERN = 2048
# fmt: off
_NUMBER = r"\+?(0[xX][0-9a-fA-F]+|[0-9]+)"
# Directives whose argument is the rest of the line, and what logrotate accepts as one. Where it passes over a missing
# argument without an error, the pattern takes the empty string.
_ARGUMENTS = {
    "rotate": f"-1|{_NUMBER}", "start": _NUMBER, "minage": _NUMBER, "maxage": _NUMBER, "shredcycles": _NUMBER,
    "size": f"({_NUMBER}[kKMG]?)?", "minsize": f"({_NUMBER}[kKMG]?)?", "maxsize": f"({_NUMBER}[kKMG]?)?",
    "minutes": r"(0*[1-9][0-9]*)?", "weekly": "0*[0-7]?",
    "dateformat": ".*", "mail": ".+", "include": ".+", "olddir": r"\S+", "extension": ".+", "addextension": ".+",
    "compresscmd": r"\S+", "uncompresscmd": r"\S+", "compressext": r"\S+", "compressoptions": ".*",
    "createolddir": ".*", "tabooext": ".*", "taboopat": ".*", "create": ".*", "su": ".*",
}
_COUNTS = ("rotate", "size", "minsize", "maxsize", "minage", "maxage")
_SIMPLE = frozenset((
    *_COUNTS, "weekly", "dateformat", "mail", "include", "extension", "addextension", "compressoptions",
    "createolddir", "tabooext", "taboopat",
))
_PLAIN = frozenset((
    "compress", "nocompress", "delaycompress", "nodelaycompress", "shred", "noshred", "allowhardlink",
    "noallowhardlink", "sharedscripts", "nosharedscripts", "copytruncate", "nocopytruncate", "renamecopy",
    "norenamecopy", "copy", "nocopy", "ifempty", "notifempty", "dateext", "nodateext", "dateyesterday",
    "nodateyesterday", "datehourago", "nodatehourago", "mailfirst", "maillast", "nocreate", "nocreateolddir",
    "noolddir", "hourly", "daily", "monthly", "yearly", "nomail", "missingok", "nomissingok", "ignoreduplicates",
    "errors",
))
# fmt: on
_SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
_WORD = re.compile(r"[A-Za-z]+")
# Compiled where they are needed: most audits meet neither.
_ENDSCRIPT = r"(?m)^[ \t]*endscript(?![A-Za-z])"
_RIGHTS = r"'[^']*'|\"[^\"]*\"|[^\s'\"]\S*"
# One piece of a text of patterns; what is in quotes that are not closed goes to the end.
_PIECE = (
    r"""(?s)(?P<plain>[^ \t\r\n'"\\]+)|\\(?P<escaped>.)|[ \t\r\n]+"""
    r"""|'(?P<single>[^']*)'?|"(?P<double>(?:[^"\\]+|\\.)*)"?"""
)
_BLANK = " \t\n"
_AFTER_WORD = " \t\n\r\v\f="


class Event(NamedTuple):
    """One thing that the text says, in order.

    `set`: a directive and its arguments. `open`: a rule begins, for these patterns. `close`: it ends, and counts.
    `skipped`: logrotate drops the rule that it is in, for an error. `given up`: the same, and it reads no further.
    After either, what the file sets for rules of other files does not count.
    """

    kind: Literal["set", "open", "close", "skipped", "given up"]
    line: int
    name: str = ""
    words: tuple[str, ...] = ()


class _BadRuleError(Exception):
    """An error for which logrotate drops a rule, or (`whole`) gives the file up."""

    def __init__(self, *, whole: bool = False) -> None:
        super().__init__(whole)
        self.whole = whole


def read(text: str, exists: Callable[[str, str], bool]) -> Iterator[Event]:
    """What the file says; it can be stopped at any event.

    `exists` tells whether there is such a "user" or "group": logrotate drops a rule that names another.
    """
    return _Text(text, exists).events()


class _Text:
    """The text of one file and the place in it."""

    def __init__(self, text: str, exists: Callable[[str, str], bool]) -> None:
        self._text = text
        self._exists = exists
        self._at = 0
        self._in_rule = False
        self._counted = (0, 1)  # up to where the lines are counted, and the line there

    def events(self) -> Iterator[Event]:
        while self._at < len(self._text):
            try:
                yield from self._next()
            except _BadRuleError as bad:
                line = self._line()
                if bad.whole or not self._in_rule:
                    yield Event("given up", line)
                    return
                if self._skip_rule():
                    yield Event("skipped", line)
        # logrotate wants no `}` at the end of a file. A rule with an error that has none even counts, up to the error.
        if self._in_rule:
            yield Event("close", self._line())

    def _next(self) -> Iterator[Event]:
        sign = self._text[self._at]
        if sign in _BLANK:
            self._at += 1
        elif sign == "#":
            self._rest()
        elif sign.isascii() and sign.isalpha():
            yield from self._directive()
        elif sign in "/\"'~":
            yield self._open()
        elif sign == "}":
            yield self._close()
        else:
            raise _BadRuleError

    def _line(self) -> int:
        start, line = self._counted
        self._counted = (self._at, line + self._text.count("\n", start, self._at))
        return self._counted[1]

    def _rest(self) -> str:
        """The rest of the line, and the place moved to its end."""
        end = self._text.find("\n", self._at)
        begin, self._at = self._at, len(self._text) if end < 0 else end
        return self._text[begin : self._at]

    def _open(self) -> Event:
        if self._in_rule:
            raise _BadRuleError
        line, patterns = self._line(), []
        while "{" not in (piece := self._rest()) or piece.lstrip().startswith("#"):
            if self._at >= len(self._text):
                raise _BadRuleError(whole=True)
            self._at += 1
            if not piece.lstrip().startswith("#"):
                patterns.append(piece)
        patterns.append(piece[: piece.index("{")])
        if any("}" in pattern for pattern in patterns):
            raise _BadRuleError(whole=True)
        words = _split("\n".join(patterns))
        self._at += 1 + piece.index("{") - len(piece)
        self._in_rule = True
        return Event("open", line, words=tuple(word for word in words if len(word) <= _LONGEST_PATTERN))

    def _close(self) -> Event:
        if not self._in_rule:
            raise _BadRuleError(whole=True)
        self._in_rule = False
        event = Event("close", self._line())
        self._rest()
        return event

    def _skip_rule(self) -> bool:
        """On to the end of a rule with an error: only a `}` that begins a line is one here, and none in a script.

        False where there is none.
        """
        self._rest()
        while self._at < len(self._text):
            self._at += 1
            if self._text.startswith("}", self._at):
                self._at += 1
                self._in_rule = False
                return True
            word = _WORD.match(self._rest().lstrip(" \t"))
            if word and word[0] in _SCRIPTS and not self._skip_script():
                self._at = len(self._text)
        return False

    def _skip_script(self) -> bool:
        end = re.compile(_ENDSCRIPT).search(self._text, self._at)
        if end is not None:
            self._at = end.end()
        return end is not None

    def _directive(self) -> Iterator[Event]:
        found = _WORD.match(self._text, self._at)
        name = found[0] if found else ""
        self._at += len(name)
        if self._text[self._at : self._at + 1] not in _AFTER_WORD:  # nothing at the end of the file is in it, too
            raise _BadRuleError
        if name in _SCRIPTS:
            if not self._skip_script():
                raise _BadRuleError(whole=True)
        elif name in _PLAIN:
            yield Event("set", self._line(), name)
            self._at += 1
        elif name in _ARGUMENTS:
            yield Event("set", self._line(), name, self._argument(name, self._rest().strip()))
        else:
            self._rest()  # logrotate warns of an unknown directive, and passes over its line

    def _argument(self, name: str, argument: str) -> tuple[str, ...]:
        if name in ("create", "su"):
            quoted = "'" in argument or '"' in argument
            found = [word.strip("'\"") for word in re.findall(_RIGHTS, argument)] if quoted else argument.split()
            mode = found[0] if len(found) in (1, 3) else "0"
            if len(found) > 3 or not mode or mode.strip("01234567") or (name == "su" and len(found) != 2):
                raise _BadRuleError
            if len(found) > 1 and not (self._exists("user", found[-2]) and self._exists("group", found[-1])):
                raise _BadRuleError
            return tuple(found)
        argument = argument.removeprefix("=").lstrip()
        # What is nearly always there is judged without a pattern: compiling one costs more than a whole file.
        plain = argument.isdecimal() if name in _COUNTS else bool(argument) == (name != "weekly")
        if not (plain and name in _SIMPLE) and not re.fullmatch(_ARGUMENTS[name], argument):
            raise _BadRuleError(whole=name == "weekly")  # which costs more than any other bad argument
        if name in ("tabooext", "taboopat"):
            if self._in_rule:
                raise _BadRuleError
            return tuple(re.split(r"[\s,]+", argument.replace("+", "+ ", 1) if argument[:1] == "+" else argument))
        return (argument,)


def _split(patterns: str) -> list[str]:
    """As popt's parser does it, as far as paths are concerned: as a shell, but the end of the text ends a quote.

    (`shlex` does it in a time that grows with the square of a word.)
    """
    if patterns.endswith("\\"):
        raise _BadRuleError(whole=True)
    if patterns.isascii() and not any(sign in patterns for sign in "'\"\\"):
        return patterns.split()
    words: list[list[str]] = [[]]
    for piece in re.finditer(_PIECE, patterns):
        if piece.lastgroup is None:
            words.append([])
        elif piece.lastgroup == "double":
            words[-1].append(re.sub(r'\\(["\\])', r"\1", piece["double"]))
        else:
            words[-1].append(piece[piece.lastgroup])
    return ["".join(word) for word in words if word]
