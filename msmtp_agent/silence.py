"""Where a mail stops for which msmtp had to be ended: the first stages of `diagnose`, once more and in short."""

from copy import copy

from .diagnose_route import Route
from .diagnosed import STAGES
from .errors import AgentError
from .explain import explain
from .host import Host
from .journal import Journal
from .model import Diagnosis, Outcome, StageResult, Status, Wishes
from .msmtp import Msmtp
from .msmtprc import Account
from .secret import Secret

_PATIENCE = 5.0  # s for each look: a person has waited for msmtp's whole deadline already


class _Nobody:
    """A listener who wants to know nothing but the end."""

    def stage(self, result: StageResult) -> None:
        """Nothing."""

    def warning(self, text: str) -> None:
        """Nothing."""


def place(host: Host, msmtp: Msmtp, account: Account, secret: Secret | None) -> Diagnosis:
    """Why this msmtp was still waiting at its deadline: it says nothing then, so the server is looked at anew.

    It is what `diagnose` would say; no password is sent for it. Each look takes msmtp's own deadline at most, and no
    more than five seconds.
    """
    hurried = copy(msmtp)
    hurried.timeout = min(msmtp.timeout, _PATIENCE)
    journal = Journal(_Nobody(), STAGES, unreached=Status.NOT_REACHED)
    route = Route(host, Wishes(timeout=hurried.timeout), journal, hurried, account, secret)
    silent = Outcome(None, ())
    try:
        route.resolve_and_connect()
        route.tls()
        route.capabilities()
    except AgentError as error:
        return error.diagnosis or explain(host, account, silent, version=msmtp.version())
    return route.no_login(silent).diagnosis or explain(host, account, silent, version=msmtp.version(), stage="auth")
