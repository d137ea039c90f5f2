"""The account on the organiser's page: set up at a real server, checked, and practised without, in a real browser."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import keyring
import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import browser, watched_page
from line_server import imap
from oauth_server import ACCOUNT, CLIENT, SignInService
from organiser import Office, Stranger, people
from playwright.sync_api import Browser, Page, expect
from rings import NONE, Kept, filed, kept_in
from smtp_certificate import Certificate
from smtp_server import ScriptedServer

from mailer.account import SECRET_FILE, Account
from mailer.account.description import Login
from mailer.errors import MailerError, SettingsError
from mailer.model import Security
from mailer.settings import Auth, Settings, load
from mailer.web.journey.attempt import Attempt, Attempts, Stage

expect.set_options(timeout=20_000)

SECRET = "c0rrect-horse <&'\"> ü"
NAME = "Ana Berg, Union"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(users={ACCOUNT: SECRET}) as running:
        yield running


@pytest.fixture
def at_work(tmp_path: Path, server: ScriptedServer) -> Iterator[Office]:
    """A folder in which nothing is set up yet."""
    made = Office(tmp_path / "our office", server, filed(tmp_path / "ring") | {"TMPDIR": str(tmp_path)})
    (made.folder / "mailer.toml").write_text("# nothing yet\n", "utf-8")
    yield made
    made.end()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with watched_page(
        chromium, admitted="status of 4|ERR_CONNECTION_REFUSED|^Blocked script|violates the following"
    ) as made:
        yield made


def complaints(page: Page) -> list[str]:
    """What axe finds, and what is wider than the screen: on a large light one and a small dark one."""
    found = []
    for width, scheme in ((1280, "light"), (320, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        violations = Axe().run(page).response["violations"]
        found += [
            f"{page.url} {width}: {one['id']}: {[node['html'] for node in one['nodes']][:3]}" for one in violations
        ]
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        found += [f"{page.url}: {wide} pixels too wide at {width}"] * (wide > 0)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    return found


class Keys:
    """Nothing but a keyboard."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def reach(self, name: str) -> None:
        for _ in range(60):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(
                "() => { const e = document.activeElement; return (e.labels?.[0]?.innerText || e.getAttribute('aria-label') || e.innerText || '').trim() }"
            )
            if name in focused:
                assert self.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
                return
        raise AssertionError(f"no way to {name}")

    def press(self, name: str) -> None:
        self.reach(name)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def write(self, name: str, text: str) -> None:
        self.reach(name)
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(text)


def begun(page: Page, at_work: Office) -> None:
    """As far as the form for a server of one's own."""
    page.goto(at_work.open())
    page.get_by_role("link", name="Set up the account").click()
    page.get_by_label("E-mail address").fill(ACCOUNT)
    page.get_by_label("Who keeps this mailbox?").select_option("other")
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Server for outgoing mail").fill("localhost")
    page.get_by_label("Port", exact=True).fill(str(at_work.server.port))
    page.get_by_label("Your name").fill(NAME)


def tried(page: Page, secret: str = SECRET) -> None:
    page.get_by_label("Password").fill(secret)
    page.get_by_role("button", name="Try the login").click()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and ".db" not in path.name}


# -- set up


@pytest.mark.thorough
def test_an_organiser_sets_the_account_up_and_sees_that_mail_arrives_by_keyboard_alone(
    page: Page, at_work: Office, tmp_path: Path
) -> None:
    keys, seen, wrong = Keys(page), [], []
    page.on("framenavigated", lambda frame: seen.append(frame.url))
    (at_work.folder / ".env").write_text("# my own\nMAILER_SMTP_PASSWORD=old\n", "utf-8")
    page.goto(at_work.open())
    before = contents(at_work.folder)
    keys.press("Set up the account")
    wrong += complaints(page)
    keys.write("E-mail address", ACCOUNT)
    keys.reach("Who keeps this mailbox?")
    page.keyboard.press("End")
    keys.press("Go on")
    wrong += complaints(page)
    keys.write("Server for outgoing mail", "localhost")
    keys.write("Your name", NAME)
    keys.write("Password", "wrong")
    keys.write("Port", str(at_work.server.port))
    keys.press("Try the login")
    expect(page.get_by_role("alert").filter(has_text="did not take the user name or the password")).to_be_visible()
    wrong += complaints(page)
    # what was typed is kept, but for the password, and nothing was written
    assert [page.get_by_label(name).input_value() for name in ("Server for", "Your name", "Password")] == [
        "localhost", NAME, "",
    ]  # fmt: skip
    assert (contents(at_work.folder), kept_in(tmp_path / "ring")) == (before, {})
    assert page.evaluate("document.activeElement.id") == "password"
    page.keyboard.insert_text(SECRET)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The account is set up")).to_be_visible()
    expect(page.get_by_text("in this computer's keyring")).to_be_visible()
    wrong += complaints(page)
    assert kept_in(tmp_path / "ring") == {f"mailer {ACCOUNT}@localhost": SECRET}
    written = (at_work.folder / ".env").read_text("utf-8")
    assert written.startswith("# my own\n")
    assert "PASSWORD" not in written
    settings = load(at_work.folder, {})
    assert (settings.smtp_host, settings.smtp_port, settings.sender and settings.sender.name) == (
        "localhost", at_work.server.port, NAME,
    )  # fmt: skip

    keys.press("Postal address, a way to unsubscribe")
    keys.write("Postal address", "Union's Office\n1 Mill Lane")
    keys.write("An address that you read", "nobody")
    keys.write("an hour", "150")
    keys.press("Keep these settings")
    expect(page.locator("#wrong-unsubscribe_mailto")).to_have_text("It is not one e-mail address.")
    wrong += complaints(page)
    assert "POSTAL" not in (at_work.folder / ".env").read_text("utf-8")
    keys.write("An address that you read", "leave@union.example")
    keys.press("Keep these settings")
    expect(page.get_by_role("status")).to_contain_text("Kept.")
    settings = load(at_work.folder, {})
    assert (settings.postal_address, settings.unsubscribe_mailto) == (
        "Union's Office\n1 Mill Lane",
        "leave@union.example",
    )
    assert [str(quota) for quota in settings.rate] == ["150/hour"]

    keys.press("Back to the account")
    keys.press("Look now")
    expect(page.locator(".found")).to_contain_text("0 to mend. Nobody was mailed.", timeout=30_000)
    page.get_by_text("Fine (").click()
    expect(page.get_by_text("answers and takes the login")).to_be_visible()
    expect(page.get_by_role("link", name="Change it here")).to_have_attribute("href", "/account/setup")
    wrong += complaints(page)
    keys.press("Send one letter to me")
    expect(page.locator("#seed .found")).to_contain_text("Only you were mailed.", timeout=30_000)
    assert [message.rcpt_to for message in at_work.server.accepted] == [(ACCOUNT,)]
    assert wrong == []
    # nobody who looks over a shoulder, or into a history, finds anything
    assert not any(SECRET[:9] in url or "union" in url or "%40" in url for url in seen)
    assert SECRET[:9] not in page.content() + at_work.end()
    assert SECRET.encode() not in b"".join(contents(at_work.folder).values())


@pytest.mark.thorough
def test_what_keeps_from_signing_in_is_said_in_plain_words_while_the_page_goes_on(
    page: Page, at_work: Office, tmp_path: Path
) -> None:
    begun(page, at_work)
    page.get_by_label("Port", exact=True).fill("1")
    tried(page)
    expect(page.get_by_role("alert").filter(has_text="The mail server cannot be reached.")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="nothing answers at that port")).to_be_visible()
    made = Certificate.make(tmp_path)
    with ScriptedServer(security="starttls", context=made.server_context()) as stranger:
        page.get_by_label("Port", exact=True).fill(str(stranger.port))
        page.get_by_label("Encryption").select_option("starttls")
        tried(page)
        expect(page.get_by_role("alert").filter(has_text="the password was not sent")).to_be_visible()
        expect(page.get_by_role("alert").filter(has_text="The certificate of localhost")).to_be_visible()
        assert not any("AUTH" in line for transcript in stranger.transcripts for line in transcript)
    # a server that takes its time holds up nobody else
    slow = at_work.server.on("greeting", hold=True)
    page.get_by_label("Port", exact=True).fill(str(at_work.server.port))
    page.get_by_label("Encryption").select_option("none")
    tried(page)
    expect(page.get_by_role("heading", name="Trying the login")).to_be_visible()
    other = page.context.new_page()
    other.goto(page.url.partition("/account")[0])
    expect(other.get_by_role("heading", name="Campaigns")).to_be_visible()
    slow.release()
    expect(page.get_by_role("heading", name="The account is set up")).to_be_visible()
    assert page.url.partition("/account")[2].count("/") == 2


def test_what_a_page_shows_of_a_try_does_not_change_while_the_page_is_made(tmp_path: Path) -> None:
    account = Account(
        host="localhost", port=25, security=Security.NONE, username=ACCOUNT, login=Login(auth=Auth.PASSWORD), sender=None,
        preset=None,
    )  # fmt: skip
    let_through, begun = threading.Event(), threading.Event()

    def settings() -> Settings:
        begun.set()
        let_through.wait(10)
        raise SettingsError("changed meanwhile")

    with ScriptedServer(users={ACCOUNT: SECRET}) as server:
        attempts = Attempts(tmp_path, settings, lambda error: MailerError(str(error)))
        there = Attempt(account=replace(account, port=server.port), given={})
        before = keyring.get_keyring()
        keyring.set_keyring(Kept())
        try:
            key = attempts.begin(there, load(tmp_path, {}), SECRET)
            assert begun.wait(10)
            seen = attempts.look(key)
            let_through.set()
            while there.stage is Stage.TRYING:
                pass
        finally:
            keyring.set_keyring(before)
    assert (seen and seen.stage, there.stage) == (Stage.TRYING, Stage.REFUSED)


@pytest.mark.thorough
def test_without_a_keyring_the_page_asks_before_it_keeps_the_password_in_a_file(page: Page, at_work: Office) -> None:
    at_work.settings.update(NONE)
    begun(page, at_work)
    before = contents(at_work.folder)
    for answer in ("No, change nothing", "Yes, keep it in the file"):
        tried(page)
        expect(page.get_by_role("heading", name="Where is the password to be kept?")).to_be_visible()
        expect(page.get_by_text("no keyring")).to_be_visible()
        assert complaints(page) == []
        assert contents(at_work.folder) == before
        page.get_by_role("button", name=answer).click()
        if answer.startswith("No"):
            expect(page.get_by_role("alert").filter(has_text="nothing was changed")).to_be_visible()
    expect(page.get_by_role("heading", name="The account is set up")).to_be_visible()
    file = at_work.folder / SECRET_FILE
    assert (file.read_text("utf-8"), file.stat().st_mode & 0o777) == (f"{SECRET}\n", 0o600)
    assert load(at_work.folder, {}).password == SECRET


class Patient(SignInService):
    """Nobody has signed in until somebody says so."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.signed = threading.Event()

    def error(self, form: dict[str, str]) -> str | None:
        self.signed.wait(20)
        return super().error(form)


@pytest.mark.thorough
@pytest.mark.parametrize("service_name", ["microsoft", "google"])
def test_who_has_no_password_signs_in_with_a_code_or_in_the_browser(
    page: Page, at_work: Office, tmp_path: Path, service_name: str
) -> None:
    secret = "desktop" if service_name == "google" else None
    with Patient(secret=secret) as service, ScriptedServer(users=service.tokens) as taker:
        (at_work.folder / "mailer.toml").write_text(
            f"smtp_oauth_service = '{service_name}'\nsmtp_oauth_authority = '{service.url}'\n", "utf-8"
        )
        begun(page, at_work)
        page.get_by_label("Port", exact=True).fill(str(taker.port))
        page.get_by_label("In the browser, without a password").check()
        expect(page.get_by_label("Password", exact=True)).to_be_hidden()
        page.get_by_label("Client id").fill(CLIENT)
        if secret:
            page.get_by_label("Its client secret").fill(secret)
        page.get_by_role("button", name="Try the login").click()
        if secret:
            service.signed.set()
            with page.context.expect_page() as opened:
                page.get_by_role("link", name="Open the sign-in").click()
            expect(opened.value.get_by_text("You are signed in.")).to_be_visible()
        else:
            expect(page.get_by_text("WXYZ-1234")).to_be_visible()
            expect(page.get_by_role("link", name=f"{service.url}/device")).to_be_visible()
            assert complaints(page) == []
            service.signed.set()
        expect(page.get_by_role("heading", name="The account is set up")).to_be_visible()
        assert kept_in(tmp_path / "ring") == {f"mailer {ACCOUNT}@localhost": service.refresh}
        assert service.refresh not in (at_work.folder / ".env").read_text("utf-8")


def test_what_is_wrong_in_the_settings_can_be_mended_on_the_page(page: Page, at_work: Office) -> None:
    """Also what keeps every other page from opening."""
    page.goto(at_work.open())
    (at_work.folder / ".env").write_text("MAILER_RATE=fast\nMAILER_SMTP_HOST=127.0.0.1\n", "utf-8")
    page.goto(page.url)
    expect(page.get_by_role("alert").filter(has_text="MAILER_RATE")).to_be_visible()
    page.get_by_role("link", name="Change it here").click()
    page.get_by_label("At most so many messages").fill("30/minute")
    page.get_by_role("button", name="Keep these settings").click()
    expect(page.get_by_role("status")).to_contain_text("Kept.")
    assert (at_work.folder / ".env").read_text("utf-8").startswith("MAILER_RATE=30/minute\n")
    page.get_by_role("link", name="Campaigns").click()
    expect(page.get_by_text("No mail account is set up yet.")).to_be_visible()


# -- practice


@pytest.mark.thorough
def test_a_practice_goes_to_the_built_in_mailbox_and_counts_for_nothing(
    page: Page, at_work: Office, tmp_path: Path
) -> None:
    name = at_work.write_list(people(6))
    at_work.program.json("suppress", "add", people(6)[1])
    (at_work.folder / "mailer.toml").write_text('unsubscribe_mailto = "leave@example.org"\n', "utf-8")
    page.goto(at_work.open())
    page.get_by_role("link", name="Practise first").click()
    wrong = complaints(page)
    page.goto(f"{page.url}?list={name}&letter=appeal")
    page.get_by_role("button", name="Open the practice page").click()
    expect(page.get_by_text("0 messages have arrived")).to_be_visible()
    wrong += complaints(page)
    real = page.url
    page.get_by_role("link", name="Go to the practice page").click()
    expect(page.get_by_text("All messages are checked: 5")).to_be_visible()
    assert page.url.partition("/preview")[0] != real.partition("/practice")[0]
    page.get_by_role("link", name="Next: a test to yourself").click()
    page.get_by_label("Your own address").fill("me@union.example")
    page.get_by_role("button", name="Send the test to me").click()
    expect(page.get_by_role("status").first).to_contain_text("took 1 test")
    page.get_by_role("link", name="Next: approve").click()
    page.get_by_label("Name of whoever approves").fill("Ana")
    page.get_by_label("I looked at the messages").check()
    page.get_by_role("button", name="Approve, and go on").click()
    page.get_by_label("To send, type").fill("5")
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("#state")).to_have_text("finished", timeout=30_000)
    expect(page.get_by_role("complementary")).to_contain_text("Nothing leaves this computer")
    assert page.title().startswith("Practice: ")
    wrong += complaints(page)
    # what is changed for real campaigns is out of reach here
    campaign = page.url
    for place in ("suppressed", "account", "account/settings", "practice"):
        page.goto(f"{campaign.partition('/campaign')[0]}/{place}")
        expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
    page.get_by_role("link", name="Read what arrived").click()
    expect(page.get_by_text("6 messages, newest first")).to_be_visible()
    page.get_by_label("Search by sender").fill("p3@")
    page.keyboard.press("Enter")
    message = page.frame_locator("#frame")
    expect(message.get_by_role("heading", name="Please write, Pat 3")).to_be_visible()
    expect(message.frame_locator("iframe").get_by_text("please write to them today")).to_be_visible()
    wrong += complaints(page)
    page.goto(page.url.partition("#")[0])
    page.get_by_text("Delete all messages").click()
    page.get_by_role("button", name="Delete all for good").click()
    expect(page.get_by_text("Nothing has arrived yet.")).to_be_visible()
    page.get_by_role("link", name="Back to the campaigns").click()

    page.get_by_role("link", name="Leave practice").click()
    assert page.url == real.partition("?")[0]
    [room] = tmp_path.glob("mailer-practice-*")
    assert room.stat().st_mode & 0o777 == 0o700
    page.get_by_role("button", name="End practice").click()
    expect(page.get_by_text("Nothing was sent from this folder yet.")).to_be_visible()
    assert wrong == []
    assert not room.exists()
    assert (at_work.server.connections, at_work.program.json("status")["campaigns"]) == (0, [])
    [kept] = at_work.program.json("suppress", "list")["suppressions"]
    assert people(6)[1] in kept.values()
    assert list(at_work.folder.rglob("*.eml")) == []


@pytest.mark.thorough
def test_a_practice_ends_with_the_page_also_while_it_sends(page: Page, at_work: Office, tmp_path: Path) -> None:
    at_work.write_list(people(3))
    # a user name in .env, and a password in a file, are not those of practice
    (at_work.folder / "password.txt").write_text("of the account", "utf-8")
    (at_work.folder / ".env").write_text(
        "MAILER_SMTP_USERNAME=ana@union.example\nMAILER_SMTP_PASSWORD_FILE=password.txt\n", "utf-8"
    )
    inside = Stranger(0)
    page_address = at_work.open()
    inside.port = at_work.port
    token = inside.enter(page_address)
    inside.post("/practice", csrf=token)
    answer, _ = inside.ask("GET", "/practice/enter")
    there = urlsplit(answer.getheader("Location") or "")
    practising = Stranger(there.port or 0)
    for path in ("/", "/mailbox/", "/mailbox/messages", "/preview/state"):
        assert practising.ask("GET", path)[0].status == 403
    token = practising.enter(there.geturl())
    assert practising.ask("GET", "/mailbox/messages", Host="evil.example")[0].status == 421
    assert practising.post("/mailbox/delete", csrf="wrong")[0].status == 403
    draft = {"list": "contacts/people.csv", "letter": "appeal", "csrf": token}
    where = f"?list={draft['list']}&letter=appeal"
    for _ in range(100):
        if practising.ask("GET", f"/approve{where}")[0].status == 200:
            break
    _, text = practising.ask("GET", f"/approve{where}")
    seal = text.partition('name="seal" value="')[2].partition('"')[0]
    practising.post("/approve", **draft, seal=seal, name="Ana", looked="1")
    assert practising.post("/send", **draft, number="3")[0].status == 303
    at_work.end(signal.SIGINT)
    assert list(tmp_path.glob("mailer-practice-*")) == []
    assert at_work.program.json("status")["campaigns"] == []


@pytest.mark.thorough
def test_the_mailbox_for_what_comes_back_is_tried_before_it_is_kept(
    page: Page, at_work: Office, tmp_path: Path
) -> None:
    page.goto(at_work.open())
    page.get_by_role("link", name="Account", exact=True).click()
    page.get_by_role("link", name="Mailbox for what comes back").click()
    before = contents(at_work.folder)
    page.get_by_label("Server for incoming mail").fill("localhost")
    page.get_by_label("User name").fill(ACCOUNT)
    page.get_by_role("textbox", name="Password").fill(SECRET)
    page.get_by_text("Port and encryption").click()
    page.get_by_label("Port", exact=True).fill("1")
    page.get_by_label("Encryption").select_option("none")
    page.get_by_role("button", name="Try the mailbox").click()
    expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
    assert complaints(page) == []
    assert (contents(at_work.folder), kept_in(tmp_path / "ring")) == (before, {})
    with imap(b"") as (port, heard):
        page.get_by_label("Port", exact=True).fill(str(port))
        page.get_by_role("textbox", name="Password").fill(SECRET)
        page.get_by_role("button", name="Try the mailbox").click()
        expect(page.get_by_role("status")).to_contain_text("The mailbox can be read")
        assert any("LOGIN" in line or "AUTHENTICATE" in line for line in heard)
    assert kept_in(tmp_path / "ring") == {f"mailer {ACCOUNT}@localhost": SECRET}
    settings = load(at_work.folder, {})
    assert (settings.imap_host, settings.imap_port, settings.imap_username) == ("localhost", port, ACCOUNT)
    assert SECRET[:9] not in page.content()


@pytest.mark.thorough
def test_beside_an_encrypted_ledger_there_is_no_practice(at_work: Office, tmp_path: Path) -> None:
    at_work.settings["MAILER_PASSPHRASE"] = "several words that only we know"
    at_work.program.json("encrypt", "--passphrase")
    page_address = at_work.open()
    inside = Stranger(at_work.port)
    token = inside.enter(page_address)
    assert "is encrypted" in inside.ask("GET", "/practice")[1]
    answer, text = inside.post("/practice", csrf=token)
    assert (answer.status, "is encrypted" in text) == (422, True)
    assert list(tmp_path.glob("mailer-practice-*")) == []
