"""The logrotate rule for msmtp's log."""

import re

LOGROTATE = "/etc/logrotate.d/msmtp"
# `create` does not leave the rights of the new log to the global setting, nor, where that is lacking, to msmtp's umask.
_RULE = """\
{log} {{
  rotate 4
  weekly
  compress
  missingok
  notifempty
  create 0600 root root
}}
"""


def text(log: str) -> bytes:
    """The rule: weekly, compressed, 4 are kept, the new log is root's alone; empty for a path that no rule can name."""
    pattern = _pattern(log)
    return _RULE.format(log=pattern).encode("utf-8", "surrogateescape") if pattern else b""


def _pattern(path: str) -> str:
    """The log as logrotate is to read it, in quotes where it has to; empty where no quotes help."""
    if re.fullmatch(r"/[A-Za-z0-9_./+@%:,=-]+", path):
        return path
    return f'"{path}"' if re.fullmatch(r'/[^"{}\\*?\[\]]+', path) and path.isprintable() else ""
