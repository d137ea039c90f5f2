"""The Python code that Jinja makes of a letter, with one lean call where a value is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import CodeType
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import Undefined
from markupsafe import escape

SPECIAL = re.compile("[&<>\"']")


class NotText(SecurityError):
    """A table, a list or nothing where text should be written."""


def as_text(value: Any) -> Any:
    """Jinja's finalize: only text and numbers are written. Writing a list would show its Python form."""
    if type(value) is str or isinstance(value, str | int | float | Undefined):
        return value
    if value is None:
        raise NotText("there is no value to write here")
    raise NotText("this is a list or a table, not a text; name one of its parts")


def written(value: Any) -> str:
    """A value as it stands in plain text."""
    return value if type(value) is str else str(as_text(value))


def written_in_html(value: Any) -> str:
    """A value as it stands in HTML; what is marked as HTML already stays as it is."""
    if type(value) is str and SPECIAL.search(value) is None:
        return value
    return str(escape(as_text(value)))


class LetterGenerator(CodeGenerator):
    """Writes `environment.written(x)` where Jinja calls `escape`, which makes a `Markup` of each value, and `finalize`."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if frame.eval_ctx.volatile:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("environment.written(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if frame.eval_ctx.volatile:
            super()._output_child_post(node, frame, finalize)
        else:
            self.write(")")

    def constant(self, node: nodes.Expr, frame: Frame) -> str | None:
        """What is written for a node, if that is the same for every row."""
        try:
            return str(self._output_child_to_const(node, frame, self._make_finalize()))
        except Exception:  # noqa: BLE001  # as Jinja does: it is told when a row gets there
            return None


def texts_in(code: CodeType) -> Iterable[str]:
    """The literal texts of compiled code; what it yields of them is one object for every row."""
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from texts_in(constant)
