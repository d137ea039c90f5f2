"""The report files: figures that add up, cells that run nothing, markup that stays text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.errors import Refused
from mailer.harmless import FORMULA
from mailer.markup import Voice
from mailer.model import CampaignRecord, DeliveryRecord, Manifest, Returned, Status, Tally
from mailer.report import Course, Report, Spread, counts_only, is_html_report, page, refusals, write_csv, write_html

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def campaign(**changes) -> CampaignRecord:
    manifest = Manifest(
        template="templates/appeal",
        list_name="contacts/branches.xlsx",
        letter={},
        attachments={},
        contacts="0" * 64,
        list_file="0" * 64,
        settings={"sender": "Solidarity Centre <appeals@solidarity.example>"},
        messages="1" * 64,
        duplicates=3,
        blank=2,
    )
    fields = {"id": 1, "name": "appeal--branches", "revision": 1, "manifest": manifest, "started_at": NOON, **changes}
    return CampaignRecord(**fields)


def record(number: int = 1, status: Status = Status.SENT, **changes) -> DeliveryRecord:
    fields = {
        "row": number + 1,
        "address": f"contact{number}@example.org",
        "name": f"Contact {number}",
        "domain": "example.org",
        "language": "en",
        "status": status,
        "reason": "",
        "attempts": 1,
        "updated_at": NOON,
        "next_attempt_at": None,
        "message_id": f"<{number}@solidarity.example>",
        **changes,
    }
    return DeliveryRecord(**fields)


def unknown(number: int, status: Status = Status.FAILED) -> DeliveryRecord:
    words = f"550 5.1.1 <contact{number}@example.org>: Recipient address rejected: User unknown q{number}x8837fz1"
    return record(number, status, reason="The address does not exist.", server_words=words)


def cells(path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def test_every_delivery_is_one_line_of_the_csv_with_times_in_utc(tmp_path):
    paris = timezone(timedelta(hours=1))
    rows = [record(1, updated_at=datetime(2026, 11, 2, 13, 0, tzinfo=paris)), unknown(2)]
    write_csv(tmp_path / "report.csv", campaign(), rows)
    assert (tmp_path / "report.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    first, second = cells(tmp_path / "report.csv")
    assert first["updated_at"] == "2026-11-02T12:00:00+00:00"
    assert (first["campaign"], first["row"], first["status"]) == ("appeal--branches", "2", "sent")
    assert second["server_words"].startswith("550 5.1.1")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(tmp_path, start):
    write_csv(tmp_path / "report.csv", campaign(), [record(name=f'{start}HYPERLINK("https://evil.example")')])
    (row,) = cells(tmp_path / "report.csv")
    assert row["name"].startswith(f"'{start}")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=30), words=st.text(max_size=30), row=st.none() | st.integers(1, 10**6))
def test_whatever_a_cell_holds_the_csv_reads_back_and_no_cell_is_a_formula(tmp_path, name, words, row):
    write_csv(tmp_path / "report.csv", campaign(), [record(name=name, server_words=words, row=row)])
    (line,) = cells(tmp_path / "report.csv")
    assert line["row"] == ("" if row is None else str(row))
    for given_text, found in ((name, line["name"]), (words, line["server_words"])):
        assert not found.startswith(FORMULA)
        readable = given_text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
        assert found in {readable, f"'{readable}"}


def test_an_earlier_report_stays_if_the_new_one_fails(tmp_path):
    path = tmp_path / "report.csv"
    path.write_text("earlier", encoding="utf-8")

    def interrupted():
        yield record()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_csv(path, campaign(), interrupted())
    assert path.read_text(encoding="utf-8") == "earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["report.csv"]


def made(**changes) -> Report:
    """A report with something in each of its parts."""
    failed = Counter({Status.FAILED: 12})
    both = Counter({Status.SENT: 8, Status.FAILED: 12})
    fields = {
        "name": "appeal--branches",
        "template": "appeal",
        "list_name": "branches.csv",
        "started_at": NOON,
        "finished_at": None,
        "tally": Tally(sent=8, failed=12),
        "returned": Returned(bounced=6),
        "progress": (Course(what=Status.SENT, points=((NOON.timestamp() + 60, 8),)),),
        "arrivals": (Course(what="bounce", points=((NOON.timestamp() + 90, 6),)),),
        "reasons": Spread(groups={"The mailbox is full": failed}),
        "words": Spread(groups={"552 5.2.2 Full": failed}),
        "domains": Spread(groups={"example.org": both}),
        "providers": Spread(groups={"example.org": both}),
        "languages": Spread(groups={"en": Counter({Status.SENT: 8}), "fr": failed}),
        "fields": {"country": Spread(groups={"Kenya": failed, "Ireland": Counter({Status.SENT: 8})})},
        "attention": (unknown(2),),
        "listed": (record(1), unknown(2)),
        "facts": {"Letter": "appeal"},
        **changes,
    }
    return Report(**fields)


def test_a_folder_in_place_of_the_report_is_said_plainly(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(Refused, match="report cannot be written"):
        write_html(tmp_path / "report.html", made())


def test_refusals_are_grouped_by_the_servers_own_words_without_what_differs():
    why = "This address does not exist (any more), says its mail server. It will not be mailed again."
    rows = [
        *((why, unknown(number).server_words, status, 1) for number, status in enumerate([Status.FAILED] * 2 + [Status.DEFERRED])),
        ("The message is too large: make it smaller.", "552 too big", Status.FAILED, 1),
        ("Given up after 5 tries, since the time for it is used up.", "", Status.FAILED, 1),
        ("Given up after 9 tries, since the time for it is used up.", "", Status.FAILED, 1),
    ]  # fmt: skip
    reasons, words = refusals(rows)
    first, *others = words.groups
    assert first == "550 5.1.1 (address): Recipient address rejected: User unknown …"
    assert words.groups[first] == {Status.FAILED: 2, Status.DEFERRED: 1}
    assert "552 too big" in others
    assert {name: counts.total() for name, counts in reasons.groups.items()} == {
        "This address does not exist (any more), says its mail server": 3,
        "Given up after several tries": 2,
        "The message is too large": 1,
    }


@pytest.mark.parametrize(
    "words",
    ["451 4.7.1 Greylisted by mx12.mail.example, see postmaster", "550-5.7.26 Unauthenticated", "554 5.7.1 Blocked"],
)
def test_words_and_hosts_and_codes_of_a_refusal_are_left_as_they_are(words):
    assert list(refusals([("", words, Status.FAILED, 1)])[1].groups) == [words]


def test_the_page_names_the_uncertain_and_failed_before_everything_else():
    rows = [record(n) for n in range(1, 30)] + [unknown(30), record(31, Status.UNCERTAIN, reason="Lost after the dot.")]
    tally = Tally(sent=29, failed=1, uncertain=1)
    text = page(made(tally=tally, attention=(rows[-1], rows[-2]), listed=tuple(rows)))
    places = [text.index(f">contact{number}@example.org<") for number in (31, 30, 1)]
    assert places == sorted(places)
    assert "mailer resolve appeal--branches" in text
    assert "All deliveries" in text


def test_what_is_left_out_of_a_table_is_said():
    text = page(made(tally=Tally(sent=23_454, failed=2)))
    assert "The first 2 of 23,456; all of them are in the CSV file." in text
    assert "The first 1 of 2; all of them are in the CSV file." in text
    many = {f"d{number}.example": Counter({Status.SENT: 1}) for number in range(300)}
    text = page(made(domains=Spread(groups=many, more=50, rest=Counter({Status.SENT: 700}))))
    assert "The first 200; 150 more with 800 people are counted in the last line." in text
    assert '<td class="figure">1,000</td></tr></tfoot>' in text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, name, attributes):
        self.seen.add(name)
        self.seen.update(f"{name} {key}" for key, _ in attributes)


def tags(text: str) -> set[str]:
    parser = Tags()
    parser.feed(text)
    return parser.seen


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=a>',
    "</style>$x",
    "</svg><b>",
    "]]>&#0;",
    "$x$ \\frac{a}",
]


@settings(max_examples=12, deadline=None)
@given(
    text=st.text(min_size=1, max_size=400) | st.sampled_from([*HOSTILE, "\u202eevil\u2066", "\0\x1b[31m", "W" * 9000])
)
def test_what_a_contact_or_a_server_wrote_never_becomes_markup(text):
    def seen(words: str) -> set[str]:
        row = record(1, Status.FAILED, name=words, server_words=words, reason=words, domain=words)
        group = Spread(groups={words: Counter({Status.FAILED: 9}), "x": Counter({Status.SENT: 9})})
        report = made(
            name=words, list_name=words, reasons=group, words=group, domains=group, providers=group, languages=group,
            fields={words: group}, attention=(row,), listed=(row,), facts={"List": words},
        )  # fmt: skip
        return tags(page(report)) | tags(page(counts_only(report)))

    assert seen(text) == seen("plain")


def test_the_page_asks_nothing_of_any_network_and_runs_no_script_but_its_own():
    text = page(made(finished_at=NOON, tally=Tally(sent=1)))
    found = tags(text)
    assert not {name for name in found if name.endswith((" src", " href", " style"))}
    assert not {name for name in found if " on" in name}
    assert "default-src 'none'" in text
    assert "unsafe" not in text
    assert "Finished on 2026-11-02: 1 of 1 sent." in text


def test_a_campaign_without_anybody_still_has_a_page():
    nothing = Spread()
    report = Report(
        name="x", template="x", list_name="x", started_at=NOON, finished_at=None, tally=Tally(), returned=Returned()
    )
    assert "0 of 0 sent" in page(report)
    assert page(counts_only(report))
    assert counts_only(report).providers == nothing


def test_a_page_in_another_language_is_known_as_ours(tmp_path):
    voice = Voice(language="he", direction="rtl", say=str.upper)
    write_html(tmp_path / "report.html", made(tally=Tally(sent=1)), voice)
    assert '<html lang="he" dir="rtl">' in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert is_html_report(tmp_path / "report.html")


def test_pages_of_earlier_versions_are_known_as_ours(tmp_path):
    old = tmp_path / "old.html"
    old.write_text(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="generator" content="mailer report">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>Report",
        encoding="utf-8",
    )
    assert is_html_report(old)
    write_html(old, made())
    assert is_html_report(old)
    old.write_text("<!doctype html>\n<html lang='en'>\nmine", encoding="utf-8")
    assert not is_html_report(old)
