"""Read an AppArmor profile with what it includes, and ask what it allows: file rules alone (apparmor.d(5))."""

import re
from itertools import takewhile
from typing import NamedTuple

from msmtp_agent.errors import InputOutputError
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind

from .globs import Globs, TooMuchError, as_bytes, is_exact

BASE = "/etc/apparmor.d"
_MOST_BYTES = 1 << 20  # of all files together; Debian's come to 60,000
_MOST_FILES = 200
_MOST_WORDS = 200_000
_DEEPEST = 16  # includes in includes, and blocks in blocks
_TOKEN = re.compile(
    r"""\#?include\b[ \t]*(?:if[ \t]+exists[ \t]+)?(?:<(?P<magic>[^>\n]{1,500})>|"(?P<absolute>/[^"\n]{0,500})")
    |\#[^\n]*
    |(?P<variable>@\{?\w+\}?)[ \t]*(?P<how>[+?:]?)=(?P<values>[^\n]*)
    |(?P<word>(?:"(?:\\.|[^"\\])*"|\\.|[^\s"\\])+)""",
    re.VERBOSE | re.DOTALL,
)
_VALUE = re.compile(r'"(?:\\.|[^"\\])*"|#.*|(?:\\.|[^\s\\])+')
_PERMISSIONS = re.compile(r"[rwalkmxpcui]+", re.IGNORECASE)
_FLAGS = re.compile(r"(?:flags\s*=\s*)?\(([^()]*)\)")  # up to a bracket of either kind, or many of one cost hours
_QUALIFIERS = ("audit", "allow", "deny", "owner", "quiet", "file")
_PATTERNS = ("/", "@", '"', "{")  # how the path of a rule begins
_NO_INCLUDE = re.compile(r"^\.|~$|\.(dpkg-(new|old|dist|bak|remove)|pac(save|new)|rpm(new|save)|orig|rej)$")
# What of the apparmor package's own files this program asks about (its 3.0.8 and 4.1.0), for an image without it: there
# the profile, which comes with msmtp, would be in force as soon as the package is installed.
_BUILT_IN = {
    "tunables/global": "@{HOME}=/home/*/ /root/\n@{PROC}=/proc/\n@{run}=/run/ /var/run/\n@{etc_ro}=/etc/ /usr/etc/\n",
    "abstractions/base": "/dev/null rw, /dev/zero rw, /dev/full rw, /{usr/,}lib{,32,64}/** r, /usr/share/locale/** r, ",
    "abstractions/ssl_certs": "/etc/ssl/certs/{,**} r, /etc/ssl/cert.pem r, /etc/ca-certificates/{,**} r, "
    "/usr{,/local}/share/ca-certificates/{,**} r, /{etc,usr/share}/pki/trust/anchors/{,**} r, "
    "/var/lib/ca-certificates/{,**} r, /etc/letsencrypt/archive/*/{cert,chain,fullchain}*.pem r, ",
    "abstractions/ssl_keys": "/etc/ssl/** r, /etc/letsencrypt/archive/*/privkey*.pem r, ",
}


class Place(NamedTuple):
    """Where something stands: the file, and the number of characters before it."""

    path: str
    offset: int


class Rule(NamedTuple):
    """A rule for files: its pattern, its permissions in lower case, and where a started program goes (`profile`)."""

    pattern: str
    permissions: str
    place: Place
    deny: bool = False
    owner: bool = False
    priority: int = 0
    modes: str = ""  # of `x`, as written: PUx is "PU"
    profile: str = ""


class Profile:
    """One profile: the program that it is for, its flags, its rules, and its child profiles by name."""

    def __init__(self, name: str, attachment: str, flags: frozenset[str], place: Place) -> None:
        self.name = name
        self.attachment = attachment
        self.flags = flags
        self.place = place
        self.rules: list[Rule] = []
        self.children: dict[str, Profile] = {}
        self.included: set[str] = set()

    @property
    def mild(self) -> str:
        """The flag with which nothing is refused, or the empty string."""
        return next((flag for flag in ("complain", "unconfined", "default_allow") if flag in self.flags), "")


class _Block(NamedTuple):
    """An open brace: the profile that its rules belong to, and the qualifiers that they all have."""

    profile: Profile | None
    qualifiers: tuple[str, ...] = ()


class Policy:
    """The profiles of one file. Raises InputOutputError where it cannot be read, or is more than is read here."""

    def __init__(self, host: Host, path: str) -> None:
        self.profiles: list[Profile] = []
        self._variables: dict[str, list[str]] = {}
        self._globs = Globs(self._variables)
        self._host = host
        self._path = path
        self._read: dict[str, str | None] = {}  # a file's text, or None: there is none
        self._bytes = self._words = 0
        self._blocks: list[_Block] = [_Block(None)]
        self._statement: list[str] = []
        self._round = 0  # round brackets that are open in the statement
        self._file(path, 0)

    def find(self, program: str) -> Profile | None:
        """The profile that a program gets when it is started outside of any."""
        path = as_bytes(program)
        return next((one for one in self.profiles if self._match(one.attachment, path)), None)

    def matching(self, profile: Profile, path: str, *, owned: bool) -> list[Rule]:
        """The rules of the profile that are for a path (links resolved); `owned`: it is the sender's own file."""
        raw = as_bytes(path)
        found = [rule for rule in profile.rules if (owned or not rule.owner) and self._match(rule.pattern, raw)]
        highest = max((rule.priority for rule in found), default=0)
        return [rule for rule in found if rule.priority == highest]

    def allows(self, profile: Profile, path: str, wanted: str, *, owned: bool) -> tuple[bool, Place | None]:
        """Whether all wanted permissions are given; if not, where a rule stands that denies one (None: none does)."""
        rules = self.matching(profile, path, owned=owned)
        given = {letter for rule in rules if not rule.deny for letter in rule.permissions}
        denied = next((rule.place for rule in rules if rule.deny and set(rule.permissions) & set(wanted)), None)
        return denied is None and set(wanted) <= given, denied

    def execution(self, profile: Profile, path: str, *, owned: bool) -> tuple[Rule | None, Place | None]:
        """The rule under which the profile's program may start another; if none, where a rule denies it."""
        allowed, denied = self.allows(profile, path, "x", owned=owned)
        if not allowed:
            return None, denied
        rules = [rule for rule in self.matching(profile, path, owned=owned) if "x" in rule.permissions]
        return next((rule for rule in rules if is_exact(rule.pattern)), rules[0]), None

    def child(self, profile: Profile, rule: Rule, path: str) -> Profile | None:
        """The child profile that the rule (`Cx`) leads a program into; None where there is none."""
        if rule.profile:
            return profile.children.get(rule.profile.rpartition("//")[2])
        return next((one for one in profile.children.values() if self._match(one.attachment, as_bytes(path))), None)

    def line(self, place: Place) -> int:
        """The line of a place, from 1."""
        return (self._read.get(place.path) or "").count("\n", 0, place.offset) + 1

    def _match(self, pattern: str, path: str) -> bool:
        try:
            return self._globs.match(pattern, path)
        except TooMuchError:
            raise self._too_much() from None

    def _too_much(self) -> InputOutputError:
        return InputOutputError(self._path, "has more rules than are read here")

    # --- reading

    def _text(self, path: str) -> str | None:
        if path not in self._read:
            facts, content = self._host.read(path, _MOST_BYTES + 1, follow=True)
            self._bytes += len(content)
            self._read[path] = content.decode("latin-1") if facts.kind is FileKind.REGULAR else None
            if self._bytes > _MOST_BYTES or len(self._read) > _MOST_FILES:
                raise self._too_much()
        return self._read[path]

    def _include(self, path: str, depth: int) -> None:
        profile = self._blocks[-1].profile
        if profile is not None:  # what was included already changes nothing
            if path in profile.included:
                return
            profile.included.add(path)
        if depth > _DEEPEST:
            raise self._too_much()
        built_in = _BUILT_IN.get(path.removeprefix(f"{BASE}/"))
        if self._text(path) is not None:
            self._file(path, depth)
        elif names := self._host.names(path):
            for name in names[:_MOST_FILES]:
                if not _NO_INCLUDE.search(name):
                    self._file(f"{path}/{name}", depth)
        elif built_in is not None:
            self._tokens(built_in, path, depth)

    def _file(self, path: str, depth: int) -> None:
        text = self._text(path)
        if text is not None:
            self._tokens(text, path, depth)

    def _tokens(self, text: str, path: str, depth: int) -> None:
        for token in _TOKEN.finditer(text):
            self._words += 1
            if self._words > _MOST_WORDS:
                raise self._too_much()
            kind = token.lastgroup
            if kind == "word":
                self._word(token["word"], Place(path, token.start()))
            elif kind == "values":
                self._assign(token["variable"].strip("@{}"), token["how"], token["values"])
            elif kind == "magic":
                self._include(f"{BASE}/{_as_path(token['magic'])}", depth + 1)
            elif kind == "absolute":
                self._include(_as_path(token["absolute"]), depth + 1)

    def _assign(self, name: str, how: str, values: str) -> None:
        found = [_bare(value) for value in _VALUE.findall(values) if not value.startswith("#")]
        former = self._variables.get(name)
        if former is None or how in ("", ":"):
            self._variables[name] = found
        elif how == "+":
            former.extend(found)

    def _word(self, word: str, place: Place) -> None:
        """Take one more word of a statement, which ends at a comma, or at the brace of a block."""
        if self._round or word.startswith(("(", "flags=(", "xattrs=(")) or (self._statement and "=(" in word):
            self._round = max(0, self._round + word.count("(") - word.count(")"))
        opens = word == "{" or word.endswith("){")
        if opens and not self._round:
            self._open(self._statement + ([word[:-1]] if len(word) > 1 else []), place)
            self._statement = []
        elif word == "}":
            if len(self._blocks) > 1:
                self._blocks.pop()
            self._statement, self._round = [], 0
        elif word.endswith(",") and not self._round:
            self._rule([*self._statement, *([word[:-1]] if len(word) > 1 else [])], place)
            self._statement = []
        else:
            self._statement.append(word)

    def _open(self, header: list[str], place: Place) -> None:
        """Begin a profile, a child profile, or a block of rules with common qualifiers."""
        outer = self._blocks[-1]
        if len(self._blocks) > _DEEPEST:
            raise self._too_much()
        flags = _FLAGS.search(" ".join(header))
        words = _FLAGS.sub("", " ".join(header)).split()
        if words[:1] in (["profile"], ["hat"]):
            words = words[1:]
        elif not words or not (words[0].startswith("^") or words[0].startswith(_PATTERNS)):
            if words[:1] in (["if"], ["else"]):
                raise InputOutputError(place.path, "has rules with conditions")
            self._blocks.append(_Block(outer.profile, (*outer.qualifiers, *words)))
            return
        name = _bare(words[0].removeprefix("^")) if words else ""
        attachment = _bare(words[1]) if len(words) > 1 else name
        options = frozenset(re.split(r"[\s,]+", flags[1].strip())) if flags else frozenset[str]()
        profile = Profile(name, attachment, options, place)
        if outer.profile is None:
            self.profiles.append(profile)
        else:
            outer.profile.children[name] = profile
        self._blocks.append(_Block(profile))

    def _rule(self, words: list[str], place: Place) -> None:
        """Keep the statement if it is a rule for files."""
        block = self._blocks[-1]
        if block.profile is None:
            return
        leading = list(takewhile(lambda word: word in _QUALIFIERS or word.startswith("priority="), words))
        words = words[len(leading) :]
        qualifiers = {*block.qualifiers, *leading}
        numbers = [word[9:] for word in leading if re.fullmatch(r"priority=[+-]?\d{1,4}", word)]
        priority = int(numbers[-1]) if numbers else 0
        if words == ["all"] or (not words and "file" in qualifiers):
            words = ["/**", "rwlkmix"]
        target = words[words.index("->") + 1 :] if "->" in words else []
        words = words[: words.index("->")] if target else words
        if len(words) == 2 and _PERMISSIONS.fullmatch(words[0]) and words[1].startswith(_PATTERNS):
            words.reverse()
        if len(words) != 2 or not words[0].startswith(_PATTERNS) or not _PERMISSIONS.fullmatch(words[1]):
            return
        modes = "".join(letter for letter in words[1] if letter in "pPcCuUiI")
        block.profile.rules.append(
            Rule(
                pattern=_bare(words[0]),
                permissions=words[1].lower(),
                place=place,
                deny="deny" in qualifiers,
                owner="owner" in qualifiers,
                priority=priority,
                modes=modes,
                profile="".join(target),
            )
        )


def _bare(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word


def _as_path(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")
