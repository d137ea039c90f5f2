"""The server misbehaves, at every phase of SMTP: it hangs up, refuses, babbles, is silent or very slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .registry import Trial, Variant, fault
from .stage import USUAL

CONNECTING = ("greeting", "ehlo", "starttls", "auth")
SENDING = ("mail", "rcpt", "data", "content", "dot")
ANSWER = "accepted"
"""After the message was taken: only the answer can be spoiled. Refusing here would be a lie of the server."""

PHASES = (*CONNECTING, *SENDING, ANSWER, "quit")
TIMES = 3
"""How often the server does it in one campaign."""


def setup(phase: str, deed: str, way: Mapping[str, Any]) -> dict[str, Any]:
    if phase == "content" and deed.startswith("reply=") and "drop" not in deed:
        # who refuses in the middle and takes the message all the same, lies: no client can know which one holds
        deed += " drop"
    rules = []
    for number in range(TIMES):
        # connecting phases come once a batch, the others once a message
        nth = 2 * number + 1 if phase in {*CONNECTING, "quit"} else 9 * number + way["connections"]
        rules.append(f"{phase} nth={nth} {'after=20 ' if phase == 'content' else ''}{deed}")
    given: dict[str, Any] = {"rules": (*rules, *USUAL), **way}
    if phase == "starttls":
        given["security"] = "starttls"
    if phase == "auth":
        given["users"] = {"office": "a-password"}
    return given


ONE, FOUR, MAKERS = ({"connections": 1}, {"connections": 4}, {"connections": 4, "processes": 2})
ROUNDS: tuple[tuple[Mapping[str, Any], ...], ...] = (
    (ONE, MAKERS, ONE, FOUR),
    (FOUR, ONE),
    (MAKERS,),
    ({"connections": 4, "pipelining": "message"}, {"connections": 1, "pipelining": "off"}),
)
"""How messages are sent in each round over the phases, taking turns: the short run makes the first only, the long one all."""


def variants(deed: str, phases: tuple[str, ...] = PHASES, *, slow: bool = False, **special: str) -> list[Variant]:
    return [
        Variant(setup=setup(phase, special.get(phase, deed), ways[number % len(ways)]), slow=slow)
        for ways in ROUNDS
        for number, phase in enumerate(phases)
    ]


REFUSABLE = tuple(phase for phase in PHASES if phase not in {ANSWER, "quit"})

DEEDS = {
    "server hangs up": variants("drop"),
    "server resets the connection": variants("reset"),
    "server refuses for now (4xx)": variants(
        'reply="451 4.3.0 Try again later"', REFUSABLE, auth='reply="454 4.7.0 Temporary failure"'
    ),
    "server refuses for good (5xx)": variants(
        'reply="550 5.0.0 Refused"', REFUSABLE, greeting='reply="554 5.0.0 No"', auth='reply="535 5.7.8 No"'
    ),
    "server leaves with 421": variants('reply="421 4.3.2 Shutting down" drop', REFUSABLE),
    "server says 421 and stays": variants('reply="421 4.3.2 Shutting down"', REFUSABLE),
    "server babbles": variants(r'raw="\x00\xff what?\r\n250 2.0.0 ok\r\n"'),
    # a 2xx in the middle of the content would be a lie, too: it cannot be told from the answer to the final dot
    "server answers with an unknown code": variants(
        'reply="299 Strange"', greeting='reply="777 Strange"', content='reply="399 Strange"'
    ),
    "server answers half a line and hangs up": variants('raw="250-2.0" drop'),
    "server answers byte by byte": variants("drip=0.004", tuple(phase for phase in PHASES if phase != "content")),
}

for _name, _variants in DEEDS.items():

    @fault(_name, short=len(_variants) // len(ROUNDS), long=len(_variants), variants=_variants)
    def _nothing_more(trial: Trial) -> None:
        """The rules are in the set-up: the command that finishes the campaign meets them."""


SILENT = variants("silence", slow=True)


@fault("server is silent", short=5, long=len(SILENT), variants=[*SILENT[5:], *SILENT[:5]])
def silent(trial: Trial) -> None:
    """Each silence costs the whole timeout of 5 seconds, that for the final dot 10."""


@fault(
    "server answers slower than the timeout",
    short=2,
    long=20,
    variants=variants("drip=1.2", (ANSWER, "mail", "greeting", "rcpt", "data", "ehlo"), slow=True),
)
def too_slow(trial: Trial) -> None:
    """A byte now and then does not make it an answer."""
