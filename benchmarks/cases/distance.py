"""A relay that is far away: 50 ms for a round trip, five connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.measure import Rounds, Spent, interleaved, run
from benchmarks.peers import MAILER, PEERS, Peer, Work, mailer, mailer_knows
from benchmarks.scale import Scale
from benchmarks.servers import Line, slow_line, smtp_sink
from benchmarks.table import Row, Section, number, span

from .folder import fresh

TITLE = "50 ms away"
DELAY = 0.025
CONNECTIONS = 5
KEPT = 1000
"""Messages over one connection, beyond what one of them has to take here: it is kept, as those of the others are."""
HEADS = (
    "sender", "messages/s", "slowest to fastest", "round trips a message", "and connecting", "mailer is times as fast",
    "CPU us a message",
)  # fmt: skip

MEASURED = """\
{messages:,} messages over {connections} connections through a proxy of our own that keeps every byte for 25 ms in each direction, in order and \
without limiting how many; as measured, a round trip to `smtp-sink` took {trip:.1f} ms. Time runs from the first connection to the \
last reply, so the start of the program is not in it. *Round trips a message* count from a connection's first MAIL to its last \
reply; *and connecting* adds the handshake, EHLO and QUIT of every connection that was opened, shared among its messages. mailer takes a new \
connection after 50 messages unless `--batch-size` says otherwise; the others keep theirs. \
Median of {repeats}, in turns."""


@dataclass(frozen=True, kw_only=True)
class Far:
    """One run: `working` seconds of all connections, from first MAIL to last reply; `whole` from first to last of all."""

    messages: int
    whole: float
    working: float
    trip: float
    spent: Spent

    @property
    def rate(self) -> float:
        return self.messages / self.whole

    @property
    def trips(self) -> float:
        return self.working / self.trip / self.messages

    @property
    def trips_in_all(self) -> float:
        return CONNECTIONS * self.whole / self.trip / self.messages


def measure(scale: Scale) -> Section:
    senders = {peer.name: peer for peer in senders_here()}
    rounds = interleaved({name: sending(peer, scale.far_messages) for name, peer in senders.items()}, scale.repeats)
    trips = [far.trip for results in rounds.results.values() for far in results]
    return Section(
        title=TITLE,
        measured=MEASURED.format(
            messages=scale.far_messages,
            connections=CONNECTIONS,
            repeats=scale.repeats,
            trip=sum(trips) / max(1, len(trips)) * 1000,
        ),
        heads=HEADS,
        rows=[_row(name, rounds) for name in senders],
        failures=[f"{name}: {why}" for name, why in rounds.failed.items()],
    )


def senders_here() -> list[Peer]:
    """mailer, as it is and with each way to use the line that it knows, and two loops that wait for every reply."""
    found = [peer for peer in PEERS if peer.name in {MAILER, "smtp-source (C)", "aiosmtplib on uvloop"}]
    found.insert(1, _with("--batch-size", str(KEPT)))
    if mailer_knows("--pipelining"):
        found[2:2] = [_with("--pipelining", way) for way in ("message", "off")]
    return found


def _with(option: str, value: str) -> Peer:
    def command(work: Work) -> list[str]:
        return [*mailer(work), option, value]

    return Peer(name=f"{MAILER} {option} {value}", does="", command=command)


def sending(peer: Peer, messages: int) -> Callable[[], Far]:
    def once() -> Far:
        with fresh() as folder, smtp_sink(folder) as sink, slow_line(sink.port, delay=DELAY) as line:
            place = folder / "campaign"
            place.mkdir()
            trip = line.round_trip()
            work = Work(folder=place, port=line.port, messages=messages, connections=CONNECTIONS)
            spent = run(peer.command(work), folder=place)
            sink.expect(messages)
            return far(messages, line.lines(), trip, spent)

    return once


def far(messages: int, lines: list[Line], trip: float, spent: Spent) -> Far:
    """What the proxy's notes say."""
    return Far(
        messages=messages,
        whole=max(line.last_reply for line in lines) - min(line.opened for line in lines),
        working=sum(line.last_reply - (line.first_mail or line.last_reply) for line in lines),
        trip=trip,
        spent=spent,
    )


def _row(name: str, rounds: Rounds[Far]) -> Row:
    if name not in rounds.results:
        why = rounds.skipped.get(name)
        return (name, f"skipped: {why}" if why else "failed")
    return (
        name,
        number(rounds.median(name, _rate)),
        span(*rounds.range(name, _rate)),
        number(rounds.median(name, lambda one: one.trips)),
        number(rounds.median(name, lambda one: one.trips_in_all)),
        number(rounds.ratio(MAILER, name, _rate)) if MAILER in rounds.results else "",
        number(rounds.median(name, lambda one: one.spent.cpu / one.messages * 1e6)),
    )


def _rate(one: Far) -> float:
    return one.rate
