"""What is known of mail providers: servers, limits, how to sign in. The data stand in providers.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any

from mailer.model import Quota, Security, SignIn

SHARE = 0.8
"""Of a known limit, what is suggested: the account's owner writes mail, too."""


class Password(StrEnum):
    """Which password an SMTP server of the provider takes."""

    ACCOUNT = "account"
    APP = "app"
    SMTP = "smtp"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """One provider. A limit that is None is unknown, not absent; `hosts` may hold `*` for any part of a name."""

    name: str
    title: str
    hosts: tuple[str, ...]
    port: int
    security: Security
    password: Password
    xoauth2: bool
    login: str
    source: str
    checked_on: date
    note: str = ""
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    recipients: int | None = None
    connections: int | None = None
    spf: tuple[str, ...] = ()
    captures: bool = False
    imap: str | None = None
    """The name of its server for reading mail, at port 993 with TLS."""
    oauth: SignIn | None = None
    """Whose sign-in it takes in place of a password."""
    passwords_end: date | None = None
    """The day after which passwords are turned off, where that was announced."""

    @property
    def host(self) -> str | None:
        """Its server, where one name serves every account."""
        return next((name for name in self.hosts if "*" not in name), None)

    @property
    def limits(self) -> tuple[Quota, ...]:
        """The known limits."""
        known = ((60, self.per_minute), (3600, self.per_hour), (86400, self.per_day))
        return tuple(Quota(seconds=seconds, count=count) for seconds, count in known if count)

    @property
    def suggested(self) -> tuple[Quota, ...]:
        """SHARE of each known limit, for the setting `rate`; empty if none is known."""
        return tuple(Quota(seconds=quota.seconds, count=max(1, int(quota.count * SHARE))) for quota in self.limits)

    @property
    def rate(self) -> str:
        """The same as it is written in the settings: `24/minute, 8000/day`."""
        return ", ".join(map(str, self.suggested))


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("providers.toml").read_text(encoding="utf-8"))


@cache
def all() -> tuple[Preset, ...]:  # noqa: A001 - `presets.all()` says what it is
    """Every provider, in the order of the file."""
    return tuple(_preset(entry) for entry in _read()["provider"])


def _preset(entry: dict[str, Any]) -> Preset:
    lists = {name: tuple(entry.get(name, ())) for name in ("hosts", "spf")}
    kinds = {"security": Security(entry["security"]), "password": Password(entry["password"])}
    oauth = SignIn(entry["oauth"]) if "oauth" in entry else None
    return Preset(**{**entry, **lists, **kinds, "oauth": oauth})


def for_host(host: str) -> Preset | None:
    """The provider whose server this is, or None."""
    return next((preset for preset in all() if _is_one_of(host, preset.hosts)), None)


def host_for(domain: str) -> str | None:
    """The server through which mail of this domain goes out, as far as that is the same for everybody there."""
    for name in _read()["freemail"].get(domain.lower(), ()):
        if "*" not in name:
            return str(name)
        if known := next((host for preset in all() for host in preset.hosts if _is_one_of(host, [name])), None):
            return known
    return None


def is_freemail(domain: str) -> bool:
    """Whether anybody can have an address there."""
    return domain.lower() in _read()["freemail"]


def may_send_for(host: str, domain: str) -> bool:
    """Whether this server is one of those that a freemail domain sends through; true for any domain that is not one."""
    own = _read()["freemail"].get(domain.lower())
    preset = for_host(host)
    return own is None or _is_one_of(host, own) or (preset is not None and preset.captures)


def _is_one_of(host: str, patterns: Iterable[str]) -> bool:
    name = host.lower().rstrip(".")
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def at_most(rate: Iterable[Quota], seconds: int) -> int | None:
    """How many messages a set rate lets through in a window of so many seconds; None if it sets no bound."""
    bounds = [quota.count * -(-seconds // quota.seconds) for quota in rate]
    return min(bounds, default=None)
