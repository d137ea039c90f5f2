"""Letters without loops, conditions and calls: a few values, put between constant pieces in a known order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import nodes
from jinja2.compiler import Frame
from jinja2.nodes import EvalContext

from mailer.merge.generator import SPECIAL, LetterGenerator, written_in_html
from mailer.merge.sandbox import MAX_LENGTH, LetterEnvironment
from mailer.model.messages import Merged, Mould

PLAIN = (
    nodes.Name,
    nodes.Getattr,
    nodes.Const,
    nodes.List,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Filter,
)
"""What can neither repeat nor call anything, so that it needs no budget, and what changes nothing."""

Item = str | nodes.Expr
"""A constant piece, or a value to be worked out for each row."""


class Row:
    """All that such a letter asks of a context: the fields of the row. Raises KeyError for a name that is none."""

    __slots__ = ("resolve_or_missing",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.resolve_or_missing = fields.__getitem__


class Straight:
    """Subject, text and HTML as their constant pieces and values; a value is worked out once, however often it stands.

    Any exception means that the letter must be rendered the long way, which tells what is wrong.
    """

    __slots__ = (
        "_html",
        "_subject",
        "_text",
        "_titled",
        "_values",
        "count",
        "token_at",
        "uses",
        "uses_in_html",
        "uses_in_text",
    )

    def __init__(
        self,
        count: int,
        values: Callable[[Row], Iterator[str]],
        parts: tuple[_Pieces, _Pieces, _Pieces],
        token_at: int | None,
    ) -> None:
        """`parts` are subject, text and HTML."""
        subject, text, html = parts
        self.count = count
        """How many values there are."""
        self.token_at = token_at
        """Which of them is the token of an unsubscribe link; None unless that stands in no other."""
        self.uses_in_text = [sum(uses) for uses in zip(subject.uses, text.uses, strict=True)]
        """In how many places of subject and text each of them stands."""
        self.uses_in_html = html.uses
        self.uses = [sum(uses) for uses in zip(self.uses_in_text, html.uses, strict=True)]
        self._titled = subject.says_something
        self._values = values
        self._subject = subject
        self._text = text
        self._html = html

    def values(self, fields: Mapping[str, Any]) -> list[str]:
        """What is put between the constant pieces for one row: two rows of which this is the same get the same letter."""
        return [*self._values(Row(fields))]

    def has_subject(self, values: Sequence[str]) -> bool:
        """Whether the subject of these values says anything."""
        return self._titled or bool("".join(self._subject.own(values)).strip())

    def fill(self, values: Sequence[str]) -> tuple[Merged, Merged, Merged]:
        """Subject, text and HTML with these values."""
        html = self._html
        in_html = html.own(values)
        # looked at together, since nearly always none has anything
        if SPECIAL.search("".join(values)):
            in_html = [*map(written_in_html, in_html)]
        subject, text = self._subject.made(self._subject.own(values)), self._text.made(self._text.own(values))
        page = html.made(in_html)
        if len(text) > MAX_LENGTH or len(page) > MAX_LENGTH or len(subject) > MAX_LENGTH:
            raise OverflowError
        return subject, text, page


class _Pieces:
    """The constants of one part, and how they and its values make it up."""

    __slots__ = ("_constants", "_mould", "_pick", "own", "says_something", "uses")

    def __init__(self, items: Sequence[str | int], values: int) -> None:
        """A number in `items` is that of a value, of so many."""
        self._constants = list(dict.fromkeys(item for item in items if isinstance(item, str)))
        numbers = list(dict.fromkeys(item for item in items if not isinstance(item, str)))
        order = [~self._constants.index(item) if isinstance(item, str) else numbers.index(item) for item in items]
        self._mould = Mould(self._constants, order)
        self._pick = _picker([len(numbers) + ~number if number < 0 else number for number in order])
        self.own = _picker(numbers)
        self.says_something = any(not constant.isspace() for constant in self._constants)
        """Whatever the values."""
        uses = Counter(item for item in items if not isinstance(item, str))
        self.uses = [uses[value] for value in range(values)]

    def made(self, values: Sequence[str]) -> Merged:
        return Merged.of(self._pick([*values, *self._constants]), self._mould, values)


def _picker(numbers: Sequence[int]) -> Callable[[Sequence[str]], Sequence[str]]:
    """A function that takes these out of a sequence, in this order."""
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda pieces: [pieces[number] for number in numbers]


def straight(
    env: LetterEnvironment, token: str, subject: Sequence[Item], text: Sequence[Item], html: Sequence[Item]
) -> Straight:
    """A letter of such parts. `env` is that of plain text: what a value is in HTML is worked out afterwards. `token` is the name by which
    the parts read that of an unsubscribe link.
    """
    # by their form, since nodes compare 0 and False as alike
    values = {repr(item): item for item in (*subject, *text, *html) if not isinstance(item, str)}
    numbers = {form: number for number, form in enumerate(values)}
    output = [nodes.Output([*values.values()], lineno=1)] if values else []
    code = env.compile(nodes.Template(output, lineno=1))
    root: Any = JinjaTemplate.from_code(env, code, {}).root_render_func
    parts = [
        _Pieces([item if isinstance(item, str) else numbers[repr(item)] for item in items], len(values))
        for items in (subject, text, html)
    ]
    with_token = [number for number, item in enumerate(values.values()) if _reads(item, token)]
    alone = numbers.get(repr(nodes.Name(token, "load")))
    return Straight(
        len(values), root, (parts[0], parts[1], parts[2]), token_at=alone if with_token == [alone] else None
    )


def _reads(node: nodes.Expr, name: str) -> bool:
    own = [node] if isinstance(node, nodes.Name) else []
    return any(one.name == name for one in (*own, *node.find_all(nodes.Name)))


def items_of(env: LetterEnvironment, tree: nodes.Template, reserved: frozenset[str]) -> list[Item] | None:
    """What a part consists of, if it is simple enough. `reserved` are names that are not fields of the row."""
    generator, frame = LetterGenerator(env, None, None), Frame(EvalContext(env))
    items: list[Item] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for child in statement.nodes:
            constant = generator.constant(child, frame)
            if constant is None:
                if not _plain(child, env, reserved):
                    return None
                items.append(child)
            elif items and isinstance(items[-1], str):
                items[-1] += constant
            elif constant:
                items.append(constant)
    return items


def _plain(node: nodes.Node, env: LetterEnvironment, reserved: frozenset[str]) -> bool:
    if not isinstance(node, PLAIN):
        return False
    if isinstance(node, nodes.Name) and (node.ctx != "load" or node.name in reserved):
        return False
    if isinstance(node, nodes.Filter) and node.name not in env.simple_filters:
        return False
    if isinstance(node, nodes.Const) and hasattr(node.value, "__html__"):
        # it would be lost that this text is HTML already
        return False
    return all(_plain(child, env, reserved) for child in node.iter_child_nodes())
