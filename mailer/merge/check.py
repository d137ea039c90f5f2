"""What can be known to go wrong with a letter and a list's columns before any row is looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mailer.merge.complaints import did_you_mean, problem, warning
from mailer.merge.part import Part, Use
from mailer.merge.slips import empty, lookalikes
from mailer.merge.version import RESERVED, Version
from mailer.model import Problem, said


def findings(version: Version, columns: Collection[str]) -> Iterator[Problem]:
    """Unknown fields, missing files, fields that may be blank, slips of the pen."""
    yield from _unknown_uses(version, columns)
    yield from _missing(version)
    yield from _unrequired(version, columns)
    yield from _never_equal(version, columns)
    nothing = None if version.handmade else empty(version.body, version.at)
    yield from [nothing] if nothing else []
    yield from lookalikes(version.front.subject, version.front.origin("subject"), columns)
    yield from lookalikes(version.body, version.at, columns)


def row_uses(version: Version) -> list[Use]:
    assigned = frozenset().union(*(part.assigned for part in version.parts))
    uses = [use for part in version.parts for use in part.uses if use.name not in RESERVED]
    return [use for use in uses if use.name not in assigned or use.name in _unassigned(version, use)]


def _unassigned(version: Version, use: Use) -> frozenset[str]:
    """A captured block may read what the letter sets; any other part must not."""
    return (
        frozenset({use.name})
        if any(use in part.uses for part in version.parts if part not in version.blocks)
        else frozenset()
    )


def _optional(version: Version) -> frozenset[str]:
    return frozenset().union(*(part.optional for part in version.parts))


def _unknown_uses(version: Version, columns: Collection[str]) -> list[Problem]:
    known = {*columns, *version.front.lookups}
    optional = _optional(version)
    shown = {name for name in {*known, "case", "contact", "sender", "language"} if name.isidentifier()}
    result = [
        problem(
            "unknown-field",
            said("the field {name} is not known.", name=use.name),
            at=use.origin,
            hint=did_you_mean(use.name, shown),
        )
        for use in row_uses(version)
        if use.name not in known and use.name not in optional
    ]
    result += [
        problem(
            "unknown-field",
            said("the required field {name} is not a column of the list.", name=name),
            at=version.front.origin("required"),
            hint=did_you_mean(name, shown),
        )
        for name in version.front.required
        if name not in columns
    ]
    for part in version.parts:
        result += [item for use in part.uses if use.name == "case" for item in _unknown_case(use, version, part)]
    return result


def _unknown_case(use: Use, version: Version, part: Part) -> list[Problem]:
    table: Any = version.fixed["case"]
    if not use.path or "case" in part.optional:
        return []
    for step in use.path:
        if not isinstance(table, Mapping):
            return []
        if step not in table:
            hint = did_you_mean(step, [str(key) for key in table])
            return [problem("unknown-field", said("there is no {step} in case.", step=step), at=use.origin, hint=hint)]
        table = table[step]
    return []


def _missing(version: Version) -> list[Problem]:
    return [enclosure.missing for enclosure in version.enclosures if enclosure.missing]


def _unrequired(version: Version, columns: Collection[str]) -> list[Problem]:
    """Each use by itself: a name that is weighed in the text may still leave a gap in the subject."""
    safe = {*version.front.required, *version.front.lookups}
    excused = _excused_in_blocks(version)
    return [
        replace(
            warning(
                "field-not-required",
                said("the field {name} may be blank in some rows.", name=use.name),
                at=use.origin,
                hint=said(
                    "Write required: [{name}] between the lines ---, or {{{{ {name} or 'something else' }}}}.",
                    name=use.name,
                ),
            ),
            column=use.name,
        )
        for use in row_uses(version)
        if use.printed and use.name in columns and use.name not in safe and use not in excused
    ]


def _never_equal(version: Version, columns: Collection[str]) -> Iterator[Problem]:
    for alike, origin in (item for part in version.parts for item in part.names.never_equal):
        if alike.name in columns:
            message = said(
                "the field {name} is text, which never equals a number; write {example}.",
                name=alike.name,
                example=alike.example,
            )
            yield replace(warning("never-equal", message, at=origin), column=alike.name)


def _excused_in_blocks(version: Version) -> list[Use]:
    """What a captured text reads of that which the condition around it weighs."""
    captured = [item for part in version.parts for item in part.names.captured.items()]
    return [use for number, names in captured for use in version.blocks[number].uses if use.name in names]
