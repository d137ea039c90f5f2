"""What is said between us and a mail server, and what it means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mailer.model.said import said

MAIN_RELAY = "main"
"""What the account is called that has no section of its own in the settings."""


class Phase(StrEnum):
    """Where in the SMTP dialogue something happened. Up to CONTENT nothing can have been delivered."""

    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"
    FINAL_DOT = "final dot"


class Scope(StrEnum):
    """What a refusal is about, hence how far its consequence reaches (DESIGN, section 10)."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    ACCOUNT = "account"
    POLICY = "policy"
    AUTH = "auth"
    CONNECTION = "connection"


class Verdict(StrEnum):
    """What an attempt means for its delivery."""

    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    REQUEUED = "requeued"
    """Not this recipient's doing: the delivery keeps its place and its retries."""


class Action(StrEnum):
    """What the campaign does after an attempt, besides recording it."""

    CONTINUE = "continue"
    RECONNECT = "reconnect"
    PAUSE = "pause"
    STOP = "stop"


ENHANCED_CODE = re.compile(r"^\s*([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An SMTP reply (RFC 5321, 4.2); `text` has the lines of a multi-line reply joined by newlines."""

    code: int
    text: str

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code (RFC 3463), e.g. `5.1.1`, if the server gave one."""
        match = ENHANCED_CODE.match(self.text)
        return match[1] if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """An attempt's verdict, its scope and the server's own words.

    `reply` is None where the connection ended without one; `text` then says what happened in plain words.
    """

    verdict: Verdict
    scope: Scope
    phase: Phase
    text: str
    action: Action = Action.CONTINUE
    reply: Reply | None = None
    suppress: bool = False


Granted = bool | Exception
"""Whether an intent was granted, or why there is none. False: somebody else has decided about its delivery."""

Told = Callable[[Granted], None]


class Security(StrEnum):
    """How a connection is protected: by an upgrade, from the start, or (loopback only) not at all."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class SignIn(StrEnum):
    """Whose sign-in service gives out access tokens (OAuth 2)."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"


Tokens = Callable[[str | None], str]
"""Gives an access token; given one that a server has refused, another one. May ask a service and so take a while.

Raises Paused where that cannot be reached, RelayStopped where somebody has to sign in again.
"""


class Pipelining(StrEnum):
    """What is sent without waiting for answers (RFC 2920), where the server offers it.

    AUTO: the envelope of the next message leaves with the end of this one, a round trip each. MESSAGE: MAIL, RCPT and DATA
    together, two round trips. OFF: command by command, four.
    """

    AUTO = "auto"
    MESSAGE = "message"
    OFF = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayFacts:
    """What a relay says of itself once we are connected, and logged in if there is a user name.

    `tls` is the protocol's version, blank without encryption; `certificate_ends` in seconds since 1970, None if not known;
    `size` in octets (RFC 1870).
    """

    logged_in: bool
    tls: str = ""
    certificate_ends: float | None = None
    size: int | None = None
    pipelining: bool = False
    smtputf8: bool = False


PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Quota:
    """At most `count` messages in any window of `seconds`."""

    seconds: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Read `20/minute`, `500 / hour`, `1/10 seconds`. Raises ValueError with a sentence for the user."""
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d*)\s*(second|minute|hour|day|sec|min|s|m|h|d)s?\s*", text.lower())
        if not match or int(match[1]) < 1 or match[2] == "0":
            raise ValueError(said("{text!r} is not a rate; write for example 20/minute or 500/hour", text=text.strip()))
        period = next(name for name in PERIODS if name.startswith(match[3]))
        return cls(count=int(match[1]), seconds=int(match[2] or 1) * PERIODS[period])

    @classmethod
    def parse_all(cls, text: str) -> tuple[Quota, ...]:
        """Read a comma-separated list of rates."""
        return tuple(cls.parse(part) for part in text.split(",") if part.strip())

    def __str__(self) -> str:
        for name, seconds in reversed(PERIODS.items()):
            if self.seconds % seconds == 0:
                n = self.seconds // seconds
                return f"{self.count}/{name}" if n == 1 else f"{self.count}/{n} {name}s"
        raise AssertionError("unreachable: every whole number of seconds divides by one")
