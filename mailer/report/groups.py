"""Deliveries counted by group, in bounded memory; and which groups are alike: mail providers, countries, branches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailer.countries import HEADERS, compact

NAMED = 1000
"""Groups that are kept by name, the largest; the others are counted together."""

PEOPLE = "people"
"""In a report without people, what groups are counted by in place of statuses."""

OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How many deliveries stand where, by group: the largest groups first, and the `rest` of `more` groups together."""

    groups: Mapping[str, Counter[str]] = field(default_factory=dict)
    more: int = 0
    rest: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.groups)

    @property
    def total(self) -> Counter[str]:
        """All groups together."""
        total = Counter(self.rest)
        for counts in self.groups.values():
            total.update(counts)
        return total

    def at_least(self, smallest: int) -> Spread:
        """The number of people in each group alone, and none of fewer than `smallest`: those go to `other`.

        As long as `other` itself is smaller, the smallest group joins it, lest it be told from the total.
        """
        people = {name: counts.total() for name, counts in self.groups.items()}
        kept = {name: count for name, count in people.items() if count >= smallest and name != OTHER}
        other = self.rest.total() + sum(people.values()) - sum(kept.values())
        while 0 < other < smallest and kept:
            other += kept.pop(min(kept, key=lambda name: (kept[name], name)))
        groups = {name: Counter({PEOPLE: count}) for name, count in kept.items()}
        return Spread(groups=groups | ({OTHER: Counter({PEOPLE: other})} if other else {}))


class Counted:
    """Adds up groups that come one after the other. What has to be forgotten for want of room still counts in `rest`."""

    def __init__(self, named: int = NAMED) -> None:
        self._named = named
        self._groups: dict[str, Counter[str]] = {}
        self._more = 0
        self._rest: Counter[str] = Counter()

    def add(self, group: str, status: str, count: int) -> None:
        if group not in self._groups:
            if len(self._groups) >= 4 * self._named:
                self._forget()
            self._groups[group] = Counter()
        self._groups[group][status] += count

    def spread(self) -> Spread:
        self._forget()
        return Spread(groups=dict(self._groups), more=self._more, rest=Counter(self._rest))

    def _forget(self) -> None:
        by_size = sorted(self._groups.items(), key=lambda entry: (-entry[1].total(), entry[0]))
        self._groups = dict(by_size[: self._named])
        for _, counts in by_size[self._named :]:
            self._more += 1
            self._rest.update(counts)


def count(rows: Iterable[tuple[str, str, int]], named: int = NAMED) -> Spread:
    """Group, status and number, added up."""
    counted = Counted(named)
    for group, status, number in rows:
        counted.add(group, status, number)
    return counted.spread()


def _words(text: str) -> frozenset[str]:
    return frozenset(compact(word) for word in text.replace("\n", ",").split(",") if word.strip())


COUNTRY = _words(HEADERS)
BRANCH = _words("""
branch, branch name, union branch, union, local, chapter, section, region, district, county, province, area, sector
industry, trade, organisation, organization, federation, constituency, Ortsgruppe, Gruppe, Bezirk, Landesverband
Kreisverband, Gliederung, Gewerkschaft, Fachbereich, Bundesland, Branche, syndicat, région, fédération, département
union locale, secteur, sección, sindicato, región, provincia, distrito, federación, sezione, sindacato, regione, categoria
federazione, secção, seção, região, afdeling, vakbond, regio, sector, provincie, oddział, związek, region, województwo
avdeling, avdelning, forbund, förbund, fylke, län, osasto, liitto, şube, sendika, bölge, il, отделение, профсоюз, регион
область, відділення, область, شاخ, یونین, صوبہ, ضلع, فرع, النقابة, المنطقة, القطاع, शाखा, राज्य
""")
MOST_VALUES = 300
"""More countries or branches than these are no groups to look at."""

PEOPLE_A_VALUE = 2
"""So many on the average at least: a branch of its own on each row tells nothing beyond the list."""


def telling(names: Iterable[str]) -> list[list[str]]:
    """The fields that by their names are a country, and those that are a branch or region: as written, in the list's order."""
    plain = [name for name in names if "." not in name]
    return [[name for name in plain if compact(name) in words] for words in (COUNTRY, BRANCH)]


def is_grouping(distinct: int, people: int) -> bool:
    """Whether a field with so many values for so many people makes groups."""
    return 2 <= distinct <= MOST_VALUES and distinct * PEOPLE_A_VALUE <= people
