"""A run that is asked to stop while it connects."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from campaigns import AT_ONCE, received, relay_to, run_of, start, statuses
from smtp_script import Rule
from smtp_server import ScriptedServer

import mailer.campaign.run
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


@pytest.mark.thorough
def test_a_server_that_was_never_met_is_given_up_sooner_than_one_that_went_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer.campaign.run, "STRANGER", 0.3)
    tries = []
    for meets in (False, True):
        with Ledger(tmp_path / f"{meets}.db") as ledger, ScriptedServer() as server:
            campaign = start(tmp_path, ledger, ["ana@example.org", "bo@example.org"])
            if meets:
                server.on("greeting", connection=1, delay=0.0)
                server.on("mail", connection=1, nth=2, drop=True)
            server.on("greeting", silence=True)
            run = run_of(ledger, campaign, relay_to(server, timeout=0.5))
            reason = asyncio.run(run.run())
            assert "cannot be reached" in str(reason)
            tries.append(server.connections - meets)
    assert tries == [2, len(AT_ONCE) + 1]
