"""What a campaign needs besides its six steps: who is never to be mailed, and what is in doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailer.campaign.pasted import Unread, read_pasted
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
        """Add whoever was pasted; what of it names nobody is told by its place, and stays in the field."""
        form = request.state.form
        found = read_pasted([form.get("entry", "")])
        added, elsewhere = 0, list[str]()
        if found.keys:
            note = form.get("note", "").strip()[:200] or "asked not to be mailed"
            with self._ledger() as ledger:
                pairs = [(key, note) for key in found.keys]
                added = ledger.suppress(pairs, source="by hand", reason=Reason.MANUAL)
                elsewhere = ledger.moved_names()
        return self._show_suppressed(
            request,
            status=200 if found.keys else 422,
            added=_added(found.keys, added) if found.keys else [],
            elsewhere=elsewhere,
            domains=[key[1:] for key in found.keys if key.startswith("@")] if added else [],
            unread=_unread(found.unread) if found.unread or not found.keys else [],
            left="\n".join(one.text for one in found.unread),
            note=form.get("note", "") if found.unread else "",
        )

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
        """Write down what somebody has found out about each; the campaign's page says who is not mailed again for all that."""
        form, moved = request.state.form, None
        with self._ledger() as ledger:
            campaign = self._found(ledger, request)
            settle(ledger, campaign)
            # not by their rows: who was tried keeps the row of an earlier list, in which somebody else may be by now
            keys = {row.message_id: normalise(row.address) for row in ledger.records(campaign, Status.UNCERTAIN)}
            for status in (Status.SENT, Status.QUEUED):
                chosen = {keys[name] for name, value in form.items() if name in keys and value == status.value}
                if chosen:
                    decided = ledger.resolve(campaign, status, chosen)
                    moved = decided if status is Status.QUEUED else moved
        return _back(campaign, moved)

    def retry(self, request: Request) -> Response:
        """Queue those who failed once more; the campaign's page says what that came to."""
        with self._ledger() as ledger:
            campaign = self._found(ledger, request)
            settle(ledger, campaign)
            moved = ledger.requeue_failed(campaign)
        return _back(campaign, moved)

    def _found(self, ledger: Ledger, request: Request) -> CampaignRecord:
        campaign = ledger.campaign(request.path_params["name"])
        if campaign is None:
            raise HTTPException(404)
        return campaign


def _added(keys: Sequence[str], added: int) -> list[str]:
    """What came of those that were read, in sentences."""
    domain = keys[0].startswith("@")
    if len(keys) == 1 and not added:
        return [_("This domain was there already.") if domain else _("This address was there already.")]
    if len(keys) == 1:
        return [] if domain else [_("From now on nobody mails this address from this folder.")]
    known = len(keys) - added
    told = [
        (
            added,
            ngettext(
                "%(number)s was added: from now on it is never mailed from this folder.",
                "%(number)s were added: from now on they are never mailed from this folder.",
                added,
            ),
        ),
        (known, ngettext("%(number)s was there already.", "%(number)s were there already.", known)),
    ]
    return [text % {"number": figure(number)} for number, text in told if number]


def _unread(unread: Sequence[Unread]) -> list[str]:
    """What named nobody, in sentences."""
    told = [_(one.sentence) for one in unread[:MOST]]
    if len(unread) > MOST:
        more = len(unread) - MOST
        told.append(ngettext("and %(number)s more", "and %(number)s more", more) % {"number": figure(more)})
    return told or [_("No address was named.")]


def _back(campaign: CampaignRecord, moved: Moved | None) -> Response:
    """To the campaign's page, which says what came of it where somebody was to be queued."""
    said = f"?{urlencode(asdict(moved))}" if moved else ""
    return RedirectResponse(f"{campaign_url(campaign.name)}{said}", 303)


def requeued(query: Mapping[str, str]) -> list[str]:
    """What queueing people once more came to, in sentences, from the address that it leads to; none for any other."""
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
