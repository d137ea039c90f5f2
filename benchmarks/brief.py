"""The page in short, for the README: made from what the run wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path

from .cases import distance, growth, million, paced, start, whole
from .table import MACHINE, cells, markdown, sections

BEGIN, END = "<!-- made by: make bench -->\n", "<!-- until here -->\n"

WHOLE = ("messages/s", "mailer is as fast times", "CPU us a message", "peak MB")


def brief(page: str) -> str:
    """The whole path as a table, and a sentence for each other case that the page has."""
    found = sections(page)
    rows = cells(found[whole.TITLE])
    table = [
        (name, row["does"], *(row[head] for head in WHOLE))
        for name, row in rows.items()
        if WHOLE[0] in row and row[WHOLE[0]]
    ]
    parts = [
        markdown(("sender", "does", *WHOLE), table),
        "\n".join(f"- {line}" for line in _sentences(found)),
        f"Measured on: {_machine(found[MACHINE])}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sentences(found: dict[str, str]) -> list[str]:
    said = []
    for title, sentence in SENTENCES.items():
        rows = cells(found.get(title, ""))
        said += [f"{sentence}: " + "; ".join(_told(title, rows)) + "."] if rows else []
    return said


def _told(title: str, rows: dict[str, dict[str, str]]) -> list[str]:
    head, unit = FIGURES[title]
    return [f"{name} {row[head]}{unit}" for name, row in rows.items() if row.get(head)]


SENTENCES = {
    distance.TITLE: "A mail server 50 ms away, 5 connections, messages/s",
    million.TITLE: "A list of a million rows, seconds",
    start.TITLE: "Starting, milliseconds",
    growth.TITLE: "Messages/s as the list grows",
    paced.TITLE: "Of a rate limit that it must keep, it uses",
}

FIGURES = {
    distance.TITLE: ("messages/s", ""),
    million.TITLE: ("seconds", ""),
    start.TITLE: ("ms", ""),
    growth.TITLE: ("messages/s", ""),
    paced.TITLE: ("quota used", ""),
}


def _machine(section: str) -> str:
    lines = dict(line[2:].split(": ", 1) for line in section.splitlines() if line.startswith("- "))
    return f"{lines['processor']}, {lines['Python']}"


def put_into(readme: Path, page: str) -> None:
    """Bring the README up to date, if it has the block."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    if begin:
        _, end, after = rest.partition(END)
        readme.write_text(f"{before}{begin}\n{brief(page)}\n{end}{after}", encoding="utf-8", newline="\n")
