"""Letters in memory and rows for the tests of merge."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser

import pytest

from mailer.errors import LetterError
from mailer.merge import Template, load
from mailer.model import Contact, FieldValue, Identity, Letter, Mailbox, Problem

CAMPAIGN = Identity(sender=Mailbox(address="campaign@example.org", name="Solidarity Campaign"))


class Shelf:
    """Files without a disk, as the ledger would supply them."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}

    def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def exists(self, path: str) -> bool:
        return path in self.files

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        return sorted(
            path[len(prefix) :] for path in self.files if path.startswith(prefix) and "/" not in path[len(prefix) :]
        )


def letter(
    body: str = "", *, front: str = "subject: Hello", files: Mapping[str, str | bytes] | None = None
) -> Template:
    return load("it", Shelf({"templates/it.md": f"---\n{front}\n---\n{body}", **(files or {})}))


def contact(row: int = 2, language: str | None = None, **fields: FieldValue) -> Contact:
    return Contact(
        address="rosa@example.org", key="rosa@example.org", row=row, name="Rosa", language=language, fields=fields
    )


def merged(
    body: str, *, front: str = "subject: Hello", files: Mapping[str, str | bytes] | None = None, **fields: FieldValue
) -> Letter:
    return letter(body, front=front, files=files).merge(contact(**fields), CAMPAIGN)


def refused(
    body: str = "", *, front: str = "subject: Hello", files: Mapping[str, str | bytes] | None = None
) -> Problem:
    """The first problem of a letter that cannot be loaded."""
    with pytest.raises(LetterError) as caught:
        letter(body, front=front, files=files)
    return caught.value.problems[0]


def row_problem(
    body: str, *, front: str = "subject: Hello", files: Mapping[str, str | bytes] | None = None, **fields: FieldValue
) -> Problem:
    """The first problem of a letter that loads and cannot be filled in for a row."""
    template = letter(body, front=front, files=files)
    with pytest.raises(LetterError) as caught:
        template.merge(contact(row=7, **fields), CAMPAIGN)
    return caught.value.problems[0]


class Page(HTMLParser):
    """What a reader's mail program sees: elements, links and the text of the body without the footer."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self._open.append(tag)
        self.targets += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "main" in self._open:
            self.text += data


def body_html(message: Letter) -> str:
    """The letter's own HTML, styles taken off."""
    import re

    inner = message.html.partition("<main")[2].partition(">")[2].partition("</main>")[0]
    return re.sub(r' style="[^"]*"', "", inner).strip()


def body_text(message: Letter) -> str:
    return message.text.rpartition("\n-- \n")[0].strip("\n")
