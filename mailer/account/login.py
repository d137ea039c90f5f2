"""Whether the server takes the login: with a password, or with a token for which somebody signs in."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from mailer.account.description import Account
from mailer.errors import MailerError, Paused, RelayStopped, SettingsError
from mailer.model import as_said, joined, said

if TYPE_CHECKING:
    from mailer.model import Outcome, RelayFacts, Tokens
    from mailer.oauth import Client, Grant
    from mailer.proxy import Proxy
    from mailer.settings import Settings
    from mailer.smtp import Relay

PATIENCE = 60.0
"""Seconds for the login test."""

NOTHING_CHANGED = said("Nothing was changed.")


class Sign(Protocol):
    """Tells a person where to sign in."""

    def code(self, page: str, code: str) -> None:
        """On any device: open the page, and type the code there."""

    def page(self, page: str) -> None:
        """In a browser of this computer, to which the service comes back."""

    def trying(self) -> None:
        """Somebody has signed in; now the mail server is asked."""


class Trouble(StrEnum):
    """What a login came to grief over, as far as people can do something about it."""

    LOGIN = "login"
    TLS = "tls"
    CONNECTION = "connection"
    ANSWER = "answer"


def relay_for(account: Account, secret: str, proxy: Proxy | None, tokens: Tokens | None = None) -> Relay:
    from mailer.smtp import Relay  # noqa: PLC0415 - imports aiosmtplib

    return Relay(
        host=account.host,
        port=account.port,
        security=account.security,
        username=account.username,
        password=secret,
        auth=account.login.auth.value,
        tokens=tokens,
        proxy=proxy,
    )


def tested(relay: Relay) -> RelayFacts | Outcome:
    """What the server says to the login. Raises Paused if it says nothing for long."""
    from mailer.smtp import survey  # noqa: PLC0415

    async def asked() -> RelayFacts | Outcome:
        async with asyncio.timeout(PATIENCE):
            return await survey(relay)

    try:
        return asyncio.run(asked())
    except TimeoutError:
        raise Paused(
            said("The mail server keeps silent. {unchanged}", unchanged=NOTHING_CHANGED),
            hint="run the same command later",
        ) from None


def trouble_of(found: Outcome) -> Trouble:
    """Which part of it went wrong."""
    from mailer.model import Phase  # noqa: PLC0415

    if offers_no_login(found):
        return Trouble.ANSWER
    if found.phase is Phase.AUTH:
        return Trouble.LOGIN
    if found.reply:
        return Trouble.ANSWER
    return Trouble.TLS if found.phase is Phase.TLS else Trouble.CONNECTION


def is_wrong_secret(found: Outcome) -> bool:
    """Whether the server knows the account otherwise: another password may do."""
    from mailer.model import Action, Phase, Scope  # noqa: PLC0415

    refused = found.phase is Phase.AUTH and found.scope is Scope.AUTH and found.action is Action.STOP
    return refused and not offers_no_login(found)


def offers_no_login(found: Outcome) -> bool:
    """Whether the server does not know what a login is, or has it turned off (RFC 5321, 4.2.4; RFC 4954, 4)."""
    from mailer.model import Phase  # noqa: PLC0415

    return found.phase is Phase.AUTH and found.reply is not None and found.reply.code in {500, 502, 503}


def refusal(account: Account, found: Outcome) -> MailerError:
    """The server's refusal as an error: what it means, and what to do at this provider."""
    from mailer.model import Action, Phase  # noqa: PLC0415
    from mailer.outcome import explain  # noqa: PLC0415

    if account.username is not None and offers_no_login(found):
        return RelayStopped(
            said(
                "{host} offers no login, so it took no user name and no password. {unchanged}",
                host=account.host,
                unchanged=NOTHING_CHANGED,
            ),
            hint="if it takes mail from this computer without one, set it up without a user name: mailer setup, and answer none when asked"
            " for it (or --username none); else look for another port, such as 587",
        )
    ours = account.preset
    kind = RelayStopped if found.action in {Action.STOP, Action.PAUSE} else Paused
    if found.reply or found.phase is Phase.AUTH:
        parts = [explain(found), NOTHING_CHANGED]
        if ours and found.phase is Phase.AUTH:
            parts.insert(1, said("With {provider}: {login}.", provider=ours.title, login=as_said(ours.login)))
        return kind(joined(" ", parts), hint=said("what happened: {text}", text=as_said(found.text)))
    words = said("{text:A.}", text=as_said(found.text))
    return kind(joined(" ", [words, NOTHING_CHANGED]), hint="mend it, and run the same command again")


def refuse_tokens_behind_proxy(settings: Settings) -> None:
    """Raise SettingsError: what asks for tokens knows no proxy, and would show the place that it is to hide."""
    if settings.proxy:
        raise SettingsError(
            "MAILER_PROXY is set, but the tokens to sign in with (xoauth2) would be asked for past it. Nothing was sent.",
            hint="sign in with a password made for this program, or take proxy out if Google or Microsoft may see where you are",
        )


def sign_in(account: Account, settings: Settings, sign: Sign) -> tuple[str, RelayFacts | Outcome]:
    """Let a person sign in, and try the token that comes of it: the refresh token, and what the server says.

    Raises RelayStopped, Paused, SettingsError.
    """
    from mailer.oauth import Access, Client, service_of  # noqa: PLC0415

    refuse_tokens_behind_proxy(settings)
    login = account.login
    assert login.service is not None
    assert login.client_id is not None
    assert account.username is not None
    service = service_of(login.service, settings.smtp_oauth_authority)
    client = Client(service=service, id=login.client_id, secret=login.client_secret)
    grant = _granted(client, account.username, sign)
    if grant.refresh is None:
        raise RelayStopped(
            said(
                "{title} gave no lasting sign-in (no refresh token). {unchanged}",
                title=service.title,
                unchanged=NOTHING_CHANGED,
            ),
            hint="look at the rights of the application that you registered, then run the same command again",
        )
    sign.trying()
    kept = [grant.refresh]
    found = tested(relay_for(account, "", None, Access(client, grant.refresh, keep=kept.append).token))
    return kept[-1], found


def _granted(client: Client, username: str, sign: Sign) -> Grant:
    """Say where to sign in, and wait for it."""
    from mailer.oauth import browser, device  # noqa: PLC0415

    if not client.service.device:
        return browser.sign_in(client, username, sign.page)
    code = device.begin(client)
    sign.code(code.page, code.code)
    return device.finish(client, code)
