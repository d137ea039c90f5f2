"""The letter's step in a real browser: what stands above a letter as a form, attachments, languages; with and without scripts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fpdf
import pytest
from chromium import Requests, browser
from organiser import LETTER, Office, office, people
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, StorageState, expect
from test_web_journey import complaints

FULL = """---
# our spring appeal
subject: "Please write, {{ name }}"  # short
language: en
required: [name]
attachments:
  - attachments/leaflet.pdf  # from the printer
  - {file: "attachments/{{ branch }}.pdf", name: "For {{ branch }}.pdf"}
  - {document: motion, name: Motion.docx}
case:
  name: Ana
  demands: [freedom, justice]
lookups:
  embassy: {table: contacts/embassies.csv, on: branch}
---

Dear {{ name }}, write to {{ embassy.email }} for {{ branch }} and {{ case.name }}.
"""


def pdf(author: str = "") -> bytes:
    document = fpdf.FPDF()
    document.add_page()
    if author:
        document.set_author(author)
    return bytes(document.output())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def shared(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, StorageState]]:
    """An office whose page is open already, and what a browser has that was let in."""
    with office(tmp_path_factory.mktemp("office") / "our office") as made:
        made.write_list(people(6))
        first = chromium.new_context()
        first.new_page().goto(made.open())
        yield made, first.storage_state()


@pytest.fixture
def at_work(shared: tuple[Office, StorageState]) -> Office:
    """The office with its one plain letter, and nothing to attach."""
    made, _ = shared
    shutil.rmtree(made.folder / "attachments", ignore_errors=True)
    for path in (made.folder / "templates").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (made.folder / "templates" / "appeal.md").write_text(LETTER, encoding="utf-8")
    return made


@pytest.fixture
def context(chromium: Browser, shared: tuple[Office, StorageState]) -> Iterator[BrowserContext]:
    viewport = {"width": 1280, "height": 900}
    made = chromium.new_context(viewport=viewport, locale="en-GB", storage_state=shared[1])  # type: ignore[arg-type]
    made.set_default_timeout(10_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    made, wrong = context.new_page(), []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    requests = Requests(made, "http://127.0.0.1:", "data:", "blob:")
    yield made
    assert wrong + requests.left() == []


def opened(page: Page, at_work: Office, letter: str = "appeal") -> None:
    page.goto(f"http://127.0.0.1:{at_work.port}/letter?list=contacts/people.csv&letter={letter}")


def written(at_work: Office, name: str = "appeal.md") -> str:
    return (at_work.folder / "templates" / name).read_text("utf-8")


def keep(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("The letter was kept.")).to_be_visible()


def look(page: Page) -> FrameLocator:
    return page.frame_locator("#look")


def furnish(at_work: Office) -> None:
    """A letter with everything, of which some rows lack their file."""
    for name in ("leaflet", "Branch 1"):
        (at_work.folder / "attachments").mkdir(exist_ok=True)
        (at_work.folder / "attachments" / f"{name}.pdf").write_bytes(pdf("Ana Example"))
    (at_work.folder / "templates" / "appeal.md").write_text(FULL, encoding="utf-8")
    (at_work.folder / "templates" / "motion.md").write_text("---\nsubject: Motion\n---\nFor {{ branch }}\n", "utf-8")
    rows = ["branch,email", *(f"Branch {at},e{at}@embassy.example" for at in range(3)), ""]
    (at_work.folder / "contacts" / "embassies.csv").write_text("\n".join(rows), encoding="utf-8")


@pytest.mark.thorough
def test_a_letter_is_filled_in_by_keyboard_alone(page: Page, at_work: Office) -> None:
    opened(page, at_work)

    def reach(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "() => { const e = document.activeElement; return (e.labels?.[0]?.innerText || e.getAttribute('aria-label') || e.innerText || '').trim() }"
            )
            if focused.startswith(name):
                return
        raise AssertionError(f"no way to {name}")

    reach("Subject")
    page.keyboard.press("End")
    page.keyboard.type(" of ")
    reach("branch")
    page.keyboard.press("Enter")  # goes into what was written in last
    expect(look(page).get_by_role("heading", name="Please write, Pat 1 of Branch 1")).to_be_visible()
    page.keyboard.type("!")
    reach("Text templates/appeal.md")
    reach("Sender and reader")
    page.keyboard.press("Enter")
    reach("From")
    page.keyboard.type("nobody")
    expect(page.locator("#wrong-sender")).to_contain_text("is not one address")
    expect(page.get_by_label("From", exact=True)).to_have_attribute("aria-invalid", "true")
    page.keyboard.type("@union.example")
    expect(page.locator("#wrong-sender")).to_be_hidden()
    reach("Fields that nobody may lack")
    page.keyboard.press("Enter")
    reach("branch")
    page.keyboard.press("Space")
    reach("Particulars of the case")
    page.keyboard.press("Enter")
    reach("They stand")
    for word in ("who", "Ana", "city", "Kyiv"):  # a row more appears as one is filled in
        page.keyboard.press("Tab")
        page.keyboard.type(word)
    reach("Keep")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert written(at_work) == LETTER.replace(
        '"Please write, {{ name }}"\nlanguage: en\n',
        '"Please write, {{ name }} of {{ branch }}!"\nsender: "nobody@union.example"\nlanguage: en\nrequired: [branch]\n'
        "case:\n  who: Ana\n  city: Kyiv\n",
    )
    expect(page.get_by_role("button", name="case.city")).to_be_visible()


@pytest.mark.thorough
def test_a_file_is_attached_seen_in_the_letter_given_a_name_and_taken_off(
    page: Page, at_work: Office, tmp_path: Path
) -> None:
    opened(page, at_work)
    given = tmp_path / "Leaflet März.pdf"
    given.write_bytes(pdf("Ana Example"))
    page.get_by_label("Subject").fill("With a leaflet")
    page.get_by_label("Attach a file from this computer").set_input_files(given)
    enclosure = page.locator(".enclosure")
    expect(enclosure).to_contain_text("Tells its readers: PDF Author.")
    assert (at_work.folder / "attachments" / "Leaflet März.pdf").read_bytes() == given.read_bytes()
    assert "attachments:\n  - attachments/Leaflet März.pdf\n" in written(at_work)
    assert "subject: " in written(at_work)
    expect(page.get_by_label("Subject")).to_have_value("With a leaflet")
    enclosure.get_by_label("Its name for the reader").fill("Leaflet for {{ branch }}.pdf")
    expect(look(page).locator("td").filter(has_text="Leaflet for Branch 1.pdf")).to_have_count(1)
    page.get_by_label("Send copies that do not tell who made them").check()
    expect(enclosure).to_contain_text("Sent without: PDF Author.")
    keep(page)
    assert '  - {file: attachments/Leaflet März.pdf, name: "Leaflet for {{ branch }}.pdf"}\n' in written(at_work)
    assert "strip_metadata: true\n" in written(at_work)
    # another file of the same name is not written over without being asked
    given.write_bytes(pdf("Somebody else"))
    page.get_by_label("Attach a file from this computer").set_input_files(given)
    page.get_by_role("button", name="Keep both").click()
    expect(page.locator(".enclosure")).to_have_count(2)
    assert (at_work.folder / "attachments" / "Leaflet März-2.pdf").read_bytes() == given.read_bytes()
    page.get_by_role("checkbox", name="Take off attachments/Leaflet März.pdf").check()
    expect(look(page).get_by_role("tab", name="Attachments (1)")).to_be_visible()
    page.get_by_role("checkbox", name="Take off attachments/Leaflet März-2.pdf").check()
    expect(look(page).get_by_role("tab", name="Attachments")).to_have_count(0)
    keep(page)
    assert written(at_work) == LETTER.replace('"Please write, {{ name }}"', '"With a leaflet"').replace(
        "language: en\n", "language: en\nstrip_metadata: true\n"
    )
    assert len(list((at_work.folder / "attachments").iterdir())) == 2


@pytest.mark.thorough
def test_a_program_is_not_attached_and_the_reader_is_told_why(page: Page, at_work: Office, tmp_path: Path) -> None:
    opened(page, at_work)
    given = tmp_path / "leaflet.pdf.exe"
    given.write_bytes(b"MZ")
    page.get_by_label("Attach a file from this computer").set_input_files(given)
    expect(page.locator("#uploaded")).to_contain_text("can hold a program")
    assert not list(at_work.folder.rglob("*.exe"))


@pytest.mark.thorough
def test_what_a_hand_wrote_above_a_letter_stays_and_each_row_s_own_file_is_counted(page: Page, at_work: Office) -> None:
    furnish(at_work)
    opened(page, at_work)
    expect(look(page).frame_locator("iframe").get_by_text("e1@embassy.example")).to_be_visible()
    expect(page.locator(".enclosure").nth(1)).to_contain_text("4 rows have no file, the first is row 3.")
    page.locator("details").filter(has_text="Attach a file that is here").locator("summary").click()
    page.get_by_label("A letter or Word file").select_option("motion")
    page.get_by_label("as", exact=True).select_option("PDF")
    expect(look(page).get_by_role("tab", name="Attachments (4)")).to_be_visible()
    page.get_by_role("button", name="Attach, and keep the letter").click()
    expect(page.locator(".enclosure")).to_have_count(4)
    page.locator("summary").filter(has_text="Look-up tables").click()
    page.get_by_label("Found by the list's column").first.select_option("name")
    expect(page.locator("#wrong-lookups")).to_contain_text('no column "name"')
    page.get_by_label("which the table calls").first.fill("branch")
    page.get_by_label("Found by the list's column").first.select_option("branch")
    expect(page.locator("#wrong-lookups")).to_be_hidden()
    page.get_by_label("Subject").fill("Now, {{ name }}")
    keep(page)
    assert written(at_work) == FULL.replace("Please write, {{ name }}", "Now, {{ name }}").replace(
        "Motion.docx}\n", "Motion.docx}\n  - {document: motion, name: motion.pdf}\n"
    ).replace("on: branch}", "on: branch, key: branch}")


@pytest.mark.thorough
def test_a_front_matter_that_only_a_hand_can_change_is_shown_as_text(page: Page, at_work: Office) -> None:
    path = at_work.folder / "templates" / "appeal.md"
    path.write_text("---\nsubject: &a Hello\npreheader: *a\n---\nDear {{ name }}\n", encoding="utf-8")
    opened(page, at_work)
    expect(page.get_by_role("alert").filter(has_text="shown as text only")).to_be_visible()
    expect(page.get_by_label("Subject")).to_have_count(0)
    page.get_by_label("templates/appeal.md").fill("---\nsubject: Hello\n---\nDear {{ name }}, {{ branch }}\n")
    expect(look(page).get_by_role("heading", name="Hello")).to_be_visible()
    keep(page)
    expect(page.get_by_label("templates/appeal.md")).to_have_value(
        "---\nsubject: Hello\n---\nDear {{ name }}, {{ branch }}\n"
    )
    page.goto(page.url.replace("&as=text", ""))
    expect(page.get_by_label("Subject")).to_have_value("Hello")


@pytest.mark.thorough
def test_the_particulars_of_a_case_that_letters_share_are_changed_in_their_file(page: Page, at_work: Office) -> None:
    folder = at_work.folder / "templates"
    (folder / "case.yaml").write_text("# shared\nname: Ana\ncity: Kyiv\n", encoding="utf-8")
    (folder / "case.de.yaml").write_text("city: Kiew\n", encoding="utf-8")
    (folder / "other.yaml").write_text("name: Bo\n", encoding="utf-8")
    (folder / "appeal.md").write_text(
        "---\nsubject: For {{ case.name }}\ncase: case.yaml\n---\nHi {{ name }}\n", "utf-8"
    )
    opened(page, at_work)
    expect(look(page).get_by_role("heading", name="For Ana")).to_be_visible()
    page.locator("summary").filter(has_text="Particulars").click()
    assert page.get_by_label("They stand").locator("option").all_inner_texts() == [
        "here, in this letter", "in the file case.yaml", "in the file other.yaml",
    ]  # fmt: skip
    page.get_by_role("link", name="Change what it holds").click()
    expect(page.get_by_role("link", name="case.de.yaml")).to_be_visible()
    page.get_by_label("templates/case.yaml").fill("# shared\nname: [\n")
    expect(page.locator("#wrong")).to_contain_text("a bracket that begins here is not closed")
    page.get_by_label("templates/case.yaml").fill("# shared\nname: Eva\ncity: Kyiv\n")
    expect(look(page).get_by_role("heading", name="For Eva")).to_be_visible()
    keep(page)
    assert written(at_work, "case.yaml") == "# shared\nname: Eva\ncity: Kyiv\n"
    page.get_by_role("link", name="English (en)").click()
    page.locator("summary").filter(has_text="Particulars").click()
    page.get_by_label("They stand").select_option("in the file other.yaml")
    expect(look(page).get_by_role("heading", name="For Bo")).to_be_visible()
    keep(page)
    assert "case: other.yaml\n" in written(at_work)


@pytest.mark.thorough
def test_a_text_that_a_letter_includes_is_shown_without_a_form(page: Page, at_work: Office) -> None:
    folder = at_work.folder / "templates" / "parted"
    folder.mkdir()
    (folder / "letter.md").write_text('---\nsubject: Hello\n---\n{% include "part" %}\n', encoding="utf-8")
    (folder / "part.md").write_text("Dear {{ name }}\n", encoding="utf-8")
    opened(page, at_work, "parted")
    page.get_by_role("link", name="part.md").click()
    expect(page.get_by_label("templates/parted/part.md")).to_have_value("Dear {{ name }}\n")
    expect(page.get_by_label("Subject")).to_have_count(0)
    page.get_by_label("templates/parted/part.md").fill("Good morning {{ name }}\n")
    expect(look(page).frame_locator("iframe").get_by_text("Good morning Pat 1")).to_be_visible()
    keep(page)
    assert written(at_work, "parted/part.md") == "Good morning {{ name }}\n"


@pytest.mark.thorough
def test_the_letter_is_begun_in_another_language(page: Page, at_work: Office) -> None:
    furnish(at_work)
    opened(page, at_work)
    page.get_by_text("Add a language").click()
    page.get_by_label("The letter once more").select_option("German (de)")
    page.locator(".tongues").get_by_role("button", name="Begin it").click()
    expect(page.get_by_role("link", name="German (de)")).to_have_attribute("aria-current", "page")
    assert written(at_work, "appeal.de.md") == (
        '---\nsubject: "Please write, {{ name }}"\n---\n' + FULL[FULL.index("\nDear") :]
    )
    expect(page.locator(".enclosure")).to_have_count(3)  # those of the main one
    page.get_by_label("Subject").fill("Bitte schreib, {{ name }}")
    page.get_by_role("checkbox", name="Take off motion").check()
    expect(look(page).get_by_role("heading", name="Bitte schreib, Pat 1")).to_be_visible()
    expect(look(page).get_by_role("tab", name="Attachments (2)")).to_be_visible()
    keep(page)
    assert "document" not in written(at_work, "appeal.de.md")
    assert written(at_work) == FULL
    page.get_by_role("link", name="English (en)").click()
    expect(page.get_by_label("Subject")).to_have_value("Please write, {{ name }}")


@pytest.mark.thorough
def test_the_form_works_without_scripts(
    chromium: Browser, shared: tuple[Office, StorageState], at_work: Office
) -> None:
    (at_work.folder / "attachments").mkdir()
    (at_work.folder / "attachments" / "leaflet.pdf").write_bytes(pdf())
    (at_work.folder / "templates" / "appeal.md").write_bytes(b"\xef\xbb\xbf" + LETTER.replace("\n", "\r\n").encode())
    context = chromium.new_context(java_script_enabled=False, locale="en-GB", storage_state=shared[1])
    page = context.new_page()
    opened(page, at_work)
    page.get_by_label("Subject").fill("Hello, {{ nam }}")
    for title in ("Attach a file that is here", "Sender and reader", "Fields that nobody", "Particulars"):
        page.locator("summary").filter(has_text=title).click()
    page.get_by_label("Answers go to").fill("nobody")
    page.get_by_label("A file that is here").select_option("attachments/leaflet.pdf")
    page.get_by_role("checkbox", name="name").check()
    page.get_by_role("textbox", name="Value").first.fill("Ana")
    page.get_by_role("textbox", name="Name", exact=True).first.fill("who")
    keep(page)
    expect(page.locator("#wrong-reply_to")).to_contain_text("is not one address")
    page.get_by_label("Answers go to").fill("answers@union.example")
    keep(page)
    expect(page.locator("#wrong-subject")).to_contain_text("The field nam is not known")
    expect(page.locator(".enclosure")).to_contain_text("leaflet.pdf")
    kept = (at_work.folder / "templates" / "appeal.md").read_bytes()
    assert kept == b"\xef\xbb\xbf" + LETTER.replace('"Please write, {{ name }}"', '"Hello, {{ nam }}"').replace(
        "language: en\n",
        'reply_to: "answers@union.example"\nlanguage: en\nrequired: [name]\ncase:\n  who: Ana\n'
        "attachments:\n  - attachments/leaflet.pdf\n",
    ).replace("\n", "\r\n").encode()  # fmt: skip
    context.close()


@pytest.mark.thorough
def test_axe_finds_nothing_in_the_form_and_nothing_is_wider_than_the_screen(page: Page, at_work: Office) -> None:
    furnish(at_work)
    opened(page, at_work)
    found = []
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.reload()
            if (recalled := page.locator("#recalled button")).is_visible():
                recalled.click()  # what was typed before is wrong, so that no look can be made of it
            expect(look(page).locator("h1")).to_be_visible()
            for summary in page.locator("main summary").all():
                summary.click()
            page.get_by_role("checkbox", name="Take off motion").check()
            page.get_by_label("Answers go to").fill("nobody")
            expect(page.locator("#wrong-reply_to")).to_be_visible()
            found += complaints(page)
    keep(page)
    assert found == []
