"""The Jinja environment of letters: nothing outside the row is reachable, and no letter can run away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import partial
from types import FunctionType
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, StrictUndefined, Undefined, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from mailer.merge.allowed import FILTER_NAMES, SAFE_METHODS, TEST_NAMES
from mailer.merge.generator import LetterGenerator, as_text, written, written_in_html
from mailer.merge.numbers import TextReckonedError, fraction, number, parsed, whole
from mailer.merge.tree import CHARACTERS_PER_STEP, JOINED, LOOP, TICK, bound, with_constants
from mailer.model import said

MAX_STEPS = 100_000
MAX_LENGTH = 5_000_000
MAX_RANGE = 10_000
MAX_NUMBER = 10_000
BUDGET = "the budget of this part"
"""Key of a context that no template can name."""


class TooMuch(SecurityError):
    """A letter asks for more work or more text than any letter needs."""


class UnknownName(UndefinedError):
    """A name that neither the row nor the letter knows; `holder` is the table asked, if any."""

    def __init__(self, name: object, holder: object, message: str | None = None) -> None:
        super().__init__(message)
        self.name = str(name)
        self.holder = holder if isinstance(holder, Mapping) else None


class Missing(StrictUndefined):
    """StrictUndefined that remembers which name was asked for."""

    __slots__ = ()

    def __init__(self, hint: Any = None, obj: Any = None, name: Any = None, exc: Any = UndefinedError) -> None:
        if exc is UndefinedError and name is not None:
            exc = partial(UnknownName, name, obj)
        if obj is None:
            super().__init__(hint=hint, name=name, exc=exc)
        else:
            super().__init__(hint=hint, obj=obj, name=name, exc=exc)


class Budget:
    """What one part of one letter may still do."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_STEPS) -> None:
        self.left = left

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuch("it repeats something too often")


def spend(context: Context, steps: int) -> None:
    budget = context.parent.get(BUDGET)
    if budget is not None:
        budget.spend(steps)


@pass_context
def bounded(context: Context, items: Iterable[Any], weight: int) -> Iterable[Any]:
    """What a `for` walks over, paid for in advance where its length is known."""
    if isinstance(items, Undefined) or not isinstance(items, Sized):
        return _paid(context, items, weight)
    spend(context, len(items) * weight)
    return items


def _paid(context: Context, items: Iterable[Any], weight: int) -> Iterator[Any]:
    for item in items:
        spend(context, weight)
        yield item


@pass_context
def tick(context: Context, text: str, weight: int) -> str:
    spend(context, weight)
    return text


def concatenated(parts: list[Any]) -> str:
    texts = [as_text(part) for part in parts]
    _check_length(sum(len(text) if isinstance(text, str) else 20 for text in texts))
    return markup_join(texts) if any(hasattr(text, "__html__") for text in texts) else str_join(texts)


def _check_length(length: int) -> None:
    if length > MAX_LENGTH:
        raise TooMuch("it makes a text longer than 5 million characters")


def _check_arguments(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
            raise TooMuch(said("a number here is larger than {most}", most=MAX_NUMBER))


def _check_format(pattern: str) -> None:
    if "*" in pattern or any(len(digits) > 3 for digits in re.findall(r"\d+", pattern)):
        raise TooMuch("a width in a text pattern is too large")


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A built-in filter with a price and with limits on its arguments and its result."""
    passes = getattr(function, "jinja_pass_arg", None)
    wants = None if passes is None else passes.name

    @pass_context
    def call(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        spend(context, 1 + (len(value) // 50 if isinstance(value, Sized) and not isinstance(value, Undefined) else 0))
        if not isinstance(value, Undefined):
            _check_arguments((*args, *kwargs.values()))
        if name == "replace" and len(args) > 1 and isinstance(value, str):
            _check_length(len(value) + (value.count(str(args[0])) + 1) * len(str(args[1])))
        if name in {"format", "int"} and isinstance(value, str):
            _check_format(value) if name == "format" else _check_length(len(value) * 1000)
        if name == "join" and isinstance(value, Iterable) and not isinstance(value, str | Undefined | Mapping):
            value = list(value)
            concatenated([*value, *(args[:1] * len(value))] if "attribute" not in kwargs and len(args) < 2 else [])
        if name in {"string", "upper", "lower", "title", "format", "trim", "indent", "center", "escape", "e"}:
            value = as_text(value)
        first = {"environment": context.environment, "context": context, "eval_context": context.eval_ctx}
        result = function(*((first[wants],) if wants else ()), value, *args, **kwargs)
        if isinstance(result, str):
            _check_length(len(result))
        return result

    return call


class LetterEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with a step budget and bounded operators; never shared with data that can call anything."""

    code_generator_class = LetterGenerator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(
        self,
        *,
        autoescape: bool,
        filters: Mapping[str, Callable[..., Any]],
        functions: Iterable[Callable[..., Any]] = (),
        constants: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            autoescape=autoescape, undefined=Missing, finalize=as_text, keep_trailing_newline=True, cache_size=0
        )
        self.globals.clear()
        known = {**FILTERS, "number": number, "int": whole, "float": fraction}
        self.filters = {name: _guarded(name, known[name]) for name in FILTER_NAMES}
        self.filters.update(filters)
        self.filters.update({LOOP: bounded, TICK: tick, JOINED: concatenated})
        self.simple_filters = {name for name, own in filters.items() if not hasattr(own, "jinja_pass_arg")}
        """Filters that look at nothing but their value."""
        self.written = written_in_html if autoescape else written
        self._own = {function: hasattr(function, "jinja_pass_arg") for function in functions}
        self.constants = constants or {}
        self.tests = {name: test for name, test in self.tests.items() if name in TEST_NAMES}

    def getattr(self, obj: Any, attribute: str) -> Any:
        # A column may be called `items` or `values`: what the table holds comes before what Python offers.
        if type(obj) is dict or isinstance(obj, Mapping):
            try:
                return obj[attribute]
            except KeyError:
                pass
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str | bytes | int | float | Mapping | list | tuple) and attr not in SAFE_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            raise SecurityError("format() is not available in letters; write the fields into the text")
        return None

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        return self.undefined(obj=obj, name=attribute)

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: PYI063
        spend(__context, 1)
        kind = type(__obj)
        own = kind in self._own
        if own or (kind is FunctionType and __obj in self._own):
            # Inside loops Jinja adds these for functions that look names up, which ours do not.
            kwargs.pop("_loop_vars", None)
            kwargs.pop("_block_vars", None)
            return __obj(*args, **kwargs) if own or not self._own[__obj] else __obj(__context, *args, **kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            _check_product(left, right)
        elif operator == "**":
            _check_power(left, right)
        elif operator == "%" and isinstance(left, str):
            _check_format(left)
            for value in right if isinstance(right, tuple) else (right,):
                as_text(value)
        elif operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            _check_length(len(left) + len(right))
            spend(context, 1 + (len(left) + len(right)) // CHARACTERS_PER_STEP)
        return super().call_binop(context, operator, left, right)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(bound(with_constants(source, self.constants)), *args, **kwargs)


def _check_product(left: Any, right: Any) -> None:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str) and isinstance(times, int | float) and parsed(many, "en") is not None:
            raise TextReckonedError("digits times a number")
        if isinstance(many, Sized) and isinstance(times, int):
            limit = MAX_LENGTH if isinstance(many, str) else MAX_RANGE
            if len(many) * times > limit:
                raise TooMuch("it repeats a text or a list too often")
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4096:
        raise TooMuch("a number here grows too large")


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > 4096:
        raise TooMuch("a number here grows too large")


@pass_context
def limited_range(context: Context, *args: int) -> range:
    """`range`, at most 10,000 long."""
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise TooMuch(said("range() is longer than {most}", most=MAX_RANGE))
    spend(context, 1 + len(numbers) // 100)
    return numbers


def markup(text: str) -> Markup:
    """Text that this package made itself and that is HTML already."""
    return Markup(text)  # noqa: S704
