"""Where a letter lies, which languages it has, and where the files it names are looked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailer.errors import LetterError
from mailer.merge.complaints import Origin, refuse
from mailer.merge.files import Folder, join, parent, text_of, unsafe_reason
from mailer.merge.front import Split, missing_letter, split
from mailer.model import Files, said

TEMPLATES = "templates"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """`folder` holds the letter's files, `stem` is what their names begin with, `shelf` is where other letters are."""

    name: str
    folder: str
    stem: str
    shelf: str

    @property
    def base(self) -> str:
        return join(self.folder, f"{self.stem}.md")

    @property
    def folders(self) -> tuple[str, ...]:
        """Where the letter's own files are looked for, in this order; "" is the campaign folder."""
        return tuple(dict.fromkeys((self.folder, self.shelf, "")))

    def languages(self, files: Files) -> tuple[str, ...]:
        """Codes of the languages that have a file of their own beside the base letter, as written in their names."""
        pattern = re.compile(rf"{re.escape(self.stem)}\.([A-Za-z]{{2,3}}(?:[-_][A-Za-z0-9]{{2,8}})*)\.md")
        found = (pattern.fullmatch(name) for name in files.names(self.folder))
        return tuple(match[1] for match in found if match)

    def handmade(self, files: Files, kind: str, written: str | None) -> str | None:
        """The path of a hand-made `letter.html` or `letter.txt`, the language's own first."""
        names = ([f"{self.stem}.{written}.{kind}"] if written else []) + [f"{self.stem}.{kind}"]
        paths = [join(self.folder, name) for name in names]
        return next((path for path in paths if files.exists(path)), None)


def in_folder(folder: str) -> Place:
    return Place(name=folder.rpartition("/")[2], folder=folder, stem="letter", shelf=parent(folder))


def in_file(path: str) -> Place:
    stem = path.rpartition("/")[2].removesuffix(".md")
    return Place(name=stem, folder=parent(path), stem=stem, shelf=parent(path))


def on_shelf(name: str, shelf: str, files: Files) -> Place | None:
    """The letter NAME among others: a folder with letter.md, or NAME.md."""
    folder = join(shelf, name)
    if files.exists(join(folder, "letter.md")):
        return in_folder(folder)
    if files.exists(f"{folder}.md"):
        return in_file(f"{folder}.md")
    return None


def locate(reference: str, files: Files) -> tuple[Place, Files]:
    """Find a letter by name or path. Raises LetterError that lists the letters there are."""
    text = reference.strip().replace("\\", "/").rstrip("/")
    text = text.removeprefix("./")
    if not text or "\x00" in text:
        raise missing_letter(reference.strip() or "(nothing)", known_letters(files))
    if isinstance(files, Folder) and Path(text).is_absolute():
        text, files = _from_outside(Path(text), files)
    found = _by_path(text, files)
    if found is None and "/" not in text:
        found = on_shelf(text.removesuffix(".md"), TEMPLATES, files)
    if found is None:
        raise missing_letter(reference.strip(), known_letters(files))
    return found, files


def _from_outside(path: Path, files: Folder) -> tuple[str, Files]:
    try:
        return path.resolve().relative_to(files.root.resolve()).as_posix(), files
    except (ValueError, OSError, RuntimeError):
        folder = path if path.is_dir() else path.parent
        return path.as_posix(), files.admitting(folder)


def _by_path(text: str, files: Files) -> Place | None:
    if "/" not in text and not text.endswith(".md"):
        return None
    if files.exists(join(text, "letter.md")):
        return in_folder(text)
    for path in (text, f"{text}.md"):
        if path.endswith(".md") and files.exists(path):
            return _without_language(path, files)
    return None


def _without_language(path: str, files: Files) -> Place:
    """A language's own file names the whole letter."""
    base = re.sub(r"\.[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*\.md$", ".md", path)
    path = base if files.exists(base) else path
    return in_folder(parent(path)) if path.rpartition("/")[2] == "letter.md" and "/" in path else in_file(path)


def known_letters(files: Files) -> list[str]:
    singles = {re.sub(r"\.md$", "", name) for name in files.names(TEMPLATES) if name.endswith(".md")}
    names = {name for name in singles if name.partition(".")[0] not in singles - {name}}
    if isinstance(files, Folder) and (files.root / TEMPLATES).is_dir():
        names |= {path.parent.name for path in (files.root / TEMPLATES).glob("*/letter.md")}
    return sorted(names)


def normal(code: str) -> str:
    return code.strip().lower().replace("_", "-")


def chain(wanted: str | None, fallbacks: Mapping[str, str]) -> list[str]:
    """Language codes to try, the best first: pt-br, then what stands in for it, then pt."""
    result: list[str] = []
    code = normal(wanted or "")
    while code and code not in result:
        result.append(code)
        code = fallbacks.get(code) or code.rpartition("-")[0]
    return result


def other_letter(name: str, place: Place, files: Files, at: Origin) -> Place:
    """Another letter that this one names, on the same shelf first. Raises LetterError."""
    name = name.removesuffix(".md")
    if unsafe_reason(name):
        raise refuse("letter-missing", said("{name!r} is not the name of a letter here.", name=name), at=at)
    for shelf in dict.fromkeys((place.folder, place.shelf, TEMPLATES)):
        found = on_shelf(name, shelf, files)
        if found:
            return found
    error = missing_letter(name, known_letters(files))
    raise refuse("letter-missing", error.problems[0].message, at=at, hint=error.hint) from None


def in_language(place: Place, wanted: list[str], files: Files) -> str:
    """The path of a letter's text in the first of the languages that it has, else in its default one."""
    written = {normal(code): code for code in place.languages(files)}
    for code in wanted:
        if code in written:
            return join(place.folder, f"{place.stem}.{written[code]}.md")
    return place.base


def split_file(files: Files, path: str) -> Split:
    try:
        return split(text_of(files, path), path)
    except FileNotFoundError as error:
        raise LetterError(said("{path} is missing.", path=path)) from error
