"""The repairs as a program, `python3 -m tests.support.mend ID...`: it is killed and traced, and runs in a sandbox."""

from __future__ import annotations

import json
import os
import sys

from msmtp_agent import files, interruption, repair
from msmtp_agent.errors import AgentError, Interrupted
from msmtp_agent.host import Host
from msmtp_agent.model import Repair
from tests.support.repairs import facts, report, seen_by


def tell(done: Repair) -> None:
    """In one write, whatever the tracer does to it."""
    os.write(1, (json.dumps(done) + "\n").encode())


def main() -> int:
    interruption.install()
    try:
        with Host() as host, files.lock(Host()):
            repair.carry_out(host, repair.plan(host, seen_by(host, facts()), report(*sys.argv[1:])), tell)
    except AgentError as error:
        os.write(2, json.dumps([error.message, error.remedy]).encode())
        return int(error.code)
    except Interrupted as signal:
        return int(signal.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
