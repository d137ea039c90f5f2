"""The report as one page that needs no other file and no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from mailer.errors import quoted
from mailer.markup import Html, asset, escape, fill, tag
from mailer.model import DeliveryRecord, EventKind, Returned, Status
from mailer.report.groups import Spread
from mailer.report.pictures import NOBODY, RETURNED, WORDS, Picture, by, pictures
from mailer.report.summary import Report
from mailer.report.table import begins_with, replacing
from mailer.times import iso

ROWS = 200
"""Groups in one table; what is cut off is said."""

SEARCHED = 12
"""A table with more rows than these has a field to search it."""

COUNTED = {
    EventKind.BOUNCE: "bounced",
    EventKind.COMPLAINT: "complained",
    EventKind.UNSUBSCRIBE: "unsubscribed",
    EventKind.REPLY: "replied",
}
SENT_MEANS = (
    "Sent means that the next mail server accepted the message; it is no proof that it was read. All times are UTC."
)


def page(report: Report) -> str:
    """The whole page: one file, with nothing to fetch, and no script but its own (by hash). The same report, the same text."""
    return fill(
        asset("mailer.report", "report.html"),
        style=Html(style()),
        style_hash=_hash(style()),
        script=Html(script()),
        script_hash=_hash(script()),
        name=report.name,
        content=content(report),
    )


def style() -> str:
    """How `content` looks, with the colours and type that all pages share."""
    return "\n" + asset("mailer.markup", "base.css") + asset("mailer.report", "report.css")


def script() -> str:
    """The search of `content`'s tables, which are whole without it."""
    return "\n" + asset("mailer.report", "search.js")


def content(report: Report) -> Html:
    """What stands in the page's body: a header and a main element."""
    header = tag(
        "header",
        tag("p", "Campaign report" + (", counts only" if report.smallest else ""), class_="quiet"),
        tag("h1", report.name, dir="auto"),
        tag("p", _state(report), class_="state"),
        tag("p", _without_people(report.smallest), class_="quiet") if report.smallest else "",
        class_="report",
    )
    return header + tag(
        "main",
        _totals(report),
        _pictures(pictures(report)),
        _returned(report.returned),
        _attention(report),
        *_tables(report),
        _section("about", "The campaign", tag("dl", *_facts(report), class_="facts")),
        _listed(report),
        class_="report",
    )


def policy() -> str:
    """What the page allows itself (Content-Security-Policy), for whoever serves it."""
    return f"default-src 'none'; style-src '{_hash(style())}'; script-src '{_hash(script())}'; base-uri 'none'; form-action 'none'"


def write_html(path: Path, report: Report) -> None:
    """Write the page. Raises Refused if it cannot be written; an earlier file of that name then stays as it was."""
    text = page(report)
    with replacing(path, encoding="utf-8", newline="\n") as file:
        file.write(text)


def is_html_report(path: Path) -> bool:
    """Whether the file is one that `write_html` wrote, of this version or an earlier one."""
    return begins_with(path, asset("mailer.report", "report.html").partition("<meta http-equiv")[0])


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _state(report: Report) -> str:
    tally = report.tally
    if tally.work_left:
        return f"Not finished: {tally.work_left:,} of {tally.total:,} are still to be sent."
    if tally.uncertain:
        return f"Nothing left to send, but {tally.uncertain:,} need a decision: mailer resolve {quoted(report.name)}"
    ended = f" on {report.finished_at:%Y-%m-%d}" if report.finished_at else ""
    return f"Finished{ended}: {tally.sent:,} of {tally.total:,} sent."


def _without_people(smallest: int) -> str:
    return (
        f"This report names nobody. Groups of fewer than {smallest} people are counted together as “other”, and nothing over"
        f" time is shown in steps of fewer than {smallest}. Only the totals of the whole campaign are exact."
    )


def _totals(report: Report) -> Html:
    figures = [
        ("total", "total", report.tally.total),
        *((status.value, words, getattr(report.tally, status)) for status, words in WORDS.items()),
    ]
    tiles = (
        tag(
            "div",
            tag("dt", words),
            tag("dd", f"{count:,}", class_="number"),
            class_=key if count else f"{key} none",
        )
        for key, words, count in figures
    )
    return _section("totals", "Totals", tag("dl", *tiles, class_="totals"), tag("p", SENT_MEANS, class_="quiet small"))


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


def _returned(returned: Returned) -> Html:
    """What came back; nothing where nobody has looked, or nothing did."""
    counts = {words: getattr(returned, COUNTED[kind]) for kind, words in RETURNED.items()}
    rows = [
        tag("tr", tag("th", words, scope="row"), tag("td", f"{count:,}", class_="figure"))
        for words, count in counts.items()
        if count
    ]
    if not rows:
        return Html("")
    return _table_section("returned", "What came back, in numbers", ("What", "people"), rows, figures={"people"})


def _attention(report: Report) -> Html:
    if not report.attention:
        return Html("")
    rows = [
        tag(
            "tr",
            tag("td", WORDS[record.status], class_="status"),
            tag("td", record.name or "", dir="auto"),
            tag("td", record.address, class_="address"),
            tag("td", "" if record.row is None else record.row, class_="figure"),
            tag("td", *_why(record), class_="why"),
            class_=record.status.value,
        )
        for record in report.attention
    ]
    heads = ("Status", "Name", "Address", "Row", "Why")
    cut = _cut(len(rows), report.attention_total)
    return _table_section("attention", "To look after", heads, rows, figures={"Row"}, note=cut)


def _tables(report: Report) -> list[Html]:
    """Every spread as a table; in a report without people, those that its pictures show."""
    if report.smallest is not None:
        spreads = [("Refusals", "Reason", report.reasons), ("By mail provider", "Provider", report.providers)]
    else:
        spreads = [("Refusals", "The server’s own words", report.words), ("By destination", "Domain", report.domains)]
    spreads += [(by(name), by(name)[3:].capitalize(), spread) for name, spread in report.fields.items()]
    spreads.append(("By language", "Language", report.languages))
    return [
        _spread(f"table-{number}", title, head, spread)
        for number, (title, head, spread) in enumerate(spreads, start=1)
        if spread
    ]


def _spread(key: str, title: str, head: str, spread: Spread) -> Html:
    total = spread.total
    present = [status for status in WORDS if total[status]]
    shown = list(spread.groups.items())[:ROWS]
    rows = [
        tag("tr", tag("th", tag("bdi", name or NOBODY), scope="row"), *_figures(counts, present))
        for name, counts in shown
    ]
    hidden = total.total() - sum(counts.total() for _, counts in shown)
    more = len(spread.groups) - len(shown) + spread.more
    note = (
        f"The first {len(shown):,}; {more:,} more with {hidden:,} people are counted in the last line."
        if hidden
        else ""
    )
    heads = (head, *(WORDS[status] for status in present), "people")
    foot = tag("tr", tag("th", "all", scope="row"), *_figures(total, present))
    return _table_section(key, title, heads, rows, figures=set(heads[1:]), foot=foot, note=note)


def _figures(counts: Mapping[str, int], statuses: Iterable[Status]) -> list[Html]:
    numbers = (*(counts.get(status, 0) for status in statuses), sum(counts.values()))
    return [tag("td", f"{number:,}", class_="figure" if number else "figure none") for number in numbers]


def _listed(report: Report) -> Html:
    if not report.listed:
        return Html("")
    heads = ("Row", "Name", "Address", "Status", "Why", "Attempts", "Last change (UTC)")
    rows = [_row(record) for record in report.listed]
    return _table_section(
        "all",
        "All deliveries" if len(rows) == report.tally.total else "Deliveries",
        heads,
        rows,
        figures={"Row", "Attempts"},
        note=_cut(len(rows), report.tally.total),
        on_screen=True,
    )


def _cut(shown: int, total: int) -> str:
    return f"The first {shown:,} of {total:,}; all of them are in the CSV file." if shown < total else ""


def _row(record: DeliveryRecord) -> Html:
    return tag(
        "tr",
        tag("td", "" if record.row is None else record.row, class_="figure"),
        tag("td", record.name, dir="auto"),
        tag("td", record.address, class_="address"),
        tag("td", WORDS[record.status], class_="status"),
        tag("td", *_why(record), class_="why"),
        tag("td", record.attempts, class_="figure"),
        tag("td", (iso(record.updated_at) or "")[:19].replace("T", " "), class_="when"),
        class_=record.status.value,
    )


def _why(record: DeliveryRecord) -> list[Html]:
    parts = [escape(record.reason)]
    if record.server_words and record.server_words != record.reason:
        parts.append(tag("span", record.server_words, class_="words"))
    if record.came_back:
        parts.append(tag("span", f"came back: {', '.join(record.came_back)}", class_="words"))
    return parts


def _facts(report: Report) -> list[Html]:
    times = {"Started": _moment(report.started_at), "Finished": _moment(report.finished_at)}
    told = {**report.facts, **times}
    return [tag("dt", name) + tag("dd", value, dir="auto") for name, value in told.items() if value]


def _moment(when: datetime | None) -> str:
    return f"{(iso(when) or '')[:16].replace('T', ' ')} UTC" if when else ""


def _table_section(
    key: str,
    title: str,
    heads: Sequence[str],
    rows: list[Html],
    *,
    figures: set[str],
    foot: Html | None = None,
    note: str = "",
    on_screen: bool = False,
) -> Html:
    """A heading, a field to search by, the table, and what is not in it."""
    head = tag("tr", *(tag("th", name, scope="col", class_="figure" if name in figures else None) for name in heads))
    parts = [tag("thead", head), tag("tbody", *rows), tag("tfoot", foot) if foot is not None else ""]
    table = tag("table", *parts, id=f"{key}-rows", aria_labelledby=key, class_="people" if "Why" in heads else None)
    scroll = tag("div", table, class_="scroll", tabindex="0", role="region", aria_labelledby=key)
    said = tag("p", note, class_="quiet small") if note else ""
    found = _find(key) if len(rows) > SEARCHED else ""
    return tag("section", _heading(key, title), found, said, scroll, class_="screen" if on_screen else None)


def _find(key: str) -> Html:
    field = tag("input", type="search", id=f"{key}-find", aria_controls=f"{key}-rows", autocomplete="off")
    label = tag("label", "Search", for_=f"{key}-find")
    return tag("div", label, field, tag("output", for_=f"{key}-find", class_="quiet small"), class_="find", hidden=True)


def _section(key: str, title: str, *parts: object) -> Html:
    return tag("section", _heading(key, title), *parts, aria_labelledby=key)


def _heading(key: str, title: str) -> Html:
    return tag("h2", title, id=key, dir="auto")
