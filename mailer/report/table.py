"""The report as a table that spreadsheets open without running anything."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from mailer.disk import Cause, cause_of, reason_of
from mailer.errors import Refused
from mailer.harmless import cell
from mailer.model import CampaignRecord, DeliveryRecord, Status, said
from mailer.report.summary import Report
from mailer.times import iso

COLUMNS = (
    "campaign",
    "row",
    "address",
    "name",
    "domain",
    "language",
    "status",
    "reason",
    "server_words",
    "attempts",
    "updated_at",
    "next_attempt_at",
    "message_id",
    "came_back",
)

AT_ONCE = 500
"""Lines of a piece."""

OLDER = COLUMNS[:-1]
"""What earlier versions wrote."""


COUNTS = ("campaign", "counted", "by", "number")
"""The columns of a table without people."""


def write_csv(path: Path, campaign: CampaignRecord, records: Iterable[DeliveryRecord]) -> None:
    """One line a delivery, UTF-8 with byte order mark, times in UTC (ISO 8601).

    A cell that a spreadsheet would take for a formula begins with an apostrophe. Raises Refused if it cannot be written;
    an earlier file of that name then stays as it was.
    """
    with replacing(path, encoding="utf-8-sig", newline="") as file:
        write_lines(file, campaign, records)


def write_lines(file: IO[str], campaign: CampaignRecord, records: Iterable[DeliveryRecord]) -> None:
    """The same into a file that is open already."""
    file.writelines(parts(campaign, records))


def parts(campaign: CampaignRecord, records: Iterable[DeliveryRecord]) -> Iterator[str]:
    """The same in pieces, so that those of a million people are never there at once."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for number, record in enumerate(records, start=1):
        writer.writerow(_cells(campaign, record))
        if number % AT_ONCE == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _cells(campaign: CampaignRecord, record: DeliveryRecord) -> list[str]:
    values = (
        campaign.name,
        record.row,
        record.address,
        record.name,
        record.domain,
        record.language,
        record.status.value,
        record.reason,
        record.server_words,
        record.attempts,
        iso(record.updated_at),
        iso(record.next_attempt_at),
        record.message_id,
        ", ".join(record.came_back),
    )
    return [cell("" if value is None else str(value)) for value in values]


def write_counts(path: Path, report: Report) -> None:
    """The numbers of a report, one a line, and nobody by name where it is a report without people.

    Written as `write_csv` writes; over time they are how many had come by then (UTC).
    """
    with replacing(path, encoding="utf-8-sig", newline="") as file:
        write_count_lines(file, report)


def write_count_lines(file: IO[str], report: Report) -> None:
    """The same into a file that is open already."""
    writer = csv.writer(file)
    writer.writerow(COUNTS)
    writer.writerows(
        [cell(value) for value in (report.name, what, group, str(number))] for what, group, number in _counts(report)
    )


def _counts(report: Report) -> Iterator[tuple[str, str, int]]:
    yield "outcome", "total", report.tally.total
    for status in Status:
        yield "outcome", status.value, getattr(report.tally, status)
    for kind, number in asdict(report.returned).items():
        yield "came back", kind, number
    spreads = {"reason": report.reasons, "provider": report.providers, "language": report.languages, **report.fields}
    for what, spread in spreads.items():
        for group, counts in spread.groups.items():
            yield what, group, counts.total()
        if spread.rest:
            yield what, "other", spread.rest.total()
    for course in (*report.progress, *report.arrivals):
        for when, number in course.points:
            yield f"{course.what} by", iso(when) or "", number


def is_csv_report(path: Path) -> bool:
    """Whether the file is one that `write_csv` or `write_counts` wrote."""
    return any(begins_with(path, "\ufeff" + ",".join(columns) + "\r\n") for columns in (COLUMNS, OLDER, COUNTS))


def begins_with(path: Path, text: str) -> bool:
    wanted = text.encode()
    try:
        with path.open("rb") as file:
            return file.read(len(wanted)) == wanted
    except OSError:
        return False


WAYS_OUT = {
    Cause.FULL: said("Make room there, then run the same command again; or name a file on another disk."),
    Cause.READ_ONLY: said("Name a file on another disk."),
    Cause.OTHER: said("Close the file if another program has it open, or choose another name."),
}


@contextmanager
def replacing(path: Path, *, encoding: str, newline: str, what: str = "The report") -> Iterator[IO[str]]:
    """Write beside the path and move into place at the end, so that a half-written report is never found there."""
    if not path.parent.is_dir():
        raise Refused(
            said(
                "{what} cannot be written to {path}: there is no folder {parent}.",
                what=what,
                path=path,
                parent=path.parent,
            ),
            hint="make the folder first, or is its name written right?",
        )
    building = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with building.open("x", encoding=encoding, newline=newline, errors="replace") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        building.replace(path)
    except OSError as error:
        reason = reason_of(error)
        sentence = said("{what} cannot be written to {path}: {reason}.", what=what, path=path, reason=reason)
        raise Refused(sentence, hint=WAYS_OUT[cause_of(error)]) from error
    finally:
        building.unlink(missing_ok=True)
