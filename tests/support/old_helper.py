"""The shell helper of old, in words of the tests' own, and a sandbox in which it stands before our command."""

from __future__ import annotations

from tests.support.sandbox import Sandbox

HELPER = "/usr/local/bin/msmtp-config"
HELPER_FIRST = "/usr/local/sbin/msmtp-config"
COMMAND = "/usr/bin/msmtp-config"
# Every kind of line that the helper has, and the faults that it is known for; what it says is said in other words.
SCRIPT = """\
#!/bin/bash
set -e

PASSWORD_FILE="/etc/msmtp-password"

echo "Password for the mail of this host"
echo ""
echo -n "Password: "
read -s ENTERED
echo ""

# The file is there before its mode is.
echo -n "$ENTERED" > "$PASSWORD_FILE"
chmod 600 "$PASSWORD_FILE"
echo "It is in $PASSWORD_FILE."

read -p "A mail to try it? [Y/n] " ANSWER
if [[ ! "$ANSWER" =~ ^[Nn]$ ]]; then
  HOSTNAME=$(hostname)
  RECIPIENT=$(grep "^root:" /etc/aliases | cut -d: -f2 | tr -d ' ')
  echo -e "Subject: Hello\\n\\nThis is $HOSTNAME, and it is $(date)." | msmtp "$RECIPIENT"
  if [ $? -eq 0 ]; then
    echo "Sent to $RECIPIENT."
  else
    echo "Not sent: see /var/log/msmtp.log."
  fi
fi
echo "That is all!"
"""
# As the package installs it.
PROGRAM = """\
#!/usr/bin/python3
import sys
from msmtp_agent.cli import main
sys.exit(main())
"""


def install(box: Sandbox, script: str | bytes = SCRIPT, path: str = HELPER) -> None:
    """A /usr of the sandbox's own with the package's command, and the script before it in root's PATH."""
    box.shell(
        "mkdir -p /run/usr/upper /run/usr/work;"
        "mount -n -t overlay overlay -o lowerdir=/usr,upperdir=/run/usr/upper,workdir=/run/usr/work /usr"
    )
    box.write(COMMAND, PROGRAM, mode=0o755)
    box.write(path, script, mode=0o755)
