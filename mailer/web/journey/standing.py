"""Where things stand: the first page with the campaigns of the folder, each in a line, and their reports."""

from __future__ import annotations

import contextlib
import importlib
import io
import time
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from threading import Thread

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from mailer import report
from mailer.campaign.report import make_report
from mailer.campaign.standing import state_of
from mailer.contacts.naming import plain
from mailer.errors import MailerError, SettingsError
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Returned, Status, Tally
from mailer.report import Report
from mailer.web.journey.addresses import campaign_url
from mailer.web.journey.continuing import wished
from mailer.web.journey.draft import Draft
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.watching import on_the_page
from mailer.web.journey.words import figure, later, voice
from mailer.web.journey.words import gettext as _

SHOWN = 50
"""Campaigns on one page; the others are found by searching."""

AS_TABLE = {"Content-Disposition": 'attachment; filename="report.csv"'}

ORDERS = ("begun", "name", "state", "left")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A campaign in one line."""

    name: str
    state: str
    said: str
    left: int
    begun: datetime


class Standings:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages

    def start(self, request: Request) -> Response:
        """The campaigns, the newest first or as it was asked for, and whether mail can be sent at all."""
        missing: MailerError | None = None
        try:
            settings = self._means.settings()
            settings.require_sending()
        except SettingsError as error:
            missing = error
        words = request.query_params.get("q", "").casefold().split()
        order = request.query_params.get("sort", "")
        order = order if order in ORDERS else ORDERS[0]
        with self._means.ledger(self._means.settings()) as ledger:
            every = ledger.campaigns()
            found = [one for one in every if all(word in one.name.casefold() for word in words)]
            rows = sorted(_standings(ledger, found), key=KEYS[order])
            prepared = [(one, Draft.stored(one.draft, self._means.folder)) for one in ledger.prepared()]
        return self._pages.show(
            request,
            "start",
            campaigns=rows[:SHOWN],
            found=len(found),
            total=len(every),
            search=" ".join(words),
            order=order,
            missing=missing,
            prepared=prepared,
            background=BackgroundTask(_read_ahead),
        )

    def forget(self, request: Request) -> Response:
        """Leave out a campaign that was approved and is not to be sent."""
        with self._means.ledger(self._means.settings()) as ledger:
            ledger.forget_prepared(request.state.form.get("campaign", ""))
        return RedirectResponse("/", 303)

    def report(self, request: Request) -> Response:
        """The report with what can be chosen about it, anew whenever the ledger has something new."""
        with self._means.ledger(self._means.settings()) as ledger:
            campaign = _found(ledger, request)
            fields = _once(ledger.field_names(campaign))
        asked = request.query_params
        by, counts = asked.get("by", ""), asked.get("counts", "") == "1"
        return self._pages.show(
            request, "report", name=campaign.name, fields=fields, by=by if by in fields else "", counts=counts
        )

    def page(self, request: Request) -> Response:
        """The report of `mailer report --html`: `?by=` a column, `?counts=1` without anybody's address, `?save=1` as a file."""
        try:
            page = report.page(self._made(request), voice())
        except MailerError:  # a column that is no longer there
            return RedirectResponse(f"{campaign_url(request.path_params['name'])}/report/page", 303)
        policy = f"{report.policy()}; frame-ancestors 'self'"
        response = HTMLResponse(str(page), headers={"Content-Security-Policy": policy})
        if request.query_params.get("save") == "1":
            response.headers["Content-Disposition"] = 'attachment; filename="report.html"'
        return response

    def table(self, request: Request) -> Response:
        """A line for everybody, or with `?counts=1` one for each number, as `mailer report --csv` writes them."""
        if request.query_params.get("counts") == "1":
            text = io.StringIO(newline="")
            report.write_count_lines(text, self._made(request))
            return Response(text.getvalue().encode("utf-8-sig"), media_type="text/csv", headers=AS_TABLE)
        with self._means.ledger(self._means.settings()) as ledger:
            campaign = _found(ledger, request)
        return StreamingResponse(_streamed(self._lines(campaign)), media_type="text/csv", headers=AS_TABLE)

    def _lines(self, campaign: CampaignRecord) -> Generator[bytes]:
        """What is read stands under one look at the ledger, from its first line to its last."""
        yield BOM_UTF8
        with self._means.ledger(self._means.settings()) as ledger:
            for part in report.parts(campaign, ledger.records(campaign)):
                yield part.encode()

    def _made(self, request: Request) -> Report:
        with self._means.ledger(self._means.settings()) as ledger:
            campaign = _found(ledger, request)
            made = make_report(ledger, campaign, by=request.query_params.get("by") or None)
        return report.counts_only(made) if request.query_params.get("counts") == "1" else made


async def _streamed(parts: Generator[bytes]) -> AsyncIterator[bytes]:
    """Each part is made when the one before has left, and none any more once nobody listens."""
    try:
        while part := await run_in_threadpool(next, parts, b""):
            yield part
    finally:
        parts.close()


def _read_ahead() -> None:
    """Load what reads lists (pandas) once the first page is there, so that neither that page nor the first list waits for it.

    In a thread that nobody waits for, the end of the page included.
    """
    Thread(target=_import_quietly, args=("mailer.contacts.listing",), daemon=True, name="reading ahead").start()


def _import_quietly(name: str) -> None:
    # as the program ends an import fails in many ways; and whoever needs it meanwhile imports it anew, and hears what is wrong
    with contextlib.suppress(Exception):
        importlib.import_module(name)


KEYS = {
    "begun": lambda one: -one.begun.timestamp(),
    "name": lambda one: one.name.casefold(),
    "state": lambda one: (
        ("sending", "waiting", "left", "stopped", "paused", "finished").index(one.state),
        -one.begun.timestamp(),
    ),
    "left": lambda one: (-one.left, -one.begun.timestamp()),
}


def _once(fields: Sequence[str]) -> list[str]:
    """Each column once, as the list heads it: a ledger has it by the name that letters use as well."""
    headed = {plain(name) for name in fields if plain(name) != name}
    return [name for name in fields if name not in headed]


def _found(ledger: Ledger, request: Request) -> CampaignRecord:
    campaign = ledger.campaign(request.path_params["name"])
    if campaign is None:
        raise HTTPException(404)
    return campaign


def _standings(ledger: Ledger, campaigns: Sequence[CampaignRecord]) -> list[Standing]:
    tallies, goes_on = ledger.tallies(), wished(ledger, time.time())
    found = []
    for campaign in campaigns:
        tally = tallies.get(campaign.id, Tally())
        # of one that is over, and that nobody sends, no lock need be asked
        state = state_of(ledger, campaign, tally) if tally.work_left or campaign.owner else "finished"
        found.append(
            Standing(
                name=campaign.name,
                state=on_the_page(state, goes_on=campaign.name in goes_on),
                said=in_a_line(tally, ledger.returned(campaign)),
                left=tally.work_left,
                begun=campaign.started_at,
            )
        )
    return found


BESIDES = {
    Status.FAILED: later("%(number)s refused"),
    Status.UNCERTAIN: later("%(number)s in doubt"),
    Status.DEFERRED: later("%(number)s to be tried again"),
    Status.SUPPRESSED: later("%(number)s not to be mailed"),
    Status.SKIPPED: later("%(number)s skipped"),
}
SINCE = {
    "bounced": later("%(number)s came back"),
    "complained": later("%(number)s reported it as spam"),
    "unsubscribed": later("%(number)s unsubscribed"),
    "replied": later("%(number)s replied"),
}


def in_a_line(tally: Tally, returned: Returned) -> str:
    """What became of a campaign."""
    first = _("%(sent)s of %(total)s sent") % {"sent": figure(tally.sent), "total": figure(tally.total)}
    numbers = [(text, getattr(tally, status)) for status, text in BESIDES.items()]
    numbers += [(SINCE[name], number) for name, number in asdict(returned).items()]
    return ", ".join([first, *(_(text) % {"number": figure(number)} for text, number in numbers if number)])
