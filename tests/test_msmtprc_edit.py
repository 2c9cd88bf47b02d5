"""The pin in the text of an msmtprc: that setting and no other byte, in the account in force, or not at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msmtp_agent.msmtprc import Account, MsmtprcError, parse
from msmtp_agent.msmtprc_edit import pinned

PIN = ":".join(["AB"] * 32)
OLD = ":".join(["01"] * 32)
SHORT = ":".join(["01"] * 20)

# Before and after; a bar in front of each line, so that blanks at both ends are seen.
EDITS = {
    "in place of the line": (
        "account default|host 127.0.0.1|tls on|tls_certcheck off|user me|",
        "account default|host 127.0.0.1|tls on|tls_fingerprint PIN|user me|",
    ),
    "of its old name": (
        "account default|host h|tls_nocertcheck|user me|",
        "account default|host h|tls_fingerprint PIN|user me|",
    ),
    "every such line": (
        "account default|tls_certcheck off|host h|tls_certcheck on|  tls_certcheck  off|user me|",
        "account default|host h|tls_certcheck on|  tls_fingerprint PIN|user me|",
    ),
    "in quotes": (
        'account default|host h|tls_certcheck "off"|user me|',
        "account default|host h|tls_fingerprint PIN|user me|",
    ),
    "in columns": (
        "account default|host              h|tls_certcheck     off|",
        "account default|host              h|tls_fingerprint   PIN|",
    ),
    "with tabs": (
        "account default|\thost\th|\ttls_certcheck\toff|",
        "account default|\thost\th|\ttls_fingerprint\tPIN|",
    ),
    "another pin": (
        f'account default|host h|tls_fingerprint "{OLD}"|user me|tls_certcheck off|# end|',
        "account default|host h|tls_fingerprint PIN|user me|# end|",
    ),
    "a shorter pin": (
        f"account default|tls_fingerprint {SHORT}|host h|",
        "account default|tls_fingerprint PIN|host h|",
    ),
    "two pins, of which the last counts": (
        f"account default|tls_fingerprint {OLD}|host h|tls_fingerprint {SHORT}|",
        f"account default|tls_fingerprint {OLD}|host h|tls_fingerprint PIN|",
    ),
    "beside what is akin": (
        "account default|tls on|# a comment|tls_starttls on|host h|user me|",
        "account default|tls on|# a comment|tls_starttls on|tls_fingerprint PIN|host h|user me|",
    ),
    "behind the host": ("account default|host h|user me|", "account default|host h|tls_fingerprint PIN|user me|"),
    "behind the last line": ("account default|host h", "account default|host h|tls_fingerprint PIN"),
    "in place of the last line": (
        "account default|host h|tls_certcheck off",
        "account default|host h|tls_fingerprint PIN",
    ),
    "the last line taken away": (
        f"account default|tls_fingerprint {OLD}|host h|tls_certcheck off",
        "account default|tls_fingerprint PIN|host h|",
    ),
    "where the host stands": (
        "account bridge|host h|tls_certcheck off||account other|host o|tls_certcheck off||account default : bridge|",
        "account bridge|host h|tls_fingerprint PIN||account other|host o|tls_certcheck off||account default : bridge|",
    ),
    "where the host stands, of two": (
        "account who|user me|account bridge|host h|tls_certcheck off|account default : who, bridge|from f|",
        "account who|user me|account bridge|host h|tls_fingerprint PIN|account default : who, bridge|from f|",
    ),
    "against the defaults": (
        "defaults|tls on|tls_certcheck off|account other|host o|account default|host h|",
        "defaults|tls on|tls_certcheck off|account other|host o|account default|host h|tls_fingerprint PIN"
        "|tls_certcheck on|",
    ),
    "against defaults with a pin": (
        f"defaults|tls_fingerprint {OLD}|account other|host o|account default|host h|",
        f"defaults|tls_fingerprint {OLD}|account other|host o|account default|host h|tls_fingerprint PIN|",
    ),
    "the host in the defaults": (
        "defaults|host h|tls_certcheck off|account default|from f|account other|host o|",
        "defaults|host h|tls_certcheck off|account default|tls_fingerprint PIN|tls_certcheck on|from f"
        "|account other|host o|",
    ),
    "the default account's own word": (
        "account bridge|host h|account default : bridge|tls_certcheck off|",
        "account bridge|host h|account default : bridge|tls_fingerprint PIN|",
    ),
    "a copy with another server": (
        "account bridge|host h|tls_certcheck off|account far : bridge|host o|account default : bridge",
        "account bridge|host h|tls_certcheck off|account far : bridge|host o|account default : bridge"
        "|tls_fingerprint PIN|tls_certcheck on",
    ),
    "a copy with another port": (
        "account bridge|host h|account far : bridge|port 2525|account default : bridge|",
        "account bridge|host h|account far : bridge|port 2525|account default : bridge|tls_fingerprint PIN|",
    ),
    "a copy with the same server": (
        "account bridge|host h|account also : bridge|from f|account default : bridge|",
        "account bridge|host h|tls_fingerprint PIN|account also : bridge|from f|account default : bridge|",
    ),
    "without any account": ("host h|tls_nocertcheck|", "host h|tls_fingerprint PIN|"),
    "comments like commands": (
        "# account default|account default|#tls_certcheck off|host h|  # tls_fingerprint x|",
        "# account default|account default|#tls_certcheck off|host h|tls_fingerprint PIN|  # tls_fingerprint x|",
    ),
    "a NUL ends the line": (
        "account default|host h|tls_certcheck off\0 on|",
        "account default|host h|tls_fingerprint PIN|",
    ),
    "a line with no room for it": (
        f"account default|host h|tls_certcheck{' ' * 481}off|user me|",
        "account default|host h|tls_fingerprint PIN|user me|",
    ),
    "an indent that leaves no room": (
        f"account default|host h|{' ' * 470}tls_certcheck off|user me|",
        "account default|host h|tls_fingerprint PIN|user me|",
    ),
    "bytes that are no text": (
        "account default|host h|user \udcff\udcfe|",
        "account default|host h|tls_fingerprint PIN|user \udcff\udcfe|",
    ),
}


def text(lines: str, ending: str) -> bytes:
    return lines.replace("PIN", PIN).replace("|", ending).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("before", "after"), EDITS.values(), ids=EDITS)
def test_edits(before: str, after: str, ending: str) -> None:
    if "\0" in before:
        ending = "\n"  # what stands behind a NUL goes with its line
    new = pinned(text(before, ending), PIN)
    assert new == text(after, ending)
    assert pinned(new, PIN) == new


@pytest.mark.parametrize(
    "content",
    [
        "account default|host h|tls_certcheck off|account far : default|host o|",
        "account bridge|host h|account default : bridge|account far : default|host o|",
    ],
)
def test_not_where_another_server_would_get_the_pin(content: str) -> None:
    assert pinned(text(content, "\n"), PIN) is None


@pytest.mark.parametrize("content", [b"account default\nhost\n", b"bogus\n", b"account default\neval echo host h\n"])
def test_what_msmtp_refuses_is_not_edited(content: bytes) -> None:
    with pytest.raises(MsmtprcError):
        pinned(content, PIN)


# --- any file

BLANK = st.sampled_from([" ", "  ", "\t", " \t "])
SETTING = st.sampled_from(
    [
        *("host h", "host o", "port 25", "port 2525", "from f@x.test", "user me", "auth plain", "", "# tls", "#"),
        *("tls on", "tls off", "tls", "tls_starttls off", "tls_trust_file /ca", "tls_nocertcheck"),
        *("tls_certcheck off", "tls_certcheck on", "tls_certcheck", 'tls_certcheck "off"'),
        *(f"tls_fingerprint {OLD}", f'tls_fingerprint "{SHORT}"', "tls_fingerprint"),
    ]
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file that msmtp takes, of a few accounts with settings that matter here, written in every way."""
    lines: list[str] = []
    names: list[str] = []
    for name in draw(st.permutations(["defaults", "a", "b", "default"])):
        if name == "default" or draw(st.booleans()):
            copied = draw(st.lists(st.sampled_from(names), max_size=2)) if names and name != "defaults" else []
            lines.append(
                "defaults" if name == "defaults" else f"account {name}{' :' * bool(copied)} {', '.join(copied)}"
            )
            lines += draw(st.lists(SETTING, max_size=5))
            names += [name] * (name != "defaults")
    written = [re.sub(" +", lambda _: draw(BLANK), draw(st.sampled_from(["", " ", "\t"])) + line) for line in lines]
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    return (ending.join(written) + draw(st.sampled_from(["", ending]))).encode()


def values(account: Account) -> dict[str, str]:
    return {command: setting.value for command, setting in account.settings.items()}


def where(account: Account) -> tuple[str, int]:
    return account.get("host"), account.port


def without(content: bytes) -> list[bytes]:
    """The lines that are about something else."""
    about = re.compile(rb"[ \t]*(tls_fingerprint|tls_certcheck|tls_nocertcheck)\b")
    return [line.removesuffix(b"\r") for line in content.split(b"\n") if line.strip() and not about.match(line)]


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(files())
def test_nothing_else_is_ever_changed(content: bytes) -> None:
    old = parse(content)
    new = pinned(content, PIN)
    if new is None:
        assert any(name != "default" for name in old)
        return
    after = parse(new)
    assert list(after) == list(old)
    assert (after["default"].get("tls_fingerprint"), after["default"].get("tls_certcheck")) in ((PIN, ""), (PIN, "on"))
    for name, account in old.items():
        changed = dict(values(account).items() ^ values(after[name]).items())
        assert set(changed) <= {"tls_fingerprint", "tls_certcheck"}
        if where(account) != where(old["default"]):
            assert {command for command in changed if changed[command] not in ("", "on")} == set()
            assert account.get("tls_fingerprint") == after[name].get("tls_fingerprint")
    assert without(new) == without(content)
    assert new.count(b"\r\n") == new.count(b"\n") * (b"\r\n" in content)
    assert pinned(new, PIN) == new
