"""Names and cells that are only text on every computer: no device, no formula."""

from __future__ import annotations

import re

DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def is_device(filename: str) -> bool:
    """Whether Windows would open a device in place of a file of this name, whatever its suffix."""
    return DEVICE.fullmatch(filename) is not None


def cell(text: str) -> str:
    """The text as a spreadsheet's cell: one that would be taken for a formula begins with an apostrophe.

    NUL, which many readers take for the end, is left out.
    """
    plain = text.replace("\0", "")
    return f"'{plain}" if plain.startswith(FORMULA) else plain
