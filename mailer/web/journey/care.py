"""What a campaign needs besides its six steps: who is never to be mailed, and what is in doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailer.campaign.suppressing import entry_of
from mailer.errors import UsageError
from mailer.ledger import Ledger, settle
from mailer.ledger.deliveries import Moved
from mailer.model import CampaignRecord, Reason, Status
from mailer.suppression import normalise
from mailer.web.journey.addresses import campaign_url
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.words import figure, ngettext
from mailer.web.journey.words import gettext as _

MOST = 500
"""Rows of a table; more are told by their number."""


class Care:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages

    def _ledger(self) -> Ledger:
        return self._means.ledger(self._means.settings())

    # -- suppressions

    def suppressed(self, request: Request) -> Response:
        return self._show_suppressed(request)

    def _show_suppressed(self, request: Request, **said: Any) -> Response:
        words = said.pop("search", request.query_params.get("q", "")).casefold().split()
        with self._ledger() as ledger:
            rows = list(reversed(ledger.suppression_rows()))
        found = [
            row for row in rows if all(word in f"{row.entry or ''} {row.note} {row.scope}".casefold() for word in words)
        ]
        return self._pages.show(
            request, "suppressed", rows=found[:MOST], found=len(found), total=len(rows), search=" ".join(words), **said
        )

    def search(self, request: Request) -> Response:
        """By a form that is posted: what is looked for is an address, which no browser's history is to keep."""
        return self._show_suppressed(request, search=request.state.form.get("q", ""))

    def suppress(self, request: Request) -> Response:
        form = request.state.form
        key = entry_of(form.get("entry", ""))
        if key is None:
            raise UsageError(
                _("This is neither an address nor a domain. Nothing was changed."),
                hint=_("write for example pat@example.org, or @example.org for everybody there"),
            )
        with self._ledger() as ledger:
            note = form.get("note", "").strip()[:200] or "asked not to be mailed"
            added = ledger.suppress([(key, note)], source="by hand", reason=Reason.MANUAL)
        return self._show_suppressed(request, added=added, domain=key[1:] if key.startswith("@") else "")

    def allow(self, request: Request) -> Response:
        """Let one be mailed again, named by the hash in the table: no address has to travel."""
        digest = request.state.form.get("hash", "")
        with self._ledger() as ledger:
            entries = [row.entry for row in ledger.suppression_rows() if row.hash.hex() == digest and row.entry]
            removed = ledger.unsuppress(entries)
            # they stay left out of what has begun until somebody queues them there
            without = ledger.left_out(entries)
        return self._show_suppressed(request, removed=removed, without=without)

    # -- in doubt

    def uncertain(self, request: Request) -> Response:
        with self._ledger() as ledger:
            campaign = self._found(ledger, request)
            settle(ledger, campaign)
            rows = list(ledger.records(campaign, Status.UNCERTAIN, most=MOST))
            tally = ledger.tally(campaign)
        return self._pages.show(request, "uncertain", name=campaign.name, rows=rows, tally=tally)

    def resolve(self, request: Request) -> Response:
        """Write down what somebody has found out about each."""
        form = request.state.form
        with self._ledger() as ledger:
            campaign = self._found(ledger, request)
            settle(ledger, campaign)
            keys = {str(row.row): normalise(row.address) for row in ledger.records(campaign, Status.UNCERTAIN)}
            for status in (Status.SENT, Status.QUEUED):
                chosen = {keys[name[4:]] for name, value in form.items() if name[4:] in keys and value == status.value}
                if chosen:
                    ledger.resolve(campaign, status, chosen)
        return RedirectResponse(campaign_url(campaign.name), 303)

    def retry(self, request: Request) -> Response:
        """Queue those who failed once more; the campaign's page says what that came to."""
        with self._ledger() as ledger:
            campaign = self._found(ledger, request)
            settle(ledger, campaign)
            moved = ledger.requeue_failed(campaign)
        return RedirectResponse(f"{campaign_url(campaign.name)}?{urlencode(asdict(moved))}", 303)

    def _found(self, ledger: Ledger, request: Request) -> CampaignRecord:
        campaign = ledger.campaign(request.path_params["name"])
        if campaign is None:
            raise HTTPException(404)
        return campaign


def requeued(query: Mapping[str, str]) -> list[str]:
    """What queueing the failed once more came to, in sentences, from the address that it leads to; none for any other."""
    numbers = {one.name: query.get(one.name, "") for one in fields(Moved)}
    if not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers.values()):
        return []
    moved = Moved(**{name: int(number) for name, number in numbers.items()})
    told = (
        (
            moved.moved,
            ngettext(
                "%(number)s is queued again. Nothing was sent yet.",
                "%(number)s are queued again. Nothing was sent yet.",
                moved.moved,
            ),
        ),
        (
            moved.suppressed,
            ngettext(
                "%(number)s is not queued, since it is suppressed: somebody asked not to be mailed, or the address is dead.",
                "%(number)s are not queued, since they are suppressed: they asked not to be mailed, or the address is dead.",
                moved.suppressed,
            ),
        ),
        (
            moved.unlisted,
            ngettext(
                "%(number)s is not queued, since it is no longer in the list.",
                "%(number)s are not queued, since they are no longer in the list.",
                moved.unlisted,
            ),
        ),
    )
    said = [text % {"number": figure(number)} for number, text in told if number]
    return said or [_("Nothing has failed in this campaign.")]
