"""A letter's file as text: its front matter with other values, its body as it is."""

from __future__ import annotations

from collections.abc import Mapping

from mailer.merge.front import FENCE, KEYS
from mailer.merge.yamledit import CannotEditError, changed
from mailer.merge.yamltext import Value


def body_of(text: str) -> str:
    """What stands below the front matter."""
    found = FENCE.match(text)
    return text[found.end() :] if found else text


def with_body(text: str, body: str) -> str:
    """The same front matter above another body. Raises CannotEditError where the body would be read as front matter."""
    found = FENCE.match(text)
    if found is None:
        if body.startswith("---"):
            raise CannotEditError
        return body
    head = found[0] if found[0].endswith("\n") else f"{found[0]}\n"
    return head + body


def with_front(text: str, wanted: Mapping[str, Value]) -> str:
    """The same letter with other values in its front matter; None takes a key out. Raises CannotEditError, LetterError."""
    found = FENCE.match(text)
    if found is None:
        if text.startswith("---"):
            raise CannotEditError
        front = changed("", wanted, order=tuple(KEYS))
        return f"---\n{front}---\n{text}" if front else text
    before = found[1] + "\n" if found[1] and not found[1].endswith("\n") else found[1]
    front = changed(before, wanted, order=tuple(KEYS))
    if front == before:
        return text
    result = f"{text[: found.start(1)]}{front}{'' if not front or front.endswith(chr(10)) else chr(10)}{_fence(text, found.end(1))}"
    again = FENCE.match(result)
    if again is None or result[again.end() :] != text[found.end() :]:
        raise CannotEditError  # a line of the new front matter would end it
    return result


def _fence(text: str, end: int) -> str:
    """From the line --- on that ends the front matter."""
    return text[end + 1 :] if text[end : end + 1] == "\n" else text[end:]
