"""The plain text of a letter from its tree: made to be read as it is, never a leftover of the HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from markdown_it.token import Token

from mailer.merge.complaints import Origin
from mailer.merge.html import origin_of, target_expression
from mailer.merge.links import shown_link
from mailer.merge.markdown import Node
from mailer.merge.tags import PLACED, Kind, Tags

LEADING = re.compile(r"^(?:<!--\w+-->)*")
RULE = "-" * 40


@dataclass(kw_only=True, slots=True)
class PlainWriter:
    """Turns nodes into text with markers; statements stand as `<!--marker-->`, as in the HTML."""

    tags: Tags
    base: Origin
    captured: Callable[[Node], str]
    _counters: int = field(default=0)

    def blocks(self, nodes: Iterable[Node]) -> str:
        return "".join(self._block(node) for node in nodes)

    def _block(self, node: Node) -> str:  # noqa: C901, PLR0911, PLR0912  # one case per kind of block
        match node.kind:
            case "statement":
                return f"<!--{node.marker}-->"
            case "group":
                return self.blocks(node.children)
            case "captured":
                return f"<!--{self.captured(node)}-->"
            case "paragraph":
                hidden = node.token is not None and node.token.hidden
                return self.inline(node.inline) + ("\n" if hidden else "\n\n")
            case "heading":
                return self._heading(node)
            case "bullet_list":
                return self._items(node.children, "- ") + "\n"
            case "ordered_list":
                return self._ordered(node)
            case "blockquote":
                return _prefixed(self.blocks(node.children).strip("\n"), "> ", "> ") + "\n\n"
            case "hr":
                return RULE + "\n\n"
            case "fence" | "code_block":
                assert node.token
                return f"{RULE}\n{node.token.content.rstrip()}\n{RULE}\n\n"
            case "table":
                return self.blocks(node.children) + "\n"
            case "thead" | "tbody":
                return self.blocks(node.children)
            case "tr":
                return " | ".join(self.inline(cell.inline) for cell in node.children) + "\n"
        return ""

    def _heading(self, node: Node) -> str:
        text = self.inline(node.inline)
        line = {"h1": "=", "h2": "-"}.get(node.token.tag if node.token else "", "")
        width = min(60, max(3, len(PLACED.sub("field name", text))))
        return f"{text}\n{line * width}\n\n" if line else f"{text}\n\n"

    def _items(self, nodes: Iterable[Node], bullet: str) -> str:
        parts: list[str] = []
        for node in nodes:
            if node.kind == "list_item":
                body = self.blocks(node.children)
                loose = body.endswith("\n\n") and any(not _hidden(child) for child in node.children)
                parts.append(_prefixed(body.strip("\n"), bullet, "  ") + ("\n\n" if loose else "\n"))
            elif node.kind == "group":
                parts.append(self._items(node.children, bullet))
            else:
                parts.append(self._block(node))
        return "".join(parts)

    def _ordered(self, node: Node) -> str:
        """Items are numbered when merged: a loop makes as many as the row needs."""
        start = int(node.token.attrs.get("start", 1)) if node.token else 1
        self._counters += 1
        name = f"number_{self._counters}_"
        setting = self.tags.add(Kind.STATEMENT, f"set {name} = counter_({start})", self.base)
        bullet = self.tags.add(Kind.EXPRESSION, f"{name}()", self.base)
        return f"<!--{setting}-->{self._items(node.children, bullet + '. ')}\n"

    def inline(self, tokens: Iterable[Token]) -> str:
        parts: list[str] = []
        targets: list[tuple[str, int]] = []
        for token in tokens:
            match token.type:
                case "link_open":
                    targets.append((str(token.attrs.get("href", "")), len(parts)))
                case "link_close":
                    target, start = targets.pop()
                    label = "".join(parts[start:])
                    parts[start:] = [self._link(label, target)]
                case "softbreak" | "hardbreak":
                    parts.append("\n")
                case "image":
                    parts.append("".join(child.content for child in token.children or []))
                case _:
                    parts.append(token.content)
        return "".join(parts)

    def _link(self, label: str, target: str) -> str:
        expression = target_expression(target, self.tags)
        if expression is None:
            return shown_link(label, target)
        origin = origin_of(target, self.tags, self.base)
        if self._same(label, target):
            return self.tags.add(Kind.EXPRESSION, f"{expression} | shown_", origin)
        return label.strip() + self.tags.add(Kind.EXPRESSION, f"{expression} | target_", origin)

    def _same(self, label: str, target: str) -> bool:
        def written(text: str) -> list[str]:
            return [piece if isinstance(piece, str) else piece.inner for piece in self.tags.marked(text)]

        return written(label) == written(target)


def bare_target(target: object) -> str:
    """A link that is its own label."""
    return shown_link("", target)


def target_in_text(target: object) -> str:
    """What follows a link's label in plain text."""
    if type(target) is str and target.startswith("http"):
        return f" <{target}>"
    return " <" + shown_link("", target) + ">"


def _hidden(node: Node) -> bool:
    return node.token is not None and (node.token.hidden or node.kind != "paragraph")


def _prefixed(text: str, first: str, rest: str) -> str:
    """Indent lines; a statement at a line's start stays before the indentation, or a loop would lose it."""
    lines: list[str] = []
    prefix = first
    for line in text.split("\n"):
        statements = LEADING.match(line)
        lead = statements[0] if statements else ""
        body = line[len(lead) :]
        lines.append(
            lead + (prefix + body if body else ("" if not prefix.strip() or prefix != rest else prefix.rstrip()))
        )
        if body:
            prefix = rest
    return "\n".join(lines)


class Counter:
    """Numbers for the items of an ordered list."""

    def __init__(self, start: int) -> None:
        self._next = start

    def __call__(self) -> int:
        self._next += 1
        return self._next - 1
