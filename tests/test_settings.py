"""Settings: three sources, secrets that stay secret, and problems that say where and how to mend them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.errors import SettingsError
from mailer.loopback import is_loopback
from mailer.model import Mailbox, Problem, Quota, Server
from mailer.settings import Auth, Security, Settings, duration, load, passwords

SECRET = "c0rrect-horse"
DEFAULT = (Quota(seconds=60, count=20), Quota(seconds=3600, count=500), Quota(seconds=86400, count=2000))


def env(**values: str) -> dict[str, str]:
    return {f"MAILER_{name.upper()}": value for name, value in values.items()}


def problems(folder: Path, *, overrides: dict[str, str | None] | None = None, **values: str) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        load(folder, env(**values), overrides)
    assert caught.value.exit_code == 2
    return caught.value.problems


def problem(folder: Path, **values: str) -> str:
    (only,) = problems(folder, **values)
    return only.message


def toml(folder: Path, text: str) -> None:
    (folder / "mailer.toml").write_text(text, encoding="utf-8", newline="")


def dotenv(folder: Path, text: str) -> None:
    (folder / ".env").write_text(text, encoding="utf-8", newline="")


def test_an_empty_folder_has_safe_defaults(tmp_path: Path) -> None:
    found = load(tmp_path, {})
    assert (found.smtp_security, found.smtp_port, found.smtp_timeout) == (Security.STARTTLS, 587, 300.0)
    assert (found.smtp_auth, found.batch_size, found.batch_pause, found.connections) == (Auth.PASSWORD, 50, 0.0, 1)
    assert (found.rate, found.rate_is_default, found.domain_rate) == (DEFAULT, True, {})
    assert found.ledger_place == tmp_path / "mailer.db"
    assert found.warnings == ()


def test_the_command_line_goes_before_environment_before_dotenv_before_toml(tmp_path: Path) -> None:
    toml(tmp_path, "smtp_host = 'toml.example'\nbatch_size = 1\nconnections = 1\nsmtp_port = 1")
    dotenv(tmp_path, "MAILER_BATCH_SIZE=2\nMAILER_CONNECTIONS=2\nMAILER_SMTP_PORT=2\n")
    found = load(tmp_path, env(connections="3", smtp_port="3"), {"smtp_port": "4", "rate": None})
    assert (found.smtp_host, found.batch_size, found.connections, found.smtp_port) == ("toml.example", 2, 3, 4)


def test_the_real_environment_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILER_BATCH_SIZE", "7")
    assert load(tmp_path).batch_size == 7


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    toml(tmp_path, "rate = '5/minute'\nreply_to = ''")
    found = load(tmp_path, env(rate="  "))
    assert found.rate == (Quota(seconds=60, count=5),)
    assert found.reply_to is None


def test_every_setting_of_the_design_can_be_written(tmp_path: Path) -> None:
    written = {name: str((field.examples or [""])[0]) for name, field in Settings.model_fields.items()}
    found = load(tmp_path, env(**written))
    assert found.sender == Mailbox(name="Ana Berg", address="ana@example.org")
    assert found.domain_rate == {"gmail.com": (Quota(seconds=3600, count=100),), "*": (Quota(seconds=60, count=5),)}
    assert found.reply_to == Mailbox(address="office@example.org")
    names = (
        "SMTP_HOST SMTP_PORT SMTP_SECURITY SMTP_USERNAME SMTP_PASSWORD SMTP_AUTH SMTP_TIMEOUT SENDER REPLY_TO "
        "BOUNCE_ADDRESS LIST_ID POSTAL_ADDRESS UNSUBSCRIBE_URL UNSUBSCRIBE_MAILTO LEDGER RATE DOMAIN_RATE BATCH_SIZE "
        "BATCH_PAUSE CONNECTIONS PROXY DKIM_SELECTOR DKIM_KEY_FILE DKIM_DOMAIN"
    )
    assert {name.lower() for name in names.split()} <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("values", "security", "port"),
    [
        ({"smtp_host": "smtp.example.org"}, Security.STARTTLS, 587),
        ({"smtp_host": "smtp.example.org", "smtp_port": "465"}, Security.TLS, 465),
        ({"smtp_host": "smtp.example.org", "smtp_security": "TLS"}, Security.TLS, 465),
        ({"smtp_host": "smtp.example.org", "smtp_security": "starttls", "smtp_port": "465"}, Security.STARTTLS, 465),
        ({"smtp_host": "localhost"}, Security.NONE, 25),
        ({"smtp_host": "127.0.0.9", "smtp_port": "2525"}, Security.NONE, 2525),
        ({"smtp_host": "[::1]", "smtp_security": "starttls"}, Security.STARTTLS, 587),
    ],
)
def test_security_and_port_follow_from_each_other_and_the_host(
    tmp_path: Path, values: dict[str, str], security: Security, port: int
) -> None:
    found = load(tmp_path, env(**values))
    assert (found.smtp_security, found.smtp_port) == (security, port)


def test_an_unencrypted_connection_is_only_for_this_computer(tmp_path: Path) -> None:
    for host in ("smtp.example.org", "192.0.2.1", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0", "::"):
        assert "only for a server on this computer" in problem(tmp_path, smtp_host=host, smtp_security="none")
        assert not is_loopback(host)
    assert "only for" in problem(tmp_path, imap_host="imap.example.org", imap_security="none")
    values = {"smtp_host": "192.0.2.1", "smtp_security": "none", "smtp_allow_unencrypted_i_understand_the_risk": "true"}
    assert load(tmp_path, env(**values)).smtp_security is Security.NONE
    values["smtp_allow_unencrypted_i_understand_the_risk"] = "false"
    assert problem(tmp_path, **values)


def test_the_rate_is_unlimited_only_on_this_computer_or_by_wish(tmp_path: Path) -> None:
    assert load(tmp_path, env(smtp_host="smtp.example.org")).rate == DEFAULT
    local = load(tmp_path, env(smtp_host="127.0.0.1"))
    assert (local.rate, local.rate_is_default) == ((), True)
    chosen = load(tmp_path, env(smtp_host="smtp.example.org", rate="Unlimited"))
    assert (chosen.rate, chosen.rate_is_default) == ((), False)
    assert load(tmp_path, env(smtp_host="127.0.0.1"), {"rate": "1/2 seconds, 3/hour"}).rate == (
        Quota(seconds=2, count=1),
        Quota(seconds=3600, count=3),
    )
    toml(tmp_path, 'rate = ["20/minute", "500/hour"]')
    assert load(tmp_path, {}).rate == DEFAULT[:2]


def test_domain_rates_collect_several_quotas_for_one_domain(tmp_path: Path) -> None:
    found = load(tmp_path, env(domain_rate="Gmail.com=100/hour, exämple.org = 50/hour, gmail.com=2/s, 5/minute"))
    assert found.domain_rate == {
        "gmail.com": (Quota(seconds=3600, count=100), Quota(seconds=1, count=2)),
        "xn--exmple-cua.org": (Quota(seconds=3600, count=50),),
        "*": (Quota(seconds=60, count=5),),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ana@example.org", Mailbox(address="ana@example.org")),
        ("Ana Berg <ana@Example.ORG>", Mailbox(name="Ana Berg", address="ana@example.org")),
        ('"Berg, \\"Ana\\"" <ana@example.test>', Mailbox(name='Berg, "Ana"', address="ana@example.test")),
        ("Berg, Ana <ana@example.org>", Mailbox(name="Berg, Ana", address="ana@example.org")),
        ("عائشہ <a@exämple.org>", Mailbox(name="عائشہ", address="a@xn--exmple-cua.org")),
    ],
)
def test_a_sender_is_read(tmp_path: Path, text: str, expected: Mailbox) -> None:
    assert load(tmp_path, env(sender=text)).sender == expected


@pytest.mark.parametrize(
    "text",
    [
        "zoe",
        "Zoe <zoe>",
        "Zoe zoe@example.org",
        "a@example.org, b@example.org",
        "a@example.org b@example.org",
        "A <a@example.org>, B <b@example.org>",
        "a@example.org, B <b@example.org>",
        "A <a@example.org> B",
        "A\r\nBcc: x@example.net <a@example.org>",
        "A\x00 <a@example.org>",
        "A\u2028 <a@example.org>",
        "<>",
        "A <>",
        "a@example.org\nBcc: b@example.org",
    ],
)
def test_a_sender_that_is_not_one_address_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    message = problem(tmp_path, sender=text)
    assert message.startswith("MAILER_SENDER (from the environment): ")
    assert text not in message
    assert message.endswith("Write for example MAILER_SENDER=Ana Berg <ana@example.org>")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("2 min", 120), ("1m30s", 90), ("90", 90), ("1.5h", 5400), ("1 hour 5 minutes", 3900), ("0", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1h30", "5 5", "-3s", "1 month", "s", "8 days", "٣s", "1e3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        duration(text)


WRONG = {
    "smtp_host": ["smtp.example.org:587", "https://smtp.example.org", "smtp example", "-x", "a..b", "a\nb"],
    "smtp_port": ["0", "65536", "smtp", "-1", "٢٥", "9" * 5000],
    "smtp_security": ["ssl"],
    "smtp_auth": ["plain"],
    "smtp_timeout": ["1s", "2h", "soon"],
    "smtp_password": ["a\nb"],
    "reply_to": ["no"],
    "bounce_address": ["A <a@example.org>"],
    "list_id": ["appeals", "A <list.example.org", "list.example.org>", "a b.example"],
    "postal_address": ["1 Street\x07"],
    "unsubscribe_url": [
        "http://example.org/u",
        "example.org",
        "https://",
        "https://example.org/a b",
        "https://[x",
        "https://example.org/{id}",
    ],
    "unsubscribe_mailto": ["example.org", "a@example.org?subject=a b", "a@example.org, b@example.org"],
    "ledger": ["mailer.db", "sqlite:///", "sqlite:///:memory:", "mysql://x", "postgresql+x://u:c0rrect-horse@h/d"],
    "rate": ["20", "20/fortnight", "0/minute", ",", "a@example.net/minute"],
    "domain_rate": ["gmail.com=x", "gm ail=1/minute", "=1/minute", "gmail.com"],
    "batch_size": ["0", "1.5"],
    "batch_pause": ["a while"],
    "connections": ["51"],
    "processes": ["0", "17", "two"],
    "pipelining": ["yes", "on"],
    "bounce_brake": ["5", "10%", "0, 10%", "5, 101%", "5, 10", "5 10%", "-1, 10%", "\u0665, 10%", "5, 10%, 3"],
    "proxy": [
        "http://127.0.0.1:1",
        "socks5://127.0.0.1",
        "socks5://h:99999",
        "127.0.0.1:9050",
        "socks5://ü:x@h:1",
        "socks5://h:1/x",
    ],
    "smtp_allow_unencrypted_i_understand_the_risk": ["maybe"],
    "dkim_domain": ["a b"],
    "dkim_selector": ["mail 2026", "mail_2026", "-a", "a-", "a..b", "x" * 64, "mail2026._domainkey.example.org"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_named_with_place_and_example(tmp_path: Path, name: str, text: str) -> None:
    message = problem(tmp_path, **{name: text})
    assert message.startswith(f"MAILER_{name.upper()} (from the environment): ")
    example = str((Settings.model_fields[name].examples or [""])[0])
    assert message.endswith(f"Write for example MAILER_{name.upper()}={example}")
    assert SECRET not in message
    assert "example.net" not in message


def test_all_problems_are_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    toml(tmp_path, '# my settings\n\nrate = "20/fortnight"\nsmtp_hots = "x"\nsmtp_host = "smtp.example.org"\n')
    dotenv(tmp_path, "MAILER_SMTP_PORT=abc\n\nexport MAILER_BATCH_SIZE=none\nnonsense\n")
    found = problems(tmp_path, smtp_security="none", overrides={"batch_pause": "x"})
    places = {(p.message.split(" ")[0], Path(p.file).name if p.file else None, p.row) for p in found}
    assert places == {
        ("rate", "mailer.toml", 3),
        ("smtp_hots", "mailer.toml", 4),
        ("MAILER_SMTP_PORT", ".env", 1),
        ("MAILER_BATCH_SIZE", ".env", 3),
        ("line", ".env", 4),
        ("MAILER_SMTP_SECURITY", None, None),
        ("--batch-pause", None, None),
    }
    assert 'rate = "20/minute, 500/hour"' in next(p.message for p in found if p.message.startswith("rate"))


def test_a_mistyped_name_gets_a_suggestion(tmp_path: Path) -> None:
    assert "did you mean MAILER_RATE?" in problem(tmp_path, ratee="1/minute")
    dotenv(tmp_path, "MAILER_SENDR=x\n")
    assert "did you mean MAILER_SENDER?" in problem(tmp_path)
    dotenv(tmp_path, "")
    for wrong in ("SMTP_HOST", "MAILER_SMTP_HOST", "smtp-host"):
        toml(tmp_path, f"{wrong} = 'x'")
        assert "did you mean smtp_host?" in problem(tmp_path)
    toml(tmp_path, "[smtp]\nhost = 'x'")
    assert "[brackets]" in problem(tmp_path)


def test_strange_variables_in_the_environment_are_only_warned_about_and_those_of_tests_ignored(tmp_path: Path) -> None:
    found = load(tmp_path, env(crash_at="after-intent", test_port="1", zzz="1"))
    assert [p.message for p in found.warnings] == ["MAILER_ZZZ (from the environment): there is no such setting"]


def test_a_name_without_its_prefix_in_dotenv_is_pointed_out(tmp_path: Path) -> None:
    dotenv(tmp_path, "SMTP_HOST=smtp.example.org\nOTHER_PROGRAM=1\n")
    (warning,) = load(tmp_path, {}).warnings
    assert "MAILER_SMTP_HOST" in warning.message


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ('smtp_host = "x"\nrate = 20/minute\n', 2, "with the value in quotes"),
        ("smtp_host", 1, "cannot be read"),
        ('ledger = "x"\nledger = "y"\n', 2, "second time"),
        ("x = [" * 5000, 1, "cannot be read"),
        ("batch_size = " + "9" * 5000, 1, "cannot be read"),
    ],
)
def test_a_broken_toml_file_is_told_with_its_line(tmp_path: Path, text: str, row: int, words: str) -> None:
    toml(tmp_path, text)
    (only,) = problems(tmp_path)
    assert (Path(str(only.file)).name, only.row) == ("mailer.toml", row)
    assert words in only.message


def test_a_windows_path_in_toml_gets_its_own_hint(tmp_path: Path) -> None:
    toml(tmp_path, 'dkim_key_file = "C:\\Users\\ana\\dkim.pem"')
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {})
    assert "forward slashes" in str(caught.value.hint)


def test_settings_files_of_windows_editors_are_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("MAILER_BATCH_SIZE=9\r\n".encode("utf-16"))
    (tmp_path / "mailer.toml").write_bytes(b"\xef\xbb\xbfsender = 'Jos\xc3\xa9 <j@example.org>'\r\nconnections = 2\r\n")
    found = load(tmp_path, {})
    assert (found.batch_size, found.connections, found.sender) == (9, 2, Mailbox(name="José", address="j@example.org"))
    (tmp_path / "mailer.toml").write_bytes(b"connections = 2\nsender = 'Jos\xe9 <j@example.org>'\n")
    (only,) = problems(tmp_path)
    assert (only.row, "UTF-8" in only.message) == (2, True)


def test_a_settings_file_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "mailer.toml").mkdir()
    assert "cannot be read" in problem(tmp_path)


def test_a_dollar_sign_in_a_password_stays(tmp_path: Path) -> None:
    dotenv(tmp_path, "MAILER_SMTP_PASSWORD='a$HOME${x} #b'\n")
    assert load(tmp_path, {}).password == "a$HOME${x} #b"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"MAILER_SMTP_PASSWORD={SECRET} #7", "cut-value"),
        (f"MAILER_SMTP_PASSWORD={SECRET}  # of the office", "cut-value"),
        (f"MAILER_SMTP_PASSWORD=“{SECRET}”", "curly-quotes"),
        (f"MAILER_IMAP_PASSWORD=‘{SECRET}’", "curly-quotes"),
    ],
)
def test_a_password_that_is_read_otherwise_than_it_looks_is_refused(tmp_path: Path, line: str, code: str) -> None:
    dotenv(tmp_path, f"# the account\n{line}\n")
    (found,) = problems(tmp_path)
    assert (found.code, found.row) == (code, 2)
    assert "quotes '...'" in found.message
    assert SECRET not in found.message


@pytest.mark.parametrize(
    "value", [f"'{SECRET} #7'", f'"{SECRET} #7"  # a note', f"{SECRET}#7", f"#{SECRET}", f"“{SECRET}", f"  {SECRET}  "]
)
def test_a_password_that_is_read_as_it_looks_is_no_problem(tmp_path: Path, value: str) -> None:
    dotenv(tmp_path, f"export MAILER_SMTP_PASSWORD={value}\r\nMAILER_BATCH_SIZE=3\r\n")
    found = load(tmp_path, {})
    assert (found.warnings, found.batch_size) == ((), 3)
    assert found.password == value.partition("  # a note")[0].strip().strip("'\"")


def test_a_note_after_another_setting_is_a_warning(tmp_path: Path) -> None:
    dotenv(tmp_path, "MAILER_SMTP_PORT=587 # usual\nMAILER_REPLY_TO=“office@example.org”\n")
    with pytest.raises(SettingsError):  # curly quotes are no address
        load(tmp_path, {})
    dotenv(tmp_path, "MAILER_SMTP_PORT=587 # usual\nMAILER_POSTAL_ADDRESS=“1 Street”\n")
    assert [w.code for w in load(tmp_path, {}).warnings] == ["cut-value", "curly-quotes"]


def test_a_password_that_stands_where_nobody_reads_it_is_pointed_to(tmp_path: Path) -> None:
    (tmp_path / ".env.txt").write_text(f"MAILER_SMTP_PASSWORD={SECRET}", encoding="utf-8")
    account = env(sender="a@branch.example", smtp_host="smtp.branch.example", smtp_username="ana")
    (warning,) = load(tmp_path, account).warnings
    assert "rename it to .env" in warning.message
    with pytest.raises(SettingsError, match="no password") as caught:
        load(tmp_path, account).require_sending()
    assert caught.value.problems == (warning,)
    dotenv(tmp_path, f"SMTP_PASSWORD={SECRET}\n")
    with pytest.raises(SettingsError, match="no password") as caught:
        load(tmp_path, account).require_sending()
    (overlooked,) = caught.value.problems
    assert "did you mean MAILER_SMTP_PASSWORD?" in overlooked.message


def test_a_password_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(f" {SECRET} \r\n".encode())
    assert load(tmp_path, env(smtp_password_file="secret")).password == f" {SECRET} "
    toml(tmp_path, "smtp_password_file = 'secret'")
    assert load(tmp_path, env(smtp_password="other")).password == "other"
    assert "not both" in problem(tmp_path, smtp_password="x", smtp_password_file="secret")
    toml(tmp_path, "")
    assert "cannot be read" in problem(tmp_path, imap_password_file="missing")
    (tmp_path / "empty").touch()
    assert "empty" in problem(tmp_path, imap_password_file="empty")


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    values = {"smtp_password": SECRET, "imap_password": SECRET, "proxy": f"socks5://u:{SECRET}@127.0.0.1:9"}
    found = load(tmp_path, env(**values))
    assert found.password == SECRET
    assert SECRET not in f"{found!r} {found} {found._entries}"
    dotenv(tmp_path, f"MAILER_SMTP_PASSWORD '{SECRET}\n")
    toml(tmp_path, f"smtp_password = {SECRET}\n")
    with pytest.raises(SettingsError) as caught:
        load(
            tmp_path,
            env(smtp_password=f"{SECRET}\n2", ledger=f"postgresql+x://u:{SECRET}@h/d", proxy=f"x://{SECRET}@h"),
        )
    assert len(caught.value.problems) == 5
    assert SECRET not in repr(caught.value.problems) + repr(caught.value) + str(caught.value.__cause__)


def test_a_password_in_the_shared_file_is_warned_about(tmp_path: Path) -> None:
    toml(tmp_path, "smtp_password = 'x'")
    (warning,) = load(tmp_path, {}).warnings
    assert ".env" in warning.message


KEYRING = """
import time
from keyring.backend import KeyringBackend
class Kept(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return {("mailer", "ana@smtp.example.org"): "from the keyring"}.get((service, username))
    def set_password(self, *a): raise NotImplementedError
class Broken(Kept):
    def get_password(self, service, username): raise OSError("no bus")
class Hanging(Kept):
    def get_password(self, service, username): time.sleep(3600)
"""

ASK = "from mailer.settings import load; print(load().password)"


@pytest.mark.parametrize(
    ("backend", "expected"),
    [("rings.Kept", "from the keyring"), ("rings.Broken", "None"), ("rings.Missing", "None")],
)
def test_the_password_is_looked_up_in_the_keyring_and_its_failure_means_none(
    campaign_folder: Path, monkeypatch: pytest.MonkeyPatch, backend: str, expected: str
) -> None:
    (campaign_folder / "rings.py").write_text(KEYRING, encoding="utf-8")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    monkeypatch.setenv("PYTHONPATH", str(campaign_folder))
    toml(campaign_folder, "smtp_host = 'smtp.example.org'\nsmtp_username = 'ana'")
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_a_keyring_that_never_answers_does_not_hang(campaign_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (campaign_folder / "rings.py").write_text(KEYRING, encoding="utf-8")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "rings.Hanging")
    monkeypatch.setenv("PYTHONPATH", str(campaign_folder))
    ask = "from mailer.settings import passwords; print(passwords.find('ana', 'smtp.example.org', patience=0.2))"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("None", "")
    assert time.monotonic() - began < 30


def test_the_keyring_is_not_even_imported_when_nobody_asks(tmp_path: Path) -> None:
    ask = "import sys; from mailer.settings import load; load().rate; print('keyring' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.strip() == "False"


def test_what_sending_needs_is_asked_for_only_by_sending(tmp_path: Path) -> None:
    found = load(tmp_path, {})
    with pytest.raises(SettingsError) as caught:
        found.require_sending()
    assert ["MAILER_SENDER" in p.message or "MAILER_SMTP_HOST" in p.message for p in caught.value.problems] == [
        True
    ] * 2
    with pytest.raises(SettingsError):
        found.identity()
    ready = env(sender="a@example.org", smtp_host="smtp.branch.example")
    load(tmp_path, ready).require_sending()
    with pytest.raises(SettingsError, match="no password"):
        load(tmp_path, ready | env(smtp_username="ana")).require_sending()
    load(tmp_path, ready | env(smtp_username="ana", smtp_password="x")).require_sending()


def test_the_ledger_lies_in_the_folder_or_where_an_absolute_path_says(tmp_path: Path) -> None:
    assert load(tmp_path, env(ledger="sqlite:///data/my ledger.db")).ledger_place == tmp_path / "data" / "my ledger.db"
    elsewhere = tmp_path / "x.db"
    assert load(tmp_path / "y", env(ledger=f"sqlite:///{elsewhere}")).ledger_place == elsewhere


def test_the_address_of_a_ledger_on_postgresql_is_kept_and_never_shown(tmp_path: Path) -> None:
    address = f"postgresql://ana:{SECRET}@db.example.org/mailer"
    found = load(tmp_path, env(ledger=address))
    assert found.ledger_place == Server(address=address)
    for shown in (repr(found), str(found), repr(found.ledger_place), f"{found.ledger_place}"):
        assert SECRET not in shown
    assert "must begin with postgresql://" in problem(tmp_path, ledger="postgresql+asyncpg://db.example.org/mailer")


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path, {}).batch_size = 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(Settings.model_fields)),
    value=st.text(max_size=40),
    toml_bytes=st.one_of(st.binary(max_size=40), st.text(max_size=60).map(str.encode)),
    dotenv_bytes=st.one_of(
        st.binary(max_size=40), st.text(alphabet="MAILER_=\"'\\\n#ab é", max_size=60).map(str.encode)
    ),
)
def test_whatever_is_written_settings_load_or_are_refused(
    tmp_path: Path, name: str, value: str, toml_bytes: bytes, dotenv_bytes: bytes
) -> None:
    (tmp_path / "mailer.toml").write_bytes(toml_bytes)
    (tmp_path / ".env").write_bytes(dotenv_bytes)
    for override in ({name: value}, {}):
        with contextlib.suppress(SettingsError):
            load(tmp_path, {}, override).identity()


@pytest.mark.parametrize(
    ("text", "brake"),
    [("5, 10%", (5, 10.0)), (" 20,2.5 % ", (20, 2.5)), ("1,0%", (1, 0.0)), ("off", None), ("OFF", None)],
)
def test_the_bounce_brake_is_a_number_and_a_share_or_off(tmp_path: Path, text: str, brake: object) -> None:
    assert load(tmp_path, {}).bounce_brake == (5, 10.0)
    assert load(tmp_path, env(bounce_brake=text)).bounce_brake == brake


def test_the_complaint_brake_is_a_number_of_people_and_a_share_or_off(tmp_path: Path) -> None:
    assert load(tmp_path, {}).complaint_brake == (3, 0.3)
    assert load(tmp_path, env(complaint_brake="off")).complaint_brake is None


def test_what_is_missing_for_reading_the_mailbox_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {}).require_reading()
    names = " ".join(problem.message for problem in caught.value.problems)
    assert "MAILER_IMAP_HOST" in names
    assert "MAILER_IMAP_USERNAME" in names


def test_the_keyring_waits_long_enough_to_unlock_it() -> None:
    assert passwords.PATIENCE >= 30


def test_that_there_is_no_proxy_can_be_said_against_a_file(tmp_path: Path) -> None:
    (tmp_path / "mailer.toml").write_text('proxy = "socks5://127.0.0.1:9"\nsmtp_host = "127.0.0.1"\n', encoding="utf-8")
    found = load(tmp_path, env())
    assert found.proxy
    assert [one.code for one in found.warnings] == ["beside-proxy"]
    found = load(tmp_path, env(proxy=" None"))
    assert found.proxy is None
    assert found.warnings == ()
