"""The page of one message, the same in the gallery and in the mailbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from mailer.markup import ENGLISH, Html, Voice, asset, escape, fill, join, tag
from mailer.model import Problem, Said, joined, said
from mailer.preview.frame import document
from mailer.preview.reading import Enclosed, Reading

PACKAGE = "mailer.preview"
# `file:` because browsers disagree whether 'self' covers the neighbours of a local file; 'unsafe-inline' styles because
# the letter's frame inherits this policy and letters are styled inline.
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
PEOPLE = ("From", "To", "Cc", "Reply-To")
Say = Callable[[str], str]

ARRIVED = (*PEOPLE, "Date")
"""A preview shows no date: it is set when the message leaves."""


def message_page(
    reading: Reading,
    *,
    title: str,
    assets: str,
    download: str | None,
    attachments: Sequence[str | None],
    warnings: Sequence[Problem] = (),
    shown: Sequence[str] = PEOPLE,
    voice: Voice = ENGLISH,
) -> Html:
    """The whole page. `assets`, `download` (the .eml) and `attachments` are relative addresses; None: no link."""
    say = voice.say
    panels = _panels(reading, attachments, say)
    return fill(
        asset(PACKAGE, "message.html"),
        policy=POLICY,
        language=voice.language,
        direction=voice.direction,
        parts=say("Parts of the message"),
        how=say("How the letter is shown"),
        desktop=say("Desktop"),
        phone=say("Phone"),
        dark=say("Dark"),
        title=title,
        assets=assets,
        subject=reading.header("Subject") or say("(no subject)"),
        people=join(_person(say(name.title()), value) for name, value in reading.headers if name.title() in shown),
        warnings=warning_list(warnings, say),
        tabs=join(_tab(key, label) for key, label, _panel in panels),
        panels=join(
            tag(
                "section",
                tag("h2", label),
                panel,
                id=f"panel-{key}",
                role="tabpanel",
                aria_labelledby=f"tab-{key}",
                class_="panel letter" if key == "html" else "panel",
                tabindex=None if key == "html" else "0",
            )
            for key, label, panel in panels
        ),
        download=tag("a", say("Download .eml"), href=download, download=True, class_="download") if download else "",
    )


# What is the same on every page of a campaign is not made a hundred thousand times.
@lru_cache(maxsize=1024)
def _person(name: str, value: str) -> Html:
    return tag("dt", name) + tag("dd", tag("bdi", value))


@lru_cache(maxsize=64)
def _tab(key: str, label: str) -> Html:
    return tag(
        "button",
        label,
        type="button",
        role="tab",
        id=f"tab-{key}",
        aria_controls=f"panel-{key}",
        aria_selected="false",
        data_tab=key,
    )


@lru_cache(maxsize=1024)
def _header(name: str, value: str) -> Html:
    return tag("tr", tag("td", name, class_="quiet"), tag("td", value, dir="auto", class_="code"))


def warning_list(warnings: Sequence[Problem], say: Say = str) -> Html:
    if not warnings:
        return Html("")
    return tag("ul", *(tag("li", say(sentence(problem))) for problem in warnings), class_="warnings warning")


def sentence(problem: Problem) -> Said:
    """A problem as one line: where, what, and the way out."""
    told = joined(" ", filter(None, [problem.message, problem.hint]))
    parts = (
        said("{file}", file=problem.file) if problem.file else None,
        said("row {row}", row=problem.row) if problem.row is not None else None,
        said("column {column}", column=problem.column) if problem.column else None,
    )
    place = joined(", ", filter(None, parts))
    return said("{place}: {sentence}", place=place, sentence=told) if place else told


def _panels(reading: Reading, attachments: Sequence[str | None], say: Say) -> list[tuple[str, str, Html]]:
    panels: list[tuple[str, str, Html]] = []
    if reading.html is not None:
        frame = tag(
            "iframe",
            sandbox="",
            srcdoc=document(reading.html, reading.images),
            title=say("The letter as HTML"),
            referrerpolicy="no-referrer",
        )
        panels.append(("html", "HTML", frame))
    text = tag("pre", reading.text or say("This message has no text part."), class_="text", dir="auto")
    panels.append(("text", say("Text"), text))
    panels.append(("headers", say("Headers"), _headers(reading, say)))
    if reading.attachments:
        count = len(reading.attachments)
        panels.append(("files", f"{say('Attachments')} ({count})", _files(reading.attachments, attachments, say)))
    return panels


def _headers(reading: Reading, say: Say) -> Html:
    rows = (_header(name, value) for name, value in reading.headers)
    head = tag("tr", tag("th", say("Header"), scope="col"), tag("th", say("Value"), scope="col"))
    raw = tag("details", tag("summary", say("As it travels")), tag("pre", reading.head), class_="raw")
    return join([tag("table", tag("thead", head), tag("tbody", *rows)), raw])


def _files(enclosed: Sequence[Enclosed], links: Sequence[str | None], say: Say) -> Html:
    rows = []
    for file, link in zip(enclosed, links, strict=True):
        name = tag("a", file.filename, href=link, download=True) if link else escape(file.filename)
        rows.append(
            tag(
                "tr",
                tag("td", name, dir="auto"),
                tag("td", file.content_type, class_="quiet"),
                tag("td", size(len(file.content)), class_="size number"),
            )
        )
    head = tag("tr", *(tag("th", say(label), scope="col") for label in ("Name", "Type", "Size")))
    return tag("table", tag("thead", head), tag("tbody", *rows))


def size(octets: int) -> str:
    """A size for people, in steps of 1,000."""
    if octets < 1000:
        return f"{octets} bytes"
    return f"{octets / 1000:,.0f} KB" if octets < 1_000_000 else f"{octets / 1_000_000:,.1f} MB"
