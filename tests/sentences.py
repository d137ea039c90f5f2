"""Every sentence that the modules below the pages say, found by reading their code.

A sentence with something in it is made by `said` or `counted`; one that stands in the code as it is may be handed on as a
plain text. So what is looked for are calls of these two, and what is handed to the places that people's sentences go through.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent / "mailer"

ABOVE = ("web/journey/", "web/leaving_words.py", "web/serving.py", "cli/")
"""These speak for themselves: the pages by a catalogue of their own, the commands in English."""

RUN_BY_PAGES = ("cli/bugs.py", "cli/inbox.py", "cli/trial.py", "cli/unlocking.py")
"""Commands that the page runs, and what they have of their own to say."""

UNSHOWN = (
    "__main__.py",
    "campaign/suppressing.py",
    "cluster/",
    "contacts/problems_file.py",
    "ledger/conversion.py",
    "ledger/postgres/moving.py",
    "mailbox.py",
    "postfix_log.py",
    "preview/folder.py",
    "report/table.py",
)
"""What only commands say that no page runs."""

PLACES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "Problem": ((), ("message", "hint")),
    "problem": ((1,), ("message", "hint")),
    "warning": ((1,), ("message", "hint")),
    "refuse": ((1,), ("message", "hint")),
    "Flaw": ((1, 2), ("message", "hint")),
    "Check": ((), ("message", "fix")),
    "ok": ((1,), ()),
    "warn": ((1, 2), ()),
    "fail": ((1, 2), ()),
    "Refused": ((0,), ("hint",)),
    "Paused": ((0,), ("hint",)),
    "RelayStopped": ((0,), ("hint",)),
    "complain": ((1,), ("hint",)),
    "PartError": ((1, 3), ()),
    "DocumentError": ((0, 1), ()),
    "TooMuch": ((0,), ()),
    "NotText": ((0,), ()),
    "BadLink": ((0,), ()),
    "BadDate": ((0,), ()),
    "away": ((0,), ()),
    "_odd": ((1,), ()),
    "_say": ((1,), ()),
    "_warn": ((2, 3), ()),
    "complaint": ((1, 2), ()),
    "Words": ((0, 1), ()),
    "as_said": ((0,), ()),
    "Decision": ((), ("reason",)),
}
"""Which arguments of a call are sentences, by the name of what is called. Every ...Error takes them as MailerError does."""

MAKERS = frozenset({"said", "counted"})

NOT_OURS = frozenset({"AttributeError", "TypeError", "KeyError", "AssertionError", "RuntimeError", "HTTPException"})
"""Errors whose words only programmers read."""


@dataclass
class Found:
    """What a module says: texts, pairs of texts with a number, and places where a sentence was put together by hand."""

    texts: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    bare: list[str] = field(default_factory=list)


def speaks(text: str) -> bool:
    """Whether there are words in it, beside what is put in, or quotation marks, which each language has its own of."""
    return re.search('[A-Za-z]{2}|"', re.sub(r"\{\w[^{}]*\}", "", text)) is not None


def name_of(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


def sentences_at(call: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a call that people read."""
    name = name_of(call.func)
    places, names = PLACES.get(name, ((0,), ("hint",)) if name.endswith("Error") else ((), ()))
    if name in NOT_OURS:
        return
    yield from (call.args[place] for place in places if place < len(call.args))
    yield from (one.value for one in call.keywords if one.arg in names)


class Reader:
    """Reads one module."""

    def __init__(self, path: Path) -> None:
        self._path, self._tree = path, ast.parse(path.read_text("utf-8"))
        self.found = Found()
        self._seen: set[int] = set()
        self._top = list(_assigned(self._tree))
        functions = [one for one in ast.walk(self._tree) if isinstance(one, ast.FunctionDef)]
        self._functions = {one.name: one for one in functions}

    def read(self) -> Found:
        self._visit(self._tree, self._top)
        return self.found

    def _visit(self, node: ast.AST, local: list[tuple[str, ast.expr]]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            local = [*_assigned(node), *self._top]
        if isinstance(node, ast.Call):
            if name_of(node.func) in MAKERS and isinstance(node.func, ast.Name):
                self._made(node)
            for sentence in sentences_at(node):
                self._take(sentence, local)
        for inner in ast.iter_child_nodes(node):
            self._visit(inner, local)

    def _made(self, call: ast.Call) -> None:
        texts = [one.value for one in call.args[:2] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if name_of(call.func) == "counted":
            if len(texts) == 2:
                self.found.pairs.add((texts[0], texts[1]))
        elif texts and speaks(texts[0]):
            self.found.texts.add(texts[0])

    def _take(self, sentence: ast.expr, local: list[tuple[str, ast.expr]], depth: int = 3) -> None:  # noqa: PLR0912
        match sentence:
            case ast.Constant(value=str(text)):
                if speaks(text) and not re.fullmatch(r"mailer [a-z -]+|[a-z_-]+", text):
                    self.found.texts.add(text)
            case ast.JoinedStr() | ast.BinOp():
                if id(sentence) not in self._seen:
                    self._seen.add(id(sentence))
                    self.found.bare.append(f"{self._path.relative_to(ROOT.parent).as_posix()}:{sentence.lineno}")
            case ast.IfExp():
                self._take(sentence.body, local, depth)
                self._take(sentence.orelse, local, depth)
            case ast.BoolOp():
                for value in sentence.values:
                    self._take(value, local, depth)
            case ast.Name(id=name) if depth:
                for known, value in local:
                    if known == name:
                        self._take(value, local, depth - 1)
            case ast.Call(func=ast.Name(id=name)) if depth:
                # what a function of this module gives back
                if function := self._functions.get(name):
                    inner = [*_assigned(function), *self._top]
                    for one in ast.walk(function):
                        if isinstance(one, ast.Return) and one.value:
                            self._take(one.value, inner, depth - 1)


def _assigned(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names and what they stand for, those of a function or, at the top, those of the module alone."""
    parts = (
        ast.walk(scope) if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef) else ast.iter_child_nodes(scope)
    )
    for one in parts:
        if isinstance(one, ast.Assign):
            for target in one.targets:
                if isinstance(target, ast.Name):
                    yield target.id, one.value
                elif isinstance(target, ast.Tuple) and isinstance(one.value, ast.Tuple):
                    yield from (
                        (name.id, value)
                        for name, value in zip(target.elts, one.value.elts, strict=False)
                        if isinstance(name, ast.Name)
                    )
        elif isinstance(one, ast.NamedExpr) and isinstance(one.target, ast.Name):
            yield one.target.id, one.value


def modules() -> list[Path]:
    return [
        path
        for path in sorted(ROOT.rglob("*.py"))
        if (place := path.relative_to(ROOT).as_posix()) in RUN_BY_PAGES
        or (not place.startswith((*ABOVE, *UNSHOWN)) and path.name != "said.py")
    ]


@cache
def gathered() -> dict[str, Found]:
    """What each module says, by its place."""
    return {path.relative_to(ROOT).as_posix(): Reader(path).read() for path in modules()}
