"""The report as one page that needs no other file and no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from mailer.errors import quoted
from mailer.markup import Html, asset, escape, fill, join, tag
from mailer.model import CampaignRecord, DeliveryRecord, Status, Tally
from mailer.report.summary import Report, Spread, summarise
from mailer.report.table import begins_with, replacing
from mailer.times import iso

SHOWN = 50
WORDS = {
    Status.SENT: "sent",
    Status.QUEUED: "waiting",
    Status.SENDING: "being sent",
    Status.DEFERRED: "to be tried again",
    Status.FAILED: "failed",
    Status.UNCERTAIN: "uncertain",
    Status.SUPPRESSED: "suppressed",
    Status.SKIPPED: "skipped",
}


RETURNED = {
    "bounce": "bounced later",
    "complaint": "reported as spam",
    "unsubscribe": "unsubscribed",
    "reply": "replied",
}


def write_html(
    path: Path, campaign: CampaignRecord, tally: Tally, records: Callable[[], Iterable[DeliveryRecord]]
) -> None:
    """Write the page. `records` gives a fresh iterator at each call and is gone through twice, one record at a time.

    Raises Refused if it cannot be written; an earlier file of that name then stays as it was.
    """
    report = summarise(records())
    head = fill(
        asset("mailer.report", "report.html"),
        style=Html(asset("mailer.markup", "base.css") + asset("mailer.report", "report.css")),
        campaign=campaign.name,
        state=_state(campaign, tally),
        totals=_totals(tally) + _returned(report),
        attention=_attention(report),
        reasons=_reasons(report.reasons),
        spreads=tag(
            "div",
            _spread("By destination", "Domain", report.domains),
            _spread("By language", "Language", report.languages),
            class_="two",
        ),
        facts=_facts(campaign),
    )
    with replacing(path, encoding="utf-8", newline="\n") as page:
        page.write(head)
        for record in records():
            page.write(_row(record) + "\n")
        page.write("</tbody>\n</table>\n</div>\n</section>\n</main>\n</body>\n</html>\n")


def is_html_report(path: Path) -> bool:
    """Whether the file is one that `write_html` wrote."""
    return begins_with(path, asset("mailer.report", "report.html").partition("$")[0])


def _state(campaign: CampaignRecord, tally: Tally) -> str:
    if tally.work_left:
        return f"Not finished: {tally.work_left:,} of {tally.total:,} are still to be sent."
    if tally.uncertain:
        return f"Nothing left to send, but {tally.uncertain:,} need a decision: mailer resolve {quoted(campaign.name)}"
    ended = f" on {campaign.finished_at:%Y-%m-%d}" if campaign.finished_at else ""
    return f"Finished{ended}: {tally.sent:,} of {tally.total:,} sent."


def _totals(tally: Tally) -> Html:
    figures = [("total", "total", tally.total), *((s.value, word, getattr(tally, s)) for s, word in WORDS.items())]
    return tag(
        "dl",
        *(
            tag(
                "div", tag("dt", word), tag("dd", f"{count:,}", class_="number"), class_=key if count else f"{key} none"
            )
            for key, word, count in figures
        ),
        class_="totals",
    )


def _returned(report: Report) -> Html:
    """What came back; nothing where nobody has looked, or nothing did."""
    if not report.came_back:
        return Html("")
    rows = [
        tag("tr", tag("th", words, scope="row"), tag("td", f"{report.came_back[kind]:,}", class_="figure"))
        for kind, words in RETURNED.items()
        if report.came_back.get(kind)
    ]
    return _section("returned", "What came back", _table(("What", "people"), rows, figures={"people"}))


def _attention(report: Report) -> Html:
    if not report.attention:
        return Html("")
    rows = [
        tag(
            "tr",
            tag("td", WORDS[record.status], class_="status"),
            tag("td", record.name or "", dir="auto"),
            tag("td", record.address),
            tag("td", "" if record.row is None else record.row, class_="figure"),
            tag("td", *_why(record), class_="why"),
            class_=record.status.value,
        )
        for record in report.attention
    ]
    hidden = report.attention_total - len(report.attention)
    more = tag("p", f"And {hidden:,} more; all are in the list below.", class_="quiet") if hidden else ""
    heads = ("Status", "Name", "Address", "Row", "Why")
    return _section("attention", "To look after", _table(heads, rows, figures={"Row"}), more)


def _why(record: DeliveryRecord) -> list[Html]:
    parts = [escape(record.reason)]
    if record.server_words and record.server_words != record.reason:
        parts.append(tag("span", record.server_words, class_="words"))
    if record.came_back:
        parts.append(tag("span", f"came back: {', '.join(record.came_back)}", class_="words"))
    return parts


def _reasons(reasons: Spread) -> Html:
    if not reasons:
        return Html("")
    rows = [
        tag("tr", tag("th", words, scope="row"), *_figures(counts, (Status.FAILED, Status.DEFERRED)))
        for words, counts in list(reasons.items())[:SHOWN]
    ]
    heads = ("The server's own words", "failed", "to be tried again", "total")
    return _section("reasons", "Refusals", _table(heads, rows, figures=set(heads[1:])), _rest(reasons, "reasons"))


def _spread(title: str, head: str, spread: Spread) -> Html:
    present = sorted({status for counts in spread.values() for status in counts}, key=list(WORDS).index)
    rows = [
        tag("tr", tag("th", key or "none", scope="row"), *_figures(counts, present))
        for key, counts in list(spread.items())[:SHOWN]
    ]
    everything: Counter[Status] = sum(spread.values(), Counter())
    foot = tag("tr", tag("th", "all", scope="row"), *_figures(everything, present))
    heads = (head, *(WORDS[status] for status in present), "total")
    table = _table(heads, rows, figures=set(heads[1:]), foot=foot)
    return _section(head.lower(), title, table, _rest(spread, f"{head.lower()}s"))


def _figures(counts: Counter[Status], statuses: Iterable[Status]) -> list[Html]:
    return [tag("td", f"{count:,}", class_="figure") for count in (*(counts[s] for s in statuses), counts.total())]


def _rest(spread: Spread, what: str) -> Html:
    hidden = list(spread.values())[SHOWN:]
    if not hidden:
        return Html("")
    count = sum(counts.total() for counts in hidden)
    return tag("p", f"And {len(hidden):,} more {what} with {count:,} messages.", class_="quiet small")


def _table(heads: Iterable[str], rows: list[Html], *, figures: set[str], foot: Html | None = None) -> Html:
    head = tag("tr", *(tag("th", name, scope="col", class_="figure" if name in figures else None) for name in heads))
    parts = [tag("thead", head), tag("tbody", *rows)]
    if foot is not None:
        parts.append(tag("tfoot", foot))
    return tag("div", tag("table", *parts), class_="scroll")


def _section(key: str, title: str, *parts: object) -> Html:
    return tag("section", tag("h2", title, id=key), *parts, aria_labelledby=key)


def _facts(campaign: CampaignRecord) -> Html:
    frozen = campaign.manifest
    facts = {
        "Letter": frozen.template,
        "List": frozen.list_name,
        "From": frozen.settings.get("sender", ""),
        "Seal": frozen.seal,
        "Revision": str(campaign.revision),
        "Started": _moment(iso(campaign.started_at)),
        "Finished": _moment(iso(campaign.finished_at)),
        "Rows without a message": f"{frozen.duplicates:,} listed twice, {frozen.blank:,} blank",
    }
    return join(tag("dt", name) + tag("dd", value, dir="auto") for name, value in facts.items() if value)


def _moment(text: str | None) -> str:
    return f"{text[:16].replace('T', ' ')} UTC" if text else ""


def _row(record: DeliveryRecord) -> Html:
    return tag(
        "tr",
        tag("td", "" if record.row is None else record.row, class_="figure"),
        tag("td", record.name, dir="auto"),
        tag("td", record.address),
        tag("td", WORDS[record.status], class_="status"),
        tag("td", *_why(record), class_="why"),
        tag("td", record.attempts, class_="figure"),
        tag("td", (iso(record.updated_at) or "")[:19].replace("T", " "), class_="when"),
        class_=record.status.value,
    )
