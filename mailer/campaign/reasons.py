"""Why a run stops, in words for a person."""

from __future__ import annotations

from mailer.errors import Paused, RelayStopped, quoted
from mailer.model import Delivery, Outcome, as_said, said
from mailer.outcome import explain
from mailer.privacy import without_addresses


def stopped_by(outcome: Outcome, delivery: Delivery | None = None) -> RelayStopped:
    text, why = as_said(without_addresses(outcome.text)), as_said(explain(outcome))
    hint = said("the server's own words: {text}", text=text) if outcome.reply else said("in detail: {text}", text=text)
    if delivery is None:
        return RelayStopped(why, hint=hint)
    row = delivery.row
    return RelayStopped(said("{why} It happened at row {row} of the list.", why=why, row=row), hint=hint)


def unreachable(outcome: Outcome) -> Paused:
    if outcome.reply:
        return Paused(
            said(
                "The mail server takes no messages just now: {text}.",
                text=as_said(without_addresses(outcome.text).rstrip(".")),
            ),
            hint="run the same command again later; nobody loses their place",
        )
    return Paused(
        said("The mail server cannot be reached: {text}.", text=as_said(without_addresses(outcome.text).rstrip("."))),
        hint="check the network and the SMTP settings, then run the same command again; nobody loses their place",
    )


def distrusted(outcome: Outcome) -> RelayStopped:
    return RelayStopped(
        said("Several messages in a row were refused for what they are. {why}", why=as_said(explain(outcome)))
    )


def too_many_refused(campaign: str) -> RelayStopped:
    return RelayStopped(
        "Too many addresses of this list are refused; going on would harm your account's reputation.",
        hint=said("{command}", command=f"mailer report {quoted(campaign)}"),
    )


def broken_off(times: int, campaign: str) -> Paused:
    return Paused(
        said(
            "The connection broke {times} times in a row just after a message was handed over. Find out whether they arrived"
            " before you go on: each further try may leave more in doubt.",
            times=times,
        ),
        hint=said("{command}", command=f"mailer resolve {quoted(campaign)}"),
    )


def complained_of(complained: int, sent: int) -> RelayStopped:
    return RelayStopped(
        said(
            "{complained:,} of {sent:,} people reported this campaign as spam; going on would have all your mail refused.",
            complained=complained,
            sent=sent,
        ),
        hint="find out why they did; to go on all the same, set complaint_brake in mailer.toml higher, or to off",
    )
