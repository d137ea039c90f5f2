"""Archives (ZIP), as workbooks and documents are: what reading one that is damaged, locked or unknown comes to."""

from __future__ import annotations

import zipfile
import zlib

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, KeyError)
"""RuntimeError for a password, or a way to pack that is not known (NotImplementedError); ValueError and KeyError for parts that cannot be."""
