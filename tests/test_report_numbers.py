"""From a ledger to a report: every way of counting gives the same numbers, and a report without people tells of none."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_campaigns import REASONS, Person, crowd, made_up
from program import Program

from mailer.campaign.report import make_report
from mailer.destination import provider
from mailer.errors import UsageError
from mailer.ledger import Ledger
from mailer.model import EventKind, Status
from mailer.privacy import ADDRESS
from mailer.report import SMALLEST, Course, Report, Spread, counts_only, page, pictures, write_counts

ENDS = [status for status in Status if status is not Status.SENDING]


@st.composite
def people(draw, most: int = 30) -> list[Person]:
    found = []
    for number in range(draw(st.integers(1, most))):
        status = draw(st.sampled_from(ENDS))
        reason, words = draw(st.sampled_from(REASONS)) if status in {Status.FAILED, Status.DEFERRED} else ("", "")
        domain = draw(st.sampled_from(["gmail.com", "googlemail.com", "a.example", "b.example"]))
        address = f"secret{number}@{domain}"
        kinds = draw(st.lists(st.sampled_from(EventKind), max_size=3)) if status is Status.SENT else []
        found.append(
            Person(
                address=address,
                status=status,
                at=draw(st.floats(0, 900_000)),
                reason=reason,
                words=words.format(address=address, queue="12x34567890"),
                name=f"Secret Person{number}",
                language=draw(st.sampled_from([None, "en", "fr"])),
                fields={
                    "country": draw(st.sampled_from(["", "Kenya", f"secret{number}@a.example", "secret@a.example"])),
                    "embassy": {"city": draw(st.sampled_from(["Rome", "Paris"]))},
                    "note": f"Secret Person{number}",
                },
                events=tuple((kind, draw(st.floats(0, 900_000))) for kind in kinds),
            )
        )
    return found


@contextlib.contextmanager
def ledger_with(everybody: list[Person]) -> Iterator[tuple[Ledger, object]]:
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "mailer.db") as ledger:
        yield ledger, made_up(ledger, everybody)


def of(everybody: list[Person], by: str | None = None) -> Report:
    with ledger_with(everybody) as (ledger, campaign):
        return make_report(ledger, campaign, by=by)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people(), st.sampled_from([None, "country", "embassy.city"]))
def test_every_way_of_counting_adds_up_to_the_same_numbers(everybody: list[Person], by: str | None) -> None:
    report = of(everybody, by)
    by_hand = {status: sum(one.status is status for one in everybody) for status in Status}
    assert {status: getattr(report.tally, status) for status in Status} == by_hand
    for spread in (report.domains, report.providers, report.languages, *report.fields.values()):
        assert {status: spread.total[status] for status in Status} == by_hand
    refused = by_hand[Status.FAILED] + by_hand[Status.DEFERRED]
    assert report.reasons.total.total() == report.words.total.total() == refused
    over_time = {course.what: course.total for course in report.progress}
    for status in (Status.SENT, Status.FAILED, Status.UNCERTAIN):
        assert over_time.get(status, 0) == by_hand[status]
    came = {course.what: course.total for course in report.arrivals}
    for kind, name in zip(EventKind, ("bounced", "complained", "unsubscribed", "replied"), strict=True):
        people_with = sum(kind in {what for what, _ in one.events} for one in everybody)
        assert came.get(kind, 0) == getattr(report.returned, name) == people_with
    assert len(report.listed) == len(everybody)
    assert len(report.attention) == report.attention_total == by_hand[Status.FAILED] + by_hand[Status.UNCERTAIN]
    assert report.domains.total == report.providers.total
    for course in (*report.progress, *report.arrivals):
        assert list(course.points) == sorted(course.points)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people(), st.sampled_from([None, "country", "note", "embassy.city"]), st.integers(2, 7))
def test_a_report_without_people_has_no_address_no_name_and_no_small_group(
    everybody: list[Person], by: str | None, smallest: int
) -> None:
    full = of(everybody, by)
    alone = counts_only(full, smallest=smallest)
    with tempfile.TemporaryDirectory() as folder:
        write_counts(Path(folder) / "counts.csv", alone)
        table = (Path(folder) / "counts.csv").read_text(encoding="utf-8-sig")
    for text in (page(alone), table, repr(alone)):
        assert not ADDRESS.search(text.replace("(address)", ""))
        assert "secret" not in text.casefold()
    for whole, spread in [(full.providers, alone.providers), (full.languages, alone.languages)] + [
        (full.fields[name], alone.fields[name]) for name in full.fields
    ]:
        assert spread.total.total() == whole.total.total() == len(everybody)
        assert all(counts.total() >= smallest for counts in spread.groups.values()) or list(spread.groups) == ["other"]
    assert alone.reasons.total.total() == full.reasons.total.total()
    for course in (*alone.progress, *alone.arrivals):
        numbers = [0, *(number for _, number in course.points)]
        assert all(after - before >= smallest for before, after in pairwise(numbers))


def test_who_is_alone_in_other_gets_company() -> None:
    people = {"Kenya": 40, "Ireland": 6, "Nauru": 1}
    spread = Spread(groups={name: Counter({Status.SENT: number}) for name, number in people.items()}).at_least(SMALLEST)
    assert {name: counts.total() for name, counts in spread.groups.items()} == {"Kenya": 40, "other": 7}


def test_what_came_over_time_is_shown_in_steps_of_several_people() -> None:
    course = Course(what="bounce", points=tuple((float(number), number) for number in range(1, 13)))
    assert course.at_least(5).points == ((5.0, 5), (12.0, 12))
    assert course.at_least(13).points == ()


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("googlemail.com", "Gmail"),
        ("hotmail.co.uk", "Microsoft (Outlook, Hotmail)"),
        ("yahoo.co.in", "Yahoo and AOL"),
        ("t-online.de", "Telekom"),
        ("live.example.org", "live.example.org"),
        ("gmail.com.example", "gmail.com.example"),
        ("", ""),
    ],
)
def test_domains_of_one_mail_provider_are_counted_together(domain: str, name: str) -> None:
    assert provider(domain) == name


@pytest.mark.parametrize(
    ("names", "counted"),
    [
        (["email", "Land", "Ortsgruppe"], ["Land", "Ortsgruppe"]),
        (["pays_de_residence", "section", "ville"], ["pays_de_residence", "section"]),
        (["ملک", "membership_no"], ["ملک"]),
        (["country_2", "health", "birthday"], []),
    ],
)
def test_country_and_branch_are_known_by_their_names_and_nothing_else_is_counted(
    names: list[str], counted: list[str]
) -> None:
    everybody = [
        Person(address=f"p{n}@a.example", status=Status.SENT, fields=dict.fromkeys(names, f"v{n % 3}"))
        for n in range(9)
    ]
    assert list(of(everybody).fields) == counted


def test_a_branch_of_its_own_on_each_row_is_no_group() -> None:
    everybody = [
        Person(address=f"p{n}@a.example", status=Status.SENT, fields={"branch": f"v{n}", "country": "Kenya"})
        for n in range(9)
    ]
    assert of(everybody).fields == {}
    assert of(everybody, "Branch").fields["Branch"].total.total() == 9


def test_a_field_that_the_list_has_not_is_refused_with_what_was_meant() -> None:
    one = Person(address="p@a.example", status=Status.SENT, fields={"country": "Kenya"})
    with pytest.raises(UsageError) as refused:
        of([one], "contry")
    assert "did you mean country?" in (refused.value.hint or "")


def test_a_hostile_field_name_asks_the_database_for_nothing_else() -> None:
    name = "x') FROM deliveries; DROP TABLE deliveries; --"
    everybody = [Person(address=f"p{n}@a.example", status=Status.SENT, fields={name: "y"}) for n in range(3)]
    assert of(everybody, name).fields[name].total.total() == 3


def test_groups_beyond_the_largest_thousand_still_count() -> None:
    everybody = [Person(address=f"p{n}@d{n}.example", status=Status.SENT) for n in range(1500)]
    everybody += [Person(address=f"q{n}@big.example", status=Status.SENT) for n in range(4)]
    report = of(everybody)
    assert len(report.domains.groups) == 1000
    assert next(iter(report.domains.groups)) == "big.example"
    assert (report.domains.more, report.domains.total.total()) == (501, 1504)
    assert len(report.listed) == 1000


def test_pictures_show_the_numbers_of_the_report() -> None:
    report = of(crowd(600))
    drawn = pictures(report)
    assert list(drawn) == ["progress", "outcomes", "reasons", "providers", "by-1", "by-2", "languages", "arrivals"]
    for status in ("sent", "failed"):
        assert f">{getattr(report.tally, status):,} {status}<" in drawn["progress"].svg
    assert f">{report.returned.bounced} bounced later<" in drawn["arrivals"].svg
    for name, counts in list(report.fields["country"].groups.items())[:7]:
        assert f">{name}<" in drawn["by-1"].svg
        assert f"{counts[Status.SENT]:,} of {counts.total():,}" in drawn["by-1"].svg


@pytest.mark.thorough
def test_the_same_ledger_gives_the_same_bytes_on_any_computer_and_tells_of_none(tmp_path: Path) -> None:
    with Ledger(tmp_path / "mailer.db") as ledger:
        campaign = made_up(ledger, crowd(80))
        text = page(make_report(ledger, campaign))
    program = (
        "import hashlib, sys\nfrom pathlib import Path\nfrom mailer.campaign.report import make_report\n"
        "from mailer.ledger import Ledger\nfrom mailer.report import page\n"
        "ledger = Ledger(Path('mailer.db'))\n"
        "sys.stdout.buffer.write(page(make_report(ledger, ledger.find('appeal--branches'))).encode())\n"
    )
    own = "savefig.bbox: tight\nsvg.fonttype: path\npath.sketch: 1, 100, 2\nfigure.dpi: 300\nsavefig.dpi: 300\n"
    (tmp_path / "matplotlibrc").write_text(own, encoding="utf-8")
    elsewhere = {"TZ": "Asia/Karachi", "PYTHONHASHSEED": "7", "LC_ALL": "C", "MPLBACKEND": "agg", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | elsewhere, capture_output=True, timeout=60
    )
    assert done.stdout.decode() == text, done.stderr
    assert done.stderr == b""
    assert not {word for word in ("matplotlib", "DejaVu", "<metadata", str(tmp_path), "Python") if word in text}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    with Ledger(tmp_path / "mailer.db") as ledger:
        made_up(ledger, crowd(300))
    return Program(folder=tmp_path, settings={"MAILER_SENDER": "Office <office@example.org>"})


@pytest.mark.thorough
def test_the_command_writes_a_report_for_a_committee_that_names_nobody(program: Program) -> None:
    files = ("--html", "committee.html", "--csv", "committee.csv")
    done = program.run("report", "appeal--branches", "--counts-only", *files)
    assert done.returncode == 0
    written = [(program.folder / name).read_text(encoding="utf-8-sig") for name in ("committee.html", "committee.csv")]
    for text in (done.stdout, *written):
        assert "person" not in text
        assert not ADDRESS.search(text)
    rows = list(csv.DictReader(written[1].splitlines()))
    assert sum(int(row["number"]) for row in rows if row["counted"] == "country") == 300
    assert {row["number"] for row in rows if row["by"] == "total"} == {"300"}
    shown = program.json("report", "appeal--branches", "--counts-only")
    assert sum(shown["by"]["country"].values()) == shown["total"] == 300
    assert "@" not in json.dumps(shown)
    assert program.run("report", "appeal--branches", "--counts-only", *files).returncode == 0


def test_the_command_counts_by_the_field_that_it_is_told(program: Program) -> None:
    assert program.run("report", "appeal--branches", "--html", "bericht.html", "--language", "de").returncode == 0
    german = (program.folder / "bericht.html").read_text(encoding="utf-8")
    assert '<html lang="de" dir="ltr">' in german
    assert "Versandt heißt, dass der nächste Mailserver die Nachricht angenommen hat" in german
    done = program.run("report", "appeal--branches", "--html", "bericht.html", "--language", "tlh")
    assert done.returncode == 2
    assert "write one of: en, de" in done.stderr
    done = program.run("report", "appeal--branches", "--by", "branch")
    assert "People by branch:" in done.stdout
    assert "People by country:" not in done.stdout
    done = program.run("report", "appeal--branches", "--by", "brunch", "--html", "report.html")
    assert done.returncode == 2
    assert "did you mean branch?" in " ".join(done.stderr.split())
    assert not (program.folder / "report.html").exists()


@pytest.mark.thorough
def test_matplotlib_is_imported_only_where_a_page_is_written(program: Program) -> None:
    ask = (
        "import json, sys\nfrom mailer.__main__ import main\nmain(sys.argv[1:])\n"
        "print('matplotlib' in sys.modules, 'pandas' in sys.modules, file=sys.stderr)\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", ask, "report", "appeal--branches", *files],
            cwd=program.folder, capture_output=True, text=True, timeout=60, env=os.environ | program.settings,
        ).stderr.splitlines()[-1]
        for files in (["--csv", "report.csv"], ["--html", "report.html"])
    ]  # fmt: skip
    assert said == ["False False", "True False"]
