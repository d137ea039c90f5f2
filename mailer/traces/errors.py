"""Why a file cannot be sent without what it tells."""

from __future__ import annotations


class TracesStayError(Exception):
    """What it tells stays in it. `str()` is the rest of a sentence that begins with the file's name."""


BROKEN = "is damaged, so that nobody knows what else is in it; save it anew"
