"""When the next transaction may start, so that no window of any length ever holds more messages than its quota.

The rule: a message takes a place from the moment it may start, s, until `seconds` after its reply was read, r; and one
starts only while fewer than `count` places are taken.

It is enough, wherever in [s, r] the server counts each message, and be it at another step of each. Of the messages in a
half-open window of `seconds`, take the one that started last. The window ends after its s, so it began after s - `seconds`.
The others were answered since, so they held their places at s. So they were fewer than `count`. A window n times as long
is n such windows, and each quota holds for itself.

Nothing less is enough. Were one more to start while `count` places are taken, the server might count it at once and each
of the others just before its reply: `count` + 1 in less than `seconds`. So a place serves once in `seconds` + (r - s), and
the part of a quota that can be used is seconds / (seconds + r - s). Of 100/second, with transactions of 1 ms, that is 99.9 %;
10 ms, 99 %; 20 ms, 98 %; 50 ms, 95 %; 100 ms, 91 %. Of 20/minute it is 98 % with 1.2 s, and of 500/hour with 73 s. Two ways
to more were weighed, and not taken:
- To count from the final dot on: servers that count at MAIL or RCPT (Postfix's anvil does) would see too many.
- To take off the shortest round trip seen: true only as long as no message is ever faster. Some are, as soon as whoever
  else filled the line has done.

The server goes by its own clock. While kernels put clocks right (by 500 parts in a million at most, as ntp_adjtime says),
ours may be faster by DRIFT, so each window is longer by it. All arithmetic is on a clock that nobody can set; the wall clock
only says how old the ledger's history is.
"""

from mailer.pace.adaptive import OwnThrottle, SharedThrottle
from mailer.pace.domains import EACH
from mailer.pace.pace import Pace
from mailer.pace.places import DRIFT, GRAIN
from mailer.pace.shared import SharedPace
from mailer.pace.slot import Slot

__all__ = ["DRIFT", "EACH", "GRAIN", "OwnThrottle", "Pace", "SharedPace", "SharedThrottle", "Slot"]
