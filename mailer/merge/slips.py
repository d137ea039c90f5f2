"""What is no mistake to a program, and surely one to a reader: an empty letter, fields in other programs' braces."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from mailer.merge.complaints import Origin, problem, warning
from mailer.merge.yamltext import Value
from mailer.model import Problem, said

TAG = re.compile(r"(?s)\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}")
NOTE = re.compile(r"(?s)\{#.*?#\}")
NAME = r"[ \t]*([^\W\d][\w \t-]{0,60}?)[ \t]*"
FIELD_LIKE = re.compile(
    rf"(?<!\{{)\{{{NAME}\}}|\[\[{NAME}\]\]|(?<!\])\[{NAME}\](?![(\[:])|<<{NAME}>>|<{NAME}>|«{NAME}»|%{NAME}%",
    re.UNICODE,
)
"""As other programs and word processors write a field."""

CURLY = "“”„‟‘’‚‛«»"


def empty(body: str, origin: Origin) -> Problem | None:
    """A letter of nothing but a subject."""
    if NOTE.sub("", body).strip():
        return None
    hint = "Write its text below the second line ---."
    return problem("empty-letter", "the letter has no text.", at=origin, hint=hint)


def lookalikes(text: str, origin: Origin, columns: Collection[str]) -> Iterator[Problem]:
    """Columns of the list in braces that are not ours: everybody would read `{ first_name }`."""
    plain = TAG.sub(lambda tag: "\n" * tag[0].count("\n"), text)
    told = set()
    for match in FIELD_LIKE.finditer(plain):
        written = next(filter(None, match.groups()))
        name = re.sub(r"[\W_]+", "_", written.strip().lower())
        if name in columns and name not in told:
            told.add(name)
            at = Origin(file=origin.file, line=origin.line + plain.count("\n", 0, match.start()))
            message = said("{written} looks like a field, but everybody will read it as it is.", written=match[0])
            yield warning(
                "field-like", message, at=at, hint=said("Fields have two braces: {{{{ {name} }}}}", name=name)
            )


def curly_quotes(values: Mapping[str, Value], origins: Mapping[str, Origin]) -> Iterator[Problem]:
    """Quotes as word processors make them: here they are letters like any other."""
    for key, value in values.items():
        if isinstance(value, str) and len(value) > 1 and value[0] in CURLY and value[-1] in CURLY:
            message = said("{key} stands in curly quotes, and everybody will see them.", key=key)
            hint = said('If you do not want that, use straight ones: {key}: "..."', key=key)
            yield warning("curly-quotes", message, at=origins[key], hint=hint)
