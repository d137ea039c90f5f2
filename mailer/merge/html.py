"""The HTML of a letter from its tree; what a contact's data becomes there is decided here, once per template."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from markdown_it.token import Token

from mailer.merge.complaints import Origin, refuse
from mailer.merge.links import BadLink, check_target
from mailer.merge.markdown import Node, place_of
from mailer.merge.tags import Kind, Tag, Tags
from mailer.model import said

WRITTEN_SCHEME = re.compile(r"(?i)^(https?://|mailto:|tel:)")


def target_expression(target: str, tags: Tags) -> str | None:
    """The Jinja expression that builds and checks a link with fields in it; None for a link without any."""
    pieces = list(tags.marked(target))
    if not any(isinstance(piece, Tag) for piece in pieces):
        return None
    arguments: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            arguments += ["''"] if len(arguments) % 2 else []
            arguments.append(_quoted(piece))
        elif piece.kind is Kind.STATEMENT:
            raise refuse(
                "letter-link",
                said("{shown} cannot stand inside a link's target.", shown=piece.shown),
                at=piece.origin,
                hint="Put the whole link into the {% if %}, or use {{ a if condition else b }}.",
            )
        elif piece.kind is Kind.EXPRESSION:
            arguments += [] if len(arguments) % 2 else ["''"]
            arguments.append(f"({piece.inner})")
    return f"[{', '.join(arguments)}] | link_"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def origin_of(target: str, tags: Tags, fallback: Origin) -> Origin:
    return next((piece.origin for piece in tags.marked(target) if isinstance(piece, Tag)), fallback)


@dataclass(kw_only=True, slots=True)
class HtmlWriter:
    """Turns nodes into HTML with markers. `image` gives the source of a local image, `captured` a set block's tag."""

    tags: Tags
    base: Origin
    rtl: bool
    image: Callable[[str, Origin], str]
    captured: Callable[[Node], str]

    def blocks(self, nodes: Iterable[Node]) -> str:
        return "".join(self._block(node) for node in nodes)

    def _block(self, node: Node) -> str:  # noqa: C901, PLR0911  # one case per kind of block
        match node.kind:
            case "statement":
                return f"<!--{node.marker}-->"
            case "group":
                return self.blocks(node.children)
            case "captured":
                return f"<!--{self.captured(node)}-->"
            case "paragraph":
                return self._paragraph(node)
            case "heading":
                assert node.token
                return self._wrapped(node, node.token.tag)
            case "bullet_list" | "blockquote" | "list_item":
                tag = {"bullet_list": "ul", "list_item": "li"}.get(node.kind, "blockquote")
                return f"<{tag}>{self.blocks(node.children)}</{tag}>\n"
            case "ordered_list":
                start = int(node.token.attrs.get("start", 1)) if node.token else 1
                attribute = f' start="{start}"' if start != 1 else ""
                return f"<ol{attribute}>{self.blocks(node.children)}</ol>\n"
            case "hr":
                return "<hr>\n"
            case "fence" | "code_block":
                assert node.token
                return f'<pre dir="auto">{escape(node.token.content.rstrip(), quote=False)}</pre>\n'
            case "table":
                return f"<table>{self.blocks(node.children)}</table>\n"
            case "thead" | "tbody" | "tr":
                return f"<{node.kind}>{self.blocks(node.children)}</{node.kind}>\n"
            case "th" | "td":
                return self._cell(node)
        return ""

    def _paragraph(self, node: Node) -> str:
        content = self.inline(node.inline)
        if node.token and node.token.hidden:
            return content
        return f"<p>{content}</p>\n"

    def _wrapped(self, node: Node, tag: str) -> str:
        return f"<{tag}>{self.inline(node.inline)}</{tag}>\n"

    def _cell(self, node: Node) -> str:
        style = str(node.token.attrs.get("style", "")) if node.token else ""
        attribute = f' style="{escape(style)}"' if style else ""
        scope = ' scope="col"' if node.kind == "th" else ""
        return f"<{node.kind}{scope}{attribute}>{self.inline(node.inline)}</{node.kind}>"

    def inline(self, tokens: Iterable[Token]) -> str:
        return "".join(self._inline(token) for token in tokens)

    def _inline(self, token: Token) -> str:  # noqa: PLR0911  # one case per kind of token
        match token.type:
            case "text":
                return self._text(token.content)
            case "softbreak":
                return "\n"
            case "hardbreak":
                return "<br>\n"
            case "code_inline":
                return f'<code dir="auto">{escape(token.content, quote=False)}</code>'
            case "link_open":
                return f'<a href="{self._target(token)}"{self._title(token)}>'
            case "image":
                return self._image(token)
        if token.nesting == 1:
            return f"<{token.tag}>"
        return f"</{token.tag}>" if token.nesting == -1 else self._text(token.content)

    def _text(self, text: str) -> str:
        """Fields in a letter written from right to left keep their own direction (UAX 9), e.g. a German name."""
        if not self.rtl:
            return escape(text, quote=False)
        pieces: list[str] = []
        for piece in self.tags.marked(text):
            if isinstance(piece, str):
                pieces.append(escape(piece, quote=False))
            elif piece.kind is Kind.EXPRESSION:
                pieces.append(f"<bdi>{self.tags.add(piece.kind, piece.inner, piece.origin)}</bdi>")
            else:
                pieces.append(self.tags.add(piece.kind, piece.inner, piece.origin))
        return "".join(pieces)

    def _title(self, token: Token) -> str:
        title = token.attrs.get("title")
        return f' title="{escape(str(title))}"' if title else ""

    def _target(self, token: Token) -> str:
        target = str(token.attrs.get("href", ""))
        return safe_target(target, self.tags, place_of(token, self.base))

    def _image(self, token: Token) -> str:
        alt = escape("".join(child.content for child in token.children or []))
        source = self.image(str(token.attrs.get("src", "")), place_of(token, self.base))
        return f'<img src="{escape(source)}" alt="{alt}"{self._title(token)}>'


def safe_target(target: str, tags: Tags, base: Origin) -> str:
    """A link's target for an attribute. Raises LetterError for one that leads nowhere from a mail."""
    expression = target_expression(target, tags)
    origin = origin_of(target, tags, base)
    if expression:
        return tags.add(Kind.EXPRESSION, expression, origin)
    if not WRITTEN_SCHEME.match(target):
        raise refuse(
            "letter-link",
            said("the link to {target!r} leads nowhere from an e-mail.", target=target),
            at=origin,
            hint="Begin links with https:// or mailto:",
        )
    try:
        return escape(check_target(target) if not target.lower().startswith("tel:") else target)
    except BadLink as error:
        raise refuse("letter-link", said("{error}.", error=error), at=origin) from error
