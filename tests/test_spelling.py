"""A disk on which Appeal.md and appeal.md, or é in one character and in two, are one and the same file: as on Windows and macOS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pytest
from campaigns import IDENTITY, LETTER, address, once_each, received, send, write_list
from hypothesis import given
from hypothesis import strategies as st
from smtp_server import ScriptedServer

from mailer.campaign.send import freeze, prepare
from mailer.campaign.source import Source, on_disk
from mailer.errors import CampaignError
from mailer.ledger import Ledger

PEOPLE = [address(number) for number in range(1, 5)]
NFC, NFD = normalize("NFC", "résumé"), normalize("NFD", "résumé")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a letter in two languages, one in a folder, one with letters that can be spelled in two ways, and a list."""
    templates = tmp_path / "templates"
    (templates / "Strike").mkdir(parents=True)
    for name in ("appeal.md", "appeal.de.md", "Strike/letter.md", f"{NFD}.md"):
        (templates / name).write_text(LETTER.replace("language: en", "") + f"\n{name}\n", encoding="utf-8")
    write_list(tmp_path, PEOPLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def alias(monkeypatch: pytest.MonkeyPatch) -> Iterator[Alias]:
    """Gives files further names, by which they are found but not listed."""
    given = Alias()
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        return (one for one in listed(folder) if one.absolute() not in given.paths)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    try:
        yield given
    finally:
        for path in given.paths:
            with suppress(FileNotFoundError):
                path.unlink()


class Alias:
    def __init__(self) -> None:
        self.paths: set[Path] = set()

    def __call__(self, path: Path, other: str) -> None:
        made = path.with_name(other).absolute()
        try:
            made.symlink_to(path.name, target_is_directory=path.is_dir())
        except FileExistsError:
            pytest.skip("this disk is one")
        self.paths.add(made)


def of(template: str, contact_list: str = "people.csv", **other: str) -> Source:
    return Source(template=template, list_path=Path(contact_list), **other)


def test_a_campaign_is_named_as_the_disk_spells_its_letter_and_its_list(folder: Path, alias: Alias) -> None:
    templates = folder / "templates"
    for path, other in (
        (templates / "appeal.md", "Appeal.md"),
        (templates / "Strike", "strike"),
        (templates / f"{NFD}.md", f"{NFC}.md"),
        (folder / "people.csv", "PEOPLE.CSV"),
        (templates, "Templates"),
    ):
        alias(path, other)
    for typed, spelled in (
        ("Appeal", "appeal"),
        ("Appeal.md", "appeal.md"),
        ("templates/Appeal", "templates/appeal"),
        ("Templates/Appeal.md", "templates/appeal.md"),
        (str(templates / "Appeal.md"), "templates/appeal.md"),
        ("strike", "Strike"),
        ("templates/strike/letter.md", "templates/Strike/letter.md"),
        (NFC, NFD),
    ):
        found = of(typed, "PEOPLE.CSV")
        stem = Path(spelled).parent.name if spelled.endswith("letter.md") else Path(spelled).name.removesuffix(".md")
        assert (found.template, found.name) == (spelled, f"{stem}--people")
        assert found.list_path == Path("people.csv")
    assert on_disk(folder / "PEOPLE.CSV") == folder / "people.csv"
    assert of("appeal", campaign="Appeal--people").name == "Appeal--people", "a name that was given is a wish"


@pytest.mark.parametrize(
    "typed", ["appeal", "./appeal.md", "templates/appeal.md", "nothing", "", ".", "..", "a\0b", "x" * 300]
)
def test_what_is_there_as_typed_or_is_not_there_stays_as_it_is(folder: Path, typed: str) -> None:
    (folder / "templates" / "Appeal.md").write_text(LETTER, encoding="utf-8")
    (folder / "APPEAL.MD").write_text(LETTER, encoding="utf-8")
    assert of(typed, typed).template == typed
    assert of(typed, typed).list_path == Path(typed)


@given(st.text(max_size=12), st.text(max_size=12))
def test_whatever_is_typed_is_no_error(template: str, contact_list: str) -> None:
    found = of(template, contact_list)
    assert (found.template, found.list_path) == (template, Path(contact_list))


async def test_the_same_command_in_another_spelling_continues(folder: Path, alias: Alias) -> None:
    alias(folder / "templates" / "appeal.md", "Appeal.md")
    with ScriptedServer() as server, Ledger(folder / "mailer.db") as ledger:
        await send(ledger, freeze(prepare(of("appeal"), IDENTITY, ledger), ledger), server, limit=3)
        again = prepare(of("Appeal"), IDENTITY, ledger)
        assert again.campaign is not None, "with all its languages, which are looked for by the letter's name"
        await send(ledger, freeze(again, ledger), server)
        assert received(server) == once_each(PEOPLE)


@pytest.mark.parametrize("is_renamed", [True, False])
async def test_a_letter_by_another_name_is_noticed_before_everybody_is_mailed_again(
    folder: Path, is_renamed: bool
) -> None:
    first, second = folder / "templates" / "Strike" / "letter.md", folder / "templates" / "walk-out.md"
    with ScriptedServer() as server, Ledger(folder / "mailer.db") as ledger:
        await send(ledger, freeze(prepare(of("Strike"), IDENTITY, ledger), ledger), server, limit=3)
        content = first.read_bytes()
        if is_renamed:
            first.rename(second)
        else:
            second.write_bytes(content)
        [warning] = prepare(of("walk-out"), IDENTITY, ledger).differences
        assert warning.startswith("3 of these 4 people already got this letter, in campaign 'Strike--people'")
        assert warning.endswith(
            "Was the list or the letter only renamed? Then continue that one: --campaign Strike--people"
        )
        # the way on that it names
        with pytest.raises(CampaignError, match="has begun, with other contents") as refused:
            prepare(of("walk-out", campaign="Strike--people"), IDENTITY, ledger)
        assert "--update" in (refused.value.hint or "")
        update = prepare(of("walk-out", campaign="Strike--people"), IDENTITY, ledger, update=True)
        await send(ledger, freeze(update, ledger), server)
        assert received(server) == once_each(PEOPLE)
        # another letter is another letter
        second.write_bytes(content + b"And one more line.\n")
        assert prepare(replace(of("walk-out"), campaign="new"), IDENTITY, ledger).differences == ()


@pytest.mark.parametrize("typed", ["MARCH résumé", " March  résumé ", f"March {NFD}"])
def test_a_campaigns_name_that_looks_the_same_begins_no_other_campaign(typed: str, folder: Path) -> None:
    with Ledger(folder / "mailer.db") as ledger:
        named = Source(template="appeal", list_path=Path("people.csv"), campaign=f"March {NFC}")
        first = freeze(prepare(named, IDENTITY, ledger), ledger)
        with pytest.raises(CampaignError, match="differs from it only in capital letters, blanks") as refused:
            prepare(replace(named, campaign=typed), IDENTITY, ledger)
        assert f'--campaign "{first.name}"' in (refused.value.hint or "")
        with pytest.raises(CampaignError) as unknown:
            ledger.find(typed)
        assert unknown.value.hint == f"did you mean {first.name}?"
        other = prepare(replace(named, campaign="April"), IDENTITY, ledger)
        assert other.campaign is None


def test_campaigns_that_are_not_listed_are_not_denied(folder: Path) -> None:
    with Ledger(folder / "mailer.db") as ledger:
        for number in range(11):
            named = Source(template="appeal", list_path=Path("people.csv"), campaign=f"number {number}")
            freeze(prepare(named, IDENTITY, ledger), ledger)
        with pytest.raises(CampaignError) as unknown:
            ledger.find("none")
    hint = unknown.value.hint or ""
    assert hint.startswith("the newest campaigns here: number 10, ")
    assert hint.endswith("all of them: mailer status")
