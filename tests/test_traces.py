"""What attached files tell of who made them, where and with what: said before a send, and taken out where the letter asks for it."""

from __future__ import annotations

import contextlib
import email
import email.policy
import io
import zipfile
from pathlib import Path
from typing import Any

import docx
import fpdf
import openpyxl
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odf import dc, meta, text
from odf.opendocument import OpenDocumentText
from odf.opendocument import load as load_odf
from openpyxl.comments import Comment
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from program import Program
from smtp_server import ScriptedServer

from mailer.merge.files import Folder
from mailer.merge.place import locate
from mailer.traces import TracesStayError, found, without
from mailer.web.journey.enclosing import facts
from mailer.web.journey.frontform import Enclosed, Kind

AUTHOR = "Kingfisher Berg"
ORIENTATION, ARTIST, GPS = 0x0112, 0x013B, 0x8825


def picture() -> Image.Image:
    made = Image.new("RGB", (48, 32))
    made.putdata([(x * 5 % 256, x * 11 % 256, x * 17 % 256) for x in range(48 * 32)])
    return made


def exif(**other: int) -> Image.Exif:
    made = Image.Exif()
    made[ARTIST], made[ORIENTATION] = AUTHOR, other.get("orientation", 6)
    made.get_ifd(GPS).update({1: "N", 2: (52.0, 30.0, 1.5), 3: "E", 4: (13.0, 22.0, 2.5)})
    return made


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def jpeg(**options: Any) -> bytes:
    return saved(picture(), "JPEG", **{"exif": exif(), "comment": AUTHOR.encode()} | options)


def png() -> bytes:
    texts = PngInfo()
    texts.add_text("Author", AUTHOR)
    texts.add_itxt("XML:com.adobe.xmp", f"<dc:creator>{AUTHOR}</dc:creator>")
    return saved(picture(), "PNG", pnginfo=texts, exif=exif())


def pdf() -> bytes:
    page = fpdf.FPDF()
    page.set_author(AUTHOR)
    page.set_title("A leaflet")
    page.set_xmp_metadata(f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{AUTHOR}</x:xmpmeta>")
    page.add_page()
    page.set_font("Helvetica")
    page.write(5, "Come on Friday")
    page.text_annotation(10, 10, "a note", title=AUTHOR)
    page.image(io.BytesIO(jpeg()))
    return bytes(page.output())


def word() -> bytes:
    document = docx.Document()
    document.core_properties.author = document.core_properties.last_modified_by = AUTHOR
    paragraph = document.add_paragraph('Come on Friday, said author="Pat"')
    document.add_comment(paragraph.runs, "is that so?", author=AUTHOR, initials="KB")
    document.add_picture(io.BytesIO(jpeg()))
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def sheet() -> bytes:
    book = openpyxl.Workbook()
    book.properties.creator = book.properties.lastModifiedBy = AUTHOR
    book.active["A1"] = "Friday"
    book.active["A1"].comment = Comment("is that so?", AUTHOR)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def odt() -> bytes:
    document = OpenDocumentText()
    document.meta.addElement(meta.InitialCreator(text=AUTHOR))
    document.meta.addElement(dc.Creator(text=AUTHOR))
    document.text.addElement(text.P(text="Come on Friday"))
    target = io.BytesIO()
    document.write(target)
    return target.getvalue()


MADE = {
    "jpeg": (jpeg, {"EXIF Artist", "EXIF GPSInfo", "a comment"}),
    "progressive": (lambda: jpeg(progressive=True), {"EXIF Artist", "EXIF GPSInfo", "a comment"}),
    "png": (png, {"tEXt Author", "iTXt XML:com.adobe.xmp", "EXIF Artist", "EXIF GPSInfo"}),
    "pdf": (pdf, {"PDF Author", "PDF Metadata", "PDF author of a note", "PDF picture: EXIF GPSInfo"}),
    "docx": (word, {"docProps/core.xml dc:creator", "docProps/core.xml cp:lastModifiedBy", "word/comments.xml author"}),
    "xlsx": (sheet, {"docProps/core.xml dc:creator", "xl/comments/comment1.xml author or printer"}),
    "odt": (odt, {"meta.xml meta:initial-creator", "meta.xml dc:creator"}),
}


def everything_in(content: bytes) -> bytes:
    """The file with whatever is packed in it."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return b"".join(archive.read(name) for name in archive.namelist())
    return content


@pytest.mark.parametrize("kind", MADE)
def test_what_a_file_tells_is_named_and_can_be_taken_out(kind: str) -> None:
    make, expected = MADE[kind]
    content = make()
    assert AUTHOR.encode() in everything_in(content)
    assert expected <= {*found(content)}
    clean = without(content)
    assert found(clean) == ()
    assert AUTHOR.encode() not in everything_in(clean)
    # the same for the same file, or no preview would hold on sending
    without.cache_clear()
    assert without(content) == clean
    assert found(without(clean)) == ()


@pytest.mark.parametrize("content", [jpeg(), jpeg(progressive=True), png(), jpeg() + b"another picture, appended"])
def test_a_picture_looks_the_same_and_stays_the_same_way_up(content: bytes) -> None:
    before, after = Image.open(io.BytesIO(content)), Image.open(io.BytesIO(without(content)))
    assert after.tobytes() == before.tobytes()
    assert dict(after.getexif()) == {ORIENTATION: 6}
    assert b"appended" not in without(content)


def test_documents_say_the_same() -> None:
    [page] = pypdf.PdfReader(io.BytesIO(without(pdf()))).pages
    assert "Come on Friday" in page.extract_text()
    assert len(page.images) == 1
    document = docx.Document(io.BytesIO(without(word())))
    assert document.paragraphs[0].text == 'Come on Friday, said author="Pat"'
    assert (len(document.inline_shapes), [one.text for one in document.comments]) == (1, ["is that so?"])
    [page_] = openpyxl.load_workbook(io.BytesIO(without(sheet()))).worksheets
    assert (page_["A1"].value, page_["A1"].comment.text) == ("Friday", "is that so?")
    assert "Come on Friday" in str(load_odf(io.BytesIO(without(odt()))).text)


def test_the_path_and_the_printer_of_a_workbook_go() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sheet())) as source, zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            data = source.read(name)
            if name == "xl/workbook.xml":
                data = data.replace(
                    b"<sheets>", rb'<x15ac:absPath url="C:\Users\kingfisher\" xmlns:x15ac="x"/><sheets>'
                )
            changed.writestr(name, data)
        changed.writestr("xl/printerSettings/printerSettings1.bin", "kingfisher".encode("utf-16-le"))
    assert {"xl/workbook.xml path", "xl/printerSettings/printerSettings1.bin"} <= {*found(target.getvalue())}
    assert b"k\0i\0n\0g" not in everything_in(without(target.getvalue()))
    assert b"kingfisher" not in everything_in(without(target.getvalue()))


SHARED = f"<p:properties xmlns:p='x'><UserInfo><DisplayName>{AUTHOR}</DisplayName></UserInfo></p:properties>"
RELATION = '<Relationship Id="rId{}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" Target="{}" {}/>'
MERGED = (
    '<w:mailMerge><w:mainDocumentType w:val="formLetters"/><w:connectString w:val="Data Source=C:\\Users\\Kingfisher Berg\\list.xlsx"/>'
    '<w:dataSource r:id="rId93"/></w:mailMerge>'
)


def shared_word() -> bytes:
    """As SharePoint hands it out, with a label, a mail merge, a linked picture and another program's quotation marks."""
    target = io.BytesIO()
    more = {
        "customXml/item7.xml": SHARED,
        "customXml/itemProps7.xml": "<ds:datastoreItem xmlns:ds='x'/>",
        "word/recipientData.xml": f"<w:recipients xmlns:w='x'><w:uniqueTag w:val='{AUTHOR}'/></w:recipients>",
        "docMetadata/LabelInfo.xml": f"<l:labelList xmlns:l='x'><l:label siteId='{AUTHOR}'/></l:labelList>",
    }
    links = RELATION.format(91, "customXml", "../customXml/item7.xml", "")
    links += RELATION.format(95, "recipientData", "recipientData.xml", "")
    links += RELATION.format(92, "hyperlink", "file:///C:/Users/Kingfisher%20Berg/x.docx", 'TargetMode="External"')
    links += RELATION.format(93, "mailMergeSource", f"file:///C:\\Users\\{AUTHOR}\\list.xlsx", 'TargetMode="External"')
    with zipfile.ZipFile(io.BytesIO(word())) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            data = source.read(name).decode("utf-8", "surrogateescape")
            if name == "word/_rels/document.xml.rels":
                data = data.replace("</Relationships>", f"{links}</Relationships>")
            elif name == "_rels/.rels":
                label = RELATION.format(94, "classificationlabels", "docMetadata/LabelInfo.xml", "")
                data = data.replace("</Relationships>", f"{label}</Relationships>")
            elif name == "word/comments.xml":
                data = data.replace(f'w:author="{AUTHOR}"', f"w:author='{AUTHOR}'")
            elif name == "word/settings.xml":
                data = data.replace("<w:compat>", f"{MERGED}<w:compat>", 1)
                assert MERGED in data
            archive.writestr(name, data.encode("utf-8", "surrogateescape"))
        for name, data in more.items():
            archive.writestr(name, data)
    return target.getvalue()


def test_what_sharepoint_a_mail_merge_and_links_tell_goes_and_the_document_is_whole() -> None:
    content = shared_word()
    told = {"customXml/item7.xml", "docMetadata/LabelInfo.xml", "word/comments.xml author", "word/settings.xml path"}
    assert told <= {*found(content)}
    assert "word/_rels/document.xml.rels path" in found(content)
    clean = without(content)
    assert found(clean) == ()
    for name in (AUTHOR, "Kingfisher%20Berg", "customXml/", "docMetadata/", "recipientData"):
        assert name.encode() not in everything_in(clean), name
    document = docx.Document(io.BytesIO(clean))
    assert document.paragraphs[0].text == 'Come on Friday, said author="Pat"'
    assert [one.text for one in document.comments] == ["is that so?"]
    # an empty part of this kind is in nearly every Word file, and nothing to warn of
    assert not any(field.startswith("customXml") for field in found(word()))


def test_the_page_says_what_a_word_file_tells_that_is_filled_in_for_each_row(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    letter = "---\nsubject: x\n---\n\nDear friend\n"
    (tmp_path / "templates/appeal.md").write_text(letter, encoding="utf-8")
    (tmp_path / "noted.docx").write_bytes(word())
    plain = docx.Document()
    plain.save(str(tmp_path / "plain.docx"))
    files = Folder(tmp_path)
    place = locate("templates/appeal.md", files)[0]
    rows = [Enclosed(kind=Kind.DOCUMENT, path=path, name="") for path in ("noted.docx", "plain.docx")]
    noted, silent = facts(rows, files, place, None, strips=False, looked=0)
    assert "word/comments.xml author" in " ".join(noted.lines)
    assert "docProps" not in " ".join(noted.lines)
    assert silent.lines == ["Filled in for each row. Nothing tells who made it."]
    noted, silent = facts(rows, files, place, None, strips=True, looked=0)
    assert (noted.good, noted.lines[1].partition(":")[0], silent.good) == (True, "Sent without", True)


def zipped(**parts: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def encrypted() -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf()))
    writer.encrypt("secret", algorithm="RC4-128")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def with_files_in_it() -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf()))
    writer.add_attachment("list.csv", b"x")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (saved(picture(), "GIF"), "of a kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "of a kind"),
        (b"{\\rtf1 {\\author Pat}}", "of a kind"),
        (jpeg()[:-40], "damaged"),
        (png()[:-8], "damaged"),
        (pdf()[:200], "damaged"),
        (word()[:300], "damaged"),
        (zipped(list="x"), "an archive"),
        (zipped(**{"[Content_Types].xml": "", "word/vbaProject.bin": ""}), "macros"),
        (zipped(**{"[Content_Types].xml": "", "word/media/image1.emf": ""}), "picture of a kind"),
        (encrypted(), "password"),
        (with_files_in_it(), "other files in it"),
    ],
)
def test_what_cannot_be_cleaned_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    found(content)
    with pytest.raises(TracesStayError, match=reason):
        without(content)


@pytest.mark.parametrize("content", [b"", b"name,email\nPat,x\n", "\ufeffZoë".encode(), saved(picture(), "PNG")])
def test_what_tells_nothing_stays_as_it_is(content: bytes) -> None:
    assert (found(content), without(content)) == ((), content)


@settings(deadline=None)
@given(st.data())
def test_damaged_files_never_end_in_anything_but_a_reason(data: st.DataObject) -> None:
    whole = SAMPLES[data.draw(st.sampled_from([*SAMPLES]))]
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 8)) :]
    found(damaged)
    with contextlib.suppress(TracesStayError):
        assert found(without(damaged)) == ()


SAMPLES = {kind: make() for kind, (make, _) in MADE.items()}


# -- as an organiser meets it

LETTER = """\
---
subject: News for {name}
strip_metadata: {strip}
attachments:
  - leaflet.pdf
  - cards/{{{{ card }}}}.jpg
---

Dear {{{{ name }}}},

![A banner](banner.png)
"""


@pytest.fixture
def program(campaign_folder: Path) -> Program:
    (campaign_folder / "cards").mkdir()
    (campaign_folder / "leaflet.pdf").write_bytes(pdf())
    (campaign_folder / "banner.png").write_bytes(png())
    for number in (1, 2):
        (campaign_folder / f"cards/{number}.jpg").write_bytes(jpeg())
    rows = "name,email,card\nPat,pat@branch.example,1\nZoe,zoe@branch.example,2\n"
    (campaign_folder / "list.csv").write_text(rows, encoding="utf-8")
    environment = {
        "MAILER_SMTP_HOST": "127.0.0.1",
        "MAILER_SENDER": "Union Office <office@union.example>",
        "MAILER_POSTAL_ADDRESS": "Union Office, 1 Example Street",
        "MAILER_UNSUBSCRIBE_MAILTO": "office@union.example",
    }
    return Program(folder=campaign_folder, settings=environment)


def letter(program: Program, strip: str) -> None:
    (program.folder / "appeal.md").write_text(LETTER.format(name="you", strip=strip), encoding="utf-8")


def test_a_preview_warns_and_names_file_and_field_but_not_the_person(program: Program) -> None:
    letter(program, "false")
    done = program.run("preview", "appeal.md", "list.csv")
    said = " ".join(done.stderr.split())
    assert "leaflet.pdf tells its readers more than it shows: PDF Author" in said or "banner.png tells" in said
    assert AUTHOR not in done.stderr + done.stdout
    with ScriptedServer() as server:
        program.settings["MAILER_SMTP_PORT"] = str(server.port)
        checks = program.json("doctor", "appeal.md", "list.csv")["checks"]
    told = [check for check in checks if check["code"] == "metadata"]
    assert {check["message"].partition(" tells ")[0] for check in told} == {"leaflet.pdf", "banner.png", "1.jpg"}
    assert all("strip_metadata: true" in check["fix"] and check["level"] == "warn" for check in told)


def test_what_was_previewed_is_sent_without_a_trace(program: Program) -> None:
    letter(program, "true")
    seal = program.json("preview", "appeal.md", "list.csv")["seal"]
    with ScriptedServer() as server:
        program.settings["MAILER_SMTP_PORT"] = str(server.port)
        done = program.run("send", "appeal.md", "list.csv", "--yes", "--seal", seal)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "more than it shows" not in done.stderr
    for message in server.accepted:
        parsed = email.message_from_bytes(message.content, policy=email.policy.default)
        files = [part.get_payload(decode=True) for part in parsed.walk() if part.get_filename()]
        assert [found(content) for content in files] == [()] * 3
        assert not any(AUTHOR.encode() in content for content in files)


def test_what_cannot_be_cleaned_is_found_before_anybody_is_mailed(program: Program) -> None:
    letter(program, "true")
    (program.folder / "cards/2.jpg").write_bytes(saved(picture(), "GIF"))
    done = program.run("preview", "appeal.md", "list.csv")
    assert done.returncode == 2
    assert "cards/2.jpg is of a kind out of which mailer cannot take who made it" in " ".join(done.stderr.split())
    (program.folder / "leaflet.pdf").write_bytes(encrypted())
    done = program.run("preview", "appeal.md", "list.csv")
    assert done.returncode == 2
    assert "leaflet.pdf is protected by a password" in " ".join(done.stderr.split())


def test_the_switch_is_true_or_false(program: Program) -> None:
    letter(program, "perhaps")
    done = program.run("preview", "appeal.md", "list.csv")
    assert (done.returncode, "strip_metadata must be true or false" in done.stderr) == (2, True)
