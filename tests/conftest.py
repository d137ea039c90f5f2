"""What all tests share: a campaign folder of their own, and nothing of this computer's settings or keyring."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import examples
import pytest
from hypothesis import HealthCheck, settings
from ledger_places import KINDS, place_of
from postgres_server import PostgresServer, Unavailable
from smtp_server import ScriptedServer

from mailer.model import LedgerPlace, Server

# How long an example takes says how busy the machine is: the first run on a fresh clone has tables of characters to build, too.
settings.register_profile("busy machines", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machines")

# A shell that starts the tests in the background has SIGINT ignored, and whatever they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Some shells forbid it, and then whatever tests start is compiled anew each time, as are the tests themselves.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

NULL_KEYRING = "keyring.backends.null.Keyring"


LONGEST = (
    "test_web_journey",
    "test_web_account",
    "test_web_",
    "test_workers",
    "test_campaign_crash",
    "test_encryption",
    "test_inbox",
    "test_real_servers",
    "test_fifteen_failures",
    "test_demo",
    "test_ledger_",
    "test_campaign_",
)
"""Files that take longest begin first, or one process would be busy with them while the others have nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for test in {getattr(item, "obj", None) for item in items}:
        examples.reduce(test)
    items.sort(
        key=lambda item: next((at for at, name in enumerate(LONGEST) if item.path.stem.startswith(name)), len(LONGEST))
    )


SELDOM = {"alone": "alone", "alone and not thorough": "alone", "thorough": "thorough"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whoever asks for one of these marks alone need not wait until the files without it are imported."""
    wanted = config.option.markexpr
    if wanted not in SELDOM or not collection_path.match("test_*.py"):
        return None
    return f"mark.{SELDOM[wanted]}" not in collection_path.read_text("utf-8") or None


@pytest.fixture(autouse=True)
def _no_settings_of_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("MAILER_"):
            monkeypatch.delenv(name)
    # Also for the programs that tests start.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", NULL_KEYRING)


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    """What a test made the page speak is not what it speaks in the next test."""
    yield
    if words := sys.modules.get("mailer.web.journey.words"):
        words.speak("en")


@pytest.fixture
def campaign_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with spaces in its path as on many computers, and the working folder of the test."""
    folder = tmp_path / "my campaign"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, one for each process of the tests that needs it: it is there in half a second."""
    try:
        server = PostgresServer()
    except Unavailable as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL here: {reason}")
    yield server
    server.close()


@pytest.fixture(params=KINDS)
def ledger_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerPlace]:
    """Where a ledger can be: whatever asks for this is tried in both."""
    with place_of(request, tmp_path) as place:
        yield place


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A mail server that does as it is told, and has seen nothing that a client may not do."""
    with ScriptedServer() as running:
        yield running
        assert running.violations == []


@pytest.fixture
def place(postgres: PostgresServer) -> Iterator[Server]:
    """A database of its own on PostgreSQL."""
    with postgres.database() as name:
        yield Server(address=postgres.address(name))
