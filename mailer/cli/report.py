"""`mailer report`: what became of every message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailer.cli import console
from mailer.cli.options import CampaignArgument, JsonOption, settings_here
from mailer.cli.saving import keep_others
from mailer.cli.standing import show_returned, show_tally, standing
from mailer.cli.unlocking import keep_outside, open_ledger
from mailer.errors import UsageError
from mailer.model import Status
from mailer.times import local_time

if TYPE_CHECKING:
    from mailer.markup import Voice
    from mailer.report import Report, Spread

SHOWN, NAMED = 10, 20
"""Groups, and people, that are told in the terminal."""


def report(
    campaign: CampaignArgument,
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Save the report, with pictures, as a web page.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Save a table for a spreadsheet.")] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="FIELD", help="Count by this column of the list; else country and branch."),
    ] = None,
    counts_only: Annotated[
        bool,
        typer.Option(
            "--counts-only", help="Numbers alone: no address, no name, no group of fewer than five. Totals stay exact."
        ),
    ] = False,
    language: Annotated[
        str, typer.Option("--language", metavar="CODE", help="The language of that web page, such as de; else English.")
    ] = "en",
    as_json: JsonOption = False,
) -> None:
    """Show and save what became of every message.

    \b
    Example:
      mailer report solidarity-appeal--branches --html report.html --csv report.csv
    For a committee, without anybody's address:
      mailer report solidarity-appeal--branches --counts-only --html committee.html
    """  # noqa: D301
    from mailer import report as reports  # noqa: PLC0415
    from mailer.campaign.report import make_report  # noqa: PLC0415
    from mailer.ledger import settle  # noqa: PLC0415

    look_at_files(html, csv, counts_only=counts_only)
    voice = voice_of(language)
    with open_ledger(settings_here(), create=False, reading=True) as ledger:
        found = settle(ledger, ledger.find(campaign))
        summary = make_report(ledger, found, by=by)
        if counts_only:
            summary = reports.counts_only(summary)
        if html:
            reports.write_html(html, summary, voice)
        if csv and counts_only:
            reports.write_counts(csv, summary)
        elif csv:
            reports.write_csv(csv, found, ledger.records(found))
        data = standing(ledger, found)
    saved = [str(path) for path in (html, csv) if path]
    if as_json:
        console.emit({**data, "campaign": summary.name, **groups(summary), "files": saved})
        return
    console.say(f"Campaign {summary.name}: {data['state']}, started {local_time(found.started_at)}")
    show_tally(summary.tally, found.manifest)
    show_returned(summary.returned)
    show(summary)
    for path in saved:
        console.say(f"Saved: {path}")


def voice_of(language: str) -> Voice:
    """How the page speaks. Raises UsageError for a language that it does not know."""
    from mailer.markup import ENGLISH  # noqa: PLC0415

    if language == ENGLISH.language:
        return ENGLISH
    from mailer.web.journey import words  # noqa: PLC0415 - imports babel

    if language not in words.languages():
        raise UsageError(f"The report cannot speak {language!r}.", hint=f"write one of: {', '.join(words.languages())}")
    words.speak(language)
    return words.voice()


def look_at_files(html: Path | None, csv: Path | None, *, counts_only: bool) -> None:
    """Raise UsageError where the files may not be written: over what is not ours, or with addresses beside an encrypted ledger."""
    from mailer import report as reports  # noqa: PLC0415

    if html and html == csv:
        raise UsageError(
            "The page and the table need two files.", hint="for example --html report.html --csv report.csv"
        )
    ours: dict[Path | None, Callable[[Path], bool]] = {html: reports.is_html_report, csv: reports.is_csv_report}
    for path, is_ours in ours.items():
        if path and not counts_only:
            keep_outside(path)
        if path:
            keep_others(path, is_ours)


def groups(summary: Report) -> dict[str, Any]:
    """How many stand in each group, for --json; without people, in groups that name nobody."""
    alone = summary.smallest is not None
    by_name = {
        "reasons": summary.reasons if alone else summary.words,
        "domains": summary.providers if alone else summary.domains,
    }
    return {name: people(spread) for name, spread in by_name.items()} | {
        "by": {name: people(spread) for name, spread in summary.fields.items()}
    }


def people(spread: Spread) -> dict[str, int]:
    named = {name: counts.total() for name, counts in spread.groups.items()}
    return named | ({"other": named.get("other", 0) + spread.rest.total()} if spread.rest else {})


def show(summary: Report) -> None:
    """Why messages were refused, how groups fared, and who needs looking after."""
    if summary.smallest is not None:
        console.say(
            f"\nOnly these totals are exact; groups of fewer than {summary.smallest} people are counted together.",
            sentence=True,
        )
        show_groups("Refusals", summary.reasons)
    else:
        show_groups("Refusals, in the servers' own words", summary.words)
    for name, spread in summary.fields.items():
        show_groups(f"People by {name.replace('_', ' ')}", spread)
    if summary.attention:
        console.say("\nBy name:")
        for record in summary.attention[:NAMED]:
            what = "uncertain" if record.status is Status.UNCERTAIN else "failed"
            who = f"row {record.row}  {record.address}" if record.row is not None else "somebody who was erased"
            console.say(
                f"  {who}: {what}. {record.reason[:1].upper()}{record.reason[1:]}",
                sentence=True,
            )
        if summary.attention_total > NAMED:
            console.say(f"  and {summary.attention_total - NAMED:,} more; all of them: --csv FILE")


def show_groups(title: str, spread: Spread) -> None:
    if not spread:
        return
    console.say(f"\n{title}:")
    for name, counts in list(spread.groups.items())[:SHOWN]:
        console.say(f"{counts.total():>8,}  {name or 'none'}", sentence=True)
    hidden = spread.total.total() - sum(counts.total() for counts in list(spread.groups.values())[:SHOWN])
    if hidden:
        console.say(f"{hidden:>8,}  others")
