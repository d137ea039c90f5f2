"""The sample letters that come with the program: complete, free of warnings, every ask in sight."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import docx
import pytest
import yaml
from merge_letters import CAMPAIGN, Page

from mailer.merge import Folder, Template, load
from mailer.model import Contact, FieldValue, Letter

ROOT = Path(__file__).resolve().parent.parent
CASE = yaml.safe_load((ROOT / "templates" / "case.yaml").read_text(encoding="utf-8"))
LANGUAGES = ["en", "de", "es", "fr", "it", "ur"]
EMBASSY = {
    "country": "Ireland",
    "post": "Embassy",
    "city": "x",
    "email": "embassy@placeholder.example",
    "checked_on": "2026-11-16",
}


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "contacts" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_contact(row: dict[str, str], number: int = 2, language: str | None = None) -> Contact:
    fields: dict[str, FieldValue] = {**row, "embassy": EMBASSY}
    code = language or row["language"]
    return Contact(address=row["email"], key=row["email"], row=number, language=code, fields=fields)


@pytest.fixture(scope="module")
def appeal() -> Template:
    return load("solidarity-appeal", Folder(ROOT))


@pytest.fixture(scope="module")
def embassy_letter() -> Template:
    return load("embassy-letter", Folder(ROOT))


def assert_four_asks(message: Letter) -> None:
    page = Page(message.html)
    for target in CASE["links"].values():
        assert target in page.targets
        assert target in message.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_appeal_shows_the_four_asks_in_every_language(appeal, language):
    message = appeal.merge(as_contact(rows("branches.csv")[0], language=language), CAMPAIGN)
    assert message.language == language
    assert_four_asks(message)
    assert "Lal Salaam!" in message.text
    assert "Lal Salaam!" in Page(message.html).text
    assert "Harbour Workers Branch 12" in message.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_appeal_carries_the_motion_in_its_body_and_as_a_word_file(appeal, language):
    message = appeal.merge(as_contact(rows("branches.csv")[0], language=language), CAMPAIGN)
    (motion,) = message.attachments
    assert motion.filename.endswith(".docx")
    paragraphs = [item.text for item in docx.Document(io.BytesIO(motion.content)).paragraphs]
    assert paragraphs[0] in message.text
    demands = appeal._versions[language].fixed["case"]["demands"]
    assert len(demands) == 3
    for demand in demands:
        assert message.text.count(demand) == 2
        assert sum(demand in text for text in paragraphs) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_embassy_letter_is_ready_to_send_and_to_copy(embassy_letter, language):
    row = rows("supporters.csv")[0]
    message, warnings = embassy_letter.merge_with_warnings(as_contact(row, language=language), CAMPAIGN)
    assert warnings == ()
    assert_four_asks(message)
    (link,) = [target for target in Page(message.html).targets if target.startswith("mailto:embassy")]
    assert link.startswith("mailto:embassy@placeholder.example?subject=The%20disappearance")
    assert "&body=Your%20Excellency%2C%0D%0A%0D%0A" in link
    assert len(link) < 2000
    assert f"{row['name']}\n{row['city']}, {row['country']}" in message.text
    assert f"{row['name']}\n{row['city']}, {row['country']}" in Page(message.html).text


@pytest.mark.parametrize(
    ("name", "table"),
    [("solidarity-appeal", "branches.csv"), ("embassy-letter", "supporters.csv"), ("model-motion", "branches.csv")],
)
def test_every_sample_merges_with_every_sample_row_without_a_complaint(name, table):
    template = load(name, Folder(ROOT))
    entries = rows(table)
    assert template.check(list(entries[0])) == []
    for number, row in enumerate(entries, 2):
        message, warnings = template.merge_with_warnings(as_contact(row, number), CAMPAIGN)
        assert warnings == ()
        assert len(message.html.encode()) < 20_000
        assert not re.search(r"[{}]{2}|qzjtag|<!--", message.text)
        assert not re.search(r"qzjtag|<!--", message.html)


def test_the_motion_does_without_a_branch():
    contact = Contact(address="a@example.org", key="a@example.org", row=2)
    assert "This meeting notes that" in load("model-motion", Folder(ROOT)).merge(contact, CAMPAIGN).text


def test_every_particular_of_the_case_comes_from_the_case_file():
    particulars = [CASE["name"], CASE["home"], CASE["organisation"], "Karachi", "PTM", "solidarity.example"]
    for path in (ROOT / "templates").rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert [word for word in particulars if word in text] == []


def test_the_samples_name_reserved_domains_only():
    for path in (ROOT / "templates").rglob("*.*"):
        for domain in re.findall(r"(?:https?://|@)([\w.-]+\.[a-z]+)", path.read_text(encoding="utf-8")):
            assert domain.endswith((".example", ".test", "example.org", "example.net"))
