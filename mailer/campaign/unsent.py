"""What came of messages of which nothing, or nothing that counts, had left: they are tried again, and no doubt is left of them."""

from __future__ import annotations

from mailer.model import Outcome, Phase, Scope, Verdict


def _unsent(phase: Phase, text: str) -> Outcome:
    return Outcome(verdict=Verdict.REQUEUED, scope=Scope.CONNECTION, phase=phase, text=text)


GAVE_WAY = _unsent(Phase.CONTENT, "ended before the final dot: somebody else has decided about this message")

LEFT_EARLY = _unsent(Phase.MAIL, "only its envelope had left, with the message before it, when the connection ended")

NOTHING_LEFT = _unsent(Phase.MAIL, "the run was stopped before anything of it had left")
