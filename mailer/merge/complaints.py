"""How merge says what is wrong with a letter: file, line, the nearest right name, the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from mailer.errors import LetterError
from mailer.model import Problem, Said, Severity, as_said, joined, own, said


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """A place in a file that the letter's author wrote; lines count from 1."""

    file: str
    line: int = 1


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    wanted = name.casefold()
    if wanted in by_folded:
        return by_folded[wanted]
    close = difflib.get_close_matches(wanted, by_folded, n=1, cutoff=0.6)
    if close:
        return by_folded[close[0]]
    parts = [candidate for folded, candidate in by_folded.items() if len(wanted) > 2 and wanted in folded]
    return min(parts, key=len) if parts else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known name, or all of them while they are few."""
    names = sorted(set(known))
    match = nearest(name, names)
    if match and match != name:
        return said("Did you mean {match}?", match=match)
    if 0 < len(names) <= 30:
        return said("Known here: {names}.", names=", ".join(names))
    return None


def problem(
    code: str,
    message: str,
    *,
    at: Origin | None = None,
    row: int | None = None,
    column: str | None = None,
    hint: str | None = None,
    severity: Severity = Severity.PROBLEM,
) -> Problem:
    """A problem whose sentence starts with the line of the letter, because `Problem.row` is the list's row."""
    if at is not None:
        message = at_line(at.line, message)
    file, line = (at.file, at.line) if at else (None, None)
    return Problem(
        code=code, message=message, file=file, row=row, column=column, hint=hint, severity=severity, line=line
    )


def at_line(line: int | None, sentence: str) -> Said:
    """A sentence with the line of a letter's file before it."""
    return said("line {line}: {sentence}", line=line, sentence=as_said(sentence))


def without_line(message: str) -> str:
    """The sentence alone."""
    sentence = message.values.get("sentence") if isinstance(message, Said) else None
    return sentence if isinstance(sentence, Said) else message


def warning(code: str, message: str, *, at: Origin | None = None, hint: str | None = None) -> Problem:
    return problem(code, message, at=at, hint=hint, severity=Severity.WARNING)


def refusal(*problems: Problem) -> LetterError:
    """The exception that carries these problems; its text is that of the only one."""
    first = problems[0]
    parts = (own(first.file) if first.file else None, said("row {row}", row=first.row) if first.row else None)
    place, text = joined(", ", filter(None, parts)), first.message
    if place:
        text = said("{place}: {sentence}", place=place, sentence=as_said(text))
    if len(problems) > 1:
        # in a row's reason the first one must be told; on the screen all of them follow
        text = (
            said("{sentence} (and {count} more)", sentence=as_said(text), count=len(problems) - 1)
            if first.row
            else said("The letter has {count} mistakes.", count=len(problems))
        )
    return LetterError(text, hint=first.hint, problems=problems)


def refuse(code: str, message: str, *, at: Origin | None = None, hint: str | None = None) -> LetterError:
    return refusal(problem(code, message, at=at, hint=hint))
