"""What an SMTP server says at each stage of a conversation: as it should be, refusing, and refusing for now."""

from __future__ import annotations

from typing import Final, Literal, get_args

Stage = Literal["connect", "greeting", "ehlo", "starttls", "handshake", "auth", "mail", "rcpt", "data", "end"]
Fault = Literal["refuse", "temporary", "hang", "drop", "reset", "rubbish", "flood", "chatter", "trickle"]

STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)

FLOOD_BYTES: Final = 10_000_000
RUBBISH: Final = b"\x00\xff\xfe rubbish \x1b[31m\x07 \xc2\x9b31m\r\n"
# A TLS record that says `handshake_failure`: the polite way to refuse a handshake.
ALERT: Final = bytes.fromhex("15030300020228")

REFUSALS: Final[dict[Stage, bytes]] = {
    "greeting": b"554 5.7.1 no service for you\r\n",
    "ehlo": b"502 5.5.1 not implemented\r\n",
    "starttls": b"501 5.5.4 no TLS today\r\n",
    "handshake": ALERT,
    "auth": b"535 5.7.8 Error: authentication failed\r\n",
    "mail": b"553 5.7.1 sender not owned by user\r\n",
    "rcpt": b"550 5.1.1 no such user\r\n",
    "data": b"554 5.5.1 no valid recipients\r\n",
    "end": b"554 5.7.1 message refused as spam\r\n",
}
TEMPORARIES: Final[dict[Stage, bytes]] = {
    "greeting": b"421 4.3.2 come back later\r\n",
    "ehlo": b"421 4.3.2 come back later\r\n",
    "starttls": b"454 4.7.0 TLS not available due to temporary reason\r\n",
    "handshake": ALERT,
    "auth": b"454 4.7.0 Temporary authentication failure\r\n",
    "mail": b"451 4.3.0 try again later\r\n",
    "rcpt": b"450 4.2.0 greylisted\r\n",
    "data": b"451 4.3.0 try again later\r\n",
    "end": b"452 4.3.1 insufficient system storage\r\n",
}
GOOD: Final[dict[Stage, bytes]] = {
    "greeting": b"220 hostile.example.test ESMTP\r\n",
    "starttls": b"220 2.0.0 go ahead\r\n",
    "auth": b"235 2.7.0 accepted\r\n",
    "mail": b"250 2.1.0 sender fine\r\n",
    "rcpt": b"250 2.1.5 recipient fine\r\n",
    "data": b"354 end with a dot\r\n",
    "end": b"250 2.0.0 Ok: queued as HOSTILE1\r\n",
}
BY_COMMAND: Final[dict[bytes, Stage]] = {
    b"EHLO": "ehlo",
    b"HELO": "ehlo",
    b"STARTTLS": "starttls",
    b"AUTH": "auth",
    b"MAIL": "mail",
    b"RCPT": "rcpt",
    b"DATA": "data",
}
