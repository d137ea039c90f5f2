"""Access tokens as they are needed, from the refresh token of one sign-in (RFC 6749, 6)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mailer.errors import Paused
from mailer.oauth.asking import Client, ServiceRefusedError, granted, refused

EARLY = 120.0
"""Seconds before its end in which a token is not used any more: a login may take that long, and clocks differ."""


class Access:
    """One account's access. Threads may share it; a run needs one token an hour, however often it connects."""

    def __init__(
        self,
        client: Client,
        refresh: str,
        *,
        keep: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep` gets a new refresh token, where the service gives one: the old one may end."""
        self._client = client
        self._refresh = refresh
        self._keep = keep
        self._clock = clock
        self._token = ""
        self._until = 0.0
        self._renewing = threading.Lock()

    def token(self, not_this: str | None = None) -> str:
        """A token that is good now, and another one than that which a server has refused.

        Raises Paused where the service cannot be reached, RelayStopped where somebody has to sign in again.
        """
        with self._renewing:
            if not self._token or self._token == not_this or self._clock() >= self._until:
                self._renew()
            return self._token

    def _renew(self) -> None:
        asked = self._clock()
        try:
            grant = granted(self._client, {"grant_type": "refresh_token", "refresh_token": self._refresh})
        except ServiceRefusedError as error:
            if str(error) in {"temporarily_unavailable", "server_error"}:
                raise Paused("The sign-in service is busy.", hint="run the same command again later") from error
            raise refused(self._client, error) from error
        self._token, self._until = grant.access, asked + grant.seconds - EARLY
        if grant.refresh and grant.refresh != self._refresh:
            self._refresh = grant.refresh
            self._keep(grant.refresh)
