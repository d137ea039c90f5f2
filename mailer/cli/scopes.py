"""For which list somebody is suppressed: `--list NAME`, and the lists that there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mailer.errors import UsageError, quoted

if TYPE_CHECKING:
    from mailer.ledger import Ledger

LISTED = 10
"""Names of lists that a refusal shows."""


def scope_of(name: str | None) -> str | None:
    """What a list is called in the ledger. Raises UsageError if that is nothing."""
    from mailer.suppression import list_name  # noqa: PLC0415

    if name is None:
        return None
    if scope := list_name(name):
        return scope
    raise UsageError("--list names no list.", hint="the name of the list's file, for example --list branches")


def refuse_unknown_list(ledger: Ledger, name: str | None, scope: str | None) -> None:
    """A list that is nowhere is misspelt: whoever asked not to be mailed would be all the same. Raises UsageError.

    A list that lies elsewhere can be named by its path, and one that is gone is known by its campaigns and suppressions.
    """
    if name is None or scope is None or Path(name).is_file():
        return
    here = lists_here()
    known = (ledger.list_names() | {one.scope for one in ledger.suppression_rows()} | here) - {""}
    if scope in known:
        return
    raise UsageError(
        f"There is no list called {scope} here, and no campaign was sent to one. Nothing was changed.",
        hint=meant(scope, sorted(known))
        if known
        else "there is no list here yet: put it into contacts/ first, or give its path, for example --list contacts/branches.csv",
    )


def lists_here() -> set[str]:
    """What the lists in this folder are called, encrypted ones included."""
    from mailer.suppression import ENCRYPTED, ENDINGS, list_name  # noqa: PLC0415

    endings = {*ENDINGS, ENCRYPTED}
    # beside the folders lies README.txt
    places = ((Path(), endings - {".txt"}), (Path("contacts"), endings))
    found = (path for place, those in places for path in place.glob("*.*") if path.suffix.lower() in those)
    return {list_name(path.name) for path in found}


def meant(scope: str, known: list[str]) -> str:
    """Which list was meant, if that can be told, and which ones there are."""
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(scope, known, 1)
    shown = ", ".join(known[:LISTED]) + (f" and {len(known) - LISTED} more" if len(known) > LISTED else "")
    first = f"did you mean --list {quoted(close[0])}? " if close else ""
    return f"{first}The lists are: {shown}. For a list that lies elsewhere give its path."
