"""`mailer new`: a campaign folder to start from."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from mailer.cli import console
from mailer.errors import UsageError, quoted

RENAMED = {"gitignore.txt": ".gitignore"}
"""Under its true name git and the build would obey it inside this package."""

NEXT = (
    "mailer setup",
    "mailer check contacts/my-list.csv",
    "mailer preview my-letter contacts/my-list.csv --open",
    "mailer send my-letter contacts/my-list.csv",
)


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.", show_default=False)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")] = False,
) -> None:
    """Make a folder for a campaign: a letter, a list and settings to start from.

    Nothing is ever overwritten: the folder must be new or empty.

    \b
    Example:
      mailer new "my campaign"
    """  # noqa: D301  \b is typer's sign to keep the lines below as they are
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"There is already something at {folder}. Nothing was changed.",
                hint=f"Choose another name, for example: mailer new {quoted(f'{folder}-2')}",
            )
        folder.mkdir(parents=True, exist_ok=True)
        made = copy(files("mailer.cli") / "starter", folder)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this cannot be the name of a folder"
        raise UsageError(f"The folder {folder} cannot be made: {reason}", hint="Choose another place.") from error
    steps = [f"cd {quoted(folder)}", *NEXT]
    if as_json:
        console.emit({"folder": str(folder), "files": sorted(made), "next": steps})
        return
    console.say(f"Your campaign folder is ready: {folder}")
    for path in sorted(made):
        console.say(f"  {path}")
    console.say(
        "\nWrite your letter, put in your list, say who sends. In the browser it is all one page: mailer web. Or in the terminal:\n",
        sentence=True,
    )
    for step in steps:
        console.say(f"  {step}")


def copy(source: Traversable, target: Path) -> list[str]:
    """Copy a package folder; returns the files' paths inside the target."""
    made = []
    for item in source.iterdir():
        path = target / RENAMED.get(item.name, item.name)
        if item.is_dir():
            path.mkdir(exist_ok=True)
            made += [f"{path.name}/{name}" for name in copy(item, path)]
        else:
            with path.open("xb") as file:
                file.write(item.read_bytes())
            made.append(path.name)
    return made
