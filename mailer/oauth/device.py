"""Signing in with a code that is typed on any device with a browser (RFC 8628); Microsoft allows it for mail."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mailer.model import said
from mailer.oauth.asking import Client, Grant, ServiceRefusedError, away, granted, post, refused

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5.0
"""Seconds between two questions where the service does not say, and by how many more it may ask us to slow down (3.5)."""

LONGEST = 1800.0
"""Seconds in which a person can sign in, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """What is to be typed where. Times in seconds."""

    page: str
    code: str
    secret: str = field(repr=False)
    seconds: float
    interval: float


def begin(client: Client) -> Code:
    """Ask for a code. Raises RelayStopped, Paused."""
    try:
        answer = post(client.service.device, {"client_id": client.id, "scope": client.service.scope})
    except ServiceRefusedError as error:
        raise refused(client, error) from error
    try:
        return Code(
            page=str(answer["verification_uri"]),
            code=str(answer["user_code"]),
            secret=str(answer["device_code"]),
            seconds=min(float(answer["expires_in"]), LONGEST),
            interval=max(0.0, float(answer.get("interval", INTERVAL))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise away(said("it gives no code")) from error


def finish(client: Client, code: Code, *, sleep: Callable[[float], None] = time.sleep) -> Grant:
    """Wait until somebody has signed in. Raises RelayStopped, Paused."""
    interval, waited = code.interval, 0.0
    while waited <= code.seconds:
        sleep(interval)
        waited += max(interval, 1.0)
        try:
            return granted(client, {"grant_type": GRANT, "device_code": code.secret})
        except ServiceRefusedError as error:
            if str(error) == "slow_down":
                interval += INTERVAL
            elif str(error) != "authorization_pending":
                raise refused(client, error) from error
    raise refused(client, ServiceRefusedError("expired_token"))
