"""Which pictures a report has, and what they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mailer.markup import Html, join
from mailer.model import EventKind, Status
from mailer.report.charts import HALF, MIDDLE, NARROW, WHOLE, Bar, Line, draw_bars, draw_courses, in_words
from mailer.report.course import Course
from mailer.report.groups import OTHER, PEOPLE, Spread
from mailer.report.summary import Report

BARS = 8
"""In one picture; the others stand in the table."""

WORDS = {
    Status.SENT: "sent",
    Status.FAILED: "failed",
    Status.UNCERTAIN: "uncertain",
    Status.DEFERRED: "to be tried again",
    Status.SENDING: "being sent",
    Status.QUEUED: "waiting",
    Status.SUPPRESSED: "suppressed",
    Status.SKIPPED: "skipped",
}
RETURNED = {
    EventKind.BOUNCE: "bounced later",
    EventKind.COMPLAINT: "reported as spam",
    EventKind.UNSUBSCRIBE: "unsubscribed",
    EventKind.REPLY: "replied",
}
NOBODY = "none"
"""What a group without a name is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture: its name, a line below it that says how to read it, and the same for wide and narrow pages."""

    title: str
    note: str
    svg: Html
    wide: bool = False


def pictures(report: Report) -> dict[str, Picture]:
    """The pictures that this report has something to show in, by key, in the order of the page.

    Keys: progress, outcomes, reasons, providers, `by-1`, `by-2` (the spreads by field), languages, arrivals. The first picture takes
    about half a second more than the others, since matplotlib is imported for it.
    """
    groups = {
        "providers": ("By mail provider", report.providers),
        **{f"by-{number}": (by(name), report.fields[name]) for number, name in enumerate(report.fields, start=1)},
        "languages": ("By language", report.languages),
    }
    halves = {
        "outcomes": _outcomes(report),
        "reasons": _reasons(report),
        **{key: _groups(report, key, title, spread) for key, (title, spread) in groups.items()},
    }
    beside = {key: picture for key, picture in halves.items() if picture}
    # two in a row: where one would be left over, a picture over time stands beside it
    odd = len(beside) % 2 == 1
    arrivals = _arrivals(report, whole=not odd)
    progress = _progress(report, whole=not odd or arrivals is not None)
    return ({"progress": progress} if progress else {}) | beside | ({"arrivals": arrivals} if arrivals else {})


def by(field_name: str) -> str:
    return f"By {field_name.replace('_', ' ').replace('.', ', ')}"


def share(part: int, whole: int) -> str:
    """A percentage that never says all or none where it is not so."""
    percent = 100 * part / whole if whole else 0.0
    if part and percent < 0.1:
        return "< 0.1 %"
    if part < whole and percent > 99.9:
        return "> 99.9 %"
    return "100 %" if part == whole else f"{percent:.1f} %"


def _progress(report: Report, *, whole: bool) -> Picture | None:
    courses = [course for course in report.progress if course.points]
    if not courses:
        return None
    goal = report.tally.total - report.tally.suppressed - report.tally.skipped
    lines = [Line(words=WORDS[Status(c.what)], kind=c.what, points=c.points) for c in courses]
    if lines[0].end < goal:
        lines.append(Line(words="to be mailed", kind="goal", points=((0.0, goal),)))
    return _course_picture("progress", "Progress", "How many, by when", lines, _span(report, courses), whole=whole)


def _arrivals(report: Report, *, whole: bool) -> Picture | None:
    courses = [course for course in report.arrivals if course.points]
    if not courses:
        return None
    lines = [Line(words=RETURNED[EventKind(c.what)], kind=c.what, points=c.points) for c in courses]
    note = "Of how many people something reached us, by when"
    return _course_picture("arrivals", "What came back", note, lines, _span(report, courses), whole=whole)


def _span(report: Report, courses: Sequence[Course]) -> tuple[float, float]:
    start = min(report.started_at.timestamp(), *(course.points[0][0] for course in courses))
    return start, max(course.points[-1][0] for course in courses)


def _outcomes(report: Report) -> Picture | None:
    counts = {status: getattr(report.tally, status) for status in WORDS}
    total = report.tally.total
    if not total:
        return None
    bars = [
        Bar(
            label=words[:1].upper() + words[1:],
            value=f"{counts[status]:,}   {share(counts[status], total)}",
            length=1.0,
            filled=counts[status] / total,
            kind=status.value,
        )
        for status, words in WORDS.items()
        if counts[status] or status is Status.SENT
    ]
    note = f"Of {total:,} in the list. Sent: the next mail server accepted it."
    return _bar_picture("outcomes", "Outcomes", note, bars)


def _reasons(report: Report) -> Picture | None:
    named, rest = _largest(report.reasons)
    most = max((people.total() for _, people in named), default=1)
    bars = [
        Bar(label=name[:1].upper() + name[1:], value=f"{n:,}", length=n / most, filled=n / most, kind="failed")
        for name, n in ((name, people.total()) for name, people in named)
    ]
    bars += [Bar(label=label, value=f"{people.total():,}") for label, people in rest.items()]
    total = report.reasons.total.total()
    note = f"Of {total:,} refused: failed for good, or to be tried again."
    return _bar_picture("reasons", "Reasons for refusals", note, bars) if bars else None


def _groups(report: Report, key: str, title: str, spread: Spread) -> Picture | None:
    named, rest = _largest(spread)
    most = max((people.total() for _, people in named), default=0)
    if most < 2 or len(named) + len(rest) < 2:
        return None  # a group for each person, or one for all: nothing to compare
    alone = report.smallest is not None

    def bar(name: str, people: Counter[str], length: float) -> Bar:
        n, sent = people.total(), people[Status.SENT]
        if alone:
            return Bar(label=name, value=f"{n:,}", length=length * n, filled=length * n, kind=PEOPLE)
        return Bar(label=name, value=f"{sent:,} of {n:,}", length=length * n, filled=length * sent, kind="sent")

    bars = [bar(name or NOBODY, people, 1 / most) for name, people in named]
    bars += [bar(label, people, 0) for label, people in rest.items()]
    note = "People in the list." if alone else "Sent, of all in the list. Filled: sent; pale: not sent."
    return _bar_picture(key, title, note, bars)


def _largest(spread: Spread) -> tuple[list[tuple[str, Counter[str]]], dict[str, Counter[str]]]:
    """As many groups as a picture has room for, and all others together: nobody is left out."""
    others = spread.groups.get(OTHER, Counter[str]()) + spread.rest
    named = sorted(
        ((name, people) for name, people in spread.groups.items() if name != OTHER),
        key=lambda entry: (-entry[1].total(), entry[0]),
    )
    shown = named if len(named) <= BARS else named[: BARS - 1]
    for _, people in named[len(shown) :]:
        others.update(people)
    more = len(named) - len(shown) + spread.more
    label = f"{more:,} others" if more and OTHER not in spread.groups else OTHER
    return shown, {label: others} if others.total() else {}


def _bar_picture(key: str, title: str, note: str, bars: Sequence[Bar]) -> Picture:
    said = "; ".join(f"{bar.label}: {' '.join(bar.value.split())}" for bar in bars)
    description = f"{note} {said}."
    drawn = [
        draw_bars(bars, width).svg(title, description, key=key, class_=kind)
        for width, kind in ((HALF, "broad"), (NARROW, "narrow"))
    ]
    return Picture(title=title, note=note, svg=join(drawn))


def _course_picture(
    key: str, title: str, note: str, lines: Sequence[Line], span: tuple[float, float], *, whole: bool
) -> Picture:
    when = in_words(*span)
    said = "; ".join(
        f"{line.end:,} {line.words}" + ("" if line.is_goal else f", the last by {in_words(line.points[-1][0])}")
        for line in lines
    )
    sizes = [(WHOLE, 280, "broad"), (MIDDLE, 260, "middle")] if whole else [(HALF, 300, "broad")]
    drawn = [
        draw_courses(lines, span, width, height).svg(title, f"From {when}: {said}.", key=key, class_=kind)
        for width, height, kind in (*sizes, (NARROW, 250, "narrow"))
    ]
    return Picture(title=title, note=f"{note}, from {when}.", svg=join(drawn), wide=whole)
