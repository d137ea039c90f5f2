"""The mailbox to which answers and bounces come: its server and login, tried before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mailer import account as steps
from mailer.account.reading import FIELDS, SECRET_FILE
from mailer.errors import MailerError, SettingsError
from mailer.settings import Settings, values
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.words import gettext as _


class Reading:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages

    def page(self, request: Request) -> Response:
        settings = self._means.settings()
        return self._show(request, settings, _as_set(settings))

    def _show(self, request: Request, settings: Settings, form: Mapping[str, str], **said: Any) -> Response:
        overruled: SettingsError | None = None
        try:
            steps.refuse_overruled_reading(settings)
        except SettingsError as error:
            overruled = error
        return self._pages.show(
            request, "reading", form=form, overruled=overruled, with_token=settings.reads_with_tokens, file=SECRET_FILE,
            **{"wrong": {}, "error": None, "kept": False, **said},
        )  # fmt: skip

    def choose(self, request: Request) -> Response:
        """Try the mailbox, in a thread of this request: other pages go on meanwhile."""
        settings, form = self._means.settings(), request.state.form
        steps.refuse_overruled_reading(settings)
        texts = {name: form.get(name, "").strip() for name in FIELDS}
        secret = form.get("imap_password", "")
        wrong = steps.wrong_fields(texts)
        if sentence := _wrong_secret(secret):
            wrong["imap_password"] = sentence
        if wrong:
            return self._show(request, settings, texts, wrong=wrong)
        return self._tried(request, settings, texts, secret, in_file=form.get("in_file") == "1")

    def _tried(
        self, request: Request, settings: Settings, texts: Mapping[str, str], secret: str, *, in_file: bool
    ) -> Response:
        try:
            file = steps.set_up_reading(self._means.folder, texts, secret, settings, in_file=in_file)
        except MailerError as error:
            return self._show(request, settings, texts, error=error)
        return self._show(request, self._means.settings(), texts, kept=True, kept_in=file)


def _as_set(settings: Settings) -> dict[str, str]:
    """What stands in the settings; port and encryption only where somebody chose."""
    found = {
        "imap_host": settings.imap_host or "",
        "imap_username": settings.imap_username or (settings.smtp_username or "" if not settings.imap_host else ""),
    }
    chosen = {name: getattr(settings, name) for name in ("imap_port", "imap_security") if settings.origin(name)}
    return {**found, **{name: str(value) for name, value in chosen.items()}}


def _wrong_secret(secret: str) -> str:
    if not secret:
        return _("This is still missing.")
    try:
        values.secret(secret)
    except ValueError:
        return _("It has a line break or another character that no password has.")
    return ""
