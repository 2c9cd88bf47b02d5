"""Draw docs/terminal.svg from a real interactive run of scripts/demo; scripts/picture gives it its interpreter."""

import re
import sys
from io import StringIO
from pathlib import Path

import pexpect
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parent.parent
COLUMNS = 100
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "xterm-256color", "HOME": "/root", "LANG": "C.UTF-8"}


def main() -> None:
    """Type a wrong password, the right one, and yes; write what the terminal showed."""
    seen = StringIO()
    child = pexpect.spawn(
        "scripts/demo", cwd=str(PROJECT), env=ENVIRONMENT, dimensions=(60, COLUMNS), encoding="utf-8", timeout=60
    )
    child.logfile_read = seen
    child.expect("SMTP password for")
    told = re.search(r"right password is:\s+(\S[^\r]*)", seen.getvalue())
    if told is None:
        sys.exit("scripts/demo told no password")
    child.sendline("a wrong guess")
    child.expect("SMTP password for")
    child.sendline(told[1])
    child.expect("Send a test mail")
    child.sendline("y")
    child.expect(pexpect.EOF)
    child.close()
    if child.exitstatus:
        sys.exit(f"scripts/demo ended with {child.exitstatus}")
    job = re.search(r"(\S*passed .*?)\n\n== ls", seen.getvalue().replace("\r", ""), re.DOTALL)
    if job is None:
        sys.exit("scripts/demo showed no job")
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi("# msmtp-config\n" + job[1]))
    # Without Rich's web fonts: a picture in a README fetches nothing.
    picture = re.sub(r"\s*@font-face \{.*?\}", "", console.export_svg(title="msmtp-config"), flags=re.DOTALL)
    (PROJECT / "docs" / "terminal.svg").write_text(picture)


if __name__ == "__main__":
    main()
