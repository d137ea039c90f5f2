"""The answer to the final dot may take longer than any other, and no longer than the setting allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailer import settings
from mailer.cli.options import relay_of


@pytest.mark.parametrize(("given", "usual", "final"), [(None, 300.0, 600.0), ("5", 5.0, 10.0)])
def test_the_timeout_for_the_final_dot_follows_the_setting(
    campaign_folder: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, usual: float, final: float
) -> None:
    monkeypatch.setenv("MAILER_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("MAILER_SENDER", "office@example.org")
    if given:
        monkeypatch.setenv("MAILER_SMTP_TIMEOUT", given)
    relay = relay_of(settings.load())
    assert (relay.timeout, relay.final_timeout) == (usual, final)
