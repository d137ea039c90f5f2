"""What a campaign is made of, as its owner names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailer.age import Unlock, no_key, plain_name
from mailer.campaign.timing import NOTHING_SAID, Timing


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
        # by its name inside the folder, under which its files are frozen
        path, folder = Path(self.template), self.folder.resolve()
        if path.is_absolute() and path.is_relative_to(folder):
            object.__setattr__(self, "template", path.relative_to(folder).as_posix())

    @property
    def name(self) -> str:
        """The campaign's name: as given, or TEMPLATE--LIST from the two stems."""
        return self.campaign or default_name(self.template, self.list_path)


def default_name(template: str, list_path: Path) -> str:
    """TEMPLATE--LIST from the two stems."""
    path = Path(template)
    stem = path.parent.name if path.name == "letter.md" else path.name.removesuffix(".md")
    return f"{stem}--{plain_name(list_path).stem}"
