"""The rooms: each module imports what its row allows, touches what its row allows, and has one sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "msmtp_agent"
DOCUMENT = PACKAGE.parent / "docs" / "architecture.md"
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The room of a module: its name behind its package (`checks.tls`; the package itself: `checks`)."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


# Which rooms a room may import; docs/architecture.md says why. What is not named here may not exist.
ROOMS: dict[str, set[str]] = {
    "model": set(),
    "errors": {"model"},
    "loopback": set(),
    "interruption": {"errors"},
    "lean": set(),
    "shield": set(),
    "saslprep": set(),
    "printable": set(),
    "beneath": set(),
    "host": {"beneath", "errors", "model"},
    "process": {"errors", "interruption"},
    "secret": {"errors", "printable", "saslprep"},
    "render": {"errors", "model", "printable"},
    "terminal": {"errors", "printable", "render"},
    "sources": {"errors", "host", "model", "secret", "terminal"},
    "files": {"errors", "host", "interruption", "model"},
    "msmtprc": set(),
    "aliases": set(),
    "readiness": {"errors", "host", "loopback", "msmtprc"},
    "masked": {"msmtprc", "printable", "readiness", "secret"},
    "msmtp": {"errors", "host", "masked", "model", "msmtprc", "printable", "process", "secret"},
    "journal": {"errors", "model"},
    "configuration": {
        "errors", "files", "host", "interruption", "journal", "model", "msmtprc", "readiness", "secret",
    },
    "yaml_lines": {"printable"},
    "providers.fact": set(),
    "providers.mailboxes": {"providers.fact"},
    "providers.proton": {"providers.fact"},
    "providers.relays": {"providers.fact"},
    "providers": {"loopback", "providers.fact", "providers.mailboxes", "providers.proton", "providers.relays"},
    "providers.entry": {"providers.fact", "yaml_lines"},
    "providers.local": {"errors", "host", "model", "providers", "providers.entry", "providers.fact", "yaml_lines"},
    "diagnosis.failure": {"loopback", "msmtprc", "printable"},
    "diagnosis.rule": {"diagnosis.failure", "model"},
    "diagnosis.steps": {"diagnosis.rule"},
    "diagnosis.connection": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.content": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.envelope": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.general": {"diagnosis.rule", "diagnosis.steps", "model"},
    "diagnosis.local": {"diagnosis.rule"},
    "diagnosis.login": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.login_replies": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.google": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.microsoft_login": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.microsoft": {"diagnosis.microsoft_login", "diagnosis.rule", "diagnosis.steps"},
    "diagnosis.outlook": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.proton": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.mailboxes": {
        "diagnosis.google", "diagnosis.microsoft", "diagnosis.outlook", "diagnosis.proton", "diagnosis.rule",
        "diagnosis.steps",
    },
    "diagnosis.quota": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.amazon": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.relays": {"diagnosis.amazon", "diagnosis.rule", "diagnosis.steps"},
    "diagnosis.postfix_login": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.postfix": {"diagnosis.postfix_login", "diagnosis.rule", "diagnosis.steps"},
    "diagnosis.servers": {"diagnosis.postfix", "diagnosis.rule", "diagnosis.steps"},
    "diagnosis.standing": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis.tls": {"diagnosis.rule", "diagnosis.steps"},
    "diagnosis": {
        "diagnosis.connection", "diagnosis.content", "diagnosis.envelope", "diagnosis.failure", "diagnosis.general",
        "diagnosis.local", "diagnosis.login", "diagnosis.login_replies", "diagnosis.mailboxes", "diagnosis.quota",
        "diagnosis.relays", "diagnosis.rule", "diagnosis.servers", "diagnosis.standing", "diagnosis.tls", "model",
        "printable", "providers", "providers.fact",
    },
    "facts": {"model", "msmtprc"},
    "checks.check": {"facts", "model"},
    "checks.configuration": {"checks.check", "facts", "host", "model", "msmtprc", "readiness"},
    "checks.apparmor": {"checks.check", "checks.configuration", "facts", "host", "readiness"},
    "survey.globs": set(),
    "survey.profile": {"errors", "host", "model", "survey.globs"},
    "survey.commands": set(),
    "survey.configuration": {"errors", "facts", "host", "model", "msmtprc"},
    "certificates": {"printable"},
    "survey.trust": {"certificates", "errors", "facts", "host", "model", "msmtprc", "survey.configuration"},
    "survey.refusals": {
        "facts", "host", "model", "msmtprc", "survey.commands", "survey.configuration", "survey.profile",
        "survey.trust",
    },
    "survey.apparmor": {"errors", "facts", "host", "model", "msmtprc", "survey.profile", "survey.refusals"},
    "confinement": {
        "checks.apparmor", "checks.check", "diagnosis.failure", "errors", "facts", "host", "model", "msmtprc",
        "survey.apparmor",
    },
    "explain": {
        "confinement", "diagnosis", "diagnosis.failure", "errors", "host", "model", "msmtprc", "providers.fact",
        "providers.local",
    },
    "shape": {"host", "msmtprc", "secret"},
    "__init__": set(),
    "network": {"errors", "printable"},
    "serverinfo": set(),
    "diagnosed": {"facts", "model", "network", "serverinfo"},
    "diagnose_look": {"certificates", "diagnosed", "msmtprc", "network", "printable"},
    "checks.delivery": {"checks.check", "checks.configuration", "facts", "host", "model", "readiness"},
    "diagnose_words": {
        "checks.delivery", "diagnosed", "facts", "model", "msmtprc", "network", "readiness", "serverinfo",
    },
    "resolve": {"process"},
    "diagnose_route": {
        "diagnose_look", "diagnose_words", "diagnosed", "diagnosis.failure", "errors", "explain", "host", "journal",
        "model", "msmtp", "msmtprc", "network", "resolve", "secret", "serverinfo",
    },
    "silence": {
        "diagnose_route", "diagnosed", "errors", "explain", "host", "journal", "model", "msmtp", "msmtprc", "secret",
    },
    "delivery": {
        "__init__", "aliases", "diagnosis.failure", "errors", "explain", "host", "journal", "model", "msmtp",
        "msmtprc", "printable", "secret", "silence",
    },
    "backup": {"errors", "files", "host", "interruption", "model"},
    "aliases_text": {"aliases"},
    "log_rule": set(),
    "settings": {"errors", "secret"},
    "msmtprc_text": {"host", "msmtprc", "readiness", "settings"},
    "host_files": {"aliases_text", "host", "log_rule", "msmtprc_text", "settings"},
    "old_helper": {"backup", "errors", "files", "host", "model"},
    "apply_plan": {
        "aliases", "backup", "configuration", "errors", "files", "host", "host_files", "log_rule", "masked", "model",
        "msmtprc", "old_helper", "readiness", "secret", "settings", "survey.apparmor",
    },
    "apply_files": {"apply_plan", "errors", "host", "interruption", "journal", "model"},
    "settings_words": {"aliases", "msmtprc", "printable", "yaml_lines"},
    "settings_schema": {"errors", "printable", "settings", "settings_words", "yaml_lines"},
    "providers.names": {"errors", "printable", "providers", "providers.fact"},
    "settings_meaning": {
        "aliases", "errors", "loopback", "msmtprc_text", "providers", "providers.fact", "providers.names",
        "readiness", "secret", "settings", "settings_schema", "settings_words",
    },
    "settings_file": {
        "errors", "host", "model", "providers.fact", "providers.local", "settings", "settings_meaning",
        "settings_schema", "settings_words", "yaml_lines",
    },
    "questions": {
        "configuration", "errors", "host", "loopback", "providers", "providers.fact", "providers.names", "settings",
        "settings_file", "shape",
    },
    "first_files": {
        "apply_files", "apply_plan", "configuration", "host", "journal", "model", "providers.local", "questions",
        "settings",
    },
    "configure": {
        "configuration", "delivery", "errors", "explain", "files", "first_files", "host", "interruption", "journal",
        "model", "msmtp", "msmtprc", "providers", "providers.local", "readiness", "secret", "shape", "silence",
    },
    "render_providers": {"printable", "providers.fact", "render"},
    "providers_cli": {"host", "providers.fact", "providers.local", "providers.names", "render_providers"},
    "survey.logrotate": set(),
    "survey.rotation": {"errors", "facts", "host", "model", "survey.logrotate"},
    "survey.log": {"errors", "facts", "host", "model", "msmtprc", "survey.configuration", "survey.rotation"},
    "survey.logtime": set(),
    "survey.packed": set(),
    "survey.history": {
        "errors", "facts", "host", "model", "msmtprc", "readiness", "survey.log", "survey.logtime", "survey.packed",
        "survey.rotation",
    },
    "diagnose": {
        "configuration", "delivery", "diagnose_route", "diagnose_words", "diagnosed", "diagnosis.failure", "errors",
        "explain", "facts", "host", "journal", "model", "msmtp", "msmtprc", "providers", "providers.fact",
        "providers.local", "readiness", "secret", "shape", "survey.configuration", "survey.history",
    },
    "render_diagnose": {"diagnosed", "facts", "model", "network", "printable", "render", "serverinfo"},
    "diagnose_cli": {"diagnose", "host", "interruption", "journal", "model", "render_diagnose", "shield"},
    "msmtprc_edit": {"msmtprc"},
    "pin_server": {
        "certificates", "errors", "explain", "host", "model", "msmtp", "msmtprc", "network", "secret", "serverinfo",
    },
    "pin_words": {"certificates"},
    "pin_trust": {"errors", "host", "msmtprc", "pin_server", "pin_words"},
    "pin": {
        "configuration", "errors", "files", "host", "interruption", "journal", "model", "msmtp", "msmtprc",
        "msmtprc_edit", "pin_server", "pin_trust", "pin_words",
    },
    "pin_cli": {"host", "interruption", "journal", "pin", "render", "shield", "terminal"},
    "survey.alias_file": {"aliases", "errors", "facts", "host", "model", "msmtprc", "survey.configuration"},
    "survey.sweep": {"errors", "host", "survey.packed"},
    "survey.elsewhere": {"facts", "host", "model", "msmtprc", "secret", "survey.sweep"},
    "survey.programs": {"errors", "facts", "host", "model", "old_helper"},
    "survey.secret_file": {"facts", "host", "model", "secret"},
    "survey.crontabs": {"facts"},
    "survey.service": set(),
    "survey.users": {"errors", "host"},
    "survey.unit_files": {"errors", "facts", "host", "model", "survey.programs", "survey.service", "survey.users"},
    "survey.senders": {"errors", "facts", "host", "model", "survey.crontabs", "survey.unit_files", "survey.users"},
    "survey.strays": {"errors", "facts", "host", "model", "msmtprc"},
    "survey": {
        "errors", "facts", "host", "survey.alias_file", "survey.apparmor", "survey.configuration", "survey.elsewhere",
        "survey.history", "survey.log", "survey.programs", "survey.secret_file", "survey.senders", "survey.strays",
        "survey.trust",
    },
    "checks.secret_file": {"checks.check", "facts", "host", "model", "readiness"},
    "checks.strays": {"checks.check", "facts", "host", "model"},
    "checks.settings": {"checks.check", "checks.configuration", "facts", "host", "model"},
    "checks.tls": {
        "checks.check", "checks.configuration", "facts", "host", "loopback", "model", "msmtprc", "readiness",
    },
    "checks.aliases": {"aliases", "checks.check", "checks.configuration", "facts", "host", "model"},
    "checks.log": {"checks.check", "checks.configuration", "facts", "host", "model"},
    "checks.way_in": {"checks.check", "facts", "host", "model", "readiness"},
    "checks.elsewhere": {"checks.check", "facts", "model"},
    "checks": {
        "checks.aliases", "checks.apparmor", "checks.check", "checks.configuration", "checks.delivery",
        "checks.elsewhere", "checks.log", "checks.secret_file", "checks.settings", "checks.strays", "checks.tls",
        "checks.way_in",
    },
    "checks.document": {"checks", "checks.check"},
    "audit": {"checks", "checks.check", "errors", "facts", "host", "model", "survey"},
    "planned": {"errors", "host", "model"},
    "repair_helper": {"facts", "host", "model", "old_helper", "planned"},
    "repair_log": {"facts", "files", "host", "log_rule", "model", "planned"},
    "repair": {
        "aliases", "backup", "errors", "facts", "files", "host", "interruption", "model", "msmtprc", "planned",
        "repair_helper", "repair_log",
    },
    "monitoring": {"errors", "model", "printable"},
    "render_audit": {"checks", "model", "monitoring", "printable", "render"},
    "audit_job": {
        "audit", "errors", "facts", "files", "host", "model", "monitoring", "render", "render_audit", "repair",
    },
    "arguments": {"errors"},
    "audit_cli": {
        "arguments", "audit_job", "checks", "checks.document", "errors", "interruption", "model", "printable",
        "render", "render_audit", "shield",
    },
    "apply": {
        "apply_files", "apply_plan", "configuration", "configure", "errors", "explain", "files", "host", "journal",
        "model", "msmtp", "msmtprc", "readiness", "secret", "settings", "settings_file", "sources",
    },
    "render_apply": {"apply", "apply_plan", "model", "printable", "render"},
    "apply_cli": {"apply", "arguments", "host", "interruption", "journal", "model", "render_apply", "shield"},
    "handing_over": set(),
    "cloudconfig": {
        "__init__", "errors", "handing_over", "host", "host_files", "log_rule", "msmtprc", "providers",
        "providers.fact", "readiness", "settings", "shape",
    },
    "rendering_cli": {
        "aliases", "arguments", "cloudconfig", "errors", "files", "handing_over", "host", "host_files",
        "interruption", "log_rule", "model", "render", "settings", "settings_file", "shield",
    },
    "cli": {
        "__init__", "apply_cli", "audit_cli", "configure", "diagnose_cli", "errors", "host", "interruption",
        "journal", "lean", "model", "pin_cli", "providers_cli", "render", "rendering_cli", "shield", "sources",
    },
    "__main__": {"cli"},
}  # fmt: skip

# What reaches outside the program, and the rooms that may.
TOUCHES: dict[str, set[str]] = {
    "subprocess": {"process"},
    "rich": {"render"},
    "getpass": {"terminal"},
    "typer": {"lean"},
    "tempfile": set(),
    "click": set(),
    "socket": {"network"},
    "ssl": {"network"},
    "logging": set(),
    "shutil": set(),
    "os.rename": {"files"},
    "os.replace": {"files"},
    "os.link": set(),
    "os.symlink": {"files"},
    "os.unlink": {"files"},
    "os.mkdir": {"files"},
    "os.write": {"cli", "files", "msmtp", "process"},  # msmtp, process: into pipes; cli: its last word
    "os.open": {"beneath", "files", "host", "render", "survey.sweep"},  # to look, to write; render: the null device
    "os.chmod": set(),
    "os.fchmod": {"files"},
    "os.chown": set(),
    "os.fchown": {"files"},
    "os.utime": {"files"},
    "os.scandir": {"host", "survey.sweep"},
    "os.listdir": set(),
    "os.walk": set(),
    "os.readlink": {"beneath", "host"},
    "os.getxattr": {"host"},
    "os.system": set(),
    "os.environ": {"cli", "render"},
    "open": {"host", "process", "render", "terminal"},  # process: a pidfd; render: a standard stream that was closed
    "print": {"render"},
    "input": set(),
    "sys.stdin": {"sources", "terminal"},
    # By render.say.
    "sys.stdout": {
        "audit_cli", "audit_job", "cli", "pin_cli", "render", "render_apply", "render_audit", "render_diagnose",
        "render_providers", "rendering_cli",
    },
    "sys.stderr": {"audit_cli", "render", "render_diagnose", "rendering_cli"},
    "sys.exit": {"__main__"},
}  # fmt: skip


def _imports(path: Path) -> Iterator[str]:
    """Rooms as `.name`, everything else by its dotted name."""
    package = path.parent.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (*package, *filter(None, [node.module])) if node.level else tuple(str(node.module).split("."))
            if not node.level and base[0] != PACKAGE.name:
                yield str(node.module)
                continue
            base = base if node.level else base[1:]
            for alias in node.names:
                inner = PACKAGE.joinpath(*base, f"{alias.name}.py")
                if inner.exists() or not base:
                    yield "." + ".".join((*base, "__init__" if alias.name.startswith("__") else alias.name))
                else:
                    yield "." + ".".join(base)


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


@pytest.mark.parametrize("path", MODULES, ids=room)
def test_a_room_imports_and_touches_what_its_row_allows(path: Path) -> None:
    imports = set(_imports(path))
    rooms = {name.removeprefix(".") for name in imports if name.startswith(".")}
    assert rooms <= ROOMS[room(path)]
    used = set(_used(ast.parse(path.read_text())))
    touched = {name.split(".")[0] for name in imports if not name.startswith(".")} | used
    strayed = {name for name, allowed in TOUCHES.items() if name in touched and room(path) not in allowed}
    assert strayed == set()


def test_the_table_has_no_row_without_a_room_and_allows_nothing_unused() -> None:
    assert set(ROOMS) == {room(path) for path in MODULES}
    for path in MODULES:
        imported = {name.removeprefix(".") for name in _imports(path) if name.startswith(".")}
        assert imported == ROOMS[room(path)], room(path)


def test_every_room_has_its_sentence_in_the_document() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE))
    for path in MODULES:
        sentence = ast.get_docstring(ast.parse(path.read_text()))
        assert sentence, room(path)
        assert room(path).startswith("__") or rows[room(path)].strip(), room(path)
    assert set(rows) == {room(path) for path in MODULES if not room(path).startswith("__")}


@pytest.mark.parametrize("path", MODULES, ids=room)
def test_a_room_fits_in_a_readers_head_and_a_function_on_a_screen(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_a_parameter_that_carries_a_secret_has_the_secret_type() -> None:
    wanted = {"candidate", "password", "secret"}
    found = [
        (room(path), node.name, ast.unparse(parameter.annotation) if parameter.annotation else None)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for parameter in (*node.args.args, *node.args.kwonlyargs)
        if parameter.arg in wanted
    ]
    assert found
    assert {annotation for _, _, annotation in found} <= {"Secret", "Secret | None"}, found


def test_exit_numbers_stand_in_errors_alone() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "typer.Exit", "SystemExit"):
                assert not any(isinstance(argument, ast.Constant) for argument in node.args), room(path)
