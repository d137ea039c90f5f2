"""The gallery as files: complete, exact, replaced as a whole, and never more than its own folder."""

from __future__ import annotations

import html
import json
import re
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from preview_samples import MOTION, campaign, composed, contact, letter, rendered, summary, warning

from mailer.errors import Refused
from mailer.markup import script_json, tag
from mailer.model import Attachment
from mailer.preview import Rendered, write
from mailer.preview.folder import INERT, link_name
from mailer.preview.telling import Choice


def data(out: Path) -> dict:
    page = (out / "index.html").read_text(encoding="utf-8")
    return json.loads(page.partition('id="data">')[2].partition("</script>")[0])


def test_every_message_has_a_page_its_exact_bytes_and_a_line_in_the_index(tmp_path):
    items = list(campaign(12))
    index = write(tmp_path / "preview", items, summary())
    assert index == tmp_path / "preview" / "index.html"
    assert len(data(index.parent)["rows"]) == 12
    for number, item in enumerate(items, start=1):
        assert (index.parent / f"eml/{number:06d}.eml").read_bytes() == item.message.content
        page = (index.parent / f"messages/00/{number:06d}.html").read_text(encoding="utf-8")
        assert html.escape(item.letter.subject) in page


def test_the_index_says_that_nothing_was_sent_and_what_the_summary_knows(tmp_path):
    page = write(tmp_path / "p", campaign(12), summary(warnings=(warning(5),) * 150)).read_text(encoding="utf-8")
    for words in (
        "PREVIEW, nothing sent", summary().seal, "3 listed twice, 2 blank, 1 suppressed", "2026-11-02 09:30 UTC",
        "150 things to know before sending", "And 50 more",
    ):  # fmt: skip
        assert words in page


def test_a_summary_known_only_after_the_last_message_may_be_a_function(tmp_path):
    seen = []

    def items():
        for item in campaign(3):
            seen.append(item)
            yield item

    write(tmp_path / "p", items(), lambda: summary(seal=f"seal-of-{len(seen)}"))
    assert "seal-of-3" in (tmp_path / "p" / "index.html").read_text(encoding="utf-8")


def test_a_campaign_without_messages_still_has_a_page(tmp_path):
    index = write(tmp_path / "p", [], summary())
    assert data(tmp_path / "p") == {"telling": [], "rows": []}
    assert "0</span> messages" in index.read_text(encoding="utf-8")


def test_the_most_telling_messages_are_chosen_with_their_reasons():
    choice = Choice()
    items = list(campaign(30))
    for number, item in enumerate(items, start=1):
        choice.look(number, item)
    reasons = {reason: one.number for one in choice.result() for reason in one.reasons}
    assert reasons == {
        "first": 1,
        "last": 30,
        "longest name": 3,
        "name in another script": 2,
        "most empty fields": 3,
        "has a warning": 4,
    }


def test_an_earlier_preview_is_replaced_whole(tmp_path):
    out = tmp_path / "preview"
    write(out, campaign(5), summary())
    write(out, campaign(2), summary())
    assert sorted(path.name for path in (out / "eml").iterdir()) == ["000001.eml", "000002.eml"]
    assert [path.name for path in tmp_path.iterdir()] == ["preview"]


def test_an_empty_folder_is_used_and_missing_folders_above_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    assert write(tmp_path / "empty", campaign(1), summary()).is_file()
    assert write(tmp_path / "a" / "b" / "c", campaign(1), summary()).is_file()


def test_a_folder_with_anything_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_bytes(b"mine")
    with pytest.raises(Refused, match="left alone"):
        write(tmp_path, campaign(1), summary())
    with pytest.raises(Refused, match="is a file"):
        write(tmp_path / "thesis.docx", campaign(1), summary())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_when_a_message_cannot_be_made_the_earlier_preview_stays(tmp_path):
    out = tmp_path / "preview"
    write(out, campaign(3), summary())

    def failing():
        yield from campaign(1)
        raise Refused("The letter broke at row 3.")

    with pytest.raises(Refused, match="row 3"):
        write(out, failing(), summary())
    assert len(list((out / "eml").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["preview"]


def test_a_file_attached_to_everyone_is_stored_once(tmp_path):
    write(tmp_path / "p", campaign(8), summary())
    (stored,) = (path for path in (tmp_path / "p" / "attachments").rglob("*") if path.is_file())
    assert stored.read_bytes() == MOTION.content
    page = (tmp_path / "p" / "messages/00/000008.html").read_text(encoding="utf-8")
    (link,) = re.findall(r'href="\.\./\.\./(attachments/[^"]+)"', page)
    assert (tmp_path / "p" / link.replace("%20", " ")).read_bytes() == MOTION.content


@given(st.text(max_size=120))
def test_no_attachment_name_leaves_its_folder_or_is_run_when_opened(name):
    safe = link_name(name)
    assert Path(safe).name == safe
    assert 0 < len(safe) <= 110
    assert safe.rpartition(".")[2].lower() in INERT | {"download"}
    assert not safe.startswith(".")


@pytest.mark.parametrize(
    "name", ["../../evil.html", "c:\\x\\run.exe", "CON.pdf", "page.svg", ".html", "a.pdf\u202e.html", ""]
)
def test_a_hostile_attachment_is_kept_inside_the_gallery(tmp_path, name):
    item = rendered(1, attachments=(Attachment(filename=name or "x", content_type="text/html", content=b"<script>"),))
    write(tmp_path / "p", [item], summary())
    (stored,) = (path for path in (tmp_path / "p" / "attachments").rglob("*") if path.is_file())
    assert stored.suffix in {".download", ".pdf"}
    assert link_name(name).upper().partition(".")[0] != "CON"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, name, attributes):
        self.seen.append(" ".join([name, *(key for key, _ in attributes)]))


def tags(page: str) -> list[str]:
    parser = Tags()
    parser.feed(page)
    return parser.seen


HOSTILE = st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "<!--<script>",
        "\u2028\u2029",
        "${seal}$",
        "&lt;b&gt;",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=HOSTILE | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)
)
def test_what_a_contact_wrote_stays_text_in_every_page(tmp_path, text):
    def pages(words: str) -> list[list[str]]:
        to = contact(1, name=words, fields={"name": words})
        merged = letter(to, subject=words, language=words)
        item = Rendered(contact=to, letter=merged, message=composed(letter(contact(1))), warnings=(warning(2),))
        out = tmp_path / "p"
        write(out, [item], summary(campaign=words, template=words, list_name=words, sender=words, seal=words))
        assert data(out)["rows"][0][0] == words
        return [
            tags(path.read_text(encoding="utf-8")) for path in (out / "index.html", out / "messages/00/000001.html")
        ]

    assert pages(text) == pages("plain")


@given(st.recursive(st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5))
def test_json_in_a_script_reads_back_and_cannot_end_the_script(value):
    text = script_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


@given(st.text())
def test_an_attribute_cannot_be_left(value):
    parser = Tags()
    parser.feed(tag("a", value, title=value))
    assert parser.seen == ["a title"]


@pytest.mark.thorough
def test_memory_stays_flat_however_many_messages(tmp_path):
    items = list(campaign(10))

    def peak(count: int) -> int:
        tracemalloc.start()
        write(tmp_path / "p", (items[n % 10] for n in range(count)), summary())
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    # the index of the page grows by some hundred octets a message; the messages themselves, by 12,000 each, do not stay
    assert peak(1200) < peak(120) + 1080 * 1500


def test_no_page_names_anything_outside_its_folder(tmp_path):
    out = write(tmp_path / "p", campaign(4), summary()).parent
    for path in out.rglob("*"):
        if path.suffix in {".html", ".css", ".js"}:
            text = re.sub(r'srcdoc="[^"]*"', "", path.read_text(encoding="utf-8"))
            assert not re.search(r"""(?:src|href)=["']?(?:https?:|//|/)|url\(|@import|https?://""", text), path.name
            if path.suffix == ".html":
                assert 'name="referrer" content="no-referrer"' in text
                assert 'name="robots" content="noindex"' in text
