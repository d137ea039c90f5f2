"""What a campaign is made of, as its owner names it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from mailer.age import Unlock, no_key, plain_name
from mailer.campaign.timing import NOTHING_SAID, Timing

SKIP = "--skip-problems"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a campaign is made of, as the user names it. `folder` is the campaign folder.

    `unlock` opens the list and the letter's tables where they are encrypted.
    """

    template: str
    list_path: Path
    folder: Path = Path()
    campaign: str | None = None
    email_column: str | None = None
    sheet: str | None = None
    timing: Timing = NOTHING_SAID
    unlock: Unlock = no_key

    def __post_init__(self) -> None:
        # as the disk spells them: the campaign's name comes of it, and under another one everybody is mailed again
        object.__setattr__(self, "template", _letter_on_disk(self.template, self.folder))
        object.__setattr__(self, "list_path", on_disk(self.list_path))
        # by its name inside the folder, under which its files are frozen
        path, folder = Path(self.template), self.folder.resolve()
        if path.is_absolute() and path.is_relative_to(folder):
            object.__setattr__(self, "template", path.relative_to(folder).as_posix())

    @property
    def name(self) -> str:
        """The campaign's name: as given, or TEMPLATE--LIST from the two stems."""
        return self.campaign or default_name(self.template, self.list_path)

    @property
    def options(self) -> dict[str, str]:
        """How the list is to be read, as the command line says it."""
        return reading(self.email_column, self.sheet, self.timing.column)


def reading(
    email_column: str | None, sheet: str | None, zone_column: str | None = None, *, skip_problems: bool = False
) -> dict[str, str]:
    """The options that were given of those that say how a list is to be read; a switch has an empty value."""
    named = {"--email-column": email_column, "--sheet": sheet, "--zone-column": zone_column}
    return {option: value for option, value in named.items() if value} | ({SKIP: ""} if skip_problems else {})


def default_name(template: str, list_path: Path) -> str:
    """TEMPLATE--LIST from the two stems."""
    path = Path(template)
    stem = path.parent.name if path.name == "letter.md" else path.name.removesuffix(".md")
    return f"{stem}--{plain_name(list_path).stem}"


def on_disk(path: Path) -> Path:
    """A path as its disk spells it: on many, People.csv and people.csv are one and the same file. As given if there is none."""
    if path.name in {"", ".."}:
        return path
    folder = on_disk(path.parent)
    given = folder / path.name
    with suppress(OSError, ValueError):
        names = [one.name for one in folder.iterdir()]
        if path.name not in names:
            alike = (folder / name for name in names if _folded(name) == _folded(path.name))
            return next((one for one in alike if one.samefile(given)), given)
    return given


def _letter_on_disk(template: str, folder: Path) -> str:
    """A letter's name, or path, as the disk spells it; as given if it is not found, which is for whoever reads it to say."""
    from mailer.merge.place import TEMPLATES  # noqa: PLC0415 - jinja2 comes with it, and a list is checked without a letter

    given = Path(template)
    if given.name in {"", ".."}:
        return template
    # where it is looked for (merge/place.py), in this order
    shelves = (folder, folder / TEMPLATES) if template.endswith(".md") else (folder / TEMPLATES,)
    for place in (shelf / given for shelf in (shelves if len(given.parts) == 1 else (folder,))):
        for file, end in (
            (place / "letter.md", "/letter.md"),
            (place, ""),
            (place.with_name(f"{place.name}.md"), ".md"),
        ):
            if file.suffix == ".md" and os.path.isfile(file):  # noqa: PTH113 - whatever was typed
                length = len(given.parts) + end.startswith("/")
                found = Path(*on_disk(file).parts[-length:]).as_posix().removesuffix(end)
                return template if Path(found) == given else found
    return template


def _folded(name: str) -> str:
    return normalize("NFC", normalize("NFC", name).casefold())
