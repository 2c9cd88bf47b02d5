"""A thousand generated configurations with their aliases: our verdict and the settings in force are msmtp's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from msmtp_agent import aliases, msmtprc
from tests.test_msmtprc import in_force, pretend

FINGERPRINT = ":".join(["AB"] * 32)
# Arguments by command, those that msmtp refuses among them; `@` is the directory of the test.
ARGUMENTS: dict[str, list[str]] = {
    "host": ["smtp.acme.test", "127.0.0.1", "h", ""],
    "port": ["25", "465", "587", "0x19", "025", "0", "65536", "smtp", ""],
    "from": ["me@acme.test", '"a b@acme.test"', ""],
    "user": ["me", '"m e"', '"', "me # no comment", ""],
    "auth": ["", "on", "off", "plain", "login", "cram-md5", "external", "yes"],
    "tls": ["", "on", "off", "yes"],
    "tls_starttls": ["", "on", "off", "1"],
    "tls_certcheck": ["", "on", "off", "no"],
    "tls_trust_file": ["", "system", "/etc/ssl/ca.pem", '"/a b"'],
    "tls_fingerprint": ["", FINGERPRINT, FINGERPRINT[:59], "AB:CD"],
    "tls_key_file": ["", "/k"],
    "tls_cert_file": ["", "/c"],
    "tls_crl_file": ["", "/crl"],
    "timeout": ["off", "60", "0", ""],
    "domain": ["acme.test", ""],
    "passwordeval": ["echo x", '"echo x"'],
    "aliases": ["@/aliases", '"@/aliases"', "", "@/missing"],
    "logfile": ["/var/log/msmtp.log", "-", ""],
    "set_from_header": ["", "on", "auto", "off", "never"],
    "bogus": ["1"],
}
_setting = st.sampled_from(sorted(ARGUMENTS)).flatmap(
    lambda command: st.tuples(
        st.sampled_from(["", "  ", "\t"]),
        st.just(command),
        st.sampled_from([" ", "\t", "   "]),
        st.sampled_from(ARGUMENTS[command]),
        st.sampled_from(["", " ", "\r"]),
    ).map("".join)
)
_noise = st.sampled_from(["", "# a comment", "   ", "#" * 498, "#" * 500])
# Most generated lines are right, or no file would ever be accepted.
_right = st.sampled_from(
    [f"{command} {argument}" for command, arguments in ARGUMENTS.items() for argument in arguments[:2] if argument]
).filter(lambda line: not line.startswith(("bogus", "tls_key", "tls_cert_file", "tls_crl")))
_settings = st.lists(st.one_of(_right, _right, _right, _right, _setting, _noise), max_size=6)
_FIRST = ["defaults", "account a", "account default", "account a : b", "account default : a", ""]
_section = st.tuples(st.sampled_from(_FIRST), _settings).map(lambda section: [section[0], *section[1]])
_common = st.lists(_right, max_size=4).map(lambda lines: ["account default", "host smtp.acme.test", *lines])
_configuration = st.one_of(
    st.tuples(_settings.map(lambda lines: ["defaults", *lines]), _common).map(lambda parts: [*parts[0], *parts[1]]),
    st.tuples(_section, _common).map(lambda parts: [*parts[0], *parts[1]]),
    st.lists(_section, max_size=3).map(lambda sections: [line for section in sections for line in section]),
)
_name = st.sampled_from(["root", "default", "ops", "dev"])
_value = st.sampled_from(["a@acme.test", "b@acme.test", "ops", "dev", "root", "", "x y"])
_alias = st.one_of(
    *[st.tuples(_name, st.lists(_value, min_size=1, max_size=3).map(", ".join)).map(": ".join)] * 5,
    st.sampled_from(
        ["# a comment", "", "root a@acme.test", "ops: :include:/x", "me@acme.test: x", "dev: " + "x" * 510]
    ),
)


def own_verdict(content: bytes, directory: Path) -> tuple[bool, msmtprc.Account | None]:
    """Whether msmtp would go on with the file for mail to root, as our parsers have it; and the account."""
    try:
        account = msmtprc.parse(content).get("default")
    except msmtprc.MsmtprcError:
        return False, None
    if account is None or msmtprc.refusal(account):
        return False, account
    path = account.get("aliases")
    try:
        if path:
            aliases.expand(aliases.parse(Path(path).read_bytes()), "root")
    except (aliases.AliasesError, FileNotFoundError):
        return False, account
    assert not path or path == f"{directory}/aliases"
    return True, account


@pytest.mark.slow
@pytest.mark.programs
def test_a_thousand_files_mean_what_they_mean_to_msmtp(tmp_path: Path) -> None:
    verdicts = {True: 0, False: 0}

    @settings(max_examples=1000, deadline=None)
    @given(lines=_configuration, table=st.lists(_alias, max_size=4))
    # An empty trust file of the defaults alone is the system's.
    @example(lines=["defaults", "tls on", "tls_trust_file", "account default", "host h"], table=[])
    @example(lines=["account default", "tls on", "tls_trust_file", "host h"], table=[])
    def compare(lines: list[str], table: list[str]) -> None:
        content = "\n".join([*lines, ""]).replace("@/", f"{tmp_path}/").encode()
        (tmp_path / "aliases").write_text("\n".join([*table, ""]))
        status, complaint, shown = pretend(tmp_path / "msmtprc", content)
        accepted, account = own_verdict(content, tmp_path)
        assert status in (0, 78), complaint
        assert accepted == (status == 0), (complaint, content)
        verdicts[accepted] += 1
        if account is not None and accepted:
            wanted = in_force(account)
            assert {name: shown[name] for name in wanted} == wanted

    compare()
    # Files of one kind alone would prove little.
    assert sum(verdicts.values()) >= 1000
    assert min(verdicts.values()) >= 200, verdicts
