"""One compiled piece of a letter (subject, text, HTML, a file name...): rendering, and errors in the author's lines."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context

from mailer.merge.complaints import Origin, did_you_mean
from mailer.merge.dates import BadDate
from mailer.merge.generator import NotText, texts_in
from mailer.merge.links import BadLink
from mailer.merge.numbers import BadNumber, parsed
from mailer.merge.reckoning import REFUSED, Alike, Near, field_read, names_read, never_equal, taken_for_number
from mailer.merge.sandbox import BUDGET, MAX_LENGTH, Budget, LetterEnvironment, TooMuch, UnknownName
from mailer.merge.straight import Item, items_of
from mailer.merge.tags import Source, syntax_refusal
from mailer.merge.tree import assigned_in, every, with_constants, without_dead_branches
from mailer.merge.weighed import weighed
from mailer.model import said
from mailer.model.messages import Merged, Mould

NUMBERS = itertools.count()

SHOWN = 40
"""Characters of a cell that are told."""


class PartError(Exception):
    """A part could not be filled in for one row; `origin` is the place in the author's file."""

    def __init__(
        self, code: str, message: str, origin: Origin | None, hint: str | None = None, column: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.origin = origin
        self.hint = hint
        self.column = column


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """A name that a part expects from the row."""

    name: str
    path: tuple[str, ...]
    origin: Origin | None
    printed: bool
    """Whether it is written just as it is, even if it is blank."""


class Names(NamedTuple):
    """What a part takes from outside, what of that it can do without, what it sets itself, and what captured texts may leave blank."""

    uses: tuple[Use, ...]
    optional: frozenset[str]
    assigned: frozenset[str]
    captured: Mapping[int, frozenset[str]]
    numbers: frozenset[str]
    """What it makes numbers of."""
    never_equal: tuple[tuple[Alike, Origin | None], ...]
    """Where it asks of a text whether it is some number."""


class Part:
    """Compiled once, rendered for every contact."""

    def __init__(
        self,
        env: LetterEnvironment,
        source: Source,
        fallback: Origin,
        constants: Mapping[str, Any] | None = None,
        like: Part | None = None,
    ) -> None:
        """`like` is the same part without the constants, which is known already."""
        self.env = env
        self._source = source
        self._fallback = fallback
        self._filename = f"<letter part {next(NUMBERS)}>"
        try:
            tree = env.parse(source.text)
            self.names: Names = like.names if like else _names_in(tree, source)
            self._tree = without_dead_branches(with_constants(tree, {**env.constants, **(constants or {})}), env)
            code = env.compile(self._tree, filename=self._filename)
        except TemplateSyntaxError as error:
            raise syntax_refusal(error, source.origin(error.lineno) or fallback) from error
        except (RecursionError, SyntaxError, MemoryError) as error:
            raise syntax_refusal(TemplateSyntaxError("tags are nested too deeply", 1), fallback) from error
        self._template = JinjaTemplate.from_code(env, code, {})
        self._render = self._template.root_render_func
        self._mould = Mould(texts_in(code))

    def fitted(self, constants: Mapping[str, Any]) -> Part:
        """The same part for rows that all have these tables, whose values become constant text."""
        return Part(self.env, self._source, self._fallback, constants, like=self)

    @property
    def uses(self) -> tuple[Use, ...]:
        return self.names.uses

    @property
    def optional(self) -> frozenset[str]:
        return self.names.optional

    @property
    def assigned(self) -> frozenset[str]:
        return self.names.assigned

    def items(self, reserved: frozenset[str]) -> list[Item] | None:
        """What the part consists of, if it is simple enough. `reserved` are names that are not fields of the row."""
        return items_of(self.env, self._tree, reserved)

    @property
    def origin(self) -> Origin:
        """Where the part begins in the author's files."""
        return self._fallback

    def render(self, values: dict[str, Any]) -> str:
        """Fill in one row. Raises PartError."""
        values[BUDGET] = Budget()
        try:
            # The budget bounds how many pieces there are, so that their lengths can be added up at once.
            chunks = list(self._render(Context(self.env, values, None, {})))
            if sum(map(len, chunks)) > MAX_LENGTH:
                raise TooMuch("it makes a text longer than 5 million characters")  # noqa: TRY301
        except PartError:
            raise
        except Exception as error:  # whatever a letter does, its author gets a sentence, not a traceback
            raise self._told(error, values) from error
        return Merged.of(chunks, self._mould)

    def _told(self, error: Exception, values: Mapping[str, Any]) -> PartError:  # noqa: PLR0911  # one per kind of error
        origin = self._place(error)
        match error:
            case UnknownName():
                return _unknown(error, origin, values)
            case TooMuch():
                return PartError(
                    "letter-too-much", said("the letter asks for too much here: {error}.", error=error), origin
                )
            case NotText() | BadLink() | BadDate():
                code = {NotText: "not-text", BadLink: "bad-link", BadDate: "bad-date"}[type(error)]
                return PartError(code, said("{error}.", error=error), origin)
            case BadNumber():
                return _no_number(error, field_read(self._tree, self._near(origin), values, error), origin)
            case SecurityError():
                return PartError("letter-unsafe", "letters may not use this function or attribute.", origin)
            case RecursionError():
                return PartError("letter-too-much", "the letter asks for too much here: it calls itself.", origin)
            case TypeError() if REFUSED.search(str(error)):
                return _text_reckoned(taken_for_number(self._tree, self._near(origin), values), origin)
            case TypeError() if "@" not in str(error):
                return PartError("letter-fill", said("this tag cannot be worked out ({error}).", error=error), origin)
        return PartError(
            "letter-fill", said("this tag cannot be worked out ({name}).", name=type(error).__name__), origin
        )

    def _near(self, origin: Origin | None) -> Near:
        def near(node: nodes.Node) -> bool:
            # what was added to the tree has no line of its own
            return bool(node.lineno) and (self._source.origin(node.lineno) or self._fallback) == origin

        return near

    def _place(self, error: Exception) -> Origin | None:
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            if frame.f_code.co_filename == self._filename:
                return self._source.origin(self._template.get_corresponding_lineno(line)) or self._fallback
        return self._fallback


def _unknown(error: UnknownName, origin: Origin | None, values: Mapping[str, Any]) -> PartError:
    if error.holder is not None:
        known: Collection[str] = [str(key) for key in error.holder]
        message = said("there is no {name} here.", name=error.name)
    else:
        named = [name for name, value in values.items() if not callable(value)]  # Jinja's own functions are no fields
        known = [name for name in named if name.isidentifier() and not name.endswith("_")]
        message = said("the field {name} is not known.", name=error.name)
    return PartError("unknown-field", message, origin, did_you_mean(error.name, known))


def _text_reckoned(alike: Alike | None, origin: Origin | None) -> PartError:
    if alike is None:
        message = said("a text is taken for a number here; write NAME|number, with the name of the field.")
        return PartError("letter-fill", message, origin)
    message = said("the field {name} is text; write {example}.", name=alike.name, example=alike.example)
    return PartError("letter-fill", message, origin, column=alike.name)


def _no_number(error: BadNumber, name: str | None, origin: Origin | None) -> PartError:
    """The cell is shown: it stands where a number was expected, so it is hardly anybody's name."""
    cell = error.text.strip()
    shown = cell if len(cell) <= SHOWN else cell[:SHOWN] + "..."
    if name is None:
        return PartError("not-a-number", said("{cell!r} is no number.", cell=shown), origin)
    if not cell:
        message = said("the field {name} is blank, where a number is needed.", name=name)
        hint = said("If a blank cell counts as 0, write ({name} or 0)|{filter}.", name=name, filter=error.filter)
    elif error.filter == "number" or parsed(cell, "en") is None:
        message = said("the field {name} is {cell!r}, which is no number.", name=name, cell=shown)
        hint = said(
            "Correct the cell, or write {name}|{filter}(default=0) if that counts as 0.", name=name, filter=error.filter
        )
    else:
        message = said("{filter} cannot read the field {name}: {cell!r}.", filter=error.filter, name=name, cell=shown)
        hint = said("Write {name}|number, which knows decimal commas and thousands.", name=name)
    return PartError("not-a-number", message, origin, hint, name)


def _names_in(tree: nodes.Template, source: Source) -> Names:
    found = every(tree)
    undeclared = meta.find_undeclared_variables(tree)
    paths = _paths(found)
    excused = weighed(tree)
    blocks = [node for node in found if isinstance(node, nodes.Call) and _is_block(node)]
    handed = {id(name) for node in blocks for name in _names(node)}
    uses = tuple(
        Use(
            name=name.name,
            path=paths.get(id(name), ()),
            origin=source.origin(name.lineno),
            printed=id(name) not in excused,
        )
        for name in found
        if isinstance(name, nodes.Name)
        if name.name in undeclared and name.ctx == "load" and id(name) not in handed
    )
    captured: dict[int, frozenset[str]] = {}
    for call in blocks:
        number = call.args[0].as_const()
        captured[number] = frozenset(name.name for name in _names(call) if id(name) in excused)
    alike = tuple((one, source.origin(one.lineno)) for one in never_equal(found))
    return Names(uses, _optional(found), assigned_in(found), captured, names_read(found), alike)


def _paths(found: list[nodes.Node]) -> dict[int, tuple[str, ...]]:
    """By the identity of a name, what is looked up in it."""
    paths: dict[int, tuple[str, ...]] = {}
    for attribute in found:
        if not isinstance(attribute, nodes.Getattr):
            continue
        chain: list[str] = [attribute.attr]
        inner = attribute.node
        while isinstance(inner, nodes.Getattr):
            chain.insert(0, inner.attr)
            inner = inner.node
        if isinstance(inner, nodes.Name) and len(chain) > len(paths.get(id(inner), ())):
            paths[id(inner)] = tuple(chain)
    return paths


def _optional(found: list[nodes.Node]) -> frozenset[str]:
    return frozenset(
        name.name
        for guard in found
        if isinstance(guard, nodes.Test | nodes.Filter) and guard.node is not None
        if guard.name in {"defined", "undefined", "default", "d"}
        for name in _names(guard.node)
    )


def _is_block(call: nodes.Call) -> bool:
    """What a captured text reads is told at its own line."""
    return isinstance(call.node, nodes.Name) and call.node.name == "block_"


def _names(node: nodes.Node) -> list[nodes.Name]:
    return [below for below in (node, *every(node)) if isinstance(below, nodes.Name)]
