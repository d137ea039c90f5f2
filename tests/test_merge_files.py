"""Attachments, pictures and documents: found where they belong, never outside, the same bytes every time."""

from __future__ import annotations

import io
import sys
import zipfile
from datetime import datetime
from pathlib import Path

import docx
import pypdf
import pytest
from merge_letters import CAMPAIGN, Page, Shelf, contact, letter, merged, refused, row_problem

from mailer.errors import LetterError
from mailer.merge import Folder, load
from mailer.model import Severity

MOTION = "---\nsubject: Motion of {{ branch }}\n---\n# Motion\n\n{{ branch }} **demands**:\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| c | {{ branch }} |\n"


def test_a_fixed_attachment_is_read_once_and_shared():
    template = letter("x", front="subject: a\nattachments: [leaflet.pdf]", files={"templates/leaflet.pdf": b"%PDF"})
    first, second = (template.merge(contact(), CAMPAIGN).attachments[0] for _ in range(2))
    assert first is second
    assert (first.filename, first.content_type, first.content) == ("leaflet.pdf", "application/pdf", b"%PDF")
    assert "templates/leaflet.pdf" in template.files


def test_the_letters_folder_comes_before_the_campaign_folder():
    files = {
        "templates/it/letter.md": "---\nsubject: a\nattachments: [a.txt, b.txt]\n---\n",
        "a.txt": "far",
        "b.txt": "far",
    }
    template = load("it", Shelf({**files, "templates/it/a.txt": "near"}))
    assert [item.content for item in template.merge(contact(), CAMPAIGN).attachments] == [b"near", b"far"]


def test_a_missing_fixed_file_is_found_before_any_row():
    template = letter("x", front="subject: a\nattachments: [leaflet.pdf]", files={"templates/leaflets.pdf": b""})
    (item,) = template.check([])
    assert (item.code, item.file, item.message, item.hint) == (
        "file-missing",
        "templates/it.md",
        "line 3: the attachment leaflet.pdf is not there.",
        "Did you mean leaflets.pdf?",
    )
    with pytest.raises(LetterError):
        template.merge(contact(), CAMPAIGN)


def test_rows_without_a_file_of_their_own_are_counted_for_the_language_that_they_get(tmp_path: Path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "motions").mkdir()
    (tmp_path / "motions" / "a.pdf").write_bytes(b"A")
    (tmp_path / "secret.pdf").write_bytes(b"S")
    front = "---\nsubject: a\nattachments: [leaflet.pdf, 'motions/{{ branch }}.pdf', 'motions/{{ branch | upper }}-2.pdf']\n---\n"
    (tmp_path / "templates" / "it.md").write_text(front, encoding="utf-8")
    (tmp_path / "templates" / "it.de.md").write_text("---\nsubject: a\n---\n", encoding="utf-8")
    template = load("it", Folder(tmp_path))
    cells = [("a", "en"), ("../secret", "en"), ("b", "de"), ("", "en"), ("a", "de")]
    rows = [contact(row=row, branch=branch, language=code) for row, (branch, code) in enumerate(cells, start=2)]
    assert template.rows_without_file("en", rows, CAMPAIGN) == {1: (2, 3), 2: (3, 2)}
    assert template.rows_without_file("de", rows, CAMPAIGN) == {1: (1, 4), 2: (2, 4)}
    assert template.rows_without_file("en", [], CAMPAIGN) == {1: (0, 0), 2: (0, 0)}


def test_each_row_may_have_its_own_file():
    files = {"templates/motions/a.pdf": b"A", "motions/b.pdf": b"B"}
    front = "subject: a\nattachments: [{file: 'motions/{{ branch_id }}.pdf', name: 'Motion {{ branch }}.pdf'}]"
    (item,) = merged("x", front=front, files=files, branch_id="a", branch="x/y\n").attachments
    assert (item.filename, item.content) == ("Motion x y.pdf", b"A")
    assert merged("x", front=front, files=files, branch_id="b", branch="").attachments[0].content == b"B"
    problem = row_problem("x", front=front, files=files, branch_id="c", branch="")
    assert (problem.code, problem.row, problem.message) == (
        "file-missing",
        7,
        "line 3: the attachment motions/c.pdf is not there.",
    )


def test_a_file_that_differs_only_in_capitals_is_named():
    files = {"templates/motions/A.PDF": b"A", "Leaflet.PDF": b"L"}
    hint = "There is {}, and capitals count: rename the file, or write it in the same way."
    item = row_problem("x", front="subject: a\nattachments: ['motions/{{ n }}.pdf']", files=files, n="a")
    assert (item.code, item.hint) == ("file-missing", hint.format("A.PDF"))
    item = row_problem("x", front="subject: a\nattachments: ['motions/{{ n }}.pdf']", files=files, n="b")
    assert (item.code, item.hint) == ("file-missing", None)
    (item,) = letter("x", front="subject: a\nattachments: [leaflet.pdf]", files=files).check([])
    assert (item.code, item.hint) == ("file-missing", hint.format("Leaflet.PDF"))


def test_an_attachment_in_which_nothing_stands_is_warned_of():
    files = {"templates/leaflet.pdf": b"", "templates/own/a.pdf": b"", "templates/own/b.pdf": b"B"}
    template = letter("x", front="subject: a\nattachments: [leaflet.pdf, 'own/{{ n }}.pdf']", files=files)
    (item,) = [one for one in template.check(["n"]) if one.code == "empty-attachment"]
    assert (item.code, item.severity, item.row) == ("empty-attachment", Severity.WARNING, None)
    assert item.message == "line 3: the attachment leaflet.pdf is empty: it has 0 bytes."
    _, (item,) = template.merge_with_warnings(contact(row=7, n="a"), CAMPAIGN)
    assert (item.code, item.row) == ("empty-attachment", 7)
    assert item.message == "line 3: the attachment a.pdf is empty: it has 0 bytes."
    assert template.merge_with_warnings(contact(row=8, n="b"), CAMPAIGN)[1] == ()


@pytest.mark.parametrize(
    ("path", "code"), [("files/{{ branch.nr }}.pdf", "file-unsafe"), ("files/x{{ branch.nr }}", "file-missing")]
)
def test_a_path_that_leads_nowhere_because_a_cell_is_blank_says_so(path, code):
    front = f"subject: a\nattachments: ['{path}']"
    item = row_problem("x", front=front, files={"files/x1": b"x"}, branch={"nr": ""})
    assert (item.code, item.row, item.column, item.hint) == (code, 7, "branch.nr", "Fill in the cell.")
    assert item.message == "line 3: the attachment's path needs the field branch.nr, which is blank."


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a//b", "C:/x", "C:\\x", "\\\\host\\x", "..\\x", "con", "NUL.txt", "com1.pdf",
     "a\x00b", "a\nb", "x.", "x ", "a:b", "*", "é" * 200,
     ".env", ".git/config", "a/.x", "mailer.toml", "Mailer.TOML", "a/mailer.db", "mailer.db-wal", "mailer.db-shm", "mailer.db-1a.lock"],
)  # fmt: skip
def test_merged_data_never_names_a_file_elsewhere(name):
    item = row_problem(
        "x", front="subject: a\nattachments: ['files/{{ name }}']", files={"etc/passwd": b"x"}, name=name
    )
    assert (item.code, item.row) == ("file-unsafe", 7)


@pytest.mark.parametrize(
    "pattern", ["{{ name }}", "{{ name }}.pdf", "a{% if name %}b{% endif %}/c", "./{{ name }}", "x-{{ name }}"]
)
def test_a_cell_alone_never_names_an_attachment(pattern):
    item = refused(front=f"subject: a\nattachments: ['{pattern}']", files={".env": "MAILER_SMTP_PASSWORD=x"})
    assert item.code == "front-matter"
    assert "any file of the campaign folder" in item.message
    assert "leaflets/{{ leaflet }}" in (item.hint or "")


@pytest.mark.parametrize(
    "front",
    ["attachments: [.env]", "attachments: [{document: .env}]", "attachments: ['.git/{{ name }}']", "case: mailer.toml",
     "lookups: {x: {table: .env, on: a}}", "images: {x: .png}", "attachments: [{file: mailer.toml, name: '{{ name }}'}]"],
)  # fmt: skip
def test_a_letter_never_names_a_file_with_passwords(front):
    item = refused(front=f"subject: a\n{front}", files={".env": "x", "mailer.toml": "x"})
    assert "hidden file" in item.message


def test_a_folder_never_gives_passwords_or_a_ledger(tmp_path: Path):
    root = tmp_path / ".hidden" / "campaign"
    root.mkdir(parents=True)
    (root / "good.txt").write_text("good", encoding="utf-8")
    (root / ".env").write_text("secret", encoding="utf-8")
    (root / "notes").write_bytes(b"SQLite format 3\x00...")
    if sys.platform != "win32":
        (root / "link.txt").symlink_to(root / ".env")
    assert Folder(root).read("good.txt") == b"good"
    for name in (".env", "link.txt", "notes")[:: 1 if sys.platform != "win32" else 2]:
        with pytest.raises(LetterError, match="no letter may hold"):
            Folder(root).read(name)


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs rights there")
def test_a_link_out_of_the_campaign_folder_is_not_followed(tmp_path: Path):
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    root = tmp_path / "campaign"
    (root / "templates").mkdir(parents=True)
    (root / "templates" / "it.md").write_text(
        "---\nsubject: a\nattachments: ['files/{{ name }}']\n---\n", encoding="utf-8"
    )
    (root / "files").mkdir()
    (root / "list.csv").write_text("addresses", encoding="utf-8")
    (root / "files" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "files" / "up").symlink_to(tmp_path)
    (root / "files" / "leaflet.pdf").symlink_to(root / "list.csv")
    (root / "files" / "within.txt").symlink_to(root / "files" / "good.txt")
    (root / "files" / "good.txt").write_text("good", encoding="utf-8")
    template = load("it", Folder(root))
    assert template.merge(contact(name="within.txt"), CAMPAIGN).attachments[0].content == b"good"
    for name in ("link.txt", "up/secret.txt", "leaflet.pdf"):
        with pytest.raises(LetterError) as caught:
            template.merge(contact(name=name), CAMPAIGN)
        assert caught.value.problems[0].code == "file-missing"


def test_a_folder_refuses_paths_outside(tmp_path: Path):
    root = tmp_path / "campaign"
    root.mkdir()
    (tmp_path / "x.txt").write_text("x", encoding="utf-8")
    with pytest.raises(LetterError, match="outside"):
        Folder(root).read("../x.txt")
    with pytest.raises(LetterError, match="outside"):
        Folder(root).read(str(tmp_path / "x.txt"))
    with pytest.raises(FileNotFoundError):
        Folder(root).read("nothing.txt")
    with pytest.raises(FileNotFoundError):
        Folder(root).read(".")
    assert not Folder(root).exists("../x.txt")
    assert Folder(root).names("..") == []


@pytest.mark.parametrize(
    "reference",
    ["it", "it.md", "templates/it", "templates/it.md", "./templates/it.md", "templates\\it.md", "templates/it.de.md"],
)
def test_a_letter_is_found_by_name_and_by_path(reference):
    template = load(reference, Shelf({"templates/it.md": "---\nsubject: a\n---\n", "templates/it.de.md": ""}))
    assert (template.name, template.languages) == ("it", ("en", "de"))


@pytest.mark.parametrize("reference", ["it", "templates/it", "templates/it/", "templates/it/letter.md"])
def test_a_letter_in_a_folder_is_found(reference):
    template = load(reference, Shelf({"templates/it/letter.md": "---\nsubject: a\n---\n"}))
    assert template.name == "it"


def test_a_letter_outside_the_campaign_folder_brings_its_own_files(tmp_path: Path):
    (tmp_path / "campaign").mkdir()
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "it.md").write_text("---\nsubject: a\nattachments: [a.txt]\n---\nHello", encoding="utf-8")
    (outside / "a.txt").write_text("x", encoding="utf-8")
    template = load(str(outside / "it.md"), Folder(tmp_path / "campaign"))
    assert template.merge(contact(), CAMPAIGN).attachments[0].content == b"x"


def test_a_letter_can_be_merged_again_from_the_files_it_names():
    files = {
        "templates/motion.md": MOTION,
        "templates/case.yaml": "a: b",
        "templates/p.png": b"x",
        "rows/1.txt": b"row",
        "templates/it.de.md": "{{ branch }}",
    }
    front = "subject: a\ncase: case.yaml\nattachments: ['rows/{{ n }}.txt', {document: motion, name: m.docx}]"
    template = letter("![p](p.png) {{ case.a }}", front=front, files=files)
    message = template.merge(contact(branch="B", n="1"), CAMPAIGN)
    shelf = Shelf(
        {
            "templates/it.md": f"---\n{front}\n---\n![p](p.png) {{{{ case.a }}}}",
            **files,
            "mailer:layout.html": "",
            "mailer:footer.yaml": "",
        }
    )
    kept = {path: shelf.files[path] for path in template.files if not path.startswith("mailer:")}
    assert load("it", Shelf({**kept, "rows/1.txt": b"row"})).merge(contact(branch="B", n="1"), CAMPAIGN) == message
    assert {"mailer:layout.html", "mailer:footer.yaml"} <= set(template.files)


def test_pictures_travel_inside_the_message():
    files = {
        "templates/pic.png": b"PNG",
        "templates/logo.gif": b"GIF",
        "templates/it.html": '<img src="cid:logo" alt="l">{{ content }}',
    }
    template = letter("![Strike](pic.png)\n", front="subject: a\nimages: {logo: logo.gif}", files=files)
    message = template.merge(contact(), CAMPAIGN)
    for item in message.attachments:
        assert item.content_id
        assert f'src="cid:{item.content_id}"' in message.html
    assert [item.content_type for item in message.attachments] == ["image/png", "image/gif"]
    assert "Strike" in message.text
    assert not template.warnings


def test_a_picture_without_description_is_warned_about():
    template = letter("![](pic.png)\n", files={"templates/pic.png": b"x"})
    assert [item.code for item in template.warnings] == ["image-alt"]


def test_pictures_from_the_web_are_refused_or_warned_about():
    assert refused("![x](https://a.example/x.png)").code == "letter-image"
    template = letter("", files={"templates/it.html": '<img src="https://a.example/x.png" alt="x"><script>1</script>'})
    assert [item.code for item in template.warnings] == ["letter-image", "letter-html"]


def document(name: str, branch: str = "Branch <12>", motion: str = MOTION) -> bytes:
    front = f"subject: a\nattachments: [{{document: motion, name: '{name}'}}]"
    return merged("x", front=front, files={"templates/motion.md": motion}, branch=branch).attachments[0].content


def test_a_motion_becomes_a_word_document():
    content = document("motion.docx")
    word = docx.Document(io.BytesIO(content))
    texts = [paragraph.text for paragraph in word.paragraphs]
    assert texts[:4] == ["Motion", "Branch <12> demands:", "1. one", "2. two"]
    assert word.tables[0].cell(1, 1).text == "Branch <12>"
    assert word.core_properties.author == ""
    assert word.core_properties.title == "Motion of Branch <12>"


def test_a_word_document_tells_nothing_about_who_made_it():
    with zipfile.ZipFile(io.BytesIO(document("motion.docx"))) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert len(entries) == len(set(entries))
    assert not [name for name in entries if "thumbnail" in name or "app.xml" in name]
    telling = (b"python", b"macintosh", b"<application>", b"docprops/app.xml", b"thumbnail")
    assert not [(name, word) for name, data in entries.items() for word in telling if word in data.lower()]
    assert b"docProps/core.xml" in entries["_rels/.rels"]


def test_a_word_document_from_right_to_left_says_so():
    files = {"templates/motion.md": "سلام {{ branch }}\n"}
    front = "subject: a\nlanguage: ur\nattachments: [{document: motion, name: m.docx}]"
    content = merged("x", front=front, files=files, branch="کوئٹہ").attachments[0].content
    assert "<w:bidi" in zipfile.ZipFile(io.BytesIO(content)).read("word/document.xml").decode()


def test_a_motion_becomes_a_pdf():
    reader = pypdf.PdfReader(io.BytesIO(document("motion.pdf", branch="Größmann & Co – “12”")))
    text = " ".join(page.extract_text() for page in reader.pages)
    assert "Größmann & Co – “12” demands:" in " ".join(text.split())
    assert not set(reader.metadata or {}) & {"/Producer", "/Creator", "/Author"}
    assert b"fpdf" not in document("motion.pdf").lower()


@pytest.mark.parametrize("branch", ["کوئٹہ", "Профсоюз", "日本"])
def test_a_pdf_refuses_scripts_it_cannot_draw(branch):
    front = "subject: a\nattachments: [{document: motion, name: m.pdf}]"
    item = row_problem("x", front=front, files={"templates/motion.md": MOTION}, branch=branch)
    assert (item.code, item.row) == ("document", 7)
    assert ".docx" in (item.hint or "")


def test_a_motion_becomes_text_and_html():
    assert document("motion.txt").decode().startswith("Motion\r\n======\r\n\r\nBranch <12> demands:\r\n")
    page = document("motion.html").decode()
    assert "<strong>demands</strong>" in page
    assert "Branch &lt;12&gt;" in page


@pytest.mark.parametrize("name", ["m.docx", "m.pdf", "m.txt", "m.html"])
def test_documents_have_the_same_bytes_every_time(name):
    assert document(name) == document(name)
    assert document(name) != document(name, branch="Other")


@pytest.mark.parametrize("name", ["m.docx", "m.pdf"])
@pytest.mark.parametrize("branch", ["\x01\x0b", "<!--x-->", "<w:p>", "a\nb", "x" * 5000, "{{ 7*7 }}"])
def test_documents_bear_any_text_of_a_cell(name, branch):
    assert document(name, branch=branch)


def word_file(text: str) -> bytes:
    target = io.BytesIO()
    word = docx.Document()
    word.add_paragraph(text)
    word.core_properties.author = word.core_properties.last_modified_by = "Rosa Example"
    word.core_properties.last_printed = datetime(2026, 11, 23, 3, 14)  # noqa: DTZ001
    word.save(target)
    return target.getvalue()


def test_a_word_template_does_not_tell_who_wrote_it():
    files = {"templates/motion.docx": word_file("Motion of {{ branch }}")}
    front = "subject: a\nattachments: [{document: motion.docx}]"
    content = merged("x", front=front, files=files, branch="B").attachments[0].content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name).lower() for name in archive.namelist()}
    assert "docprops/app.xml" not in {name.lower() for name in entries}
    telling = (b"rosa", b"macintosh", b"docprops/app.xml", b"thumbnail", b"2026", b"python")
    assert not [(name, word) for name, data in entries.items() for word in telling if word in data]
    assert docx.Document(io.BytesIO(content)).paragraphs[0].text == "Motion of B"


def test_a_word_template_is_filled_in_for_each_row():
    files = {"templates/motion.docx": word_file("Motion of {{ branch }} {% if branch %}yes{% endif %}")}
    front = "subject: a\nattachments: [{document: motion.docx, name: 'Motion {{ branch }}.docx'}]"
    first, second = (merged("x", front=front, files=files, branch="A & <B>").attachments[0] for _ in range(2))
    assert docx.Document(io.BytesIO(first.content)).paragraphs[0].text == "Motion of A & <B> yes"
    assert first.filename == "Motion A & B.docx"
    assert first.content == second.content


@pytest.mark.parametrize(
    "content",
    [b"no word file", word_file("{{ nothing }}"), word_file("{% if %}"), word_file("{{ ''.__class__.mro() }}")],
)
def test_a_word_template_that_cannot_be_filled_in_is_a_problem_of_the_row(content):
    front = "subject: a\nattachments: [{document: motion.docx}]"
    item = row_problem("x", front=front, files={"templates/motion.docx": content}, branch="x")
    assert (item.code, item.row) == ("document", 7)


def test_links_in_documents_can_be_read_on_paper():
    motion = "See [our page](https://a.example/x) and <https://b.example/>.\n"
    word = docx.Document(io.BytesIO(document("m.docx", motion=motion)))
    assert word.paragraphs[0].text == "See our page (https://a.example/x) and https://b.example/."
    assert Page("<main>x</main>").text == "x"
