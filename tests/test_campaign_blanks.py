"""Fields that a letter prints without asking whether they are there."""

from pathlib import Path

from mailer.campaign.plan import Plan, make_plan
from mailer.campaign.source import Source
from mailer.model import Identity, Mailbox

LETTER = "---\nsubject: Hello\n---\nDear {{ name }} in {{ city }}, {{ country or 'somewhere' }}\n"


def plan(folder: Path, rows: str) -> Plan:
    (folder / "templates").mkdir()
    (folder / "templates/hello.md").write_text(LETTER, encoding="utf-8")
    (folder / "people.csv").write_text("email,name,city,country\n" + rows, encoding="utf-8")
    source = Source(template="hello", list_path=Path("people.csv"))
    return make_plan(source, Identity(sender=Mailbox(address="ana@example.org")), b"secret")


def test_a_field_that_is_never_blank_is_not_worth_a_warning(campaign_folder: Path) -> None:
    made = plan(campaign_folder, "pat@example.org,Pat,Cork,\n")
    assert made.warnings == []


def test_a_blank_field_is_told_with_its_rows(campaign_folder: Path) -> None:
    made = plan(campaign_folder, "a@example.org,A,Cork,\nb@example.org,B,,\nc@example.org,,,\n")
    found = {(item.column, item.message) for item in made.warnings}
    assert found == {
        ("name", "line 4: the field name is blank in row 4."),
        ("city", "line 4: the field city is blank in 2 rows, the first of them row 3."),
    }
