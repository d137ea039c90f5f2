"""What is said below in words for a terminal, as this page says it: a command becomes a link to the place that does the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mailer.account import CHOICES
from mailer.model import Quota, begins_with_value
from mailer.web.journey.addresses import campaign_url
from mailer.web.journey.words import figure, later
from mailer.web.journey.words import gettext as _

NAME = r"""("[^"]+"|'[^']+'|[^\s;,"']+)"""
PLACES = (
    (r"mailer setup --seed-test(?: --yes)?", "/account#seed", later("See how a letter arrives")),
    (r"mailer setup(?: --auth xoauth2)?", "/account/setup", later("Set up the account")),
    (r"mailer doctor(?: TEMPLATE LIST)?", "/account#look", later("Will mail arrive?")),
    (rf"mailer resolve {NAME}", "{}/uncertain", later("Decide what is in doubt")),
    (rf"mailer report {NAME}", "{}/report", later("Report")),
    (rf"mailer (?:status|retry) {NAME}", "{}", later("To the campaign")),
    (r"mailer suppress list", "/suppressed", later("Never mailed")),
    (r"mailer check LIST", "/list", later("List")),
)
"""Commands, where the page does the same, and what that place is called."""

CORRECTED = (
    "add --update to send the rest as it is now (new addresses are added),"
    " or --campaign NAME to start another campaign, which mails everybody again"
)
WORDS = (
    (
        CORRECTED,
        later("send the rest with the corrected letter or list: a button on the campaign's page leads there"),
    ),
    (
        "look at a new preview, and send with the seal that it prints",
        later("look at the preview again, and approve it"),
    ),
    ("run the same command again later", later("try again later")),
    ("run the same command again", later("try again")),
    ("run the same command later", later("try again later")),
    ("pause it there with Ctrl-C", later("pause it on its page")),
    ("rename it, then run it again", later("rename it, then try again")),
)

COMMAND = re.compile("|".join(command for command, _url, _title in PLACES))

MENDED_AT = {
    "login": "/account/setup",
    "login-password": "/account/setup",
    "relay": "/account/setup",
    "tls": "/account/setup",
    "freemail": "/account/setup",
    "domain-example": "/account/setup",
    "rate": "/account/settings#rate",
    "limit-unknown": "/account/settings#rate",
    "postal-address": "/account/settings#postal_address",
    "unsubscribe": "/account/settings#unsubscribe_mailto",
    "list-unsubscribe-post": "/account/settings#unsubscribe_url",
    "mailbox": "/account/inbox",
    "arrived": "/account/inbox",
    "alignment": "/account/settings#bounce_address",
}
"""Where what a check complains of is changed, by its code."""

CHANGED = {"postal_address": later("Postal address"), "unsubscribe_mailto": later("To unsubscribe")}
"""What settings that are often missing together are called."""

SETTING = re.compile(r"\bMAILER_([A-Z_]+)\b|\b([a-z]+_[a-z_]+)\b|\b(sender|rate)(?= \(from | = )")
"""A setting's name in a sentence, where it is not just a word."""

UNITS = {60: later("{count} a minute"), 3600: later("{count} an hour"), 86400: later("{count} a day")}


def parts(text: str, *, practising: bool = False) -> Iterator[tuple[str, str]]:
    """The text in pieces, each with the address that it leads to, or a blank one. In practice there is no account to lead to."""
    text = _(text)
    for terminal, ours in WORDS:
        text = text.replace(terminal, _(ours))
    at = 0
    for found in COMMAND.finditer(text):
        yield text[at : found.start()], ""
        url, title = next((url, title) for command, url, title in PLACES if re.fullmatch(command, found[0]))
        name = next((group for group in found.groups() if group), "").strip("\"'")
        yield _(title), "" if practising and url.startswith("/account") else url.format(campaign_url(name))
        at = found.end()
    yield text[at:], ""


def in_words(text: str) -> str:
    """The text as a sentence of this page, where no link can stand."""
    shown = without_links(text)
    return shown if begins_with_value(text) else shown[:1].upper() + shown[1:]


def without_links(text: str) -> str:
    """The text as this page says it, where no link can stand. It may begin with the name of a file."""
    return "".join(words for words, _url in parts(text))


def mended_at(code: str, text: str) -> str:
    """Where the page changes what this is about, or blank: by the check's code, else by the setting that the text names.

    Blank, too, where the text leads to a place already.
    """
    if any(url for _words, url in parts(text)):
        return ""
    if place := MENDED_AT.get(code):
        return place
    for found in SETTING.finditer(text):
        name = next(group for group in found.groups() if group).lower()
        if name in CHOICES:
            return f"/account/settings#{name}"
        if name.startswith("imap_"):
            return "/account/inbox"
        if name == "sender" or name.startswith("smtp_"):
            return "/account/setup"
    return ""


def _change(url: str) -> str:
    """What a way to a setting is called where it does not stand beside its sentence: several of them are told apart."""
    what = CHANGED.get(url.rpartition("#")[2], "")
    return f"{_('Change it here')}: {_(what)}" if what else _("Change it here")


def ways_in(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Where some sentences lead, each place once, with what it is called."""
    found = {url: words for text in texts for words, url in parts(text) if url}
    for text in texts:
        if (url := mended_at("", text)) and url not in found:
            found[url] = _change(url)
    return [(words, url) for url, words in found.items()]


def pace(quota: Quota) -> str:
    """A quota in words."""
    if words := UNITS.get(quota.seconds):
        return _(words).format(count=figure(quota.count))
    return str(quota)
