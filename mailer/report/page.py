"""The report as one page that needs no other file and no network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mailer.errors import quoted
from mailer.markup import ENGLISH, Html, Voice, asset, escape, fill, tag
from mailer.model import DeliveryRecord, EventKind, Returned, Said, Status, as_said, said
from mailer.report.groups import OTHER, Spread
from mailer.report.pictures import NOBODY, RETURNED, WORDS, Picture, by, called, pictures
from mailer.report.summary import Report
from mailer.report.table import replacing
from mailer.times import iso

ROWS = 200
"""Groups in one table; what is cut off is said."""

OURS = re.compile(
    rb'<!doctype html>\n<html lang="[\w-]+"(?: dir="\w+")?>\n<head>\n<meta charset="utf-8">\n'
    rb'<meta name="generator" content="mailer report">'
)
"""How a page of ours begins, in any language; earlier versions had English alone."""

SEARCHED = 12
"""A table with more rows than these has a field to search it."""

COUNTED = {
    EventKind.BOUNCE: "bounced",
    EventKind.COMPLAINT: "complained",
    EventKind.UNSUBSCRIBE: "unsubscribed",
    EventKind.REPLY: "replied",
}
SENT_MEANS = said(
    "Sent means that the next mail server accepted the message; it is no proof that it was read. All times are UTC."
)


Say = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column; `figures` stand at its other side."""

    words: Said
    figures: bool = False


def page(report: Report, voice: Voice = ENGLISH) -> str:
    """The whole page: one file, with nothing to fetch, and no script but its own (by hash). The same report, the same text."""
    return fill(
        asset("mailer.report", "report.html"),
        style=Html(style()),
        style_hash=_hash(style()),
        script=Html(script()),
        script_hash=_hash(script()),
        language=voice.language,
        direction=voice.direction,
        title=voice.say(said("Report of {name}", name=report.name)),
        content=content(report, voice),
    )


def style() -> str:
    """How `content` looks, with the colours and type that all pages share."""
    return "\n" + asset("mailer.markup", "base.css") + asset("mailer.report", "report.css")


def script() -> str:
    """The search of `content`'s tables, which are whole without it."""
    return "\n" + asset("mailer.report", "search.js")


def content(report: Report, voice: Voice = ENGLISH) -> Html:
    """What stands in the page's body: a header and a main element."""
    say, alone = voice.say, report.smallest is not None
    header = tag(
        "header",
        tag("p", say(said("Campaign report, counts only") if alone else said("Campaign report")), class_="quiet"),
        tag("h1", report.name, dir="auto"),
        tag("p", say(_state(report)), class_="state"),
        tag("p", say(_without_people(report.smallest)), class_="quiet") if report.smallest else "",
        class_="report",
    )
    return header + tag(
        "main",
        _totals(report, voice),
        _pictures(pictures(report, voice)),
        _returned(report.returned, voice),
        _attention(report, voice),
        *_tables(report, voice),
        _section("about", say(said("The campaign")), tag("dl", *_facts(report, say), class_="facts")),
        _listed(report, voice),
        class_="report",
    )


def policy() -> str:
    """What the page allows itself (Content-Security-Policy), for whoever serves it."""
    return f"default-src 'none'; style-src '{_hash(style())}'; script-src '{_hash(script())}'; base-uri 'none'; form-action 'none'"


def write_html(path: Path, report: Report, voice: Voice = ENGLISH) -> None:
    """Write the page. Raises Refused if it cannot be written; an earlier file of that name then stays as it was."""
    text = page(report, voice)
    with replacing(path, encoding="utf-8", newline="\n") as file:
        file.write(text)


def is_html_report(path: Path) -> bool:
    """Whether the file is one that `write_html` wrote, of this version or an earlier one."""
    try:
        with path.open("rb") as file:
            return OURS.match(file.read(300)) is not None
    except OSError:
        return False


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _state(report: Report) -> Said:
    tally = report.tally
    if tally.work_left:
        return said(
            "Not finished: {left:,} of {total:,} are still to be sent.", left=tally.work_left, total=tally.total
        )
    if tally.uncertain:
        return said(
            "Nothing left to send, but {number:,} need a decision: mailer resolve {name}",
            number=tally.uncertain,
            name=quoted(report.name),
        )
    if report.finished_at:
        return said(
            "Finished on {day:%Y-%m-%d}: {sent:,} of {total:,} sent.",
            day=report.finished_at,
            sent=tally.sent,
            total=tally.total,
        )
    return said("Finished: {sent:,} of {total:,} sent.", sent=tally.sent, total=tally.total)


def _without_people(smallest: int) -> Said:
    return said(
        "This report names nobody. Groups of fewer than {smallest} people are counted together as “other”, and nothing over"
        " time is shown in steps of fewer than {smallest}. Only the totals of the whole campaign are exact.",
        smallest=smallest,
    )


def _totals(report: Report, voice: Voice) -> Html:
    figures = [
        ("total", said("total"), report.tally.total),
        *((status.value, words, getattr(report.tally, status)) for status, words in WORDS.items()),
    ]
    tiles = (
        tag(
            "div",
            tag("dt", voice.say(words)),
            tag("dd", voice.figure(count, ","), class_="number"),
            class_=key if count else f"{key} none",
        )
        for key, words, count in figures
    )
    means = tag("p", voice.say(SENT_MEANS), class_="quiet small")
    return _section("totals", voice.say(said("Totals")), tag("dl", *tiles, class_="totals"), means)


def _pictures(drawn: Mapping[str, Picture]) -> Html:
    return tag(
        "div",
        *(
            tag(
                "section",
                _heading(f"picture-{key}", picture.title),
                tag("figure", picture.svg, tag("figcaption", picture.note, class_="quiet small")),
                class_="card wide" if picture.wide else "card",
            )
            for key, picture in drawn.items()
        ),
        class_="pictures",
    )


def _returned(returned: Returned, voice: Voice) -> Html:
    """What came back; nothing where nobody has looked, or nothing did."""
    counts = {words: getattr(returned, COUNTED[kind]) for kind, words in RETURNED.items()}
    rows = [
        tag("tr", tag("th", voice.say(words), scope="row"), tag("td", voice.figure(count, ","), class_="figure"))
        for words, count in counts.items()
        if count
    ]
    if not rows:
        return Html("")
    heads = (Head(said("What")), Head(said("people"), figures=True))
    return _table_section("returned", said("What came back, in numbers"), heads, rows, voice)


def _attention(report: Report, voice: Voice) -> Html:
    if not report.attention:
        return Html("")
    rows = [
        tag(
            "tr",
            tag("td", voice.say(WORDS[record.status]), class_="status"),
            tag("td", record.name or "", dir="auto"),
            tag("td", record.address, class_="address"),
            tag("td", "" if record.row is None else record.row, class_="figure"),
            tag("td", *_why(record, voice.say), class_="why"),
            class_=record.status.value,
        )
        for record in report.attention
    ]
    heads = (
        Head(said("Status")),
        Head(said("Name")),
        Head(said("Address")),
        Head(said("Row"), figures=True),
        Head(said("Why")),
    )
    cut = _cut(len(rows), report.attention_total)
    return _table_section("attention", said("To look after"), heads, rows, voice, class_="people", note=cut)


def _tables(report: Report, voice: Voice) -> list[Html]:
    """Every spread as a table; in a report without people, those that its pictures show."""
    if report.smallest is not None:
        spreads = [
            (said("Refusals"), said("Reason"), _spoken(report.reasons)),
            (said("By mail provider"), said("Provider"), report.providers),
        ]
    else:
        spreads = [
            (said("Refusals"), said("The server’s own words"), report.words),
            (said("By destination"), said("Domain"), report.domains),
        ]
    spreads += [
        (by(name), said("{field}", field=called(name).capitalize()), one) for name, one in report.fields.items()
    ]
    spreads.append((said("By language"), said("Language"), report.languages))
    return [
        _spread(f"table-{number}", title, head, spread, voice)
        for number, (title, head, spread) in enumerate(spreads, start=1)
        if spread
    ]


def _spoken(reasons: Spread) -> Spread:
    """Reasons of our own, which can be said in other languages; what others call things stays as it is."""
    return replace(reasons, groups={as_said(name): counts for name, counts in reasons.groups.items()})


def _spread(key: str, title: Said, head: Said, spread: Spread, voice: Voice) -> Html:
    total = spread.total
    present = [status for status in WORDS if total[status]]
    shown = list(spread.groups.items())[:ROWS]
    rows = [
        tag("tr", tag("th", tag("bdi", _group(name, voice)), scope="row"), *_figures(counts, present, voice))
        for name, counts in shown
    ]
    hidden = total.total() - sum(counts.total() for _, counts in shown)
    more = len(spread.groups) - len(shown) + spread.more
    note = said(
        "The first {shown:,}; {more:,} more with {hidden:,} people are counted in the last line.",
        shown=len(shown),
        more=more,
        hidden=hidden,
    )
    columns = (*(WORDS[status] for status in present), said("people"))
    heads = (Head(head), *(Head(words, figures=True) for words in columns))
    foot = tag("tr", tag("th", voice.say(said("all")), scope="row"), *_figures(total, present, voice))
    return _table_section(key, title, heads, rows, voice, foot=foot, note=note if hidden else "")


def _group(name: str, voice: Voice) -> str:
    """What a group is called: names of the list and of servers stay as they are."""
    return voice.say(as_said(name or NOBODY)) if not name or name == OTHER or isinstance(name, Said) else name


def _figures(counts: Mapping[str, int], statuses: Iterable[Status], voice: Voice) -> list[Html]:
    numbers = (*(counts.get(status, 0) for status in statuses), sum(counts.values()))
    return [tag("td", voice.figure(number, ","), class_="figure" if number else "figure none") for number in numbers]


def _listed(report: Report, voice: Voice) -> Html:
    if not report.listed:
        return Html("")
    heads = (
        Head(said("Row"), figures=True),
        *(Head(said("Name")), Head(said("Address")), Head(said("Status")), Head(said("Why"))),
        Head(said("Attempts"), figures=True),
        Head(said("Last change (UTC)")),
    )
    rows = [_row(record, voice) for record in report.listed]
    return _table_section(
        "all",
        said("All deliveries") if len(rows) == report.tally.total else said("Deliveries"),
        heads,
        rows,
        voice,
        note=_cut(len(rows), report.tally.total),
        class_="people",
        on_screen=True,
    )


def _cut(shown: int, total: int) -> str:
    if shown >= total:
        return ""
    return said("The first {shown:,} of {total:,}; all of them are in the CSV file.", shown=shown, total=total)


def _row(record: DeliveryRecord, voice: Voice) -> Html:
    return tag(
        "tr",
        tag("td", "" if record.row is None else record.row, class_="figure"),
        tag("td", record.name, dir="auto"),
        tag("td", record.address, class_="address"),
        tag("td", voice.say(WORDS[record.status]), class_="status"),
        tag("td", *_why(record, voice.say), class_="why"),
        tag("td", record.attempts, class_="figure"),
        tag("td", (iso(record.updated_at) or "")[:19].replace("T", " "), class_="when"),
        class_=record.status.value,
    )


def _why(record: DeliveryRecord, say: Say) -> list[Html]:
    parts = [escape(say(record.reason))]
    if record.server_words and record.server_words != record.reason:
        parts.append(tag("span", record.server_words, class_="words"))
    if record.came_back:
        parts.append(tag("span", say(said("came back: {what}", what=", ".join(record.came_back))), class_="words"))
    return parts


def _facts(report: Report, say: Say) -> list[Html]:
    times: dict[str, str] = {said("Started"): _moment(report.started_at), said("Finished"): _moment(report.finished_at)}
    told = {**report.facts, **times}
    return [tag("dt", say(name)) + tag("dd", value, dir="auto") for name, value in told.items() if value]


def _moment(when: datetime | None) -> str:
    return f"{(iso(when) or '')[:16].replace('T', ' ')} UTC" if when else ""


def _table_section(
    key: str,
    title: Said,
    heads: Sequence[Head],
    rows: list[Html],
    voice: Voice,
    *,
    foot: Html | None = None,
    note: str = "",
    class_: str | None = None,
    on_screen: bool = False,
) -> Html:
    """A heading, a field to search by, the table, and what is not in it."""
    head = tag(
        "tr",
        *(tag("th", voice.say(one.words), scope="col", class_="figure" if one.figures else None) for one in heads),
    )
    parts = [tag("thead", head), tag("tbody", *rows), tag("tfoot", foot) if foot is not None else ""]
    table = tag("table", *parts, id=f"{key}-rows", aria_labelledby=key, class_=class_)
    scroll = tag("div", table, class_="scroll", tabindex="0", role="region", aria_labelledby=key)
    noted = tag("p", voice.say(note), class_="quiet small") if note else ""
    found = _find(key, voice.say) if len(rows) > SEARCHED else ""
    return tag("section", _heading(key, voice.say(title)), found, noted, scroll, class_="screen" if on_screen else None)


def _find(key: str, say: Say) -> Html:
    field = tag("input", type="search", id=f"{key}-find", aria_controls=f"{key}-rows", autocomplete="off")
    label = tag("label", say(said("Search")), for_=f"{key}-find")
    return tag(
        "div",
        label,
        field,
        tag("output", for_=f"{key}-find", class_="quiet small", data_words=say(said("{found} of {all} rows"))),
        class_="find",
        hidden=True,
    )


def _section(key: str, title: str, *parts: object) -> Html:
    return tag("section", _heading(key, title), *parts, aria_labelledby=key)


def _heading(key: str, title: str) -> Html:
    return tag("h2", title, id=key, dir="auto")
