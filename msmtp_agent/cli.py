"""Typer commands of a dozen lines; everything else is imported inside them."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from .errors import AgentError, ExitCode, InputOutputError, Interrupted, UsageError, unforeseen
from .lean import typer

if TYPE_CHECKING:
    from .model import JobReport, Wishes
    from .render import Json, Text

# click's UsageError: Typer does not hand it on, and click may be absent (newer releases of Typer carry their own).
_UsageFault: type[BaseException] = typer.BadParameter.__mro__[1]
_LONGEST = 3600.0  # seconds
_TO = typer.Option(None, "--to", metavar="ADDRESS", help="Send the test mail there, not to root.")
_TIMEOUT = typer.Option(30.0, "--timeout", metavar="SECONDS", help="Deadline of every program that is started.")
_ONLY = typer.Option([], "--only", metavar="ID,...", help="Run these checks alone.")
_SKIP = typer.Option([], "--skip", metavar="ID,...", help="Leave these checks out.")
_ROOT = typer.Option([], "--root", metavar="DIR", help="Audit the image there; may be repeated.")
_JSON = typer.Option(False, "--json", help="Print one JSON object instead of text.")
_QUIET = typer.Option(False, "--quiet", help="Print warnings and failures alone.")

app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


def _print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__
        from .render import say

        say(f"msmtp-config {__version__}", sys.stdout)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def configure(
    context: typer.Context,
    password_stdin: bool = typer.Option(False, "--password-stdin", help="Read the password from standard input."),
    credential: str = typer.Option(None, "--credential", metavar="NAME", help="Read it from a systemd credential."),
    to: str = _TO,
    no_mail: bool = typer.Option(False, "--no-mail", help="Prove the password, and send no test mail."),
    offline: bool = typer.Option(False, "--offline", help="No network: check the configuration, store unproven."),
    fix: bool = typer.Option(False, "--fix", help="Put owner and mode of /etc/msmtprc and of the secret file right."),
    force: bool = typer.Option(False, "--force", help="Store it although /etc/msmtprc will not use it, or unproven."),
    timeout: float = _TIMEOUT,
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
    version: bool = typer.Option(  # noqa: ARG001 - its callback has answered
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Ask for the SMTP password, prove it, store it in /etc/msmtp-password, and send a test mail."""
    if context.invoked_subcommand is not None:
        _refuse_options_before_verb(context)
        return
    wishes = _wishes(to=to, mail=not no_mail, offline=offline, fix=fix, force=force, timeout=timeout)
    from . import configure as workflow
    from .host import Host
    from .sources import choose

    source = choose(password_stdin, credential, os.environ.get("CREDENTIALS_DIRECTORY"))
    listener = _begin(as_json, quiet)
    _end(workflow.run(Host(), wishes, source, listener), listener)


@app.command("test")
def send_test_mail(to: str = _TO, timeout: float = _TIMEOUT, as_json: bool = _JSON, quiet: bool = _QUIET) -> None:
    """Send a test mail with what is installed."""
    wishes = _wishes(to=to, timeout=timeout)
    from . import configure as workflow
    from .host import Host

    listener = _begin(as_json, quiet)
    _end(workflow.run_test(Host(), wishes, listener), listener)


@app.command("audit")
def audit_host(
    form: str = typer.Option("text", "--format", metavar="FORMAT", help="text, json, nagios or prometheus."),
    output: str = typer.Option(None, "--output", metavar="FILE", help="Replace FILE by the metrics (prometheus)."),
    fail_on: str = typer.Option(None, "--fail-on", metavar="SEVERITY", help="error (default), warning or info."),
    only: list[str] = _ONLY,
    skip: list[str] = _SKIP,
    root: list[str] = _ROOT,
    fix: bool = typer.Option(False, "--fix", help="Repair what has one right answer."),
    dry_run: bool = typer.Option(False, "--dry-run", help="With --fix: print the plan, and change nothing."),
    listing: bool = typer.Option(False, "--list", help="Print every check: id, severity, title."),
    explain: str = typer.Option(None, "--explain", metavar="ID", help="Print what a check is about, and what to do."),
) -> None:
    """Find every reason why this host's mail is unsafe or will not leave; send none."""
    from . import audit_cli

    if not audit_cli.told(listing, explain):
        options = audit_cli.Options(form, output, fail_on, tuple(only), tuple(skip), tuple(root), fix, dry_run)
        raise typer.Exit(audit_cli.run(options))


@app.command("diagnose")
def diagnose_host(
    to: str = typer.Option(None, "--to", metavar="ADDRESS", help="Send a mail there as the last stage."),
    timeout: float = _TIMEOUT,
    as_json: bool = _JSON,
) -> None:
    """Find out why mail does not leave: every stage one by one, no mail sent, and what to do."""
    wishes = _wishes(to=to, timeout=timeout)
    from . import diagnose_cli

    raise typer.Exit(diagnose_cli.run(wishes, as_json))


@app.command("providers")
def show_providers(
    name: str = typer.Argument(None, metavar="[NAME]", help="A provider's name, or the name of its server."),
    as_json: bool = _JSON,
) -> None:
    """What is known of the mail providers: servers, user names, passwords, limits, and when that was checked."""
    from . import providers_cli

    raise typer.Exit(providers_cli.run(name, as_json))


@app.command("render")
def render_settings(
    settings: str = typer.Argument(..., metavar="FILE", help="The settings: smtp.config.yaml."),
    form: str = typer.Option("files", "--format", metavar="FORMAT", help="msmtprc, aliases, logrotate, cloud-config."),
    output: str = typer.Option(None, "--output", metavar="FILE", help="Replace FILE by it, 0600."),
    deb_url: str = typer.Option(None, "--deb-url", metavar="URL", help="cloud-config: where this package is."),
    deb_sha256: str = typer.Option(None, "--deb-sha256", metavar="HEX", help="cloud-config: the package's checksum."),
    apt_source: str = typer.Option(
        None, "--apt-source", metavar="LINE", help="cloud-config: or the apt source with it."
    ),
    apt_key: str = typer.Option(None, "--apt-key", metavar="FILE", help="cloud-config: the key of that source."),
    allow_password: bool = typer.Option(
        False, "--allow-password-in-user-data", help="cloud-config: although others can read it there."
    ),
) -> None:
    """Print what the settings become: /etc/msmtprc, /etc/aliases, the logrotate rule, or one cloud-config."""
    from . import rendering_cli

    wanted = rendering_cli.Options(settings, form, output, deb_url, deb_sha256, apt_source, apt_key, allow_password)
    raise typer.Exit(rendering_cli.run(wanted))


@app.command("apply")
def apply_settings(
    settings: str = typer.Argument(..., metavar="FILE", help="The settings: smtp.config.yaml."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would change, and change nothing."),
    as_json: bool = _JSON,
) -> None:
    """Bring this host to what the settings say, show every change, and prove that mail can leave."""
    from . import apply_cli

    raise typer.Exit(apply_cli.run(settings, dry_run, as_json))


@app.command("pin")
def pin_certificate(
    accept: bool = typer.Option(False, "--accept", help="Write it without asking."), timeout: float = _TIMEOUT
) -> None:
    """Trust the certificate that the server shows now, by its fingerprint: for a local bridge that signs its own."""
    from . import pin_cli

    raise typer.Exit(pin_cli.run(accept, _wishes(timeout=timeout).timeout))


def main() -> int:
    """Run the command line and return the exit status; no traceback is ever shown: it could hold the secret."""
    try:
        return _main()
    except BaseException:  # noqa: BLE001 - even the words about an error have failed
        os.write(2, b"msmtp-config: internal error\n")
        return ExitCode.SOFTWARE


def _main() -> int:
    from .render import abandon, open_streams

    try:
        open_streams()
        status = typer.main.get_command(app).main(prog_name="msmtp-config", standalone_mode=False)
        return int(status or ExitCode.OK)
    except _UsageFault as fault:
        return _complain(UsageError("usage", _words(fault), remedy=_usage(fault)))
    except AgentError as error:
        return _complain(error)
    except Interrupted as signal:
        return signal.code
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except SystemExit:  # click's answer to a closed pipe
        abandon(sys.stdout)
        return ExitCode.IO
    except OSError as error:
        abandon(sys.stdout)
        return _complain(InputOutputError("standard output", f"cannot be written: {error.strerror}", remedy="df -h"))
    except BaseException as error:  # noqa: BLE001 - the last door
        return _complain(unforeseen(error))


def _words(fault: BaseException) -> str:
    return str(getattr(fault, "format_message", lambda: "wrong options")())


def _usage(fault: BaseException) -> str:
    """The command that shows the options of the verb that was meant."""
    context = getattr(fault, "ctx", None)
    return f"{context.command_path if context else 'msmtp-config'} --help"


def _refuse_options_before_verb(context: typer.Context) -> None:
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                parameter.opts[0],
                f"stands before the verb {context.invoked_subcommand}",
                expected="options behind the verb",
                remedy=f"msmtp-config {context.invoked_subcommand} --help",
            )


def _wishes(
    *,
    to: str | None = None,
    timeout: float,
    mail: bool = True,
    offline: bool = False,
    fix: bool = False,
    force: bool = False,
) -> "Wishes":
    """The options as one value. Raises UsageError for a wrong value, and for two that exclude each other."""
    from .model import Wishes

    if not 0 < timeout <= _LONGEST:
        raise UsageError("--timeout", f"is {timeout:g}", expected=f"seconds, more than 0, at most {_LONGEST:g}")
    if to is not None:
        local, at, domain = to.rpartition("@")
        whole = 0 < len(to) <= 254 and to.isascii() and to.isprintable() and bool(domain) and bool(local) == bool(at)
        if not whole or to.startswith("-") or any(character in to for character in " <>"):
            raise UsageError("--to", "is not a mail address", expected="name@host, or a local name")
        for option, given in (("--no-mail", not mail), ("--offline", offline)):
            if given:
                raise UsageError("--to", f"and {option} exclude each other")
    return Wishes(to=to, mail=mail, offline=offline, fix=fix, force=force, timeout=timeout)


def _begin(as_json: bool, quiet: bool) -> "Json | Text":
    """Put the process in order for a job with a secret in it; who is to be told of the job."""
    from . import interruption, render, shield

    shield.shield()
    interruption.install()
    return render.Json() if as_json else render.Text(quiet=quiet)


def _end(report: "JobReport", listener: "Json | Text") -> NoReturn:
    from . import interruption
    from .journal import exit_code

    interruption.quiet()
    listener.report(report)
    raise typer.Exit(exit_code(report))


def _complain(error: AgentError) -> int:
    from .model import Problem
    from .render import problem

    problem(Problem(error.code, error.message, error.remedy, error.words, details=error.details))
    return error.code
