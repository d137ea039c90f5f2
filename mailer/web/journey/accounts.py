"""The account and what else is set: as it stands, whether mail will arrive, and the settings of which an organiser decides."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailer import account as steps
from mailer.account import Choice
from mailer.errors import SettingsError
from mailer.model import Quota
from mailer.preflight import presets
from mailer.settings import Settings, values
from mailer.web.journey.errands import Errands
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.ways import pace
from mailer.web.journey.words import gettext as _

DOCTOR_SECONDS, SEED_SECONDS = 90.0, 300.0
PERIODS = {"minute": 60, "hour": 3600, "day": 86400}
LEVELS = ("fail", "warn", "ok")


class Accounts:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages
        self.errands = Errands(means)

    # -- as it stands

    def page(self, request: Request) -> Response:
        """How the account is set up, and what an errand has found, named in the address."""
        return self._show(request)

    def _show(self, request: Request, **said: Any) -> Response:
        facts, missing, sender, ready, imap = [], None, "", False, ""
        try:
            # of several accounts the one that a campaign of the page goes over
            settings = self._means.settings().over()
            facts, sender = _facts(settings), settings.sender.address if settings.sender else ""
            ready = bool(settings.smtp_host and settings.sender and not steps.is_example(settings))
            imap = f"{settings.imap_username or ''}, {settings.imap_host}" if settings.imap_host else ""
            settings.require_sending()
        except SettingsError as error:
            missing = error
        looked = request.query_params.get("looked", "")
        doctor, seed = (self.errands.find(looked, kind) for kind in ("doctor", "seed"))
        return self._pages.show(
            request, "account", facts=[one for one in facts if one[1]], missing=missing, ready=ready, sender=sender,
            choices=_told(steps.choices(self._means.folder), imap), key=looked, doctor=doctor, seed=seed, levels=LEVELS, **said,
        )  # fmt: skip

    # -- errands

    async def examine(self, request: Request) -> Response:
        """Run `mailer doctor`, on the letter and the list that are being prepared if there are any. It mails nobody."""
        draft = self._pages.draft(request)
        names = [draft.letter, *[draft.list] * bool(draft.list)] if draft.letter else []
        column = [f"--email-column={draft.column}"] if len(names) == 2 and draft.column else []
        arguments = ["doctor", *column, "--", *names]
        key = await self.errands.begin("doctor", arguments, DOCTOR_SECONDS)
        url = draft.url("account")
        return RedirectResponse(f"{url}{'&' if '?' in url else '?'}looked={key}#look", 303)

    async def seed(self, request: Request) -> Response:
        """Run `mailer setup --seed-test`, which mails one letter to the person at the page."""
        to = request.state.form.get("to", "").strip()
        try:
            values.address(to)
        except ValueError:
            return self._show(request, wrong_to=_("This is not one e-mail address."), given_to=to)
        key = await self.errands.begin("seed", ["setup", "--seed-test", "--yes", f"--to={to}"], SEED_SECONDS)
        return RedirectResponse(f"/account?looked={key}#seed", 303)

    # -- what else is set

    def settings(self, request: Request) -> Response:
        known = steps.choices(self._means.folder)
        return self._show_settings(request, {name: one.text for name, one in known.items()}, known)

    def _show_settings(
        self, request: Request, texts: Mapping[str, str], known: Mapping[str, Choice], **said: Any
    ) -> Response:
        pieces = _in_pieces(texts.get("rate", ""))
        host = ""
        with contextlib.suppress(SettingsError):  # which is what is to be mended here
            host = self._means.settings().smtp_host or ""
        preset = presets.for_host(host)
        return self._pages.show(
            request, "settings", texts=texts, known=known, pieces=pieces, periods=PERIODS,
            preset=preset, limits=", ".join(map(pace, preset.limits)) if preset else "",
            suggested=", ".join(map(pace, preset.suggested)) if preset else "",
            **{"wrong": {}, "kept": False, **said},
        )  # fmt: skip

    def choose(self, request: Request) -> Response:
        """Keep all of them, or none if one is wrong."""
        form = dict(request.state.form)
        texts = {name: text.replace("\r\n", "\n") for name, text in form.items() if name in steps.CHOICES}
        if "per_minute" in form:
            texts["rate"] = _joined(form)
        wrong = steps.choose(self._means.folder, texts)
        known = steps.choices(self._means.folder)
        if wrong:
            return self._show_settings(request, texts, known, wrong=wrong, form=form)
        return self._show_settings(request, {name: one.text for name, one in known.items()}, known, kept=True)


def _facts(settings: Settings) -> list[tuple[str, str]]:
    sender = settings.sender
    named = f"{sender.name} <{sender.address}>" if sender and sender.name else sender.address if sender else ""
    return [
        (_("Letters are from"), named),
        (_("Mail server"), f"{settings.smtp_host}, {settings.smtp_port}" if settings.smtp_host else ""),
        (_("Signs in as"), settings.smtp_username or _("no user name is set, so mailer does not sign in")),
        (_("At most"), ", ".join(map(pace, settings.rate))),
    ]


def _told(known: Mapping[str, Choice], imap: str) -> Sequence[tuple[str, str, str]]:
    """What an organiser is asked about most, whether set or not."""
    titles = {
        "postal_address": _("Postal address"),
        "unsubscribe_mailto": _("To unsubscribe"),
        "unsubscribe_url": _("Page to unsubscribe"),
        "reply_to": _("Answers go to"),
        "bounce_address": _("Bounces go to"),
    }
    always = ("postal_address", "unsubscribe_mailto")
    told = [(name, title, known[name].text) for name, title in titles.items() if known[name].text or name in always]
    return [*told, ("imap_host", _("Is read for bounces"), imap)] if imap else told


def _in_pieces(rate: str) -> dict[str, str] | None:
    """A rate as numbers a minute, an hour and a day; None for one of another form."""
    try:
        quotas = Quota.parse_all(rate)
    except ValueError:
        return None
    names = {seconds: name for name, seconds in PERIODS.items()}
    found = {names[quota.seconds]: str(quota.count) for quota in quotas if quota.seconds in names}
    return found if len(found) == len(quotas) else None


def _joined(form: Mapping[str, str]) -> str:
    """The three numbers as the one setting that they are; what is no number is shown as it was typed."""
    given = {name: form.get(f"per_{name}", "").strip().replace(",", "").replace(".", "") for name in PERIODS}
    return ", ".join(f"{count}/{name}" for name, count in given.items() if count)
