"""The two kinds of pictures: bars that compare, and lines that rise over time; each as wide as it is asked to be."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailer.markup import ENGLISH, Voice
from mailer.model import Said, Status, said
from mailer.report.course import DAY, HOUR, MINUTE
from mailer.report.drawing import CHARACTER, LINE, Canvas, ticks

NARROW, HALF, MIDDLE, WHOLE = 300, 470, 600, 980
"""Pixels: on a telephone, beside another picture, alone on paper or a tablet, and alone. So words stay as large as the page's."""

MONTHS = (
    *(said("Jan"), said("Feb"), said("Mar"), said("Apr"), said("May"), said("Jun")),
    *(said("Jul"), said("Aug"), said("Sep"), said("Oct"), said("Nov"), said("Dec")),
)
ROUND = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(count * MINUTE for count in (1, 2, 5, 10, 15, 30)),
    *(count * HOUR for count in (1, 2, 3, 6, 12)),
    *(count * DAY for count in (1, 2, 3, 7, 14, 28, 91, 182, 364)),
)
"""Seconds between two marks below a picture."""

SHORTEST = 2.0
"""Seconds that a picture shows at least."""

THICK, THINNEST, BAR_BELOW = 8.0, 2.0, 24.0
"""Pixels: a bar's height, the width of the smallest number, and what a bar takes below its words."""

JOINERS = "\u200c\u200d"
"""Unseen, but words of many scripts are not the same without them."""

Place = tuple[float, float]
"""Pixels from the left and from the top."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar: `length` and the `filled` part of it, as shares of the longest; no length is no bar."""

    label: str
    value: str
    length: float = 0.0
    filled: float = 0.0
    kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line over time, by kind; the goal is level."""

    words: str
    kind: str
    points: Sequence[tuple[float, int]] = field(default_factory=tuple)

    @property
    def is_goal(self) -> bool:
        return self.kind == "goal"

    @property
    def end(self) -> int:
        return self.points[-1][1]


def draw_bars(bars: Sequence[Bar], width: int) -> Canvas:
    laid = [(bar, fold(bar.label, int((width - (len(bar.value) + 2) * CHARACTER) / CHARACTER))) for bar in bars]
    height = sum(len(lines) * LINE + BAR_BELOW for _, lines in laid) - BAR_BELOW / 2
    canvas = Canvas(width, height)
    y = 0.0
    for bar, lines in laid:
        for number, words in enumerate(lines):
            canvas.words(0, y + number * LINE + 13, words, "label")
        canvas.words(width, y + 13, bar.value, "value", anchor="right")
        y += len(lines) * LINE + 3
        if bar.length:
            canvas.bar(0, y, max(bar.length * width, THINNEST), THICK, f"track {bar.kind}")
        if bar.filled:
            canvas.bar(0, y, max(bar.filled * width, THINNEST), THICK, f"fill {bar.kind}")
        y += BAR_BELOW - 3
    return canvas


def fold(text: str, characters: int) -> list[str]:
    """At most two lines, as wide as so many usual characters; what is too long ends in an ellipsis."""
    words = "".join(c if c.isprintable() or c in JOINERS else " " for c in text)
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer) > characters and len(lines) < 2:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_cut(line, characters) for line in lines]


def _width(text: str) -> float:
    """In usual characters, rather too wide."""
    return sum(map(_character, text))


def _character(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF" or character in "WM@%—":
        return 2.0
    return 1.4 if character.isupper() or character in "mw" else 1.0


def _cut(line: str, characters: int) -> str:
    if _width(line) <= characters:
        return line
    room = itertools.takewhile(lambda wide: wide <= characters - 1, itertools.accumulate(map(_character, line)))
    return f"{line[: len(list(room))].rstrip()}…"


def draw_courses(
    lines: Sequence[Line], span: tuple[float, float], width: int, height: int, voice: Voice = ENGLISH
) -> Canvas:
    """Lines that only rise, each with its name at its end, or below where there is no room."""
    canvas = Canvas(width, height)
    named = [f"{voice.figure(line.end, ',')} {line.words}" for line in lines]
    marks = ticks(max(line.end for line in lines))
    beside = width > NARROW
    left = len(voice.figure(marks[-1], ",")) * CHARACTER + 8
    right = width - (max(map(len, named)) * CHARACTER + 14 if beside else 4)
    top, bottom = 12.0, height - 26.0 - (0 if beside else LINE * len(lines))
    first, last = span[0], max(span[1], span[0] + SHORTEST)

    def at(when: float, number: float) -> Place:
        return left + (when - first) / (last - first) * (right - left), bottom - number / marks[-1] * (bottom - top)

    for mark in marks:
        canvas.line([at(first, mark), at(last, mark)], "grid")
        canvas.words(left - 8, at(first, mark)[1] + 4, voice.figure(mark, ","), "scale", anchor="right")
    for when, moment in moments(first, last, max(3, int((right - left) / 75))):
        x, words = at(when, 0)[0], voice.say(moment)
        canvas.line([(x, bottom), (x, bottom + 4)], "grid")
        if x + len(words) / 2 * CHARACTER <= width:
            canvas.words(x, bottom + 18, words, "scale", anchor="center")
    for line in lines:
        corners = [at(first, line.end)] if line.is_goal else [at(first, 0), *_steps(line.points, at)]
        corners.append(at(last, line.end))
        if line.kind == Status.SENT:
            canvas.line([*corners, at(last, 0)], f"area {line.kind}", closed=True)
        canvas.line(corners, f"line {line.kind}")
    places = apart([at(last, line.end)[1] for line in lines], highest=top)
    for number, (name, line) in enumerate(zip(named, lines, strict=True)):
        if beside:
            canvas.words(right + 8, places[number] + 4, name, f"name {line.kind}")
            continue
        below = bottom + 20 + (number + 1) * LINE
        canvas.line([(0, below - 4), (22, below - 4)], f"line {line.kind}")
        canvas.words(30, below, name, f"name {line.kind}")
    return canvas


def _steps(points: Sequence[tuple[float, int]], at: Callable[[float, float], Place]) -> list[Place]:
    """Level until something comes, then up."""
    corners, before = [], 0
    for when, number in points:
        corners += [at(when, before), at(when, number)]
        before = number
    return corners


def apart(places: Sequence[float], *, highest: float = -math.inf, least: float = LINE) -> list[float]:
    """The same places from the lowest upwards, moved up where two would touch; larger numbers are lower.

    Above `highest` there is no room: who would come to stand there moves down, and the others with them.
    """
    lowest_first = sorted(range(len(places)), key=lambda number: (-places[number], number))
    moved = dict.fromkeys(range(len(places)), 0.0)
    free = math.inf
    for number in lowest_first:
        moved[number] = min(places[number], free)
        free = moved[number] - least
    taken = highest
    for number in reversed(lowest_first):
        moved[number] = max(moved[number], taken)
        taken = moved[number] + least
    return list(moved.values())


def moments(first: float, last: float, most: int) -> list[tuple[float, Said]]:
    """At most about so many round times (UTC) between two, each with what stands below it."""
    span = last - first
    step = next((step for step in ROUND if span / step <= most), ROUND[-1] * math.ceil(span / ROUND[-1] / most))
    times = [step * number for number in range(math.ceil(first / step), math.floor(last / step) + 1)]
    return [(when, _tick(when, step)) for when in times]


def _tick(when: float, step: float) -> Said:
    moment = datetime.fromtimestamp(when, UTC)
    if step >= DAY or (step >= HOUR and when % DAY == 0):
        return said("{day} {month}", day=moment.day, month=MONTHS[moment.month - 1])
    return Said(f"{moment:%H:%M:%S}" if step < MINUTE else f"{moment:%H:%M}")


def in_words(first: float, last: float | None = None) -> Said:
    """`12 Nov 2026, 14:05 UTC`, or a span: `12 Nov 2026, 14:05 to 16:20 UTC`. Below ten minutes with seconds."""
    begun = datetime.fromtimestamp(first, UTC)
    if last is None:
        return said("{day}, {time} UTC", day=_day(begun), time=f"{begun:%H:%M}")
    ended = datetime.fromtimestamp(last, UTC)
    clock = "%H:%M:%S" if last - first < 10 * MINUTE else "%H:%M"
    day, begin, end = _day(begun), format(begun, clock), format(ended, clock)
    if ended.date() == begun.date():
        return said("{day}, {begin} to {end} UTC", day=day, begin=begin, end=end)
    return said("{day}, {begin} to {other}, {end} UTC", day=day, begin=begin, other=_day(ended), end=end)


def _day(moment: datetime) -> Said:
    # a year has no sign between its thousands
    return said("{day} {month} {year}", day=moment.day, month=MONTHS[moment.month - 1], year=str(moment.year))
