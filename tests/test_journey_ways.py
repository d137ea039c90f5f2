"""What errors say in words for a terminal leads, on the page, to the place that does the same."""

from __future__ import annotations

from datetime import date

import pytest

from mailer.campaign import seed
from mailer.model import Outcome, Phase, Problem, Quota, Reply, Scope, Verdict
from mailer.preflight import Account, Check, account, presets
from mailer.settings import Settings
from mailer.web.journey import looks, words
from mailer.web.journey.sending import least_seconds
from mailer.web.journey.ways import MENDED_AT, in_words, mended_at, pace, parts, ways_in, without_links


@pytest.mark.parametrize(
    ("said", "shown", "leads"),
    [
        ("be asked for it: mailer setup", "be asked for it: Set up the account", ["/account/setup"]),
        ("For this: mailer setup --auth xoauth2", "For this: Set up the account", ["/account/setup"]),
        ("to see: mailer doctor", "to see: Will mail arrive?", ["/account#look"]),
        ("mailer resolve spring--people", "Decide what is in doubt", ["/campaign/spring--people/uncertain"]),
        ('mailer report "My list"', "Report", ["/campaign/My%20list/report"]),
        ("mailer status 'a&b/c'", "To the campaign", ["/campaign/a%26b%252Fc"]),
        ("mend it, and run the same command again", "mend it, and try again", []),
        ("nothing to do with us", "nothing to do with us", []),
        ("<b>mailer</b>", "<b>mailer</b>", []),
    ],
)
def test_a_command_becomes_a_link(said: str, shown: str, leads: list[str]) -> None:
    words.speak("en")
    found = list(parts(said))
    assert "".join(text for text, _url in found) == shown
    assert [url for _text, url in found if url] == leads
    assert [url for _text, url in ways_in([said, said])] == leads


def test_two_settings_to_change_are_told_apart() -> None:
    words.speak("en")
    said = ["Set unsubscribe_mailto in mailer.toml.", 'Write postal_address = "1 Mill Lane" into it.', "Set reply_to."]
    assert [title for title, _url in ways_in(said)] == [
        "Change it here: To unsubscribe",
        "Change it here: Postal address",
        "Change it here",
    ]


def test_only_a_sentence_begins_with_a_capital() -> None:
    words.speak("en")
    assert in_words("try again later: mailer doctor") == "Try again later: Will mail arrive?"
    assert (
        without_links("contacts/people.csv, row 2: see mailer doctor")
        == "contacts/people.csv, row 2: see Will mail arrive?"
    )


def test_an_example_is_in_the_reader_s_language() -> None:
    words.speak("de")
    found = Problem(code="blank-field", message="is blank", column="name")
    assert "{{ name or 'etwas anderes' }}" in (looks._hint(found) or "")


def test_in_practice_nothing_leads_to_the_account() -> None:
    assert [url for _text, url in parts("mailer setup, mailer doctor", practising=True) if url] == []


def checks() -> list[Check]:
    """What can be wrong with an account and its settings."""
    gmail = presets.for_host("smtp.gmail.com")
    assert gmail
    wild = Account(host="smtp.gmail.com", port=587, sender_domains=("gmx.de",), rate=(Quota(count=9999, seconds=60),))
    silent = Account(host="smtp.example.org", port=25, sender_domains=(), rate_is_chosen=False)
    refused = Outcome(
        verdict=Verdict.REQUEUED, scope=Scope.AUTH, phase=Phase.AUTH, text="535 no", reply=Reply(code=535, text="no")
    )
    found = [*account.settings(wild, date(2027, 1, 1)), *account.settings(silent, date(2027, 1, 1))]
    return [*found, *account.relay(wild, refused, now=0.0), seed.unread(), seed.lost(1.0)]


def test_whatever_is_wrong_with_the_account_is_mended_on_the_page() -> None:
    """By its code, by the setting that it names, or by the command in it."""
    wrong = [check for check in checks() if check.fix]
    assert len(wrong) >= 6
    for check in wrong:
        text = f"{check.message} {check.fix}"
        assert mended_at(check.code, text) or ways_in([text]), text


def test_settings_that_are_missing_lead_to_their_place() -> None:
    assert mended_at("", "MAILER_SENDER is not set; in mailer.toml write for example ...") == "/account/setup"
    assert mended_at("", "rate (from mailer.toml): it is not a rate") == "/account/settings#rate"
    assert mended_at("", "imap_host = x") == "/account/inbox"
    assert mended_at("", "The sender's rate of success") == ""
    fields = {place.partition("#")[2] for place in MENDED_AT.values()} - {""}
    assert fields <= set(Settings.model_fields)


def test_a_pace_is_said_in_words() -> None:
    words.speak("en")
    assert [pace(quota) for quota in Quota.parse_all("20/minute, 1500/hour, 9/day, 3/10 seconds")] == [
        "20 a minute", "1,500 an hour", "9 a day", "3/10 seconds",
    ]  # fmt: skip


def test_a_limit_that_is_not_reached_holds_nobody_up() -> None:
    careful = (Quota(count=20, seconds=60), Quota(count=500, seconds=3600), Quota(count=2000, seconds=86400))
    assert least_seconds(291, careful) == 14 * 60
    assert least_seconds(2001, careful) == 86400
    assert least_seconds(1, careful) == least_seconds(291, ()) == 0


def test_where_no_link_can_stand_a_hint_is_a_sentence_of_the_page_all_the_same() -> None:
    words.speak("en")
    assert in_words("make room on the disk, then run the same command again") == "Make room on the disk, then try again"
    assert in_words("wait until it is done, or pause it there with Ctrl-C").endswith("or pause it on its page")
    assert in_words("") == ""
