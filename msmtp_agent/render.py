"""Words for people and JSON for programs: text, Rich at a terminal; the only importer of rich."""

import errno
import io
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from .errors import InputOutputError
from .model import Confidence, Diagnosis, JobReport, Owner, Problem, StageResult, Status, Verification
from .printable import printable

SCHEMA_VERSION = 1
STYLES = {Status.PASSED: "green", Status.FAILED: "bold red", Status.SKIPPED: "dim", Status.NOT_REACHED: "dim"}
_OWNERS = {
    Owner.ACCOUNT: "you, at the provider's site",
    Owner.ADMINISTRATOR: "the administrator of the mail service",
    Owner.NETWORK: "whoever runs the network between this host and the server",
    Owner.HOST: "you, on this host",
}
_SURE = {Confidence.CERTAIN: "", Confidence.LIKELY: "- most likely ", Confidence.GENERAL: "- a general answer "}
_INDENT = 18  # columns before what a stage has seen
NARROW = 72  # columns of a terminal that is too narrow for texts beside the names of the stages


class Text:
    """Tells a job as it goes: stages on standard output, warnings and the error on standard error.

    `quiet` leaves out the stages that did not fail. Nobody at the other end of a pipe is no reason to stop a job.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._colours = colourful(sys.stdout)
        self.indent = 4 if 0 < columns(sys.stdout) < NARROW else _INDENT

    def stage(self, result: StageResult) -> None:
        """One stage, as it ends."""
        if self._quiet and result.status is not Status.FAILED:
            return
        status = f"{result.status.value:<8}"
        lines = wrapped(f"{result.stage:<9} {result.seen}", sys.stdout, " " * self.indent, first=8)
        if self._colours:
            status = styled(status, STYLES[result.status])
        leave_the_caret(result)
        say(status + lines, sys.stdout)

    def warning(self, text: str) -> None:
        """Something to know, while the job goes on."""
        say(wrapped(f"msmtp-config: warning: {text}", sys.stderr, "  "), sys.stderr)

    def report(self, report: JobReport) -> None:
        """The end of the job: the error if there is one."""
        if report.problem:
            problem(report.problem)


def leave_the_caret(result: StageResult) -> None:
    """Begin a new line where Ctrl-C ended the stage: the terminal has shown `^C` on the present one."""
    if result.seen.startswith("interrupted") and columns(sys.stdout):
        say("", sys.stdout)


class Json:
    """Says nothing while a job runs, and prints one object at its end."""

    def stage(self, result: StageResult) -> None:
        """Nothing: the report holds it."""

    def warning(self, text: str) -> None:
        """Nothing: the report holds it."""

    def report(self, report: JobReport) -> None:
        """The whole job on standard output. Raises InputOutputError when it cannot be written there."""
        import json  # here, because most runs print none

        say(json.dumps(as_json(report)), sys.stdout)


def problem(fault: Problem) -> None:
    """An error on standard error: one line, msmtp's and the server's own words, and one line of remedy."""
    say(wrapped(f"msmtp-config: {fault.message.removeprefix('msmtp-config: ')}", sys.stderr, "  "), sys.stderr)
    for detail in fault.details:
        say(wrapped(f"  {detail}", sys.stderr, "    "), sys.stderr)
    for words in fault.words:
        say(wrapped(f"  msmtp: {words}", sys.stderr, "    "), sys.stderr)
    if fault.diagnosis and fault.diagnosis.cause != fault.message:
        diagnosis(fault.diagnosis)
    if fault.remedy:
        say(f"  fix: {printable(fault.remedy)}", sys.stderr)


def diagnosis(told: Diagnosis) -> None:
    """The cause of a failure on standard error, who can mend it, and the steps, numbered where there are several."""
    say(wrapped(f"  why: {told.cause} {_SURE[told.confidence]}({told.id})", sys.stderr, "    "), sys.stderr)
    say(wrapped(f"  who: {_OWNERS[told.owner]}", sys.stderr, "    "), sys.stderr)
    steps(told, sys.stderr)


def steps(told: Diagnosis, stream: TextIO) -> None:
    """What to do, numbered."""
    for number, step in enumerate(told.steps, 1):
        say(wrapped(f"  {number}. {step}", stream, "     "), stream)


def diagnosis_as_json(told: Diagnosis) -> dict[str, object]:
    """The diagnosis as every `--json` has it."""
    return {
        "id": told.id,
        "cause": told.cause,
        "owner": told.owner.value,
        "steps": list(told.steps),
        "evidence": list(told.evidence),
        "confidence": told.confidence.value,
    }


def error_as_json(fault: Problem) -> dict[str, object]:
    """The end of a job that failed as every `--json` has it."""
    return {"code": fault.code, "message": fault.message, "remedy": fault.remedy, "words": list(fault.words)}


def as_json(report: JobReport) -> dict[str, object]:
    """A job as `--json` prints it."""
    fault = report.problem
    ok = fault is None
    return {
        "schema_version": SCHEMA_VERSION,
        "result": "failed" if not ok else "unproven" if report.verification is Verification.UNPROVEN else "ok",
        "changed": report.changed,
        "verification": report.verification.value,
        "stages": [{"stage": stage.stage, "status": stage.status.value, "seen": stage.seen} for stage in report.stages],
        "warnings": list(report.warnings),
        "delivery": report.delivery
        and {"recipients": list(report.delivery.recipients), "reply": report.delivery.reply},
        "error": fault and error_as_json(fault),
        "diagnosis": fault and fault.diagnosis and diagnosis_as_json(fault.diagnosis),
    }


def open_streams() -> None:
    """Put the null device where standard input, output or error is closed.

    The next file that is opened would get the number otherwise: the lock, or the secret's pipe, in place of an output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for as long as the program runs
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def say(text: str, stream: TextIO, end: str = "\n") -> None:
    """Write a line. A closed pipe is passed over; any other failure on standard output raises InputOutputError."""
    try:
        print(text, file=stream, end=end, flush=True)
    except UnicodeEncodeError:
        say(text.encode("ascii", "backslashreplace").decode("ascii"), stream, end)
    except (OSError, ValueError) as error:
        abandon(stream)
        if isinstance(error, OSError) and error.errno != errno.EPIPE and stream is sys.stdout:
            raise InputOutputError("standard output", f"cannot be written: {error.strerror}", remedy="df -h") from None


def use_utf8(stream: TextIO) -> None:
    """Whatever the locale: for a format that knows no other encoding."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8")


def abandon(stream: TextIO) -> None:
    """Give a stream up: what it still holds would fail again when the interpreter ends, and change the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def colourful(stream: TextIO) -> bool:
    """Whether colours are wanted there: a terminal that shows them, and a person who has not declined them."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def columns(stream: TextIO) -> int:
    """The width of the terminal; 0 in a pipe, where lines are for grep, and at a serial console that knows no size."""
    if not stream.isatty():
        return 0
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return 0


def wrapped(text: str, stream: TextIO, indent: str, *, first: int = 0) -> str:
    """`text` folded to the terminal's width, continued lines indented; whole where there is no width."""
    text = printable(text)
    width = columns(stream)
    if width == 0:
        return text
    lines = textwrap.wrap(
        text,
        max(40, width),
        initial_indent=" " * first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return "\n".join(lines)[first:]


def styled(text: str, style: str) -> str:
    """`text` as this terminal shows it in the style."""
    from rich.console import Console  # imported where a person looks at colours, and nowhere else: it costs 60 ms
    from rich.text import Text as RichText

    console = Console()
    with console.capture() as shown:
        console.print(RichText(text, style=style), end="", soft_wrap=True)  # it is folded already
    return shown.get()


def table(rows: Sequence[Sequence[str]], styles: Sequence[str], fixed: Sequence[int], width: int) -> str:
    """Rows of cells, folded and never cut; `styles` of the rows' first cells, the first columns as wide as `fixed`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as RichText  # never markup: a path may have brackets in it

    console = Console(width=width)
    grid = Table.grid(padding=(0, 2), expand=True)
    for size in fixed:
        grid.add_column(width=size, overflow="fold")
    for share in range(len(rows[0]) - len(fixed)):
        grid.add_column(ratio=share + 2, overflow="fold")
    for row, style in zip(rows, styles, strict=True):
        first, *others = (printable(cell) for cell in row)
        grid.add_row(RichText(first, style=style), *(RichText(cell) for cell in others))
    with console.capture() as shown:
        console.print(grid)
    return "\n".join(line.rstrip() for line in shown.get().splitlines())
