"""The shared colours, light and dark, can be read by people who see little contrast (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re

import pytest

from mailer.markup import asset

TEXT = [
    ("ink", "ground"), ("ink", "paper"), ("ink", "sunk"), ("ink", "accent-soft"), ("ink", "warn-ground"),
    ("quiet", "ground"), ("quiet", "paper"), ("quiet", "sunk"), ("quiet", "accent-soft"),
    ("accent", "ground"), ("accent", "paper"), ("accent", "sunk"), ("accent", "accent-soft"), ("good", "paper"),
]  # fmt: skip
BORDERS = [("edge", "paper"), ("edge", "ground"), ("accent", "ground")]


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", asset("mailer.markup", "base.css"), re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found if scheme == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_by_four_and_a_half_and_borders_of_controls_by_three(scheme):
    palette = colours(scheme)
    weak = [
        (a, b, round(contrast(palette[a], palette[b]), 2)) for a, b in TEXT if contrast(palette[a], palette[b]) < 4.5
    ]
    weak += [
        (a, b, round(contrast(palette[a], palette[b]), 2)) for a, b in BORDERS if contrast(palette[a], palette[b]) < 3
    ]
    assert weak == []
    assert contrast("#ffffff", palette["accent-ground"]) >= 4.5
