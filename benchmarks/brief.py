"""The page in short, for the README: made from what the run wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path

from .cases import distance, growth, million, paced, page, shared, start, whole, workers
from .table import MACHINE, cells, markdown, sections

BEGIN, END = "<!-- made by: make bench -->\n", "<!-- until here -->\n"

WHOLE = ("messages/s", "mailer is times as fast", "CPU us a message", "peak MB")


def brief(page: str) -> str:
    """The whole path as a table, and a line for each other case that the page has."""
    found = sections(page)
    rows = cells(found[whole.TITLE])
    table = [(name, row["does"], *(row[head] for head in WHOLE)) for name, row in rows.items() if row.get(WHOLE[0])]
    lines = [f"- {said}: {_figures(title, found[title])}." for title, said in LINES.items() if title in found]
    lines = [line.replace(SIZE, _size(found, million.TITLE)) for line in lines]
    parts = [
        markdown(("sender", "does", *WHOLE), table),
        "\n".join(lines),
        f"Measured with {_size(found, whole.TITLE)} messages on {_machine(found[MACHINE])}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


SIZE = "{rows}"

LINES = {
    distance.TITLE: "Messages/s over 5 connections to a server 50 ms away",
    million.TITLE: f"Seconds for a list of {SIZE} rows",
    start.TITLE: "Milliseconds to start",
    page.TITLE: "Milliseconds at the page of `mailer web`, with a list of 100,000",
    growth.TITLE: "Messages/s with so many in the list",
    paced.TITLE: "Share that it uses of a rate which it must not exceed",
    workers.TITLE: "Messages/s with workers, all on this one machine, database and mail server included",
    shared.TITLE: "Share that so many workers use of one limit together",
}

COLUMNS = {
    distance.TITLE: "messages/s",
    million.TITLE: "seconds",
    start.TITLE: "ms",
    page.TITLE: "ms",
    growth.TITLE: "messages/s",
    paced.TITLE: "quota used",
    workers.TITLE: "messages/s",
    shared.TITLE: "quota used",
}


def _figures(title: str, section: str) -> str:
    rows = cells(section)
    return "; ".join(f"{name}: **{row[COLUMNS[title]]}**" for name, row in rows.items() if row.get(COLUMNS[title]))


def _size(found: dict[str, str], title: str) -> str:
    """The number with which the text of a section begins: how many rows or messages."""
    return found[title].split("\n\n")[1].split()[0] if title in found else ""


def _machine(section: str) -> str:
    lines = dict(line[2:].split(": ", 1) for line in section.splitlines() if line.startswith("- "))
    return f"{lines['processor']}, {lines['Python']}"


def put_into(readme: Path, page: str) -> None:
    """Bring the README up to date, if it has the block and the page what the block begins with."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    if begin and whole.TITLE not in sections(page):
        print(f"{readme.name} stays as it is: RESULTS.md lacks {whole.TITLE!r}; measure first: make bench")
    elif begin:
        _, end, after = rest.partition(END)
        readme.write_text(f"{before}{begin}\n{brief(page)}\n{end}{after}", encoding="utf-8", newline="\n")
