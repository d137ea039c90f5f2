"""Tokens: what was signed is read back, whatever a mail server did to its case; nothing else is ever read."""

from __future__ import annotations

import random
import re
import string

from hypothesis import given
from hypothesis import strategies as st

from mailer import mime
from mailer.tokens import SIGNATURE, Purpose, Tokens

SECRET = bytes(range(32))
TOKENS = Tokens(SECRET)
DELIVERY = mime.message_id(SECRET, "appeal--friends", "ada@example.org", "example.org")[1:].partition("@")[0]

deliveries = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=32, max_size=32)
purposes = st.sampled_from(Purpose)


@given(delivery=deliveries, purpose=purposes)
def test_what_was_signed_is_read_back_and_fits_a_local_part(delivery: str, purpose: Purpose) -> None:
    token = TOKENS.sign(purpose, delivery)

    assert TOKENS.read(purpose, token) == delivery
    assert re.fullmatch(r"[a-z0-9]{52}", token)
    assert len(f"unsubscribe+{token}") <= 64


@given(delivery=deliveries, purpose=purposes, upper=st.integers(0, 2**52 - 1))
def test_a_server_may_change_the_case_of_letters(delivery: str, purpose: Purpose, upper: int) -> None:
    token = TOKENS.sign(purpose, delivery)
    changed = "".join(char.upper() if upper >> number & 1 else char for number, char in enumerate(token))

    assert TOKENS.read(purpose, changed) == delivery


@given(delivery=deliveries, signed=purposes, asked=purposes)
def test_a_token_serves_one_purpose(delivery: str, signed: Purpose, asked: Purpose) -> None:
    assert (TOKENS.read(asked, TOKENS.sign(signed, delivery)) is not None) == (signed is asked)


def test_another_ledger_does_not_know_the_token() -> None:
    assert Tokens(b"x" * 32).read(Purpose.UNSUBSCRIBE, TOKENS.sign(Purpose.UNSUBSCRIBE, DELIVERY)) is None


def test_ten_thousand_forged_and_altered_tokens_are_not_read() -> None:
    chance = random.Random(5)
    good = TOKENS.sign(Purpose.UNSUBSCRIBE, DELIVERY)
    passed = 0
    for number in range(10_000):
        letters = list(good)
        if number % 4 == 0:
            place = chance.randrange(len(good))
            letters[place] = chance.choice(
                [char for char in string.ascii_lowercase + string.digits + "-_" if char != good[place]]
            )
        elif number % 4 == 1:
            del letters[chance.randrange(len(good)) :]
        elif number % 4 == 2:
            letters[-SIGNATURE:] = chance.choices("0123456789abcdef", k=SIGNATURE)
        else:
            letters.insert(chance.randrange(len(good) + 1), chance.choice(string.ascii_lowercase + string.digits))
        passed += TOKENS.read(Purpose.UNSUBSCRIBE, "".join(letters)) is not None

    assert passed == 0


@given(text=st.text(max_size=80))
def test_no_text_raises_anything(text: str) -> None:
    assert TOKENS.read(Purpose.BOUNCE, text) is None
    assert TOKENS.read(Purpose.BOUNCE, text + "a" * SIGNATURE) is None
    assert TOKENS.read(Purpose.BOUNCE, "a" * 32 + text) is None
