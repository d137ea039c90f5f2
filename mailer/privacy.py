"""Text without e-mail addresses, for what may end in a log, a screenshot or a stranger's hands."""

from __future__ import annotations

import re

EDGE = r"\s<>\"'(),:;\[\]{}@"
CHAR = rf"(?:[^{EDGE}]|(?<=\w)'(?=\w))"
"""Of an address; an apostrophe only inside of a word (o'brien), since around one it is a quotation mark."""

DOMAIN = rf"(?:\[[^\]\s]+\]|(?:{CHAR}|@)+)"
ADDRESS = re.compile(
    # bounded, and only from an edge: text made by somebody else must not make this slow
    rf"<[^<>\s]{{1,400}}@[^<>\s]+>|\"[^\"\n]{{1,64}}\"@{DOMAIN}|(?<![^{EDGE}])(?<!\w'){CHAR}++@{DOMAIN}"
)
"""Rather too much than too little: whatever has an @ inside, in brackets or quotes or not, in any script."""


def without_addresses(text: str, instead: str = "(address)") -> str:
    """The text with something else in place of every e-mail address."""
    return ADDRESS.sub(instead, text) if "@" in text else text
