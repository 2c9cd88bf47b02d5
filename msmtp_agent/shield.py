"""The limits that this process sets itself while it may hold the secret."""

import os
import resource


def shield() -> None:
    """No core file of us or of a program that we start, and no file that others may read.

    A limit of 1 forbids a core file as 0 does, and also one that the kernel would pipe to a program (core(5)).
    """
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    most = 1 if hard == resource.RLIM_INFINITY else min(1, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    os.umask(0o077)
