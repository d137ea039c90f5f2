"""A worker's figures as Prometheus reads them. The only place that imports prometheus_client.

Campaigns are told of by their names, as `mailer status` tells them to the same people: with numbers instead nobody would know at night
which campaign stands still. They are the organisers' own words, so whatever looks like an address in them is left out, and a
worker that meets more than a hundred counts the others together, lest a year of campaigns makes a year of series. No person, no
domain and no word of a mail server is in any label: who is mailed, and at which provider, is nobody's business who watches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mailer import __version__
from mailer.cluster.vitals import State, Vitals
from mailer.privacy import without_addresses

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Exposition:
    """The figures, as text, each time they are asked for."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
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
        yield from self._state()
        yield from self._done()
        yield from self._now()
        yield from self._queue()

    def _state(self) -> Iterator[Metric]:
        vitals = self._vitals
        yield _gauge("build_info", "1, with the version of mailer.", [((__version__,), 1)], "version")
        states = [((state.value,), int(state is vitals.state)) for state in State]
        yield _gauge("worker_state", "1 for what the worker is at.", states, "state")
        healths = [(("health",), int(vitals.health().well)), (("ready",), int(vitals.readiness().well))]
        yield _gauge("worker_well", "Whether /health and /ready say 200.", healths, "check")

    def _done(self) -> Iterator[Metric]:
        vitals, now = self._vitals, self._vitals.look()
        yield _counter(
            "worker_outcomes",
            "What came of messages: what became of the delivery, what the answer was about, where in the dialogue it came, and its"
            " first digit.",
            [
                ((kind.campaign, kind.status.value, kind.scope.value, kind.phase.value, kind.reply), count)
                for kind, count in vitals.outcomes.copy().items()
            ],
            "campaign", "status", "scope", "phase", "reply",
        )  # fmt: skip
        yield _counter("worker_batches", "Batches that were begun.", [((), vitals.batches)])
        yield _counter("worker_commits", "Groups made durable in the ledger.", [((), vitals.commits + now.commits)])
        yield _counter("worker_records", "Outcomes in those groups.", [((), vitals.written + now.written)])
        yield _counter(
            "worker_ledger_errors",
            "How often the ledger was lost, by reason.",
            [((code,), count) for code, count in vitals.ledger_errors.copy().items()],
            "reason",
        )
        yield _counter("worker_connections", "Connections to mail servers that were made.", [((), vitals.connected)])
        yield _counter(
            "worker_connection_failures",
            "Connections that came to nothing, by where in the dialogue.",
            [((phase.value,), count) for phase, count in vitals.unconnected.copy().items()],
            "phase",
        )
        help_text = "Time that messages waited for places of quotas, all together."
        yield _counter("worker_quota_wait_seconds", help_text, [((), vitals.waited)])

    def _now(self) -> Iterator[Metric]:
        now = self._vitals.look()
        for name, text, value in (
            ("in_flight", "Messages of which nobody could say, were the power cut now, whether they arrived.", now.in_flight),
            ("connections_open", "Connections to mail servers that are open.", now.connections),
            ("batches_under_way", "Batches that are being sent.", now.batches),
            ("quota_waiting", "Messages that wait for a place of a quota.", now.waiting),
        ):  # fmt: skip
            yield _gauge(f"worker_{name}", text, [((), value)])

    def _queue(self) -> Iterator[Metric]:
        """The same from every worker, so take the maximum over them, not the sum."""
        overview = self._vitals.overview
        if overview is None:
            return
        counts = [
            ((without_addresses(campaign), status.value), count)
            for campaign, found in overview.campaigns.items()
            for status, count in found.items()
        ]
        text = "Messages of campaigns that are left to workers, as far as they are not settled."
        yield _gauge("ledger_messages", text, counts, "campaign", "status")
        yield _gauge("ledger_halted_campaigns", "Campaigns that wait for a person.", [((), overview.halted)])
        yield _gauge("ledger_workers", "Workers that are there.", [((), overview.workers)])
        yield _gauge("ledger_read_seconds", "When the ledger was asked (Unix time).", [((), overview.at.timestamp())])


Samples = Sequence[tuple[tuple[str, ...], float]]


def _counter(name: str, text: str, samples: Samples, *labels: str) -> Metric:
    family = CounterMetricFamily(f"mailer_{name}", text, labels=labels)
    return _filled(family, samples)


def _gauge(name: str, text: str, samples: Samples, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"mailer_{name}", text, labels=labels)
    return _filled(family, samples)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, samples: Samples) -> Metric:
    # two names may be one without what looks like an address
    together: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        together[labels] = together.get(labels, 0) + value
    for labels, value in together.items():
        family.add_metric(labels, value)
    return family
