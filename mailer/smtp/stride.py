"""The usual course of a connection, message after message, seen to as the answers come: no task wakes up for any of it.

Waking a task for each answer, and again for each intent, takes as long as all else that is done here for a message.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mailer.model import Granted, Reply, Told
from mailer.smtp.dialogue import Dialogue


class Stride:
    """From one final dot to the next, for as long as nothing else happens; then whoever waits for its end goes on.

    `pass_on` gets replies that come together, and says whether they end one message well and begin the next, for whose intent it has asked
    then. `finish`, called once that is granted, sends the rest of the message, and says whether yet another one was begun with it.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        timeout: float,
        pass_on: Callable[[tuple[Reply, ...], Told], bool],
        finish: Callable[[], bool],
    ) -> None:
        """`timeout`: seconds for the answer to each final dot."""
        self._dialogue = dialogue
        self._timeout = timeout
        self._pass_on = pass_on
        self._finish = finish
        self._asks = self._over = False
        self._granted: bool | None = None
        self._error: Exception | None = None

    async def ended(self) -> bool | None:
        """Wait for the end. None: a final dot waits for its answer. Else whether the last intent was granted; nothing left after it.

        Raises what kept a message from being passed on or finished.
        """
        dialogue = self._dialogue
        dialogue.heed = self._hear
        try:
            # as long as an intent is asked for its answer is waited for, also when the connection is gone; and what comes in
            # pieces was not heard here
            while self._asks or not (self._over or dialogue.pending or dialogue.ended):
                # nor does the server owe anything meanwhile, whatever else has woken us
                await dialogue.news(math.inf if self._asks else self._timeout)
        finally:
            self._stop()
        if self._error:
            raise self._error
        return self._granted

    def _hear(self, replies: tuple[Reply, ...]) -> bool:
        if self._asks:
            return False  # before the dot: heard when the intent is there
        try:
            self._asks = self._pass_on(replies, self._tell)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            self._error = error
        if self._asks:
            self._dialogue.owe(math.inf)
        else:
            self._stop()
        return self._asks

    def _tell(self, granted: Granted) -> None:
        self._asks = False
        if self._over:
            return
        if self._goes_on(granted):
            self._dialogue.owe(self._timeout)
        else:
            self._stop()
            self._dialogue.wake()

    def _goes_on(self, granted: Granted) -> bool:
        dialogue = self._dialogue
        if isinstance(granted, Exception):
            self._error = granted
        elif not granted or dialogue.stood_still or dialogue.pending or dialogue.ended:
            self._granted = granted
        else:
            try:
                return self._finish()
            except Exception as error:  # noqa: BLE001 - whoever waits gets it
                self._error = error
        return False

    def _stop(self) -> None:
        self._over = True
        self._dialogue.heed = None
