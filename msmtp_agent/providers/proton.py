"""Facts of the two ways to send through Proton Mail: its own server, and its Bridge on this host."""

from .fact import SENDER, Fact, Port, Provider

_CHECKED = "2026-11-22"
_SUBMISSION = "https://proton.me/support/smtp-submission"
_LIMITS = "https://proton.me/support/email-sending-limits"
_BRIDGE = "https://proton.me/support/bridge-cli-guide"
_BRIDGE_SOURCE = "the Bridge's source"

PROTON: tuple[Provider, ...] = (
    Provider(
        id="proton",
        name="Proton Mail (direct)",
        hosts=("smtp.protonmail.ch",),
        ports=(Port(587),),
        kind="SMTP token",
        user=Fact("the address that the token was made for", _CHECKED, _SUBMISSION),
        password=Fact(
            "an SMTP token, made for an address of a custom domain; the account's own password is refused",
            _CHECKED,
            _SUBMISSION,
        ),
        steps=(
            "open https://account.proton.me > Settings > All settings > Proton Mail > IMAP/SMTP > SMTP submission > "
            "Generate token",
            "choose the address of your own domain; user and sender in /etc/msmtprc are that address",
        ),
        sender=Fact(
            "the address that the token was made for; an @proton.me address will not work",
            _CHECKED,
            _SUBMISSION,
        ),
        limits=(Fact("100 recipients of a mail; the rest depends on the account's reputation", _CHECKED, _LIMITS),),
        notes=(
            Fact(
                "some business plans, Visionary and Family have it, with an address of a custom domain (an undated "
                "copy of Proton's article)",
                _CHECKED,
                _SUBMISSION,
            ),
            Fact("mail sent this way is not encrypted from end to end", _CHECKED, _SUBMISSION),
        ),
        page=_SUBMISSION,
        checked=_CHECKED,
        login=SENDER,
    ),
    Provider(
        id="proton-bridge",
        name="Proton Mail Bridge",
        hosts=("127.0.0.1", "localhost", "127.*"),
        ports=(Port(1025, note="the Bridge's default; it can be changed there"),),
        kind="Bridge password",
        user=Fact("the Proton address, as the Bridge shows it", _CHECKED, _BRIDGE_SOURCE),
        password=Fact(
            "the password that the Bridge made for this account, not the one of the Proton account",
            _CHECKED,
            _BRIDGE_SOURCE,
        ),
        steps=(
            "on the host with the Bridge: protonmail-bridge --cli, then login (once) and info",
            "take user name and password of the part SMTP; in the window: the account > Mailbox details > SMTP",
        ),
        sender=Fact("an address of the account that is signed in to the Bridge", _CHECKED, _BRIDGE_SOURCE),
        limits=(Fact("those of the Proton account; 100 recipients of a mail", _CHECKED, _LIMITS),),
        notes=(
            Fact("it needs a paid plan", _CHECKED, "https://proton.me/mail/bridge"),
            Fact(
                "its certificate is its own, for 127.0.0.1 and 20 years: write host 127.0.0.1 and pin it with "
                "msmtp-config pin; tls_certcheck off is not needed",
                _CHECKED,
                _BRIDGE_SOURCE,
            ),
            Fact(
                "it refuses a wrong password with 454 4.7.0, which waiting does not heal",
                _CHECKED,
                _BRIDGE_SOURCE,
            ),
        ),
        page=_BRIDGE,
        checked=_CHECKED,
        login=SENDER,
    ),
)
