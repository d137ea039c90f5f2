"""Jinja tags out of the way of Markdown and CSS: each becomes a word that no parser touches, and comes back after."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes

from mailer.errors import LetterError
from mailer.merge.complaints import Origin, did_you_mean, refuse
from mailer.model import as_said, said

PREFIX = "qzjtag"
MARKER = re.compile(PREFIX + r"(\d+)z")
PLACED = re.compile(rf"<!--{PREFIX}(\d+)z-->|{PREFIX}(\d+)z")
OPENS_TAG = re.compile(r"\{(?=[{%#]|\Z)")
CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
EXAMPLE = {"{{": "{{ first_name }}", "{%": "{% if city %}", "{#": "{# a note #}"}
FORBIDDEN = {"extends", "import", "from", "block", "autoescape"}
OPENERS = {"for", "if", "macro", "call", "filter", "with"}


class Kind(StrEnum):
    EXPRESSION = "expression"
    STATEMENT = "statement"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """One `{{ ... }}` or `{% ... %}` of the author's, without its braces."""

    kind: Kind
    inner: str
    origin: Origin
    breaks: int = 0
    """Lines of the author's that end inside it."""

    @property
    def keyword(self) -> str:
        """`if`, `endif`, `set`...; `set-block` for a `set` that captures what follows."""
        if self.kind is not Kind.STATEMENT:
            return ""
        match = re.match(r"\s*(\w+)(.*)", self.inner, re.DOTALL)
        if not match:
            return ""
        word, rest = match[1], match[2]
        if word == "set" and not re.search(r"(?<![=!<>])=(?!=)", re.sub(r"'[^']*'|\"[^\"]*\"|\(.*\)", "", rest)):
            return "set-block"
        return word

    @property
    def opens(self) -> bool:
        return self.keyword in OPENERS or self.keyword == "set-block"

    @property
    def closes(self) -> bool:
        return self.keyword.startswith("end")

    @property
    def shown(self) -> str:
        """As the author wrote it, shortened, for a sentence."""
        inner = " ".join(self.inner.split())
        inner = inner if len(inner) <= 60 else inner[:57] + "..."
        return f"{{{{ {inner} }}}}" if self.kind is Kind.EXPRESSION else f"{{% {inner} %}}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Jinja source made by the compiler, with the author's place of each of its lines that holds a tag."""

    text: str
    places: tuple[tuple[int, Origin], ...]

    def origin(self, line: int) -> Origin | None:
        """The place in the author's file that a line of this source came from."""
        found: Origin | None = None
        for start, origin in self.places:
            if start > line:
                break
            found = origin
        return found


class Line(NamedTuple):
    """A line of a text in which markers stand for tags."""

    text: str
    origin: Origin


class Tags:
    """All tags of one compilation, by number."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._tags: list[Tag] = []

    def __getitem__(self, number: int) -> Tag:
        return self._tags[number]

    def add(self, kind: Kind, inner: str, origin: Origin, *, breaks: int = 0) -> str:
        """The marker that stands for a tag."""
        self._tags.append(Tag(kind=kind, inner=inner, origin=origin, breaks=breaks))
        return f"{PREFIX}{len(self._tags) - 1}z"

    def marked(self, text: str) -> Iterator[str | Tag]:
        """Split a text with markers into literal pieces and tags."""
        position = 0
        for match in MARKER.finditer(text):
            if match.start() > position:
                yield text[position : match.start()]
            yield self._tags[int(match[1])]
            position = match.end()
        if position < len(text):
            yield text[position:]

    def only(self, text: str) -> list[Tag] | None:
        """The statement tags of a text that holds nothing else, or None."""
        pieces = [piece for piece in self.marked(text) if not (isinstance(piece, str) and not piece.strip())]
        if not pieces or any(isinstance(piece, str) or piece.kind is Kind.EXPRESSION for piece in pieces):
            return None
        return [piece for piece in pieces if isinstance(piece, Tag)]

    def protect(self, source: str, file: str, *, line: int = 1) -> str:
        """Replace the tags of an author's text by markers. Raises LetterError for text that is not Jinja."""
        if PREFIX in source:
            raise refuse(
                "reserved-word", said("the word {prefix} is reserved.", prefix=PREFIX), at=Origin(file=file, line=line)
            )
        self.parse(source, file, line=line)
        text: list[str] = []
        inner: list[str] = []
        start = 1
        for number, part, value in self._env.lexer.tokeniter(source, None):
            if part in {"variable_begin", "block_begin", "comment_begin"}:
                inner, start = [], number
            elif part in {"variable_end", "block_end", "comment_end"}:
                origin = Origin(file=file, line=line + start - 1)
                text.append(self._marker(part, "".join(inner).strip(), origin, number - start))
            elif part == "data":
                text.append(value)
            elif part not in {"raw_begin", "raw_end"}:
                inner.append(value)
        return "".join(text)

    def _marker(self, end: str, inner: str, origin: Origin, breaks: int) -> str:
        if end == "comment_end":
            return self.add(Kind.NOTHING, "", origin, breaks=breaks)
        kind = Kind.EXPRESSION if end == "variable_end" else Kind.STATEMENT
        return self.add(kind, inner, origin, breaks=breaks)

    def lines(self, text: str, at: Origin) -> Iterator[Line]:
        """The lines of a protected text, with the author's place of each."""
        line = at.line
        for part in text.split("\n"):
            yield Line(part, Origin(file=at.file, line=line))
            line += 1 + sum(self._tags[int(match[1])].breaks for match in MARKER.finditer(part))

    def parse(self, source: str, file: str, *, line: int = 1) -> None:
        try:
            self._check_names(self._env.parse(source), file, line)
        except TemplateSyntaxError as error:
            if found := unclosed(source, Origin(file=file, line=line)):
                raise found from error
            raise syntax_refusal(error, Origin(file=file, line=line + error.lineno - 1)) from error
        except RecursionError as error:
            raise refuse("letter-syntax", "tags are nested too deeply.", at=Origin(file=file, line=line)) from error

    def _check_names(self, tree: nodes.Template, file: str, line: int) -> None:
        """Jinja would complain about an unknown filter inside {% if %} only when a row gets there."""
        for node in [*tree.find_all(nodes.Filter), *tree.find_all(nodes.Test)]:
            known, sentence = (
                (self._env.filters, said("there is no filter {name}.", name=node.name))
                if isinstance(node, nodes.Filter)
                else (self._env.tests, said("there is no test {name}.", name=node.name))
            )
            if node.name not in known:
                at = Origin(file=file, line=line + node.lineno - 1)
                shown = [name for name in known if name.isidentifier() and not name.endswith("_")]
                raise refuse(
                    "letter-syntax",
                    sentence,
                    at=at,
                    hint=did_you_mean(node.name, shown),
                )

    def restore(self, text: str) -> Source:
        """Markers back into tags, each on a line of its own *inside* its braces, so that every line has one origin."""
        parts: list[str] = []
        places: list[tuple[int, Origin]] = []
        line, position = 1, 0
        for match in [*PLACED.finditer(text), None]:
            literal = OPENS_TAG.sub("{{ '{' }}", text[position : match.start() if match else len(text)])
            parts.append(literal)
            line += literal.count("\n")
            if match is None:
                break
            tag = self._tags[int(match[1] or match[2])]
            position = match.end()
            if tag.kind is Kind.NOTHING:
                continue
            places.extend(
                (line + 1 + offset, Origin(file=tag.origin.file, line=tag.origin.line + offset))
                for offset in range(tag.inner.count("\n") + 1)
            )
            begin, end = ("{{", "}}") if tag.kind is Kind.EXPRESSION else ("{%", "%}")
            parts.append(f"{begin}\n{tag.inner} {end}")
            line += 1 + tag.inner.count("\n")
        return Source(text="".join(parts), places=tuple(places))


def unclosed(source: str, at: Origin) -> LetterError | None:
    """The first braces that do not end before others begin: Jinja would complain about something further on."""
    text = re.sub(r"(?s)\{#.*?#\}", lambda note: "\n" * note[0].count("\n"), source)
    begins = [*re.finditer(r"\{[{%#]", text)]
    for begin, after in itertools.zip_longest(begins, begins[1:]):
        end = CLOSING[begin[0]]
        if end not in text[begin.end() : after.start() if after else None]:
            place = Origin(file=at.file, line=at.line + text.count("\n", 0, begin.start()))
            message = said("the braces {begin} are not closed with {end}.", begin=begin[0], end=end)
            return refuse(
                "letter-syntax", message, at=place, hint=said("Write for example {example}.", example=EXAMPLE[begin[0]])
            )
    return None


def syntax_refusal(error: TemplateSyntaxError, at: Origin | None) -> LetterError:
    """Jinja's complaint in the author's words where we know them."""
    message = error.message or said("this tag cannot be understood")
    hint = None
    if "end of print statement" in message:
        message = said("a field here is not one word")
        hint = "Write for example {{ first_name }}, without spaces inside the name."
    elif "unexpected end of template" in message.lower():
        opened = re.search(r"innermost block that needs to be closed is '(\w+)'", message)
        message = (
            said("{{% {opened} %}} is opened and never closed", opened=opened[1])
            if opened
            else said("a tag is never closed")
        )
        hint = said("Close it with {{% end{opened} %}}.", opened=opened[1]) if opened else None
    elif "Encountered unknown tag" in message:
        hint = "Tags are: if, for, set, include, macro, with, and their ends."
    return refuse("letter-syntax", said("{sentence:.}", sentence=as_said(message)), at=at, hint=hint)
