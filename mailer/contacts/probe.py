"""Opens a workbook in a process of its own first, where damage in it can do no harm.

The reader takes sizes from the file on trust; in an old .xls or an .ods one wrong octet can make it ask for more memory
than there is, which ends the process at once. An .xlsx is checked without this: its parts carry checksums.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mailer.contacts.extent import MOST_CELLS
from mailer.errors import ListError
from mailer.model import said

PATIENCE = 120
"""Seconds."""

PROBE = """
import io, sys
import python_calamine as calamine
most = 0
with calamine.load_workbook(io.BytesIO(sys.stdin.buffer.read())) as book:
    for name in book.sheet_names:
        sheet = book.get_sheet_by_name(name)
        most = max(most, sheet.total_height * sheet.total_width)
print(most)
"""


def probe(path: Path, data: bytes) -> None:
    """Raises ListError if the reader does not come back, or finds more cells than a list can have."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and program; the file goes in as data
            [sys.executable, "-I", "-c", PROBE], input=data, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _damaged(path) from error
    if done.returncode == 0 and int(done.stdout) > MOST_CELLS:
        raise ListError(
            said("{path} has something in a cell far away from the list.", path=path),
            hint="Delete the rows below and the columns right of the list, or copy the list to a new sheet.",
        )
    if done.returncode < 0 or done.returncode > 1:  # 1 is an exception, told in full by the reading that follows
        raise _damaged(path)


def _damaged(path: Path) -> ListError:
    return ListError(
        said("{path} cannot be opened as a spreadsheet; it is damaged.", path=path),
        hint="Open it in a spreadsheet program and save it again as .xlsx or as CSV UTF-8.",
    )
