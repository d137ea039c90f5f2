"""Changes to `.env`: other lines, comments and their order stay as they are."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from mailer.errors import SettingsError
from mailer.model import said
from mailer.settings.layers import PREFIX, Layer
from mailer.settings.sources import read_text

PLAIN = re.compile(r"[A-Za-z0-9_.@:/+-]+")


def changed(text: str, values: Mapping[str, str | None], heading: str) -> str:
    """The text of a `.env` with these settings, by their lower-case names; None takes a setting out.

    What is new comes last, below a comment with the heading. A setting that stood there more than once stands there once.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    left = dict(values)
    parts = []
    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        name = (binding.key or "").upper().removeprefix(PREFIX).lower()
        if binding.error or not (binding.key or "").upper().startswith(PREFIX) or name not in values:
            parts.append(original)
            continue
        above = original[: len(original) - len(original.lstrip())]
        parts.append(above[: above.rfind("\n") + 1])  # blank lines, but not how far the old one was set in
        value = left.pop(name, None)
        if value is not None:
            parts.append(_line(name, value) + newline)
    new = [_line(name, value) for name, value in left.items() if value is not None]
    kept = "".join(parts)
    if not new:
        return kept
    if kept and not kept.endswith(("\n", "\r")):
        kept += newline
    comment = f"# {heading}"
    lines = new if comment in kept.splitlines() else [*([""] if kept else []), comment, *new]
    return kept + "".join(line + newline for line in lines)


def _line(name: str, value: str) -> str:
    if not PLAIN.fullmatch(value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        value = f"'{escaped}'"
    return f"{PREFIX}{name.upper()}={value}"


def change(path: Path, values: Mapping[str, str | None], heading: str) -> None:
    """The same to a file, at once or not at all; made if it is missing. Raises SettingsError."""
    layer = Layer()
    text = read_text(path, layer)
    if layer.problems:
        raise SettingsError(
            said("{name} cannot be read. Nothing was changed.", name=path.name), problems=layer.problems
        )
    write_private(path, changed(text, values, heading))


def write_private(path: Path, text: str) -> None:
    """Put a text in a file's place, at once or not at all, for its owner's eyes only. Raises SettingsError."""
    path = path.resolve()  # a link stays one
    building = None
    try:
        # mkstemp makes a file that others cannot read (0600), whatever the umask
        descriptor, building = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(building).replace(path)
    except OSError as error:
        if building:
            Path(building).unlink(missing_ok=True)
        raise SettingsError(
            said("{name} cannot be written: {strerror}. Nothing was changed.", name=path.name, strerror=error.strerror),
            hint="check that this folder may be written to, and that the disk is not full",
        ) from error
