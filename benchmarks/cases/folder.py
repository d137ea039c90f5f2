"""A folder for one run of one contender: empty before, gone after."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def fresh() -> Iterator[Path]:
    """An empty folder on the disk that temporary files are on."""
    with tempfile.TemporaryDirectory(prefix="mailer benchmark ") as folder:
        yield Path(folder)
