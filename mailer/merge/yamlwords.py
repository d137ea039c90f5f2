"""What a YAML parser complains about, in the words of somebody who never heard of YAML."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from mailer.model import said

ENTRY = re.compile(r"(\s*(?:-\s+)?[\w-]+:|\s*-)\s+(.*?)\s*")

Told = tuple[int, str, str | None]
"""Line (from 0), sentence and hint."""


def explained(error: yaml.MarkedYAMLError, text: str) -> Told:
    """The mistake behind a complaint about this text."""
    mark = error.problem_mark or error.context_mark
    number, column = (mark.line, mark.column) if mark else (0, 0)
    lines = [*text.split("\n"), ""]
    known = _inside(error.problem or "", number) or _begun(error, lines)
    if known is None and "mapping" in (error.problem or ""):
        known = _misplaced(lines, number, column)
    if known:
        return known
    if hint := in_quotes(lines[number]):
        return number, said("this text needs quotes around it."), hint
    return number, said("this line cannot be understood."), said('Write every line like this: subject: "Hello"')


def _inside(problem: str, number: int) -> Told | None:
    """A character that means something else here."""
    if r"'\t'" in problem:
        return number, said("there is a tab."), said("Use two spaces instead of the tab.")
    if "escape" in problem:
        return (
            number,
            said(r"between double quotes, \ has a meaning of its own."),
            said(r"Write folders with / instead of \."),
        )
    return None


def _begun(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> Told | None:
    """Something that begins on one line and is missed on a later one."""
    if not error.context_mark:
        return None
    begun = error.context_mark.line
    if "quoted scalar" in (error.context or ""):
        return begun, said("the quotes that begin here are not closed."), said('Put " before the text and after it.')
    if "expected ':'" in (error.problem or ""):
        return begun, said("there is no colon after the first word."), said('Write it like this: subject: "Hello"')
    if "flow" in (error.context or "") and "{{" not in lines[begun]:
        return (
            begun,
            said("a bracket that begins here is not closed."),
            said("Write for example required: [branch, city]"),
        )
    return None


def _misplaced(lines: Sequence[str], number: int, column: int) -> Told | None:
    """A line that begins where it must not."""
    line = lines[number]
    indent = len(line) - len(line.lstrip(" "))
    above = next((number - back for back in range(1, number + 1) if lines[number - back].strip()), None)
    if above is None or line[indent:column].count(":"):
        return None
    begins = len(lines[above]) - len(lines[above].lstrip(" "))
    if indent > begins:
        hint = (
            said("Begin it exactly below the beginning of the line above.")
            if begins
            else said("Begin it at the left edge.")
        )
        return number, said("this line begins further right than the line above."), hint
    if indent < begins and not indent:
        return number, said("this line begins further left than the line above."), said("Begin both at the left edge.")
    return None


def in_quotes(line: str) -> str | None:
    """A line as it must be written, its text in quotes; None if it does not look like `name: text`."""
    match = ENTRY.fullmatch(line)
    if not match or not match[2]:
        return None
    text = re.sub(r"^(['\"])(.*)\1$", r"\2", match[2])
    if re.search(r"\S@\S", text):
        text = "..."  # an address has no place in a hint
    single = "'" + text.replace("'", "''") + "'"
    quoted = single if '"' in text or "\\" in text else f'"{text}"'
    return said("Put the text in quotes: {name} {quoted}", name=match[1].strip(), quoted=quoted)
