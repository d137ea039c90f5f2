"""`mailer export` and `erase`: what is kept about people, for whoever asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailer.cli import console
from mailer.cli.confirming import have_typed
from mailer.cli.options import JsonOption, settings_here
from mailer.cli.recipients import each
from mailer.cli.suppress import normalised, warn_of_moved
from mailer.cli.unlocking import keep_outside, open_ledger
from mailer.errors import CampaignError, LedgerError, UsageError, quoted
from mailer.times import iso, local_time

if TYPE_CHECKING:
    from mailer.campaign.whereabouts import Whereabouts
    from mailer.ledger import Ledger
    from mailer.model import Dossier, Erased, Mention

SQLITE = b"SQLite format 3\0"

SHOWN = 20
"""Files that are named on the terminal; --json has all."""

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


# -- export


def export(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose.", show_default=False)],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Save it: as JSON in a .json, else as text.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything that is kept about a person.

    From the ledger: the rows of each campaign, each try and what the server said, what came back, suppressions. Besides, the files in this
    folder that name the address.

    \b
    Example:
      mailer export pat@example.org --out pat.txt
    """  # noqa: D301
    [key] = persons([address])
    keep_outside(out)
    if out and out.exists():
        raise UsageError(
            f"{console.short(str(out))} is already there. Nothing was changed.", hint="choose another name with --out"
        )
    with open_ledger(settings_here(), create=False) as ledger:
        dossier = ledger.dossier(key)
        warn_of_moved(ledger)
        places = looked_through(ledger, [key])
    data = as_data(dossier, places)
    if out:
        text = (
            json.dumps(data, ensure_ascii=False, indent=2) if out.suffix.lower() == ".json" else "\n".join(told(data))
        )
        save(out, text + "\n")
    if as_json:
        console.emit({**data, "out": str(out) if out else None})
    elif out:
        console.say(f"Saved in {out}.", sentence=True)
    else:
        for line in told(data):
            console.say(line)


def persons(addresses: list[str]) -> list[str]:
    """As the ledger keeps them. Raises UsageError: a @domain is nobody, and as a hash it would keep nobody out any more."""
    keys = normalised(addresses)
    for number, key in enumerate(keys, start=1):
        if key.startswith("@"):
            raise UsageError(
                f"Entry {number} is a whole domain, and no person. Nothing was changed.",
                hint=f"name the people one by one; so that nobody there is mailed any more: mailer suppress add {quoted(key)}",
            )
    return keys


def save(out: Path, text: str) -> None:
    """Raises UsageError if it cannot be written."""
    try:
        out.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        why = error.strerror or "it cannot be written"
        raise UsageError(
            f"{console.short(str(out))} cannot be written: {why}.", hint="choose another place with --out"
        ) from error


def as_data(dossier: Dossier, places: Whereabouts) -> dict[str, Any]:
    """What is known of a person, for --json and for FILE."""
    return {
        "address": dossier.key,
        "known": dossier.is_known,
        "deliveries": [plain(asdict(one)) for one in dossier.deliveries],
        "suppressions": [
            {
                "reason": one.reason.value,
                "note": one.note,
                "source": one.source,
                "since": iso(one.since),
                "list": one.scope or None,
                "only_a_hash": one.entry is None,
            }
            for one in dossier.suppressions
        ],
        "mentions": [plain(asdict(one)) for one in dossier.mentions],
        "previews": dossier.previews,
        **files(places),
    }


def plain(value: Any) -> Any:
    """With times as text."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def told(data: dict[str, Any]) -> Iterator[str]:
    """The same for people, line by line."""
    yield f"What mailer keeps about {data['address']}, on {local_time(time.time())}."
    if not (data["known"] or data["suppressions"] or data["files"]):
        yield "Nothing."
    for one in data["deliveries"]:
        yield from of_delivery(one)
    for one in data["suppressions"]:
        yield ""
        which = f"the list {one['list']}" if one["list"] else "all lists"
        kept = ", kept as a hash without the address" if one["only_a_hash"] else ""
        note = f" ({one['note']})" if one["note"] else ""
        yield f"Not mailed from {which}: {one['reason']}{note}, {one['source']}, since {one['since']}{kept}."
    for one in data["mentions"]:
        yield ""
        yield f"Row {one['row']} of somebody else, campaign {one['campaign']}, names the address: {', '.join(one['fields'])}."
    if data["previews"]:
        yield ""
        previews = each(data["previews"], "preview knows", "previews know")
        yield f"{previews} that the address was in the list, and a checksum of its row."
    if data["files"]:
        yield ""
        yield "Files in this folder that name the address:"
        yield from (f"  {path}" for path in data["files"])
    if data["files_not_readable"]:
        yield ""
        yield "Files in which mailer cannot look; look yourself:"
        yield from (f"  {path}" for path in data["files_not_readable"])


def of_delivery(one: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"Campaign {one['campaign']}, row {one['row']}: {one['status']}, {one['updated_at']}"
    for name in ("address", "name", "language", "reason", "message_id"):
        if one[name]:
            yield f"  {name.replace('_', ' ')}: {one[name]}"
    for name, value in one["fields"].items():
        for field, cell in value.items() if isinstance(value, dict) else [("", value)]:
            yield f"  {name}{'.' if field else ''}{field}: {cell}"
    for attempt in one["attempts"]:
        words = " ".join(filter(None, (attempt["verdict"], attempt["text"])))
        yield f"  tried {attempt['at']} over {attempt['account']}: {words or 'no answer'}"
    for event in one["events"]:
        yield f"  came back {event['at']}: {' '.join(filter(None, (event['kind'], event['text'])))}"


# -- erase


def erase(
    addresses: Annotated[
        list[str], typer.Argument(metavar="ADDRESS...", help="Who is to be forgotten.", show_default=False)
    ],
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forget people who ask for it, and never mail them again.

    Their rows in the ledger lose address, name and fields, each try the server's words. Counts stay, and so does a hash by which they are
    recognised if they are ever on a list again. Lists, previews and other files are yours: those that name an address are listed.

    \b
    Example:
      mailer erase pat@example.org
    """  # noqa: D301
    keys = persons(addresses)
    with open_ledger(settings_here(), create=False) as ledger:
        refuse_undecided(ledger, keys)
        if not yes:
            whom = "this person" if len(keys) == 1 else f"these {len(keys)} people"
            have_typed(
                "erase",
                f"Type erase to forget {whom} for good",
                nobody=f"Nobody is there to confirm that {whom} should be forgotten.",
                otherwise="Nothing was erased.",
            )
        # once more: while the question stood there a campaign may have gone on
        keepers = ledger.keeps_files(keys)
        erased = ledger.erase(keys, first=lambda: refuse_undecided(ledger, keys))
        mentions = ledger.mentions(keys)
        warn_of_moved(ledger)
        places = looked_through(ledger, keys)
    if as_json:
        console.emit(
            {
                "addresses": len(keys),
                **asdict(erased),
                "mentions": [plain(asdict(one)) for one in mentions],
                "attachments": keepers,
                **files(places),
            }
        )
    else:
        say_erased(keys, erased, mentions, keepers, places)
    finish_unwiped(erased, f"mailer erase {' '.join(map(quoted, keys))}")


def say_erased(
    keys: Sequence[str], erased: Erased, mentions: Sequence[Mention], keepers: Sequence[str], places: Whereabouts
) -> None:
    parts = (
        each(erased.deliveries, "row", "rows"),
        each(erased.attempts, "try", "tries"),
        each(erased.events, "event", "events"),
        each(erased.previews, "line in a preview", "lines in previews"),
    )
    what = ", ".join(filter(None, parts))
    console.say(f"Erased: {what}." if what else "The ledger knew nothing of them.", sentence=True)
    console.say(
        "The address is never mailed again; of it only a hash is kept."
        if len(keys) == 1
        else "The addresses are never mailed again; of them only hashes are kept."
    )
    say_kept(mentions, keepers)
    say_where(places, "These files still name an address. Delete the rows, or the files:")
    for path in filter(is_database, places.found):
        console.say(f"{path} may be a ledger that is in use. If so, keep it, and run the same command for it, too:")
        console.say(f"  set MAILER_LEDGER to {quoted(f'sqlite:///{path.as_posix()}')}")


def finish_unwiped(erased: Erased, command: str) -> None:
    """Say why old bytes may be left, and what makes an end of them; that is left to do, as the exit code says."""
    if not erased.unwiped:
        return
    console.warn(
        f"What was erased stays so, but old bytes of it may still lie in unused parts of the ledger. {erased.unwiped}"
    )
    console.note("Once that is mended, the same command finishes it:")
    console.note(f"  {command}")
    raise typer.Exit(LedgerError.exit_code)


def is_database(path: Path) -> bool:
    """Whether it is one of SQLite's: a back-up of the ledger, or one from which campaigns moved to PostgreSQL."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE
    return False


def say_kept(mentions: Sequence[Mention], keepers: Sequence[str]) -> None:
    """Where the ledger itself may still name them: in what belongs to others."""
    if mentions:
        console.say("The ledger still names an address in rows of other people:")
        for one in mentions[:SHOWN]:
            console.say(f"  campaign {one.campaign}, row {one.row}: {', '.join(one.fields)}")
        if len(mentions) > SHOWN:
            console.say(f"  and {len(mentions) - SHOWN} more (all of them: --json)")
        console.say("These go when that campaign is over: mailer purge --campaign NAME")
    for name in keepers:
        console.say(
            f"Campaign {name} keeps the files that were attached for single rows, theirs perhaps, until it is over and: "
            f"mailer purge --campaign {quoted(name)}"
        )


def refuse_undecided(ledger: Ledger, keys: Sequence[str]) -> None:
    """Raise CampaignError while a message of theirs is on its way or in doubt: nobody could decide about it any more."""
    if names := ledger.undecided(keys):
        raise CampaignError(
            f"In campaign {names[0]} a message to one of them is on its way, or nobody knows whether it arrived. Nothing was erased.",
            hint=f"wait until the campaign has ended, or decide about it first: mailer resolve {quoted(names[0])}",
        )


# -- what lies beside the ledger


def looked_through(ledger: Ledger, keys: Sequence[str]) -> Whereabouts:
    """The files of this folder that name one of these."""
    from mailer.campaign.whereabouts import whereabouts  # noqa: PLC0415

    return whereabouts(Path.cwd(), keys, ledger=None if ledger.is_shared else ledger.path)


def files(places: Whereabouts) -> dict[str, list[str]]:
    return {
        "files": [path.as_posix() for path in places.found],
        "files_not_readable": [path.as_posix() for path in places.closed],
    }


def say_where(places: Whereabouts, sentence: str) -> None:
    """Name the files, each on a line of its own."""
    for paths, words in ((places.found, sentence), (places.closed, "In these mailer cannot look; look yourself:")):
        if paths:
            console.say(words)
            for path in paths[:SHOWN]:
                console.say(f"  {path}")
            if len(paths) > SHOWN:
                console.say(f"  and {len(paths) - SHOWN} more (all of them: --json)")
