"""Write what the catalogue of checks says elsewhere: docs/checks.md, and the ids in the three completions."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from msmtp_agent.checks import CATALOGUE
from msmtp_agent.checks.document import page

PROJECT = Path(__file__).resolve().parents[1]
# The file, what stands before and behind the ids in it, their indentation, and what ends a line that goes on.
COMPLETIONS = (
    ("bash/msmtp-config", r"local checks='\n", r"\n    '", 8, ""),
    ("fish/msmtp-config.fish", r"set -l checks \\\n", r"\n\n", 4, " \\"),
    ("zsh/_msmtp-config", r"local -a checks=\(\n", r"\n\)", 4, ""),
)


def main() -> None:
    """Write them, in place."""
    (PROJECT / "docs/checks.md").write_text(page())
    ids = " ".join(check.id for check in CATALOGUE)
    for name, before, after, indent, end in COMPLETIONS:
        file = PROJECT / "completions" / name
        lines = textwrap.wrap(ids, 110 - indent, break_on_hyphens=False, break_long_words=False)
        listed = f"{end}\n".join(" " * indent + line for line in lines)
        pattern = re.compile(f"({before}).*?({after})", re.DOTALL)
        text = file.read_text()
        found = pattern.search(text)
        if found is None:
            raise RuntimeError(f"{name}: no list of checks")
        file.write_text(text[: found.end(1)] + listed + text[found.start(2) :])


if __name__ == "__main__":
    main()
