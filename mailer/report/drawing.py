"""Pictures by matplotlib, as SVG that the page around it colours: shapes and words with the names of their kinds, nothing else.

matplotlib places; how a kind looks is said in report.css, so that dark mode and paper are a matter of style. It is the only
place that imports matplotlib, and imports it when a picture is drawn.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from functools import cache
from typing import Any
from xml.etree import ElementTree as ET

from mailer.markup import Html, escape, join, tag

PLACE = re.compile(r"-?\d+\.\d+")
KIND = "kind:"
SVG = "{http://www.w3.org/2000/svg}"

# The width and height of a character of the page's type at 13 pixels, rather too large: nobody knows the reader's fonts.
CHARACTER, LINE = 8.0, 17.0


class Canvas:
    """A figure whose units are pixels from the top left, and whose words matplotlib never sees.

    Its own fonts lack many scripts, and it reads `$` as mathematics: it gets numbers, and the words take their places after it
    has drawn. So a list's words can do no harm here either.
    """

    def __init__(self, width: float, height: float) -> None:
        _as_delivered()
        from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
        from matplotlib.transforms import Affine2D  # noqa: PLC0415

        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(self.figure)
        self._pixels = Affine2D().scale(1, -1).translate(0, height)
        self._words: list[str] = []

    def words(self, x: float, y: float, text: str, kind: str, *, anchor: str = "left") -> None:
        """A line of text, its baseline at y; `anchor` says which of its points stands at x."""
        self._words.append(text)
        self.figure.text(
            x, y, str(len(self._words) - 1), ha=anchor, va="baseline", gid=f"{KIND}{kind}", transform=self._pixels
        )

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A rectangle with round corners."""
        from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415

        style = f"round,pad=0,rounding_size={min(2.5, width / 2)}"
        box = FancyBboxPatch((x, y), width, height, boxstyle=style, gid=f"{KIND}{kind}", transform=self._pixels)
        self.figure.add_artist(box)

    def line(self, points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> None:
        """A line through points, or what it encloses."""
        from matplotlib.patches import PathPatch  # noqa: PLC0415
        from matplotlib.path import Path  # noqa: PLC0415

        path = Path([*points, points[0]] if closed else list(points), closed=closed)
        self.figure.add_artist(PathPatch(path, fill=closed, gid=f"{KIND}{kind}", transform=self._pixels))

    def svg(self, title: str, description: str, *, key: str, class_: str) -> Html:
        """The picture, with its name and what it shows in words for those who do not see it. The same data, the same bytes."""
        written = io.BytesIO()
        self.figure.savefig(written, format="svg")
        drawn = ET.fromstring(written.getvalue())  # noqa: S314 - what matplotlib wrote, without a word of ours
        return tag(
            "svg",
            tag("title", title, id=f"{key}-{class_}-title"),
            tag("desc", description, id=f"{key}-{class_}-desc"),
            *self._parts(drawn),
            class_=class_,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            aria_labelledby=f"{key}-{class_}-title",
            aria_describedby=f"{key}-{class_}-desc",
        )

    def _parts(self, drawn: ET.Element) -> list[Html]:
        """What has a kind, in the order of drawing; everything else is matplotlib's own decoration."""
        kinds = ((group, group.get("id", "").partition(KIND)[2]) for group in drawn.iter(f"{SVG}g"))
        return [self._part(element, kind) for group, kind in kinds if kind for element in group]

    def _part(self, element: ET.Element, kind: str) -> Html:
        if element.tag == f"{SVG}path":
            return tag("path", class_=kind, d=_short(" ".join(element.get("d", "").split())))
        anchor = re.search(r"text-anchor: (middle|end)", element.get("style", ""))
        at: dict[str, Any] = {name: _short(element.get(name, "0")) for name in ("x", "y")}
        words = join([escape(self._words[int(element.text or "0")])])
        return tag("text", words, class_=kind, text_anchor=anchor[1] if anchor else None, **at)


@cache
def _as_delivered() -> None:
    """Matplotlib without what a person set for their own plots, so that a report looks the same wherever it is made."""
    # it tells where it keeps what it knows of fonts, which nobody here asked
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    import matplotlib as mpl  # noqa: PLC0415

    mpl.rcdefaults()
    # words stay words; and no number is made by chance
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "mailer"})


def ticks(most: float, wanted: int = 4) -> list[int]:
    """Round whole numbers from 0 to the first at or above `most`."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    found = MaxNLocator(nbins=wanted, integer=True, steps=[1, 2, 2.5, 5, 10]).tick_values(0, max(most, 1))
    return [int(value) for value in found if value >= 0 and value == int(value)]


def _short(numbers: str) -> str:
    """Tenths of a pixel are enough."""
    return PLACE.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), numbers)
