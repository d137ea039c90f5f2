"""Which quotas a domain comes under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mailer.destination import limited_by, provider
from mailer.model import Quota
from mailer.pace.places import Group, Window

EACH = "*"
"""The key of quotas that every domain without a key of its own gets, as in MAILER_DOMAIN_RATE="5/minute"."""

REMEMBERED = 4096
"""Names looked up are kept in mind up to so many; with EACH, from then on those with nothing left to count are dropped."""


class Domains:
    """The groups of domains, each with the quotas `shared` by all of the account and its own.

    A key of `domains` stands for the domain, everything below it and whatever else its provider has, unless that has a key of
    its own; in any case.
    """

    def __init__(self, shared: tuple[Window, ...], domains: Mapping[str, Sequence[Quota]]) -> None:
        self._shared = shared
        self._others = Group(shared)
        self._each = tuple(domains.get(EACH, ()))
        self._keyed = {
            key.lower().strip("."): Group(shared, tuple(Window(quota) for quota in quotas))
            for key, quotas in domains.items()
            if key != EACH
        }
        self.quotas = {quota for quotas in domains.values() for quota in quotas}
        self._alone: dict[str, Group] = {}
        self._looked_up: dict[str, Group] = {}
        self._to_anybody: list[float] = []
        self._crowded = REMEMBERED

    def group(self, domain: str, now: float) -> Group:
        """The group of a domain; `now` tells which others may be forgotten."""
        found = self._looked_up.get(domain)
        if found is None:
            if len(self._looked_up) >= REMEMBERED:
                self._looked_up.clear()
            name = domain.lower().strip(".")
            key = limited_by(name, self._keyed)
            found = self._looked_up[domain] = self._keyed[key] if key else self._of_its_own(provider(name), now)
        return found

    def add(self, finished: Iterable[tuple[float, str]], now: float) -> None:
        """Count messages that were answered before, towards the domain's own quotas; without a domain towards all."""
        times: dict[str, list[float]] = {}
        for at, domain in finished:
            times.setdefault(domain, []).append(at)
        to_anybody = times.pop("", [])
        for domain, answered in times.items():
            for window in self.group(domain, now).own:
                window.add(answered)
        if to_anybody:
            for group in (*self._keyed.values(), *self._alone.values()):
                for window in group.own:
                    window.add(to_anybody)
            self._to_anybody = sorted((*self._to_anybody, *to_anybody))

    def _of_its_own(self, name: str, now: float) -> Group:
        """What a domain without a key gets: nothing, or the quotas of EACH for itself alone (for all of its provider's)."""
        if not self._each:
            return self._others
        if name not in self._alone:
            if len(self._alone) >= self._crowded:
                self._forget(now)
            self._alone[name] = Group(self._shared, tuple(Window(quota, self._to_anybody) for quota in self._each))
        return self._alone[name]

    def _forget(self, now: float) -> None:
        """Drop whoever has nothing left to count, or the domains of a million people would fill the memory."""
        self._alone = {name: group for name, group in self._alone.items() if group.counts(now)}
        self._looked_up.clear()
        self._crowded = max(REMEMBERED, 2 * len(self._alone))
