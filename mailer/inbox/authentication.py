"""What the receiving server found of SPF, DKIM and DMARC (RFC 8601), and which headers a signature covers; no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TOKEN = re.compile(r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<sign>[;=])|(?P<word>[^\s;="()]+))', re.DOTALL)
"""A piece of a header without comments: a quoted string, a sign, or a word (RFC 8601, 2.2)."""

BY = re.compile(r"\bby\s+([A-Za-z0-9.-]+)")
"""The server that wrote a Received field (RFC 5321, 4.4)."""

MOST_CHARACTERS = 10_000
"""Of a header that are looked at."""


class Quoted(str):
    """A piece that is never a sign, whatever stands in it."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One method's result, both in lower case; `properties` are pairs such as `header.d` and `example.org`."""

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()

    def property(self, name: str) -> str:
        """The first of this name, or nothing."""
        return next((value for key, value in self.properties if key == name), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """One Authentication-Results header. `server` (the authserv-id) is blank where a server leaves it out, as Microsoft's do."""

    server: str
    verdicts: tuple[Verdict, ...]

    def of(self, method: str) -> tuple[Verdict, ...]:
        return tuple(one for one in self.verdicts if one.method == method)


def parse(value: str) -> Results:
    """Take a header apart, with comments, quoted strings and folded lines. Never raises: what makes no sense is missing."""
    statements = _statements(without_comments(value[:MOST_CHARACTERS]))
    first = statements[0] if statements else []
    if len(first) > 1 and _is_equals(first[1]):
        return Results(server="", verdicts=tuple(_verdicts(statements)))
    server = first[0].lower().rstrip(".") if first else ""
    return Results(server=server, verdicts=tuple(_verdicts(statements[1:])))


def without_comments(text: str) -> str:
    """The text with each comment, nested ones too, as a blank (RFC 5322, 3.2.2); none begins in a quoted string."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and (depth or quoted):
            escaped = True
        elif char == '"' and not depth:
            quoted = not quoted
        elif char == "(" and not quoted:
            depth += 1
        elif char == ")" and depth:
            depth -= 1
            char = " "  # noqa: PLW2901  a comment parts words
        if not depth:
            kept.append(char)
    return "".join(kept)


def _statements(text: str) -> list[list[str]]:
    """The pieces between semicolons; quoted strings without their marks."""
    found: list[list[str]] = [[]]
    for piece in TOKEN.finditer(text):
        if piece["sign"] == ";":
            found.append([])
        elif piece["quoted"]:
            found[-1].append(Quoted(re.sub(r"\\(.)", r"\1", piece["quoted"][1:-1], flags=re.DOTALL)))
        else:
            found[-1].append(piece["sign"] or piece["word"])
    return found


def _verdicts(statements: Sequence[Sequence[str]]) -> Iterator[Verdict]:
    for words in statements:
        pairs = [(words[at - 1], words[at + 1]) for at in range(1, len(words) - 1) if _is_equals(words[at])]
        if not pairs or not _is_equals(words[1]):
            continue
        # a method may have a version: dkim/1
        method = pairs[0][0].partition("/")[0].lower()
        properties = tuple((name.lower(), value) for name, value in pairs[1:])
        yield Verdict(method=method, result=pairs[0][1].lower(), properties=properties)


def _is_equals(piece: str) -> bool:
    return piece == "=" and not isinstance(piece, Quoted)


def of_receiver(fields: Sequence[tuple[str, str]]) -> Results | None:
    """What the receiving server says, of a mail's header fields from the top; None if it says nothing.

    Each server writes above what it got, so only the topmost header can be the receiver's. It is believed if it stands above all
    Received fields, or bears the name of a server that wrote one of those above it. Further ones count until the next Received
    field, if they are of the same server: some write one for each method. Whatever is further below, anybody may have written.
    """
    hosts: list[str] = []
    found: Results | None = None
    for name, value in fields:
        kind = name.lower()
        if kind == "received":
            if found:
                break
            hosts += BY.findall(without_comments(value[:MOST_CHARACTERS]))[:1]
        elif kind == "authentication-results":
            results = parse(value)
            if found is None:
                if not _may_be_of(results.server, hosts):
                    return None
                found = results
            elif results.server == found.server:
                found = Results(server=found.server, verdicts=found.verdicts + results.verdicts)
    return found


def _may_be_of(server: str, hosts: Sequence[str]) -> bool:
    if not hosts:
        return True
    if not server:
        return hosts[-1].lower().rstrip(".").endswith((".outlook.com", ".office365.com"))
    return any(related(server, host) for host in hosts)


def related(one: str, other: str) -> bool:
    """Whether two names are the same, one below the other, or hosts side by side in one domain."""
    one, other = one.lower().rstrip("."), other.lower().rstrip(".")
    if in_line(one, other):
        return True
    above = one.partition(".")[2]
    return "." in above and above == other.partition(".")[2]


def in_line(one: str, other: str) -> bool:
    """Whether two domains are the same, or one is below the other: aligned, as DMARC mostly has it (RFC 9989)."""
    one, other = one.lower().rstrip("."), other.lower().rstrip(".")
    return bool(one and other) and (one == other or one.endswith(f".{other}") or other.endswith(f".{one}"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What a DKIM-Signature says of itself (RFC 6376, 3.5): its domain, its selector, the lower-case names of what it covers."""

    domain: str
    selector: str
    covers: frozenset[str]


def signatures(fields: Sequence[tuple[str, str]]) -> list[Signed]:
    """All of a mail."""
    return [_signed(value) for name, value in fields if name.lower() == "dkim-signature"]


def _signed(value: str) -> Signed:
    pairs = (part.partition("=") for part in value[:MOST_CHARACTERS].split(";"))
    tags = {name.strip(): "".join(text.split()) for name, equals, text in pairs if equals}
    return Signed(
        domain=tags.get("d", "").lower().rstrip("."),
        selector=tags.get("s", "").lower(),
        covers=frozenset(tags.get("h", "").lower().split(":")),
    )


def confirmed(signature: Signed, results: Results) -> bool:
    """Whether the receiver found this signature to be good."""
    for verdict in results.of("dkim"):
        domain = verdict.property("header.d") or verdict.property("header.i").rpartition("@")[2]
        selector = verdict.property("header.s").lower() or signature.selector
        if verdict.result == "pass" and (domain.lower().rstrip("."), selector) == (
            signature.domain,
            signature.selector,
        ):
            return True
    return False
