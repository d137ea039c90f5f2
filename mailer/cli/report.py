"""`mailer report`: what became of every message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.options import CampaignArgument, JsonOption, settings_here
from mailer.cli.saving import keep_others
from mailer.cli.standing import local_time, show_returned, show_tally, standing
from mailer.cli.unlocking import keep_outside, open_ledger
from mailer.errors import UsageError
from mailer.model import Status

if TYPE_CHECKING:
    from mailer.report import Report


def report(
    campaign: CampaignArgument,
    *,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Save the report as a web page.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Save a table for a spreadsheet.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show and save what became of every message.

    \b
    Example:
      mailer report solidarity-appeal--branches --html report.html --csv report.csv
    """  # noqa: D301
    from mailer import report as reports  # noqa: PLC0415
    from mailer.ledger import settle  # noqa: PLC0415

    if html and html == csv:
        raise UsageError(
            "The page and the table need two files.", hint="for example --html report.html --csv report.csv"
        )
    keep_outside(html)
    keep_outside(csv)
    if html:
        keep_others(html, reports.is_html_report)
    if csv:
        keep_others(csv, reports.is_csv_report)
    with open_ledger(settings_here(), create=False) as ledger:
        found = settle(ledger, ledger.find(campaign))
        summary = reports.summarise(ledger.records(found))
        if html:
            reports.write_html(html, found, summary.tally, lambda: ledger.records(found))
        if csv:
            reports.write_csv(csv, found, ledger.records(found))
        data = standing(ledger, found)
        returned = ledger.returned(found)
    saved = [str(path) for path in (html, csv) if path]
    if as_json:
        reasons = {words: statuses.total() for words, statuses in summary.reasons.items()}
        domains = {domain: statuses.total() for domain, statuses in summary.domains.items()}
        console.emit({**data, "reasons": reasons, "domains": domains, "files": saved})
        return
    console.say(f"Campaign {found.name}: {data['state']}, started {local_time(found.started_at)}")
    show_tally(summary.tally, found.manifest)
    show_returned(returned)
    show(summary)
    for path in saved:
        console.say(f"Saved: {path}")


def show(summary: Report) -> None:
    """Why messages were refused, and whose need looking after."""
    if summary.reasons:
        console.say("\nRefusals, in the servers' own words:")
        for words, statuses in list(summary.reasons.items())[:10]:
            console.say(f"{statuses.total():>8,}  {words}", sentence=True)
    if summary.attention:
        console.say("\nBy name:")
        for record in summary.attention[:20]:
            what = "uncertain" if record.status is Status.UNCERTAIN else "failed"
            console.say(
                f"  row {record.row}  {record.address}: {what}. {record.reason[:1].upper()}{record.reason[1:]}",
                sentence=True,
            )
        if summary.attention_total > 20:
            console.say(f"  and {summary.attention_total - 20:,} more; all of them: --csv FILE")
