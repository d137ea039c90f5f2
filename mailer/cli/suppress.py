"""`mailer suppress`: who must not be mailed, whatever list they are on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.options import (
    EmailColumnOption,
    JsonOption,
    ProblemsOption,
    SheetOption,
    SkipProblemsOption,
    settings_here,
)
from mailer.cli.recipients import each
from mailer.cli.saving import save_problems
from mailer.cli.unlocking import keep_outside, open_ledger, unlocking
from mailer.errors import ListError, UsageError, quoted
from mailer.times import iso

if TYPE_CHECKING:
    from mailer.contacts import ContactList
    from mailer.ledger import Ledger
    from mailer.model import Problem

suppress = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Keep the list of addresses that must not be mailed.",
    epilog="Example: mailer suppress add pat@example.org --reason 'asked by phone'",
)

AddressesArgument = Annotated[
    list[str],
    typer.Argument(metavar="ADDRESS...", help="Addresses, or @domain for a whole domain.", show_default=False),
]


def opened(*, create: bool = True) -> Ledger:
    return open_ledger(settings_here(), create=create)


def normalised(entries: list[str]) -> list[str]:
    """Entries as the ledger keeps them. Raises UsageError for what is neither an address nor a domain."""
    from mailer.suppression import normalise  # noqa: PLC0415

    keys = []
    for number, entry in enumerate(entries, start=1):
        key = normalise(entry)
        local, _, domain = key.rpartition("@")
        if any(char.isspace() or ord(char) < 32 for char in key) or "." not in domain or local.count("@"):
            raise UsageError(
                f"Entry {number} is neither an address nor a domain. Nothing was changed.",
                hint="write for example pat@example.org, or @example.org for everybody there",
            )
        keys.append(key)
    return list(dict.fromkeys(keys))


def say_added(added: int, known: int) -> None:
    """How many were added, and where they are kept: another campaign folder knows nothing of them."""
    more = each(added, "address", "addresses") or "Nobody new"
    before = f" {each(known, 'was', 'were')} there already." if known else ""
    console.say(f"Suppressed in this folder's ledger: {more}.{before}", sentence=True)


@suppress.command("add")
def add(
    addresses: AddressesArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is shown in reports.")] = "asked not to be mailed",
    as_json: JsonOption = False,
) -> None:
    """Never mail these addresses again.

    \b
    Example:
      mailer suppress add pat@example.org --reason "asked by phone"
    """  # noqa: D301
    keys = normalised(addresses)
    with opened() as ledger:
        added = ledger.suppress(((key, reason) for key in keys), source="by hand")
    if as_json:
        console.emit({"added": added, "known": len(keys) - added})
    else:
        say_added(added, len(keys) - added)


@suppress.command("remove")
def remove(addresses: AddressesArgument, *, as_json: JsonOption = False) -> None:
    """Allow these addresses to be mailed again.

    \b
    Example:
      mailer suppress remove pat@example.org
    """  # noqa: D301
    keys = normalised(addresses)
    with opened() as ledger:
        removed = ledger.unsuppress(keys)
        still = ledger.suppressions()
        domains = sorted({domain for key in keys if (domain := f"@{key.rpartition('@')[2]}") in still})
        begun = left_out(ledger, [key for key in keys if f"@{key.rpartition('@')[2]}" not in still])
    if as_json:
        unknown = len(keys) - removed
        console.emit({"removed": removed, "unknown": unknown, "suppressed_by": domains, "left_out_in": begun})
    else:
        say_removed(keys, removed, domains)
        say_left_out(begun)


def left_out(ledger: Ledger, keys: list[str]) -> list[str]:
    """The campaigns that have begun without somebody of these; any other is frozen anew when it begins."""
    return [name for name in ledger.left_out(keys) if ledger.tried(ledger.find(name))]


def say_removed(keys: list[str], removed: int, domains: list[str]) -> None:
    """What changed; and who is suppressed all the same, with everybody at their domain."""
    unknown = len(keys) - removed
    rest = f" {each(unknown, 'was', 'were')} not suppressed." if unknown else ""
    if removed:
        what = ("entry was removed", "entries were removed") if domains else ("address may", "addresses may")
        console.say(f"{each(removed, *what)}{'' if domains else ' be mailed again'}.{rest}", sentence=True)
    else:
        which = "none of those addresses was" if unknown > 1 else "that address was not"
        console.say(f"Nothing was changed: {which} suppressed{' by itself' if domains else ''}.", sentence=True)
    for domain in domains:
        console.say(f"Everybody {domain} is suppressed. To mail them again:", sentence=True)
        console.say(f"  mailer suppress remove {domain[1:]}")  # to PowerShell a word with @ is no word


def say_left_out(begun: list[str]) -> None:
    """Who was left out of a campaign stays so, until somebody says otherwise."""
    for name in begun:
        console.say(
            f"Campaign {name} has begun without them, and leaves them out. To mail them there, too:", sentence=True
        )
        console.say(f"  mailer retry {quoted(name)}")


@suppress.command("list")
def list_(*, as_json: JsonOption = False) -> None:
    """Show who is suppressed, why and since when.

    \b
    Example:
      mailer suppress list
    """  # noqa: D301
    with opened() as ledger:
        rows = ledger.suppression_rows()
    if as_json:
        names = ("address", "reason", "source", "since")
        console.emit({"suppressions": [dict(zip(names, (*row[:3], iso(row[3])), strict=True)) for row in rows]})
    elif rows:
        console.table(["address", "reason", "source", "since"], [(*row[:3], f"{row[3]:%Y-%m-%d}") for row in rows])
    else:
        console.say("Nobody is suppressed.")


@suppress.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list with the addresses.", show_default=False)],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "imported",
    email_column: EmailColumnOption = None,
    sheet: SheetOption = None,
    problems: ProblemsOption = None,
    skip_problems: SkipProblemsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Suppress every address of a list.

    It may have any format that `mailer check` reads. A row with a usable address is taken whatever else is wrong with it. Ends with exit code 2 if rows hold no usable
    address, unless --skip-problems; the addresses of the other rows are suppressed all the same.

    \b
    Example:
      mailer suppress import unsubscribed.csv --reason "unsubscribed in the old tool"
    """  # noqa: D301
    from mailer import contacts  # noqa: PLC0415 - imports pandas

    keep_outside(problems)
    people = contacts.read(file, email_column=email_column, sheet=sheet, unlock=unlocking())
    save_problems(problems, people)
    keys = addresses_of(people)
    unusable = {row.row for row in people.bad_rows if not row.address}
    with opened() as ledger:
        added = ledger.suppress(((key, reason) for key in keys), source=f"imported from {file.name}")
    told = [problem for problem in people.problems if problem.row in unusable]
    if as_json:
        found = [console.as_data(problem) for problem in told]
        console.emit({"added": added, "known": len(keys) - added, "unreadable": len(unusable), "problems": found})
    else:
        say_added(added, len(keys) - added)
        show_unusable(len(unusable), told, problems)
    if unusable and not skip_problems:
        raise typer.Exit(ListError.exit_code)


def addresses_of(people: ContactList) -> list[str]:
    """Every usable address, also of rows that could not be mailed for another reason, each once."""
    from mailer.suppression import normalise  # noqa: PLC0415

    faulty = (normalise(row.address) for row in people.bad_rows if row.address)
    return list(dict.fromkeys([*(contact.key for contact in people), *faulty]))


def show_unusable(count: int, told: list[Problem], file: Path | None) -> None:
    """The rows that nobody could be suppressed for."""
    if not count:
        return
    rows = "1 row holds" if count == 1 else f"{count} rows hold"
    console.note(
        f"{rows} no usable address, so nobody was suppressed for {'it' if count == 1 else 'them'}:", style="red"
    )
    console.show_problems(told, rest="; all of them: --problems FILE")
    if file:
        console.note(f"All rows with problems are in {file}.")
