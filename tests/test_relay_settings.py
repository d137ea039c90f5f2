"""Accounts by name: sections of mailer.toml and the same names in the environment, and what they take over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dkim_judge import rsa_pem
from hypothesis import given
from hypothesis import strategies as st
from test_settings import dotenv, problems, toml

from mailer.cli.options import described_relay
from mailer.errors import SettingsError
from mailer.model import Mailbox, Quota
from mailer.settings import load, relays

MAIN = """
smtp_host = "smtp.main.example"
smtp_username = "ana"
smtp_password = "of main only"
sender = "Ana <ana@main.example>"
reply_to = "replies@main.example"
rate = "20/minute"
smtp_timeout = "30s"
unsubscribe_mailto = "leave@main.example"
"""
OFFICE = """
[relays.office]
smtp_host = "smtp.office.example"
"""


def test_without_sections_there_is_one_account_and_it_is_called_main(tmp_path: Path) -> None:
    toml(tmp_path, MAIN)
    found = load(tmp_path, {})
    assert list(found.accounts) == ["main"]
    assert found.over() is found.over("main") is found
    assert found.identity().faces == ()


def test_a_relay_takes_over_what_it_does_not_say_but_nothing_of_another_account(tmp_path: Path) -> None:
    toml(tmp_path, MAIN + OFFICE)
    office = load(tmp_path, {}).over("office")
    assert (office.smtp_host, office.smtp_username, office.password) == ("smtp.office.example", None, None)
    assert (office.sender, office.smtp_timeout) == (Mailbox(address="ana@main.example", name="Ana"), 30.0)
    assert office.rate == (Quota(seconds=60, count=20),)
    assert load(tmp_path, {}).identity().faces == (), "who speaks as the main account is no other"


def test_a_relay_has_a_sender_a_limit_and_a_password_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "office.password").write_text("s3cret\n")
    own = """smtp_username = "appeals@office.example"
smtp_password_file = "office.password"
smtp_port = 465
rate = "500/hour"
sender = "Appeals <appeals@office.example>"
bounce_address = "bounces+{token}@office.example"
connections = 3
queues = ["national", "regional"]
"""
    toml(tmp_path, MAIN + OFFICE + own)
    found = load(tmp_path, {})
    office = found.over("OFFICE")
    assert (office.password, office.smtp_security, office.connections) == ("s3cret", "tls", 3)
    assert office.rate == (Quota(seconds=3600, count=500),)
    assert office.queues == ("national", "regional")
    assert (found.queues, found.connections, found.password) == ((), 1, "of main only")
    [(name, face)] = found.identity().faces
    assert (name, face.sender.address, face.mail_from) == (
        "office",
        "appeals@office.example",
        "bounces+{token}@office.example",
    )
    assert face.own_sender
    assert face.reply_to == Mailbox(address="replies@main.example"), "what is not said is that of the main settings"
    assert face.unsubscribe_mailto == found.identity().unsubscribe_mailto


def test_without_a_main_account_the_first_section_is_the_one_that_is_used(tmp_path: Path) -> None:
    own = '[relays.zeta]\nsmtp_host = "z.example"\nsender = "z@z.example"\n'
    toml(tmp_path, own + '[relays.alpha]\nsmtp_host = "a.example"\nsender = "a@a.example"\n')
    found = load(tmp_path, {})
    assert list(found.accounts) == ["zeta", "alpha"]
    assert found.over().smtp_host == "z.example"
    identity = found.identity()
    assert (identity.sender.address, [name for name, _ in identity.faces]) == ("z@z.example", ["alpha"])
    assert identity.own_sender, "no letter changes it, as it would not over the others"


def test_relays_that_speak_alike_are_one_identity_whoever_is_first(tmp_path: Path) -> None:
    same = 'sender = "a@a.example"\n'
    relay = f'[relays.one]\nsmtp_host = "1.example"\n{same}[relays.two]\nsmtp_host = "2.example"\n{same}'
    toml(tmp_path, f'sender = "top@main.example"\n{relay}[relays.three]\nsmtp_host = "3.example"\n')
    identity = load(tmp_path, {}).identity()
    assert (identity.sender.address, identity.own_sender) == ("a@a.example", True)
    assert [(name, face.sender.address, face.own_sender) for name, face in identity.faces] == [
        ("three", "top@main.example", False)
    ]


def test_an_example_that_was_left_above_the_sections_is_said_once(tmp_path: Path) -> None:
    toml(tmp_path, f'sender = "Ana <ana@example.org>"\n{OFFICE}[relays.two]\nsmtp_host = "two.example"\n')
    assert [one.code for one in load(tmp_path, {}).warnings] == ["placeholder"]


def test_the_environment_goes_before_dotenv_before_the_section_and_the_command_line_before_all(tmp_path: Path) -> None:
    toml(tmp_path, MAIN + '[relays.north-west]\nsmtp_host = "toml.example"\nrate = "1/hour"\nconnections = 2\n')
    dotenv(tmp_path, "MAILER_RELAYS__NORTH_WEST__SMTP_HOST=dotenv.example\nMAILER_RELAYS__NORTH_WEST__SMTP_PORT=26\n")
    environ = {"MAILER_RELAYS__NORTH_WEST__SMTP_PORT": "27", "MAILER_CONNECTIONS": "9"}
    relay = load(tmp_path, environ, {"rate": "7/hour"}).over("north_west")
    assert (relay.relay, relay.smtp_host, relay.smtp_port) == ("north-west", "dotenv.example", 27)
    assert relay.connections == 2, "a section is about this relay, and the environment's name about all"
    assert relay.rate == (Quota(seconds=3600, count=7),)


def test_an_account_that_only_the_environment_names_is_one(tmp_path: Path) -> None:
    found = load(tmp_path, {"MAILER_RELAYS__OFFICE__SMTP_HOST": "h.example", "MAILER_SENDER": "a@b.example"})
    assert list(found.accounts) == ["office"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("smtp_hots = 'h.example'", "relays.office.smtp_hots (from mailer.toml): there is no such setting; did you mean smtp_host?"),
        ("smtp_port = 'x'", "relays.office.smtp_port (from mailer.toml): it must be a whole number from 1 to 65535. Write for example smtp_port = 587 below [relays.office]"),
        ("smtp_security = 'none'", "relays.office.smtp_security (from mailer.toml): without encryption everyone"),
        ("postal_address = 'x'", "it is not a setting of one relay; move it above all [sections] of mailer.toml"),
        ("rate = {a = 1}", "relays.office.rate (from mailer.toml): it must be one value"),
        ("smtp_password_file = 'nothing.txt'", "relays.office.smtp_password_file (from mailer.toml): the file cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_relay_is_named_with_its_line_and_an_example(
    tmp_path: Path, section: str, words: str
) -> None:
    toml(tmp_path, f"{MAIN}{OFFICE}{section}\n")
    [problem] = problems(tmp_path)
    assert words in problem.message
    assert problem.row == (MAIN + OFFICE).count("\n") + 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[relays.main]\nsmtp_host = 'h.example'", "main is the account above all sections"),
        ("[relays.'my office']\nsmtp_host = 'h.example'", "must be letters and digits"),
        ("relays = 'office'", "it must be sections, such as [relays.office]"),
        ("[relays.a]\nsmtp_host = 'h.example'\n[relays.b]\nsmtp_host = 'H.example'", "relays.b.smtp_host (from mailer.toml): it is the same account as relay a"),
        ("smtp_host = 'h.example'\n[relays.b]\nsmtp_host = 'h.example'", "the same account as that above all sections"),
    ],
)  # fmt: skip
def test_sections_that_make_no_account_are_refused(tmp_path: Path, text: str, words: str) -> None:
    toml(tmp_path, text)
    [problem] = problems(tmp_path)
    assert words in problem.message


def test_what_is_wrong_above_the_sections_is_told_once(tmp_path: Path) -> None:
    toml(tmp_path, "sender = 'nobody'\nrate = 'x'\n" + OFFICE)
    assert len(problems(tmp_path)) == 2


def test_a_password_in_a_section_is_warned_of_and_shown_nowhere(tmp_path: Path) -> None:
    toml(tmp_path, f'{MAIN}{OFFICE}smtp_password = "t0p-secret"\n')
    found = load(tmp_path, {})
    assert "relays.office.smtp_password" in found.warnings[-1].message
    assert "t0p-secret" not in f"{found!r}{found.accounts!r}{found.warnings!r}"


def test_a_section_without_a_server_is_no_hindrance_until_something_is_to_leave_over_it(tmp_path: Path) -> None:
    toml(tmp_path, MAIN + '[relays.office]\nrate = "7/hour"\n')
    found = load(tmp_path, {})
    found.require_sending()
    with pytest.raises(SettingsError) as caught:
        found.over("office").require_sending()
    written = (
        'relays.office.smtp_host is not set; in mailer.toml write for example smtp_host = "smtp.example.org" below'
    )
    assert caught.value.problems[0].message == f"{written} [relays.office]"
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("mailer setup --relay office")


def test_a_missing_password_is_told_by_the_relay_s_own_names(tmp_path: Path) -> None:
    toml(tmp_path, f'{MAIN}{OFFICE}smtp_username = "x"\n')
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {}).over("office").require_sending()
    assert "relays.office.smtp_username" in caught.value.message
    assert "MAILER_RELAYS__OFFICE__SMTP_PASSWORD in .env" in (caught.value.hint or "")


def test_a_relay_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    toml(tmp_path, MAIN + OFFICE)
    with pytest.raises(SettingsError, match=re.escape("no relay 'ofice' in the settings (there are: main, office)")):
        load(tmp_path, {}).over("ofice")


def test_an_account_is_counted_under_the_same_name_as_its_relay(tmp_path: Path) -> None:
    local = '[relays.here]\nsmtp_host = "127.0.0.1"\nsmtp_port = 2525\nsmtp_username = "Ana"\nsmtp_password = "x"\n'
    toml(tmp_path, MAIN + OFFICE + local)
    for name, account in load(tmp_path, {}).accounts.items():
        relay = described_relay(account)
        assert (relay.account, relay.name) == (account.account, name)


def test_a_relay_signs_by_its_own_key_or_by_the_main_one_where_that_vouches_for_its_sender(tmp_path: Path) -> None:
    (tmp_path / "dkim.pem").write_bytes(rsa_pem())
    (tmp_path / "office.pem").write_bytes(rsa_pem("office"))
    keys = 'dkim_domain = "main.example"\ndkim_selector = "m1"\ndkim_key_file = "dkim.pem"\n'
    own = 'dkim_domain = "office.example"\ndkim_selector = "o1"\ndkim_key_file = "office.pem"\n'
    toml(
        tmp_path,
        f'{MAIN}{keys}{OFFICE}sender = "a@office.example"\n{own}'
        '[relays.sub]\nsmtp_host = "sub.example"\nsender = "b@news.main.example"\n'
        '[relays.other]\nsmtp_host = "other.example"\nsender = "c@other.example"\n',
    )
    identity = load(tmp_path, {}).identity()
    signed = {name: [one.domain for one in face.signatures] for name, face in identity.faces}
    assert signed == {"office": ["office.example"], "sub": ["main.example"], "other": []}
    assert [one.domain for one in identity.signatures] == ["main.example"]


def test_half_a_key_of_its_own_is_refused_and_never_mixed_with_the_main_one(tmp_path: Path) -> None:
    (tmp_path / "dkim.pem").write_bytes(rsa_pem())
    keys = 'dkim_domain = "main.example"\ndkim_selector = "m1"\ndkim_key_file = "dkim.pem"\n'
    toml(tmp_path, f'{MAIN}{keys}{OFFICE}dkim_domain = "office.example"\n')
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {}).identity()
    assert "relays.office.dkim_selector is not set" in caught.value.problems[0].message


@given(st.text(alphabet="abcXYZ019-_ .", min_size=1, max_size=12))
def test_every_name_that_is_accepted_can_be_written_in_the_environment(name: str) -> None:
    if relays.NAME.fullmatch(name):
        assert re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", relays.key_of(name).upper())
        assert "__" not in relays.key_of(name)
