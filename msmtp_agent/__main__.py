"""`python3 -m msmtp_agent` is `msmtp-config`."""

import sys

from .cli import main

sys.exit(main())
