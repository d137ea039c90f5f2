"""What stands in a letter's field as long as there is no list."""

from __future__ import annotations


def stand_in(name: str) -> str:
    """The field's own name, or something that fits where its name says that an address, a link or a day belongs."""
    word = name.lower()
    if "mail" in word:
        return "somebody@example.org"
    if any(part in word for part in ("url", "link", "website", "homepage")):
        return "https://example.org/"
    if word.endswith(("date", "_on", "_at", "day")):
        return "2026-01-31"
    return name.replace("_", " ").capitalize()
