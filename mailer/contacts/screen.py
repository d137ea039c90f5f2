"""Checks a whole column of addresses: the plain ones in bulk, the others one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts.address import Checked, Fault, check
from mailer.contacts.table import arrow, text_series
from mailer.contacts.typos import suggestion
from mailer.model import Problem, Severity

PLAIN = r"^[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9]+(-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,}$"
"""Stricter than the RFCs: no rarity, no `xn--`. What it accepts in PLAIN_LENGTH octets, email-validator accepts."""

PLAIN_LENGTH = 64
"""Up to this length neither part can be too long (64 and 63 octets, RFC 5321, 4.5.3.1)."""

SPECIAL = r"(?i)\.(arpa|invalid|local|localhost|onion)$"
CAPITAL_DOMAIN = r"@.*[A-Z]"
HINTS = {
    "missing-address": "Fill in the address or remove the row.",
    "two-addresses": "Give each person a row of their own, with one address in it.",
    "malformed-address": "Correct the address or remove the row.",
    "control-character": "Retype the cell on one line.",
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Screened:
    """Address and key of each row, both empty where there is a problem; `cleaned` lists rows that held more."""

    address: pd.Series[str]
    key: pd.Series[str]
    cleaned: tuple[int, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def screen(cells: pd.Series[str], *, file: str, column: str) -> Screened:
    """Check stripped cells; the index holds row numbers."""
    values = arrow(cells)
    good = _plain(values)
    address = cells.to_numpy(dtype=object, copy=True)
    address[~good] = ""
    key = arrow_lower(values).to_numpy(zero_copy_only=False) if good.any() else address.copy()
    key[~good] = ""
    capital = good & pc.match_substring_regex(values, CAPITAL_DOMAIN).to_numpy()
    for at in np.flatnonzero(capital).tolist():
        local, _, domain = address[at].rpartition("@")
        address[at] = f"{local}@{domain.lower()}"
    notes = _Notes(file=file, column=column, rows=cells.index.to_numpy())
    memo: dict[str, Checked | Fault] = {}
    odd = np.flatnonzero(~good).tolist()
    for at, cell in zip(odd, cells.iloc[odd].tolist(), strict=True):
        if cell not in memo:
            memo[cell] = check(cell)
        result = memo[cell]
        if isinstance(result, Fault):
            notes.fault(at, result)
        else:
            address[at], key[at] = result.address, result.key
            notes.remark(at, result)
    packed = pa.chunked_array([pa.array(key, pa.large_string())])
    notes.typos(packed)
    return Screened(
        address=_series(address, cells.index),
        key=text_series(packed).set_axis(cells.index),
        cleaned=tuple(notes.cleaned),
        problems=tuple(notes.problems),
        warnings=tuple(sorted(notes.warnings, key=lambda problem: problem.row or 0)),
    )


def arrow_lower(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_lower(values)


def _series(values: npt.NDArray[np.object_], index: pd.Index[int]) -> pd.Series[str]:
    return text_series(pa.chunked_array([pa.array(values, pa.large_string())])).set_axis(index)


def _plain(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    fits = pc.and_(
        pc.match_substring_regex(values, PLAIN),
        pc.and_not(pc.less_equal(pc.binary_length(values), PLAIN_LENGTH), pc.match_substring_regex(values, SPECIAL)),
    )
    plain: npt.NDArray[np.bool_] = fits.to_numpy().astype(bool)
    return plain


class _Notes:
    """Collects what is to be said about rows, never with an address in it."""

    def __init__(self, *, file: str, column: str, rows: npt.NDArray[np.int64]) -> None:
        self.file, self.column, self.rows = file, column, rows
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.cleaned: list[int] = []

    def fault(self, at: int, fault: Fault) -> None:
        self.problems.append(
            Problem(
                code=fault.code,
                message=f"The e-mail address {fault.reason}.",
                file=self.file,
                row=int(self.rows[at]),
                column=self.column,
                hint=HINTS[fault.code],
            )
        )

    def remark(self, at: int, checked: Checked) -> None:
        if checked.cleaned:
            self.cleaned.append(int(self.rows[at]))
            self._warn(at, "cleaned-address", "The cell held more than the bare address; only the address is used.")
        if checked.needs_smtputf8:
            self._warn(
                at,
                "needs-smtputf8",
                "The address has letters before the @ sign that not every mail server accepts.",
                "Ask for another address if the message cannot be delivered.",
            )

    def typos(self, keys: pa.ChunkedArray) -> None:
        """Every domain is judged once, however many rows have it."""
        domains = pc.replace_substring_regex(keys, r"^.*@", "").combine_chunks().dictionary_encode()
        meant = [suggestion(domain) for domain in domains.dictionary.to_pylist()]
        if not any(meant):
            return
        suspects = np.isin(domains.indices.to_numpy(), [code for code, domain in enumerate(meant) if domain])
        for at in np.flatnonzero(suspects).tolist():
            domain = meant[domains.indices[at].as_py()]
            self._warn(
                at,
                "likely-typo",
                f"The domain of the address looks mistyped: {domain} was probably meant.",
                "Correct it in the list.",
            )

    def _warn(self, at: int, code: str, message: str, hint: str | None = None) -> None:
        self.warnings.append(
            Problem(
                code=code,
                message=message,
                file=self.file,
                row=int(self.rows[at]),
                column=self.column,
                hint=hint,
                severity=Severity.WARNING,
            )
        )
