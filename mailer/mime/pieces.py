"""Merged texts as quoted-printable: what every letter has is encoded once, only a contact's own words anew.

A merged text comes in pieces (`Merged`). How a piece is encoded depends on the column at which it begins, and on what
follows its last character; so each constant piece is remembered for each of the 76 columns, as if an ordinary
character came next. Where that is not so (a blank before a line's end), or where a line that began in one piece might
turn out to begin with a dot or `From `, the text is encoded line by line instead. The bytes are always those of
`quoted_printable`; tests/test_compiled.py compares them.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final, NamedTuple

from mailer.mime.bodies import UNSENDABLE, quoted_printable, sturdy
from mailer.model.messages import Merged, Mould

COLUMNS: Final = 75
"""After so many, a line goes on only on the next one (RFC 2045, section 6.7, rule 5), unless it ends just there."""

FRESH: Final = -1000
"""Stands for the column of a line not begun yet, where a value needs a closer look: no length makes a column of it."""

PADDING = b"x" * COLUMNS
BLANKS = (b" ", b"\t")
FROM = b"From "
EQUALS = ord("=")
UNUSUAL = b"=" * (COLUMNS + 1)
"""Stands for a value that is not simply appended: it fits no line."""

MOULDS, WORDS, LINES = 256, 1024, 1024
"""How many texts, values and whole lines are remembered before all are forgotten and learnt anew."""
LONGEST_LINE = 1000
KEPT_BYTES = 32 * 1024 * 1024

Step = tuple[bytes, int]
"""A piece encoded, and the column after it."""
Steps = dict[int, Step]
"""A constant piece by the columns at which it was met."""


class Known(NamedTuple):
    """What was learnt of a mould: its constants, and for one with an order the way from value to value."""

    steps: dict[str, Steps]
    first: Step | None
    ways: Sequence[tuple[int, Steps, str]]
    """The number of a value, and the constant that follows it."""


class Memory:
    """What was encoded before. Nothing in it depends on a contact but short values and lines, and all is bounded."""

    def __init__(self, *, moulds: int = MOULDS, words: int = WORDS, lines: int = LINES, kept: int = KEPT_BYTES) -> None:
        self.limits = (moulds, words, lines, kept)
        self.moulds: dict[Mould, Known] = {}
        self.words: dict[str, bytes] = {}
        self.old_words: dict[str, bytes] = {}
        self.lines: dict[str, bytes] = {}
        self.kept = 0

    def encoded(self, text: str, subtype: str) -> list[bytes]:
        """The text in parts of any size; joined they are what `quoted_printable` makes of it. Raises a Flaw."""
        if type(text) is Merged:
            known = self.moulds.get(text.mould) or self._known(text.mould)
            found = self._by_pieces(text, known) if known.first is None else self._by_values(text, known, known.first)
            if found is not None:
                return found
            if "\r" not in text and not UNSENDABLE.search(text):
                return self._by_lines(text)
        return [quoted_printable(text, subtype)]

    def _by_values(self, text: Merged, known: Known, first: Step) -> list[bytes] | None:
        """From value to value, where each is followed by a constant; None where whole lines must be looked at."""
        values = text.values
        known_words = self.words
        words = [known_words.get(value) or self._word(value) for value in values]
        data, column = first
        done = [data]
        put = done.append
        for number, steps, constant in known.ways:
            word = words[number]
            step = steps.get(column + len(word))
            if step is None:
                placed = self._placed(values[number], word, max(column, 0), done)
                if placed is None:
                    return None
                put(placed[0])
                column = placed[1]
                # after a word as after any other; what is none may have left a blank at the end
                step = steps.get(column) if word is not UNUSUAL else None
                step = step or self._learnt(steps, constant, max(column, 0), done)
                if step is None:
                    return None
            else:
                put(word)
            data, column = step
            put(data)
        return done if column < 0 or _ends_well(column, done) else None

    def _by_pieces(self, text: Merged, known: Known) -> list[bytes] | None:
        """From piece to piece, in whatever order they come."""
        done: list[bytes] = []
        column = FRESH
        for piece in text.pieces:
            if not piece:
                continue
            steps = known.steps.get(piece)
            if steps is not None:
                step = None if piece[0] == "\n" else steps.get(column)
                if step is None:
                    step = self._learnt(steps, piece, max(column, 0), done)
            else:
                word = self.words.get(piece) or self._word(piece)
                end = column + len(word)
                step = (word, end) if 0 < end <= COLUMNS else self._placed(piece, word, max(column, 0), done)
            if step is None:
                return None
            data, column = step
            done.append(data)
        return done if column < 0 or _ends_well(column, done) else None

    def _known(self, mould: Mould) -> Known:
        if len(self.moulds) >= self.limits[0]:
            self._forget()
        tables: dict[str, Steps] = {constant: {} for constant in mould.constants if constant}
        first: Step | None = None
        ways: list[tuple[int, Steps, str]] = []
        if mould.order is not None:
            begin = ""
            for number in mould.order:
                if number >= 0:
                    ways.append((number, NOTHING, ""))
                elif not ways:
                    begin += mould.constants[~number]
                else:
                    value, _, before = ways.pop()
                    constant = before + mould.constants[~number]
                    ways.append((value, tables.setdefault(constant, {}) if constant else NOTHING, constant))
            first = self._learnt({}, begin, 0, [])
        self.moulds[mould] = known = Known(tables, first, ways)
        return known

    def _forget(self) -> None:
        self.moulds.clear()
        self.kept = 0

    def _learnt(self, steps: Steps, constant: str, column: int, done: list[bytes]) -> Step | None:
        """A constant piece at some column; None where it cannot be told without its neighbours."""
        if not constant:
            return b"", column or FRESH
        if column and constant[0] == "\n" and not _ends_well(column, done):
            # its first byte belongs to a line that ends: only the piece before tells whether that is simple
            return None
        step = steps.get(column)
        if step is None:
            step = _step(constant, 0 if constant[0] == "\n" else column)
            if step is not None:
                self.kept += len(step[0])
                if self.kept > self.limits[3]:
                    self._forget()
                steps[column] = step
        return step

    def _word(self, piece: str) -> bytes:
        """A value as it stands within a line, whatever follows, or `UNUSUAL`."""
        word = self.old_words.get(piece)
        if word is None:
            if not piece or len(piece) > COLUMNS or not piece.isprintable() or piece[-1] == " ":
                return UNUSUAL
            word = piece.encode()
            if len(word) > len(piece) or "=" in piece:
                word = binascii.b2a_qp(word + b"x")[:-1]
                if len(word) > COLUMNS:
                    return UNUSUAL
        if len(self.words) >= self.limits[1]:
            # what many contacts share outlives the names of single ones
            self.words, self.old_words = {}, self.words
        self.words[piece] = word
        return word

    def _placed(self, piece: str, word: bytes, column: int, done: list[bytes]) -> Step | None:
        """A value that begins a line, does not fit one, or has several."""
        if word is not UNUSUAL:
            return _word_placed(word, column)
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

    def _by_lines(self, text: str) -> list[bytes]:
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


def _word_placed(word: bytes, column: int) -> Step | None:
    """A value of ordinary characters. None if it begins a line with what might have to be encoded there."""
    if column and column + len(word) <= COLUMNS:
        return word, column + len(word)
    cut = COLUMNS - column if column else 0
    # the three characters of an octet stay together
    if cut and word[cut - 1] == EQUALS:
        cut -= 1
    elif cut > 1 and word[cut - 2] == EQUALS:
        cut -= 2
    rest = word[cut:]
    if _fragile(rest):
        return None
    return (word[:cut] + b"=\r\n" + rest if column else rest), len(rest)


def _step(piece: str, column: int) -> Step | None:
    """Encode one piece that begins at a column. None where it cannot be told without its neighbours."""
    if "\r" in piece or UNSENDABLE.search(piece):
        return None
    whole, line_end, last = piece.rpartition("\n")
    if not line_end:
        return _within_line(last.encode(), column)
    tail = _within_line(last.encode(), 0)
    return None if tail is None else (_line_ended(whole.encode(), column) + tail[0], tail[1])


def _line_ended(data: bytes, column: int) -> bytes:
    """The rest of a line that began before, further lines, and a line end.

    What stands before the column is made of ordinary characters here; what it really was has been looked at.
    """
    return quoted_printable((PADDING[:column] + data + b"\n").decode())[column:]


def _within_line(data: bytes, column: int) -> Step | None:
    """Bytes without a line end, after which the line goes on. None if it might begin with what must be encoded."""
    if not data:
        return b"", column or FRESH
    # the `x` stands for whatever comes next, so that a blank or a dot is not taken for the last of its line
    *full, last = binascii.b2a_qp(PADDING[:column] + data + b"x")[:-1].split(b"=\n")
    if full or not column:
        if _fragile(last):
            return None
        full = [sturdy(b"=\n".join(full) + b"=\n").replace(b"\n", b"\r\n")] if full else []
    return b"".join([*full, last])[column:], len(last)


def _fragile(start: bytes) -> bool:
    """Whether a line that begins so has, or might yet get, a beginning that must be encoded."""
    return start.startswith(b".") or FROM.startswith(start[:5])


def _ends_well(column: int, done: list[bytes]) -> bool:
    """Whether the text so far would be encoded the same if its line ended here.

    Not a blank, which would be encoded, nor a single character, which would still have fitted the line before.
    """
    return column != 1 and not next(filter(None, reversed(done)), b"").endswith(BLANKS)


NOTHING: Final[Steps] = {column: (b"", column) for column in range(1, COLUMNS + 1)}
"""Between two values that follow each other."""

memory = Memory()
