"""Why a file could not be written, in plain words, whichever system says it."""

from __future__ import annotations

import errno
from enum import Enum

from mailer.model import said

FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
FULL_WINDOWS = frozenset({39, 112, 1295})
"""ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL and ERROR_DISK_QUOTA_EXCEEDED; Python has an errno for the second only."""

READ_ONLY_WINDOWS = 19
"""ERROR_WRITE_PROTECT"""


class Cause(Enum):
    """What stands in the way, as far as the way out depends on it."""

    FULL = "full"
    READ_ONLY = "read-only"
    OTHER = "other"


def cause_of(error: OSError) -> Cause:
    windows = getattr(error, "winerror", None)
    if error.errno in FULL or windows in FULL_WINDOWS:
        return Cause.FULL
    if error.errno == errno.EROFS or windows == READ_ONLY_WINDOWS:
        return Cause.READ_ONLY
    return Cause.OTHER


def reason_of(error: OSError) -> str:
    """As the end of a sentence."""
    match cause_of(error):
        case Cause.FULL:
            return said("the disk, or your share of it, is full")
        case Cause.READ_ONLY:
            return said("that disk is read-only")
    return error.strerror or str(error)
