"""One transaction a message (RFC 5321, 3.3), with the moment before the final dot held open for the ledger.

Where the server takes commands together (RFC 2920), a message costs one round trip: the envelope of the next one leaves with
the final dot of this one, and what answers it is read when its turn has come.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailer import crashpoint
from mailer.model import Action, Message, Outcome, Phase, Pipelining, Reply, Scope, Told, Verdict
from mailer.outcome import accepted, classify, lost
from mailer.postfix_log import QUEUED_AS
from mailer.smtp.dialogue import ConnectionEnded, Dialogue
from mailer.smtp.stride import Stride
from mailer.smtp.wire import QUIT, lines, stuffed

QUIT_TIMEOUT = 5.0

ENVELOPE_PATIENCE = 60.0
"""Seconds for the answer to an envelope that left with the message before: some servers throw away what comes so early."""

UNHEARD = frozenset({500, 501, 502, 503, 504})
"""What a server says to the rest of an envelope of which it threw away a part (RFC 5321, 4.2.2)."""

OUT_OF_STEP = re.compile("pipelin|synchroni", re.IGNORECASE)
"""How a server names it that something came before its turn."""

ONE_PIECE = 14_000
"""Octets that a network takes at once, without an answer in between (RFC 6928): a message of no more is on its way in no time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extensions:
    """What the server offered in EHLO, as far as it matters here. `size` in octets (RFC 1870)."""

    pipelining: bool = False
    smtputf8: bool = False
    size: int | None = None


class Farewell:
    """No message follows on this connection: QUIT leaves with the final dot (RFC 2920, section 4, has an example)."""


FAREWELL = Farewell()

ROUND = [250, 250, 250, 354]
"""The codes that answer a final dot and the envelope after it, if all is well."""

Following = Callable[[], Message | Farewell | None]
"""Called as a final dot leaves: what goes with it."""


Onward = Callable[[Outcome, Told], bool]
"""Called when a message was accepted, and with it the envelope of the next: whether it has seen to the outcome of the one, and asked for
the intent of the other, which is to be told. Else nothing may have come of it.
"""


def undecided() -> None:
    """It is not known yet what follows."""


class Connection:
    """A relay connection after login. Transactions follow each other; only the envelope of the next may be begun early."""

    def __init__(
        self,
        dialogue: Dialogue,
        extensions: Extensions,
        *,
        timeout: float = 300.0,
        final_timeout: float = 600.0,
        pipelining: Pipelining = Pipelining.AUTO,
    ) -> None:
        self._dialogue = dialogue
        self.extensions = extensions
        self._timeout = timeout
        self._final_timeout = final_timeout
        self._together = extensions.pipelining and pipelining is not Pipelining.OFF
        self.overlaps = extensions.pipelining and pipelining is Pipelining.AUTO
        self._needs_reset = False
        self._leaving = False
        self._may_testify: bool | None = None
        """Whether the server's log could tell what it began to receive; None until it has accepted a message."""
        self._phase = Phase.MAIL
        self._left = b""
        """What is still to be sent of a message that waits for its intent."""
        self.transactions = 0
        self.begun: Message | None = None
        """The message whose envelope has left although its turn has not come."""
        self.deaf = False
        """Whether the server seems to throw away what leaves together with the end of a message."""

    @property
    def encryption(self) -> tuple[str, str]:
        """The version of TLS and the day on which the server's certificate ends, as it has it; blank what there is not."""
        return self._dialogue.encryption

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin here."""
        return self._dialogue.ended is None and not (self._dialogue.pending or self._leaving)

    @property
    def ended(self) -> bool:
        """Whether nothing more can be said here."""
        return self._dialogue.ended is not None

    @property
    def waiting(self) -> tuple[float, float] | None:
        """Since when the server owes something (by the loop's clock) and how many seconds it is given; None if it does not."""
        return self._dialogue.waiting

    async def transmit(  # noqa: PLR0911  # one for each way in which it ends
        self,
        message: Message,
        intent: Callable[[], Awaitable[bool]],
        following: Following = undecided,
        onward: Onward | None = None,
    ) -> Outcome | None:
        """Send one message. Calls `intent` when the server waits for the content, or for no more of it than the dot, and `following`
        as the dot leaves.

        If `intent` holds up the event loop, it comes back a turn of the loop later, so that what the server said meanwhile is heard.
        What `following` returns is the message to transmit next, here or, should this connection end, elsewhere: its envelope
        goes with the final dot (see `begun`). After FAREWELL the connection is only to be left, by `quit`. Returns None, having
        sent nothing, if `intent` answers that somebody else has the delivery. The connection is closed after everything that
        leaves the server's state in doubt; see `usable`.
        """
        begun = self.begun is message
        if not begun:
            if refusal := self._overtaking() or self._unfit(message):
                return refusal
            self.transactions += 1
        self.begun = None
        try:
            # what is there already is taken without waiting: most of the answers come with the one to the message before
            if not (begun and self._accepted_early()) and (refusal := await self._envelope(message, begun=begun)):
                return refusal
            self._phase = Phase.CONTENT
            content = stuffed(message.content)
            if self._goes_ahead(content):
                if refusal := await self._content(content):
                    return refusal
                content = b""
            crashpoint.pass_through("before-intent")
            if not await self._cleared(intent):
                return None
            await self._dialogue.look_up()
            if self._dialogue.pending:
                return await self._interrupted()
            return await self._final_dot(content, following, onward)
        except ConnectionEnded as ended:
            self._dialogue.abort()
            if begun and self._phase is Phase.MAIL:
                self.deaf = self._dialogue.fell_silent or self._went_after_one
            return lost(self._phase, str(ended))

    def _accepted_early(self) -> bool:
        """Whether the envelope that left with the message before has its answers already, all of them good."""
        self._phase = Phase.DATA
        return self._dialogue.take(250, 250, 354)

    async def _envelope(self, message: Message, *, begun: bool) -> Outcome | None:
        """MAIL, RCPT and DATA; in one round trip where the server takes them together (RFC 2920)."""
        self._phase = Phase.MAIL
        if begun:
            return await self._early_answers()
        reset, self._needs_reset = ("RSET",) if self._needs_reset else (), False
        commands = self._commands(message)
        if self._together:
            self._dialogue.write(lines(*reset, *commands))
        if reset:
            if not self._together:
                self._dialogue.write(lines(*reset))
            if (await self._dialogue.reply(self._timeout)).code != 250:
                raise ConnectionEnded("the server did not accept RSET")
        if self._together:
            return await self._answers()
        for phase, command in zip(ENVELOPE, commands, strict=True):
            self._dialogue.write(lines(command))
            if refusal := await self._reply(phase, self._timeout):
                return refusal
        return None

    async def _early_answers(self) -> Outcome | None:
        refusal = await self._answers(min(self._timeout, ENVELOPE_PATIENCE))
        if refusal and refusal.phase is Phase.MAIL and (reply := refusal.reply):
            self.deaf = reply.code in UNHEARD or OUT_OF_STEP.search(reply.text) is not None
        if refusal and self.deaf:
            # what it refuses is not the sender, and no reason to stop
            self._dialogue.abort()
            return lost(Phase.MAIL, refusal.text)
        return refusal

    async def _answers(self, first: float | None = None) -> Outcome | None:
        """The answers to MAIL, RCPT and DATA, all of which have left. `first`: seconds for the first of them."""
        refusal: Outcome | None = None
        for phase in ENVELOPE:
            timeout, first = first or self._timeout, None
            refusal = await (self._leftover(refusal) if refusal else self._reply(phase, timeout))
        return refusal

    def _goes_ahead(self, content: bytes) -> bool:
        """Whether the content leaves before the intent, as it does where that is of use after a crash.

        While a long one is on its way, nothing is in doubt yet. And a server that logs what it began to receive can tell what it did
        not get; one that names no queue ID can tell nothing, and everything in one write is half the work for both sides.
        """
        return self._may_testify is not False or len(content) > ONE_PIECE

    async def _content(self, content: bytes) -> Outcome | None:
        """All but the final dot."""
        self._dialogue.write(content)
        if self._dialogue.full or self._dialogue.ended:
            await self._dialogue.drain(self._timeout)
        return await self._interrupted() if self._dialogue.pending else None

    async def _interrupted(self) -> Outcome:
        """What the server said before the final dot, e.g. 552: it had enough, and waits for no dot."""
        return self._refused(await self._dialogue.reply(self._timeout))

    async def _final_dot(self, content: bytes, following: Following, onward: Onward | None) -> Outcome | None:
        """Whatever of the content has not left yet, the dot, and what follows; and what came of it, or of the last one of a stride."""
        self._finish(content, following)
        if onward and self.begun and self._may_testify is False:
            granted = await self._cleared(self._stride(following, onward).ended)
            if granted is False:
                return None
            if granted:
                await self._dialogue.look_up()
                if self._dialogue.pending:
                    return await self._interrupted()
                self._finish(self._left, following)
        reply = await self._dialogue.reply(self._final_timeout)
        crashpoint.pass_through("after-reply")
        if reply.code != 250:
            return self._refused(reply)
        if self._may_testify is None:
            self._may_testify = QUEUED_AS.search(reply.text) is not None
        self.deaf = self.begun is not None and self.ended and self._went_after_one
        return accepted(reply)

    def _finish(self, content: bytes, following: Following) -> None:
        """Send the end of a message, and what goes with it."""
        crashpoint.pass_through("after-intent")
        next_one = following() if self.overlaps else None
        self._leaving = next_one is FAREWELL
        envelope = self._early_envelope(next_one) if isinstance(next_one, Message) else b""
        self._dialogue.write(b"%b.\r\n%b" % (content, QUIT if self._leaving else envelope))
        if isinstance(next_one, Message) and envelope:
            self.begun = next_one
            self.transactions += 1
        self._phase = Phase.FINAL_DOT
        crashpoint.pass_through("after-dot")

    def _stride(self, following: Following, onward: Onward) -> Stride:
        def pass_on(replies: tuple[Reply, ...], told: Told) -> bool:
            message = self.begun
            if message is None or [reply.code for reply in replies] != ROUND or self._goes_ahead(message.content):
                return False
            crashpoint.pass_through("after-reply")
            crashpoint.pass_through("before-intent")
            if not onward(accepted(replies[0]), told):
                return False
            self.begun = None
            self._phase = Phase.CONTENT
            self._left = stuffed(message.content)
            return True

        def finish() -> bool:
            self._finish(self._left, following)
            return self.begun is not None

        return Stride(self._dialogue, self._final_timeout, pass_on, finish)

    @property
    def _went_after_one(self) -> bool:
        """Whether the message begun early was the second: no server takes one only and goes without a word."""
        return self.transactions == 2

    def _early_envelope(self, message: Message) -> bytes:
        """The commands that may leave before their turn; nothing if they will have to be refused."""
        try:
            return b"" if self._unfit(message) else lines(*self._commands(message))
        except ConnectionEnded:
            return b""

    def _overtaking(self) -> Outcome | None:
        """No other message may follow an envelope that has left: its content would go to that recipient."""
        if self.begun is None:
            return None
        self._dialogue.abort()
        return lost(Phase.MAIL, "the envelope of another message had left")

    def _unfit(self, message: Message) -> Outcome | None:
        size = self.extensions.size
        if size and len(message.content) > size:
            text = f"the message has {len(message.content):,} bytes; this relay takes at most {size:,}"
            return Outcome(
                verdict=Verdict.REQUEUED, scope=Scope.MESSAGE, phase=Phase.MAIL, text=text, action=Action.STOP
            )
        if message.needs_smtputf8 and not self.extensions.smtputf8:
            text = "this relay cannot send to addresses with letters outside a-z before the @ (SMTPUTF8)"
            return Outcome(verdict=Verdict.FAILED, scope=Scope.RECIPIENT, phase=Phase.MAIL, text=text)
        return None

    def _commands(self, message: Message) -> tuple[str, str, str]:
        utf8 = " SMTPUTF8" if message.needs_smtputf8 else ""
        size = f" SIZE={len(message.content)}" if self.extensions.size else ""
        envelope = message.envelope
        return (f"MAIL FROM:<{envelope.mail_from}>{size}{utf8}", f"RCPT TO:<{envelope.rcpt_to}>", "DATA")

    async def _reply(self, phase: Phase, timeout: float) -> Outcome | None:
        self._phase = phase
        reply = await self._dialogue.reply(timeout)
        return None if _agrees(phase, reply) else self._refused(reply)

    async def _leftover(self, refusal: Outcome) -> Outcome:
        """Read the answer to a command that went out before the refusal of an earlier one was known."""
        try:
            if self._dialogue.ended is None and (await self._dialogue.reply(self._timeout)).code == 354:
                # It waits for content to nobody (RFC 2920, 3.1). A dot would do; leaving is safer.
                self._dialogue.abort()
        except ConnectionEnded:
            self._dialogue.abort()
        return refusal

    def _refused(self, reply: Reply) -> Outcome:
        outcome = classify(self._phase, reply)
        # After a 421 the server closes (RFC 5321, 3.8); after a reply inside the content nothing is in step any more.
        if reply.code == 421 or self._phase is Phase.CONTENT or outcome.action is Action.RECONNECT:
            self._dialogue.abort()
        self._needs_reset = self._phase in {Phase.RCPT, Phase.DATA}
        return outcome

    async def _cleared(self, intent: Callable[[], Awaitable[bool | None]]) -> bool | None:
        try:
            granted = await intent()
        except BaseException:
            self._dialogue.abort()
            raise
        if granted is False:
            self._dialogue.abort()
        return granted

    def abort(self) -> None:
        """Leave without a word. What was begun and had no final dot is not delivered (RFC 5321, 4.1.1.4)."""
        self._dialogue.abort()

    async def quit(self) -> None:
        """Take leave. Whatever the server answers, the connection is closed afterwards."""
        early = self._leaving
        try:
            if self.usable and self.begun is None:
                self._dialogue.write(QUIT)
                self._leaving = True
            if self._leaving:
                await self._dialogue.reply(QUIT_TIMEOUT)
        except ConnectionEnded:
            self.deaf = self.deaf or (early and self._dialogue.fell_silent)
        finally:
            self._dialogue.abort()


ENVELOPE = (Phase.MAIL, Phase.RCPT, Phase.DATA)


def _agrees(phase: Phase, reply: Reply) -> bool:
    return reply.code == 354 if phase is Phase.DATA else reply.code in {250, 251, 252}
