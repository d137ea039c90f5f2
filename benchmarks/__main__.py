"""Runs the cases and prints their tables; ends with 1 if something could not be measured because it went wrong."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from . import brief, capacity, machine, servers, table
from .cases import CASES
from .measure import Failed, Skipped
from .scale import FULL, QUICK, USUAL, Scale


def main() -> int:
    given = arguments()
    scale = scale_of(given)
    servers.install_postfix()
    described, began = machine.describe(), time.monotonic()
    print(f"{described}\n\n{machine.state()}\n", flush=True)
    made, failures = {}, 0
    for name in chosen(given.only):
        print(f"{name}:", file=sys.stderr, flush=True)
        state = machine.state()
        section = measured(name, scale)
        failures += len(section.failures)
        section = replace(section, measured=f"{section.measured}\n\n({state})")
        made[section.title] = section.markdown()
        print(made[section.title], flush=True)
        write(given, described, made)
    print(f"{time.monotonic() - began:.0f} seconds; {failures} failures")
    return 1 if failures else 0


def measured(name: str, scale: Scale) -> table.Section:
    """One case; what keeps it from being measured at all is said in its place."""
    title = CASES[name].TITLE
    try:
        section: table.Section = CASES[name].measure(scale)
    except Skipped as reason:
        return table.Section(title=title, measured=f"Skipped: {reason}")
    except Failed as reason:
        return table.Section(title=title, measured="It could not be measured.", failures=[str(reason)])
    return section


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAMES", help=f"some of: {', '.join(CASES)} (with commas)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="everything once and small; nothing is written")
    size.add_argument("--full", action="store_true", help="100,000 messages a peer, a list of a million sent; hours")
    parser.add_argument("--messages", type=int, metavar="N", help="of the whole path")
    parser.add_argument("--rows", type=int, metavar="N", help="of the very long list")
    parser.add_argument("--repeats", type=int, metavar="N", help="how often each runs; the median counts")
    parser.add_argument("--write", type=Path, metavar="FILE", help="bring this page up to date")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="bring its short form up to date (with --write)")
    given = parser.parse_args()
    if unknown := set(chosen(given.only)) - set(CASES):
        parser.error(f"--only {', '.join(sorted(unknown))}: there is {', '.join(CASES)}")
    return given


def scale_of(given: argparse.Namespace) -> Scale:
    scale = QUICK if given.quick else FULL if given.full else USUAL
    named = {name: getattr(given, name) for name in ("messages", "rows", "repeats")}
    return replace(scale, **{name: value for name, value in named.items() if value is not None})


def chosen(only: str) -> list[str]:
    """The cases to run, in the order of the page."""
    if not only:
        return list(CASES)
    words = [word.strip() for word in only.split(",") if word.strip()]
    return sorted(words, key=lambda word: list(CASES).index(word) if word in CASES else 0)


def write(given: argparse.Namespace, described: str, made: dict[str, str]) -> None:
    """Bring the page up to date. Cases that were not run keep their figures only if they are of this very machine."""
    if given.quick or not given.write:
        return
    found = table.sections(given.write.read_text(encoding="utf-8")) if given.write.exists() else {}
    same = described in found.get(table.MACHINE, "")
    everything = {**(found if same else {}), **made}
    titles = [case.TITLE for case in CASES.values()]
    text = table.page(described, {title: everything[title] for title in titles if title in everything})
    given.write.write_text(text, encoding="utf-8", newline="\n")
    capacity.write_beside(given.write)
    if given.readme:
        brief.put_into(given.readme, text)


if __name__ == "__main__":
    sys.exit(main())
