"""A form to a sign-in service, and what it answers (RFC 6749, 4 and 5)."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from mailer.authorities import doubt
from mailer.errors import Paused, RelayStopped
from mailer.model import said
from mailer.oauth.service import Service
from mailer.privacy import without_addresses

TIMEOUT = 30.0
"""Seconds for one answer."""

LONGEST_ANSWER = 1_000_000
LIFETIME = 3600.0
"""Seconds that a token is good for where the service does not say."""

SETUP = "mailer setup"

MEANINGS = {
    "invalid_grant": said("The sign-in has ended, or was taken back"),
    "unauthorized_client": said("The application with this client id may not be used so"),
    "access_denied": said("Somebody said no to it"),
    "authorization_declined": said("Somebody said no to it"),
    "expired_token": said("Nobody signed in in time"),
    "invalid_scope": said("The application with this client id has no right to mail"),
}
"""What an error code (RFC 6749, 5.2; RFC 8628, 3.5) means for whoever signs in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """The application that the user registered with the service. Google wants a secret of those on a desktop, too."""

    service: Service
    id: str
    secret: str | None = field(default=None, repr=False)

    @property
    def credentials(self) -> dict[str, str]:
        """How it names itself in a form (RFC 6749, 2.3.1)."""
        return {"client_id": self.id} | ({"client_secret": self.secret} if self.secret else {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What a service gives. `seconds` is how long the access token is good for; `refresh` stays what it was if it is None."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    seconds: float


class ServiceRefusedError(Exception):
    """The service answered with an error. `str()` is its code."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A form with a secret goes to nobody but whom it was meant for."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The answer's fields. Raises ServiceRefusedError, Paused where the service cannot be reached or makes no sense."""
    request = urllib.request.Request(  # noqa: S310 - settings take only https, or this computer
        url,
        data=urlencode(form).encode(),
        # urllib would else name itself and Python's version
        headers={"Accept": "application/json", "User-Agent": "mail"},
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
            return _fields(answer.read(LONGEST_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            code = _fields(error.read(LONGEST_ANSWER)).get("error") if error.code < 500 else None
        if isinstance(code, str):
            raise ServiceRefusedError(readable(code)) from error
        raise away(said("it answers {code}", code=error.code)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise away(said("its certificate is not valid ({why})", why=doubt(reason))) from error
        raise away(readable(str(getattr(reason, "strerror", None) or reason)).rstrip(".")) from error


def _fields(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise away(said("it answers something else than it should"))
    return found


def readable(text: str) -> str:
    """What a stranger says, short and harmless."""
    return "".join(char if char.isprintable() else " " for char in without_addresses(text))[:200]


def away(why: str) -> Paused:
    """The service cannot be reached, or makes no sense."""
    return Paused(
        said("The sign-in service cannot be reached: {why}.", why=why),
        hint="check the network, then run the same command again",
    )


def granted(client: Client, form: Mapping[str, str]) -> Grant:
    """Ask for tokens. Raises ServiceRefusedError, Paused."""
    answer = post(client.service.token, {**client.credentials, **form})
    access, refresh, seconds = (answer.get(name) for name in ("access_token", "refresh_token", "expires_in"))
    if not isinstance(access, str) or not access.isascii() or not access.isprintable():
        raise away(said("it answers without a token"))
    good = refresh if isinstance(refresh, str) and refresh.isascii() and refresh.isprintable() else None
    try:
        lifetime = float(seconds) if seconds is not None else LIFETIME
    except (TypeError, ValueError):
        lifetime = LIFETIME
    return Grant(access=access, refresh=good or None, seconds=lifetime)


def refused(client: Client, error: ServiceRefusedError) -> RelayStopped:
    """The service's refusal for people."""
    code, title = str(error), client.service.title
    meaning = MEANINGS.get(code) or said("{title} refused it", title=title)
    if code == "invalid_client":
        meaning = said("The client id or client secret is not one that {title} knows", title=title)
    return RelayStopped(
        said("No sign-in with {title}. {meaning} ({code}).", title=title, meaning=meaning, code=code),
        hint=said("to sign in again: {setup}", setup=SETUP),
    )
