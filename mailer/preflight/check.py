"""What a pre-flight check says: ok, warn or fail, in one sentence, with the way to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial


class Area(StrEnum):
    """What a check is about, in the order in which they are shown."""

    ACCOUNT = "account"
    DNS = "dns"
    LETTER = "letter"
    ARRIVAL = "arrival"


class Level(StrEnum):
    """FAIL keeps mail from arriving, or from being sent at all; WARN may harm; OK is said so that it need not be asked."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One result. `message` is a sentence for people and holds no address; `fix` says what to do, and is blank if ok."""

    area: Area
    code: str
    level: Level
    message: str
    fix: str = ""


class Reporter:
    """Makes the checks of one area."""

    def __init__(self, area: Area) -> None:
        self.ok = partial(self._make, area, Level.OK)
        self.warn = partial(self._make, area, Level.WARN)
        self.fail = partial(self._make, area, Level.FAIL)

    @staticmethod
    def _make(area: Area, level: Level, code: str, message: str, fix: str = "") -> Check:
        return Check(area=area, level=level, code=code, message=message, fix=fix)


def of_level(checks: Iterable[Check], level: Level) -> list[Check]:
    """Those of one level, in their order."""
    return [check for check in checks if check.level is level]
