"""Changes to a letter's syntax tree before it is compiled: constants written in, a price on every loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Environment, nodes
from jinja2.nodes import EvalContext

CHARACTERS_PER_STEP = 200
LOOP, TICK, JOINED = "a bounded loop", "a tick", "a joined text"
"""Filters that no author can name."""


def every(node: nodes.Node) -> list[nodes.Node]:
    """All nodes below this one in the order of the letter, as `find_all` gives them, in a fraction of its time."""
    found: list[nodes.Node] = []
    _gather(node, found)
    return found


def _gather(node: nodes.Node, found: list[nodes.Node]) -> None:
    for name in node.fields:
        value = getattr(node, name, None)
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, nodes.Node):
                found.append(child)
                _gather(child, found)


def with_constants(template: nodes.Template, constants: Mapping[str, Any]) -> nodes.Template:
    """Write in what is the same for every row, so that it becomes part of the letter's constant text."""
    assigned = assigned_in(every(template))
    known = {name: value for name, value in constants.items() if name not in assigned}
    return _folded(template, known) if known else template


def assigned_in(found: Iterable[nodes.Node]) -> frozenset[str]:
    """The names that get their values in the letter itself."""
    return frozenset(node.name for node in found if isinstance(node, nodes.Name) and node.ctx != "load")


def _folded(node: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(node, nodes.Getattr):
        found, value = _constant(node, known)
        if found and isinstance(value, str | int):
            return nodes.Const(value, lineno=node.lineno)
    if isinstance(node, nodes.Node):
        for field, value in node.iter_fields():
            if isinstance(value, list):
                setattr(node, field, [_folded(item, known) for item in value])
            elif isinstance(value, nodes.Node):
                setattr(node, field, _folded(value, known))
    return node


def without_dead_branches(template: nodes.Template, environment: Environment) -> nodes.Template:
    """Take out the conditions that are decided for every row, so that the text around them becomes one constant."""
    template.body = _living(template.body, EvalContext(environment))
    return template


def _living(body: list[Any], context: EvalContext) -> list[Any]:
    living: list[Any] = []
    for node in body:
        for child in _decided(node, context):
            last = living[-1] if living else None
            if isinstance(child, nodes.Output) and isinstance(last, nodes.Output):
                living[-1] = nodes.Output([*last.nodes, *child.nodes], lineno=last.lineno)
            else:
                living.append(child)
    return living


def _decided(node: Any, context: EvalContext) -> list[Any]:
    if isinstance(node, nodes.If):
        test: Any = node.test
        try:
            verdict = bool(test.as_const(context))
        except Exception:  # noqa: BLE001, S110  # not decided yet, or wrong, which is told when a row gets there
            pass
        else:
            if verdict:
                return _living(node.body, context)
            if not node.elif_:
                return _living(node.else_, context)
            first, *others = node.elif_
            return _decided(nodes.If(first.test, first.body, others, node.else_, lineno=first.lineno), context)
    if isinstance(node, nodes.If | nodes.For | nodes.With):
        node.body = _living(node.body, context)
    if isinstance(node, nodes.If | nodes.For):
        node.else_ = _living(node.else_, context)
    return [node]


def _constant(node: nodes.Node, known: Mapping[str, Any]) -> tuple[bool, Any]:
    if isinstance(node, nodes.Name):
        return node.name in known, known.get(node.name)
    if isinstance(node, nodes.Getattr):
        found, holder = _constant(node.node, known)
        if found and isinstance(holder, Mapping) and node.attr in holder:
            return True, holder[node.attr]
    return False, None


def bound(template: nodes.Template) -> nodes.Template:
    """Put a price on every loop and macro, by how much text it writes; `~` cannot be intercepted otherwise."""
    found = every(template)
    for loop in found:
        if isinstance(loop, nodes.For):
            loop.iter = _filter(loop.iter, LOOP, _weight(loop.body))
    for macro in found:
        if not isinstance(macro, nodes.Macro | nodes.CallBlock):
            continue
        price = _filter(nodes.Const("", lineno=macro.lineno), TICK, _weight(macro.body))
        macro.body.insert(0, nodes.Output([price], lineno=macro.lineno))
    _replace_concatenations(template)
    return template


def _weight(body: list[nodes.Node]) -> int:
    found = every(nodes.Template(body, lineno=1))
    literal = sum(len(node.data) for node in found if isinstance(node, nodes.TemplateData))
    written = sum(len(node.nodes) for node in found if isinstance(node, nodes.Output))
    return 1 + literal // CHARACTERS_PER_STEP + written


def _filter(node: Any, name: str, weight: int | None = None) -> nodes.Filter:
    args = [] if weight is None else [nodes.Const(weight, lineno=node.lineno)]
    return nodes.Filter(node, name, args, [], None, None, lineno=node.lineno)


def _replace_concatenations(node: nodes.Node) -> None:
    for field, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, field, [_without_concatenation(item) for item in value])
        else:
            setattr(node, field, _without_concatenation(value))


def _without_concatenation(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _replace_concatenations(value)
    if isinstance(value, nodes.Concat):
        return _filter(nodes.List(value.nodes, lineno=value.lineno), JOINED)
    return value
