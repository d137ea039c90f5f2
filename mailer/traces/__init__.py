"""What a file tells beyond what it shows: who made it, where, with what. Named, and taken out of a copy.

The kind of a file is taken from its first octets, as a stranger's program would, never from its name.
"""

from __future__ import annotations

from functools import lru_cache

from mailer.model import said
from mailer.traces.errors import TracesStayError

__all__ = ["TracesStayError", "found", "without"]

NO_WAY = "is of a kind out of which mailer cannot take who made it; save it as PDF, PNG or JPEG"


KEPT = 64
"""Files of which the result is remembered: rows and languages share them."""


@lru_cache(KEPT)
def found(content: bytes) -> tuple[str, ...]:
    """The fields that tell something, by the names of their standards; empty where none is known. Never raises."""
    try:
        match _kind(content):
            case "image":
                from mailer.traces.images import fields  # noqa: PLC0415 - imports Pillow
            case "package":
                from mailer.traces.packages import fields  # noqa: PLC0415 - only for what there is
            case "pdf":
                from mailer.traces.pdf import fields  # noqa: PLC0415 - imports pypdf
            case _:
                return ()
        return tuple(dict.fromkeys(fields(content)))
    except TracesStayError:
        return ()


@lru_cache(KEPT)
def without(content: bytes) -> bytes:
    """The same to look at, with nothing told; always the same octets for the same file.

    Raises TracesStayError with the reason where that cannot be done.
    """
    match _kind(content):
        case "image":
            from mailer.traces.images import cleaned  # noqa: PLC0415 - as above
        case "package":
            from mailer.traces.packages import cleaned  # noqa: PLC0415
        case "pdf":
            from mailer.traces.pdf import cleaned  # noqa: PLC0415
        case "text":
            return content
        case _:
            raise TracesStayError(NO_WAY)
    result = cleaned(content)
    if left := found(result):
        raise TracesStayError(
            said("still tells {left} after all that mailer can take out; save it anew without", left=", ".join(left))
        )
    return result


def _kind(content: bytes) -> str:
    if content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        return "image"
    if content.startswith(b"PK\x03\x04"):
        return "package"
    if b"%PDF-" in content[:1024]:
        return "pdf"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "unknown"
    # pages, drawings and rich text have fields of their own for who made them; other text is all there is
    return "unknown" if "\0" in text or text.lstrip().startswith(("<", "{\\rtf")) else "text"
