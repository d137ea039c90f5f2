"""Colours as a style names them, and how well one can be read on another (WCAG 2.2, relative luminance)."""

from __future__ import annotations

import re
from collections.abc import Mapping

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255 each."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

NAMED = {
    "black": BLACK,
    "white": WHITE,
    "silver": (192, 192, 192),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "lightgray": (211, 211, 211),
    "lightgrey": (211, 211, 211),
    "darkgray": (169, 169, 169),
    "darkgrey": (169, 169, 169),
    "red": (255, 0, 0),
    "maroon": (128, 0, 0),
    "yellow": (255, 255, 0),
    "olive": (128, 128, 0),
    "lime": (0, 255, 0),
    "green": (0, 128, 0),
    "aqua": (0, 255, 255),
    "cyan": (0, 255, 255),
    "teal": (0, 128, 128),
    "blue": (0, 0, 255),
    "navy": (0, 0, 128),
    "fuchsia": (255, 0, 255),
    "magenta": (255, 0, 255),
    "purple": (128, 0, 128),
    "orange": (255, 165, 0),
    "pink": (255, 192, 203),
    "gold": (255, 215, 0),
}
"""The names of CSS 1 and a few that people use; another name is left unjudged."""

HEX = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})")
RGB = re.compile(r"rgb\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*\)")


def parse(text: str) -> Colour | None:
    """The colour that a style names, or None for whatever is not a plain one (transparent, gradients, variables)."""
    word = text.strip().lower().removesuffix("!important").strip()
    if match := HEX.fullmatch(word):
        digits = match[1] if len(match[1]) == 6 else "".join(digit * 2 for digit in match[1])
        return (int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16))
    if match := RGB.fullmatch(word):
        red, green, blue = (min(255, int(number)) for number in match.groups())
        return (red, green, blue)
    return NAMED.get(word)


def colours_of(style: str, attributes: Mapping[str, str]) -> tuple[Colour | None, Colour | None]:
    """The text's colour and the ground's that an element sets, by its style or by old attributes."""
    said = {
        name.strip().lower(): value
        for name, colon, value in (part.partition(":") for part in style.split(";"))
        if colon
    }
    text = said.get("color") or attributes.get("color", "")
    ground = said.get("background-color") or attributes.get("bgcolor", "")
    shorthand = next((found for word in said.get("background", "").split() if (found := parse(word))), None)
    return parse(text), parse(ground) or shorthand


def contrast(one: Colour, other: Colour) -> float:
    """From 1 (the same) to 21 (black on white)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def written(colour: Colour) -> str:
    """As a style has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
