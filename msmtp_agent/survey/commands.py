"""What a shell would start and open for one line, as far as that can be told without running it."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_UNTOLD = re.compile(r"[$`*?\[~]")  # what the shell would put something else in place of
# Words that another command may follow, and commands that are the shell's own.
_LEADING = frozenset(("!", "{", "if", "then", "elif", "else", "while", "until", "do", "exec", "command", "time"))
_OWN = frozenset(
    (
        *(".", ":", "[", "}", "break", "case", "cd", "continue", "done", "echo", "esac", "eval", "exit", "export"),
        *("false", "fi", "for", "getopts", "hash", "kill", "local", "printf", "pwd", "read", "readonly", "return"),
        *("set", "shift", "test", "trap", "true", "type", "ulimit", "umask", "unset", "wait"),
    )
)


class Shell(NamedTuple):
    """The programs that are started, as written, and the files that the shell itself opens (`r` or `w`)."""

    programs: tuple[str, ...]
    opened: tuple[tuple[str, str], ...]


def read(line: str) -> Shell:
    """What the line does; where it cannot be read, nothing."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.commenters = ""
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that is not closed: the shell refuses the line
        return Shell((), ())
    return Shell(tuple(_programs(words)), tuple(_opened(words)))


def _programs(words: list[str]) -> Iterator[str]:
    first = True
    redirected = False
    for word in words:
        if redirected:  # the file of a redirection
            redirected = False
        elif word and set(word) <= set("<>&|;()"):
            redirected = word[0] in "<>"
            first = first if redirected else True
        elif first and not _ASSIGNMENT.match(word) and word not in _LEADING:
            first = False
            if word and word not in _OWN and not _UNTOLD.search(word):
                yield word


def _opened(words: list[str]) -> Iterator[tuple[str, str]]:
    for how, word in pairwise(words):
        wanted = {"<": "r", ">": "w", ">>": "w", ">|": "w", "<>": "r"}.get(how)
        if wanted and word.startswith("/") and not _UNTOLD.search(word):
            yield word, wanted
