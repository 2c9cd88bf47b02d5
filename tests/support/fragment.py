"""What the old fragment makes of an `smtp.config.yaml`: its own template, without the helper script, and Jinja2.

As on the machines that it was used on: PyYAML reads the settings as YAML 1.1, Jinja2 fills them in, and cloud-init's
PyYAML reads what comes out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml

TEMPLATE = jinja2.Template(Path(__file__).with_suffix(".yaml.tpl").read_text(), keep_trailing_newline=True)
MSMTPRC, ALIASES, LOGROTATE = "/etc/msmtprc", "/etc/aliases", "/etc/logrotate.d/msmtp"


def document(settings: str) -> dict[str, Any]:
    """The cloud-config; empty where the fragment makes none."""
    values = yaml.safe_load(settings) or {}
    return yaml.safe_load(TEMPLATE.render(**values)) or {}


def files(settings: str) -> dict[str, str]:
    """The content of each file that it writes, by path."""
    return {file["path"]: file["content"] for file in document(settings).get("write_files", ())}
