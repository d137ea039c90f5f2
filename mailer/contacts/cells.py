"""A cell of a spreadsheet as the text that a person reads in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

WHOLE = 1e15
"""Up to here a spreadsheet shows a whole number digit by digit."""

Rows = list[list[Any]]
"""Typed cells of a sheet, row by row."""


def cell_text(value: Any) -> str:
    """Nothing is guessed: a typed cell becomes what a person reads in it, a date its ISO form."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return _number_text(value)
    return _other_text(value)


def _number_text(value: float) -> str:
    if math.isnan(value):
        return ""
    if value.is_integer() and abs(value) < WHOLE:
        return str(int(value))
    return repr(value)


def _other_text(value: Any) -> str:
    for kind, text in TEXT_OF:
        if isinstance(value, kind):
            return text(value)
    return str(value)


def _moment_text(value: datetime) -> str:
    midnight = value.time() == time() and value.tzinfo is None
    return value.date().isoformat() if midnight else value.isoformat(" ")


def _span_text(value: timedelta) -> str:
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def _decimal_text(value: Decimal) -> str:
    return format(value, "f") if value.is_finite() else str(value)


def _nested_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=cell_text)


def _bytes_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


TEXT_OF: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (datetime, _moment_text),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, _span_text),
    (Decimal, _decimal_text),
    ((list, tuple, Mapping), _nested_text),
    (bytes, _bytes_text),
)


def is_filled(value: Any) -> bool:
    return bool(cell_text(value).strip())
