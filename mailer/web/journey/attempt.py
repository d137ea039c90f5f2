"""One try to set the account up, beside the page: it may take a minute, or wait for a person to sign in somewhere else.

The secret stays in the thread that tries it. Nothing that a page shows is made from it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mailer import account as steps
from mailer.account import Account, Place, Trouble
from mailer.errors import MailerError, UsageError
from mailer.model import RelayFacts
from mailer.preflight import Check
from mailer.settings import Auth, Settings

PATIENCE = 600.0
"""Seconds for which an answer is waited for, with the secret in memory."""

MOST = 20
"""Tries that are remembered."""


class Stage(StrEnum):
    TRYING = "trying"
    CODE = "code"
    BROWSER = "browser"
    ASKING = "asking"
    REFUSED = "refused"
    DONE = "done"


@dataclass(eq=False, kw_only=True)
class Attempt:
    """What is known of it. `page` and `code` are where a person signs in; `given` is the form without its secrets."""

    account: Account
    given: dict[str, str]
    stage: Stage = Stage.TRYING
    page: str = ""
    code: str = ""
    error: MailerError | None = None
    trouble: Trouble | None = None
    place: Place | None = None
    checks: list[Check] = field(default_factory=list)
    _answer: bool = False
    _answered: threading.Event = field(default_factory=threading.Event, repr=False)

    def answer(self, *, yes: bool) -> None:
        """Whether the secret may be kept in a file."""
        self._answer = yes
        self._answered.set()

    def may_keep_in_file(self) -> bool:
        """Ask the person at the page, and wait."""
        self.stage = Stage.ASKING
        self._answered.wait(PATIENCE)
        self.stage = Stage.TRYING
        return self._answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """Tells whoever looks at the page where to sign in."""

    attempt: Attempt

    def code(self, page: str, code: str) -> None:
        self.attempt.page, self.attempt.code = page, code
        self.attempt.stage = Stage.CODE

    def page(self, page: str) -> None:
        self.attempt.page = page
        self.attempt.stage = Stage.BROWSER

    def trying(self) -> None:
        self.attempt.stage = Stage.TRYING


class Attempts:
    """The latest tries, by a name that nobody can guess."""

    def __init__(self, folder: Path, settings: Callable[[], Settings], bug: Callable[[Exception], MailerError]) -> None:
        self._folder, self._settings, self._bug = folder, settings, bug
        self._known: dict[str, Attempt] = {}

    def look(self, key: str) -> Attempt | None:
        """How one stands now, as a copy: it may go on while a page is made of it."""
        return copy(self._known[key]) if key in self._known else None

    def answer(self, key: str, *, yes: bool) -> None:
        """What a person answers to the one question that a try may have."""
        if key in self._known:
            self._known[key].answer(yes=yes)

    def begin(self, attempt: Attempt, settings: Settings, secret: str) -> str:
        """Try it in a thread of its own, which does not keep the page from ending."""
        key = secrets.token_urlsafe(18)
        self._known[key] = attempt
        for old in list(self._known)[:-MOST]:
            del self._known[old]
        threading.Thread(target=self._try, args=(attempt, settings, secret), name="setup", daemon=True).start()
        return key

    def _try(self, attempt: Attempt, settings: Settings, secret: str) -> None:
        try:
            self._set_up(attempt, settings, secret)
        except MailerError as error:
            attempt.error = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says so
            attempt.error = self._bug(error)
        attempt.stage = Stage.REFUSED if attempt.error else Stage.DONE

    def _set_up(self, attempt: Attempt, settings: Settings, secret: str) -> None:
        """As the command does it: the login first, then the secret, then `.env`."""
        account = attempt.account
        if account.login.auth is Auth.XOAUTH2:
            secret, found = steps.sign_in(account, settings, Signing(attempt=attempt))
        else:
            found = steps.tested(steps.relay_for(account, secret, settings.way))
        if not isinstance(found, RelayFacts):
            attempt.trouble = steps.trouble_of(found)
            raise steps.refusal(account, found)
        attempt.place = self._place(attempt, settings, secret)
        steps.keep(account, settings, secret, attempt.place, self._folder)
        attempt.checks = steps.checks_of(account, found, self._settings())

    def _place(self, attempt: Attempt, settings: Settings, secret: str) -> Place:
        # without a login there is nothing to keep, and this says yes
        if steps.keep_in_keyring(attempt.account, secret):
            return Place()
        if not attempt.may_keep_in_file():
            raise UsageError(steps.NO_ANSWER)
        return steps.new_file(settings, self._folder)
