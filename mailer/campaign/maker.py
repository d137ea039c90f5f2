"""A process that makes messages for a run, some at a time; it sends and writes nothing."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from mailer import __version__
from mailer.campaign import apart
from mailer.campaign.makers import LENGTH, LONG, LONG_BLOCKS
from mailer.campaign.stock import Made
from mailer.campaign.thaw import renderer
from mailer.ledger import Ledger
from mailer.model import Delivery, Message
from mailer.signals import STOPS

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer


def main() -> None:
    """Make the messages of the deliveries that standard input names, to standard output, until there are no more."""
    _leave_signals_to_the_run()
    answers = apart.answers()
    # from the program that started us, by a pipe of its own
    version, *recipe = marshal.load(sys.stdin.buffer)  # noqa: S302
    if version != __version__:
        return  # mailer was updated meanwhile: the messages that were checked, and the ledger, are those of the run's version
    described, campaign, relay, keys = recipe
    with Ledger.from_description(described) as ledger:
        render = renderer(ledger, ledger.find(campaign), _signer(keys), relay)
        # only now: on a busy computer it would not get ready, nor notice that its run has ended, for many seconds
        _stand_back()
        for numbers in _asked():
            data = marshal.dumps([tuple(made) for made in _made(render, ledger.deliveries(numbers))])
            answers.write(LENGTH.pack(len(data)) + data)
            answers.flush()


def _leave_signals_to_the_run() -> None:
    """It alone decides what Ctrl-C, a closed window or the end of a session mean."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def _stand_back() -> None:
    """The run goes first where a core is wanted."""
    if hasattr(os, "nice"):
        os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        # whatever its priority, it would have its turn to the end before a run that has woken up: some milliseconds
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _signer(keys: list[tuple[str, str, bytes]] | None) -> Signer | None:
    if keys is None:
        return None
    from mailer.mime.dkim import Signer  # noqa: PLC0415 - imports cryptography

    return Signer.unpacked(keys)


def _asked() -> Iterator[list[int]]:
    while True:
        try:
            yield marshal.load(sys.stdin.buffer)  # noqa: S302
        except EOFError:
            return


def _made(render: Callable[[Delivery], Message], deliveries: Sequence[Delivery]) -> Iterator[Made]:
    left = LONG_BLOCKS * LONG * len(deliveries)
    for delivery in deliveries:
        if left < 0:
            return  # so many would not only take long, but fill the memory
        try:
            message = render(delivery)
        except Exception:  # noqa: BLE001, S112 - the run makes it when its turn comes, and hears the reason
            continue
        left -= len(message.content)
        yield Made.of(delivery, message)
