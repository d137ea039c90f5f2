"""The letters of the folder as files: which there are, read and written whole, begun, and begun in another language."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babel import Locale, UnknownLocaleError

from mailer.errors import LetterError, UsageError
from mailer.harmless import is_device
from mailer.merge.files import Folder, find, parent, unsafe_reason
from mailer.merge.front import split
from mailer.merge.fronttext import body_of, with_front
from mailer.merge.place import Place
from mailer.web.journey.draft import A_LANGUAGE, letters_in
from mailer.web.journey.words import gettext as _
from mailer.web.journey.words import later, speaking

LARGEST = 500_000
"""Octets of a letter's text."""

LONGEST_NAME = 61
NAME = re.compile(rf"[^\W_][\w -]{{0,{LONGEST_NAME - 1}}}")
PUNCTUATION = re.compile(r"[\s,:;.!?&()'\"“”„‘’–—-]+")
"""What stands between the words of a name; the slashes of a path do not."""

AROUND = "\"'“”„‘’("
"""What may stand before a name: a dot or a hyphen would hide the file, or make an option of it."""
CODE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")

OFFERED = (
    "am ar az bal be bg bn bs ca ckb cs cy da de el en es et eu fa fi fil fr ga gl gu he hi hr hu hy id is it ja ka km kn ko ku lo lt lv "
    "mk ml mn mr ms my nb ne nl nn pa pl ps pt pt-br ro ru sd si sk sl so sq sr sv sw ta te th ti tl tr uk ur uz vi xh yo zh zu"
)

YAML = (".yaml", ".yml")

GREETING, FRIEND, TEXT, END = (
    later("Dear {name},"),
    later("friend"),
    later("write here what you ask them to do, and why."),
    later("With thanks"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterFile:
    """A letter's file as it was read: its text with line feeds, and how these were written."""

    path: str
    text: str
    mark: bool = False
    windows: bool = False

    @property
    def digest(self) -> str:
        """By which a page tells whether the file is still what it showed."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:24]

    def octets(self, text: str) -> bytes:
        """Another text as this file would hold it."""
        lines = text.replace("\n", "\r\n") if self.windows else text
        return (codecs.BOM_UTF8 if self.mark else b"") + lines.encode()


class LetterFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, letter: str) -> list[str]:
        """The texts of a letter that can be written here, its main one first."""
        if not letter:
            return []
        shelf = self._folder / "templates"
        inside = shelf / letter
        if inside.is_dir():
            found = list(inside.glob("*.md"))
            first = "letter.md"
        else:
            found = [path for path in shelf.glob("*.md") if A_LANGUAGE.sub("", path.stem) == letter]
            first = f"{letter}.md"
        root = self._folder.resolve()
        found = [path for path in found if path.is_file() and path.resolve().is_relative_to(root)]
        found.sort(key=lambda path: (path.name != first, path.name))
        return [path.relative_to(self._folder).as_posix() for path in found]

    def read(self, path: str) -> LetterFile | None:
        """None for one that is no text, or gone, or behind a link out of the folder."""
        if not path:
            return None
        try:
            if not (self._folder / path).resolve().is_relative_to(self._folder.resolve()):
                return None
            content = (self._folder / path).read_bytes()
            text = content.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return None
        windows = 0 < text.count("\n") == text.count("\r\n")
        return LetterFile(
            path=path,
            text=text.replace("\r\n", "\n").replace("\r", "\n"),
            mark=content.startswith(codecs.BOM_UTF8),
            windows=windows,
        )

    def write(self, file: LetterFile, text: str) -> None:
        """Whole or not at all. Raises LetterError, UsageError."""
        content = file.octets(text)
        if len(content) > LARGEST:
            raise LetterError(
                _("The letter is longer than mailer can take."), hint=_("put long texts into an attachment")
            )
        path = self._folder / file.path
        part = path.with_name(f".{path.name}-{os.urandom(6).hex()}")
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            raise UsageError(
                _("The letter cannot be kept: {reason}.").format(reason=error.strerror), hint=_("make room on the disk")
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def begin(self, name: str, columns: Sequence[str]) -> str:
        """A new letter, for a list with these columns if there are any; comes to its name. Raises UsageError."""
        name = PUNCTUATION.sub("-", name.strip().strip(AROUND)).rstrip("-").lower()
        if len(name) > LONGEST_NAME:
            raise UsageError(
                _("A letter's name has at most {number} characters.").format(number=LONGEST_NAME),
                hint=_("write for example spring-appeal"),
            )
        if not NAME.fullmatch(name) or is_device(name):
            raise UsageError(
                _("A letter's name is made of letters, digits and hyphens."), hint=_("write for example spring-appeal")
            )
        if name in letters_in(self._folder):
            raise UsageError(
                _("There is a letter {name} already.").format(name=name), hint=_("choose it, or another name")
            )
        (self._folder / "templates").mkdir(exist_ok=True)
        # whatever the columns are called, mailer knows by what name it writes to somebody
        addressed = "contact.name" if columns and "name" not in columns else "name"
        self.write(LetterFile(path=f"templates/{name}.md", text=""), starter(name, addressed))
        return name

    def begin_language(self, letter: str, code: str, spoken: str) -> str:
        """The letter once more, to be translated; comes to its file. `spoken` is the language that its main file is in. Raises UsageError."""
        main = next(iter(self.of(letter)), "")
        base = self.read(main)
        path = f"{main.removesuffix('.md')}.{code}.md"
        if base is None or not CODE.fullmatch(code):
            raise UsageError(_("Choose a language."), hint=_("go back and choose one from the list"))
        if code == spoken or any(language_of(one) == code for one in self.of(letter)):
            raise UsageError(_("The letter has this language already."), hint=_("open it above the letter"))
        text = with_front(f"---\n---\n{body_of(base.text)}", _to_translate(base.text))
        self.write(LetterFile(path=path, text="", mark=base.mark, windows=base.windows), text)
        return path

    def languages_to_add(self, letter: str, spoken: str) -> list[tuple[str, str]]:
        """Codes and names, by name, of the languages that the letter does not have yet."""
        there = {language_of(one) for one in self.of(letter)} | {spoken}
        found = [(code, language_name(code)) for code in OFFERED.split() if code not in there]
        return sorted(found, key=lambda one: one[1].casefold())


def starter(name: str, addressed: str) -> str:
    """A letter to begin with, in the language of the page. `addressed` is the field that holds somebody's name."""
    # where the page has no such text yet it is English, and says so
    language = speaking() if _(TEXT) != TEXT else "en"
    greeting = _(GREETING).format(name=f'{{{{ {addressed} or "{_(FRIEND)}" }}}}')
    subject = name.replace("-", " ").capitalize()
    return f'---\nsubject: "{subject}"\nlanguage: {language}\n---\n\n{greeting}\n\n{_(TEXT)}\n\n{_(END)}\n'


def _to_translate(text: str) -> dict[str, str]:
    """What stands in the main file's front matter and is read by people."""
    values = split(text, "").values
    return {key: value for key in ("subject", "preheader", "reason") if isinstance(value := values.get(key), str)}


def cases_in(place: Place, folder: Folder) -> list[str]:
    """The files that may hold the particulars of a case, as a letter would name them."""
    found = {name for one in place.folders for name in folder.names(one) if name.endswith(YAML)}
    stems = {name.partition(".")[0] for name in found if name.count(".") == 1}
    # case.de.yaml is what reads differently in German, not a case of its own
    return sorted(name for name in found if name.count(".") == 1 or name.partition(".")[0] not in stems)


def case_files(case: object, place: Place, folder: Folder) -> list[str]:
    """The files that hold the particulars of a letter's case, the main one first, then those of its languages."""
    path = find(folder, case, place.folders) if isinstance(case, str) and not unsafe_reason(case) else None
    if path is None or not path.endswith(YAML):
        return []
    stem, dot, ending = path.rpartition(".")
    own = re.compile(rf"{re.escape(stem.rpartition('/')[2])}(\.[A-Za-z]{{2,3}}([-_][A-Za-z0-9]{{2,8}})*)\.{ending}")
    others = (own.fullmatch(name) for name in folder.names(parent(path)))
    return [path, *(f"{stem}{found[1]}{dot}{ending}" for found in others if found)]


def language_of(file: str) -> str | None:
    """The code in the name of a language's own file; None for the main one."""
    found = A_LANGUAGE.search(Path(file).stem)
    return found[0][1:].lower().replace("_", "-") if found else None


def language_name(code: str) -> str:
    """A language's name in the language of the page."""
    try:
        name = Locale.parse(code, sep="-").get_display_name(speaking())
    except (UnknownLocaleError, ValueError):
        name = None
    return f"{name} ({code})" if name else code
