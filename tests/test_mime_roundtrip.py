"""Whatever a list or a letter holds comes back identical through two independent parsers (DESIGN, section 9)."""

import email.policy
import re
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses

from fast_mail_parser import PyMail, parse_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailer.mime import compose, message_id
from mailer.mime.bodies import quoted_printable
from mailer.mime.flaw import CONTROL
from mailer.model import Attachment, Contact, Identity, Letter, Mailbox, Message

NOW = datetime(2026, 11, 23, 9, 5, 7, tzinfo=UTC)
SENDER = Mailbox(address="office@union.example", name="Union of Dockers")
PAT = Contact(address="pat@branch.example", key="pat@branch.example", row=7)
MESSAGE_ID = message_id(b"secret", "appeal", PAT.key, "union.example")

LOOKALIKES = ["=?utf-8?Q?x?=", "=?", "?=", " =?utf-8?B?eA==?= ", '"', "\\", ",", "<x@y.example>", "(c)", ";", ":", "@"]
cell = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])) | st.lists(
    st.sampled_from([*LOOKALIKES, " ", "a", "é", "你", "🏭", "e\u0301", "Pat", "\u00a0"]), max_size=60
).map("".join)
ascii_cell = st.text(st.characters(min_codepoint=32, max_codepoint=126))
body = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.lists(
    st.sampled_from(
        ["From ", ".", "\n", "\r\n", "\r", " ", "\t", "=", "é", "a" * 71, "a" * 74, "a" * 75, "a" * 76, "--", "\f"]
    ),
    max_size=40,
).map("".join)


def letter(
    *,
    subject: str = "An appeal",
    text: str = "Dear Pat\n",
    html: str = "<p>Dear Pat</p>\n",
    to: Mailbox | None = None,
    identity: Identity | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> Letter:
    return Letter(
        subject=subject,
        text=text,
        html=html,
        language="en",
        identity=identity or Identity(sender=SENDER),
        to=to or Mailbox(address=PAT.address, name="Pat"),
        attachments=attachments,
    )


def composed(letter: Letter) -> Message:
    message = compose(letter, contact=PAT, message_id=MESSAGE_ID, date=NOW)
    assert_safe_in_transit(message)
    return message


def assert_safe_in_transit(message: Message) -> None:
    content = message.content
    assert content.endswith(b"\r\n")
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert content.isascii() or message.needs_smtputf8
    assert b"\0" not in content
    assert not any(line.startswith((b".", b"From ")) for line in lines)


def parsed(message: Message) -> tuple[EmailMessage, PyMail]:
    standard = BytesParser(policy=email.policy.default).parsebytes(message.content)
    assert isinstance(standard, EmailMessage)
    assert [part.defects for part in standard.walk()] == [[]] * len(list(standard.walk()))
    independent = parse_email(message.content, strict=True)
    assert independent.warnings == []
    return standard, independent


def spaced_once(text: str) -> str:
    """What `email.policy.default` leaves of the spaces in display names and parameters, also inside encoded words."""
    return re.sub(r" +", " ", text).strip()


def newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@settings(deadline=None)
@given(cell | ascii_cell)
@example("")
@example(" leading, trailing and  double ")
@example("x" * 300)
@example("x" * 989)
@example("x" * 990)
@example("x " * 700)
@example("=?utf-8?Q?literal?=")
@example("é" * 500)
@example("🏭" * 200)
def test_any_subject_comes_back_as_it_was(subject):
    message = composed(letter(subject=subject))
    standard, independent = parsed(message)
    assert standard["Subject"] == subject
    assert independent.subject == subject


@settings(deadline=None)
@given(cell | ascii_cell)
@example("x" * 300)
@example("=?utf-8?Q?literal?=")
@example("x" * 5000)
@example(" =?utf-8?Q?a?= b ")
@example("é" * 500)
def test_no_encoded_word_is_longer_than_75_nor_its_line_longer_than_76(subject):
    message = composed(letter(subject=subject, to=Mailbox(address="p" * 60 + "@branch.example", name=subject)))
    head = message.content.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        words = re.findall(rb"=\?utf-8\?[QB]\?[!-~]*?\?=", line)
        assert all(len(word) <= 75 for word in words)
        assert not words or len(line) <= 76


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=128, exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
@example("é" + "a" * 40 + "你" * 9 + "a" * 40 + "🏭" * 9 + "a" * 150)
@example("".join("a" * n + "🏭" for n in range(40)))
@example("".join("a" * n + "é" for n in range(40)))
def test_every_encoded_word_decodes_by_itself_so_that_no_character_is_split(subject):
    message = composed(letter(subject=subject))
    line = re.search(rb"\r\nSubject: ([^\r]*(?:\r\n [^\r]*)*)", message.content)
    words = line[1].decode().split("\r\n ")
    pieces = [decode_header(word)[0][0].decode("utf-8", errors="strict") for word in words]
    assert "".join(pieces) == subject


@settings(deadline=None)
@given(cell | ascii_cell)
@example("O'Brien, Pat")
@example('Pat "the docker" O\\Brien')
@example("Pat (Branch 4)")
@example("Pat <evil@attacker.example>")
@example("pat@branch.example, evil@attacker.example")
@example("Pat; evil@attacker.example:")
@example("José Ñandú, Sección 3")
@example("=?utf-8?Q?x=2C_evil=40attacker.example?=")
@example("x" * 2000)
@example("a  b")
def test_whatever_the_name_there_is_one_person_in_from_and_to(name):
    identity = Identity(
        sender=Mailbox(address=SENDER.address, name=name), reply_to=Mailbox(address="r@union.example", name=name)
    )
    message = composed(letter(to=Mailbox(address=PAT.address, name=name), identity=identity))
    standard, independent = parsed(message)
    name = name if name.strip() else ""  # a name of nothing but spaces is none
    for header, address, people in (
        ("From", SENDER.address, [independent.from_]),
        ("To", PAT.address, independent.to),
        ("Reply-To", "r@union.example", independent.reply_to),
    ):
        (person,) = standard[header].addresses
        # Python's own parser puts a space between two encoded words of a name (and keeps one of several).
        assert ("".join(person.display_name.split()), person.addr_spec) == ("".join(name.split()), address)
        assert [((p.display_name or "").strip(), p.address) for p in people] == [(name.strip(), address)]
        raw = BytesParser(policy=email.policy.compat32).parsebytes(message.content).get_all(header)
        ((phrase, found),) = getaddresses(raw)
        assert (str(make_header(decode_header(phrase))), found) == (name, address)


@settings(deadline=None)
@given(body, body)
@example("a" * 75 + " \n", "." * 200)
@example("From here\nFrom " + "x" * 200, ".\n..\n\n.")
@example("trailing \t \nspace ", "a" * 75 + ".\n")
@example("x\x0b\x0c\x1b\x7f\x85\u2028y", "\ufeffx")
def test_any_text_and_html_come_back_as_they_were(text, html):
    message = composed(letter(text=text, html="<p>" + html))
    standard, independent = parsed(message)
    plain, rich = (standard.get_body([kind]) for kind in ("plain", "html")) if text else (None, standard)
    if plain is not None:
        assert newlines(plain.get_payload(decode=True).decode()) == newlines(text)
        assert [newlines(found) for found in independent.text_plain] == [newlines(text)]
    ending = "" if text else "\n"  # a message of a single part ends with a line end, as SMTP demands
    assert newlines(rich.get_payload(decode=True).decode()).removesuffix(ending) == newlines("<p>" + html).removesuffix(
        ending
    )
    assert [newlines(found).removesuffix(ending) for found in independent.text_html] == [
        newlines("<p>" + html).removesuffix(ending)
    ]


@settings(deadline=None)
@given(body)
@example("a" * 73 + " \n")
@example("a" * 74 + "\t\n")
@example("a" * 75 + " \n")
@example("a" * 75 + " ")
@example("From " + "a" * 71)
@example("." * 76)
def test_quoted_printable_lines_have_at_most_76_characters(text):
    lines = quoted_printable(text).split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.endswith((b" ", b"\t")) or line.startswith((b".", b"From ")) for line in lines)


@settings(deadline=None)
@given(body, body)
def test_each_line_is_encoded_without_regard_to_its_neighbours(first, second):
    # The promise on which encoding the constant lines of a letter once rests.
    first = newlines(first) + "\n"
    second = newlines(second)
    assert quoted_printable(first + second) == quoted_printable(first) + quoted_printable(second)


file_name = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/\\"), min_size=1
).filter(lambda name: name.strip() and name not in {".", ".."} and not re.fullmatch(r'<.*>|".*"', name))
"""Not what Python's parser takes brackets or quotes off, though they belong to the name."""


@settings(deadline=None)
@given(st.lists(st.tuples(file_name, st.binary(max_size=300)), min_size=1, max_size=4))
@example([("Motion modèle.pdf", b"x"), ("决议.docx", b""), ("a;b\"c'd%.txt", b"\r\n.\r\n"), ("=?utf-8?Q?x?=", b"1")])
@example([("é" * 255, b"x"), ("x" * 900, b"y"), (" a  b ", b"z"), ("O'Brien, P. (1).pdf", b"q")])
def test_every_attachment_comes_back_byte_for_byte_with_its_name(files):
    attachments = tuple(Attachment(filename=name, content_type="application/pdf", content=data) for name, data in files)
    standard, independent = parsed(composed(letter(attachments=attachments)))
    found = [(spaced_once(part.get_filename()), part.get_payload(decode=True)) for part in standard.iter_attachments()]
    assert found == [(spaced_once(name), data) for name, data in files]
    assert [(part.filename, part.content) for part in independent.attachments] == files
    types = [part.get_param("name", header="content-type") for part in standard.iter_attachments()]
    assert [spaced_once(name) for name in types] == [spaced_once(name) for name, _ in files]


hostile = st.text(st.sampled_from("\r\n\0\t\x1b\x7f\x85\u2028\u2029ab:@<>,. é"), max_size=12) | st.sampled_from(
    [
        "\r\nBcc: evil@attacker.example",
        "\nBcc: evil@attacker.example\n\n",
        "x\r\n\r\nbody",
        "\x85Bcc: evil@attacker.example",
    ]
)
FIELDS = [
    "subject", "name", "address", "sender name", "sender address", "reply name", "reply address", "bounce", "list id",
    "url", "mailto", "file name", "content type", "content id", "contact", "text", "html", "message id",
]  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(FIELDS), hostile)
def test_no_text_field_can_bring_in_a_header(field, text):
    from mailer.mime import ComposeError

    value = {name: text if name == field else default for name, default in zip(FIELDS, [
        "An appeal", "Pat", PAT.address, "Union", SENDER.address, "Office", "r@union.example", "b@union.example",
        "appeals.union.example", "https://union.example/u", "u@union.example", "a.pdf", "application/pdf", "logo",
        PAT.address, "Dear Pat", "<p>Dear Pat", MESSAGE_ID,
    ], strict=True)}  # fmt: skip
    subject = letter(
        subject=value["subject"],
        text=value["text"],
        html=value["html"],
        to=Mailbox(address=value["address"], name=value["name"]),
        identity=Identity(
            sender=Mailbox(address=value["sender address"], name=value["sender name"]),
            reply_to=Mailbox(address=value["reply address"], name=value["reply name"]),
            bounce_address=value["bounce"],
            list_id=value["list id"],
            unsubscribe_url=value["url"],
            unsubscribe_mailto=value["mailto"],
        ),
        attachments=(
            Attachment(filename=value["file name"], content_type=value["content type"], content=b"x"),
            Attachment(filename="l.png", content_type="image/png", content=b"x", content_id=value["content id"]),
        ),
    )
    contact = Contact(address=value["contact"], key=PAT.key, row=7)
    bodies = {"text", "html"}
    try:
        message = compose(subject, contact=contact, message_id=value["message id"], date=NOW)
    except ComposeError as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert all(problem.row == 7 for problem in refusal.problems)
        assert "attacker" not in f"{refusal} {refusal.problems}"
        return
    assert field in bodies or not CONTROL.search(text)
    assert_safe_in_transit(message)
    allowed = {
        "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "List-ID", "List-Unsubscribe",
        "List-Unsubscribe-Post", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    }  # fmt: skip
    standard, independent = parsed(message)
    assert set(standard.keys()) <= allowed
    assert len(standard.keys()) == len(set(standard.keys()))
    assert set(independent.headers) <= allowed
    assert "\n" not in message.envelope.rcpt_to + message.envelope.mail_from
