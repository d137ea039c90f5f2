"""What the laboratory's server is told, and which of its deeds leave a client in doubt."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from smtp_script import Rule, parse_rule

TIMEOUT = 5.0
"""Seconds that a command of a trial's campaign waits for an answer."""

FINAL_TIMEOUT = 2 * TIMEOUT
"""Seconds that it waits for the answer to the final dot."""

AFTER_CONTENT = frozenset({"content", "dot", "accepted"})
"""Where a server that goes may leave a message in doubt: within the content, it may be sent the dot without reading it."""


class Allowance(Rule):
    """Takes only so many messages in so many seconds and tells nobody: 451 for the rest."""

    def counts(self, phase: str, connection: int, address: str | None) -> bool:
        if phase != self.phase:
            return False
        since = time.monotonic() - self.delay
        recent = sum(message.at > since for message in self.server.accepted)
        return recent >= (self.nth or 1)

    server: Any = None


class Early(Rule):
    """Fits only what came together with the end of the message before."""

    def counts(self, phase: str, connection: int, address: str | None) -> bool:
        return self.script.early and super().counts(phase, connection, address)

    script: Any = None


class Script:
    """Rules of tests/smtp_script.py, and more words: `drip=SECONDS` a byte, `allow n=NUMBER seconds=SECONDS`.

    `early RULE` is for an envelope that came with the end of the message before. `deaf every=NUMBER` throws away whatever
    came together with the end of every so many-th message that something came with.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.rules: list[Rule] = []
        self.drips: dict[int, float] = {}
        self.early = False
        """Whether the command that is being answered came together with the end of a message."""
        self.deaf = 0
        for text in texts:
            words = text.split()
            if words[0] == "deaf":
                self.deaf = int(words[1].partition("=")[2])
                continue
            if words[0] == "early":
                rule = parse_rule(text.partition(" ")[2], Early)
                rule.script = self
                self.rules.append(rule)
                continue
            if words[0] == "allow":
                number, seconds = (word.partition("=")[2] for word in words[1:3])
                self.rules.append(
                    Allowance(phase="rcpt", nth=int(number), delay=float(seconds), reply="451 4.7.1 Please try later")
                )
                continue
            drip = next((float(word[5:]) for word in words if word.startswith("drip=")), 0.0)
            rule = parse_rule(" ".join(word for word in words if not word.startswith("drip=")) if drip else text)
            if drip:
                self.drips[id(rule)] = drip
            self.rules.append(rule)


def withholds(rule: Rule, default: str, drip: float = 0.0) -> bool:
    """Whether a rule leaves its client without an answer that can be understood: only then may a message be in doubt.

    A refusal is an answer, whether or not the server leaves after it. Within the content it may get lost, since whoever
    closes before reading everything resets the connection. Only 2xx, 4xx and 5xx end a message (RFC 5321, 4.2.1).
    """
    if rule.silence or rule.reset or rule.raw is not None:
        return True
    if rule.drop and (rule.phase == "content" or rule.reply is None):
        return True
    said = rule.reply or default
    return (said != "" and said[0] not in "245") or rule.delay + drip * len(said) > FINAL_TIMEOUT
