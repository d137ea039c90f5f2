"""The gallery of very many messages: the same pages and messages in few files, found and shown without loading all."""

from __future__ import annotations

import html
import json
import tracemalloc
from pathlib import Path

import pytest
from chromium import Requests, browser, letter, message
from preview_samples import LOGO, campaign, composed, contact, rendered, summary, warning
from preview_samples import letter as merged

from mailer.model import Attachment
from mailer.preview import Rendered, write
from mailer.preview.packs import KEPT, ROWS, TOGETHER

MANY = 2 * ROWS + 30


def packed(out: Path, items, total: int) -> Path:
    return write(out, items, summary(), total=total, own_files=10)


def content(path: Path, function: str):
    """What a script hands to the gallery."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"{function}({int(path.stem)}, ")
    assert text.endswith(");\n")
    return json.loads(text.partition(", ")[2].removesuffix(");\n"))


def unpacked(out: Path) -> list[tuple[str, bytes | None]]:
    """Page and .eml of every message, as the browser puts them together."""
    found = []
    for path in sorted((out / "packs").iterdir()):
        pack = content(path, "mailerPack")

        def lines(runs, pack=pack) -> list[str]:
            pairs = zip(runs[::2], runs[1::2], strict=True)
            return [line for start, count in pairs for line in pack["lines"][start : start + count]]

        for page, mail in zip(pack["pages"], pack["mails"], strict=True):
            found.append(("".join(lines(page)), "\r\n".join(lines(mail)).encode("latin-1") if mail else None))
    return found


def light(count: int):
    """Messages without an attachment, composed once, so that thousands are quickly made."""
    made = [composed(merged(contact(number), attachments=(LOGO,)), number) for number in range(1, 11)]
    for number in range(1, count + 1):
        to = contact(number)
        doubts = (warning(number + 1),) if number % 40 == 4 else ()
        yield Rendered(contact=to, letter=merged(to, attachments=()), message=made[number % 10 - 1], warnings=doubts)


def test_packs_hold_the_pages_and_the_exact_bytes_that_files_would(tmp_path):
    items = list(campaign(TOGETHER + 7))
    write(tmp_path / "files", items, summary())
    packed(tmp_path / "packs", items, len(items))
    assert len(list((tmp_path / "packs" / "packs").iterdir())) == 2
    for number, (page, mail) in enumerate(unpacked(tmp_path / "packs"), start=1):
        assert mail == (tmp_path / f"files/eml/{number:06d}.eml").read_bytes()
        own = (tmp_path / f"files/messages/00/{number:06d}.html").read_text(encoding="utf-8")
        own = own.replace(f"../../eml/{number:06d}.eml", "#").replace("../../", "../")
        assert page == own
    [stored] = (path for path in (tmp_path / "packs" / "attachments").rglob("*") if path.is_file())
    assert stored.name == "Model motion.pdf"


def test_every_message_has_its_line_in_the_list_and_none_stands_in_the_index(tmp_path):
    index = packed(tmp_path / "p", light(MANY), MANY)
    rows = [row for path in sorted((index.parent / "rows").iterdir()) for row in content(path, "mailerRows")]
    assert [row[1] for row in rows] == [contact(number).address for number in range(1, MANY + 1)]
    text = index.read_text(encoding="utf-8")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert (data["total"], data["size"]) == (MANY, ROWS)
    assert "rows" not in data
    assert len(text) < 20_000
    assert "a page of its own" not in text


@pytest.mark.thorough
def test_files_are_few_and_small(tmp_path):
    index = packed(tmp_path / "p", light(MANY), MANY)
    files = [path for path in index.parent.rglob("*") if path.is_file()]
    assert len(files) < 30
    assert sum(path.stat().st_size for path in files) < MANY * 2500
    assert max(path.stat().st_size for path in files) < 1_000_000


def test_an_eml_is_not_kept_twice_where_its_attachments_make_it_large(tmp_path):
    large = Attachment(filename="film.pdf", content_type="application/pdf", content=b"x" * KEPT)
    items = [rendered(number, attachments=(large,)) for number in range(1, 13)]
    packed(tmp_path / "p", items, 12)
    assert [mail for _, mail in unpacked(tmp_path / "p")] == [None] * 12
    assert all("Download .eml" not in page and "film.pdf" in page for page, _ in unpacked(tmp_path / "p"))


def test_more_files_than_a_folder_should_hold_are_spread_over_several(tmp_path, monkeypatch):
    monkeypatch.setattr("mailer.preview.gallery.OWN_FILES", 5)
    out = write(tmp_path / "p", campaign(7), summary(), total=7, own_files=100).parent
    assert (out / "eml/00/000007.eml").is_file()
    page = (out / "messages/00/000007.html").read_text(encoding="utf-8")
    assert 'href="../../eml/00/000007.eml"' in page


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_messages(tmp_path, monkeypatch):
    rows = 200  # as with a thousand, and five times as quick
    monkeypatch.setattr("mailer.preview.packs.ROWS", rows)

    def peak(count: int) -> int:
        tracemalloc.start()
        packed(tmp_path / "p", light(count), count)
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(20)
    assert peak(3 * rows) < 1.3 * peak(rows)


@pytest.mark.parametrize("words", ["</script><script>alert(1)</script>", "\u2028", "mailerPack(0, {})", "${together}"])
def test_what_a_contact_wrote_stays_text_in_every_script(tmp_path, words):
    items = [rendered(number, subject=words, html=f"<p>{html.escape(words)}</p>") for number in range(1, 13)]
    out = packed(tmp_path / "p", items, 12).parent
    for path in (*out.glob("packs/*"), *out.glob("rows/*")):
        assert not set("<>&\u2028\u2029") & set(path.read_text(encoding="utf-8"))
    assert content(out / "rows" / "00000.js", "mailerRows")[0][2] == words


# -- in a browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("gallery") / "my preview", light(MANY), MANY)


@pytest.fixture
def page(chromium):
    """A page whose errors and whose requests off the disk fail the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    requests = Requests(page, "file:", "data:", "blob:")
    yield page
    wrong += requests.left()
    context.close()
    assert wrong == []


def loaded(page) -> list[str]:
    return page.evaluate(
        "performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => name.includes('/rows/'))"
    )


def found(page, words: str) -> None:
    page.wait_for_function("(words) => document.getElementById('found').textContent === words", arg=words)


@pytest.mark.thorough
def test_it_opens_with_the_first_lines_only(page, gallery):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(gallery.as_uri())
    page.get_by_text("row 2", exact=True).wait_for()
    assert page.inner_text("#found") == f"{MANY:,} messages"
    assert [url.rpartition("/")[2] for url in asked if "/rows/" in url] == ["00000.js"]
    assert not any("/packs/" in url for url in asked)


@pytest.mark.thorough
def test_the_end_of_the_list_is_a_key_away(page, gallery):
    page.goto(gallery.as_uri())
    page.locator("#list").focus()
    page.keyboard.press("End")
    page.wait_for_url(f"**#{MANY}")
    page.get_by_text(f"row {MANY + 1}", exact=True).wait_for()
    letter(page).get_by_text("Dear").wait_for()
    page.keyboard.press("ArrowUp")
    page.wait_for_url(f"**#{MANY - 1}")


@pytest.mark.thorough
def test_a_search_goes_through_all_files_and_its_messages_open(page, gallery):
    page.goto(gallery.as_uri())
    page.fill("#search", f"contact{MANY - 1}@")
    found(page, f"1 of {MANY:,} messages")
    page.locator("[role=option]").click()
    page.wait_for_url(f"**#{MANY - 1}")
    letter(page).get_by_text("Dear").wait_for()
    for words, expected in (
        (f"row:{ROWS + 5}", f"1 of {MANY:,} messages"),
        ("domain:union.test", f"{MANY // 5:,} of {MANY:,} messages"),
        ("nobody at all", "No message matches."),
        ("", f"{MANY:,} messages"),
    ):
        page.fill("#search", words)
        found(page, expected)


@pytest.mark.thorough
def test_a_search_that_is_overtaken_by_another_leaves_nothing_behind(page, gallery):
    page.goto(gallery.as_uri())
    page.evaluate("""() => {
        const search = document.getElementById("search");
        for (const words of ["contact", "contact1", "nobody", "row:7"]) {
            search.value = words;
            search.dispatchEvent(new Event("input"));
        }
    }""")
    found(page, f"1 of {MANY:,} messages")
    page.wait_for_timeout(300)
    assert page.inner_text("#found") == f"1 of {MANY:,} messages"
    assert page.locator("[role=option] .row").all_inner_texts() == ["row 7"]


@pytest.mark.thorough
def test_the_telling_ones_are_listed_without_a_search(page, gallery):
    asked = []
    page.goto(gallery.as_uri())
    page.get_by_text("row 2", exact=True).wait_for()
    page.on("request", lambda request: asked.append(request.url))
    page.click("[data-filter=first]")
    assert page.inner_text("#found") == f"5 of {MANY:,} messages"
    page.click("[data-filter=warned]")
    found(page, f"{MANY // 40 + 1} of {MANY:,} messages")


@pytest.mark.thorough
def test_the_page_of_a_message_is_as_it_would_be_by_itself(page, gallery):
    page.goto(gallery.as_uri() + "#204")
    letter(page).locator("p").first.wait_for()
    message(page).get_by_role("tab", name="Text").click()
    assert message(page).locator("pre.text").inner_text().startswith("Dear")
    assert "last checked more than a year ago" in message(page).locator(".warnings").inner_text()
    page.click("#next")
    page.wait_for_url("**#205")
    # the choice of the part stays for the next one
    message(page).locator("pre.text").wait_for()
    with page.expect_download() as download:
        message(page).get_by_role("link", name="Download .eml").click()
    assert download.value.suggested_filename == "000205.eml"
    assert Path(download.value.path()).read_bytes() == unpacked(gallery.parent)[204][1]


def test_a_letter_in_a_pack_can_neither_script_nor_fetch(page, tmp_path):
    hostile = (
        "<script>top.document.title = 'owned'; alert(1)</script><img src=x onerror=\"top.document.title='owned'\">"
        '<img src="https://tracker.example/pixel.png"><link rel="stylesheet" href="https://tracker.example/x.css">'
        '<a id=out href="https://tracker.example/">out</a><iframe src="https://tracker.example/"></iframe><p>Dear you</p>'
    )
    items = [rendered(number, html=hostile, subject="</title><script>alert(2)</script>") for number in range(1, 13)]
    context = page.context.browser.new_context()
    other = context.new_page()
    dialogs = []
    requests = Requests(other, "file:", "data:")
    other.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    other.goto(packed(tmp_path / "p", items, 12).as_uri() + "#3")
    letter(other).get_by_text("Dear you").wait_for()
    assert message(other).locator("h1").inner_text() == "</title><script>alert(2)</script>"
    assert (requests.left(), dialogs, other.title()) == ([], [], "Preview of appeal--branches, nothing sent")
    context.close()


@pytest.mark.thorough
def test_a_pack_that_is_missing_is_said_in_words(chromium, tmp_path):
    index = packed(tmp_path / "p", light(12), 12)
    (index.parent / "packs" / "00000.js").unlink()
    page = chromium.new_page()
    page.goto(index.as_uri() + "#3")
    message(page).get_by_text("was the whole folder copied?").wait_for()
    page.close()


@pytest.mark.thorough
def test_a_list_that_is_higher_than_a_browser_allows_can_be_gone_through_to_its_end(page, tmp_path):
    index = packed(tmp_path / "p", light(12), 12)
    many = 1_000_000
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace('"total":12', f'"total":{many}'), encoding="utf-8")
    last = (many - 1) // ROWS
    rows = [[f"Name {n}", f"n{n}@example.org", "s", n + 2, "en", 0, 0] for n in range(last * ROWS, many)]
    (index.parent / "rows" / f"{last:05d}.js").write_text(
        f"mailerRows({last}, {json.dumps(rows)});\n", encoding="utf-8"
    )
    page.goto(index.as_uri())
    assert page.inner_text("#found") == "1,000,000 messages"
    page.evaluate("document.getElementById('list').scrollTop = 1e9")
    page.get_by_text(f"Name {many - 1}", exact=True).wait_for()
    box = page.locator(f"#option-{many - 1}").bounding_box()
    whole = page.locator("#list").bounding_box()
    assert abs(box["y"] + box["height"] - whole["y"] - whole["height"]) < 3
    assert page.locator("[role=option]").count() < 60
