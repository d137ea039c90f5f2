"""Other values in a YAML text, each written where the old one stood: comments, order and all the rest keep every character.

One difference is mended at a time, and the text read anew, since YAML has too many ways of writing the same for anything cleverer.
What came out is read once more at the end: a text that does not mean what was wanted is never handed on.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any, NamedTuple

import yaml

from mailer.errors import LetterError
from mailer.merge.yamltext import Loader, TooManyError, Value, read_mapping

WORK = 30_000
"""Keys and values that are read while the differences are mended, each time anew: some seconds."""

PLAIN = re.compile(r"[^\W\d_](?:[\w ./()'+-]*[\w./()'+-])?")
SPECIAL = re.compile(r"(?i)true|false|null|yes|no|on|off|y|n")
"""Words that mean something else, here or in other programs that read YAML."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
COMMENT = re.compile(r"(?:^|(?<=[\s]))#[^\n]*")


class CannotEditError(Exception):
    """The text is written in a way that only its author can change."""


class TooMuchError(CannotEditError):
    """So much differs that to mend it one by one would take minutes."""


class Splice(NamedTuple):
    start: int
    end: int
    text: str


def changed(text: str, wanted: Mapping[str, Value], *, order: Sequence[str] = ()) -> str:
    """The text so that it means these values; None takes a key out. A new key stands behind those that precede it in `order`.

    Raises CannotEditError where that would cost something else in the text, TooMuchError where it would take too long, and LetterError for one that cannot be read.
    """
    before, _ = read_mapping(text, "")
    expected = {**before, **wanted}
    for key, value in wanted.items():
        if value is None:
            del expected[key]
    work = 0
    try:
        while True:
            tree = _Tree(text, order)
            work += tree.size
            if work > WORK:
                raise TooMuchError
            splice = next(filter(None, (tree.step(key, value) for key, value in wanted.items())), None)
            if splice is None:
                break
            text = text[: splice.start] + splice.text + text[splice.end :]
        after, _ = read_mapping(text, "")
    except TooManyError as error:
        raise TooMuchError from error
    except (LetterError, yaml.YAMLError) as error:
        raise CannotEditError from error
    if not same(after, expected):
        raise CannotEditError
    return text


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same and of the same kind: 1 is not true. The order of keys means nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def scalar(value: Any, style: str | None = None) -> str:
    """A value on one line, in the quotes that its predecessor had where these can hold it."""
    if not isinstance(value, str):
        return "null" if value is None else str(value).lower()
    if style == "'" and not UNPRINTABLE.search(value):
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and PLAIN.fullmatch(value) and not SPECIAL.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'


def _name(key: str) -> str:
    """A key is text in any case."""
    return key if PLAIN.fullmatch(key) else scalar(key)


def flow(value: Any) -> str:
    """Any value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_name(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def entry(key: str, value: Any, indent: int) -> str:
    """A key and its value as lines of their own, the longer ones item by item."""
    margin = "\n" + " " * (indent + 2)
    if isinstance(value, dict) and value:
        lines = "".join(f"{margin}{_name(name)}: {flow(item)}" for name, item in value.items())
        return f"{_name(key)}:{lines}"
    if isinstance(value, list) and any(not isinstance(item, str) or not item.isidentifier() for item in value):
        return f"{_name(key)}:" + "".join(f"{margin}- {flow(item)}" for item in value)
    return f"{_name(key)}: {flow(value)}"


class _Tree:
    """A text with the places of everything in it."""

    def __init__(self, text: str, order: Sequence[str]) -> None:
        self._text = text
        self._order = {key: number for number, key in enumerate(order)}
        loader = Loader(text)
        root = loader.get_single_node()
        self.size = loader.nodes
        if root is not None and not isinstance(root, yaml.MappingNode):
            raise CannotEditError
        self._root: yaml.MappingNode | None = root
        if root and not all(isinstance(key, yaml.ScalarNode) for key, _ in root.value):
            raise CannotEditError
        tokens = list(yaml.scan(text, Loader=Loader))
        self._dashes = [one.start_mark.index for one in tokens if isinstance(one, yaml.BlockEntryToken)]
        self._comments = [found for one, after in pairwise(tokens) for found in self._between(one, after)]

    def _between(self, token: yaml.Token, after: yaml.Token) -> list[tuple[int, int]]:
        """Comments stand where the scanner saw nothing, and behind the sign that begins a block of text."""
        start, end = token.end_mark.index, after.start_mark.index
        found = [(start + one.start(), start + one.end()) for one in COMMENT.finditer(self._text[start:end])]
        if isinstance(token, yaml.ScalarToken) and token.style in {"|", ">"}:
            begin = token.start_mark.index
            head = COMMENT.search(self._text[begin:].partition("\n")[0])
            found = ([(begin + head.start(), begin + head.end())] if head else []) + found
        return found

    def step(self, key: str, value: Value) -> Splice | None:
        """The first thing to change so that the key has this value; None if it has."""
        root = self._root
        if root is None:
            return None if value is None else self._first(key, value)
        at = next((number for number, (name, _) in enumerate(root.value) if name.value == key), None)
        if at is None:
            return None if value is None else self._put(root, self._place(root, key), value, key)
        if value is None:
            return self._take(root, at)
        return self._differ(root, at, value)

    def _first(self, key: str, value: Value) -> Splice:
        end = len(self._text)
        gap = "" if not self._text or self._text.endswith("\n") else "\n"
        return Splice(end, end, f"{gap}{entry(key, value, 0)}\n")

    def _place(self, root: yaml.MappingNode, key: str) -> int:
        """Behind the last of the keys that come before it."""
        rank, last = self._order.get(key, 0), len(self._order)
        before = [at for at, (name, _) in enumerate(root.value) if self._order.get(name.value, last) < rank]
        return before[-1] + 1 if before else len(root.value)

    def _differ(self, parent: yaml.Node, at: int, value: Any) -> Splice | None:
        """What to change first so that an entry of `parent` means `value`."""
        node = _child(parent, at)
        old = _meaning(node)
        if same(old, value):
            return None
        if isinstance(node, yaml.MappingNode) and isinstance(value, dict) and old and value:
            return self._mapping(node, value)
        if isinstance(node, yaml.SequenceNode) and isinstance(value, list) and old and value:
            return self._sequence(node, old, value)
        if _within_a_line(node):
            return self._replace(node, value)
        if isinstance(parent, yaml.SequenceNode):
            return self._put(parent, at, value)  # the old one is superfluous then, and goes with the next step
        if len(parent.value) > 1 or parent is self._root:
            return self._take(parent, at)
        raise CannotEditError

    def _mapping(self, node: yaml.MappingNode, value: Mapping[str, Any]) -> Splice | None:
        names = [key.value for key, _ in node.value]
        for at, name in enumerate(names):
            if name in value and (splice := self._differ(node, at, value[name])):
                return splice
        for name in value:
            if name not in names:
                return self._put(node, len(names), value[name], name)
        return next((self._take(node, at) for at, name in enumerate(names) if name not in value), None)

    def _sequence(self, node: yaml.SequenceNode, old: Sequence[Any], value: Sequence[Any]) -> Splice | None:
        matcher = SequenceMatcher(None, [*map(repr, old)], [*map(repr, value)], autojunk=False)
        for what, at, _, to, _ in matcher.get_opcodes():
            if what == "replace":
                return self._differ(node, at, value[to])
            if what == "insert":
                return self._put(node, at, value[to])
            if what == "delete":
                return self._take(node, at)
        return None

    def _replace(self, node: yaml.Node, value: Any) -> Splice:
        start, end = node.start_mark.index, self._end(node)
        kept = [self._text[one:other] for one, other in self._comments if start <= one < end]
        if kept and not (isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}):
            raise CannotEditError
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        new = scalar(value, style) if not isinstance(value, dict | list) else flow(value)
        gap = " " if start == end and not self._text[:start].endswith((" ", "\n")) else ""
        return Splice(start, end, "  ".join([gap + new, *kept]))

    def _put(self, parent: yaml.Node, at: int, value: Any, key: str | None = None) -> Splice:
        """A new entry at this place among the others, of which there is one at least unless the text is empty."""
        size = len(parent.value)
        if _in_brackets(parent):
            new = flow(value) if key is None else f"{_name(key)}: {flow(value)}"
            if not size:
                place = self._end(parent) - 1
                return Splice(place, place, new)
            if at < size:
                place = self._start(parent, at)
                return Splice(place, place, f"{new}, ")
            place = self._end(_child(parent, size - 1))
            return Splice(place, place, f", {new}")
        column = self._column(self._start(parent, 0))
        new = f"- {flow(value)}" if key is None else entry(key, value, column)
        if at:
            place = self._line_end(self._end(_child(parent, at - 1)))
            return Splice(place, place, f"\n{' ' * column}{new}")
        place = self._start(parent, 0)
        return Splice(place, place, f"{new}\n{' ' * column}")

    def _take(self, parent: yaml.Node, at: int) -> Splice:
        """Without an entry. What was said about it stays, as lines of comment."""
        start, end = self._start(parent, at), self._end(_child(parent, at))
        size = len(parent.value)
        alone = not self._text[self._line_start(start) : start].strip(" ")
        if _in_brackets(parent) or not alone:
            if at + 1 < size:
                end = self._start(parent, at + 1)
            elif at and _in_brackets(parent):
                start = self._end(_child(parent, at - 1))
            else:
                raise CannotEditError
            if any(start <= one < end for one, _ in self._comments):
                raise CannotEditError
            return Splice(start, end, "")
        indent = " " * self._column(start)
        start, end = self._line_start(start), min(self._line_end(end) + 1, len(self._text))
        kept = [self._text[one:other] for one, other in self._comments if start <= one < end]
        return Splice(start, end, "".join(f"{indent}{one}\n" for one in kept))

    def _start(self, parent: yaml.Node, at: int) -> int:
        if isinstance(parent, yaml.MappingNode):
            return int(parent.value[at][0].start_mark.index)
        start = int(parent.value[at].start_mark.index)
        return start if _in_brackets(parent) else self._dashes[bisect_left(self._dashes, start) - 1]

    def _end(self, node: yaml.Node) -> int:
        """Behind a node's last character. YAML counts a block to the beginning of what follows."""
        start, end = int(node.start_mark.index), int(node.end_mark.index)
        if isinstance(node, yaml.ScalarNode):
            return start + len(self._text[start:end].rstrip()) if node.style in {"|", ">"} else end
        if _in_brackets(node) or not node.value:
            return end
        return self._end(_child(node, len(node.value) - 1))

    def _line_start(self, place: int) -> int:
        return self._text.rfind("\n", 0, place) + 1

    def _line_end(self, place: int) -> int:
        found = self._text.find("\n", place)
        return len(self._text) if found < 0 else found

    def _column(self, place: int) -> int:
        return place - self._line_start(place)


def _within_a_line(node: yaml.Node) -> bool:
    """Whether it is text, or stands between brackets, so that it can be replaced where it stands."""
    return isinstance(node, yaml.ScalarNode) or _in_brackets(node)


def _in_brackets(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _child(parent: yaml.Node, at: int) -> yaml.Node:
    found = parent.value[at]
    node: yaml.Node = found[1] if isinstance(found, tuple) else found
    return node


def _meaning(node: yaml.Node) -> Any:
    """The value of a node of a text that was read before."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _meaning(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_meaning(one) for one in node.value]
    match node.tag.rpartition(":")[2]:
        case "int":
            return int(node.value)
        case "bool":
            return node.value == "true"
        case "null":
            return None
        case _:
            return node.value
