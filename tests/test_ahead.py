"""Messages are made some at a time, and each is still that of its delivery, fresh, and refused only in its turn."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import pytest

from mailer.campaign import freshness
from mailer.campaign.ahead import MOST, Ahead
from mailer.errors import LetterError
from mailer.model import Delivery, Envelope, Message


def delivery(number: int) -> Delivery:
    address = f"p{number}@example.org"
    return Delivery(number, number, address, address, message_id=f"<{number}@example.org>")


class Press:
    """Has a queue, renders, and notes whom; its clock stands still unless it is turned on."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        octets: int = 10,
        broken: Iterable[int] = (),
        error: type[Exception] = LetterError,
    ) -> None:
        self.made: list[int] = []
        self.queue: list[Delivery] = []
        self.now = 0.0
        self._octets = octets
        self._broken = set(broken)
        self._error = error
        monkeypatch.setattr(freshness.time, "monotonic", lambda: self.now)
        self.ahead = Ahead(self._render, self)

    def _render(self, one: Delivery) -> Message:
        if one.id in self._broken:
            raise self._error(f"row {one.id}")
        self.made.append(one.id)
        return Message(Envelope("a@example.org", one.contact.address), one.message_id, b"x" * self._octets)

    def __len__(self) -> int:
        return len(self.queue)

    def upcoming(self, number: int) -> Iterable[Delivery]:
        return islice(self.queue, number)

    def take(self) -> Message:
        return self.ahead(self.queue.pop(0))


def test_each_message_is_made_once_and_for_its_own_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    press = Press(monkeypatch)
    press.queue = [delivery(number) for number in range(100)]
    assert [press.take().message_id for _ in range(100)] == [f"<{number}@example.org>" for number in range(100)]
    assert press.made == list(range(100))


@pytest.mark.parametrize("error", [LetterError, ZeroDivisionError], ids=["the letter", "mailer itself"])
def test_what_is_wrong_with_one_is_told_in_its_turn(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    press = Press(monkeypatch, broken=[20], error=error)
    press.queue = [delivery(number) for number in range(40)]
    for _ in range(20):
        press.take()
    with pytest.raises(error, match="row 20"):
        press.take()
    assert press.take().message_id == "<21@example.org>"


def test_one_that_has_waited_for_long_is_made_again_and_fewer_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    press = Press(monkeypatch)
    press.queue = [delivery(number) for number in range(40)]
    for _ in range(10):
        press.take()
    assert len(press.made) > 11
    press.now += 1.5
    press.made.clear()
    press.take()
    assert press.made == [10]


def test_a_delivery_that_was_loaded_anew_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    press = Press(monkeypatch)
    press.queue = [delivery(number) for number in range(10)]
    press.take()
    assert 1 in press.made
    press.queue[0] = delivery(1)
    press.take()
    assert press.made.count(1) == 2


def test_large_messages_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    press = Press(monkeypatch, octets=600_000)
    press.queue = [delivery(number) for number in range(100)]
    most = 0
    for taken in range(1, 50):
        press.take()
        most = max(most, len(press.made) - taken)
    assert 0 < most <= 2 < MOST
