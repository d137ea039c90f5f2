"""Who is on a list, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

FieldValue = str | Mapping[str, str]
"""A merge field: the text of a cell, or the matching row of a look-up table."""

_parsed = json.JSONDecoder().raw_decode


class Severity(StrEnum):
    """Whether a problem keeps a message from being sent, or is only pointed out."""

    PROBLEM = "problem"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong with a list, a letter or a setting, told so that its owner can mend it.

    `row` counts as a spreadsheet shows it: the header is row 1. `message` is one plain sentence and holds no address;
    `line` is where in a letter's file it stands, which `message` says as well. `hint` is what to do next, where that is
    not obvious.
    """

    code: str
    message: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    hint: str | None = None
    severity: Severity = Severity.PROBLEM
    line: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """One row of a list.

    `address` is what goes into RCPT TO (local part as written, domain in lower case as A-labels); `key` is the
    normalised form by which an address is the same address: lower case, NFC.
    """

    address: str
    key: str
    row: int
    name: str = ""
    language: str | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """Destination domain, the unit of per-domain quotas."""
        return self.key.rpartition("@")[2]


class PackedContact(NamedTuple):
    """A contact as the ledger keeps it: the same, but for the fields, which are a JSON object."""

    address: str
    key: str
    row: int
    name: str
    language: str | None
    fields: str

    @property
    def domain(self) -> str:
        """Destination domain."""
        return self.key.rpartition("@")[2]


def unpacked(fields: str) -> Mapping[str, FieldValue]:
    """Fields as the ledger keeps them. It wrote them itself: nothing stands around the object."""
    read: Mapping[str, FieldValue] = _parsed(fields)[0]
    return read


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """A table joined to the list: `on` names the list's column, `key` the table's (the same name if None).

    Rows whose `checked_on` is older than `max_age_days` are warned about.
    """

    table: str
    on: str
    key: str | None = None
    max_age_days: int = 365


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeZones:
    """How to find out in which time zone somebody lives: `column` if it was named, and `default` for whoever has none."""

    default: str
    column: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedRow:
    """A row that cannot be mailed, with its reason; recorded when its owner chose to go on without it."""

    row: int
    address: str | None
    reason: str
    fields: Mapping[str, str] = field(default_factory=dict)
