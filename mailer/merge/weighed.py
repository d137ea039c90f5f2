"""Where a letter provides for a field that is blank: by a condition around it, or by what is written instead."""

from __future__ import annotations

from jinja2 import nodes

from mailer.merge.tree import every


def weighed(tree: nodes.Template) -> frozenset[int]:
    """The names, by their identity, that are not written just as they are if they are blank."""
    found: set[int] = set()
    _weigh(tree, frozenset(), found)
    return frozenset(found)


def _weigh(node: nodes.Node, thought_of: frozenset[str], found: set[int]) -> None:
    """`thought_of` are the names on which the condition around this depends."""
    if isinstance(node, nodes.Name) and node.name in thought_of:
        found.add(id(node))
    asked = _asked(node)
    if asked is not None:
        found.update(id(below) for below in (asked, *every(asked)) if isinstance(below, nodes.Name))
        if not isinstance(node, nodes.Filter | nodes.Test):
            thought_of |= _asked_whether_blank(asked)
    for child in node.iter_child_nodes():
        _weigh(child, thought_of, found)


def _asked(node: nodes.Node) -> nodes.Node | None:
    """What is looked at here to decide what is written."""
    match node:
        case nodes.If() | nodes.CondExpr():
            return node.test
        case nodes.Or() | nodes.And():
            return node.left
        case nodes.Test(name="defined" | "undefined"):
            return node.node
        case nodes.Filter(name="default" | "d") if _replaces_blank(node):
            return node.node
    return None


def _asked_whether_blank(condition: nodes.Node) -> frozenset[str]:
    """The names in a condition; that a column is there says nothing of its cells."""
    if isinstance(condition, nodes.Name):
        return frozenset({condition.name})
    if isinstance(condition, nodes.Test) and condition.name in {"defined", "undefined"}:
        return frozenset()
    return frozenset().union(*map(_asked_whether_blank, condition.iter_child_nodes()))


def _replaces_blank(node: nodes.Filter) -> bool:
    """`default("x")` stands for a column that is not there, `default("x", true)` for a blank cell, too."""
    given = [*node.args[1:2], *(keyword.value for keyword in node.kwargs if keyword.key == "boolean")]
    return any(not isinstance(value, nodes.Const) or bool(value.value) for value in given)
