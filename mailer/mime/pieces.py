"""Merged texts as quoted-printable: what every letter has is encoded once, only a contact's own words anew.

A merged text comes in pieces (`Merged`). How a piece is encoded depends on the column at which it begins, and on what
follows its last character; so each constant piece is remembered for each of the 76 columns, as if an ordinary
character came next. Where that is not so (a blank before a line's end), or where a line that began in one piece might
turn out to begin with a dot or `From `, the text is encoded line by line instead. The bytes are always those of
`quoted_printable`; tests/test_compiled.py compares them.
"""

from __future__ import annotations

import binascii
from typing import Final

from mailer.mime.bodies import UNSENDABLE, quoted_printable, sturdy
from mailer.model.messages import Merged

COLUMNS: Final = 75
"""After so many, a line goes on only on the next one (RFC 2045, section 6.7, rule 5), unless it ends just there."""

LINE_END: Final = -1
"""Key of what a piece that begins with a line end is from there on, whatever the column."""

PADDING = b"x" * COLUMNS
BLANKS = (b" ", b"\t")
FROM = b"From "
UNUSUAL = b"=" * (COLUMNS + 1)
"""Stands for a value that is not simply appended: it fits no line."""

FORMS, WORDS, LINES = 64, 2048, 2048
"""How many texts, values and whole lines are remembered before all are forgotten and learnt anew."""
LONGEST_LINE = 300
KEPT_BYTES = 32 * 1024 * 1024

Step = tuple[bytes, int]
"""A piece encoded, and the column after it."""
Form = dict[str, dict[int, Step]]
"""The constant pieces of one text, each by the columns at which it was met."""


class Memory:
    """What was encoded before. Nothing in it depends on a contact but short values and lines, and all is bounded."""

    def __init__(self, *, forms: int = FORMS, words: int = WORDS, lines: int = LINES, kept: int = KEPT_BYTES) -> None:
        self.limits = (forms, words, lines, kept)
        self.forms: dict[frozenset[str], Form] = {}
        self.words: dict[str, bytes] = {}
        self.lines: dict[str, bytes] = {}
        self.kept = 0

    def encoded(self, text: str, subtype: str) -> list[bytes]:
        """The text in parts of any size; joined they are what `quoted_printable` makes of it. Raises a Flaw."""
        if type(text) is Merged:
            found = self._stepwise(text)
            if found is not None:
                return found
            if "\r" not in text and not UNSENDABLE.search(text):
                return self._linewise(text)
        return [quoted_printable(text, subtype)]

    def _stepwise(self, text: Merged) -> list[bytes] | None:
        """From piece to piece; None where it takes a look at whole lines."""
        form = self.forms.get(text.constants)
        if form is None:
            form = self._form(text.constants)
        words = self.words
        done: list[bytes] = []
        put = done.append
        column = 0
        for piece in text.pieces:
            steps = form.get(piece)
            if steps is not None:
                step = steps.get(column)
                if step is None:
                    step = self._learnt(steps, piece, column, done)
                    if step is None:
                        return None
                data, column = step
                put(data)
            elif piece:
                word = words.get(piece)
                if word is None:
                    word = self._word(piece)
                end = column + len(word)
                if end <= COLUMNS and column:
                    put(word)
                    column = end
                else:
                    step = self._placed(piece, column, done)
                    if step is None:
                        return None
                    data, column = step
                    put(data)
        return done if _ends_well(column, done) else None

    def _form(self, constants: frozenset[str]) -> Form:
        if len(self.forms) >= self.limits[0]:
            self.forms.clear()
            self.kept = 0
        form: Form = {constant: {} for constant in constants if constant}
        self.forms[constants] = form
        return form

    def _learnt(self, steps: dict[int, Step], piece: str, column: int, done: list[bytes]) -> Step | None:
        """A constant piece at a column where it was not met before."""
        if column and piece[0] == "\n":
            # its first byte belongs to a line that ends: only the piece before tells whether that is simple
            if not _ends_well(column, done):
                return None
            column = LINE_END
            if column in steps:
                return steps[column]
        step = _step(piece, max(column, 0))
        if step is not None:
            self.kept += len(step[0])
            if self.kept > self.limits[3]:
                self.forms.clear()
                self.kept = 0
            steps[column] = step
        return step

    def _word(self, piece: str) -> bytes:
        """A value as it stands within a line, or `UNUSUAL`."""
        if len(piece) > COLUMNS or "\n" in piece or "\r" in piece or UNSENDABLE.search(piece):
            return UNUSUAL
        word = binascii.b2a_qp(piece.encode() + b"x")[:-1]
        if len(word) > COLUMNS:
            return UNUSUAL
        if len(self.words) >= self.limits[1]:
            self.words.clear()
        self.words[piece] = word
        return word

    def _placed(self, piece: str, column: int, done: list[bytes]) -> Step | None:
        """A value that begins a line, does not fit one, or has several."""
        if "\r" in piece or UNSENDABLE.search(piece):
            return None
        first, line_end, rest = piece.partition("\n")
        if not line_end:
            return _within_line(piece.encode(), column)
        if column and not first and not _ends_well(column, done):
            return None
        whole, line_end, last = rest.rpartition("\n")
        tail = _within_line(last.encode(), 0)
        if tail is None:
            return None
        middle = b"".join(map(self._line, whole.split("\n"))) if line_end else b""
        return _line_ended(first.encode(), column) + middle + tail[0], tail[1]

    def _linewise(self, text: str) -> list[bytes]:
        *lines, last = text.split("\n")
        done = list(map(self._line, lines))
        done.append(quoted_printable(last))
        return done

    def _line(self, line: str) -> bytes:
        """A whole line with its end."""
        known = self.lines.get(line)
        if known is None:
            known = quoted_printable(line + "\n")
            if len(line) <= LONGEST_LINE:
                if len(self.lines) >= self.limits[2]:
                    self.lines.clear()
                self.lines[line] = known
        return known


def _step(piece: str, column: int) -> Step | None:
    """Encode one piece that begins at a column. None where it cannot be told without its neighbours."""
    if "\r" in piece or UNSENDABLE.search(piece):
        return None
    whole, line_end, last = piece.rpartition("\n")
    tail = _within_line(last.encode(), 0 if line_end else column)
    if not line_end or tail is None:
        return tail
    return _line_ended(whole.encode(), column) + tail[0], tail[1]


def _line_ended(data: bytes, column: int) -> bytes:
    """The rest of a line that began before, further lines, and a line end.

    What stands before the column is made of ordinary characters here; what it really was has been looked at.
    """
    return quoted_printable((PADDING[:column] + data + b"\n").decode())[column:]


def _within_line(data: bytes, column: int) -> Step | None:
    """Bytes without a line end, after which the line goes on. None if it might begin with what must be encoded."""
    if not data:
        return b"", column
    # the `x` stands for whatever comes next, so that a blank or a dot is not taken for the last of its line
    *full, last = binascii.b2a_qp(PADDING[:column] + data + b"x")[:-1].split(b"=\n")
    if full or not column:
        if last.startswith(b".") or FROM.startswith(last[:5]):
            return None
        full = [sturdy(b"=\n".join(full) + b"=\n").replace(b"\n", b"\r\n")] if full else []
    return b"".join([*full, last])[column:], len(last)


def _ends_well(column: int, done: list[bytes]) -> bool:
    """Whether the text so far would be encoded the same if its line ended here.

    Not a blank, which would be encoded, nor a single character, which would still have fitted the line before.
    """
    return column != 1 and not (column and done[-1].endswith(BLANKS))


memory = Memory()
