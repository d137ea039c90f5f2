"""What is being prepared: it stands whole in the address of each page, so two tabs and a restart hurt nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from mailer.campaign.source import Source, default_name
from mailer.campaign.timing import Timing
from mailer.settings import Settings
from mailer.web.journey.means import Means

STEPS = ("list", "letter", "preview", "test", "approve", "send")
LISTS = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods", ".json", ".jsonl", ".ndjson", ".parquet"})
LETTERS = ("letter.md", "letter.html", "letter.txt", "letter.docx")
A_LANGUAGE = re.compile(r"\.[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A campaign before it begins. Every text is one that the folder, or the list, really has; `skip` is "1" or empty."""

    list: str = ""
    letter: str = ""
    campaign: str = ""
    column: str = ""
    sheet: str = ""
    skip: str = ""
    zone: str = ""

    @classmethod
    def given(cls, values: Mapping[str, str], folder: Path) -> Draft:
        """From an address or a form. What the folder does not have is as if it were not there: no path leads out of it."""
        draft = cls(**{one.name: values.get(one.name, "").strip()[:300] for one in fields(cls)})
        if draft.list not in lists_in(folder):
            draft = replace(draft, list="", column="", sheet="")
        return draft if draft.letter in letters_in(folder) else replace(draft, letter="")

    @classmethod
    def stored(cls, text: str, folder: Path) -> Draft:
        """From what the ledger keeps of a campaign that is prepared."""
        return cls.given(dict(parse_qsl(text)), folder)

    @property
    def name(self) -> str:
        """The campaign's name; empty while list or letter are not chosen."""
        if self.campaign:
            return self.campaign
        return default_name(self.letter, Path(self.list)) if self.list and self.letter else ""

    @property
    def skips(self) -> bool:
        return self.skip == "1"

    def items(self) -> Iterator[tuple[str, str]]:
        """What is set, by name: for hidden fields and addresses."""
        return ((one.name, value) for one in fields(self) if (value := str(getattr(self, one.name))))

    def url(self, step: str, **changes: str) -> str:
        """The address of a step, with some of it changed."""
        query = urlencode(list(replace(self, **changes).items()))
        return f"/{step}?{query}" if query else f"/{step}"

    def source(self, means: Means, settings: Settings) -> Source:
        """As the campaign's steps take it."""
        return Source(
            template=self.letter,
            list_path=Path(self.list),
            folder=means.folder,
            campaign=self.campaign or None,
            email_column=self.column or None,
            sheet=self.sheet or None,
            timing=Timing(hours=settings.hours, zone=settings.time_zone, column=self.zone or None),
            unlock=means.unlock(settings),
        )

    def arguments(self) -> Sequence[str]:
        """The same at the end of a command line."""
        words: list[str] = []
        for option, value in (
            ("--campaign", self.campaign),
            ("--email-column", self.column),
            ("--sheet", self.sheet),
            ("--zone-column", self.zone),
        ):
            words += [f"{option}={value}"] if value else []
        # a file may be called like an option
        return [*words, *["--skip-problems"] * self.skips, "--", self.letter, self.list]


def lists_in(folder: Path) -> list[str]:
    """The lists of a campaign folder, the newest first."""
    places = [folder, folder / "contacts"]
    found = [path for place in places if place.is_dir() for path in place.iterdir() if _is_list(path)]
    found.sort(key=lambda path: (-path.stat().st_mtime, path.name))
    return [path.relative_to(folder).as_posix() for path in found]


def _is_list(path: Path) -> bool:
    inner = path.with_suffix("") if path.suffix.lower() == ".age" else path
    if inner.suffix.lower() not in LISTS or path.name.startswith((".", "~$")):
        return False
    if inner.suffix.lower() == ".txt" and path.parent.name != "contacts":
        return False  # README.txt
    return path.is_file() and path.resolve().is_relative_to(path.parent.parent.resolve())


def letters_in(folder: Path) -> list[str]:
    """The names of the letters in templates/, each once whatever its languages."""
    shelf = folder / "templates"
    if not shelf.is_dir():
        return []
    names = set()
    for path in shelf.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and any((path / name).is_file() for name in LETTERS):
            names.add(path.name)
        elif path.suffix == ".md" and path.is_file():
            names.add(A_LANGUAGE.sub("", path.stem))
    return sorted(names)
