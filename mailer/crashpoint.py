"""Named places where a test kills the program, to prove that nothing is lost or repeated there."""

from __future__ import annotations

import os
import signal

# after-start: the campaign is frozen, nothing has been tried
# before-intent: the content may be on the wire, nothing says so yet
# after-intent: the intent is durable, the final dot has not left
# after-dot: the final dot has left, no reply was read
# after-reply: the reply was read, nothing was recorded
# after-outcome: the outcome is durable
NAMES = frozenset({"after-start", "before-intent", "after-intent", "after-dot", "after-reply", "after-outcome"})

# after-events: what came back is in the ledger, the mails that told of it are not yet put away (mailer inbox)
# after-leave: the campaign is left to workers, nobody was told
# after-claim: a worker has taken a batch, nothing of it has left
# after-batch: what a batch came to is in the ledger, the queue does not know it yet
# after-bury: what a dead worker left is seen to in the ledger, the queue does not know it yet
# before-exchange: the ledger was written anew under another key and waits beside the old one (mailer encrypt)
# after-exchange: it has taken its place
# before-arrival: a campaign has left its file for a server, where it is not yet durable (mailer ledger copy)
BESIDES = frozenset(
    {"after-events", "after-leave", "after-claim", "after-batch", "after-bury"}
    | {"before-exchange", "after-exchange", "before-arrival"}
)
"""Not passed by a send."""

# "after-dot" crashes at once, "after-dot:17" when the point is passed for the 17th time
_name, _, _countdown = os.environ.get("MAILER_CRASH_AT", "").partition(":")
_remaining = int(_countdown) if _countdown.isdigit() else 1

if _name and _name not in NAMES | BESIDES:
    raise SystemExit(f"MAILER_CRASH_AT: {_name!r} is not one of {', '.join(sorted(NAMES | BESIDES))}")


def pass_through(name: str) -> None:
    """Die here without any clean-up, if this point was chosen; otherwise cost nothing to speak of."""
    global _remaining  # noqa: PLW0603 - a countdown is state by nature
    if name != _name:
        return
    _remaining -= 1
    if _remaining <= 0:
        if hasattr(signal, "SIGKILL"):
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(137)
