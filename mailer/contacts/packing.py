"""Contacts as the ledger takes them: the fields of each as one JSON text, made for thousands at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts.table import TEXT

SPECIAL = r'[\x00-\x1f"\\]'
"""What JSON writes in another way (RFC 8259, section 7)."""

encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def objects(columns: Mapping[str, pa.Array], embedded: Mapping[str, pa.Array]) -> list[str]:
    """A JSON object for each row, of texts and of what is JSON already."""
    parts: list[pa.Array | pa.Scalar] = []
    texts = {id(values): escaped(values) for values in columns.values()}
    mark = "{"
    for name, values in columns.items():
        parts += [_scalar(f'{mark}{encoded(name)}:"'), texts[id(values)]]
        mark = '",'
    for name, values in embedded.items():
        parts += [_scalar(f"{mark}{encoded(name)}:"), values]
        mark = ","
    closing = "}" if embedded else '"}'
    made: Sequence[str] = pc.binary_join_element_wise(*parts, _scalar(closing), _scalar("")).to_pylist()
    return list(made)


def escaped(values: pa.Array) -> pa.Array:
    """Texts as they stand between the quotation marks of JSON."""
    special = pc.match_substring_regex(values, SPECIAL)
    if not pc.any(special).as_py():
        return values
    written = [encoded(text)[1:-1] for text in values.filter(special).to_pylist()]
    return pc.replace_with_mask(values, special, pa.array(written, TEXT))


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, TEXT)
