"""What is odd about the place of a ledger: a folder that a service copies, or another ledger inside of the campaign's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mailer.errors import quoted
from mailer.ledger.filesystem import synced_warning
from mailer.model import LedgerPlace, Problem, Severity, said

USUAL = "mailer.db"
WITHIN = ("*", "templates/*")
"""Where somebody may have stood who ran a command in the wrong folder."""


def odd_places(place: LedgerPlace, folder: Path) -> list[Problem]:
    """Warnings about where a ledger lies, and about others in the campaign's `folder`."""
    synced = synced_warning(place)
    return [*([synced] if synced else []), *_strays(place, folder)]


def _strays(place: LedgerPlace, folder: Path) -> Iterator[Problem]:
    """Ledgers in folders of the campaign's that are no campaign folders themselves. No send asks them."""
    name = place.name if isinstance(place, Path) else USUAL
    ours = place.resolve() if isinstance(place, Path) else None
    for path in sorted(path for inside in WITHIN for path in folder.glob(f"{inside}/{name}")):
        own = (path.parent / "mailer.toml").exists() or path.parent.name.startswith(".")
        if own or path.resolve() == ours or not path.is_file():
            continue
        yield Problem(
            code="stray-ledger",
            message=said(
                "There is another ledger in {folder}, made by a command that was run there. Whom it suppressed is mailed from here"
                " all the same, and whom it mailed may be mailed again.",
                folder=path.parent.relative_to(folder).as_posix(),
            ),
            file=path.as_posix(),
            hint=_way_out(path, folder),
            severity=Severity.WARNING,
        )


def _way_out(path: Path, folder: Path) -> str:
    inside = path.parent.relative_to(folder)
    back = Path(*[".."] * len(inside.parts))
    return said(
        "To take over whom it suppressed: cd {inside}, then mailer suppress export {file}, then cd {back} and mailer suppress import"
        " suppressed.csv. What it sent: mailer status, in that folder. Then delete {ledger}, or move it away.",
        inside=quoted(inside.as_posix()),
        file=(back / "suppressed.csv").as_posix(),
        back=back.as_posix(),
        ledger=quoted(path.as_posix()),
    )
