"""Commands without the right to read and write whatever they like, also where the tests are run by root."""

from __future__ import annotations

import os
import shutil
import sys

AS_OTHERS = (
    ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if hasattr(os, "geteuid") and os.geteuid() == 0
    else []
)
"""What stands before a command."""

READERS_RIGHTS = sys.platform != "win32" and (not AS_OTHERS or shutil.which(AS_OTHERS[0]) is not None)
"""Whether files and folders can be closed to it here."""
