"""A worker's figures as Prometheus reads them. The only place that imports prometheus_client.

Campaigns are told of by their names, as `mailer status` tells them to the same people: with numbers instead nobody would know at night
which campaign stands still. They are the organisers' own words, so whatever looks like an address in them is left out, and a
worker that meets more than a hundred counts the others together, lest a year of campaigns makes a year of series. No person, no
domain and no word of a mail server is in any label: who is mailed, and at which provider, is nobody's business who watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mailer import __version__
from mailer.cluster.vitals import State, Vitals
from mailer.model import Overview
from mailer.privacy import without_addresses

CONTENT_TYPE = CONTENT_TYPE_LATEST

Samples = Sequence[tuple[tuple[str, ...], float]]
"""Values by the labels that they have."""


class Figure(NamedTuple):
    """What is told of each worker: a count since it began, or how things stand (a gauge)."""

    name: str
    text: str
    read: Callable[[Vitals], Samples]
    labels: tuple[str, ...] = ()
    is_count: bool = True


def _count(name: str, text: str, read: Callable[[Vitals], float]) -> Figure:
    return Figure(name, text, lambda vitals: [((), read(vitals))])


def _stand(name: str, text: str, read: Callable[[Vitals], float]) -> Figure:
    return Figure(name, text, lambda vitals: [((), read(vitals))], is_count=False)


FIGURES = (
    Figure(
        "state", "1 for what the worker is at.",
        lambda vitals: [((state.value,), int(state is vitals.state)) for state in State],
        ("state",), is_count=False,
    ),
    Figure(
        "well", "Whether it is well, and whether it takes work just now.",
        lambda vitals: [(("health",), int(vitals.health().well)), (("ready",), int(vitals.readiness().well))],
        ("check",), is_count=False,
    ),
    Figure(
        "outcomes",
        "What came of messages: what became of the delivery, what the answer was about, where in the dialogue it came, and its"
        " first digit.",
        lambda vitals: [
            ((kind.campaign, kind.status.value, kind.scope.value, kind.phase.value, kind.reply), count)
            for kind, count in vitals.outcomes.copy().items()
        ],
        ("campaign", "status", "scope", "phase", "reply"),
    ),
    _count("batches", "Batches that were begun.", lambda vitals: vitals.batches),
    _count("commits", "Groups made durable in the ledger.", lambda vitals: vitals.commits + vitals.look().commits),
    _count("records", "Outcomes in those groups.", lambda vitals: vitals.written + vitals.look().written),
    Figure(
        "ledger_errors", "How often the ledger was lost, by reason.",
        lambda vitals: [((code,), count) for code, count in vitals.ledger_errors.copy().items()],
        ("reason",),
    ),
    _count("connections", "Connections to mail servers that were made.", lambda vitals: vitals.connected),
    Figure(
        "connection_failures", "Connections that came to nothing, by where in the dialogue.",
        lambda vitals: [((phase.value,), count) for phase, count in vitals.unconnected.copy().items()],
        ("phase",),
    ),
    _count(
        "quota_wait_seconds", "Time that messages waited for places of quotas, all together.", lambda vitals: vitals.waited
    ),
    _stand(
        "in_flight", "Messages of which nobody could say, were the power cut now, whether they arrived.",
        lambda vitals: vitals.look().in_flight,
    ),
    _stand("connections_open", "Connections to mail servers that are open.", lambda vitals: vitals.look().connections),
    _stand("batches_under_way", "Batches that are being sent.", lambda vitals: vitals.look().batches),
    _stand("quota_waiting", "Messages that wait for a place of a quota.", lambda vitals: vitals.look().waiting),
)  # fmt: skip


class Exposition:
    """The figures of the workers of one program, as text, each time they are asked for."""

    def __init__(self, *workers: Vitals) -> None:
        self._workers = workers
        self._registry = CollectorRegistry()
        # memory, processor and open files, where the system tells them
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: the registry would ask for all of it now."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield _gauge("build_info", "1, with the version of mailer.", [((__version__,), 1)], "version")
        for figure in FIGURES:
            family = (CounterMetricFamily if figure.is_count else GaugeMetricFamily)(
                f"mailer_worker_{figure.name}", figure.text, labels=("relay", *figure.labels)
            )
            for vitals in self._workers:
                for labels, value in figure.read(vitals):
                    family.add_metric((vitals.relay, *labels), value)
            yield family
        overviews = [vitals.overview for vitals in self._workers if vitals.overview]
        if overviews:
            yield from _queue(max(overviews, key=lambda overview: overview.at))


def _queue(overview: Overview) -> Iterator[Metric]:
    """The same from every program, so take the maximum over them, not the sum."""
    # two names may be one without what looks like an address
    counts: dict[tuple[str, ...], float] = {}
    for campaign, found in overview.campaigns.items():
        for status, count in found.items():
            labels = (without_addresses(campaign), status.value)
            counts[labels] = counts.get(labels, 0) + count
    text = "Messages of campaigns that are left to workers, as far as they are not settled."
    yield _gauge("ledger_messages", text, list(counts.items()), "campaign", "status")
    yield _gauge("ledger_halted_campaigns", "Campaigns that wait for a person.", [((), overview.halted)])
    yield _gauge("ledger_workers", "Workers that are there.", [((), overview.workers)])
    yield _gauge("ledger_read_seconds", "When the ledger was asked (Unix time).", [((), overview.at.timestamp())])


def _gauge(name: str, text: str, samples: Samples, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"mailer_{name}", text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
