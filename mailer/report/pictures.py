"""Which pictures a report has, and what they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mailer.markup import ENGLISH, Html, Voice, join
from mailer.model import EventKind, Said, Status, as_said, joined, said
from mailer.report.charts import HALF, MIDDLE, NARROW, WHOLE, Bar, Line, draw_bars, draw_courses, in_words
from mailer.report.course import Course
from mailer.report.groups import OTHER, PEOPLE, Spread
from mailer.report.summary import Report

BARS = 8
"""In one picture; the others stand in the table."""

WORDS = {
    Status.SENT: said("sent"),
    Status.FAILED: said("failed"),
    Status.UNCERTAIN: said("uncertain"),
    Status.DEFERRED: said("to be tried again"),
    Status.SENDING: said("being sent"),
    Status.QUEUED: said("waiting"),
    Status.SUPPRESSED: said("suppressed"),
    Status.SKIPPED: said("skipped"),
}
RETURNED = {
    EventKind.BOUNCE: said("bounced later"),
    EventKind.COMPLAINT: said("reported as spam"),
    EventKind.UNSUBSCRIBE: said("unsubscribed"),
    EventKind.REPLY: said("replied"),
}
NOBODY = said("none")
"""What a group without a name is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture: its name, a line below it that says how to read it, and the same for wide and narrow pages."""

    title: str
    note: str
    svg: Html
    wide: bool = False


def pictures(report: Report, voice: Voice = ENGLISH) -> dict[str, Picture]:
    """The pictures that this report has something to show in, by key, in the order of the page.

    Keys: progress, outcomes, reasons, providers, `by-1`, `by-2` (the spreads by field), languages, arrivals. The first picture takes
    about half a second more than the others, since matplotlib is imported for it.
    """
    groups = {
        "providers": (said("By mail provider"), report.providers),
        **{f"by-{number}": (by(name), report.fields[name]) for number, name in enumerate(report.fields, start=1)},
        "languages": (said("By language"), report.languages),
    }
    halves = {
        "outcomes": _outcomes(report, voice),
        "reasons": _reasons(report, voice),
        **{key: _groups(report, key, title, spread, voice) for key, (title, spread) in groups.items()},
    }
    beside = {key: picture for key, picture in halves.items() if picture}
    # two in a row: where one would be left over, a picture over time stands beside it
    odd = len(beside) % 2 == 1
    arrivals = _arrivals(report, voice, whole=not odd)
    progress = _progress(report, voice, whole=not odd or arrivals is not None)
    return ({"progress": progress} if progress else {}) | beside | ({"arrivals": arrivals} if arrivals else {})


def by(field_name: str) -> Said:
    return said("By {field}", field=called(field_name))


def called(field_name: str) -> str:
    """A field's name in words."""
    return field_name.replace("_", " ").replace(".", ", ")


def share(part: int, whole: int) -> Said:
    """A percentage that never says all or none where it is not so."""
    percent = 100 * part / whole if whole else 0.0
    if part and percent < 0.1:
        return said("< {percent:.1f} %", percent=0.1)
    if part < whole and percent > 99.9:
        return said("> {percent:.1f} %", percent=99.9)
    return said("{percent:.0f} %", percent=100) if part == whole else said("{percent:.1f} %", percent=percent)


def _progress(report: Report, voice: Voice, *, whole: bool) -> Picture | None:
    courses = [course for course in report.progress if course.points]
    if not courses:
        return None
    goal = report.tally.total - report.tally.suppressed - report.tally.skipped
    lines = [Line(words=voice.say(WORDS[Status(c.what)]), kind=c.what, points=c.points) for c in courses]
    if lines[0].end < goal:
        lines.append(Line(words=voice.say(said("to be mailed")), kind="goal", points=((0.0, goal),)))
    return _course_picture(
        "progress",
        said("Progress"),
        said("How many, by when"),
        lines,
        span=_span(report, courses),
        voice=voice,
        whole=whole,
    )


def _arrivals(report: Report, voice: Voice, *, whole: bool) -> Picture | None:
    courses = [course for course in report.arrivals if course.points]
    if not courses:
        return None
    lines = [Line(words=voice.say(RETURNED[EventKind(c.what)]), kind=c.what, points=c.points) for c in courses]
    note = said("Of how many people something reached us, by when")
    return _course_picture(
        "arrivals", said("What came back"), note, lines, span=_span(report, courses), voice=voice, whole=whole
    )


def _span(report: Report, courses: Sequence[Course]) -> tuple[float, float]:
    start = min(report.started_at.timestamp(), *(course.points[0][0] for course in courses))
    return start, max(course.points[-1][0] for course in courses)


def _outcomes(report: Report, voice: Voice) -> Picture | None:
    counts = {status: getattr(report.tally, status) for status in WORDS}
    total = report.tally.total
    if not total:
        return None
    bars = [
        Bar(
            label=voice.say(said("{words:A}", words=words)),
            value=f"{voice.figure(counts[status], ',')}   {voice.say(share(counts[status], total))}",
            length=1.0,
            filled=counts[status] / total,
            kind=status.value,
        )
        for status, words in WORDS.items()
        if counts[status] or status is Status.SENT
    ]
    note = said("Of {total:,} in the list. Sent: the next mail server accepted it.", total=total)
    return _bar_picture("outcomes", said("Outcomes"), note, bars, voice)


def _reasons(report: Report, voice: Voice) -> Picture | None:
    named, rest = _largest(report.reasons, voice)
    most = max((people.total() for _, people in named), default=1)
    bars = [
        Bar(
            label=voice.say(said("{reason:A}", reason=as_said(name))),
            value=voice.figure(n, ","),
            length=n / most,
            filled=n / most,
            kind=said("failed"),
        )
        for name, n in ((name, people.total()) for name, people in named)
    ]
    bars += [Bar(label=label, value=voice.figure(people.total(), ",")) for label, people in rest.items()]
    total = report.reasons.total.total()
    note = said("Of {total:,} refused: failed for good, or to be tried again.", total=total)
    return _bar_picture("reasons", said("Reasons for refusals"), note, bars, voice) if bars else None


def _groups(report: Report, key: str, title: Said, spread: Spread, voice: Voice) -> Picture | None:
    named, rest = _largest(spread, voice)
    most = max((people.total() for _, people in named), default=0)
    if most < 2 or len(named) + len(rest) < 2:
        return None  # a group for each person, or one for all: nothing to compare
    alone = report.smallest is not None

    def bar(name: str, people: Counter[str], length: float) -> Bar:
        n, sent = people.total(), people[Status.SENT]
        if alone:
            return Bar(label=name, value=voice.figure(n, ","), length=length * n, filled=length * n, kind=PEOPLE)
        told = voice.say(said("{sent:,} of {total:,}", sent=sent, total=n))
        return Bar(label=name, value=told, length=length * n, filled=length * sent, kind=Status.SENT.value)

    bars = [bar(name or voice.say(NOBODY), people, 1 / most) for name, people in named]
    bars += [bar(label, people, 0) for label, people in rest.items()]
    note = said("People in the list.") if alone else said("Sent, of all in the list. Filled: sent; pale: not sent.")
    return _bar_picture(key, title, note, bars, voice)


def _largest(spread: Spread, voice: Voice) -> tuple[list[tuple[str, Counter[str]]], dict[str, Counter[str]]]:
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
    label = voice.say(said("{number:,} others", number=more) if more and OTHER not in spread.groups else said("other"))
    return shown, {label: others} if others.total() else {}


def _bar_picture(key: str, title: Said, note: Said, bars: Sequence[Bar], voice: Voice) -> Picture:
    named, noted = voice.say(title), voice.say(note)
    shown = "; ".join(f"{bar.label}: {' '.join(bar.value.split())}" for bar in bars)
    description = f"{noted} {shown}."
    drawn = [
        draw_bars(bars, width).svg(named, description, key=key, class_=kind)
        for width, kind in ((HALF, "broad"), (NARROW, "narrow"))
    ]
    return Picture(title=named, note=noted, svg=join(drawn))


def _course_picture(
    key: str, title: Said, note: Said, lines: Sequence[Line], *, span: tuple[float, float], voice: Voice, whole: bool
) -> Picture:
    named, when = voice.say(title), in_words(*span)
    ends = [_end(line) for line in lines]
    description = voice.say(said("From {when}: {ends}.", when=when, ends=joined("; ", ends)))
    sizes = [(WHOLE, 280, "broad"), (MIDDLE, 260, "middle")] if whole else [(HALF, 300, "broad")]
    drawn = [
        draw_courses(lines, span, width, height, voice).svg(named, description, key=key, class_=kind)
        for width, height, kind in (*sizes, (NARROW, 250, "narrow"))
    ]
    noted = voice.say(said("{note}, from {when}.", note=note, when=when))
    return Picture(title=named, note=noted, svg=join(drawn), wide=whole)


def _end(line: Line) -> Said:
    if line.is_goal:
        return said("{number:,} {words}", number=line.end, words=line.words)
    return said(
        "{number:,} {words}, the last by {when}", number=line.end, words=line.words, when=in_words(line.points[-1][0])
    )
