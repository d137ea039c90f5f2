"""Which field was compared or reckoned with like a number, and what its author should write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jinja2 import nodes

from mailer.merge.numbers import READ, BadNumber
from mailer.merge.tree import every

RELATIONS = {"gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "eq": "==", "ne": "!="}
EQUALITY = frozenset({"eq", "ne"})
REFUSED = re.compile(
    r"not supported between instances|unsupported operand|can only concatenate|must be str, not|must be real number"
    r"|real number is required|__round__|bad operand type|digits times a number"
)
"""Python's words for a text where a number should be."""

Near = Callable[[nodes.Node], bool]
"""Whether a tag stands where the error came up."""


class Alike(NamedTuple):
    """A field that a letter takes for a number: `example` is what would make one of it."""

    name: str
    example: str
    lineno: int


def names_read(found: list[nodes.Node]) -> frozenset[str]:
    """The fields of which a letter makes numbers."""
    return frozenset(
        below.name
        for node in found
        if isinstance(node, nodes.Filter) and node.name in READ and node.node is not None
        for below in (node.node, *every(node.node))
        if isinstance(below, nodes.Name)
    )


def never_equal(found: list[nodes.Node]) -> Iterator[Alike]:
    """Where a field as it is, which is text, is asked whether it is some number."""
    for node in found:
        if isinstance(node, nodes.Compare) and len(node.ops) == 1 and node.ops[0].op in EQUALITY:
            for one, other in ((node.expr, node.ops[0].expr), (node.ops[0].expr, node.expr)):
                if isinstance(one, nodes.Name) and _is_number(other):
                    yield Alike(one.name, _example(node.expr, RELATIONS[node.ops[0].op], node.ops[0].expr), node.lineno)


def taken_for_number(tree: nodes.Template, near: Near, values: Mapping[str, Any]) -> Alike | None:
    """The field whose text was compared with a number, or reckoned with."""
    found = (_taken(node, values) for node in every(tree) if near(node))
    return next(filter(None, found), None)


def _taken(node: nodes.Node, values: Mapping[str, Any]) -> Alike | None:
    match node:
        case nodes.Compare():
            left = [node.expr, *(operand.expr for operand in node.ops)]
            pairs = [
                (one, RELATIONS[operand.op], operand.expr)
                for one, operand in zip(left, node.ops, strict=False)
                if operand.op in RELATIONS and operand.op not in EQUALITY
            ]
            return next(filter(None, (_first_text(one, sign, other, values) for one, sign, other in pairs)), None)
        case nodes.And() | nodes.Or():
            return None
        case nodes.BinExpr():
            return _first_text(node.left, node.operator, node.right, values)
        case nodes.Filter(name="format" | "round" | "abs"):
            reckoned = node.args if node.name == "format" else [node.node]
            names = [_text_field(one, values) for one in reckoned if one is not None]
            return next((Alike(name, f"{name}|number", node.lineno) for name in names if name), None)
    return None


def field_read(tree: nodes.Template, near: Near, values: Mapping[str, Any], error: BadNumber) -> str | None:
    """The field whose text is no number."""
    for node in filter(near, every(tree)):
        if isinstance(node, nodes.Filter) and node.name == error.filter and node.node is not None:
            for below in (node.node, *every(node.node)):
                name = _text_field(below, values)
                if name and str(_resolved(below, values)).strip() == error.text.strip():
                    return name
    return None


def _first_text(left: nodes.Expr, sign: str, right: nodes.Expr, values: Mapping[str, Any]) -> Alike | None:
    for side, other in ((left, right), (right, left)):
        name = _text_field(side, values)
        if name and not isinstance(_resolved(other, values), str):
            return Alike(name, _example(left, sign, right), side.lineno)
    return None


def _example(left: nodes.Expr, operator: str, right: nodes.Expr) -> str:
    return " ".join([_written(left), operator, _written(right)])


def _written(node: nodes.Node) -> str:
    if isinstance(node, nodes.Const):
        return str(node.value)
    name = _name(node)
    return f"{name}|number" if name else "..."


def _text_field(node: nodes.Node, values: Mapping[str, Any]) -> str | None:
    """The name of what is a text in this row."""
    return _name(node) if isinstance(_resolved(node, values), str) else None


def _name(node: nodes.Node) -> str | None:
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            holder = _name(node.node)
            return f"{holder}.{node.attr}" if holder else None
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            holder = _name(node.node)
            return f"{holder}[{key!r}]" if holder else None
    return None


def _resolved(node: nodes.Node, values: Mapping[str, Any]) -> Any:
    match node:
        case nodes.Const():
            return node.value
        case nodes.Name():
            return values.get(node.name)
        case nodes.Getattr(attr=str(key)) | nodes.Getitem(arg=nodes.Const(value=str(key))):
            holder = _resolved(node.node, values)
            return holder.get(key) if isinstance(holder, Mapping) else None
    return None


def _is_number(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
