"""`mailer setup`: asks, tries the login, and only then writes; the password goes where passwords belong."""

from __future__ import annotations

import json
import os
import threading
import urllib.request
import webbrowser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oauth_server import ACCOUNT, CLIENT, SignInService
from rings import Kept, filed, kept_in
from smtp_server import ScriptedServer

from mailer.__main__ import main
from mailer.account import SECRET_FILE
from mailer.oauth import device
from mailer.preflight import presets
from mailer.settings import dotenv_file, load, sources
from mailer.settings.loading import KNOWN

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
SECRET = "c0rrect-horse"
SENDER = "Ana Berg, Union"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(users={ACCOUNT: SECRET}) as running:
        yield running


@pytest.fixture
def ring() -> Iterator[Kept]:
    before, kept = keyring.get_keyring(), Kept()
    keyring.set_keyring(kept)
    yield kept
    keyring.set_keyring(before)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -- .env

values_of_settings = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
lines = st.sampled_from(
    ["# my own", "", "MAILER_RATE=10/minute", "OTHER='x # y'", "export MAILER_BATCH_SIZE=3", "MAILER_SMTP_HOST=old",
     "  MAILER_SMTP_PORT = 25  # of old", 'MAILER_SMTP_PASSWORD="old"', "mailer_smtp_host=twice", "broken line"]
)  # fmt: skip
NAMES = ("smtp_host", "smtp_port", "smtp_password", "sender")


@given(st.lists(lines), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.dictionaries(st.sampled_from(NAMES), values_of_settings | st.none()))  # fmt: skip
def test_what_is_written_is_what_is_read_and_other_lines_stay(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], newline: str, last: bool, values: dict[str, str | None]
) -> None:
    text = newline.join(before) + (newline if last else "")
    changed = dotenv_file.changed(text, values, "Written by a test.")
    path = tmp_path_factory.mktemp("dotenv") / ".env"
    path.write_bytes(changed.encode())
    read = sources.from_dotenv(path, KNOWN).entries
    path.write_bytes(text.encode())
    had = sources.from_dotenv(path, KNOWN).entries
    for name in KNOWN:
        expected = values[name] if name in values else had[name].text if name in had else None
        assert (read[name].text if name in read else None) == (expected if (expected or "").strip() else None)
    own = [line for line in before if line and not line.strip().upper().startswith(("MAILER_SMTP", "MAILER_SENDER"))]
    kept = iter(changed.splitlines())
    assert all(line in kept for line in own)
    assert dotenv_file.changed(changed, values, "Written by a test.") == changed


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    from mailer.errors import SettingsError

    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError):
        dotenv_file.write_private(tmp_path / ".env", "x")
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


# -- without questions


def options(server: ScriptedServer, *more: str) -> list[str]:
    where = ["--address", ACCOUNT, "--host", "localhost", "--port", str(server.port)]
    return ["setup", *where, *more]


def test_options_answer_everything_and_the_password_stays_in_its_file(
    campaign_folder: Path, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (campaign_folder / ".env").write_text("# my own\nMAILER_RATE=10/minute\nMAILER_SMTP_PASSWORD=old\n", "utf-8")
    (campaign_folder / "secret.txt").write_text(f"{SECRET}\n", "utf-8")
    arguments = options(server, "--name", SENDER, "--password-file", "secret.txt")
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["login"], found["password"], found["file"]) == ("ok", "secret.txt", ".env")
    written = (campaign_folder / ".env").read_text("utf-8")
    assert written.startswith("# my own\nMAILER_RATE=10/minute\n")
    assert SECRET not in written + out + err
    assert "old" not in written
    settings = load(campaign_folder, {})
    settings.require_sending()
    assert (settings.smtp_host, settings.smtp_port, settings.password) == ("localhost", server.port, SECRET)
    assert settings.sender is not None
    assert (settings.sender.name, settings.sender.address) == (SENDER, ACCOUNT)
    assert server.accepted == []
    # once more changes nothing
    assert main(arguments) == 0
    assert (campaign_folder / ".env").read_text("utf-8") == written


def test_a_wrong_password_stops_says_what_the_provider_wants_and_changes_nothing(
    campaign_folder: Path,
    server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gmail = next(one for one in presets.all() if one.name == "gmail")
    monkeypatch.setattr(presets, "all", lambda: (replace(gmail, hosts=("localhost",)),))
    (campaign_folder / "secret.txt").write_text("wrong", "utf-8")
    before = contents(campaign_folder)
    assert main([*options(server, "--security", "none", "--password-file", "secret.txt"), "--json"]) == 4
    out, err = capsys.readouterr()
    assert "myaccount.google.com/apppasswords" in json.loads(out)["error"]
    assert "Nothing was changed." in err
    assert ACCOUNT not in out + err
    assert contents(campaign_folder) == before
    assert server.connections == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Nobody is there to answer"),
        (("--address", "ana"), 2, "--address: it is not one e-mail address"),
        (("--address", ACCOUNT), 2, "Which provider has the mail of union.example is not known"),
        (("--address", ACCOUNT, "--provider", "hotmale"), 2, "one of: gmail, workspace, microsoft365"),
        (("--address", "ana@gmail.com"), 2, "--password-file is missing"),
        (("--address", "ana@gmail.com", "--password-file", "none.txt"), 2, "cannot be read"),
        (("--address", "ana@gmail.com", "--password-file", "none.txt"), 2, "The password file none.txt"),
        (("--address", ACCOUNT, "--provider", "Google Workspace"), 2, "--password-file is missing"),
        (("--address", ACCOUNT, "--provider", "microsoft 365"), 2, "--password-file is missing"),
        (("--address", ACCOUNT, "--provider", "gmail", "--host", "smtp.example.org"), 2, "is not the server of Gmail"),
        (("--address", "ana@gmail.com", "--auth", "xoauth2"), 2, "--client-id is missing"),
        (("--address", ACCOUNT, "--host", "h.example", "--security", "none"), 2, "everyone on the way"),
        (("--address", ACCOUNT, "--host", "localhost", "--port", "1", "--password-file", "s"), 3, "No connection"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_changes(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    (campaign_folder / "s").write_text(SECRET, "utf-8")
    assert main(["setup", *arguments]) == code
    assert words in capsys.readouterr().err
    assert contents(campaign_folder) == {"s": SECRET.encode()}


def test_what_would_go_before_is_named_before_anything_is_asked(
    campaign_folder: Path,
    server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (campaign_folder / "mailer.toml").write_text("smtp_password = 'x'\n", "utf-8")
    monkeypatch.setenv("MAILER_SMTP_HOST", "smtp.union.example")
    assert main(options(server, "--password-file", "secret.txt")) == 2
    said = capsys.readouterr().err
    assert "mailer.toml:1: smtp_password (from mailer.toml): setup keeps the password elsewhere" in said
    assert "MAILER_SMTP_HOST (from the environment)" in said
    assert server.connections == 0


def test_behind_a_proxy_nobody_is_asked(campaign_folder: Path, server: ScriptedServer) -> None:
    (campaign_folder / ".env").write_text("MAILER_PROXY=socks5://127.0.0.1:9050\n", "utf-8")
    assert main(options(server, "--password-file", "secret.txt")) == 2
    assert server.connections == 0


def test_a_server_that_asks_for_no_login_is_set_up_without_one(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (campaign_folder / "secret.txt").write_text(SECRET, "utf-8")
    (campaign_folder / ".env").write_text("MAILER_SMTP_USERNAME=old\nMAILER_SMTP_PASSWORD=old\n", "utf-8")
    before = contents(campaign_folder)
    with ScriptedServer() as open_to_all:
        assert main(options(open_to_all, "--password-file", "secret.txt")) == 4
        told = capsys.readouterr().err
        assert "localhost offers no login, so it took no user name and no password. Nothing was changed." in told
        assert "--username none" in told
        assert contents(campaign_folder) == before
        assert main(options(open_to_all, "--username", "none", "--password-file", "secret.txt")) == 2
        assert "Without a user name there is no password." in capsys.readouterr().err
        assert main(options(open_to_all, "--username", "none", "--auth", "xoauth2")) == 2
        assert contents(campaign_folder) == before
        capsys.readouterr()
        assert main([*options(open_to_all, "--username", "none"), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["username"], found["login"], found["password"]) == (None, None, None)
        settings = load(campaign_folder, {})
        settings.require_sending()
        assert (settings.smtp_username, settings.smtp_host) == (None, "localhost")
        assert main(options(open_to_all, "--username", "none")) == 0
        assert "no login is used there" in capsys.readouterr().out
        assert "AUTH" not in "".join(
            line for one in open_to_all.transcripts[1:] for line in one if line.startswith("C:")
        )
        (campaign_folder / "mailer.toml").write_text('smtp_username = "ana"\n', "utf-8")
        (campaign_folder / ".env").unlink()
        assert main(options(open_to_all, "--username", "none")) == 2
        assert "A user name stands in mailer.toml" in capsys.readouterr().err


def test_the_server_of_a_known_domain_is_known() -> None:
    known = {"gmail.com": "gmail", "Hotmail.de": "outlook", "yahoo.fr": "yahoo"}
    for domain, name in known.items():
        host = presets.host_for(domain)
        assert host is not None
        found = presets.for_host(host)
        assert found is not None
        assert found.name == name
    assert presets.host_for("gmx.de") == "mail.gmx.net"
    assert presets.host_for("union.example") is None


def test_who_takes_tokens_is_known_of_every_provider_that_takes_them_from_us() -> None:
    assert {one.name: one.oauth for one in presets.all() if one.oauth} == {
        "gmail": "google", "workspace": "google", "microsoft365": "microsoft", "outlook": "microsoft",
    }  # fmt: skip


# -- with questions


def conversation(server: ScriptedServer, *passwords: str) -> list[tuple[str, str]]:
    return [
        ("Your e-mail address:", f"{ACCOUNT}\n"),
        ("Its number, or", "localhost\n"),
        ("Port [25]:", f"{server.port}\n"),
        ("Encryption", "\n"),
        ("User name", "\n"),
        ("Your name", f"{SENDER}\n"),
        *(("as you type", f"{password}\n") for password in passwords),
    ]


@POSIX
def test_an_organiser_is_asked_and_a_wrong_password_is_asked_for_again(
    campaign_folder: Path, tmp_path: Path, server: ScriptedServer
) -> None:
    from sitting import sit

    rings = tmp_path / "rings"
    assert main(["new", "."]) == 0
    (campaign_folder / ".env").write_text("# my own\nMAILER_SMTP_PASSWORD=old\n", "utf-8")
    code, shown = sit(
        campaign_folder,
        "setup",
        answers=[
            ("Your e-mail address:", "ana\n"),
            *conversation(server, "wrong", SECRET),
            ("only? yes or no", "\n"),
        ],
        settings=filed(rings),
    )
    assert code == 0, shown
    assert "Not so: it is not one e-mail address." in shown
    assert "The mail server refused the user name or password" in shown
    assert "localhost takes the login. Nobody was mailed." in shown
    assert "in this computer's keyring" in shown
    assert SECRET not in shown
    assert "wrong" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert kept_in(rings) == {f"mailer {ACCOUNT}@localhost": SECRET}
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in campaign_folder.rglob("*") if path.is_file())
    written = (campaign_folder / ".env").read_text("utf-8")
    assert written.startswith("# my own\n")
    assert "PASSWORD" not in written
    # the starter's examples no longer count
    assert load(campaign_folder, {}).placeholders() == []


@POSIX
def test_without_a_keyring_a_file_that_only_its_owner_can_read_is_offered(
    campaign_folder: Path, server: ScriptedServer
) -> None:
    from sitting import sit

    settings = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    asked = conversation(server, SECRET)
    code, shown = sit(campaign_folder, "setup", answers=[*asked, ("yes or no", "no\n")], settings=settings)
    assert (code, contents(campaign_folder)) == (2, {}), shown
    answers = [*asked, ("yes or no", "\n"), ("only? yes or no", "no\n")]
    code, shown = sit(campaign_folder, "setup", answers=answers, settings=settings)
    assert code == 0, shown
    assert "no keyring" in shown
    file = campaign_folder / SECRET_FILE
    assert (file.read_text("utf-8"), file.stat().st_mode & 0o777) == (f"{SECRET}\n", 0o600)
    assert (campaign_folder / ".env").stat().st_mode & 0o777 == 0o600
    assert load(campaign_folder, {}).password == SECRET


@POSIX
@pytest.mark.parametrize("question", range(7))
@pytest.mark.thorough
def test_ctrl_c_at_any_question_leaves_everything_as_it_was(
    campaign_folder: Path, server: ScriptedServer, question: int
) -> None:
    from sitting import CTRL_C, sit

    (campaign_folder / ".env").write_text("# my own\n", "utf-8")
    before = contents(campaign_folder)
    asked = conversation(server, SECRET)[: question + 1]
    answers = [*asked[:-1], (asked[-1][0], CTRL_C)]
    code, shown = sit(campaign_folder, "setup", answers=answers, settings={})
    assert code == 3, shown
    assert "Stopped. Nothing was changed." in shown
    assert contents(campaign_folder) == before


# -- without a password


def with_service(folder: Path, service: SignInService, name: str) -> None:
    text = f"smtp_oauth_service = '{name}'\nsmtp_oauth_authority = '{service.url}'\n"
    (folder / "mailer.toml").write_text(text, "utf-8")


def test_microsoft_is_signed_in_to_by_a_code_on_any_device(
    campaign_folder: Path, ring: Kept, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "INTERVAL", 0.0)
    with SignInService() as service, ScriptedServer(users=service.tokens) as server:
        service.device_answers = ["authorization_pending", "slow_down"]
        with_service(campaign_folder, service, "microsoft")
        assert main([*options(server, "--auth", "xoauth2", "--client-id", CLIENT), "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["password"] == "keyring"
        assert f"Open {service.url}/device in any browser, and type this code there: WXYZ-1234" in err
        assert ring.entries == {("mailer", f"{ACCOUNT}@localhost"): service.refresh}
        settings = load(campaign_folder, {})
        assert (settings.smtp_auth, settings.smtp_oauth_client_id) == ("xoauth2", CLIENT)
        assert service.refresh not in (campaign_folder / ".env").read_text("utf-8")
        # and from then on a login gets its token by itself
        service.tokens.clear()
        assert main(["doctor", "--json"]) == 0
        checks = {check["code"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
        assert checks["relay"]["level"] == "ok"


def test_google_is_signed_in_to_in_this_computers_browser(
    campaign_folder: Path, ring: Kept, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def visit(page: str) -> bool:
        threading.Thread(target=lambda: urllib.request.urlopen(page).close()).start()
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    with SignInService(secret="desktop") as service, ScriptedServer(users=service.tokens) as server:
        with_service(campaign_folder, service, "google")
        given = options(server, "--auth", "xoauth2", "--client-id", CLIENT, "--client-secret", "desktop")
        assert main(given) == 0
        assert ring.entries == {("mailer", f"{ACCOUNT}@localhost"): service.refresh}
        assert "The sign-in is kept in this computer's keyring" in capsys.readouterr().out


def test_a_sign_in_that_the_mail_server_does_not_take_changes_nothing(
    campaign_folder: Path, ring: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    with SignInService() as service, ScriptedServer(users={ACCOUNT: "never"}) as server:
        with_service(campaign_folder, service, "microsoft")
        assert main(options(server, "--auth", "xoauth2", "--client-id", CLIENT)) == 4
        assert "Nothing was changed." in capsys.readouterr().err
        assert ring.entries == {}
        assert not (campaign_folder / ".env").exists()


def test_one_more_account_is_set_up_by_its_name_and_the_main_one_stays(
    campaign_folder: Path, server: ScriptedServer, ring: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "MAILER_SMTP_HOST=smtp.main.example\nMAILER_SENDER='Ana <ana@main.example>'\n"
    (campaign_folder / ".env").write_text(first, "utf-8")
    (campaign_folder / "mailer.toml").write_text('[relays.office]\nrate = "7/hour"\n', "utf-8")
    (campaign_folder / "secret.txt").write_text(f"{SECRET}\n", "utf-8")
    arguments = options(server, "--relay", "Office", "--name", "The Office", "--password-file", "secret.txt")
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["login"] == "ok"
    written = (campaign_folder / ".env").read_text("utf-8")
    assert written.startswith(first)
    assert "MAILER_IMAP" not in written
    found = load(campaign_folder, {})
    office = found.over("office")
    office.require_sending()
    assert (office.smtp_host, office.password, str(office.rate[0])) == ("localhost", SECRET, "7/hour")
    assert office.sender == (ACCOUNT, "The Office")
    assert (found.smtp_host, found.sender.address) == ("smtp.main.example", "ana@main.example")
    assert main(arguments) == 0
    assert (campaign_folder / ".env").read_text("utf-8") == written, "once more changes nothing"
    assert ring.entries == {}


@pytest.mark.parametrize("name", ["my office", "_x", "ü"])
def test_a_name_that_no_relay_can_have_is_refused_before_anything_is_asked(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["setup", "--relay", name, "--address", ACCOUNT]) == 2
    assert "must be letters and digits" in capsys.readouterr().err
    assert contents(campaign_folder) == {}
