"""A campaign that is watched: where it stands, what holds it and until when, and its log, told again whenever they change."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from mailer.campaign.rest import touched
from mailer.campaign.resuming import Next, Step, next_step
from mailer.campaign.standing import state_of
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Entry, Happening, OutOfHours, Quota, Status, Tally
from mailer.web.journey import log
from mailer.web.journey.care import requeued
from mailer.web.journey.command import Command
from mailer.web.journey.continuing import ENDED
from mailer.web.journey.draft import Draft
from mailer.web.journey.means import Means
from mailer.web.journey.outlook import draft_of
from mailer.web.journey.rendering import Pages
from mailer.web.journey.ways import in_words, pace, ways_in
from mailer.web.journey.words import figure, later
from mailer.web.journey.words import gettext as _

if TYPE_CHECKING:
    from mailer.settings import Settings

EVERY = 0.5
"""Seconds between two looks at the ledger while somebody watches what is being sent."""

IDLE = 2.0
"""The same while nothing is sent: what comes back, or another program begins, is seen as soon as that."""

SHARE = 0.1
"""Of the time, at most so much is spent looking: the counts of a million take a while."""

SELDOM = 10.0
"""Seconds between two looks, however long they take."""

PACE_OVER = 60.0
"""Seconds over which the pace is told that a campaign is going at."""

UNDER_WAY = frozenset({"sending", "starting"})


STANDS_STILL = frozenset({"paused", "stopped", "left"})
"""A person has it go on."""


def on_the_page(state: str, *, goes_on: bool) -> str:
    """A campaign's state as the page calls it, which goes on with some by itself: `waiting` here, where for the terminal it waits for workers."""
    if state == "waiting":
        state = "left"
    return "waiting" if goes_on and state in STANDS_STILL else state


class Watching:
    def __init__(self, means: Means, pages: Pages, running: Callable[[str], Command | None]) -> None:
        self._means, self._pages, self._running = means, pages, running
        self._ending = asyncio.Event()
        self._touched: dict[str, tuple[object, list[str]]] = {}

    def watch(self, request: Request) -> Response:
        name = request.path_params["name"]
        state = self._state(name)
        if state is None:
            raise HTTPException(404)
        with self._means.ledger(self._means.settings()) as ledger:
            campaign = ledger.campaign(name)
            fields = ledger.field_names(campaign) if campaign else []
            again = next((one.draft for one in ledger.prepared() if one.campaign == name), "")
        return self._pages.show(
            request,
            "campaign",
            name=name,
            state=state,
            words=WORDS,
            returned=RETURNED,
            fields=fields,
            requeued=requeued(request.query_params),
            stands_still=state["state"] in STANDS_STILL,
            again=Draft.stored(again, self._means.folder).url("send") if again else "/",
        )

    def log(self, request: Request) -> Response:
        """A page of the log. It is asked for by a form that is posted: what is looked for may be an address."""
        form = request.state.form
        with self._means.ledger(self._means.settings()) as ledger:
            campaign = ledger.campaign(request.path_params["name"])
            found = log.lines(ledger, campaign) if campaign else ()
            return JSONResponse(log.page(found, form.get("q", ""), log.asked_from(form)))

    async def events(self, request: Request) -> Response:
        """Where the campaign stands, again whenever that changes (server-sent events)."""
        name = request.path_params["name"]
        if await run_in_threadpool(self._state, name) is None:
            raise HTTPException(404)
        return StreamingResponse(self._told(name), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _told(self, name: str) -> AsyncIterator[str]:
        recent: deque[tuple[float, int]] = deque()
        last, quiet, total = None, 0, 0
        while not self._ending.is_set():
            began = time.monotonic()
            state = await run_in_threadpool(self._state, name)
            if state is None:
                return
            now = time.monotonic()
            if state["total"] != total:  # it has just begun, or goes to others, too
                recent.clear()
                total = state["total"]
            recent.append((now, state["done"]))
            while recent[0][0] < now - PACE_OVER:
                recent.popleft()
            since, before = recent[0]
            _estimate(state, (state["done"] - before) / (now - since) if now - since > 1 else 0.0)
            text = json.dumps(state)
            if text != last:
                yield f"data: {text}\n\n"
                last, quiet = text, 0
            elif (quiet := quiet + 1) % 15 == 0:
                yield ": still here\n\n"
            with contextlib.suppress(TimeoutError):
                every = EVERY if state["state"] in UNDER_WAY else IDLE
                rest = min(max(every, (now - began) / SHARE), SELDOM)
                await asyncio.wait_for(self._ending.wait(), rest)

    def _state(self, name: str) -> dict[str, Any] | None:
        """Everything that is told of a campaign at one moment; None for one that nobody has begun."""
        running = self._running(name)
        alive = running is not None and running.code is None
        settings = self._means.settings()
        with self._means.ledger(settings) as ledger:
            campaign = ledger.campaign(name)
            if campaign is None and running is None:
                return None
            tally = ledger.tally(campaign) if campaign else Tally()
            stands = state_of(ledger, campaign, tally) if campaign else "refused"
            waits = self._waits(ledger, campaign) if campaign and stands != "sending" and not alive else None
            known = _known(ledger, campaign, _rates(ledger, campaign, settings)) if campaign else {}
            begun = draft_of(ledger, campaign, self._means.folder) if campaign and ledger.tried(campaign) else None
        if stands != "sending" and alive:
            stands = "starting"
        state = on_the_page(stands, goes_on=waits is not None)
        # who gets no letter is not done when the first one leaves
        left_out = tally.suppressed + tally.skipped
        return {
            "state": state,
            "counts": {status.value: getattr(tally, status) for status in Status},
            "total": tally.total,
            "left": tally.work_left,
            "mailed": tally.total - left_out,
            "done": tally.total - left_out - tally.work_left,
            "corrected": self._corrected(campaign, begun, settings)
            if campaign and begun and state in STANDS_STILL
            else [],
            "in_use": waits.other if waits and waits.next is Next.IN_USE else None,
            # whoever waits for another campaign to be done has nothing to mend
            **_ended(None if waits else running, practising=bool(self._means.practice_of)),
            **({"last": None, "quotas": [], "returned": {}, "next_due": None, "away": None, "news": []} | known),
            **(_over(running, known.get("last")) if state == "finished" else {}),
        }

    def _corrected(self, campaign: CampaignRecord, draft: Draft, settings: Settings) -> list[str]:
        """The files that are no longer as they were when the campaign began; looked into again when one of them has changed."""
        frozen = campaign.manifest
        paths = (*frozen.letter, *frozen.attachments, frozen.list_name, "mailer.toml", ".env", "templates")
        stamp = (campaign.revision, draft, *(_stamp(self._means.folder / path) for path in paths))
        if self._touched.get(campaign.name, (None, []))[0] != stamp:
            found = touched(draft.source(self._means, settings), settings.identity(), frozen)
            self._touched[campaign.name] = stamp, found
        return self._touched[campaign.name][1]

    def _waits(self, ledger: Ledger, campaign: CampaignRecord) -> Step | None:
        """What a campaign waits for that goes on by itself; None for one that does not."""
        if campaign.name not in ledger.wishes():
            return None
        step = next_step(ledger, campaign, time.time())
        return None if step.next is Next.NOTHING else step

    def end(self) -> None:
        """Tell nobody any more."""
        self._ending.set()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        there = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return there.st_mtime_ns, there.st_size


def _rates(ledger: Ledger, campaign: CampaignRecord, settings: Settings) -> Sequence[Quota]:
    """The limits of the account that the campaign went over last."""
    account = ledger.account_of(campaign)
    return next((one.rate for one in settings.accounts.values() if one.account == account), settings.over().rate)


def _known(ledger: Ledger, campaign: CampaignRecord, rates: Sequence[Quota]) -> dict[str, Any]:
    account = ledger.account_of(campaign)
    return {
        "last": _last(ledger.last_entry(campaign)),
        "quotas": [_pressing(ledger, account, quota) for quota in rates] if account else [],
        "returned": asdict(ledger.returned(campaign)),
        "next_due": ledger.next_due(campaign),
        "away": _away(campaign, ledger.out_of_hours(campaign, time.time())),
        "news": ledger.newest(campaign),
    }


def _away(campaign: CampaignRecord, waiting: OutOfHours | None) -> dict[str, Any] | None:
    """Who waits for their office hours."""
    return {"hours": campaign.hours, **asdict(waiting)} if waiting else None


def _pressing(ledger: Ledger, account: str, quota: Quota) -> dict[str, Any]:
    """How much of a quota is used, and if it is all, from when on there is some again."""
    used, until = ledger.used(account, quota, time.time())
    return {"limit": pace(quota), "used": used, "of": quota.count, "seconds": quota.seconds, "until": until}


def _last(entry: Entry | None) -> dict[str, Any] | None:
    """Why a campaign stands still, as its diary has it; nothing for one that went on to its end."""
    if entry is None or entry.kind not in {Happening.HELD, Happening.PAUSED, Happening.STOPPED}:
        return None
    said, _newline, hint = entry.text.partition("\n")
    if entry.kind is Happening.HELD:
        said = _("Held after the first %(number)s, as you asked. Look how they fared, then go on.") % {
            "number": figure(entry.number)
        }
    return {"kind": entry.kind.value, "at": entry.at, "said": [_(one) for one in (said, hint) if one]}


def _ended(running: Command | None, *, practising: bool) -> dict[str, Any]:
    """What a command of this page said, what it came to, and the ways on that its words name."""
    result = running.result() if running and running.code is not None else {}
    error = [text for text in (result.get("error") or result.get("reason"), result.get("hint")) if text]
    problems = [problem.get("message", "") for problem in result.get("problems", [])[:20]]
    return {
        "code": running.code if running else None,
        "said": running.words()[-40:] if running else [],
        "error": [in_words(text) for text in error],
        "problems": [_(problem) for problem in problems],
        "ways": [] if practising else ways_in([*error, *problems]),
    }


def _over(running: Command | None, last: dict[str, Any] | None) -> dict[str, Any]:
    """What is no longer told of a pause: whoever was left then was suppressed since, and nothing stands still."""
    told: dict[str, Any] = {}
    if last and last["kind"] in (Happening.HELD, Happening.PAUSED):
        told["last"] = None
    if running and running.code == ENDED:
        told |= {"error": [], "problems": [], "ways": []}
    return told


def _estimate(state: dict[str, Any], pace: float) -> None:
    """Add the pace (messages a minute), and in how many seconds it is done: by that pace, or later if a quota says so."""
    going = state["state"] == "sending"
    state["pace"] = round(pace * 60) if going else 0
    by_quota = [
        max(0, state["left"] - (one["of"] - one["used"])) / one["of"] * one["seconds"] for one in state["quotas"]
    ]
    if going and (pace or any(by_quota)):
        state["left_seconds"] = round(max([state["left"] / pace if pace else 0, *by_quota]))
    else:
        state["left_seconds"] = None


WORDS = {
    Status.SENT: later("sent: the mail server accepted them"),
    Status.FAILED: later("failed: refused for good"),
    Status.UNCERTAIN: later("uncertain: nobody knows whether they arrived"),
    Status.DEFERRED: later("to be tried again later"),
    Status.SENDING: later("on their way just now"),
    Status.QUEUED: later("not tried yet"),
    Status.SUPPRESSED: later("suppressed: not to be mailed"),
    Status.SKIPPED: later("skipped: rows with problems, or taken off the list"),
}

RETURNED = {
    "bounced": later("came back after they were sent"),
    "complained": later("reported it as spam"),
    "unsubscribed": later("unsubscribed"),
    "replied": later("replied"),
}
