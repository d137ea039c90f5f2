"""Nobody gets into the organiser's page but the browser that was let in: hostile pages, hosts, forms and uploads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from organiser import Office, Stranger, office, people
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mailer.web import access
from mailer.web.access import LARGEST_FORM, LIFETIME
from mailer.web.journey.enclosing import LARGEST as LARGEST_ATTACHMENT
from mailer.web.journey.uploads import LONGEST

PAGES = ["/", "/list", "/letter", "/preview", "/test", "/approve", "/send", "/suppressed", "/account", "/preview/state"]
PAGES += [
    "/account/settings",
    "/account/setup",
    "/account/setup/x/state",
    "/errand/x/state",
    "/practice",
    "/practice/enter",
]


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with office(tmp_path_factory.mktemp("office")) as made:
        made.write_list(people(3))
        (made.folder / "secret.csv").write_text("email\nhidden@union.example\n", encoding="utf-8")
        made.open()
        yield made


@pytest.fixture(scope="module")
def member(at_work: Office) -> tuple[Stranger, str]:
    inside = Stranger(at_work.port)
    return inside, inside.enter(at_work.page)


@pytest.fixture
def outside(at_work: Office) -> Stranger:
    return Stranger(at_work.port)


@pytest.mark.parametrize("path", PAGES)
def test_without_the_cookie_every_page_is_closed(member: object, outside: Stranger, path: str) -> None:
    answer, text = outside.ask("GET", path)
    assert answer.status == 403
    assert "mailer web" in text
    assert "union.example" not in text
    assert not answer.getheader("Set-Cookie")


def test_the_opening_address_opens_once(at_work: Office, member: object, outside: Stranger) -> None:
    parts = urlsplit(at_work.page)
    answer, _ = outside.ask("GET", f"{parts.path}?{parts.query}")
    assert (answer.status, answer.getheader("Set-Cookie")) == (403, None)


@pytest.mark.parametrize("ticket", ["", "x", "%00", "a" * 5000, "../../x"])
def test_no_other_ticket_opens(member: object, outside: Stranger, ticket: str) -> None:
    assert outside.ask("GET", f"/open?ticket={ticket}")[0].status == 403


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "{name}=",
        "{name}=x.y.z",
        "{name}=9999999999.1.x.{mac}",
        "{name}={session}.{mac}x",
        "other={session}.{mac}",
        "{name}=\x7f",
        "=;=;",
    ],
)
def test_no_other_cookie_opens(member: tuple[Stranger, str], outside: Stranger, cookie: str) -> None:
    name, _, value = member[0].cookie.partition("=")
    session, _, mac = value.rpartition(".")
    outside.cookie = cookie.format(name=name, session=session, mac=mac)
    assert outside.ask("GET", "/")[0].status == 403


class Clock:
    """A page whose day goes by as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr(access.time, "time", lambda: self.now)
        self.page = access.Access(self._answered, b"secret")
        self.csrf = ""

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.csrf = scope["state"]["csrf"]
        await Response("inside")(scope, receive, send)

    async def ask(self, path: str, cookie: str = "", page: access.Access | None = None) -> tuple[int, str]:
        """The answer's status, and the cookie that it sets."""
        said: list[Message] = []

        async def send(message: Message) -> None:
            said.append(message)

        place, _, query = path.partition("?")
        scope = {
            "type": "http", "method": "GET", "path": place, "query_string": query.encode(), "server": ("127.0.0.1", 1),
            "headers": [(b"cookie", cookie.encode())],
        }  # fmt: skip
        await (page or self.page)(scope, None, send)  # type: ignore[arg-type]
        return said[0]["status"], dict(said[0]["headers"]).get(b"set-cookie", b"").decode()


async def test_a_cookie_is_good_until_a_day_without_use(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    status, given = await clock.ask(clock.page.ticket())
    assert status == 303
    assert {"httponly", "samesite=strict", f"max-age={LIFETIME}"} <= {part.strip().lower() for part in given.split(";")}
    first = cookie = given.partition(";")[0]
    assert await clock.ask("/", cookie) == (200, "")
    token = clock.csrf
    # used once a day, it lasts, and forms that are open stay good; for a month
    for _day in range(29):
        clock.now += LIFETIME - 1
        status, given = await clock.ask("/", cookie)
        assert status == 200
        assert f"Max-Age={LIFETIME}" in given
        cookie = given.partition(";")[0]
    assert clock.csrf == token
    assert (await clock.ask("/", first))[0] == 403
    # a page that was started anew over the same ledger knows it, one over another ledger does not
    assert (await clock.ask("/", cookie, access.Access(clock._answered, b"secret")))[0] == 200
    assert (await clock.ask("/", cookie, access.Access(clock._answered, b"another")))[0] == 403
    clock.now += LIFETIME - 1
    assert await clock.ask("/", cookie) == (200, "")  # the last of it: the month is over
    clock.now += 2
    assert await clock.ask("/", cookie) == (403, "")


async def test_a_cookie_that_was_just_given_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    cookie = (await clock.ask(clock.page.ticket()))[1].partition(";")[0]
    clock.now += access.RENEWED - 1
    assert await clock.ask("/", cookie) == (200, "")
    clock.now += 1
    assert (await clock.ask("/", cookie))[1]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:{port}", "localhost:1", "evil.example:{port}", ""]
)
def test_another_host_gets_nothing(member: tuple[Stranger, str], at_work: Office, host: str) -> None:
    answer, text = member[0].ask("GET", "/list", Host=host.format(port=at_work.port))
    assert answer.status in {400, 421}
    assert "union.example" not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_page_changes_nothing(
    member: tuple[Stranger, str], at_work: Office, headers: dict[str, str]
) -> None:
    inside, token = member
    body = f"csrf={token}&entry=mallory@union.example".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    assert inside.ask("POST", "/suppressed/add", body, **headers)[0].status == 403
    assert at_work.program.json("suppress", "list")["suppressions"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/suppressed/add",
        "/list/upload",
        "/list/mend",
        "/letter/save",
        "/letter/look",
        "/letter/attachment",
        "/test",
        "/approve",
        "/send",
        "/account",
        "/account/inbox",
        "/account/seed",
        "/account/settings",
        "/account/setup",
        "/account/setup/try",
        "/account/setup/x/keep",
        "/practice",
        "/practice/leave",
    ],
)
@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "application/json"]
)
def test_no_change_without_the_token_of_the_page(member: tuple[Stranger, str], path: str, kind: str) -> None:
    answer, text = member[0].ask(
        "POST", path, b"entry=mallory@union.example&csrf=wrong", Content_Type=kind, X_CSRF="wrong"
    )
    assert answer.status == 403
    assert "Nothing was changed" in text


def test_a_form_that_is_too_large_is_refused_unread(member: tuple[Stranger, str]) -> None:
    inside, token = member
    body = f"csrf={token}&note=".encode() + b"x" * LARGEST_FORM
    assert (
        inside.ask("POST", "/suppressed/add", body, Content_Type="application/x-www-form-urlencoded")[0].status == 413
    )


NAMES = [
    ("../../evil.csv", "contacts/evil.csv"), ("..\\..\\evil2.csv", "contacts/evil2.csv"), ("/etc/evil3.csv", "contacts/evil3.csv"),
    ("C:\\evil4.csv", "contacts/evil4.csv"), ("a<b>\"c'.csv", "contacts/a_b__c_.csv"), (".hidden.csv", "contacts/hidden.csv"),
    ("Zeichen äöü ∂.csv", None), ("x" * 300 + ".csv", f"contacts/{'x' * (LONGEST - 4)}.csv"), ("CON.csv", ""), ("list.exe", ""), ("", ""), ("..", ""), ("mailer.toml", ""),
    (".env", ""), ("mailer.db", ""), ("list.csv/../../mailer.toml", ""), ("a\x00.csv", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kept"), NAMES)
def test_an_upload_lands_in_contacts_under_a_safe_name_or_nowhere(
    member: tuple[Stranger, str], at_work: Office, name: str, kept: str | None
) -> None:
    inside, token = member
    before = {path for path in at_work.folder.rglob("*") if path.is_file()}
    headers = {"X-CSRF": token, "X-Filename": quote(name, safe=""), "Content-Type": "application/octet-stream"}
    answer, text = inside.ask("POST", "/list/upload", b"email\nz@union.example\n", **headers)
    new = {path for path in at_work.folder.rglob("*") if path.is_file()} - before
    new = {path for path in new if not path.name.startswith("mailer.db")}
    assert all(path.parent == at_work.folder / "contacts" and not path.name.startswith(".") for path in new)
    if kept == "":
        assert (answer.status, new) == (422, set())
    else:
        assert answer.status == 200, text
        assert kept is None or at_work.folder / kept in new


def test_the_same_file_twice_is_kept_once_and_of_another_of_its_name_it_is_asked_what_becomes(
    member: tuple[Stranger, str], at_work: Office
) -> None:
    inside, token = member
    one, other, third = (b"email\n%s@union.example\n" % who for who in (b"a", b"b", b"c"))

    def upload(content: bytes, existing: str = "") -> str:
        headers = {"X-CSRF": token, "X-Filename": "twice.csv", "X-Existing": existing, "Content-Type": "text/csv"}
        return inside.ask("POST", "/list/upload", content, **headers)[1]

    def kept() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (at_work.folder / "contacts").glob("*twice*")}

    assert upload(one) == upload(one) == upload(one, "replace") == '{"list":"contacts/twice.csv"}'
    assert upload(other) == '{"taken":"twice.csv","backup":"twice.csv.bak"}'
    assert kept() == {"twice.csv": one}
    assert upload(other, "both") == '{"list":"contacts/twice-2.csv"}'
    assert upload(other, "replace") == '{"list":"contacts/twice.csv"}'
    assert kept() == {"twice.csv": other, "twice.csv.bak": one, "twice-2.csv": other}
    assert upload(third, "replace") == '{"list":"contacts/twice.csv"}'
    assert kept() == {"twice.csv": third, "twice.csv.bak": one, "twice.csv.2.bak": other, "twice-2.csv": other}
    # what was put aside is no list that could be picked
    assert ".bak" not in inside.ask("GET", "/list")[1].partition("</select>")[0]


@pytest.mark.parametrize(
    "list_name",
    [
        "../secret.csv",
        "/etc/passwd",
        "contacts/../secret.csv",
        "mailer.toml",
        ".env",
        "mailer.db",
        "contacts/\x00",
        "contacts",
    ],
)
@pytest.mark.parametrize("page", ["/list", "/letter", "/preview"])
def test_no_address_names_a_file_that_is_no_list_of_this_folder(
    member: tuple[Stranger, str], page: str, list_name: str
) -> None:
    answer, text = member[0].ask("GET", f"{page}?list={quote(list_name, safe='')}")
    assert answer.status in {200, 303}
    assert "root:" not in text
    assert "smtp_port" not in text
    assert not (answer.getheader("Location") or "").count("list=")


@pytest.mark.parametrize(
    "file", ["mailer.toml", "../x.md", "templates/../mailer.toml", "/etc/passwd", ".env", "templates/new.md"]
)
def test_only_the_texts_of_the_letter_are_written_or_read(
    member: tuple[Stranger, str], at_work: Office, file: str
) -> None:
    inside, token = member
    before = (at_work.folder / "mailer.toml").read_bytes()
    for path in ("/letter/save", "/letter/look"):
        answer, _ = inside.post(path, csrf=token, letter="appeal", file=file, text="hacked", digest="x")
        assert answer.status in {404, 422}
    _, text = inside.ask("GET", f"/letter?letter=appeal&file={quote(file, safe='')}")
    assert "smtp_port" not in text
    assert (at_work.folder / "mailer.toml").read_bytes() == before
    assert not (at_work.folder / "templates" / "new.md").exists()


def attach(member: tuple[Stranger, str], name: str, content: bytes = b"%PDF-1.7", **headers: str) -> tuple[int, str]:
    inside, token = member
    headers = {
        "X-CSRF": token,
        "X-Filename": quote(name, safe=""),
        "Content-Type": "application/octet-stream",
        **headers,
    }
    answer, text = inside.ask("POST", "/letter/attachment", content, **headers)
    return answer.status, text


ENCLOSED = [
    ("../../evil.pdf", "evil.pdf"), ("..\\..\\evil2.pdf", "evil2.pdf"), ("/etc/evil3.pdf", "evil3.pdf"), ("C:\\evil4.pdf", "evil4.pdf"),
    ("a<b>{{ x }}.pdf", "a_b___ x __.pdf"), (".hidden.pdf", "hidden.pdf"), ("Plakat äöü ∂.png", "Plakat äöü _.png"), ("a\x00.pdf", "a_.pdf"),
    ("CON.pdf", ""), ("nul .pdf", ""), ("lpt1.tar.pdf", ""), ("x" * 300 + ".pdf", "x" * (LONGEST - 4) + ".pdf"), ("", ""), ("..", ""), ("leaflet", ""),
    ("run.exe", ""), ("run.pdf.js", ""), ("run.EXE.pdf", ""), ("page.html", ""), ("picture.svg", ""), ("macros.docm", ""), ("key.age", ""),
    ("mailer.toml", ""), ("x/../../mailer.toml", ""), (".env", ""), ("mailer.db", ""), ("letter.md", ""), ("case.yaml", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kept"), ENCLOSED)
def test_an_attachment_lands_in_its_place_under_a_safe_name_or_nowhere(
    member: tuple[Stranger, str], at_work: Office, name: str, kept: str
) -> None:
    before = {path for path in at_work.folder.rglob("*") if path.is_file()}
    status, text = attach(member, name)
    new = {path for path in at_work.folder.rglob("*") if path.is_file()} - before
    new = {path for path in new if not path.name.startswith("mailer.db")}
    assert new == ({at_work.folder / "attachments" / kept} if kept else set()), text
    assert status == (200 if kept else 422)


@pytest.mark.parametrize("content", [b"MZ\x90", b"\x7fELF\x02", b"#!/bin/sh\n", b"SQLite format 3\x00", b""])
def test_a_program_a_ledger_and_nothing_at_all_are_no_attachments_whatever_their_name(
    member: tuple[Stranger, str], at_work: Office, content: bytes
) -> None:
    status, _ = attach(member, "harmless.pdf", content)
    assert status == 422
    assert not (at_work.folder / "attachments" / "harmless.pdf").exists()


def test_an_attachment_that_no_relay_takes_is_refused_and_leaves_nothing(
    member: tuple[Stranger, str], at_work: Office
) -> None:
    status, text = attach(member, "large.pdf", b"%PDF" + b"x" * LARGEST_ATTACHMENT)
    assert status == 422
    assert "larger than 10 MB" in text
    assert not [
        path for path in (at_work.folder / "attachments").iterdir() if "large" in path.name or "upload" in path.name
    ]


def test_an_attachment_is_written_over_only_by_whoever_was_asked(member: tuple[Stranger, str], at_work: Office) -> None:
    kept = at_work.folder / "attachments" / "twice.pdf"
    assert attach(member, "twice.pdf", b"%PDF one")[0] == attach(member, "twice.pdf", b"%PDF one")[0] == 200
    for asked in ("", "yes", "both; replace"):
        status, text = attach(member, "twice.pdf", b"%PDF two", X_Taken=asked)
        assert (status, kept.read_bytes()) == (409, b"%PDF one")
        assert '"taken":"twice.pdf"' in text
    assert attach(member, "twice.pdf", b"%PDF two", X_Taken="both") == (200, '{"file":"attachments/twice-2.pdf"}')
    assert attach(member, "twice.pdf", b"%PDF two", X_Taken="replace") == (200, '{"file":"attachments/twice.pdf"}')
    assert kept.read_bytes() == kept.with_name("twice-2.pdf").read_bytes() == b"%PDF two"


def test_no_link_leads_an_attachment_or_a_letter_out_of_the_folder(
    member: tuple[Stranger, str], at_work: Office, tmp_path: Path
) -> None:
    inside, token = member
    outside = tmp_path / "outside.pdf"
    outside.write_bytes(b"secret of somebody else")
    place = at_work.folder / "attachments"
    place.mkdir(exist_ok=True)
    (place / "link.pdf").symlink_to(outside)
    for choice in ("", "replace"):
        assert attach(member, "link.pdf", X_Taken=choice)[0] == 422
    assert attach(member, "link.pdf", X_Taken="both") == (200, '{"file":"attachments/link-2.pdf"}')
    assert outside.read_bytes() == b"secret of somebody else"
    # neither is it offered, nor told anything of, nor is a letter behind a link shown
    (at_work.folder / "templates" / "linked.md").symlink_to(outside)
    linked = "---\nsubject: x\ncase: case.yaml\nattachments: [attachments/link.pdf]\n---\nDear\n"
    (at_work.folder / "templates" / "case.yaml").write_text("a: b\n", encoding="utf-8")
    (at_work.folder / "templates" / "case.de.yaml").symlink_to(outside)
    (at_work.folder / "templates" / "not-this-one.yaml").write_text("a: b\n", encoding="utf-8")
    (at_work.folder / "templates" / "encloses.md").write_text(linked, encoding="utf-8")
    _, text = inside.ask("GET", "/letter?letter=encloses")
    assert "<option>attachments/link-2.pdf</option>" in text
    assert "<option>attachments/link.pdf</option>" not in text
    assert "This file is not there." in text
    for query in ("letter=linked", "letter=encloses&file=templates/case.de.yaml"):
        _, text = inside.ask("GET", f"/letter?{query}")
        assert "secret of somebody else" not in text
    for name in ("case.de.yaml", "not-this-one.yaml"):
        file = f"templates/{name}"
        assert (
            inside.post("/letter/save", csrf=token, letter="encloses", file=file, text="x", digest="")[0].status == 422
        )
    assert (
        inside.post("/letter/save", csrf=token, letter="linked", file="templates/linked.md", text="x")[0].status == 422
    )
    (place / "link.pdf").unlink()
    place.rename(at_work.folder / "put aside")
    try:
        place.symlink_to(tmp_path)
        assert attach(member, "fine.pdf")[0] == 422
        assert not (tmp_path / "fine.pdf").exists()
        place.unlink()
    finally:
        (at_work.folder / "put aside").rename(place)


@pytest.mark.thorough
def test_there_is_an_end_to_how_many_attachments_are_taken(member: tuple[Stranger, str], at_work: Office) -> None:
    place = at_work.folder / "attachments"
    place.mkdir(exist_ok=True)
    many = [place / f"many-{number}.txt" for number in range(5000)]
    for path in many:
        path.touch()
    assert attach(member, "one more.pdf")[0] == 422
    for path in many:
        path.unlink()
    assert attach(member, "one more.pdf")[0] == 200


def save(member: tuple[Stranger, str], at_work: Office, **fields: str) -> tuple[int, str]:
    """Post the form of the letter as it was just shown, with some of it filled in."""
    inside, token = member
    _, page = inside.ask("GET", "/letter?letter=appeal")
    digest = page.partition('name="digest" value="')[2].partition('"')[0]
    given = {
        "csrf": token,
        "letter": "appeal",
        "file": "templates/appeal.md",
        "digest": digest,
        "body": "Dear\n",
        **fields,
    }
    answer, text = inside.post("/letter/save", **given)
    return answer.status, text


@pytest.mark.parametrize(
    "fields",
    [
        {"front-subject": "a\x00b"}, {"front-sender": "a\x1b"}, {"case-0-name": "a\x00", "case-0-value": "b"}, {"case-0-name": "a: b", "case-0-value": "c"},
        {"attach-file": "a\x00.pdf"}, {"lookups-0-name": "x", "lookups-0-table": "\x00", "lookups-0-on": "y"}, {"digest": ""}, {"digest": "0" * 24},
        {"file": "templates/../mailer.toml"}, {"body": "x" * 600_000}, {"add-language": "../x"}, {"add-language": "xx/../../de"}, {"add-language": "en"},
        {"add-language": "de\x00"}, {"fallbacks-0-name": "../../x", "fallbacks-0-value": "de"},
    ],
)  # fmt: skip
def test_a_form_with_something_hostile_in_it_changes_no_letter(
    member: tuple[Stranger, str], at_work: Office, fields: dict[str, str]
) -> None:
    before = {path: path.read_bytes() for path in (at_work.folder / "templates").iterdir() if path.is_file()}
    status, _ = save(member, at_work, **fields)
    assert status in {409, 422}
    assert {path: path.read_bytes() for path in (at_work.folder / "templates").iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "fields",
    [
        {"attach-file": "../secret.csv"}, {"attach-file": "mailer.toml"}, {"attach-file": "/etc/passwd"}, {"attach-each": "{{ name }}"},
        {"attach-each": "../{{ name }}.pdf"}, {"attach-document": "../../secret"}, {"lookups-0-name": "x", "lookups-0-table": "../secret.csv", "lookups-0-on": "y"},
        {"case-file": "../mailer.toml"}, {"case-file": "mailer.toml"}, {"front-sender": "x@union.example\nBcc: y@union.example"},
        {"front-subject": '"\n---\nbody: {{ x }} <script>alert(1)</script>'},
    ],
)  # fmt: skip
def test_whatever_a_form_names_nothing_outside_is_read_and_it_stays_text(
    member: tuple[Stranger, str], at_work: Office, fields: dict[str, str]
) -> None:
    letter = at_work.folder / "templates" / "appeal.md"
    before = letter.read_bytes()
    try:
        assert save(member, at_work, **fields)[0] == 303
        assert letter.read_text("utf-8").count("\n---\n") == 1
        answer, text = member[0].ask("GET", "/letter?letter=appeal&list=contacts/people.csv")
        assert answer.status == 200
        for secret in ("hidden@union.example", "smtp_port", "root:", "<script>alert"):
            assert secret not in text
    finally:
        letter.write_bytes(before)


@pytest.mark.parametrize("name", ["../x", "a/b", "<b>", "a" * 100, "con", ".x", "-x"])
def test_a_new_letter_has_a_plain_name(member: tuple[Stranger, str], at_work: Office, name: str) -> None:
    inside, token = member
    before = set(at_work.folder.rglob("*.md"))
    inside.post("/letter/save", csrf=token, new=name)
    assert set(at_work.folder.rglob("*.md")) == before


def test_whatever_is_asked_every_answer_is_closed_to_other_pages(member: tuple[Stranger, str]) -> None:
    for path in [
        *PAGES,
        "/nowhere",
        "/assets/base.css",
        "/assets/../mailer.toml",
        "/assets/%2e%2e/x",
        "/campaign/none",
        "/campaign/none/events",
    ]:
        answer, _ = member[0].ask("GET", path)
        assert answer.status < 500, path
        assert "default-src 'none'" in (answer.getheader("Content-Security-Policy") or "")
        assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
        assert answer.getheader("Cache-Control") == "no-store"
        assert answer.getheader("X-Content-Type-Options") == "nosniff"


def test_the_page_keeps_no_log_and_no_temporary_files(member: object, at_work: Office, tmp_path: Path) -> None:
    names = {path.name for path in at_work.folder.rglob("*")}
    assert not [name for name in names if name.endswith(".log") or name.startswith((".upload", ".mended", "tmp"))]


# -- the account


def setting_up(token: str, **fields: str) -> dict[str, str]:
    given = {"address": "ana@union.example", "provider": "other", "host": "localhost", "port": "1", "name": "Ana"}
    return {"csrf": token, **given, "password": "s3cret-of-ana", **fields}


BAD = "\r\nMAILER_PROXY=socks5://evil.example:1"


@pytest.mark.parametrize("field", ["host", "port", "username", "name", "security", "password", "client_id"])
def test_no_field_of_the_account_brings_in_another_setting(
    member: tuple[Stranger, str], at_work: Office, field: str
) -> None:
    inside, token = member
    _, text = inside.post("/account/setup/try", **setting_up(token, **{field: f"x{BAD}", "auth": "password"}))
    assert not (at_work.folder / ".env").exists()
    assert "s3cret-of-ana" not in text
    answer, text = inside.post(
        "/account/settings", csrf=token, unsubscribe_mailto=f"leave@example.org{BAD}", smtp_host="x"
    )
    assert answer.status == 200
    assert "Nothing was changed" in text
    assert not (at_work.folder / ".env").exists()


def test_what_is_typed_is_shown_as_text_and_a_password_never(member: tuple[Stranger, str]) -> None:
    inside, token = member
    hostile = '"><script>alert(1)</script>'
    for path in ("/account/setup/try", "/account/setup"):
        for field in ("address", "host", "name", "username", "port", "security", "provider", "client_id"):
            _, text = inside.post(path, **setting_up(token, **{field: hostile}))
            assert "<script>alert" not in text
            assert "s3cret-of-ana" not in text
    _, text = inside.post("/account/seed", csrf=token, to=hostile)
    assert "<script>alert" not in text


def test_a_form_of_another_page_tries_no_login_and_opens_no_practice(
    member: tuple[Stranger, str], at_work: Office
) -> None:
    inside, token = member
    at_work.server.transcripts.clear()
    body = urlencode(setting_up(token, port=str(at_work.server.port))).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/account/setup/try", "/account/seed", "/practice"):
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            answer, _ = inside.ask("POST", path, body, **kind, **headers)
            assert answer.status in {403, 421}
    assert at_work.server.connections == 0
    assert inside.ask("GET", "/practice/enter")[0].getheader("Location") == "/practice"


def test_of_an_attempt_nobody_guesses_the_name(member: tuple[Stranger, str]) -> None:
    inside, token = member
    answer, _ = inside.post("/account/setup/try", **setting_up(token))
    assert len((answer.getheader("Location") or "").rpartition("/")[2]) >= 24
    assert inside.ask("GET", "/account/setup/x/state")[0].status == 404
    assert inside.ask("GET", "/account/setup/x")[0].getheader("Location") == "/account/setup"
    assert inside.post("/account/setup/x/keep", csrf=token, keep="yes")[0].status == 303


@pytest.mark.thorough
def test_of_two_who_keep_a_letter_at_the_same_moment_the_second_is_told(
    member: tuple[Stranger, str], at_work: Office
) -> None:
    inside, token = member
    with ThreadPoolExecutor(8) as hands:
        for turn in range(5):
            page = inside.ask("GET", "/letter?letter=appeal")[1]
            digest = page.partition('name="digest" value="')[2].partition('"')[0]
            given = {"csrf": token, "letter": "appeal", "file": "templates/appeal.md", "digest": digest}
            posts = [given | {"body": f"Turn {turn}, hand {at}\n"} for at in range(8)]
            answers = [one[0].status for one in hands.map(lambda post: inside.post("/letter/save", **post), posts)]
            assert sorted(answers) == [303] + [409] * 7
