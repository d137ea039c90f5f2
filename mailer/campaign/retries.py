"""How patient a line is with a server that does not let it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class Retries:
    """How often a line has tried to connect since it last got an answer about a message, and since when (monotonic)."""

    made: int = 0
    since: float = 0.0
    given_up: bool = False
