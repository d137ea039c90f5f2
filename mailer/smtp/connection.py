"""One transaction a message (RFC 5321, 3.3), with the moment before the final dot held open for the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailer import crashpoint
from mailer.model import Action, Message, Outcome, Phase, Reply, Scope, Verdict
from mailer.outcome import classify, lost
from mailer.smtp.dialogue import ConnectionEnded, Dialogue

QUIT_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Extensions:
    """What the server offered in EHLO, as far as it matters here. `size` in octets (RFC 1870)."""

    pipelining: bool = False
    smtputf8: bool = False
    size: int | None = None


class Connection:
    """A relay connection after login. Transactions follow each other; never two at once."""

    def __init__(
        self, dialogue: Dialogue, extensions: Extensions, *, timeout: float = 300.0, final_timeout: float = 600.0
    ) -> None:
        self._dialogue = dialogue
        self.extensions = extensions
        self._timeout = timeout
        self._final_timeout = final_timeout
        self._needs_reset = False
        self._phase = Phase.MAIL
        self.transactions = 0

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin here."""
        return self._dialogue.ended is None and not self._dialogue.pending

    async def transmit(self, message: Message, intent: Callable[[], Awaitable[bool]]) -> Outcome | None:
        """Send one message. Calls `intent` when everything but the final dot is on its way.

        Returns None, having sent nothing, if `intent` answers that somebody else has the delivery. The connection is
        closed after everything that leaves the server's state in doubt; see `usable`.
        """
        if unfit := self._unfit(message):
            return unfit
        self.transactions += 1
        try:
            if refusal := await self._envelope(message) or await self._content(message):
                return refusal
            crashpoint.pass_through("before-intent")
            if not await self._cleared(intent):
                return None
            return await self._interrupted() or await self._final_dot()
        except ConnectionEnded as ended:
            self._dialogue.abort()
            return lost(self._phase, str(ended))

    async def _envelope(self, message: Message) -> Outcome | None:
        """MAIL, RCPT and DATA; in one round trip where the server takes them together (RFC 2920)."""
        commands = self._commands(message)
        refusal: Outcome | None = None
        if not self.extensions.pipelining:
            for phase, command in commands:
                await self._reset()
                self._write(command)
                if refusal := await self._reply(phase):
                    break
            return refusal
        await self._reset()
        self._write(*(command for _, command in commands))
        for phase, _ in commands:
            refusal = await (self._leftover(refusal) if refusal else self._reply(phase))
        return refusal

    async def _content(self, message: Message) -> Outcome | None:
        self._phase = Phase.CONTENT
        self._dialogue.write(_stuffed(message.content))
        await self._dialogue.drain(self._timeout)
        return await self._interrupted()

    async def _interrupted(self) -> Outcome | None:
        """What the server said before the final dot, e.g. 552: it had enough, and waits for no dot."""
        return self._refused(await self._dialogue.reply(self._timeout)) if self._dialogue.pending else None

    async def _final_dot(self) -> Outcome:
        crashpoint.pass_through("after-intent")
        self._dialogue.write(b".\r\n")
        self._phase = Phase.FINAL_DOT
        crashpoint.pass_through("after-dot")
        reply = await self._dialogue.reply(self._final_timeout)
        crashpoint.pass_through("after-reply")
        return self._refused(reply) if reply.code != 250 else classify(self._phase, reply)

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

    def _commands(self, message: Message) -> list[tuple[Phase, str]]:
        utf8 = " SMTPUTF8" if message.needs_smtputf8 else ""
        size = f" SIZE={len(message.content)}" if self.extensions.size else ""
        return [
            (Phase.MAIL, f"MAIL FROM:<{message.envelope.mail_from}>{size}{utf8}"),
            (Phase.RCPT, f"RCPT TO:<{message.envelope.rcpt_to}>"),
            (Phase.DATA, "DATA"),
        ]

    async def _reset(self) -> None:
        if self._needs_reset:
            self._needs_reset = False
            self._write("RSET")
            if (await self._dialogue.reply(self._timeout)).code != 250:
                raise ConnectionEnded("the server did not accept RSET")

    def _write(self, *commands: str) -> None:
        # A line end inside would be a second command. Addresses are checked long before; this is the last door.
        if any(ord(char) < 32 or ord(char) == 127 for command in commands for char in command):
            raise ConnectionEnded("a command held a control character")
        self._dialogue.write("".join(f"{command}\r\n" for command in commands).encode())

    async def _reply(self, phase: Phase) -> Outcome | None:
        self._phase = phase
        reply = await self._dialogue.reply(self._timeout)
        return None if _accepted(phase, reply) else self._refused(reply)

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

    async def _cleared(self, intent: Callable[[], Awaitable[bool]]) -> bool:
        try:
            free = await intent()
        except BaseException:
            self._dialogue.abort()
            raise
        if not free:
            self._dialogue.abort()
        return free

    async def quit(self) -> None:
        """Take leave. Whatever the server answers, the connection is closed afterwards."""
        try:
            if self.usable:
                self._dialogue.write(b"QUIT\r\n")
                await self._dialogue.reply(QUIT_TIMEOUT)
        except ConnectionEnded:
            pass
        finally:
            self._dialogue.abort()


def _accepted(phase: Phase, reply: Reply) -> bool:
    return reply.code == 354 if phase is Phase.DATA else reply.code in {250, 251, 252}


def _stuffed(content: bytes) -> bytes:
    """Double a dot at the start of a line (RFC 5321, 4.5.2)."""
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..")
