"""The table of a report leaves the page piece by piece: the same as the command writes, in little memory, and no longer than somebody listens."""

from __future__ import annotations

import contextlib
import io
import threading
import tracemalloc
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from made_up_campaigns import crowd, made_up
from organiser import Stranger, office

from mailer import report
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, DeliveryRecord
from mailer.web.journey import standing
from mailer.web.journey.standing import _streamed


def campaign(tmp_path: Path, number: int) -> tuple[CampaignRecord, list[DeliveryRecord]]:
    with Ledger(tmp_path / "mailer.db") as ledger:
        made = made_up(ledger, crowd(number), name="big")
        return made, list(ledger.records(made))


def test_the_table_of_the_page_is_that_of_the_command(tmp_path: Path) -> None:
    with office(tmp_path / "office") as at_work:
        campaign(at_work.folder, 1_234)
        at_work.open()
        inside = Stranger(at_work.port)
        inside.enter(at_work.page)
        answer, text = inside.ask("GET", "/campaign/big/report.csv")
        assert answer.getheader("Transfer-Encoding") == "chunked"
        assert answer.getheader("Content-Disposition") == 'attachment; filename="report.csv"'
        at_work.program.run("report", "big", "--csv", "table.csv")
        assert text.encode() == (at_work.folder / "table.csv").read_bytes()
        assert inside.ask("GET", "/campaign/none/report.csv")[0].status == 404


def test_pieces_of_any_number_of_lines_are_the_whole(tmp_path: Path) -> None:
    made, records = campaign(tmp_path, 1_001)
    for number in (0, 1, 499, 500, 501, 1_000, 1_001):
        whole = io.StringIO(newline="")
        report.write_lines(whole, made, records[:number])
        found = "".join(report.parts(made, records[:number]))
        assert found == whole.getvalue()
        assert found.count("\r\n") == number + 1


def test_a_table_of_many_is_made_in_the_memory_of_a_few(tmp_path: Path) -> None:
    made, records = campaign(tmp_path, 1)
    [one] = records

    def many(number: int) -> Iterator[DeliveryRecord]:
        return (one for _ in range(number))

    def peak(number: int) -> int:
        tracemalloc.start()
        try:
            size = sum(map(len, report.parts(made, many(number))))
            assert size > 50 * number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(40_000) < peak(1_000) + 100_000


async def test_nothing_more_is_made_once_nobody_listens() -> None:
    made, ended = [], []

    def parts() -> Generator[bytes]:
        try:
            for number in range(100):
                made.append(number)
                yield b"x"
        finally:
            ended.append(True)

    async with contextlib.aclosing(_streamed(parts())) as streamed:  # type: ignore[type-var]
        async for _part in streamed:
            break
    assert (made, ended) == ([0], [True])


def test_a_page_that_ends_while_it_reads_ahead_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the program ends, whatever is still being imported in a thread fails; its traceback would be the page's last words."""

    def at_the_end(name: str) -> None:
        raise RuntimeError(f"can't import {name} at interpreter shutdown")

    monkeypatch.setattr("importlib.import_module", at_the_end)
    said: list[object] = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    standing._read_ahead()
    for thread in threading.enumerate():
        if thread.name == "reading ahead":
            thread.join(10)
    assert not said
