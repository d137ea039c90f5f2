"""The report files: figures that add up, cells that run nothing, markup that stays text."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from chromium import browser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.errors import Refused
from mailer.harmless import FORMULA
from mailer.model import CampaignRecord, DeliveryRecord, Manifest, Status, Tally
from mailer.report import summarise, write_csv, write_html

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


def test_a_folder_in_place_of_the_report_is_said_plainly(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(Refused, match="report cannot be written"):
        write_html(tmp_path / "report.html", campaign(), Tally(sent=1), lambda: [record()])


def test_refusals_are_grouped_by_the_servers_own_words_without_what_differs():
    rows = [
        unknown(1),
        unknown(2),
        unknown(3, Status.DEFERRED),
        record(4),
        record(5, Status.FAILED, server_words="552 too big"),
    ]
    reasons = summarise(rows).reasons
    assert list(reasons) == ["550 5.1.1 (address): Recipient address rejected: User unknown …", "552 too big"]
    assert reasons["552 too big"] == {Status.FAILED: 1}
    assert next(iter(reasons.values())) == {Status.FAILED: 2, Status.DEFERRED: 1}


@pytest.mark.parametrize(
    "words",
    ["451 4.7.1 Greylisted by mx12.mail.example, see postmaster", "550-5.7.26 Unauthenticated", "554 5.7.1 Blocked"],
)
def test_words_and_hosts_and_codes_of_a_refusal_are_left_as_they_are(words):
    assert list(summarise([record(status=Status.FAILED, server_words=words)]).reasons) == [words]


@given(
    st.lists(
        st.builds(
            record,
            st.integers(1, 9),
            st.sampled_from(Status),
            domain=st.sampled_from(["a.example", "b.example"]),
            language=st.sampled_from([None, "en", "fr"]),
        ),
        max_size=40,
    )
)
def test_every_way_of_counting_adds_up_to_the_same_total(rows):
    report = summarise(rows)
    assert report.tally.total == len(rows)
    assert sum(c.total() for c in summarise(rows).domains.values()) == len(rows)
    assert sum(c.total() for c in summarise(rows).languages.values()) == len(rows)
    refused = report.tally.failed + report.tally.deferred
    assert sum(c.total() for c in report.reasons.values()) == refused
    assert report.attention_total == len(report.attention) == report.tally.failed + report.tally.uncertain
    statuses = [r.status for r in report.attention]
    assert statuses == sorted(statuses, key=[Status.UNCERTAIN, Status.FAILED].index)


def test_the_page_names_the_uncertain_and_failed_before_everything_else(tmp_path):
    rows = [record(n) for n in range(1, 30)] + [unknown(30), record(31, Status.UNCERTAIN, reason="Lost after the dot.")]
    tally = Tally(sent=29, failed=1, uncertain=1)
    write_html(tmp_path / "report.html", campaign(), tally, lambda: iter(rows))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (
        page.index("contact31@example.org") < page.index("contact30@example.org") < page.index("contact1@example.org")
    )
    assert "mailer resolve appeal--branches" in page
    for row in rows:
        assert f"<td>{row.address}</td>" in page
    totals = dict(re.findall(r'<dt>([^<]+)</dt><dd class="number">([\d,]+)</dd>', page))
    assert totals.pop("total") == "31"
    assert sum(int(count) for count in totals.values()) == 31


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, name, attributes):
        self.seen.append(name)
        self.seen.extend(f"{name} {key}" for key, _ in attributes)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(min_size=1, max_size=40)
    | st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=a>', "</style>$x"])
)
def test_what_a_contact_or_a_server_wrote_never_becomes_markup(tmp_path, text):
    def tags(words: str) -> list[str]:
        rows = [record(1, Status.FAILED, name=words, server_words=words, domain=words, language=words or None)]
        write_html(tmp_path / "report.html", campaign(name=words), Tally(failed=1), lambda: rows)
        parser = Tags()
        parser.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
        return parser.seen

    assert tags(text) == tags("plain")


def test_the_page_asks_nothing_of_any_network(tmp_path):
    write_html(tmp_path / "report.html", campaign(finished_at=NOON), Tally(sent=1), lambda: [record()])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href|url)\s*[=(]", page.partition("<body>")[2])
    assert "default-src 'none'" in html.unescape(page)
    assert "Finished on 2026-11-02: 1 of 1 sent." in page


def test_a_hundred_thousand_rows_stream_from_a_fresh_iterator_each_time(tmp_path):
    calls = []

    def records():
        calls.append(1)
        return (record(n) for n in range(100_000))

    write_html(tmp_path / "report.html", campaign(), Tally(sent=100_000), records)
    assert len(calls) == 2
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<td>sent</td>") == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count('class="status">sent<') == 100_000


def test_on_a_telephone_the_reason_stands_whole_under_the_name(tmp_path):
    rows = [unknown(1), record(2)]
    write_html(tmp_path / "report.html", campaign(), summarise(rows).tally, lambda: rows)
    with browser() as running:
        page = running.new_page(viewport={"width": 390, "height": 800})
        page.goto((tmp_path / "report.html").as_uri())
        assert "All times are UTC." in page.inner_text("body")
        for cell in page.query_selector_all("td.why"):
            box = cell.bounding_box()
            assert box is None or box["x"] + box["width"] <= 390
        first = page.query_selector(".rows td.why")
        name = page.query_selector(".rows td[dir]")
        assert first.bounding_box()["y"] > name.bounding_box()["y"]
        page.close()
