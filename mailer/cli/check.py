"""`mailer check`: a list, read and reported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mailer.cli import console
from mailer.cli.options import (
    EmailColumnOption,
    JsonOption,
    ListArgument,
    ProblemsOption,
    SheetOption,
    SkipProblemsOption,
)
from mailer.cli.saving import save_problems
from mailer.cli.unlocking import keep_outside, unlocking
from mailer.errors import ListError, quoted, typed

if TYPE_CHECKING:
    from mailer.contacts import ContactList


def check(
    contact_list: ListArgument,
    *,
    email_column: EmailColumnOption = None,
    sheet: SheetOption = None,
    problems: ProblemsOption = None,
    skip_problems: SkipProblemsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read a list and report every problem in it.

    Ends with exit code 2 if rows cannot be mailed, unless --skip-problems.

    \b
    Example:
      mailer check contacts/branches.xlsx --problems to-correct.csv
    """  # noqa: D301 - \b is typer's sign to keep the lines below as they are
    from mailer import contacts  # noqa: PLC0415 - imports pandas
    from mailer.campaign.source import reading  # noqa: PLC0415

    keep_outside(problems)
    people = contacts.read(contact_list, email_column=email_column, sheet=sheet, unlock=unlocking())
    save_problems(problems, people)
    if as_json:
        console.emit(as_data(people))
    else:
        show(people, problems, options=reading(email_column, sheet, skip_problems=skip_problems))
    if people.problems and not skip_problems:
        raise typer.Exit(ListError.exit_code)


def as_data(people: ContactList) -> dict[str, object]:
    """The report for --json."""
    return {
        "rows": people.rows,
        "ready": len(people),
        "problems": people.problems,
        "duplicates": people.duplicates,
        "blank": people.blank,
        "warnings": people.warnings,
        "email_column": people.email_column.original,
        "sheet": people.sheet,
        "columns": [column.name for column in people.columns],
    }


def show(people: ContactList, problems: Path | None, *, options: Mapping[str, str]) -> None:
    """The report for people. `options` are those by which the list was read."""
    onward = f"To see the letters: mailer preview TEMPLATE {quoted(people.path)}{typed(options)}"
    name = console.short(str(people.path))
    sheet = f", sheet {people.sheet!r}" if people.sheet else ""
    console.say(f"{name}{sheet}; addresses in column {people.email_column.original!r}", sentence=True)
    bad = len(people.bad_rows)
    console.table(
        ["rows", "ready", "duplicates", "with problems"],
        [[people.rows, len(people), people.duplicates, bad]],
    )
    if people.blank:
        between = "1 blank row is" if people.blank == 1 else f"{people.blank:,} blank rows are"
        console.say(f"{between} not counted.", sentence=True)
    fields = [column.name for column in people.columns]
    console.say(f"Fields for the letter, written like {{{{ {fields[0]} }}}}: {', '.join(fields)}", sentence=True)
    console.show_warnings(people.warnings)
    if people.problems:
        console.note("\nThese rows cannot be mailed:", style="red")
        hint = None if problems else "--problems FILE writes these rows out for correction"
        console.show_problems(people.problems, rest="; all of them: --problems FILE", hints=[hint])
        if problems:
            console.note(f"The rows are in {problems}.")
        if len(people) and "--skip-problems" in options:
            console.say(onward)
    elif people.rows:
        console.say("Everybody in this list can be mailed.")
        console.say(onward)
    else:
        console.say("There is nobody in this list.")
