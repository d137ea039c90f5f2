"""Times as programs, and as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime | float | None) -> str | None:
    """ISO 8601 in UTC, to the second. A number is Unix time."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def local_time(moment: datetime | float) -> str:
    """A time as the clock on the wall shows it."""
    if isinstance(moment, float):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
