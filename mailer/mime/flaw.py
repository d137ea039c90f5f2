"""What keeps a text out of a message: flaws of single fields, and the exception that reports them with their row."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailer.errors import LetterError
from mailer.model import Problem, as_said, said

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""C0 and C1 controls, DEL, Unicode's own line ends, and half characters that have no UTF-8 form.

Any of them could end a header line early for some reader, and so begin a header of the attacker's choice.
"""


class Flaw(Exception):
    """One thing wrong with one field of a letter. `message` is a plain sentence that quotes no address."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class ComposeError(LetterError):
    """A letter cannot be written as a message for one contact; `problems` has each reason with its row."""

    @classmethod
    def of(cls, flaws: Iterable[Flaw], *, row: int | None = None) -> ComposeError:
        """The exception for at least one flaw."""
        problems = [Problem(code=flaw.code, message=flaw.message, row=row, hint=flaw.hint) for flaw in flaws]
        first = problems[0]
        return cls(
            said("Row {row}: {sentence}", row=row, sentence=as_said(first.message)) if row else first.message,
            hint=first.hint,
            problems=problems,
        )


def refuse_controls(text: str, place: str) -> None:
    """Raise a Flaw if `text`, bound for the header or field called `place`, has a control character in it."""
    if text.isprintable():  # quicker to see, and true of nearly all
        return
    found = CONTROL.search(text)
    if found is None:
        return
    raise Flaw(
        "control-character",
        said("{place} contains {found}, which must not stand there.", place=place, found=_spoken(found[0])),
        "Remove it from the cell, the letter or the setting it comes from; often it was pasted along with the text.",
    )


def _spoken(character: str) -> str:
    if character in "\r\n\x85\u2028\u2029":
        return said("a line break")
    if character == "\t":
        return said("a tab")
    if "\ud800" <= character <= "\udfff":
        return said("half a character (broken text)")
    return said("an invisible control character (U+{character:04X})", character=ord(character))
