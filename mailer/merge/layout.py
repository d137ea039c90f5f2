"""The frame around a letter: layout, footer, and CSS moved into the elements once per letter and language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import Any, cast

import css_inline

from mailer.merge.complaints import Origin, refuse
from mailer.merge.files import PACKAGED, Recorder, text_of
from mailer.merge.sandbox import markup
from mailer.merge.tags import MARKER, Kind, Tag, Tags
from mailer.merge.yamltext import read_mapping
from mailer.model import MARK_PLACE, Identity, said

OWN_LAYOUT = "templates/layout.html"
LAYOUT = f"{PACKAGED}layout.html"
FOOTER = f"{PACKAGED}footer.yaml"
RTL = {
    "ar",
    "arc",
    "ckb",
    "dv",
    "fa",
    "ha-arab",
    "he",
    "ks",
    "ku-arab",
    "ps",
    "sd",
    "syr",
    "ug",
    "ur",
    "yi",
    "bal",
    "brh",
}
STYLE = re.compile(r"(?is)<style\b[^>]*>(?:(?!</style>).)*@media(?:(?!</style>).)*</style>")
IN_TAG = re.compile(r"<[A-Za-z/][^<>]*\Z")
IN_TARGET = re.compile(r"(?i)\b(?:href|src|action|background)\s*=\s*(?:\"[^\"<>]*|'[^'<>]*|[^\s\"'<>]*)\Z")

UNSUBSCRIBE = "unsubscribe_"
"""What the footer calls the contact's own part of an unsubscribe link. No column's name ends so."""

SlotTexts = Mapping[str, str]


def is_rtl(language: str) -> bool:
    return language in RTL or language.partition("-")[0] in RTL


@lru_cache(maxsize=8)
def _sentences(text: str) -> dict[str, dict[str, str]]:
    return cast("dict[str, dict[str, str]]", read_mapping(text, FOOTER)[0])


class Sentences:
    """The footer's sentences in one language, English where there is no translation."""

    def __init__(self, files: Recorder, language: str) -> None:
        table = _sentences(text_of(files, FOOTER))
        found = table.get(language) or table.get(language.partition("-")[0])
        self._texts = found or table["en"]
        self.missing = () if found else tuple(table)
        """The languages that there are, if this is none of them."""

    def __getitem__(self, key: str) -> str:
        return self._texts[key]

    def values(self, identity: Identity) -> dict[str, Any]:
        """What the footer's tags read; built once per identity, not per contact."""
        sender = identity.sender.name or identity.sender.address
        postal = "\n".join(
            line.strip() for line in (identity.postal_address or "").strip().splitlines() if line.strip()
        )
        mailbox = (identity.unsubscribe_mailto or "").strip()
        mail_link = mailbox if not mailbox or mailbox.lower().startswith("mailto:") else f"mailto:{mailbox}"
        url, url_marked, url_end = (identity.unsubscribe_url or "").partition(MARK_PLACE)
        link, link_marked, link_end = mail_link.partition(MARK_PLACE)
        mail, mail_marked, mail_end = mail_link[len("mailto:") :].partition("?")[0].partition(MARK_PLACE)
        return {
            "sent_by": self["sent_by"].replace("{sender}", sender),
            "postal": postal,
            "postal_lines": markup("<br>".join(escape(line) for line in postal.splitlines())),
            "url": url,
            "url_marked": url_marked,
            "url_end": url_end,
            "link": link,
            "link_marked": link_marked,
            "link_end": link_end,
            "mail": mail,
            "mail_marked": mail_marked,
            "mail_end": mail_end,
            "only_link": "" if url or not link_marked else "yes",
        }

    def html(self, tags: Tags, reason: str, at: Origin) -> str:
        def expression(inner: str) -> str:
            return tags.add(Kind.EXPRESSION, inner, at)

        def when(condition: str, content: str) -> str:
            begin, end = (tags.add(Kind.STATEMENT, text, at) for text in (f"if {condition}", "endif"))
            return f"<!--{begin}-->{content}<!--{end}-->"

        label = escape(self["unsubscribe_label"])
        page = f'<a href="{self._marked("url", tags, at, target=True)}">{label}</a>'
        box = f'<a href="{self._marked("link", tags, at, target=True)}">{self._marked("mail", tags, at)}</a>'
        choice = when("footer_.url", page) + when("footer_.url and footer_.mail", f" {escape(self['or'])} ")
        choice += when("footer_.mail", box)
        leave = escape(self["unsubscribe"], quote=False).replace("{link}", choice)
        return (
            f"<p>{expression('footer_.sent_by')}</p>\n"
            + when("footer_.postal", f'<p dir="auto">{expression("footer_.postal_lines")}</p>\n')
            + f"<p>{reason}</p>\n"
            + when("footer_.url or footer_.mail", f"<p>{leave}</p>")
            + when("not footer_.url and not footer_.mail", f"<p>{escape(self['reply'], quote=False)}</p>")
        )

    def _marked(self, name: str, tags: Tags, at: Origin, *, target: bool = False) -> str:
        """A link or an address of the footer, with the contact's own part where it has a place for one."""
        whole = f"['', footer_.{name}] | link_" if target else f"footer_.{name}"
        begin, mark, end = (tags.add(Kind.EXPRESSION, text, at) for text in (whole, UNSUBSCRIBE, f"footer_.{name}_end"))
        when, endif = (tags.add(Kind.STATEMENT, text, at) for text in (f"if footer_.{name}_marked", "endif"))
        return f"{begin}{when}{mark}{endif}{end}"

    def text(self, tags: Tags, reason: str, at: Origin) -> str:
        def expression(inner: str) -> str:
            return tags.add(Kind.EXPRESSION, inner, at)

        def when(condition: str, content: str) -> str:
            begin, end = (tags.add(Kind.STATEMENT, text, at) for text in (f"if {condition}", "endif"))
            return f"{begin}{content}{end}"

        choice = when("footer_.url", self._marked("url", tags, at))
        choice += when("footer_.url and footer_.mail", f" {self['or']} ")
        choice += when("footer_.mail and not footer_.only_link", self._marked("mail", tags, at))
        # a plain text has nothing to click: where no page is named, its reader needs the whole of what to send
        choice += when("footer_.only_link", self._marked("link", tags, at))
        leave = self["unsubscribe"].replace("{link}", choice)
        return (
            # RFC 3676, 4.3: what follows "-- " is the signature, which replies leave out.
            f"-- \n{expression('footer_.sent_by')}\n"
            + when("footer_.postal", expression("footer_.postal") + "\n")
            + f"{reason}\n"
            + when("footer_.url or footer_.mail", f"{leave}\n")
            + when("not footer_.url and not footer_.mail", f"{self['reply']}\n")
        )


def layout_source(files: Recorder, tags: Tags) -> tuple[str, Origin]:
    """The layout's protected text: the campaign's own, or the one that comes with the program."""
    path = OWN_LAYOUT if files.exists(OWN_LAYOUT) else LAYOUT
    return guarded_html(tags.protect(text_of(files, path), path), tags), Origin(file=path)


def guarded_html(text: str, tags: Tags) -> str:
    """Hand-made HTML: statements between elements become comments, links from fields are checked."""
    pieces: list[str] = []
    position = 0
    for match in MARKER.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        tag = tags[int(match[1])]
        before = text[: match.start()]
        if tag.kind is Kind.EXPRESSION:
            pieces.append(_checked_target(before, match[0], tag, tags))
        elif IN_TAG.search(before[-2000:]):
            pieces.append(match[0])
        else:
            pieces.append(f"<!--{match[0]}-->")
    return "".join(pieces) + text[position:]


def _checked_target(before: str, marker: str, tag: Tag, tags: Tags) -> str:
    found = IN_TARGET.search(before[-2000:])
    if not found or not IN_TAG.search(before[-2000:]):
        return marker
    written = re.sub(r"(?is)^.*?=\s*[\"']?", "", found[0])
    if not re.search(r"=\s*[\"']", found[0]):
        raise refuse(
            "letter-html", said("put quotes around {shown}.", shown=tag.shown), at=tag.origin, hint='href="{{ ... }}"'
        )
    if not written:
        return tags.add(Kind.EXPRESSION, f"['', ({tag.inner})] | link_", tag.origin)
    return tags.add(Kind.EXPRESSION, f"({tag.inner}) | urlencode", tag.origin)


def filled(layout: str, tags: Tags, slots: SlotTexts) -> str:
    """Put the letter into its frame: `{{ content }}`, `{{ footer }}`, `{{ title }}`, `{{ preheader }}`, ..."""

    def slot(match: re.Match[str]) -> str:
        tag = tags[int(match[1])]
        return slots.get(tag.inner, match[0]) if tag.kind is Kind.EXPRESSION else match[0]

    return MARKER.sub(slot, layout)


def with_inline_css(html: str, file: str) -> str:
    """Move CSS into style attributes; rules for dark mode cannot live there and stay in the head."""
    kept: list[str] = []

    def aside(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"<!--kept style {len(kept) - 1}-->"

    prepared = STYLE.sub(aside, html)
    try:
        result = css_inline.CSSInliner(load_remote_stylesheets=False, keep_link_tags=True).inline(prepared)
    except css_inline.InlineError as error:
        raise refuse("letter-css", "the CSS of this page cannot be understood.", at=Origin(file=file)) from error
    return re.sub(r"<!--kept style (\d+)-->", lambda match: kept[int(match[1])], result)
