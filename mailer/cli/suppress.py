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
from mailer.cli.saving import keep_others, save_problems
from mailer.cli.scopes import refuse_unknown_list, scope_of
from mailer.cli.unlocking import keep_outside, open_ledger, unlocking
from mailer.errors import ListError, UsageError, quoted
from mailer.times import iso

if TYPE_CHECKING:
    from mailer.campaign.pasted import Pasted
    from mailer.ledger import Ledger
    from mailer.model import Problem, Reason, Suppression

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


ListOption = Annotated[
    str | None,
    typer.Option("--list", metavar="NAME", help="For this list only: the name of its file.", show_default=False),
]
HOW_WRITTEN = (
    "write for example pat@example.org, or @example.org for everybody there; several with a comma between them"
)
REASON = "Why: unsubscribed, complaint, bounce, or in your own words. Reports show it."


def in_words(text: str) -> tuple[Reason | None, str]:
    """What --reason says: one of the usual words, or a note."""
    from mailer.model import Reason  # noqa: PLC0415

    word = next((one for one in Reason if one == text.strip().lower()), None)
    return (word, "") if word else (None, text)


def opened(*, create: bool = True) -> Ledger:
    return open_ledger(settings_here(), create=create)


def warn_of_moved(ledger: Ledger) -> None:
    """Say which campaigns of this ledger go on in another one, which does not hear of what is noted here."""
    if names := ledger.moved_names():
        console.warn(
            f"Campaigns that go on in PostgreSQL do not hear of this: {', '.join(map(quoted, names))}. Run the same command once more with"
            " MAILER_LEDGER set to that database."
        )


def read_all(texts: list[str]) -> Pasted:
    """Whom these name, several to each if need be. Raises UsageError if that is nobody."""
    from mailer.campaign.pasted import read_pasted  # noqa: PLC0415

    found = read_pasted(texts)
    if not found.keys:
        refuse_unread(found)
    return found


def normalised(texts: list[str]) -> list[str]:
    """Whom these name, as the ledger keeps them. Raises UsageError if anything in them names nobody."""
    found = read_all(texts)
    refuse_unread(found)
    return list(found.keys)


def refuse_unread(found: Pasted) -> None:
    """Raises UsageError if something names nobody, and says where."""
    from mailer.model import Problem  # noqa: PLC0415

    if found.keys and not found.unread:
        return
    sentences = [one.sentence for one in found.unread] or ["No address was named."]
    several = len(sentences) > 1
    raise UsageError(
        f"{'Some entries cannot be read.' if several else sentences[0]} Nothing was changed.",
        hint=HOW_WRITTEN,
        problems=[Problem(code="no-entry", message=one) for one in sentences] if several else [],
    )


def say_added(added: int, known: int, scope: str | None = None) -> None:
    """How many were added, and where they are kept: another campaign folder knows nothing of them."""
    more = each(added, "address", "addresses") or "nobody new"
    before = f" {each(known, 'was', 'were')} there already." if known else ""
    whence = f" for the list {scope}" if scope else ""
    console.say(f"Suppressed in this folder's ledger{whence}: {more}.{before}", sentence=True)


def show_unread(found: Pasted) -> None:
    """What named nobody, by its place among what was given."""
    from mailer.model import Problem  # noqa: PLC0415

    if found.unread:
        console.note("Nobody was suppressed for these:", style="red")
        told = [Problem(code="no-entry", message=one.sentence) for one in found.unread]
        console.show_problems(told, rest="; all of them: --json", hints=[HOW_WRITTEN])


@suppress.command("add")
def add(
    addresses: AddressesArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", help=REASON)] = "asked not to be mailed",
    only: ListOption = None,
    as_json: JsonOption = False,
) -> None:
    """Never mail these addresses again, from whatever list; with --list NAME from that list only.

    A @domain stands for everybody there, but not for its sub-domains. Several may stand in one word in quotation marks, as they were
    copied. What cannot be read is told by its place, and ends with exit code 2; the others are suppressed all the same.

    \b
    Example:
      mailer suppress add pat@example.org --reason "asked by phone"
      mailer suppress add "Ana Berg <ana@example.org>; bo@example.org"
    """  # noqa: D301
    from mailer.model import EVERYWHERE, Reason  # noqa: PLC0415

    found, scope = read_all(addresses), scope_of(only)
    keys = found.keys
    word, note = in_words(reason)
    with opened() as ledger:
        refuse_unknown_list(ledger, only, scope)
        pairs = [(key, note) for key in keys]
        added = ledger.suppress(pairs, source="by hand", reason=word or Reason.MANUAL, scope=scope or EVERYWHERE)
        warn_of_moved(ledger)
    if as_json:
        told = [{"entry": one.number, "message": one.sentence} for one in found.unread]
        console.emit({"added": added, "known": len(keys) - added, "unreadable": len(told), "problems": told})
    else:
        say_added(added, len(keys) - added, scope)
        show_unread(found)
    if found.unread:
        raise typer.Exit(UsageError.exit_code)


@suppress.command("remove")
def remove(addresses: AddressesArgument, *, only: ListOption = None, as_json: JsonOption = False) -> None:
    """Allow these addresses to be mailed again; with --list NAME from that list only.

    \b
    Example:
      mailer suppress remove pat@example.org
    """  # noqa: D301
    from mailer.model import EVERYWHERE  # noqa: PLC0415
    from mailer.suppression import found_among  # noqa: PLC0415

    keys, scope = normalised(addresses), scope_of(only)
    with opened() as ledger:
        refuse_unknown_list(ledger, only, scope)
        removed = ledger.unsuppress(keys, scope=scope)
        still = ledger.suppressions(scope or EVERYWHERE)
        held = still.entries.keys() | found_among(keys, still)
        domains = sorted({domain for key in keys if (domain := f"@{key.rpartition('@')[2]}") in held})
        everywhere = [key for key in keys if key in held and key not in domains]
        begun = left_out(ledger, [key for key in keys if not {key, f"@{key.rpartition('@')[2]}"} & held])
    if as_json:
        unknown = len(keys) - removed
        console.emit({"removed": removed, "unknown": unknown, "suppressed_by": domains, "left_out_in": begun})
    else:
        say_removed(keys, removed, domains, everywhere)
        say_left_out(begun)


def left_out(ledger: Ledger, keys: list[str]) -> list[str]:
    """The campaigns that have begun without somebody of these; any other is frozen anew when it begins."""
    return [name for name in ledger.left_out(keys) if ledger.tried(ledger.find(name))]


def say_removed(keys: list[str], removed: int, domains: list[str], everywhere: list[str]) -> None:
    """What changed; and who is suppressed all the same, with everybody at their domain."""
    unknown = len(keys) - removed
    rest = f" {each(unknown, 'was', 'were')} not suppressed." if unknown else ""
    if removed:
        what = (
            ("entry was removed", "entries were removed") if domains or everywhere else ("address may", "addresses may")
        )
        console.say(
            f"{each(removed, *what)}{'' if domains or everywhere else ' be mailed again'}.{rest}", sentence=True
        )
    else:
        which = "none of those addresses was" if unknown > 1 else "that address was not"
        console.say(f"Nothing was changed: {which} suppressed{' by itself' if domains else ''}.", sentence=True)
    for domain in domains:
        console.say(f"Everybody {domain} is suppressed. To mail them again:", sentence=True)
        console.say(f"  mailer suppress remove {domain[1:]}")  # to PowerShell a word with @ is no word
    if everywhere:
        whom = each(len(everywhere), "is", "are")
        console.say(f"{whom} suppressed for all lists. To mail them again, leave out --list.", sentence=True)


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
        kept = ledger.suppression_rows()
    if as_json:
        console.emit({"suppressions": [as_data(one) for one in kept]})
    elif kept:
        for_lists = any(one.scope for one in kept)
        columns = ["address", "reason", "source", "since", *(["list"] if for_lists else [])]
        console.table(columns, [[*shown(one), *([one.scope or "(all)"] if for_lists else [])] for one in kept])
    else:
        console.say("Nobody is suppressed.")


def as_data(one: Suppression) -> dict[str, object]:
    """A suppression for --json."""
    return {
        "address": one.entry,
        "reason": one.reason,
        "note": one.note,
        "source": one.source,
        "since": iso(one.since),
        "list": one.scope or None,
        "erased": one.entry is None,
    }


def shown(one: Suppression) -> list[str]:
    """Its cells in the table."""
    why = f"{one.reason}: {one.note}" if one.note else str(one.reason)
    return ["(erased)" if one.entry is None else one.entry, why, one.source, f"{one.since:%Y-%m-%d}"]


@suppress.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The CSV file to write.", show_default=False)],
    *,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Write no address, only hashes and the key to them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Save who is suppressed as a table, for another folder or program.

    Hashes stand for people whose address was erased, with --hashes for everybody; whole domains stay legible. The key to hashes is
    written into FILE.key: whoever has both can try out whether an address is among them, so hand them on by two different ways.

    \b
    Example:
      mailer suppress export suppressed.csv
    """  # noqa: D301
    from mailer.campaign.suppressing import is_export, write_export  # noqa: PLC0415

    keep_others(file, is_export)
    keep_outside(file)  # hashes as well: with the key beside them anybody can try out who is among them
    with opened() as ledger:
        kept = ledger.suppression_rows()
    key = write_export(file, kept, only_hashes=hashes)
    if as_json:
        console.emit({"file": str(file), "rows": len(kept), "key": str(key) if key else None})
        return
    console.say(
        f"Saved in {file}: {each(len(kept), 'suppression', 'suppressions') or 'nobody is suppressed'}.", sentence=True
    )
    if key:
        console.say(f"The key to its hashes is in {key}. Hand it on by another way than {file.name}.", sentence=True)


@suppress.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list with the addresses.", show_default=False)],
    *,
    reason: Annotated[str | None, typer.Option("--reason", help=REASON, show_default=False)] = None,
    only: ListOption = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="FILE", help="The key to an export's hashes, if not beside it.", show_default=False
        ),
    ] = None,
    email_column: EmailColumnOption = None,
    sheet: SheetOption = None,
    problems: ProblemsOption = None,
    skip_problems: SkipProblemsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Suppress everybody whom a file names; again changes nothing.

    It may be what `mailer suppress export` wrote, one address or @domain a line, or a list in any format that `mailer check`
    reads, as other programs export it. A row with a usable address is taken whatever else is wrong with it. Ends with exit
    code 2 if rows hold no usable address, unless --skip-problems; the addresses of the other rows are suppressed all the same.

    \b
    Example:
      mailer suppress import unsubscribed.csv --reason "unsubscribed in the old tool"
    """  # noqa: D301
    from mailer.campaign.suppressing import Asked, read_suppressions  # noqa: PLC0415

    keep_outside(problems)
    word, note = in_words(reason) if reason is not None else (None, None)
    asked = Asked(reason=word, note=note, scope=scope_of(only))
    with opened() as ledger:
        refuse_unknown_list(ledger, only, asked.scope)
        found = read_suppressions(
            file,
            asked,
            secrets=ledger.suppression_secrets(),
            key_file=key,
            email_column=email_column,
            sheet=sheet,
            unlock=unlocking(),
        )
        if problems and found.people is None:
            raise UsageError("--problems is for lists with columns. Nothing was changed.", hint="leave it out")
        if found.people is not None:
            save_problems(problems, found.people)
        added = sum(ledger.take_over(found.suppressions))
        warn_of_moved(ledger)
    known = len(found.suppressions) - added
    if as_json:
        counts = {"rows": found.rows, "added": added, "known": known, "repeated": found.repeated}
        told = [console.as_data(problem) for problem in found.problems]
        console.emit({**counts, "unreadable": found.refused, "problems": told})
    else:
        say_added(added, known, asked.scope)
        if found.repeated:
            console.say(f"{each(found.repeated, 'row repeats', 'rows repeat')} one before.", sentence=True)
        show_unusable(found.refused, found.problems, problems)
    if found.refused and not skip_problems:
        raise typer.Exit(ListError.exit_code)


def show_unusable(count: int, told: list[Problem], file: Path | None) -> None:
    """The rows that nobody could be suppressed for."""
    if not count:
        return
    rows = "1 row holds" if count == 1 else f"{count} rows hold"
    console.note(
        f"{rows} no usable address, so nobody was suppressed for {'it' if count == 1 else 'them'}:", style="red"
    )
    console.show_problems(told, rest="; all of them: --json, for a list with columns also --problems FILE")
    if file:
        console.note(f"All rows with problems are in {file}.")
