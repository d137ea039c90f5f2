"""The files behind a letter are remembered by their digests, those of a letter outside the campaign folder too."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mailer.campaign.frozen import Recorded
from mailer.errors import LetterError


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "campaign").mkdir()
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "letter.md"
    path.write_bytes(b"Dear all")
    return path


def test_a_letter_outside_is_remembered_by_the_folder_that_admitted_it(outside: Path) -> None:
    files = Recorded(outside.parent.parent / "campaign")
    name = outside.as_posix()
    assert files.admitting(outside.parent).read(name) == b"Dear all"
    assert files.digests == {name: hashlib.sha256(b"Dear all").hexdigest()}
    assert files.content(name) == b"Dear all"


def test_admitting_a_folder_opens_it_to_the_new_one_only(outside: Path) -> None:
    files = Recorded(outside.parent.parent / "campaign")
    wider = files.admitting(outside.parent)
    assert wider is not files
    assert wider.exists(outside.as_posix())
    assert not files.exists(outside.as_posix())
    with pytest.raises(LetterError, match="outside"):
        files.read(outside.as_posix())


def test_a_file_that_changed_since_it_was_rendered_is_not_given(outside: Path) -> None:
    files = Recorded(outside.parent.parent / "campaign")
    files.admitting(outside.parent).read(outside.as_posix())
    outside.write_bytes(b"Dear nobody")
    with pytest.raises(LetterError, match="was changed"):
        files.content(outside.as_posix())
