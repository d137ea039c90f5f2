"""Several accounts: the sections [relays.NAME] of mailer.toml, and the same names in the environment.

A relay is described by settings of its own. What they do not say is taken from the settings above all sections, but never what
belongs to another account: a password goes to no server that it was not meant for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mailer.address import domain_of
from mailer.model import MAIN_RELAY, Problem, said
from mailer.settings.layers import PREFIX, Entry, Layer, Origin, plain, unknown

SECTION = "relays"

NAME = re.compile(r"[a-z](?:[a-z0-9]|[-_](?=[a-z0-9])){0,30}")

SHARED = ("smtp_timeout", "sender", "reply_to", "bounce_address", "rate", "connections", "batch_pause", "pipelining")
SIGNING = ("dkim_domain", "dkim_selector", "dkim_key_file", "dkim_ed25519_selector", "dkim_ed25519_key_file")
"""Belong together: a key of one domain is not to be published under the selector of another."""


def own_names(known: Collection[str]) -> frozenset[str]:
    """The settings that an account may have for itself, of all there are."""
    return frozenset(name for name in known if belongs_to_account(name) or name in {*SHARED, *SIGNING})


def belongs_to_account(name: str) -> bool:
    """Whether a setting means one account, so that no other one takes it over."""
    return name == "queues" or (name.startswith("smtp_") and name != "smtp_timeout")


def key_of(name: str) -> str:
    """What two spellings of a relay's name have in common: the environment has neither hyphens nor small letters."""
    return name.casefold().replace("-", "_")


def add_from_environment(layer: Layer, name: str, text: str, origin: Origin, known: Collection[str]) -> bool:
    """Take up `relays__office__smtp_host`. False if the name is none of a relay's."""
    section, _, rest = name.partition("__")
    relay, _, setting = rest.partition("__")
    if section != SECTION:
        return False
    if problem := misnamed(relay, origin):
        layer.problems.append(problem)
    else:
        _add(layer.relays.setdefault(relay, Layer()), setting, text, origin, known)
    return True


def add_from_toml(layer: Layer, sections: Any, source: str, whole: Origin, known: Collection[str]) -> None:
    """Take up the sections [relays.NAME]."""
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        layer.problems.append(whole.problem("broken-settings", "it must be sections, such as [relays.office]"))
        return
    for relay, section in sections.items():
        start = _line(source, rf"\[\s*{SECTION}\s*\.\s*[\"']?{re.escape(relay)}[\"']?\s*\]", 0)
        here = Origin(spelling=f"[{SECTION}.{relay}]", place=whole.place, file=whole.file, line=start or whole.line)
        if problem := misnamed(relay.lower(), here):
            layer.problems.append(problem)
            continue
        one = layer.relays.setdefault(relay.lower(), Layer())
        for setting, value in section.items():
            row = _line(source, rf"(?:{SECTION}\.{re.escape(relay)}\.)?[\"']*{re.escape(setting)}\b", start or 0)
            spelling = f"{SECTION}.{relay.lower()}.{setting}"
            origin = Origin(spelling=spelling, place=whole.place, file=whole.file, line=row or here.line)
            text = plain(value)
            if text is None:
                sentence = "it must be one value, a text in quotes or a number"
                layer.problems.append(origin.problem("broken-settings", sentence))
            else:
                _add(one, setting, text, origin, known)


def misnamed(relay: str, origin: Origin) -> Problem | None:
    """What is wrong with a relay's name, if anything is."""
    if relay == MAIN_RELAY:
        return origin.problem("relay-name", "main is the account above all sections; give this one another name")
    if not NAME.fullmatch(relay):
        sentence = "the name of a relay must be letters and digits, with hyphens between them, such as office"
        return origin.problem("relay-name", sentence)
    return None


def _add(one: Layer, setting: str, text: str, origin: Origin, known: Collection[str]) -> None:
    own = own_names(known)
    if setting not in own and setting in known:
        if origin.place == "mailer.toml":
            sentence = said("it is not a setting of one relay; move it above all [sections] of mailer.toml")
        else:
            name = f"{PREFIX}{setting.upper()}"
            sentence = said("it is not a setting of one relay; write it as {name}", name=name)
        one.problems.append(origin.problem("not-of-a-relay", sentence))
    elif setting not in own:
        one.problems.append(unknown(setting, origin, own))
    else:
        one.add(setting, text, origin, own)


def _line(source: str, pattern: str, after: int) -> int | None:
    """The number of the first line, behind that of this number, that begins with a pattern."""
    for number, line in enumerate(source.split("\n"), start=1):
        if number > after and re.match(rf"[ \t]*{pattern}", line):
            return number
    return None


def merged_relays(layers: Sequence[Layer]) -> dict[str, dict[str, Entry]]:
    """What is written of each relay, the highest layer first; in the order of mailer.toml, by the names that it has there."""
    names: dict[str, str] = {}
    for layer in reversed(layers):
        for name in layer.relays:
            names.setdefault(key_of(name), name)
    found: dict[str, dict[str, Entry]] = {name: {} for name in names.values()}
    for layer in reversed(layers):
        for name, one in layer.relays.items():
            found[names[key_of(name)]].update(one.entries)
    return found


def completed(own: Mapping[str, Entry], main: Mapping[str, Entry], overrides: Mapping[str, Entry]) -> dict[str, Entry]:
    """What holds of each setting for one relay: its own, else those above all sections; the command line goes before both."""
    left = {name: entry for name, entry in main.items() if not belongs_to_account(name)}
    if any(name in own for name in SIGNING) or not _is_signed_for(own, main):
        left = {name: entry for name, entry in left.items() if name not in SIGNING}
    return {**left, **own, **{name: entry for name, entry in overrides.items() if name in SHARED}}


def _is_signed_for(own: Mapping[str, Entry], main: Mapping[str, Entry]) -> bool:
    """Whether the keys above all sections vouch for this relay's sender (DMARC, RFC 7489, section 3.1.1)."""
    if "sender" not in own or "dkim_domain" not in main:
        return True
    sender = domain_of(own["sender"].text)
    signer = main["dkim_domain"].text.strip().lower()
    return f".{sender}".endswith(f".{signer}") or f".{signer}".endswith(f".{sender}")


def twice(accounts: Mapping[str, str], origins: Mapping[str, Origin]) -> Iterable[Problem]:
    """Two relays that are one account: its server counts the messages of both together, and each has a limit of its own."""
    seen: dict[str, str] = {}
    for name, account in accounts.items():
        if account in seen:
            other = seen[account]
            which = said("that above all sections") if other == MAIN_RELAY else said("relay {name}", name=other)
            sentence = said("it is the same account as {which}; take one of the two out", which=which)
            yield origins[name].problem("same-account", sentence)
        seen.setdefault(account, name)
