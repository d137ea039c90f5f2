"""What is worth saying about a row when its message was made, or could not be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mailer.errors import LetterError
from mailer.model import Contact, Problem, SkippedRow

# Most relays take 10 to 50 MB, and a letter to thousands should be far below; see also the relay's own SIZE.
MAX_MESSAGE_BYTES = 10_000_000


class Blanks:
    """Turns «may be blank in some rows» into how many rows and which, or into nothing."""

    CODE = "field-not-required"

    def __init__(self, warnings: Iterable[Problem]) -> None:
        self._rows: dict[str, list[int]] = {
            item.column: [] for item in warnings if item.code == self.CODE and item.column
        }

    def look_at(self, contact: Contact) -> None:
        for name, rows in self._rows.items():
            if not contact.fields.get(name):
                rows.append(contact.row)

    def told(self, warnings: Iterable[Problem]) -> list[Problem]:
        return [self._counted(item) for item in warnings if item.code != self.CODE or self._rows.get(item.column or "")]

    def _counted(self, item: Problem) -> Problem:
        rows = self._rows.get(item.column or "") if item.code == self.CODE else None
        if not rows:
            return item
        where = f"row {rows[0]}" if len(rows) == 1 else f"{len(rows)} rows, the first of them row {rows[0]}"
        return replace(
            item, code="blank-field", message=item.message.replace("may be blank in some rows", f"is blank in {where}")
        )


def skipped(contact: Contact, problems: Iterable[Problem]) -> SkippedRow:
    """The row that gets no message, with all the reasons in one."""
    reason = "; ".join(problem.message for problem in problems)
    return SkippedRow(row=contact.row, address=contact.address, reason=reason)


def problems_of(contact: Contact, error: LetterError) -> tuple[Problem, ...]:
    """What went wrong with a row, as problems."""
    return error.problems or (Problem(code="letter", message=error.message, row=contact.row),)


def in_list(path: str, problem: Problem) -> Problem:
    """What came up while a row was merged, told with the file whose row it is; the letter's file and line follow."""
    message = f"{problem.file}, {problem.message}" if problem.file else problem.message
    return replace(problem, file=path, message=message)


def check_size(contact: Contact, size: int) -> None:
    """Raise LetterError for a message that relays would refuse."""
    if size > MAX_MESSAGE_BYTES:
        sentence = f"the message has {size / 1e6:.1f} MB with its attachments; at most {MAX_MESSAGE_BYTES / 1e6:.0f} MB"
        problem = Problem(code="message-too-large", message=sentence, row=contact.row, hint="use smaller attachments")
        raise LetterError(f"Row {contact.row}: {sentence}.", problems=[problem])
