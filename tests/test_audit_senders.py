"""Who sends mail: crontabs as Debian's cron reads them, unit files as systemd puts them together.

What cron passes on was measured with Debian's own (3.0pl1-162 and -197): the table holds what sendmail was given.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent.facts import Senders, Unit
from msmtp_agent.host import Host
from msmtp_agent.survey import senders
from msmtp_agent.survey.crontabs import parse
from msmtp_agent.survey.service import Service
from tests.package_support import Boot
from tests.support.pace import within
from tests.support.roots import Root, packages
from tests.support.trees import Machine

JOB = "* * * * * daemon echo x\n"
VENDOR, OWN = "/usr/lib/systemd/system", "/etc/systemd/system"
MAIL = "ExecStart=/bin/sh -c 'df | mail root'"


def gather(root: Root) -> Senders:
    with Host(str(root.directory)) as host:
        return senders.gather(host, str)


def units(root: Root) -> dict[str, Unit]:
    return {unit.name.removesuffix(".service"): unit for unit in gather(root).units}


def service(root: Root, name: str, *lines: str, directory: str = OWN) -> None:
    root.write(f"{directory}/{name}", "\n".join(["[Service]", *lines, ""]), 0o644)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root").good()


# --- crontabs


@pytest.mark.parametrize(
    ("crontab", "jobs", "recipients"),
    [
        (JOB, ["daemon"], []),
        ('MAILTO="root,www-data"\n' + JOB, ["daemon"], [("root", "www-data")]),
        ('MAILTO="root www-data"\n' + JOB, [], [()]),  # UNSAFE MAIL, in cron's words: nothing is sent
        ("MAILTO=root www-data\n" + JOB, [], [()]),
        ("MAILTO=root, www-data\n" + JOB, [], [()]),
        ("MAILTO=root # admin\n" + JOB, [], [()]),
        ('MAILTO="-oX root"\n' + JOB, [], [()]),
        ('MAILTO="root;id"\n' + JOB, [], [()]),
        ('MAILTO=""\n' + JOB, [], []),
        ("MAILTO=\n" + JOB, [], []),
        ("  MAILTO = 'www-data'\n" + JOB, ["daemon"], [("www-data",)]),
        ('"MAILTO"=quoted\n' + JOB, ["daemon"], [("quoted",)]),
        ("mailto=lower\n" + JOB, ["daemon"], []),
        ("MAILTO=early\n" + JOB + "MAILTO=late\n" + JOB, ["daemon", "daemon"], [("early",), ("late",)]),
        (JOB + "MAILTO=too-late\n", ["daemon"], []),
        ('* * * * * daemon MAILTO="" echo x\n', ["daemon"], []),
        ("@reboot daemon echo x\n", ["daemon"], []),
        ("# * * * * * daemon echo x\n\n", [], []),
        ("rubbish here\nPATH = /usr/bin:/bin x y z daemon q\n" + JOB, ["daemon"], []),
        ("* * * * * daemon\n", [], []),
    ],
)
def test_jobs_and_recipients_are_those_of_cron(crontab: str, jobs: list[str], recipients: list[tuple[str]]) -> None:
    found = parse("/etc/crontab", crontab.encode())
    assert [job.user for job in found.jobs] == jobs
    assert [mailto.recipients for mailto in found.mailto] == recipients
    assert [mailto.refused for mailto in found.mailto] == [not each for each in recipients]


def test_a_crontab_of_its_own_has_no_user_column() -> None:
    found = parse("/x", b"MAILTO=root\n@daily echo x\n1 2 3 4 5 echo y\n1 2 3 4 5\n", "games")
    assert [(job.user, job.line) for job in found.jobs] == [("games", 2), ("games", 3)]
    assert [(mailto.path, mailto.line) for mailto in found.mailto] == [("/x", 1)]


@pytest.mark.root
def test_the_files_that_cron_reads(root: Root) -> None:
    root.write("/etc/crontab", JOB).write("/etc/cron.d/some_Jobs-2", JOB).write("/opt/jobs", JOB)
    root.link("/etc/cron.d/linked", "/opt/jobs").link("/etc/cron.d/lost", "/opt/lost").write("/etc/cron.d/.hidden", JOB)
    root.write("/etc/cron.d/jobs.bak", JOB).write("/etc/cron.d/jobs~", JOB)
    root.write("/var/spool/cron/crontabs/www-data", "@daily x\n").write(
        "/var/spool/cron/crontabs/www-data.bak", "@daily x\n"
    )
    root.link("/var/spool/cron/crontabs/nobody", "www-data")
    found = gather(root)
    assert [sender.path.rpartition("/")[2] for sender in found.cron] == ["crontab", "linked", "some_Jobs-2", "www-data"]
    assert {sender.user: (sender.uid, sender.gids) for sender in found.cron} == {
        "daemon": (1, frozenset({1})),
        "www-data": (33, frozenset({33})),
    }
    assert found.left_out == ()


@pytest.mark.root
def test_whose_jobs_are_told_once_a_file_and_never_those_of_root_or_nobody(root: Root) -> None:
    root.write("/etc/crontab", f"@daily root x\n@daily gone x\n{JOB}{JOB}@daily www-data x\n")
    assert [(sender.user, sender.line) for sender in gather(root).cron] == [("daemon", 3), ("www-data", 5)]


# --- unit files


@pytest.mark.root
@pytest.mark.parametrize(
    ("line", "sends"),
    [
        ("ExecStart=/usr/sbin/sendmail -t", True),
        ("ExecStart=-@/usr/bin/msmtp root", True),
        ("ExecStopPost=mailx -s x root", True),
        ("ExecStart=/bin/sh -c 'df|s-nail -s x root'", True),
        ("ExecStart=/bin/sh -c 'df >x && exec mutt -s x root <x'", True),
        ('ExecStart=/bin/sh -c "df \\\n# a remark\n | bsd-mailx root"', True),
        ("ExecStart=/usr/bin/report --mailer /usr/lib/sendmail", True),
        ("ExecStart=/usr/bin/report --spool /var/mail", False),
        ("ExecStart=/usr/bin/chown -R mail:mail /var/spool/mail", False),
        ("ExecStart=/usr/sbin/rspamd -u mail", False),
        ("ExecStart=/usr/bin/msmtp-config audit", False),
        ("ExecStart=/usr/bin/mail-of-the-day", False),
        ("ExecStart=/usr/bin/mail root\nExecStart=\nExecStart=/usr/bin/true", False),
        ("[Unit]\nExecStart=/usr/bin/mail root", False),
        ("#ExecStart=/usr/bin/mail root", False),
        ("Environment=MAILER=/usr/bin/mail", False),
    ],
)
def test_what_sends_mail(line: str, sends: bool, root: Root) -> None:
    service(root, "report.service", line)
    assert ("report" in units(root)) is sends


@pytest.mark.root
def test_a_script_of_the_administrators_is_looked_into(root: Root) -> None:
    root.write("/usr/local/bin/report", "#!/bin/sh\n# no | mail\ndf | sendmail -t\n", 0o755)
    root.write("/usr/local/bin/other", "#!/bin/sh\n# df | sendmail -t\n", 0o755)
    service(root, "report@.service", "ExecStart=/usr/local/bin/report %i", "User=nobody")
    service(root, "other.service", "ExecStart=/bin/sh '/usr/local/bin/other'")
    assert {name: unit.user for name, unit in units(root).items()} == {"report@": "nobody"}


@pytest.mark.root
def test_which_files_count(root: Root) -> None:
    root.link("/lib", "usr/lib")
    for name in ("masked", "emptied", "overruled", "kept", "systemd-own"):
        service(root, f"{name}.service", MAIL, "User=daemon", directory=VENDOR)
    root.link(f"{OWN}/masked.service", "/dev/null").write(f"{OWN}/emptied.service", "")
    service(root, "overruled.service", "ExecStart=/usr/bin/true")
    root.link(f"{OWN}/alias.service", f"{VENDOR}/kept.service")
    root.write("/opt/linked.service", f"[Service]\n{MAIL}\n").link(f"{OWN}/linked.service", "/opt/linked.service")
    root.mkdir(f"{OWN}/directory.service").link(f"{OWN}/loop.service", "loop.service")
    os.mkfifo(root.at(f"{OWN}/fifo.service"))
    found = gather(root)
    assert [(unit.name, unit.path) for unit in found.units] == [
        ("kept.service", f"{VENDOR}/kept.service"),
        ("linked.service", f"{OWN}/linked.service"),
    ]
    assert [path.partition(" ")[0] for path in found.units_left_out] == [f"{OWN}/loop.service"]


@pytest.mark.root
def test_the_last_assignment_wins_over_all_drop_ins(root: Root) -> None:
    service(root, "a-b.service", MAIL, "User=daemon", "NoNewPrivileges=yes", directory=VENDOR)
    service(root, "50-x.conf", "User=www-data", directory=f"{VENDOR}/a-b.service.d")
    assert (units(root)["a-b"].user, units(root)["a-b"].path) == ("www-data", f"{VENDOR}/a-b.service.d/50-x.conf")
    service(root, "60-x.conf", "User=nobody", directory=f"{OWN}/a-.service.d")
    assert units(root)["a-b"].user == "nobody"
    service(root, "70-x.conf", "User=", "NoNewPrivileges=no", directory="/run/systemd/system/service.d")
    assert (units(root)["a-b"].user, units(root)["a-b"].uid, units(root)["a-b"].no_new_privileges) == ("", 0, False)
    root.link(f"{OWN}/a-b.service.d/70-x.conf", "/dev/null")  # the more specific of one name takes its place
    assert units(root)["a-b"].user == "nobody"
    service(root, "80-x.conf", "ExecStart=", "ExecStart=/usr/bin/true", directory=f"{OWN}/a-b.service.d")
    assert units(root) == {}


@pytest.mark.root
def test_user_groups_and_prefixes(root: Root) -> None:
    root.write("/etc/group", "root:x:0:\nmsmtp:x:105:\nadm:x:4:www-data\nwww-data:x:33:\n", 0o644)
    service(root, "plain.service", MAIL, "User=www-data", "SupplementaryGroups=msmtp", "SupplementaryGroups=7 nosuch")
    service(root, "group.service", MAIL, "User=33", "Group=105", "SupplementaryGroups=adm", "SupplementaryGroups=")
    service(root, "unknown.service", MAIL, "User=%i", "Group=msmtp")
    service(root, "zero.service", MAIL, "User=0")
    service(
        root, "plus.service", "ExecStart=/bin/true", "ExecStopPost=-+/usr/bin/mail root", "User=daemon", "DynamicUser=1"
    )
    found = {name: (unit.user, unit.uid, set(unit.gids)) for name, unit in units(root).items()}
    assert found == {
        "plain": ("www-data", 33, {33, 4, 105, 7}),
        "group": ("www-data", 33, {105, 4}),
        "unknown": ("%i", -1, {105}),
        "zero": ("", 0, {0}),
        "plus": ("", 0, {0}),
    }
    assert not units(root)["plus"].no_new_privileges


@pytest.mark.root
def test_a_service_that_nothing_starts_sends_nothing(root: Root) -> None:
    for name in ("off", "on", "timed", "each@"):
        service(root, f"{name}.service", MAIL, "[Install]", "WantedBy=multi-user.target", directory=VENDOR)
    root.link(f"{OWN}/multi-user.target.wants/on.service", f"{VENDOR}/on.service").write(f"{VENDOR}/timed.timer", "")
    assert set(units(root)) == {"on", "timed"}
    root.link(f"{OWN}/getty.target.requires/each@1.service", f"{VENDOR}/each@.service")
    assert set(units(root)) == {"each@", "on", "timed"}


@pytest.mark.root
def test_services_that_are_told_to_send_are_known_by_name(root: Root) -> None:
    service(root, "fail2ban.service", "ExecStart=/usr/bin/fail2ban-server", directory=VENDOR)
    service(root, "cron.service", "ExecStart=/usr/sbin/cron -f", "ExecStopPost=mail root", directory=VENDOR)
    assert {name: unit.may for name, unit in units(root).items()} == {"fail2ban": True, "cron": False}


# --- NoNewPrivileges=, against systemd itself

SANDBOX = (
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=on",
    "PrivateDevices=1",
    "ProtectClock=true",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallLog=@mount",
    "PrivateDevices=no",
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "NoNewPrivileges=yes",
    "NoNewPrivileges=nonsense",
)
WHO = {
    "root": "",
    "zero": "User=0",
    "user": "User=daemon",
    "dynamic": "DynamicUser=yes",
    "nocaps": "CapabilityBoundingSet=",
}


@pytest.mark.tree
@pytest.mark.slow
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_systemd_agrees_on_new_privileges_and_on_root(suite: str, tmp_path: Path) -> None:
    """Every setting with every user: what the process was given, and what the facts say of its unit."""
    files = {
        f"{OWN}/{setting.partition('=')[0]}-{number}-{who}.service": f"[Service]\nType=oneshot\n{setting}\n{user}\n"
        "ExecStart=/bin/sh -c 'id -u; grep ^NoNewPrivs: /proc/self/status; exit 0; exec mail root'\n"
        f"StandardOutput=append:/outcome/{setting.partition('=')[0]}-{number}-{who}\n"
        for number, setting in enumerate(SANDBOX)
        for who, user in WHO.items()
    }
    names = [name.rpartition("/")[2].removesuffix(".service") for name in files]
    start = f"systemctl start {' '.join(f'{name}.service' for name in names)}"
    with Boot(suite, tmp_path, files=files, installed=False, extra=start, unit="basic.target") as boot:
        boot.wait()
        said = {name: boot.outcome(name).split() for name in names}
    with Machine(suite, tmp_path) as machine:
        for path, content in files.items():
            machine.write(path, content, mode=0o644)
        with Host(f"/proc/{machine.pid}/root") as host:
            found = {unit.name.removesuffix(".service"): unit for unit in senders.gather(host, str).units}
    seen = {name: (words[0] == "0", words[-1] == "1") for name, words in said.items()}
    assert {name: (found[name].uid == 0, found[name].no_new_privileges) for name in names} == seen


@pytest.mark.root
@pytest.mark.parametrize(("systemd", "implied"), [("252.38-1~deb12u1", True), ("255.4-1ubuntu8", False), ("", False)])
def test_the_sandbox_of_an_old_systemd_forbids_new_privileges(systemd: str, implied: bool, root: Root) -> None:
    root.write("/var/lib/dpkg/status", packages({"systemd": systemd} if systemd else {}), 0o644)
    service(root, "report.service", MAIL, "User=daemon", "LockPersonality=yes")
    assert units(root)["report"].because == ("LockPersonality" if implied else "")


# --- hostile roots

WORDS = st.sampled_from(
    b"MAILTO~=~\"~'~root~,~ ~\t~\n~@daily~* * * * *~[Service]~ExecStart~/etc/x~mail~|~\\~#~User~\0~\xff~%~+~yes".split(
        b"~"
    )
)


@given(st.lists(WORDS, max_size=40).map(b"".join))
def test_no_content_breaks_the_two_parsers(content: bytes) -> None:
    crontab, unit = parse("/etc/crontab", content), Service([("/x", content), ("/y", content)])
    assert all(0 < job.line <= content.count(b"\n") + 1 and job.user for job in crontab.jobs)
    assert all(command.mails in (True, False) and command.own_programs is not None for command in unit.commands)


@pytest.mark.root
def test_odd_files_are_passed_over_without_waiting(root: Root) -> None:
    root.mkdir("/etc/cron.d").mkdir("/etc/crontab").link("/etc/cron.d/loop", "loop")
    os.mkfifo(root.at("/etc/cron.d/fifo"))
    root.write("/etc/passwd", b"daemon:x:1:1::/a\0b:/bin/sh\nnobody:x:2:2::relative:/bin/sh\n" + bytes(range(256)))
    root.write("/etc/cron.d/jobs", "@daily daemon x\n@daily nobody x\n")
    service(root, "zero.service", "ExecStart=/etc/a\0b", "User=a\0b")
    root.write("/etc/cron.d/binary", bytes(range(256)) * 200).write("/etc/group", b"\xff:::\n:\n" + bytes(range(256)))
    root.mkdir(OWN).write(f"{OWN}/binary.service", bytes(range(256)) * 300).write("/etc/cron.d/long", "#" * 70_000)
    found = gather(root)
    assert ([sender.user for sender in found.cron], found.units) == (["nobody"], ())
    assert found.configured == frozenset()
    assert [words.partition(" ")[0] for words in found.left_out] == ["/etc/cron.d/long", "/etc/cron.d/loop"]
    assert [words.partition(" ")[0] for words in found.units_left_out] == [f"{OWN}/binary.service"]


@pytest.mark.slow
@pytest.mark.root
def test_too_many_files_are_bounded_and_told(root: Root) -> None:
    root.write("/etc/crontab", "@daily root x\n")
    for number in range(1100):
        root.write(f"/etc/cron.d/n{number}", "@daily www-data x\n")
    for number in range(4100):
        service(root, f"n{number}.service", MAIL)
    with within(2):
        found = gather(root)
    assert (len(found.cron), len(found.units)) == (999, 4000)
    assert [("and what follows it" in words) for words in (*found.left_out, *found.units_left_out)] == [True, True]
