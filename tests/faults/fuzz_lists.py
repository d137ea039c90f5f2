"""Lists as nobody should have them: any encoding, NUL, ragged rows, half of a workbook."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable

ROWS = [["name", "email", "city"], *[[f"Pat {n}", f"p{n}@example.org", "Zürich"] for n in range(1, 9)]]
ENCODINGS = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "shift_jis", "koi8-r", "cp437",
    "utf-7", "big5",
)  # fmt: skip
JUNK = (
    "\0", "\ufeff", '"', '""', "'", ",", ";", "\t", "\r", "\n", "\r\n", "\x1a", "\x85", "\u2028", "\u202e", "=1+1", "@", "<>",
    "a@b@c", "sep=;\n", "é", "漢字", "🙂", "\x7f", "NaN", "-", "1e999", "{{ name }}", "x" * 50_000, "," * 3000, "\n" * 500,
)  # fmt: skip
NAMES = (
    "list.csv",
    "list.tsv",
    "list.json",
    "list.jsonl",
    "list.xlsx",
    "list.ods",
    "list.parquet",
    "list.xls",
    "list.txt",
)


def make(chance: random.Random) -> tuple[str, bytes]:
    """A file name and what stands in the file."""
    content = chance.choice(MAKERS)(chance)
    for _ in range(chance.randint(0, 4)):
        content = spoiled(content, chance)
    name = chance.choice(NAMES) if chance.random() < 0.2 else _fitting(content)
    return name, content


def _fitting(content: bytes) -> str:
    if content.startswith(b"PK"):
        return "list.xlsx"
    if content.startswith(b"PAR1"):
        return "list.parquet"
    return "list.json" if content[:1] in b"[{" and content else "list.csv"


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """One change somewhere in the bytes."""
    at = chance.randrange(len(content) + 1)
    match chance.randrange(5):
        case 0:
            return content[:at] + chance.randbytes(chance.choice([1, 2, 40])) + content[at:]
        case 1:
            return content[:at]
        case 2:
            return content[:at] + content[at + chance.randint(1, 20) :]
        case 3:
            changed = bytearray(content)
            for _ in range(min(len(changed), chance.randint(1, 8))):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            return bytes(changed)
    return content + content[at:]


def table(chance: random.Random) -> bytes:
    rows = [list(row) for row in ROWS]
    for _ in range(chance.randint(0, 5)):
        row = chance.choice(rows)
        match chance.randrange(4):
            case 0 if row:
                row[chance.randrange(len(row))] += chance.choice(JUNK)
            case 1:
                row += [chance.choice(JUNK)] * chance.randint(1, 4)
            case 2 if row:
                row.pop()
            case _:
                rows.insert(chance.randrange(len(rows) + 1), [chance.choice(JUNK)])
    end, comma = chance.choice(["\n", "\r\n", "\r"]), chance.choice(",;\t|")
    text = end.join(comma.join(row) for row in rows)
    return text.encode(chance.choice(ENCODINGS), "replace")


def records(chance: random.Random) -> bytes:
    values: list[object] = [*JUNK, None, True, 10**400, -0.0, [], {}, [[[[]]]], {"a": {"b": 1}}, "p1@example.org"]
    people: list[object] = [
        {key: chance.choice([cell, chance.choice(values)]) for key, cell in zip(ROWS[0], row, strict=True)}
        for row in ROWS[1:]
    ]
    if chance.random() < 0.3:
        people.insert(chance.randrange(9), chance.choice(values))
    return json.dumps(
        people if chance.random() < 0.9 else {"people": people}, ensure_ascii=chance.random() < 0.5
    ).encode()


def nested(chance: random.Random) -> bytes:
    depth = chance.choice([10, 1000, 100_000])
    return b"[" * depth + b"]" * (depth if chance.random() < 0.5 else 0)


def workbook(chance: random.Random) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(
            [cell if chance.random() < 0.9 else chance.choice([None, 1.5, True, "=1+1"]) for cell in row]
        )
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def columns(chance: random.Random) -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(ROWS[1:], columns=ROWS[0]).to_parquet(buffer)
    return buffer.getvalue()


def noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 3, 100, 5000]))


MAKERS: tuple[Callable[[random.Random], bytes], ...] = (
    table,
    table,
    table,
    table,
    records,
    workbook,
    columns,
    noise,
    nested,
)
