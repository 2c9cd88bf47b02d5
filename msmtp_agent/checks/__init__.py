"""The catalogue: every check of the audit, in the order in which they run and are told."""

from . import aliases, apparmor, configuration, delivery, elsewhere, log, secret_file, settings, strays, tls, way_in
from .check import Check

GROUPS = tuple(
    module.CHECKS
    for module in (
        secret_file,
        strays,
        configuration,
        settings,
        tls,
        aliases,
        log,
        way_in,
        apparmor,
        elsewhere,
        delivery,
    )
)
CATALOGUE: tuple[Check, ...] = tuple(check for group in GROUPS for check in group.checks)
