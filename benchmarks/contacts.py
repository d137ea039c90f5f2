"""The lists: invented members of invented branches, the same at every run, all in domains that are nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD = "member,name,email,branch,city,country,joined"
FIRST = ("Ana", "Joseph", "Aoife", "Tomás", "Leila", "Marek", "Grace", "Yusuf", "Ingrid", "Chidi", "Rosa")
LAST = (
    "Berg",
    "Mwangi",
    "Brennan",
    "Okafor",
    "Lindqvist",
    "Haddad",
    "Novak",
    "Silva",
    "Doyle",
    "Petrov",
    "Rahman",
    "Costa",
    "Weber",
)
CITIES = (
    ("Cork", "Ireland"), ("Leeds", "United Kingdom"), ("Kisumu", "Kenya"), ("Gdańsk", "Poland"), ("Bilbao", "Spain"),
    ("Bergen", "Norway"), ("Turin", "Italy"), ("Hamburg", "Germany"), ("Recife", "Brazil"), ("Aden", "Yemen"),
    ("Lahore", "Pakistan"), ("Athens", "Greece"), ("Lyon", "France"), ("Osaka", "Japan"), ("Toronto", "Canada"),
    ("Durban", "South Africa"), ("Malmö", "Sweden"),
)  # fmt: skip
DOMAINS = 48
PROBLEMS = ("", "not an address", "two@example.org and three@example.org", "@example.org", "nobody@@example.org")
PROBLEM_EVERY, DUPLICATE_EVERY = 9_973, 4_999


@dataclass(frozen=True, kw_only=True)
class Made:
    """What is in a list that was made."""

    path: Path
    rows: int
    problems: int = 0
    duplicates: int = 0

    @property
    def people(self) -> int:
        return self.rows - self.problems - self.duplicates


def make(path: Path, rows: int, *, faults: bool = False) -> Made:
    """Write a list as CSV, some eighty bytes a row; with `faults` a few rows have a problem or repeat somebody."""
    problems = duplicates = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD + "\n")
        for number in range(1, rows + 1):
            email = address(number)
            if faults and number % PROBLEM_EVERY == 0:
                email = PROBLEMS[number // PROBLEM_EVERY % len(PROBLEMS)]
                problems += 1
            elif faults and number % DUPLICATE_EVERY == 0:
                # somebody who is listed, written otherwise; the one before is never a problem
                email = address(number - 1).upper()
                duplicates += 1
            file.write(row(number, email) + "\n")
    return Made(path=path, rows=rows, problems=problems, duplicates=duplicates)


def address(number: int) -> str:
    """The address of a member, unlike all others."""
    return f"{FIRST[number % len(FIRST)]}.{LAST[number % len(LAST)]}.{number}@branch{number % DOMAINS}.example".lower().replace(
        "á", "a"
    )


def row(number: int, email: str) -> str:
    city, country = CITIES[number % len(CITIES)]
    name = f"{FIRST[number % len(FIRST)]} {LAST[number % len(LAST)]}"
    branch = f"Branch {number % DOMAINS}"
    return f"{number},{name},{email},{branch},{city},{country},20{number % 26:02}-{number % 12 + 1:02}-{number % 28 + 1:02}"


def addresses(count: int) -> Iterator[str]:
    """Of the first members."""
    return map(address, range(1, count + 1))
