"""What a failed run of msmtp stands for: an error of ours with msmtp's status and words, and the diagnosis."""

import time

from . import diagnosis
from .diagnosis.failure import understand
from .errors import AgentError, MsmtpError, RefusedError, TemporaryError
from .host import Host
from .model import Diagnosis, Outcome, Verification
from .msmtprc import Account
from .providers.fact import a_year_before
from .providers.local import known

_CONFINED = ("configuration", "secret", "tls", "log")  # where msmtp's AppArmor profile may be the reason


def explain(
    host: Host,
    account: Account | None,
    outcome: Outcome,
    *,
    version: str = "",
    stage: str = "",
    traits: frozenset[str] = frozenset(),
) -> Diagnosis:
    """What a failed run of msmtp means; `stage` is where it stopped, where that is known without msmtp's words.

    `version` is msmtp's own, `traits` are circumstances beyond the account's settings (see `diagnosis.failure`).
    """
    seen = understand(outcome.words, outcome.status, account, version=version, stage=stage, traits=traits)
    user, sender = (account.shown_user, account.get("from")) if account else ("", "")
    told = diagnosis.decode(seen, known(host)[0], user, sender, stale_before=a_year_before(time.time()))
    if account is None or seen.stage not in _CONFINED:
        return told
    from . import confinement  # here, because most failures are the server's

    return confinement.judge(host, account, seen, told)


def unusable(host: Host, account: Account, outcome: Outcome, version: str) -> AgentError:
    """The error of a pretended mail: msmtp cannot use its files, or cannot read the secret."""
    told = explain(host, account, outcome, version=version, stage="configuration")
    return failure(
        "msmtp --pretend", "the configuration cannot be used", outcome, told, remedy="msmtp --pretend -- root"
    )


def doubt(host: Host, account: Account, outcome: Outcome, version: str) -> AgentError:
    """The error of a probe whose password the server did not accept."""
    told = explain(host, account, outcome, version=version, traits=frozenset({"probe"}))
    server = f"{account.get('host')}:{account.port}"
    if outcome.verification is Verification.REFUSED:
        return RefusedError(
            server,
            f"refused the password of {account.shown_user}",
            words=outcome.words,
            remedy="msmtp-config   # with the right password",
            diagnosis=told,
        )
    remedy = "msmtp-config   # once the server answers"
    return failure(server, "could not judge the password", outcome, told, remedy=remedy)


def gist(words: tuple[str, ...]) -> tuple[str, ...]:
    """What failed, and what the server said first; without msmtp's closing line, which only says that it failed."""
    return tuple(line for line in words if not line.startswith("could not send mail"))[:2]


def failure(
    subject: str, observed: str, outcome: Outcome, told: Diagnosis, *, remedy: str, again: str = "msmtp-config"
) -> AgentError:
    """Msmtp's own failure, with its own exit status; a deadline is temporary, and so is a 4xx reply to AUTH.

    `again` is the command to be run anew where waiting may help.
    """
    kind: type[AgentError] = MsmtpError
    code = outcome.status
    if outcome.status is None:
        kind, code = TemporaryError, None
        observed += ": msmtp was still waiting at the deadline and was ended"
        remedy = f"{again} --timeout 120"
    elif outcome.status < 0:
        kind, code = AgentError, None
        observed += f": msmtp died of signal {-outcome.status}"
        remedy = ""
    elif outcome.status == RefusedError.code:
        kind, code = TemporaryError, None
        observed += " for now"
        remedy = f"{again}   # again in some minutes"
    else:
        observed += f": msmtp ended with {outcome.status}"
    return kind(subject, observed, words=outcome.words, remedy=remedy, code=code, diagnosis=told)
