"""Some contacts of a list as plain columns, from which they are made, here or in another process. No pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mailer.model import Contact, FieldValue

Tables = Mapping[str, Sequence[Mapping[str, str]]]
"""The rows of each look-up table, by the name that letters use."""


class Slice(NamedTuple):
    """`fields` are a field's name and its cells; `joins` a table's name and which of its rows is whose."""

    fields: list[tuple[str, list[str]]]
    joins: list[tuple[str, list[int]]]
    address: list[str]
    key: list[str]
    row: list[int]
    name: list[str]
    language: list[str]


def made(part: Slice, tables: Tables) -> Iterator[Contact]:
    """The contacts of a slice."""
    names = [name for name, _ in part.fields]
    joins = [(name, tables[name], match) for name, match in part.joins]
    whole = zip(part.address, part.key, part.row, part.name, part.language, strict=True)
    cells = zip(*(values for _, values in part.fields), strict=True)
    for number, ((address, key, row, name, language), values) in enumerate(zip(whole, cells, strict=True)):
        fields: dict[str, FieldValue] = dict(zip(names, values, strict=True))
        for lookup, rows, match in joins:
            fields[lookup] = rows[match[number]]
        yield Contact(address=address, key=key, row=row, name=name, language=language or None, fields=fields)
