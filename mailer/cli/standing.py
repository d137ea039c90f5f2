"""`mailer status`: where a campaign stands, in numbers that add up, also for `send`, `resolve` and `retry`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailer.age import plain_name
from mailer.cli import console, relays
from mailer.cli.office import office_hours, told_hours
from mailer.cli.options import JsonOption, settings_here
from mailer.cli.progress import duration
from mailer.cli.unlocking import open_ledger
from mailer.errors import UsageError, quoted, typed
from mailer.model import MAIN_RELAY, Status
from mailer.times import iso, local_time

if TYPE_CHECKING:
    from mailer.ledger import Ledger
    from mailer.model import CampaignRecord, Detached, Entry, Manifest, Returned, Tally

WORDS = {
    Status.SENT: "sent: the mail server accepted them",
    Status.FAILED: "failed: refused for good",
    Status.UNCERTAIN: "uncertain: nobody knows whether they arrived",
    Status.DEFERRED: "to be tried again later",
    Status.SENDING: "on their way just now",
    Status.QUEUED: "not tried yet",
    Status.SUPPRESSED: "suppressed: not to be mailed",
    Status.SKIPPED: "skipped: rows with problems, or taken off the list",
}

QUEUE = "mailer"
"""The queue of campaigns and workers that name none."""

WATCH_SECONDS = 1.0


def counts(tally: Tally) -> dict[str, int]:
    """The counts for --json."""
    return {"total": tally.total, **{status.value: getattr(tally, status) for status in Status}}


def send_command(campaign: CampaignRecord, ledger: Ledger | None = None) -> str:
    """The command that continues a campaign, to be pasted. Without its name it could begin another one, without its options read another sheet.

    Where the ledger says that it is left to workers, it stays so.
    """
    from mailer.campaign.standing import left_to_workers  # noqa: PLC0415

    manifest = campaign.manifest
    words = ["mailer", "send", quoted(manifest.template), quoted(manifest.list_name)]
    if campaign.name != f"{manifest.template}--{plain_name(Path(manifest.list_name)).stem}":
        words += ["--campaign", quoted(campaign.name)]
    if ledger and (left := left_to_workers(ledger, campaign)):
        words += ["--detach"] if left.queue == QUEUE else ["--detach", "--queue", quoted(left.queue)]
    return " ".join(words) + typed(manifest.options)


def command(verb: str, campaign: CampaignRecord) -> str:
    """A command about a campaign, to be pasted."""
    return f"mailer {verb} {quoted(campaign.name)}"


def show_tally(tally: Tally, manifest: Manifest) -> None:
    """The counts for people; nothing that is zero but for sent."""
    for status, words in WORDS.items():
        number = getattr(tally, status)
        if number or status is Status.SENT:
            console.say(f"{number:>8,}  {words}")
    console.say(f"{tally.total:>8,}  in all")
    if manifest.duplicates:
        console.say(f"{manifest.duplicates:>8,}  besides, for an address that the list has already")


RETURNED = {
    "bounced": "bounced after they were sent",
    "complained": "reported it as spam",
    "unsubscribed": "unsubscribed",
    "replied": "replied",
}


def show_returned(returned: Returned) -> None:
    """What came back, as far as `mailer inbox` and the unsubscribe page took it in: beside the counts, for whoever was sent a message stays so."""
    if returned == type(returned)():
        return
    console.say("Of these, by what came back since:")
    for name, words in RETURNED.items():
        if number := getattr(returned, name):
            console.say(f"{number:>8,}  {words}")


def list_campaigns(ledger: Ledger, *, as_json: bool) -> None:
    """A line for each campaign."""
    from mailer.campaign.standing import state_of  # noqa: PLC0415

    found = [(campaign, ledger.tally(campaign)) for campaign in ledger.campaigns()]
    if as_json:
        console.emit({"campaigns": [standing(ledger, campaign) for campaign, _ in found], **workers(ledger)})
        return
    if not found:
        console.say("No campaign has been started here yet.")
        return
    console.table(
        ["campaign", "state", "sent", "left", "failed", "uncertain", "started"],
        [
            [
                campaign.name,
                state_of(ledger, campaign, tally),
                tally.sent,
                tally.work_left,
                tally.failed,
                tally.uncertain,
                local_time(campaign.started_at),
            ]
            for campaign, tally in found
        ],
    )


def workers(ledger: Ledger, campaign: CampaignRecord | None = None) -> dict[str, Any]:
    """What `status --json` says of workers; nothing of a ledger that can have none."""
    if not ledger.is_shared:
        return {}
    there = [
        {
            "owner": one.owner,
            "relay": one.relay,
            "since": iso(one.since),
            "connections": one.lines,
            "queues": list(one.queues),
            "batches": one.batches,
            "campaigns": list(one.campaigns),
        }
        for one in ledger.shared.presences()
    ]
    resting = [
        {
            "account": rest.account,
            "relay": rest.relay,
            "until": iso(rest.until),
            "reason": rest.reason,
            "only": rest.owner or None,
        }
        for rest in ledger.shared.rests()
    ]
    found: dict[str, Any] = {"workers": there, "resting": resting}
    if campaign:
        left = ledger.shared.standing(campaign)
        found["left_to_workers"] = left is not None
        found["queue"] = left.queue if left else None
        found["batches"] = left.batches if left else 0
        found["not_before"] = iso(left.not_before) if left else None
        found["reason"] = left.halt.reason if left and left.halt else None
        found["hint"] = left.halt.hint if left and left.halt else None
    return found


def show_workers(ledger: Ledger, queue: str | None = None) -> None:
    """Who works, for people, and which accounts rest; with a queue, those who take from it."""
    there = [one for one in ledger.shared.presences() if queue is None or queue in one.queues]
    if not there:
        which = "" if queue in {None, QUEUE} else f" --queue {quoted(queue or '')}"
        console.say("No worker is there just now.")
        console.say(f"To start one:   mailer worker{which}")
    for one in there:
        at = f"at {', '.join(one.campaigns)}" if one.campaigns else "waiting for work"
        over = "" if one.relay == MAIN_RELAY else f"relay {one.relay}, "
        console.say(f"Worker: {one.owner}, {over}{one.lines} at a time, {at}", sentence=True)
    for rest in ledger.shared.rests():
        which = "An account" if rest.relay == MAIN_RELAY else f"Relay {rest.relay}"
        console.say(f"{which} {relays.in_words(rest)}", sentence=True)


def standing(ledger: Ledger, campaign: CampaignRecord, over: Sequence[relays.Standing] | None = None) -> dict[str, Any]:
    """Everything that `status --json` says of one campaign; `over` which accounts, if that has been found out."""
    from mailer.campaign.standing import state_of  # noqa: PLC0415

    tally = ledger.tally(campaign)
    if over is None:
        over = relays.standings(ledger, campaign)
    return {
        "campaign": campaign.name,
        **counts(tally),
        "seal": campaign.manifest.seal,
        "state": state_of(ledger, campaign, tally),
        "revision": campaign.revision,
        "started_at": iso(campaign.started_at),
        "finished_at": iso(campaign.finished_at),
        "next_attempt_at": iso(ledger.next_due(campaign)),
        **office_hours(campaign, ledger.out_of_hours(campaign, time.time())),
        "duplicates": campaign.manifest.duplicates,
        "blank": campaign.manifest.blank,
        **asdict(ledger.returned(campaign)),
        **workers(ledger, campaign),
        **({"relays": relays.as_data(over)} if over else {}),
    }


def show_standing(
    ledger: Ledger, campaign: CampaignRecord, now: float, *, as_json: bool, names: Mapping[str, str]
) -> None:
    """Counts, pace and time left of one campaign."""
    over = relays.standings(ledger, campaign, names)
    data = standing(ledger, campaign, over)
    running = data["state"] == "sending"
    recent, first = ledger.handed_over(campaign, now - relays.PACE_WINDOW) if running else (0, None)
    # a campaign that began a minute ago has not been at it for the whole window
    pace = recent / max(now - first, 1.0) if first is not None else 0.0
    to_do = data["queued"] + data["sending"]
    if as_json:
        console.emit({**data, "per_minute": round(pace * 60, 1), "seconds_left": round(to_do / pace) if pace else None})
        return
    console.say(f"Campaign {campaign.name}: {data['state']}")
    show_sender(ledger, campaign, data["state"])
    show_tally(ledger.tally(campaign), campaign.manifest)
    show_returned(ledger.returned(campaign))
    relays.show(over)
    console.say(f"Letter {campaign.manifest.template}, list {campaign.manifest.list_name}")
    console.say(f"Seal {campaign.manifest.seal}")
    if pace:
        console.say(f"Pace {pace * 60:.0f} a minute, about {duration(to_do / pace)} left")
    if data["deferred"] and (next_due := ledger.next_due(campaign)):
        console.say(f"To be tried again from {local_time(next_due)}: {data['deferred']:,}")
    if away := ledger.out_of_hours(campaign, now):
        console.say(told_hours(campaign, away))
    if data["state"] in {"paused", "stopped"}:
        console.say(f"To continue:    {send_command(campaign, ledger)}")
    if data["uncertain"]:
        console.say(f"To decide:      {command('resolve', campaign)}")
    if data["failed"]:
        console.say(f"Who failed:     {command('report', campaign)}")


def show_sender(ledger: Ledger, campaign: CampaignRecord, state: str) -> None:
    """Who sends a campaign, or why nobody does."""
    from mailer.campaign.standing import left_to_workers, stop_of  # noqa: PLC0415
    from mailer.ledger import owner_in_words  # noqa: PLC0415

    if left := left_to_workers(ledger, campaign):
        show_left(ledger, left)
    elif state == "sending" and campaign.owner:
        console.say(f"Sent by {owner_in_words(campaign.owner)}")
    elif state == "stopped" and (stop := stop_of(ledger, campaign)):
        show_stop(stop)


def show_stop(stop: Entry) -> None:
    """Why the last run ended, as it said itself, and what to do about it."""
    from mailer.campaign.diary import HINTED  # noqa: PLC0415

    reason, _, hint = stop.text.partition(HINTED)
    console.say(f"Stopped on {local_time(stop.at)}: {reason}", sentence=True)
    if hint:
        console.show_hints([hint])


def show_left(ledger: Ledger, left: Detached) -> None:
    """How a campaign fares that is left to workers."""
    if left.halt:
        console.say(f"No worker works for it since {local_time(left.halt.at)}: {left.halt.reason}", sentence=True)
        if left.halt.hint:
            console.show_hints([left.halt.hint])
        return
    if left.not_before and left.not_before.timestamp() > time.time():
        console.say(f"Not before {local_time(left.not_before)}.")
    show_workers(ledger, left.queue)


def status(
    campaign: Annotated[
        str | None, typer.Argument(metavar="CAMPAIGN", help="The campaign's name; without it, all.")
    ] = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew as it changes, until Ctrl-C or the end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how far a campaign is.

    \b
    Example:
      mailer status solidarity-appeal--branches
    """  # noqa: D301
    if watch and as_json:
        raise UsageError("--json is one object, and --watch goes on.", hint="leave out one of them")
    settings = settings_here()
    names = relays.names_in(settings)
    with open_ledger(settings, create=False, reading=True) as ledger:
        if watch:
            with suppress(KeyboardInterrupt):
                watch_status(ledger, campaign, names)
        else:
            show_status(ledger, campaign, names, as_json=as_json)


def watch_status(ledger: Ledger, campaign: str | None, names: Mapping[str, str]) -> None:
    """Show it anew as it changes, as long as anything may change by itself."""
    before: list[dict[str, Any]] = []
    took = 0.0
    while not before or any(one["state"] in {"sending", "waiting"} for one in before):
        # never for more than a tenth of the time: what is counted of a million deliveries takes seconds
        time.sleep(max(WATCH_SECONDS, took * 9) if before else 0)
        began = time.monotonic()
        found = ledger.campaigns() if campaign is None else [ledger.find(campaign)]
        if not found:
            show_status(ledger, campaign, names, as_json=False)
            return
        now = [standing(ledger, one, relays.standings(ledger, one, names)) for one in found]
        took = time.monotonic() - began
        if now != before:
            console.clear()
            show_status(ledger, campaign, names, as_json=False)
        before = now


def show_status(ledger: Ledger, campaign: str | None, names: Mapping[str, str], *, as_json: bool) -> None:
    """One campaign, or a line for each."""
    from mailer.ledger import settle  # noqa: PLC0415

    if ledger.is_copy:
        console.warn(
            "This ledger was put back from a back-up, or a stand-by server has taken its place: it may lack the latest."
        )
        console.show_hints(["stop everything that sends, then: mailer ledger restored"])
    if campaign is None:
        list_campaigns(ledger, as_json=as_json)
    else:
        show_standing(ledger, settle(ledger, ledger.find(campaign)), time.time(), as_json=as_json, names=names)
