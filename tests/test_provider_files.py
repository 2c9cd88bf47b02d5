"""Files in /etc/msmtp-agent/providers.d: what they add and change, and what is refused, on which line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from msmtp_agent import providers_cli
from msmtp_agent.errors import ConfigError, ExitCode
from msmtp_agent.host import Host
from msmtp_agent.providers import BUILT_IN, by_host
from msmtp_agent.providers.fact import Fact, Port, Provider
from msmtp_agent.providers.local import DIRECTORY, known
from msmtp_agent.providers.names import find
from tests.support.roots import Root
from tests.support.sandbox import Sandbox
from tests.test_providers import IDS, day

FILE = f"{DIRECTORY}/site.yaml"
RELAY = """\
acme-relay:
  name: Acme relay
  hosts: [relay.acme.test, "*.relay.acme.test"]
  ports:
    - {port: 587, tls: starttls}
    - {port: 465, tls: implicit, note: from the office alone}
  kind: relay password
  user: the name of the host
  password: {text: made by the mail team, source: "https://wiki.acme.test/mail", confirmed: true}
  steps:
    - ask mail@acme.test for a password
  sender:
    text: any address of acme.test
    confirmed: false
    checked: 2026-05-01
  limits: [100 mails an hour]
  notes: []
  page: https://wiki.acme.test/mail
  checked: 2026-11-01
"""
SES = "ses:\n  checked: 2027-01-01\n  "
SHORT = "{name: X, hosts: [x.test], ports: [{port: 25, tls: starttls}], checked: 2026-11-01}"


def told(root: Root) -> tuple[dict[str, Provider], ConfigError | None]:
    with Host(str(root.directory)) as host:
        providers, fault = known(host)
    return {provider.id: provider for provider in providers}, fault


def given(tmp_path: Path, **files: str) -> dict[str, Provider]:
    """The providers of a host with such files, which are right."""
    root = Root(tmp_path)
    for name, content in files.items():
        root.write(f"{DIRECTORY}/{name}.yaml", content, 0o644)
    providers, fault = told(root)
    assert fault is None, fault.message
    return providers


def refused(tmp_path: Path, content: str | bytes) -> ConfigError:
    """Why the file of a host is wrong; the shipped facts are known all the same."""
    root = Root(tmp_path).write(FILE, content, 0o644)
    providers, fault = told(root)
    assert tuple(providers.values()) == BUILT_IN
    assert fault is not None
    assert fault.code == ExitCode.CONFIG
    return fault


# --- what they add and change


def test_a_new_provider(tmp_path: Path) -> None:
    providers = given(tmp_path, site=RELAY)
    assert list(providers) == ["acme-relay", *IDS]
    assert providers["acme-relay"] == Provider(
        id="acme-relay",
        name="Acme relay",
        hosts=("relay.acme.test", "*.relay.acme.test"),
        ports=(Port(587), Port(465, "implicit", "from the office alone")),
        kind="relay password",
        user=Fact("the name of the host", "2026-11-01", FILE),
        password=Fact("made by the mail team", "2026-11-01", "https://wiki.acme.test/mail"),
        steps=("ask mail@acme.test for a password",),
        sender=Fact("any address of acme.test", "2026-05-01", FILE, confirmed=False),
        limits=(Fact("100 mails an hour", "2026-11-01", FILE),),
        notes=(),
        page="https://wiki.acme.test/mail",
        checked="2026-11-01",
        file=FILE,
    )
    found = by_host(providers.values(), "eu.relay.acme.test", 587)
    assert found is providers["acme-relay"]


def test_the_least_that_a_new_provider_needs_and_what_is_not_told_is_unconfirmed(tmp_path: Path) -> None:
    entry = given(tmp_path, site=f"x: {SHORT}")["x"]
    assert entry.kind == "password"
    assert {entry.user, entry.password, entry.sender} == {Fact("not told", "2026-11-01", FILE, confirmed=False)}
    assert entry.steps == ("ask the administrator of the server for a password",)
    assert (entry.limits, entry.notes, entry.page) == ((), (), "")


def test_a_known_id_changes_what_is_given_and_nothing_else(tmp_path: Path) -> None:
    content = "gmail:\n  checked: 2027-03-04\n  limits: [2,000 mails a day at Acme]\n  steps: [ask mail@acme.test]\n"
    providers = given(tmp_path, site=content.replace("[2,000", "['2,000").replace("Acme]", "Acme']"))
    assert list(providers) == list(IDS)
    ours = BUILT_IN[0]
    assert providers["gmail"] == ours._replace(
        limits=(Fact("2,000 mails a day at Acme", "2027-03-04", FILE),),
        steps=("ask mail@acme.test",),
        file=FILE,  # and not checked=: nobody has looked at the hosts and the ports
    )
    assert [providers[name] for name in IDS[1:]] == list(BUILT_IN[1:])


def test_what_a_file_says_of_the_user_name_ends_our_rule_for_it(tmp_path: Path) -> None:
    assert given(tmp_path, site="gmail: {user: the account of the site, checked: 2027-03-04}\n")["gmail"].login == ""


def test_a_known_id_with_hosts_ports_and_steps_has_the_new_day(tmp_path: Path) -> None:
    content = (
        "proton-bridge:\n  hosts: [127.0.0.1]\n  ports: [{port: 1026, tls: starttls}]\n  steps: [see the wiki]\n"
        "  checked: 2027-03-04\n"
    )
    providers = given(tmp_path, site=content)
    assert providers["proton-bridge"].checked == "2027-03-04"
    assert providers["proton-bridge"].user == BUILT_IN[8].user
    assert by_host(providers.values(), "127.0.0.1", 1026) is providers["proton-bridge"]
    assert by_host(providers.values(), "127.0.0.1", 1025) is None


def test_the_day_alone_says_that_all_of_it_was_checked_again(tmp_path: Path) -> None:
    entry = given(tmp_path, site="ses:\n  checked: 2028-01-02\n")["ses"]
    ours = BUILT_IN[10]
    assert entry.checked == entry.user.checked == entry.password.checked == entry.sender.checked == "2028-01-02"
    assert {fact.checked for fact in (*entry.limits, *entry.notes)} == {"2028-01-02"}
    assert [fact.text for fact in entry.notes] == [fact.text for fact in ours.notes]
    assert [fact.confirmed for fact in entry.limits] == [fact.confirmed for fact in ours.limits]


def test_files_are_read_by_their_names_and_the_later_wins(tmp_path: Path) -> None:
    providers = given(
        tmp_path,
        a="gmail: {checked: 2027-01-01, kind: one, page: 'https://a.test'}\nx: " + SHORT,
        b="gmail: {checked: 2027-01-02, kind: two}\nx: " + SHORT.replace("name: X", "name: Y"),
    )
    assert (providers["gmail"].kind, providers["gmail"].page) == ("two", "https://a.test")
    assert (providers["x"].name, providers["x"].file) == ("Y", f"{DIRECTORY}/b.yaml")


def test_a_server_of_the_host_comes_before_ours(tmp_path: Path) -> None:
    providers = given(tmp_path, site=f"x: {SHORT.replace('x.test', 'smtp.gmail.com')}")
    found = by_host(providers.values(), "smtp.gmail.com", 587)
    assert found is providers["x"]


@pytest.mark.parametrize("pattern", ["smtp*", "s*", "*.com", "smtp.gmail.*"])
def test_a_name_goes_before_a_pattern(pattern: str, tmp_path: Path) -> None:
    """One wide pattern of a site does not take the servers of all others away."""
    providers = given(tmp_path, site=f"x: {SHORT.replace('x.test', repr(pattern))}").values()
    found = by_host(providers, "smtp.gmail.com", 587)
    assert found is BUILT_IN[0]
    assert find(tuple(providers), "smtp.gmail.com") is BUILT_IN[0]
    other = by_host(providers, "smtp.gmail.commerce.com", 587)
    assert other is not None
    assert other.id == "x"


@pytest.mark.parametrize("content", ["", "# all of it\n# a comment\n", "---\n", "{}\n", "~\n"])
def test_a_file_that_says_nothing(content: str, tmp_path: Path) -> None:
    assert tuple(given(tmp_path, site=content).values()) == BUILT_IN


def test_only_files_named_yaml_count(tmp_path: Path) -> None:
    root = Root(tmp_path)
    for name in ("site.yaml.dpkg-old", "site.yml", "README", ".hidden.yaml", "site.yaml~"):
        root.write(f"{DIRECTORY}/{name}", "no: [yaml", 0o666)
    assert told(root) == ({provider.id: provider for provider in BUILT_IN}, None)


def test_no_directory_and_an_empty_one_cost_no_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("yaml", "msmtp_agent.yaml_lines", "msmtp_agent.providers.entry"):
        monkeypatch.setitem(sys.modules, module, None)
    root = Root(tmp_path)
    assert told(root)[1] is None
    root.write(f"{DIRECTORY}/README", "x", 0o644)
    assert told(root)[1] is None


def test_a_host_without_pyyaml_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    fault = refused(tmp_path, "gmail: {checked: 2027-01-01}")
    assert fault.message == f"{DIRECTORY}: cannot be read: PyYAML is not installed"
    assert fault.remedy == "apt install python3-yaml"


# --- what is refused


@pytest.mark.parametrize(
    ("content", "line", "observed"),
    [
        ("[gmail]", 1, "the file: is a list; expected a mapping (name: value)"),
        ("gmail", 1, "the file: is 'gmail'; expected a mapping (name: value)"),
        ("gmail:\n", 1, "gmail: is empty; expected a mapping (name: value)"),
        ("gmail: yes\n", 1, "gmail: is 'yes'; expected a mapping (name: value)"),
        ("Gmail: {}\n", 1, "has the id 'Gmail'; expected letters a to z, digits and -, at most 40 in all"),
        (f"{'x' * 41}: {SHORT}\n", 1, f"has the id '{'x' * 41}'; expected letters a to z, digits and -, at most 40"),
        ("gmail: {kind: x}\n", 1, "gmail: has no checked; expected checked"),
        ("\nacme:\n  name: x\n", 2, "acme: has no hosts; expected name, hosts, ports, checked"),
        ("gmail:\n  checked: 2027-01-01\n  prot: 1\n", 3, "gmail: has the field 'prot'; expected one of name, hosts, "),
        ("gmail:\n  checked: 2027-02-30\n", 2, "gmail: checked: is '2027-02-30'; expected a day such as 2026-11-22"),
        ("gmail:\n  checked: 20270230\n", 2, "gmail: checked: is 20270230; expected a day such as 2026-11-22"),
        ("gmail:\n  checked: 27-1-1\n", 2, "gmail: checked: is '27-1-1'; expected a day such as 2026-11-22"),
        ("gmail:\n  checked: 2027-W01-1\n", 2, "gmail: checked: is '2027-W01-1'; expected a day such as 2026-11-22"),
        ("gmail:\n  checked:\n", 2, "gmail: checked: is empty; expected a day such as 2026-11-22"),
        (f"{SES}hosts: x.test\n", 3, "ses: hosts: is 'x.test'; expected a list"),
        (f"{SES}hosts: []\n", 3, "ses: hosts: has 0 items; expected 1 to 50"),
        (f"{SES}hosts:\n  - x.test\n  - X.test\n", 5, "ses: hosts: item 2: is 'X.test'; expected a host"),
        (f"{SES}hosts: ['*']\n", 3, "ses: hosts: item 1: is '*'; expected a host"),
        (f"{SES}hosts: ['a.*.b.*']\n", 3, "ses: hosts: item 1: is 'a.*.b.*'; expected a host"),
        (f"{SES}hosts: ['[a-z].test']\n", 3, "ses: hosts: item 1: is '[a-z].test'; expected"),
        (f"{SES}hosts: [{'x' * 254}]\n", 3, "ses: hosts: item 1: is text; expected a host"),
        (f"{SES}ports: [587]\n", 3, "ses: ports: item 1: is 587; expected a mapping"),
        (f"{SES}ports: [{{port: 587}}]\n", 3, "ses: ports: item 1: has no tls; expected port, tls"),
        (
            f"{SES}ports:\n  - port: 587\n    tls: on\n",
            5,
            "ses: ports: item 1: tls: is 'on'; expected starttls or implicit",
        ),
        (
            f"{SES}ports: [{{port: 0, tls: starttls}}]\n",
            3,
            "ses: ports: item 1: port: is 0; expected a number from 1 to 65535",
        ),
        (
            f"{SES}ports: [{{port: true, tls: starttls}}]\n",
            3,
            "ses: ports: item 1: port: is true; expected a number from 1 to 65535",
        ),
        (f"{SES}user: 7\n", 3, "ses: user: is 7; expected one line of text (>- folds several)"),
        (f"{SES}user: |\n    x\n", 3, "ses: user: is 'x\\n'; expected one line of text"),
        (f"{SES}user: ' x'\n", 3, "ses: user: is ' x'; expected one line of text"),
        (f"{SES}user: {'x' * 501}\n", 3, "ses: user: is text; expected at most 500 characters"),
        (f"{SES}user: {{source: x}}\n", 3, "ses: user: has no text; expected text"),
        (
            f"{SES}notes:\n  - text: x\n    confirmed: yes\n",
            5,
            "ses: notes: item 1: confirmed: is 'yes'; expected true or false",
        ),
        (f"{SES}steps: []\n", 3, "ses: steps: has 0 items; expected 1 to 50"),
        (f"{SES}steps: [x, [y]]\n", 3, "ses: steps: item 2: is a list; expected one line of text"),
        ("ses: &a\n  checked: 2027-01-01\nzoho: *a\n", 1, "has an anchor (&); expected none"),
        (f"{SES}checked: 2027-01-02\n", 3, "has a second 'checked'; expected one, the other is on line 2"),
        ("ses: !x {}\n", 1, "has a tag (!); expected none"),
        ("ses:\n\tchecked: x\n", 2, "is no YAML: found character '\\t' that cannot start any token; expected YAML"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(content: str, line: int, observed: str, tmp_path: Path) -> None:
    fault = refused(tmp_path, content)
    assert fault.message.startswith(f"{FILE}: line {line}: {observed}")
    assert fault.remedy == f"sensible-editor +{line} {FILE}"


@pytest.mark.parametrize(
    ("content", "observed"),
    [
        (f"{SES}password: 87654321\n", "ses: password: is a number"),
        (f"{SES}password: ' hunter2'\n", "ses: password: is text"),
        (f"{SES}password: {{text: 87654321}}\n", "ses: password: text: is a number"),
        (f"{SES}password: true\n", "ses: password: is true or false"),
        ("password: hunter2\n", "password: is text"),
    ],
)
def test_a_password_that_was_written_in_the_wrong_place_is_not_told(
    content: str, observed: str, tmp_path: Path
) -> None:
    """The field says what kind of password the provider takes; somebody will write his own there."""
    assert refused(tmp_path, content).observed == observed


def test_a_name_that_a_shell_would_take_apart_is_quoted(tmp_path: Path) -> None:
    root = Root(tmp_path).write(f"{DIRECTORY}/a b;c.yaml", "x", 0o644)
    fault = told(root)[1]
    assert fault is not None
    assert fault.remedy == f"sensible-editor +1 '{DIRECTORY}/a b;c.yaml'"


@pytest.mark.parametrize(
    ("content", "observed"),
    [
        (b"a: \xff\n", "is not UTF-8"),
        (b"#" * 65_537, "is too long"),
        (b"#" * 300_000, "is too long"),
        (b"gmail: \x1b[31m\n", "has the character U+001B"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, observed: str, tmp_path: Path) -> None:
    assert refused(tmp_path, content).observed == observed


def test_only_the_first_fault_is_told_and_every_file_has_to_be_right(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.write(f"{DIRECTORY}/a.yaml", "gmail: {checked: 2027-01-01}", 0o644)
    root.write(f"{DIRECTORY}/b.yaml", "x: 1", 0o644).write(f"{DIRECTORY}/c.yaml", "y: 1", 0o644)
    providers, fault = told(root)
    assert tuple(providers.values()) == BUILT_IN
    assert fault is not None
    assert fault.subject == f"{DIRECTORY}/b.yaml: line 1"


# --- the program


def test_providers_with_a_wrong_file_lists_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Root(tmp_path).write(FILE, "gmail: 1", 0o644)
    for name in (None, "ses"):
        for as_json in (False, True):
            with pytest.raises(ConfigError):
                providers_cli.run(name, as_json, root=str(root.directory))
    assert capsys.readouterr().out == ""


def test_the_entry_says_which_file_it_is_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Root(tmp_path).write(FILE, RELAY, 0o644)
    providers_cli.run("acme relay", as_json=False, root=str(root.directory), clock=lambda: day("2027-06-01"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Acme relay (acme-relay)"
    assert f"  file      {FILE}" in lines
    assert "  sender    any address of acme.test [unconfirmed, unverified since 2026-05-01]" in lines
    assert "  checked 2026-11-01: https://wiki.acme.test/mail" in lines
    assert "  - https://wiki.acme.test/mail (password)" in lines


def test_the_program_reads_the_hosts_files(sandbox: Sandbox) -> None:
    directory = sandbox.path(DIRECTORY)
    directory.mkdir(parents=True, mode=0o755)
    sandbox.write(FILE, RELAY, mode=0o644)
    before = sandbox.changed()
    done = sandbox.agent("providers", "relay.acme.test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Acme relay (acme-relay)\n")
    sandbox.write(FILE, f"{RELAY}  checked: 1\n", mode=0o644)
    done = sandbox.agent("providers", "--json")
    assert (done.returncode, done.stdout) == (ExitCode.CONFIG, "")
    assert done.stderr.splitlines() == [
        f"msmtp-config: {FILE}: line 20: has a second 'checked'; expected one, the other is on line 19",
        f"  fix: sensible-editor +20 {FILE}",
    ]
    assert sandbox.changed() == before
