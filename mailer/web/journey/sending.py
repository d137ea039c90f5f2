"""Steps four to six: a test to oneself, the approval of what stands under a seal, and the sending."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailer.campaign.rest import touched
from mailer.errors import SettingsError, UsageError
from mailer.model import Quota
from mailer.web.journey import command
from mailer.web.journey.addresses import campaign_url
from mailer.web.journey.continuing import Continuing, go_on
from mailer.web.journey.draft import Draft, lists_in
from mailer.web.journey.means import Means
from mailer.web.journey.outlook import draft_of, outlook
from mailer.web.journey.previews import Look, Previews
from mailer.web.journey.rendering import Pages
from mailer.web.journey.ways import pace
from mailer.web.journey.words import gettext as _

TEST_SECONDS = 180.0


class Sendings:
    def __init__(self, means: Means, pages: Pages, previews: Previews, continuing: Continuing) -> None:
        self._means, self._pages, self._previews, self._continuing = means, pages, previews, continuing

    # -- test

    def test(self, request: Request) -> Response:
        return self._show_test(request, self._pages.draft(request))

    def _show_test(self, request: Request, draft: Draft, **result: Any) -> Response:
        look = self._checked(draft, to_all=False)
        if isinstance(look, Response):
            return look
        try:
            settings = self._means.settings()
            to = settings.sender.address if settings.sender else ""
        except SettingsError:
            to = ""
        telling = [(contact.row, one) for contact, one in look.telling]
        return self._pages.show(request, "test", draft=draft, look=look, to=to, telling=telling, **result)

    async def send_test(self, request: Request) -> Response:
        """Run `mailer test`, which mails nobody of the list."""
        draft, form = self._pages.draft(request), request.state.form
        rows = [name[4:] for name in form if name.startswith("row-") and name[4:].isdecimal()]
        options = [f"--to={form.get('to', '').strip()}", *(f"--row={row}" for row in rows)]
        ran = await command.run(self._means, ["test", *options, *draft.arguments()])
        try:
            await asyncio.wait_for(ran.process.wait(), TEST_SECONDS)
        except TimeoutError:
            ran.process.kill()
            await ran.process.wait()
        result = ran.result()
        return await run_in_threadpool(
            self._show_test, request, draft, result=result, code=ran.code, words=ran.words(), given=form.get("to", "")
        )

    # -- approve

    def approve(self, request: Request) -> Response:
        draft = self._pages.draft(request)
        look = self._checked(draft)
        if isinstance(look, Response):
            return look
        with self._means.ledger(self._means.settings()) as ledger:
            approvals = ledger.approvals(draft.name, look.seal)
            others = not approvals and ledger.is_approved(draft.name)
        ahead = outlook(look, self._means)
        return self._pages.show(
            request,
            "approve",
            draft=draft,
            look=look,
            attachments=list(look.contents.attachments()),
            approvals=approvals,
            others=others,
            outlook=ahead,
        )

    def approved(self, request: Request) -> Response:
        """Note who approved the seal that the page showed; refused if it is another one by now."""
        draft, form = self._pages.draft(request), request.state.form
        look = self._checked(draft)
        if isinstance(look, Response):
            return look
        name = " ".join(form.get("name", "").split())[:100]
        if not name or form.get("looked") != "1":
            raise UsageError(
                _("Say who approves, and that you looked at the messages."), hint=_("go back to the step before")
            )
        if form.get("seal") != look.seal:
            raise UsageError(
                _("Something has changed since this page was shown, so nothing was approved."),
                hint=_("look at the preview again"),
            )
        with self._means.ledger(self._means.settings()) as ledger:
            ledger.approve(draft.name, look.seal, name)
            ledger.keep_prepared(draft.name, urlencode(list(draft.items())))
        return RedirectResponse(draft.url("approve" if form.get("then") == "again" else "send"), 303)

    def _approvals(self, draft: Draft, seal: str) -> list[tuple[str, Any]]:
        with self._means.ledger(self._means.settings()) as ledger:
            return ledger.approvals(draft.name, seal)

    def _checked(self, draft: Draft, *, to_all: bool = True) -> Look | Response:
        """The preview, all of it checked, and so that it may go `to_all`; else the way to the step that is missing."""
        if not (draft.list and draft.letter):
            return RedirectResponse(draft.url("letter" if draft.list else "list"), 303)
        look = self._previews.current(draft)
        held_up = (look.plan and look.plan.problems and not draft.skips) or (to_all and look.refusal)
        return look if look.seal and look.messages and not held_up else first(draft, "preview")

    # -- send

    def page(self, request: Request) -> Response:
        draft = self._pages.draft(request)
        look = self._checked(draft)
        if isinstance(look, Response):
            return look
        approvals = self._approvals(draft, look.seal)
        if not approvals:
            return first(draft, "approve")
        ahead, limits = outlook(look, self._means), self._means.settings().over().rate
        rates, seconds = [pace(rate) for rate in limits], least_seconds(ahead.now, limits)
        return self._pages.show(
            request, "send", draft=draft, outlook=ahead, approvals=approvals, rates=rates, seconds=seconds
        )

    async def begin(self, request: Request) -> Response:
        """Run `mailer send` with the seal that was approved, once the number is typed."""
        draft, form = self._pages.draft(request), request.state.form
        look = await run_in_threadpool(self._checked, draft)
        if isinstance(look, Response):
            return look
        if not await run_in_threadpool(self._approvals, draft, look.seal):
            return first(draft, "approve")
        ahead = await run_in_threadpool(outlook, look, self._means)
        if number_typed(form.get("number", "")) != str(ahead.now):
            raise UsageError(
                _("The number that was typed is not the number of messages. Nothing was sent."),
                hint=_("go back and type it again"),
            )
        if ahead.repeat and form.get("again") != "1":
            raise UsageError(
                _("Some of these people have this letter already. Nothing was sent."),
                hint=_("go back, and say whether they are to get it once more"),
            )
        if ahead.rest and ahead.rest.leaving and form.get("fewer") != "1":
            raise UsageError(
                _("Most of those who wait for the letter are not in this list. Nothing was sent."),
                hint=_("go back, and say whether it is the right list"),
            )
        hold = number_typed(form.get("hold", ""))
        if hold and not re.fullmatch(
            r"0*[1-9][0-9]{0,8}", hold
        ):  # to hold after nobody, or at a slip, is not to hold at all
            raise UsageError(
                _("After how many it is to hold is not a number from 1 on. Nothing was sent."),
                hint=_("go back and type it again"),
            )
        options = [f"--hold-after={hold}"] if hold else []
        options += ["--update"] if ahead.rest and ahead.rest.changes else []
        options += [f"--gone={ahead.rest.leaving.people}"] if ahead.rest and ahead.rest.leaving else []
        # under its name it is meant, and the command does not ask whether the list was only renamed
        named = replace(draft, campaign=draft.name) if ahead.repeat else draft
        await self._continuing.start(draft.name, ["send", "--yes", f"--seal={look.seal}", *options, *named.arguments()])
        return RedirectResponse(campaign_url(draft.name), 303)

    async def go_on(self, request: Request) -> Response:
        """The command that continues a campaign; where its letter or list was corrected, the way to look at the messages first."""
        name = request.path_params["name"]
        draft, corrected, workers = await run_in_threadpool(self._begun, name)
        if corrected:
            return RedirectResponse(f"{draft.url(self._step_of(draft))}&corrected=1", 303)
        await self._continuing.start(name, go_on(draft, *workers), goes_on=not workers)
        return RedirectResponse(campaign_url(name), 303)

    def rest(self, request: Request) -> Response:
        """The way to a corrected letter or list: to the letter, or where something was corrected already, to the messages."""
        draft, corrected, _workers = self._begun(request.path_params["name"])
        return RedirectResponse(draft.url(self._step_of(draft) if corrected else "letter"), 303)

    def _step_of(self, draft: Draft) -> str:
        """The step where what was corrected is looked at; where the list is gone, the one that says so."""
        return "preview" if draft.list in lists_in(self._means.folder) else "list"

    async def pause(self, request: Request) -> Response:
        name = request.path_params["name"]
        await self._continuing.pause(name)
        return RedirectResponse(campaign_url(name), 303)

    def _begun(self, name: str) -> tuple[Draft, list[str], list[str]]:
        """What a campaign began with, which files differ by now, and the options that leave it to workers where it is left to them."""
        settings = self._means.settings()
        with self._means.ledger(settings) as ledger:
            campaign = ledger.campaign(name)
            if campaign is None:
                raise HTTPException(404)
            draft = draft_of(ledger, campaign, self._means.folder)
            left = ledger.shared.standing(campaign) if ledger.is_shared else None
            tried = ledger.tried(campaign)
        source = draft.source(self._means, settings)
        corrected = touched(source, settings.identity(), campaign.manifest) if tried else []
        return draft, corrected, ["--detach", f"--queue={left.queue}"] if left else []


def number_typed(text: str) -> str:
    """What was typed for a number, without the signs that languages set between thousands."""
    return re.sub(r"[\s.,'’]", "", text)


def least_seconds(messages: int, rates: Sequence[Quota]) -> int:
    """How long so many take at least: a limit holds nobody up before it is reached."""
    return max(((math.ceil(messages / rate.count) - 1) * rate.seconds for rate in rates), default=0)


def first(draft: Draft, step: str) -> Response:
    """To the step that comes before the one that was asked for, which says so."""
    return RedirectResponse(f"{draft.url(step)}&first=1", 303)
