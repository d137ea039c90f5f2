"""Signing in without a password: against a service that speaks HTTP, and a mail server that checks the token."""

from __future__ import annotations

import asyncio
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_servers
from hypothesis import given
from hypothesis import strategies as st
from oauth_server import ACCOUNT, CLIENT, SignInService
from program import Program
from smtp_server import ScriptedServer

from mailer.errors import Paused, RelayStopped
from mailer.inbox.mailbox import Access as MailboxAccess
from mailer.inbox.mailbox import OpenMailbox
from mailer.model import Action, Outcome, Phase, Scope, Security, SignIn, Tokens
from mailer.oauth import Access, Client, browser, device, service_of
from mailer.oauth.asking import granted
from mailer.outcome import explain
from mailer.smtp import Connection, Relay, connect


@pytest.fixture
def service() -> Iterator[SignInService]:
    with SignInService() as running:
        yield running


def client(service: SignInService, name: SignIn = SignIn.MICROSOFT, secret: str | None = None) -> Client:
    return Client(service=service_of(name, service.url), id=CLIENT, secret=secret)


def access(service: SignInService, **options: object) -> Access:
    kept: list[str] = []
    return Access(client(service), service.refresh, **({"keep": kept.append} | options))


# -- the service


def test_the_usual_addresses_are_those_of_google_and_microsoft() -> None:
    google, microsoft = service_of(SignIn.GOOGLE), service_of(SignIn.MICROSOFT)
    assert google.token == "https://oauth2.googleapis.com/token"
    assert google.authorize == "https://accounts.google.com/o/oauth2/v2/auth"
    assert (google.scope, google.device) == ("https://mail.google.com/", "")
    assert microsoft.device == "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode"
    assert "offline_access" in microsoft.scope.split()


def test_a_code_is_waited_for_until_somebody_has_typed_it(service: SignInService) -> None:
    service.device_answers = ["authorization_pending", "slow_down", "authorization_pending"]
    code = device.begin(client(service))
    assert (code.page, code.code) == (f"{service.url}/device", "WXYZ-1234")
    waits: list[float] = []
    grant = device.finish(client(service), code, sleep=waits.append)
    assert waits == [0, 0, device.INTERVAL, device.INTERVAL]
    assert (grant.access, grant.refresh) == ("access-1", "refresh-1")
    assert "access-1" not in repr(grant)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("authorization_declined", "said no"),
        ("expired_token", "in time"),
        ("x\x1b[31m", "Microsoft refused it (x [31m)"),
    ],
)
def test_a_code_that_is_refused_says_why(service: SignInService, error: str, words: str) -> None:
    service.device_answers = [error]
    with pytest.raises(RelayStopped) as caught:
        device.finish(client(service), device.begin(client(service)), sleep=lambda _: None)
    assert words in caught.value.message


def test_a_code_that_nobody_types_ends(service: SignInService) -> None:
    service.device_answers = ["authorization_pending"] * 2000
    with pytest.raises(RelayStopped, match="in time"):
        device.finish(client(service), device.begin(client(service)), sleep=lambda _: None)


def test_a_browser_comes_back_to_this_computer_with_a_code_that_only_we_can_use() -> None:
    with SignInService(secret="desktop-secret") as service:
        asked = client(service, SignIn.GOOGLE, "desktop-secret")
        pages: list[str] = []

        def visit(page: str) -> None:
            pages.append(page)
            threading.Thread(target=lambda: pages.append(urllib.request.urlopen(page).read().decode())).start()

        grant = browser.sign_in(asked, ACCOUNT, visit)
        assert (grant.access, grant.refresh) == ("access-1", "refresh-1")
        _, question = service.asked[0]
        assert (question["scope"], question["code_challenge_method"]) == ("https://mail.google.com/", "S256")
        assert question["login_hint"] == ACCOUNT
        assert question["redirect_uri"].startswith("http://127.0.0.1:")


def test_another_program_that_knocks_with_a_code_of_its_own_is_sent_away(service: SignInService) -> None:
    answers: list[int] = []

    def visit(page: str) -> None:
        back = urllib.request.unquote(page.partition("redirect_uri=")[2].partition("&")[0])

        def knock() -> None:
            for query in ("?code=planted&state=guessed", "/?code=planted", "/%ff?state=%00"):
                with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(back + query):
                    pass
                answers.append(caught.value.code)
                caught.value.close()
            urllib.request.urlopen(page).close()

        threading.Thread(target=knock).start()

    assert browser.sign_in(client(service), ACCOUNT, visit).refresh == "refresh-1"
    assert answers == [400, 400, 400]


def test_who_says_no_in_the_browser_is_told_so(service: SignInService) -> None:
    service.refusal = "access_denied"

    def visit(page: str) -> None:
        def no() -> None:
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(page)
            caught.value.close()

        threading.Thread(target=no).start()

    with pytest.raises(RelayStopped, match="said no"):
        browser.sign_in(client(service), ACCOUNT, visit)


def test_nobody_waits_for_ever_for_a_browser(service: SignInService) -> None:
    with pytest.raises(RelayStopped, match="in time"):
        browser.sign_in(client(service), ACCOUNT, lambda _: None, patience=0.05)


# -- tokens


def test_a_token_is_asked_for_once_and_again_only_near_its_end(service: SignInService) -> None:
    clock = [0.0]
    tokens = access(service, clock=lambda: clock[0])
    assert [tokens.token() for _ in range(3)] == ["access-1"] * 3
    clock[0] = 3600 - 121
    assert tokens.token() == "access-1"
    clock[0] = 3600 - 120
    assert tokens.token() == "access-2"
    assert service.renewals == 2


def test_only_the_token_that_was_refused_is_replaced(service: SignInService) -> None:
    tokens = access(service)
    first = tokens.token()
    assert tokens.token(first) == "access-2"
    # another connection was refused with the first one, too, and finds the second there already
    assert tokens.token(first) == "access-2"
    assert service.renewals == 2


def test_a_new_refresh_token_is_kept_and_used_from_then_on(service: SignInService) -> None:
    kept: list[str] = []
    service.rotates = True
    tokens = access(service, keep=kept.append)
    for _ in range(3):
        tokens.token(tokens.token())
    assert kept == [f"refresh-{number}" for number in range(1, len(kept) + 1)]
    assert service.refresh == kept[-1]


@pytest.mark.parametrize(("error", "kind"), [("invalid_grant", RelayStopped), ("temporarily_unavailable", Paused)])
def test_a_sign_in_that_was_taken_back_stops_and_a_busy_service_pauses(
    service: SignInService, error: str, kind: type[Exception]
) -> None:
    service.refusal = error
    with pytest.raises(kind) as caught:
        access(service).token()
    assert "refresh-0" not in str(caught.value)


def test_a_service_that_is_away_or_broken_pauses(service: SignInService) -> None:
    service.broken = True
    with pytest.raises(Paused, match="it answers 503"):
        access(service).token()
    nobody = Client(service=service_of(SignIn.MICROSOFT, "http://127.0.0.1:1"), id=CLIENT)
    with pytest.raises(Paused, match="refused"):
        granted(nobody, {})


@given(st.one_of(st.integers(), st.text(max_size=5), st.none(), st.lists(st.integers()), st.floats()))
def test_an_answer_of_any_kind_is_a_grant_or_a_pause(value: object) -> None:
    import json

    from mailer.oauth import asking

    content = json.dumps({"access_token": value, "refresh_token": value, "expires_in": value})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "post", lambda *_: json.loads(content))
        try:
            grant = granted(Client(service=service_of(SignIn.GOOGLE), id="x"), {})
        except Paused:
            return
    assert grant.access == value
    assert isinstance(grant.seconds, float)


# -- the mail server


def relay(server: ScriptedServer, tokens: object) -> Relay:
    return Relay(
        host="127.0.0.1", port=server.port, security=Security.NONE, username=ACCOUNT, auth="xoauth2", tokens=tokens
    )


async def ends(found: Connection | Outcome) -> None:
    assert isinstance(found, Connection), found
    await found.quit()


async def test_a_login_takes_a_token(service: SignInService) -> None:
    with ScriptedServer(users=service.tokens) as server:
        await ends(await connect(relay(server, access(service).token)))
        assert service.renewals == 1


async def test_a_token_that_the_server_takes_no_more_is_replaced_once_and_the_login_goes_on(
    service: SignInService,
) -> None:
    tokens = access(service)
    with ScriptedServer(users=service.tokens, mechanisms=["XOAUTH2"]) as server:
        await ends(await connect(relay(server, tokens.token)))
        service.tokens[ACCOUNT] = "revoked"  # what the server takes is another one now
        await ends(await connect(relay(server, tokens.token)))
        assert service.renewals == 2
        # 334 with the reason, an empty line for an answer, then the refusal
        said = server.transcripts[1]
        challenge = next(number for number, line in enumerate(said) if line.startswith("S: 334"))
        assert said[challenge + 1 : challenge + 3][0] == "C: "
        assert said[challenge + 2].startswith("S: 535")


async def test_a_server_that_takes_no_token_is_asked_twice_and_no_more(service: SignInService) -> None:
    with ScriptedServer(users={ACCOUNT: "never"}) as server:
        found = await connect(relay(server, access(service).token))
        assert isinstance(found, Outcome)
        assert (found.phase, found.scope, found.action) == (Phase.AUTH, Scope.AUTH, Action.STOP)
        assert server.connections == 2


async def test_without_a_token_the_server_is_not_even_asked(service: SignInService) -> None:
    service.refusal = "invalid_grant"
    with ScriptedServer(users=service.tokens) as server:
        found = await connect(relay(server, access(service).token))
        assert isinstance(found, Outcome)
        assert (found.phase, found.action) == (Phase.AUTH, Action.STOP)
        assert "has ended" in explain(found)
        service.broken = True
        found = await connect(relay(server, access(service).token))
        assert isinstance(found, Outcome)
        assert (found.phase, found.action) == (Phase.CONNECT, Action.RECONNECT)
        assert server.connections == 0


async def test_connections_at_once_share_a_token(service: SignInService) -> None:
    tokens = access(service).token
    with ScriptedServer(users=service.tokens) as server:
        for found in await asyncio.gather(*(connect(relay(server, tokens)) for _ in range(5))):
            await ends(found)
    assert service.renewals == 1


# -- as an organiser sends

LETTER = "---\nsubject: An appeal\n---\nDear {{ name }}.\n"


@pytest.mark.parametrize("processes", [1, 2])
def test_a_campaign_takes_new_tokens_as_it_reconnects(
    campaign_folder: Path, service: SignInService, processes: int
) -> None:
    service.seconds = 60  # each has ended before it is used, by our careful clock
    service.rotates = True
    (campaign_folder / "appeal.md").write_text(LETTER, encoding="utf-8")
    rows = "".join(f"P{number},p{number}@branch.example\n" for number in range(6))
    (campaign_folder / "list.csv").write_text("name,email\n" + rows, encoding="utf-8")
    secret = campaign_folder / "token.txt"
    secret.write_text(service.refresh, encoding="utf-8")
    with ScriptedServer(users=service.tokens) as server:
        settings = {
            "MAILER_SENDER": f"Ana <{ACCOUNT}>",
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(server.port),
            "MAILER_SMTP_USERNAME": ACCOUNT,
            "MAILER_SMTP_AUTH": "xoauth2",
            "MAILER_SMTP_PASSWORD_FILE": "token.txt",
            "MAILER_SMTP_OAUTH_CLIENT_ID": CLIENT,
            "MAILER_SMTP_OAUTH_SERVICE": "microsoft",
            "MAILER_SMTP_OAUTH_AUTHORITY": service.url,
            "MAILER_BATCH_SIZE": "2",
            "MAILER_PROCESSES": str(processes),
        }
        done = Program(folder=campaign_folder, settings=settings).run("send", "appeal.md", "list.csv", "--yes")
        assert done.returncode == 0, done.stderr
        assert len(server.accepted) == 6
    assert service.renewals >= 3
    assert secret.read_text("utf-8") == f"{service.refresh}\n"
    everything = (
        done.stdout
        + done.stderr
        + "".join(path.read_bytes().decode("latin-1") for path in campaign_folder.glob("mailer.db*"))
    )
    assert "access-" not in everything
    assert "refresh-" not in everything


# -- the mailbox

BY_TOKEN = """
auth_mechanisms = plain xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {file}
}}
"""
WHOSE = """
introspection_mode = auth
introspection_url = {url}/whose
username_attribute = email
active_attribute = active
active_value = true
"""


def test_a_mailbox_is_read_with_a_token_and_with_a_new_one_when_that_is_refused(service: SignInService) -> None:
    real_servers.require("dovecot")
    with real_servers.server_folder() as folder:
        maildir, file = folder / "mail", folder / "oauth2.conf"
        maildir.mkdir()
        shutil.chown(maildir, *real_servers.nobody())
        file.write_text(WHOSE.format(url=service.url), encoding="ascii")
        with real_servers.dovecot(folder, maildir, further=BY_TOKEN.format(file=file)) as mailbox:
            tokens = access(service)
            where = mailbox_access(port=mailbox.port, tokens=tokens.token)
            with OpenMailbox(where) as box:
                assert box.newer_than(0, 0.0) == []
            service.tokens[ACCOUNT] = "revoked"
            with OpenMailbox(where) as box:
                assert box.newer_than(0, 0.0) == []
            assert service.renewals == 2
            with pytest.raises(RelayStopped), OpenMailbox(mailbox_access(port=mailbox.port, tokens=lambda _: "no")):
                pass


def mailbox_access(*, port: int, tokens: Tokens) -> MailboxAccess:
    return MailboxAccess(
        host="127.0.0.1", port=port, security=Security.NONE, username=ACCOUNT, password="", tokens=tokens
    )
