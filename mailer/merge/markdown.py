"""Markdown into a tree whose loops and conditions enclose whole blocks, whatever a contact's data will be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from mailer.merge.complaints import Origin, refuse
from mailer.merge.tags import MARKER, Kind, Line, Tag, Tags
from mailer.model import said

PLACE = "place"
LISTS = {"bullet_list", "ordered_list"}
ANGLED = re.compile(rf"<({MARKER.pattern})>")


@dataclass(kw_only=True, slots=True)
class Node:
    """A block: of Markdown (`kind` as markdown-it names it), a statement tag, or a group of tags with their bodies."""

    kind: str
    token: Token | None = None
    children: list[Node] = field(default_factory=list)
    tag: Tag | None = None
    marker: str = ""
    """The statement's marker."""

    @property
    def inline(self) -> list[Token]:
        """What stands in a paragraph, heading or cell."""
        return next(
            (child.token.children or [] for child in self.children if child.token and child.kind == "inline"), []
        )


def parse(lines: Sequence[Line], tags: Tags) -> list[Node]:
    """The blocks of a protected text. Raises LetterError where a tag opens in one block and closes in another."""
    tokens = _parser(tags).parse("\n".join(line.text for line in lines), {})
    for token in tokens:
        if token.type == "inline" and token.map:
            _place(token.children or [], [line.origin for line in lines[token.map[0] : token.map[1]]])
    nodes = list(_tree(iter(tokens)))
    return _arranged(nodes, tags)


def _place(children: Sequence[Token], origins: Sequence[Origin]) -> None:
    """Note for what stands in a paragraph on which of its lines it does."""
    number = 0
    for child in children:
        if origins:
            child.meta[PLACE] = origins[min(number, len(origins) - 1)]
        number += child.type in {"softbreak", "hardbreak"}


def place_of(token: Token, fallback: Origin) -> Origin:
    """Where in the author's file something in a paragraph stands."""
    found: Origin = token.meta.get(PLACE, fallback)
    return found


def _parser(tags: Tags) -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False}).enable("table")
    # A line indented for tidiness inside {% if %} is never meant as a program listing.
    md.disable("code")

    def statement(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: ARG001, FBT001
        line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
        found = tags.only(line) if MARKER.match(line) else None
        if found is None or (silent and state.parentType == "table"):
            return False
        if silent:
            return True
        for match in MARKER.finditer(line):
            token = state.push("statement", "", 0)
            token.content = match[0]
            token.map = [start, start + 1]
        state.line = start + 1
        return True

    def angled_link(state: StateInline, silent: bool) -> bool:  # noqa: FBT001
        match = ANGLED.match(state.src, state.pos)
        if not match:
            return False
        if not silent:
            token = state.push("link_open", "a", 1)
            token.attrs = {"href": match[1]}
            token.info = "auto"
            state.push("text", "", 0).content = match[1]
            state.push("link_close", "a", -1)
        state.pos = match.end()
        return True

    md.block.ruler.before("table", "statement", statement, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    md.inline.ruler.before("autolink", "angled_link", angled_link)
    return md


def _tree(tokens: Iterator[Token]) -> Iterator[Node]:
    for token in tokens:
        if token.nesting == 1:
            yield Node(kind=token.type.removesuffix("_open"), token=token, children=list(_tree(tokens)))
        elif token.nesting == -1:
            return
        else:
            yield Node(kind=token.type, token=token)


def _arranged(nodes: list[Node], tags: Tags) -> list[Node]:
    for node in nodes:
        if node.kind == "statement" and node.token:
            node.marker = node.token.content
            node.tag = _tag(node.marker, tags)
        if node.kind == "inline" and node.token:
            _check_balance(node.token, tags)
    unfolded: list[Node] = []
    for node in nodes:
        if node.kind == "table":
            unfolded.extend(_table(node, tags))
        else:
            node.children = _arranged(node.children, tags)
            unfolded.append(node)
    return _merged_lists(_grouped(unfolded))


def _tag(marker: str, tags: Tags) -> Tag:
    match = MARKER.fullmatch(marker)
    assert match
    return tags[int(match[1])]


def _check_balance(token: Token, tags: Tags) -> None:
    depth: list[Tag] = []
    for piece in tags.marked(token.content):
        if isinstance(piece, Tag) and piece.kind is Kind.STATEMENT:
            if piece.opens:
                depth.append(piece)
            elif piece.closes and not depth:
                raise _unbalanced(piece)
            elif piece.closes:
                depth.pop()
    if depth:
        raise _unbalanced(depth[-1])


def _unbalanced(tag: Tag) -> Exception:
    return refuse(
        "letter-structure",
        said(
            "{shown} opens or closes inside a paragraph, list or table that its partner stands outside of.",
            shown=tag.shown,
        ),
        at=tag.origin,
        hint="Put both tags alone on a line with the same indentation, or both inside the same paragraph.",
    )


def _grouped(nodes: list[Node]) -> list[Node]:
    """Fold `for ... endfor` into one node whose children are the statements and what stands between them."""
    stack: list[list[Node]] = [[]]
    open_tags: list[Node] = []
    for node in nodes:
        if node.tag is not None and node.tag.opens:
            open_tags.append(node)
            stack.append([node])
        elif node.tag is not None and node.tag.closes:
            if not open_tags:
                raise _unbalanced(node.tag)
            opener = open_tags.pop()
            assert opener.tag
            kind = "captured" if opener.tag.keyword == "set-block" else "group"
            group = Node(kind=kind, children=[*stack.pop(), node], tag=opener.tag)
            group.children = [group.children[0], *_merged_lists(group.children[1:-1]), group.children[-1]]
            stack[-1].append(group)
        else:
            stack[-1].append(node)
    if open_tags:
        assert open_tags[-1].tag
        raise _unbalanced(open_tags[-1].tag)
    return stack[0]


def _list_kind(node: Node) -> str | None:
    """The kind of list a node consists of, "any" for a bare statement, None for anything else."""
    if node.kind in LISTS:
        assert node.token
        return node.kind + node.token.markup
    if node.kind in {"statement", "captured"}:
        return "any"
    if node.kind != "group":
        return None
    kinds = {_list_kind(child) for child in node.children} - {"any"}
    return kinds.pop() if len(kinds) == 1 else None


def _merged_lists(nodes: list[Node]) -> list[Node]:
    """Lists that only statements part are one list: a loop around items makes items, not lists."""
    result: list[Node] = []
    position = 0
    while position < len(nodes):
        kind = _list_kind(nodes[position])
        end = position + 1
        if kind not in (None, "any"):
            while end < len(nodes) and _list_kind(nodes[end]) in (kind, "any"):
                end += 1
            while _list_kind(nodes[end - 1]) == "any":
                end -= 1
        run = nodes[position:end]
        if kind not in (None, "any") and (len(run) > 1 or _loops(run[0])):
            result.append(_one_list(run))
        else:
            result.extend(run)
        position = end
    return result


def _loops(node: Node) -> bool:
    return node.kind == "group" and (
        (node.tag is not None and node.tag.keyword == "for") or any(_loops(child) for child in node.children)
    )


def _one_list(run: list[Node]) -> Node:
    first = _first_list(run)
    assert first
    items: list[Node] = []
    for node in run:
        items.extend(_items(node))
    return Node(kind=first.kind, token=first.token, children=items)


def _first_list(nodes: list[Node]) -> Node | None:
    for node in nodes:
        if node.kind in LISTS:
            return node
        found = _first_list(node.children) if node.kind == "group" else None
        if found:
            return found
    return None


def _items(node: Node) -> list[Node]:
    if node.kind in LISTS:
        return node.children
    if node.kind == "group":
        return [Node(kind="group", tag=node.tag, children=[item for child in node.children for item in _items(child)])]
    return [node]


def _table(table: Node, tags: Tags) -> list[Node]:
    """Rows of a table that hold only statements become statements; those that do not pair up inside follow it."""
    head = next((child for child in table.children if child.kind == "thead"), None)
    body = next((child for child in table.children if child.kind == "tbody"), None)
    rows = [statement for row in (body.children if body else []) for statement in _row(row, tags)]
    unpaired = _first_unpaired(rows)
    kept, after = rows[:unpaired], rows[unpaired:]
    for index, node in enumerate(after):
        cells = [
            cell
            for cell in node.children
            if cell.inline or (cell.children and cell.children[0].token and cell.children[0].token.content)
        ]
        if node.kind == "tr" and len(cells) == 1 and cells[0] is node.children[0]:
            # Markdown takes the line after a table for a row; after {% endif %} it is a paragraph.
            after[index] = Node(kind="paragraph", children=_arranged(cells[0].children, tags))
        elif node.kind != "statement":
            tag = after[0].tag
            assert tag
            raise _unbalanced(tag)
    for row in [*(head.children if head else []), *(row for row in kept if row.kind == "tr")]:
        for cell in row.children:
            cell.children = _arranged(cell.children, tags)
    if body:
        body.children = _grouped(kept)
    return [table, *after]


def _row(row: Node, tags: Tags) -> list[Node]:
    content = [cell.children[0].token.content for cell in row.children if cell.children and cell.children[0].token]
    if content and not any(content[1:]) and MARKER.match(content[0]) and tags.only(content[0]) is not None:
        markers = [match[0] for match in MARKER.finditer(content[0])]
        return [Node(kind="statement", marker=marker, tag=_tag(marker, tags)) for marker in markers]
    return [row]


def _first_unpaired(rows: list[Node]) -> int:
    open_at: list[int] = []
    for index, node in enumerate(rows):
        if node.tag is None:
            continue
        if node.tag.opens:
            open_at.append(index)
        elif node.tag.closes:
            if not open_at:
                return index
            open_at.pop()
    return open_at[0] if open_at else len(rows)
