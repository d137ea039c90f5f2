"""`mailer worker`: sends what was left to workers, until it is told to end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.detaching import installed
from mailer.cli.options import (
    JsonOption,
    RateOption,
    joined,
    limits_of,
    overrides,
    relay_of,
    settings_here,
    signer_of,
)
from mailer.cli.send import loop_factory
from mailer.cli.standing import QUEUE
from mailer.cli.stopping import stopping
from mailer.cli.unlocking import open_ledger
from mailer.errors import MailerError, SettingsError, UsageError, quoted
from mailer.loopback import is_loopback
from mailer.model import MAIN_RELAY

if TYPE_CHECKING:
    from mailer.cli.worklog import Log
    from mailer.cluster.endpoint import Endpoint
    from mailer.cluster.journal import Journal
    from mailer.cluster.terms import Terms
    from mailer.cluster.worker import Crew
    from mailer.settings import Settings

INSTALL = "python -m pip install prometheus-client"
"""What the extra `metrics` installs."""


def worker(
    *,
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", metavar="NAME", help="Take from this queue only (mailer); may be given twice."),
    ] = None,
    relay: Annotated[
        list[str] | None,
        typer.Option("--relay", metavar="NAME", help="Send over this account only; may be given twice."),
    ] = None,
    rate: RateOption = None,
    connections: Annotated[
        int | None, typer.Option("--connections", metavar="N", help="Connections of an account at the same time (1).")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="[HOST:]PORT", help="Show figures for Prometheus, and health, at this port, e.g. 9325."
        ),
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", metavar="FORM", help="text for people (as usual), or json for programs.")
    ] = None,
    shown: Annotated[
        Page | None,
        typer.Option(
            "--print",
            help="Print how to run workers: a unit for systemd, a file for compose, or the guide.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send what was left to workers (mailer send --detach), until Ctrl-C.

    Start one on each computer that sends, as often as you like: they share the work, and look after each other. It needs a
    ledger on PostgreSQL, and this computer's own mail account, or several ([relays.NAME] in mailer.toml): messages go out over
    whichever is free, and one that fails rests by itself. Ctrl-C, or SIGTERM from a service, ends it tidily.

    \b
    Examples:
      mailer worker --connections 4
      mailer worker --metrics 9325 --log json
      mailer worker --print guide
      mailer worker --relay office --queue national
    """  # noqa: D301
    if shown:
        console.say(shown.text())
        return
    from mailer.ledger import require_server  # noqa: PLC0415

    given = overrides(rate=joined(rate), connections=connections, worker_metrics=metrics, worker_log=log)
    settings = settings_here(given, to_send=True)
    # not opened here: a server that is just starting is waited for
    require_server(settings.ledger_place)
    served = served_by(settings, relay, queue)
    saying = saying_of(settings, several=len(served) > 1)
    with installed():
        from mailer.cluster.worker import Crew  # noqa: PLC0415 - optional
    terms = [terms_of(settings, name, queues, saying) for name, queues in served.items()]
    with endpoint_of(settings, terms) as endpoint:
        say_begun(settings, terms, saying, endpoint)

        async def main(stops: stopping) -> None:
            working = Crew(terms)
            stops.attach(Ending(working))
            await working.run()

        with (
            stopping(as_json=as_json, what="Ending", in_line=saying.told) as stops,
            asyncio.Runner(loop_factory=loop_factory() or asyncio.SelectorEventLoop) as runner,
        ):
            runner.run(main(stops))
    say_ended(saying, as_json=as_json)


def saying_of(settings: Settings, *, several: bool) -> Log | Journal:
    """Who tells of the worker on standard error: lines for people, or for programs."""
    if settings.worker_log == "json":
        from mailer.cluster.journal import Journal  # noqa: PLC0415

        return Journal(console.line, several=several)
    from mailer.cli.worklog import Log  # noqa: PLC0415

    return Log(several=several)


def endpoint_of(settings: Settings, terms: Sequence[Terms]) -> AbstractContextManager[Endpoint | None]:
    """Where the worker is watched, if anywhere. Raises SettingsError without the library, or where it cannot listen."""
    if settings.worker_metrics is None:
        return nullcontext()
    from mailer.cluster.endpoint import Endpoint  # noqa: PLC0415

    try:
        from mailer.cluster.exposition import CONTENT_TYPE, Exposition  # noqa: PLC0415 - optional
    except ImportError as error:
        raise SettingsError("Figures for Prometheus need a library that is not installed.", hint=INSTALL) from error
    host, port = settings.worker_metrics
    workers = [one.vitals for one in terms]
    return Endpoint(workers, host, port, metrics=Exposition(*workers).text, content_type=CONTENT_TYPE)


def say_begun(settings: Settings, terms: Sequence[Terms], saying: Log | Journal, endpoint: Endpoint | None) -> None:
    """What it works for, over which accounts, and who can watch it."""
    first, *others = greeting(terms)
    named = {one.relay.name: {"queues": list(one.queues), "connections": one.lines} for one in terms}
    saying.say("started", "\n".join([first, *others]), relays=named)
    if endpoint is None or settings.worker_metrics is None:
        return
    host = settings.worker_metrics[0]
    place = f"http://{f'[{host}]' if ':' in host else host}:{endpoint.port}"
    saying.say("watched", f"Figures and health: {place}/metrics, {place}/health and {place}/ready", port=endpoint.port)
    if not is_loopback(host):
        saying.say(
            "watched by others",
            f"WARNING: whoever reaches {place} can read the names of your campaigns and how many people they go to, without a"
            " password and unencrypted. Let only the computer that collects the figures through, by a firewall.",
            level="warning",
            port=endpoint.port,
        )


def say_ended(saying: Log | Journal, *, as_json: bool) -> None:
    """How much was handed over from here."""
    total = saying.total()
    saying.end()
    if as_json:
        console.emit(saying.data())
    elif saying.told is None:
        console.say(f"Ended. {total:,} messages were handed over from here." if total else "Ended.")


class Page(StrEnum):
    """What is told to whoever operates workers."""

    SYSTEMD = "systemd"
    COMPOSE = "compose"
    GUIDE = "guide"

    def text(self) -> str:
        """As it stands with this version, to be kept in a file."""
        from importlib.resources import files  # noqa: PLC0415

        name = {"systemd": "mailer-worker@.service", "compose": "compose.yaml", "guide": "operating.md"}[self]
        return files("mailer.cluster.operating").joinpath(name).read_text(encoding="utf-8").rstrip("\n")


class Ending:
    """What Ctrl-C stops."""

    def __init__(self, working: Crew) -> None:
        self._working = working

    def stop(self, _reason: MailerError) -> None:
        self._working.stop()


def served_by(settings: Settings, relays: list[str] | None, queues: list[str] | None) -> dict[str, tuple[str, ...]]:
    """The accounts to send over, each with the queues that it takes from. Raises SettingsError, or UsageError if there are none."""
    named = [settings.over(relay) for relay in relays] if relays else list(settings.accounts.values())
    served = {}
    for one in named:
        bound = [queue for queue in one.queues if not queues or queue in queues] if one.queues else queues or [QUEUE]
        if bound:
            served[one.relay] = tuple(dict.fromkeys(bound))
        elif relays:
            raise UsageError(
                f"Relay {one.relay} is bound to other queues in the settings: {', '.join(one.queues)}.",
                hint=f"mailer worker --relay {one.relay} --queue {quoted(one.queues[0])}",
            )
    if not served:
        raise UsageError(
            f"Every relay is bound to other queues in the settings than {', '.join(queues or [])}.",
            hint=f"leave out --queue, or add it to the queues of a relay: queues = {json.dumps(queues)}",
        )
    return served


def greeting(terms: Sequence[Terms]) -> Iterator[str]:
    """What is worked for, and over which accounts."""
    if len(terms) == 1:
        [one] = terms
        queues = "" if one.queues == (QUEUE,) else f", queue {', '.join(one.queues)}"
        yield (
            f"Working for the campaigns that are left to workers{queues}: up to {one.lines} at a time over"
            f" {one.relay.host}. Ctrl-C ends it tidily."
        )
        return
    yield f"Working for the campaigns that are left to workers, over {len(terms)} relays. Ctrl-C ends it tidily."
    for one in terms:
        queues = "" if one.queues == (QUEUE,) else f", queue {', '.join(one.queues)}"
        yield f"  Relay {one.relay.name}: {one.relay.host}, up to {one.lines} at a time{queues}"


def terms_of(everything: Settings, relay: str, queues: tuple[str, ...], saying: Log | Journal) -> Terms:
    """What the settings of this computer give a worker for one account. Raises SettingsError for what is missing."""
    from mailer.campaign.run import RunOptions  # noqa: PLC0415
    from mailer.cluster.terms import Terms  # noqa: PLC0415
    from mailer.cluster.vitals import Vitals  # noqa: PLC0415

    settings = everything.over(relay)
    failures, percent = settings.bounce_brake or (None, 100.0)
    complaints, complaint_percent = settings.complaint_brake or (None, 100.0)
    return Terms(
        open_ledger=lambda: open_ledger(settings),
        relay=relay_of(settings),
        reporter=saying.of(relay),
        limits=limits_of(settings),
        options=RunOptions(
            batch_pause=settings.batch_pause,
            connections=settings.connections,
            bounce_failures=failures,
            bounce_percent=percent,
            complaints=complaints,
            complaint_percent=complaint_percent,
        ),
        queues=queues,
        signer=signer_of(settings),
        # what an account without a name is called says nothing of who speaks over it
        face=None if relay == MAIN_RELAY else everything.identity().over(relay),
        vitals=Vitals(relay="" if relay == MAIN_RELAY else relay),
    )
