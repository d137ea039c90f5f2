"""Lists, letters and ledgers tell who is in a union: on a computer that others use they are for their owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from journey import beginning, people

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there a file is as private as its folder")


def test_whatever_is_written_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with beginning(tmp_path / "my campaign", rows=people(3)) as journey:
            given = set(journey.folder.rglob("*"))
            journey.write("list.csv", "name,email,city\nMia,mia@example.org,Utrecht\nPat,pat@,Leiden\n")
            commands = [
                ["preview", *journey.campaign, "--skip-problems", "--problems", "bad.csv"],
                ["send", *journey.campaign, "--skip-problems", "--yes"],
                ["report", journey.name, "--html", "report.html", "--csv", "report.csv"],
                ["new", "another"],
            ]
            for command in commands:
                assert journey.call(*command).code == 0, command
            written = set(journey.folder.rglob("*")) - given
        assert os.umask(0o022) == 0o022, "the caller's own mask is back"
    finally:
        os.umask(before)
    names = {path.name for path in written}
    assert names >= {"mailer.db", "preview", "index.html", "bad.csv", "report.html", "report.csv", "mailer.toml"}
    assert not [path for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077]
