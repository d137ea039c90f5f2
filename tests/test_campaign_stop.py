"""A run that is asked to stop while it connects."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from campaigns import received, relay_to, run_of, start, statuses
from smtp_script import Rule
from smtp_server import ScriptedServer

from mailer.campaign.run import Run
from mailer.errors import Paused
from mailer.ledger import Ledger
from mailer.model import Status

ROUNDS = 25
"""Without another try to cancel, about every fourth waits until the relay's time is up: it is a race."""


async def stopped_when(rule: Rule, run: Run) -> Paused | None:
    """Run, and stop as soon as the server has taken the connection."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        rule.fired.wait(20)
        loop.call_soon_threadsafe(run.stop, Paused("enough"))

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    reason = await asyncio.wait_for(run.run(), 20)
    thread.join()
    return reason


def test_a_stop_never_waits_for_a_silent_server_however_early_it_comes(tmp_path: Path) -> None:
    with Ledger(tmp_path / "mailer.db") as ledger, ScriptedServer() as server:
        campaign = start(tmp_path, ledger, ["ana@example.org", "bo@example.org"])
        for number in range(1, ROUNDS + 1):
            rule = server.on("greeting", connection=number, silence=True)
            run = run_of(ledger, campaign, relay_to(server, timeout=40.0))
            assert str(asyncio.run(stopped_when(rule, run))) == "enough"
        assert set(statuses(ledger, campaign).values()) == {Status.QUEUED}
        assert not received(server)
