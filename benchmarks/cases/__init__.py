"""What is measured: each case is a module whose `measure` makes a section of the page, under its `TITLE`."""

from __future__ import annotations

from . import distance, growth, million, paced, page, shared, start, whole, workers

CASES = {
    "whole": whole,
    "distance": distance,
    "million": million,
    "start": start,
    "page": page,
    "growth": growth,
    "pace": paced,
    "workers": workers,
    "shared": shared,
}
"""In the order of the page."""
