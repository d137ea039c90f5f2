"""Checks a whole column of addresses: the plain ones in bulk, the others one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailer.address import PLAIN, PLAIN_LENGTH, SPECIAL
from mailer.contacts.address import Checked, Fault, check
from mailer.contacts.found import Found, in_rows
from mailer.contacts.table import TEXT, arrow, text_array
from mailer.contacts.typos import LIKELY_TYPO, suggestion
from mailer.model import Problem, Severity, said

Mask = npt.NDArray[np.bool_]

BLOCK = 50_000
"""Cells that are Python text at a time."""

CAPITAL_DOMAIN = r"@.*[A-Z]"
HINTS = {
    "missing-address": "Fill in the address or remove the row.",
    "two-addresses": "Give each person a row of their own, with one address in it.",
    "malformed-address": "Correct the address or remove the row.",
    "exchange-address": said(
        "Outlook's address book shows the real one (SMTP); in an export from Outlook it often stands in the column E-mail Display Name."
        " From Exchange export PrimarySmtpAddress: Get-Recipient | Select-Object DisplayName,PrimarySmtpAddress | Export-Csv list.csv"
    ),
    "control-character": "Retype the cell on one line.",
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Screened:
    """Address and key of each row, both empty where there is a problem; `cleaned` marks the rows that held more."""

    address: pa.ChunkedArray
    key: pa.ChunkedArray
    cleaned: Mask
    problems: list[Found]
    warnings: list[Found]


def screen(cells: pd.Series[str], *, file: str, column: str) -> Screened:
    """Check stripped cells; the index holds row numbers."""
    values = arrow(cells)
    plain = _plain(values)
    odd = _Odd(values, ~plain)
    key = replaced(pc.utf8_lower(values), ~plain, odd.keys)
    said = _Said(file=file, column=column, index=cells.index)
    return Screened(
        address=replaced(_small_domains(values, plain), ~plain, odd.addresses),
        key=key,
        cleaned=odd.cleaned,
        problems=[found for fault, mask in odd.faults() for found in said.fault(fault, mask)],
        warnings=[*said.cleaned(odd.cleaned), *said.international(odd.international), *said.typos(key)],
    )


def replaced(values: pa.ChunkedArray, mask: Mask, others: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values with `others`, in order, where the mask is true."""
    if not mask.any():
        return values
    new = pc.replace_with_mask(values.combine_chunks(), pa.array(mask), others.combine_chunks())
    return pa.chunked_array([new])


def _plain(values: pa.ChunkedArray) -> Mask:
    fits = pc.and_(
        pc.match_substring_regex(values, f"^{PLAIN}$"),
        pc.and_not(pc.less_equal(pc.binary_length(values), PLAIN_LENGTH), pc.match_substring_regex(values, SPECIAL)),
    )
    plain: Mask = fits.to_numpy().astype(bool)
    return plain


def _small_domains(values: pa.ChunkedArray, plain: Mask) -> pa.ChunkedArray:
    """The plain addresses as they go into RCPT TO: capitals stay only before the @."""
    capital: Mask = plain & pc.match_substring_regex(values, CAPITAL_DOMAIN).to_numpy().astype(bool)
    if not capital.any():
        return values
    written = values.filter(pa.array(capital))
    local = pc.replace_substring_regex(written, "@.*$", "@")
    domain = pc.utf8_lower(pc.replace_substring_regex(written, "^.*@", ""))
    return replaced(values, capital, pc.binary_join_element_wise(local, domain, pa.scalar("", TEXT)))


class _Odd:
    """The cells that are no plain address, checked one by one, in blocks so that few are Python text at a time."""

    def __init__(self, values: pa.ChunkedArray, mask: Mask) -> None:
        self._at = np.flatnonzero(mask)
        self._codes = np.full(len(self._at), -1, dtype=np.int64)
        self._said: dict[Fault, int] = {}
        self.cleaned, self.international = np.zeros(len(mask), dtype=bool), np.zeros(len(mask), dtype=bool)
        cells = values.filter(pa.array(mask))
        blocks = [self._check(start, cells.slice(start, BLOCK).to_pylist()) for start in range(0, len(cells), BLOCK)]
        self.addresses = pa.chunked_array([addresses for addresses, _ in blocks], TEXT)
        self.keys = pa.chunked_array([keys for _, keys in blocks], TEXT)

    def _check(self, start: int, cells: list[str]) -> tuple[pa.Array, pa.Array]:
        addresses, keys = [""] * len(cells), [""] * len(cells)
        memo: dict[str, Checked | Fault] = {}
        for number, cell in enumerate(cells):
            result = memo.get(cell) or memo.setdefault(cell, check(cell))
            if isinstance(result, Fault):
                self._codes[start + number] = self._said.setdefault(result, len(self._said))
                continue
            addresses[number], keys[number] = result.address, result.key
            at = self._at[start + number]
            self.cleaned[at], self.international[at] = result.cleaned, result.needs_smtputf8
        return text_array(addresses), text_array(keys)

    def faults(self) -> Iterator[tuple[Fault, Mask]]:
        """Each fault with the rows that have it."""
        for fault, code in self._said.items():
            mask = np.zeros(len(self.cleaned), dtype=bool)
            mask[self._at[self._codes == code]] = True
            yield fault, mask


class _Said:
    """What is to be said about rows, never with an address in it."""

    def __init__(self, *, file: str, column: str, index: pd.Index[int]) -> None:
        self._file, self._column, self._index = file, column, index

    def fault(self, fault: Fault, mask: Mask) -> list[Found]:
        problem = Problem(
            code=fault.code,
            message=said("The e-mail address {reason}.", reason=fault.reason),
            file=self._file,
            column=self._column,
            hint=HINTS[fault.code],
        )
        return in_rows(problem, self._index, mask)

    def cleaned(self, mask: Mask) -> list[Found]:
        return self._warn(
            mask, "cleaned-address", "The cell held more than the bare address; only the address is used."
        )

    def international(self, mask: Mask) -> list[Found]:
        return self._warn(
            mask,
            "needs-smtputf8",
            "The address has letters before the @ sign that not every mail server accepts.",
            "Ask for another address if the message cannot be delivered.",
        )

    def typos(self, keys: pa.ChunkedArray) -> list[Found]:
        """Every domain is judged once, however many rows have it."""
        domains = pc.replace_substring_regex(keys, r"^.*@", "").combine_chunks().dictionary_encode()
        codes: dict[str, list[int]] = {}
        for code, domain in enumerate(domains.dictionary.to_pylist()):
            if meant := suggestion(domain):
                codes.setdefault(meant, []).append(code)
        found = []
        for meant, mistyped in codes.items():
            found += self._warn(
                np.isin(domains.indices.to_numpy(), mistyped),
                LIKELY_TYPO,
                said("The domain of the address looks mistyped: {meant} was probably meant.", meant=meant),
                "Correct it in the list.",
            )
        return found

    def _warn(self, mask: Mask, code: str, message: str, hint: str | None = None) -> list[Found]:
        problem = Problem(
            code=code,
            message=message,
            file=self._file,
            column=self._column,
            hint=hint,
            severity=Severity.WARNING,
        )
        return in_rows(problem, self._index, mask)
