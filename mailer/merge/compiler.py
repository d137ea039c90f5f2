"""One language of a letter, from its files to compiled parts: includes, Markdown, frame, CSS, Jinja, in this order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from mailer import traces
from mailer.merge.complaints import Origin, refuse, warning
from mailer.merge.files import Recorder, find, text_of, unsafe_reason
from mailer.merge.front import FrontMatter
from mailer.merge.html import HtmlWriter
from mailer.merge.layout import Sentences, filled, guarded_html, is_rtl, layout_source, with_inline_css
from mailer.merge.markdown import Node, parse, place_of
from mailer.merge.media import media_type
from mailer.merge.part import Part
from mailer.merge.place import Place, in_language, other_letter, split_file
from mailer.merge.plain import PlainWriter
from mailer.merge.sandbox import LetterEnvironment
from mailer.merge.tags import FORBIDDEN, MARKER, Kind, Line, Source, Tag, Tags
from mailer.model import Attachment, Problem, said

INCLUDE = re.compile(r"""include\s+(['"])([^'"]+)\1\s*(?:with(?:out)? context)?\s*""")
RAW_HTML = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--")
CODE = re.compile(r"(?s)```.*?```|`[^`\n]*`")
MAX_INCLUDED = 1_000_000
CLIPPED = 102_000
"""Bytes after which Gmail hides the rest of a message behind a link."""


@dataclass(kw_only=True, slots=True)
class Compiler:
    """Compiles the parts of one language. `wanted` are the language codes to look for in included letters."""

    place: Place
    files: Recorder
    language: str
    wanted: list[str]
    front: FrontMatter
    case: Mapping[str, Any]
    html_env: LetterEnvironment
    text_env: LetterEnvironment
    tags: Tags = field(init=False)
    warnings: list[Problem] = field(default_factory=list)
    images: dict[str, Attachment] = field(default_factory=dict)
    blocks: list[Part] = field(default_factory=list)
    _captured: dict[int, str] = field(default_factory=dict)
    _included: int = 0

    def __post_init__(self) -> None:
        self.tags = Tags(self.text_env)

    # --- texts without Markdown

    def line(self, text: str, at: Origin, *, html: bool = False) -> Part:
        """A subject, a name, a path."""
        return Part(self.html_env if html else self.text_env, self._source(text, at), at)

    def _source(self, text: str, at: Origin) -> Source:
        return self.tags.restore(self._protected(text, at))

    def _protected(self, text: str, at: Origin) -> str:
        protected = self.tags.protect(text, at.file, line=at.line)
        self._check_keywords(protected)
        return protected

    def _check_keywords(self, text: str) -> None:
        for piece in self.tags.marked(text):
            if isinstance(piece, Tag) and piece.keyword in FORBIDDEN:
                hint = 'To use the text of another letter, write {% include "NAME" %}.'
                raise refuse(
                    "letter-tag", said("{shown} is not used in letters.", shown=piece.shown), at=piece.origin, hint=hint
                )

    # --- Markdown

    def markdown(self, body: str, file: str, line: int) -> list[Node]:
        at = Origin(file=file, line=line)
        lines = [*self._with_includes(self._protected(_untrimmed(body), at), at, (file,))]
        if "set" in "".join(self._keywords("".join(line.text for line in lines))):
            lines = [Line(part, line.origin) for line in lines for part in self._captures_apart(line.text)]
        text = "\n".join(line.text for line in lines)
        shown = CODE.sub(lambda code: "\n" * code[0].count("\n"), MARKER.sub("", text))
        found = RAW_HTML.search(shown)
        if found:
            message = said("HTML such as {found} is shown as text in a Markdown letter.", found=found[0][:40])
            hint = "Use Markdown, or write the HTML yourself in letter.html beside letter.md."
            place = lines[shown.count("\n", 0, found.start())].origin
            self.warnings.append(warning("letter-html", message, at=place, hint=hint))
        return parse(lines, self.tags)

    def _with_includes(self, text: str, at: Origin, stack: tuple[str, ...]) -> Iterator[Line]:
        for line in self.tags.lines(text, at):
            yield from self._expanded(line, stack) if MARKER.search(line.text) else [line]

    def _expanded(self, line: Line, stack: tuple[str, ...]) -> Iterator[Line]:
        text, at = line
        included = [match for match in MARKER.finditer(text) if self.tags[int(match[1])].keyword == "include"]
        if included and MARKER.fullmatch(text.strip()):
            indent = text[: len(text) - len(text.lstrip())]
            yield Line("", at)
            for part, origin in _stripped(self._included_lines(self.tags[int(included[0][1])], stack)):
                yield Line(indent + part if part else "", origin)
            yield Line("", at)
            return
        for match in reversed(included):
            body = "\n".join(part.text for part in self._included_lines(self.tags[int(match[1])], stack))
            text = text[: match.start()] + " ".join(body.split()) + text[match.end() :]
        yield Line(text, at)

    def _included_lines(self, tag: Tag, stack: tuple[str, ...]) -> list[Line]:
        match = INCLUDE.fullmatch(tag.inner)
        if not match:
            raise refuse(
                "letter-include", said("{shown} must name a letter in quotes.", shown=tag.shown), at=tag.origin
            )
        other = other_letter(match[2], self.place, self.files, tag.origin)
        path = in_language(other, [normal for normal in self.wanted if normal], self.files)
        if path in stack:
            raise refuse("letter-include", said("{shown} goes round in a circle.", shown=tag.shown), at=tag.origin)
        found = split_file(self.files, path)
        self._included += len(found.body)
        if self._included > MAX_INCLUDED or len(stack) > 20:
            raise refuse(
                "letter-include", said("{shown} makes the letter far too long.", shown=tag.shown), at=tag.origin
            )
        at = Origin(file=path, line=found.body_line)
        return [*self._with_includes(self._protected(_untrimmed(found.body), at), at, (*stack, path))]

    def _captures_apart(self, text: str) -> list[str]:
        """`{% set x %}` and `{% endset %}` on lines of their own: what they capture is a text with paragraphs."""

        def apart(match: re.Match[str]) -> str:
            return f"\n{match[0]}\n" if self.tags[int(match[1])].keyword in {"set-block", "endset"} else match[0]

        return MARKER.sub(apart, text).split("\n")

    def _keywords(self, text: str) -> list[str]:
        return [piece.keyword for piece in self.tags.marked(text) if isinstance(piece, Tag)]

    def captured(self, node: Node) -> str:
        """A captured text is plain text in the HTML too: it goes into mail links and blocks to copy."""
        if id(node) not in self._captured:
            assert node.tag
            origin = node.tag.origin
            name = re.sub(r"^\s*set\s+", "", node.tag.inner).strip()
            if not re.fullmatch(r"[\w.]+", name):
                raise refuse("letter-tag", said("{shown} must only give a name.", shown=node.tag.shown), at=origin)
            writer = PlainWriter(tags=self.tags, base=origin, captured=self.captured)
            text = writer.blocks(node.children[1:-1]).strip("\n")
            self.blocks.append(Part(self.text_env, self.tags.restore(text), origin))
            # Jinja shows a function no loop variables, so the names that the text uses are handed over.
            used = sorted({use.name for use in self.blocks[-1].uses if not use.name.endswith("_")})
            given = ", ".join(f"'{word}': {word}" for word in used)
            inner = f"set {name} = block_({len(self.blocks) - 1}, {{{given}}})"
            self._captured[id(node)] = self.tags.add(Kind.STATEMENT, inner, origin)
        return self._captured[id(node)]

    def block_function(self) -> Callable[..., str]:
        blocks = self.blocks

        @pass_context
        def block(context: Context, number: int, names: dict[str, Any]) -> str:
            return blocks[number].render({**context.get_all(), **names}).strip("\n")

        return block

    # --- the two bodies

    def text(self, nodes: Sequence[Node], at: Origin) -> Part:
        handmade, source = self._handmade("txt")
        sentences = Sentences(self.files, self.language)
        footer = sentences.text(self.tags, self._reason(sentences), at)
        writer = PlainWriter(tags=self.tags, base=at, captured=self.captured)
        body = writer.blocks(nodes).rstrip("\n")
        if handmade:
            page = filled(source, self.tags, {"footer": footer, "content": body})
            return Part(self.text_env, self.tags.restore(page), Origin(file=handmade))
        return Part(self.text_env, self.tags.restore(f"{body}\n\n{footer}"), at)

    def html(self, nodes: Sequence[Node], at: Origin) -> Part:
        handmade, source = self._handmade("html")
        sentences = Sentences(self.files, self.language)
        reason = escape(self._reason(sentences), quote=False)
        slots = {
            "language": self.language,
            "direction": "rtl" if is_rtl(self.language) else "ltr",
            "title": escape(self._protected(self.front.subject, self.front.origin("subject")), quote=False),
            "preheader": self._preheader(),
            "footer": sentences.html(self.tags, reason, at),
        }
        if handmade:
            page, origin = guarded_html(source, self.tags), Origin(file=handmade)
            self._check_images(page, handmade)
        else:
            page, origin = layout_source(self.files, self.tags)
            self._check_layout(page, origin)
        if "content" in self._slots(page):
            slots["content"] = self.fragment(nodes, at)
        html = with_inline_css(filled(page, self.tags, slots), origin.file)
        html = self._named_images(html)
        if len(MARKER.sub("", html).encode()) > CLIPPED:
            hint = "Gmail cuts it off; shorten the letter or attach a part of it."
            self.warnings.append(warning("letter-long", "the letter is longer than 102 KB.", at=at, hint=hint))
        return Part(self.html_env, self.tags.restore(html), at)

    def fragment(self, nodes: Sequence[Node], at: Origin) -> str:
        """The letter's own HTML without the frame."""
        writer = HtmlWriter(
            tags=self.tags, base=at, rtl=is_rtl(self.language), image=self._image, captured=self.captured
        )
        return writer.blocks(nodes)

    @property
    def _written(self) -> str | None:
        codes = [code for code in self.place.languages(self.files) if code.lower().replace("_", "-") == self.language]
        return codes[0] if codes else None

    def _slots(self, text: str) -> set[str]:
        return {piece.inner for piece in self.tags.marked(text) if isinstance(piece, Tag)}

    @property
    def handmade(self) -> bool:
        """Whether there is a page or a text of the author's own making."""
        return any(self._handmade(kind)[0] for kind in ("html", "txt"))

    def _handmade(self, kind: str) -> tuple[str | None, str]:
        """The path and text of `letter.html` or `letter.txt`, if there is one for this language."""
        path = self.place.handmade(self.files, kind, self._written)
        if path is None:
            return None, ""
        text = self._protected(text_of(self.files, path), Origin(file=path))
        if "include" in self._keywords(text):
            raise refuse("letter-include", "include works in Markdown letters only.", at=Origin(file=path))
        if self._written and f".{self._written}." not in path and "content" not in self._slots(text):
            # Another language's page would go out beside this language's text.
            return None, ""
        return path, text

    def _check_layout(self, page: str, at: Origin) -> None:
        if "content" not in self._slots(page):
            raise refuse("letter-layout", "the layout has no place for the letter.", at=at, hint="Write {{ content }}.")
        if "footer" not in self._slots(page):
            hint = "Write {{ footer }}: it says who sends the letter and how to get no more of them."
            self.warnings.append(warning("letter-layout", "the layout has no footer.", at=at, hint=hint))

    def _reason(self, sentences: Sentences) -> str:
        if self.front.reason:
            return self._protected(self.front.reason, self.front.origin("reason"))
        return sentences["reason"]

    def _preheader(self) -> str:
        if not self.front.preheader:
            return ""
        text = self._protected(self.front.preheader, self.front.origin("preheader"))
        return f'<div class="preheader" aria-hidden="true">{escape(text, quote=False)}</div>'

    # --- pictures

    def _image(self, target: str, at: Origin) -> str:
        path = self.front.images.get(target, target)
        if MARKER.search(path):
            raise refuse("letter-image", "a picture's file cannot hold fields.", at=at)
        if re.match(r"(?i)^([a-z][a-z0-9+.-]*:|//)", path):
            raise refuse(
                "letter-image",
                "pictures from the web tell their server who opens the letter.",
                at=at,
                hint="Save the picture beside the letter and name the file.",
            )
        return f"cid:{self.embedded(path, at).content_id}"

    def embedded(self, path: str, at: Origin) -> Attachment:
        found = None if unsafe_reason(path) else find(self.files, path, self.place.folders)
        if found is None:
            raise refuse("file-missing", said("the picture {path} is not there.", path=path), at=at, hint=self.where)
        if found not in self.images:
            content = self.as_sent(self.files.read(found), path, at)
            name = path.rpartition("/")[2]
            kind = media_type(name)
            if not kind.startswith("image/") or kind == "image/svg+xml":
                hint = "Use a .png, .jpg or .gif file."
                raise refuse("letter-image", said("mail programs do not show {path}.", path=path), at=at, hint=hint)
            number = sha256(content).hexdigest()[:20]
            self.images[found] = Attachment(
                filename=name, content_type=kind, content=content, content_id=f"{number}@picture.invalid"
            )
        return self.images[found]

    def as_sent(self, content: bytes, path: str, at: Origin) -> bytes:
        """A file as the letter wants it sent: as it is, or without what tells of its making. Raises LetterError."""
        if not self.front.strip_metadata:
            return content
        try:
            return traces.without(content)
        except traces.TracesStayError as error:
            hint = "Or take out strip_metadata, if everybody may know who made it, where and with what."
            raise refuse("metadata", said("{path} {error}.", path=path, error=error), at=at, hint=hint) from error

    @property
    def where(self) -> str:
        return said(
            "Put it into {folder} or name it from the campaign folder.",
            folder=(self.place.folder or said("the campaign folder")),
        )

    def _named_images(self, html: str) -> str:
        """`cid:logo` in hand-made HTML stands for the picture of that name in the front matter."""

        def replace(match: re.Match[str]) -> str:
            if match[1] not in self.front.images:
                return match[0]
            return f"cid:{self.embedded(self.front.images[match[1]], self.front.origin('images')).content_id}"

        return re.sub(r"(?<=[\"'])cid:([\w-]+)(?=[\"'])", replace, html)

    def _check_images(self, page: str, file: str) -> None:
        if re.search(r"(?i)<(?:img|source|video|audio|iframe)\b[^>]*\bsrc(?:set)?\s*=\s*[\"']?\s*(?:https?:)?//", page):
            message = "pictures from the web tell their server who opens the letter."
            hint = 'Name them under images: between the lines --- and write src="cid:NAME".'
            self.warnings.append(warning("letter-image", message, at=Origin(file=file), hint=hint))
        if re.search(r"(?i)<(?:script|iframe|object|embed|form)\b", page):
            message = "mail programs remove scripts, forms and frames."
            self.warnings.append(warning("letter-html", message, at=Origin(file=file)))


def _untrimmed(text: str) -> str:
    """`{%-` would join lines that mean something to Markdown, and blank lines vanish without it."""
    return re.sub(r"[-+](?=[%}#]\})", " ", re.sub(r"(?<=\{[%{#])[-+]", " ", text))


def _stripped(lines: list[Line]) -> list[Line]:
    """Without the empty lines at both ends."""
    written = [number for number, line in enumerate(lines) if line.text]
    return lines[written[0] : written[-1] + 1] if written else []


def empty_alt(nodes: Sequence[Node], at: Origin) -> Origin | None:
    """Where a picture has no description for readers who cannot see it."""
    for node in nodes:
        for token in (node.token.children or []) if node.token and node.kind == "inline" else []:
            if token.type == "image" and not (token.content or "").strip():
                return place_of(token, at)
        found = empty_alt(node.children, at)
        if found:
            return found
    return None
