"""The whole path over loopback, from the start of the program to the last durable outcome, against every peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import letter
from benchmarks.measure import Rounds, Spent, interleaved, run
from benchmarks.peers import MAILER, PEERS, Peer, Work, mailer, mailer_knows
from benchmarks.scale import Scale
from benchmarks.servers import smtp_sink
from benchmarks.table import Row, Section, megabytes, number, span

from .folder import fresh

TITLE = "Whole path"
SOURCE = "smtp-source (C)"
CONNECTIONS = 32
"""So many that nobody waits for the server: `smtp-source` is as fast with 8 of them, the Python senders a tenth slower."""

HEADS = (
    "sender", "does", "messages", "messages/s", "slowest to fastest", "of smtp-source", "mailer is times as fast",
    "CPU us a message", "peak MB",
)  # fmt: skip

MEASURED = """\
{messages:,} different messages of text and HTML, some 4.4 KB each, over {connections} connections to Postfix's `smtp-sink` on the same \
machine, in an empty folder each time. For mailer this is `mailer send LETTER LIST --yes --connections {connections}` as a user types it: \
starting Python, reading the list, checking every message, and a ledger in which every intent and outcome is durable; where that pays, other processes \
of it make messages meanwhile, but not with `--processes 1`; signed, \
each message also gets its own RSA-2048 signature. The loops send one constant message of 4,400 bytes and keep no record; mailmerge and redmail merge, without a record. Slow peers \
send fewer messages; rates compare. All messages must have arrived, or the run does not count. Median of {repeats}, in turns; \
a ratio is the median of the ratios within the rounds. CPU is user and system time of the sender with its start, not of \
the server, with which it shares the cores; peak is the largest process."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One run of one sender."""

    messages: int
    spent: Spent

    @property
    def rate(self) -> float:
        return self.messages / self.spent.seconds

    @property
    def cpu(self) -> float:
        """Microseconds a message."""
        return self.spent.cpu / self.messages * 1e6


def measure(scale: Scale) -> Section:
    senders = [*PEERS]
    senders.insert(1, Peer(name=f"{MAILER}, signed (DKIM)", does=PEERS[0].does, command=signed))
    if mailer_knows("--processes"):
        senders.insert(2, Peer(name=f"{MAILER} --processes 1", does=PEERS[0].does, command=alone))
    contenders = {peer.name: sending(peer, peer.messages(scale.messages)) for peer in senders}
    rounds = interleaved(contenders, scale.repeats)
    return Section(
        title=TITLE,
        measured=MEASURED.format(messages=scale.messages, connections=CONNECTIONS, repeats=scale.repeats),
        heads=HEADS,
        rows=[_row(peer, rounds) for peer in senders],
        failures=[f"{name}: {why}" for name, why in rounds.failed.items()],
    )


def signed(work: Work) -> list[str]:
    command = mailer(work)
    letter.sign(work.folder)
    return command


def alone(work: Work) -> list[str]:
    return [*mailer(work), "--processes", "1"]


def sending(peer: Peer, messages: int) -> Callable[[], Sent]:
    """One run, to be called in each round."""

    def once() -> Sent:
        with fresh() as folder, smtp_sink(folder) as sink:
            place = folder / "campaign"
            place.mkdir()
            work = Work(folder=place, port=sink.port, messages=messages, connections=CONNECTIONS)
            spent = run(peer.command(work), folder=place)
            sink.expect(messages)
        return Sent(messages=messages, spent=spent)

    return once


def _row(peer: Peer, rounds: Rounds[Sent]) -> Row:
    name = peer.name
    if name not in rounds.results:
        why = rounds.skipped.get(name)
        return (name, f"skipped: {why}" if why else "failed")
    return (
        name,
        peer.does,
        f"{rounds.results[name][0].messages:,}",
        number(rounds.median(name, rate)),
        span(*rounds.range(name, rate)),
        number(rounds.ratio(name, SOURCE, rate)) if SOURCE in rounds.results else "",
        number(rounds.ratio(MAILER, name, rate)) if MAILER in rounds.results else "",
        number(rounds.median(name, lambda sent: sent.cpu)),
        megabytes(rounds.median(name, lambda sent: sent.spent.peak), small=rounds.results[name][0].spent.small),
    )


def rate(sent: Sent) -> float:
    return sent.rate
