"""A letter cannot reach the computer it runs on, and cannot run away with it."""

from __future__ import annotations

import time

import pytest
from merge_letters import CAMPAIGN, contact, letter

from mailer.errors import LetterError

ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ mailto.__globals__ }}",
    "{{ mailto['__globals__'] }}",
    "{{ self._TemplateReference__context }}",
    "{{ range.__wrapped__ }}",
    "{{ dict.mro() }}",
    "{{ dict.__subclasses__() }}",
    "{{ namespace.__init__ }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ '{0.__class__}'|format(name) | length / 0 }}",
    "{{ contact.__class__.__mro__ }}",
    "{{ case.clear() }}",
    "{{ case.update({'x': 1}) }}",
    "{{ fields.clear() }}",
    "{{ [].append(1) }}",
    "{{ [1]|map('attr', '__class__')|first }}",
    "{{ [name]|map(attribute='__class__')|first }}",
    "{{ [name]|groupby('__class__')|first|first }}",
    "{{ [name]|sort(attribute='__class__')|map(attribute='__doc__')|first }}",
    "{{ name.join.__self__ }}",
    "{{ lipsum() }}",
    "{{ cycler(1) }}",
    "{{ config }}",
    "{% for x in name.__class__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ (1).real.__class__ }}",
    "{{ loop }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% set x = namespace() %}{{ x.__class__ }}",
    "{{ link_ }}",
    "{{ block_.__closure__ }}",
]


@pytest.mark.parametrize("body", ESCAPES)
def test_python_is_out_of_reach(body):
    with pytest.raises(LetterError) as caught:
        letter(body + "\n").merge(contact(name="x"), CAMPAIGN)
    assert "<class" not in str(caught.value)
    assert caught.value.problems[0].message


BOMBS = [
    "{{ range(1000000000) | list }}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ 1000000000 * 'x' }}",
    "{{ [1] * 1000000000 }}",
    "{{ 9 ** 99999999 }}",
    "{{ (9 ** 999) ** 999 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ 'x'.center(1000000000) }}",
    "{{ 'x'.ljust(1000000000) }}",
    "{{ 'x' | center(1000000000) }}",
    "{{ 'x' | indent(1000000000, true) }}",
    "{{ [1] | batch(1000000000, 0) | list }}",
    "{{ ('x' * 4000000) | replace('x', 'y' * 4000) }}",
    "{{ ('x' * 4000000).replace('x', 'y' * 4000) }}",
    "{{ (['x' * 1000000] * 9999) | join }}",
    "{{ ([1] * 9999) | join('x' * 1000000) }}",
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x | length }}",
    "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% for x in [[[]]] recursive %}{{ loop([x, x]) }}{% endfor %}",
    "{% for i in range(9999) %}{{ 'x' * 4000 }}{% endfor %}",
    "{% set x %}{% for i in range(9999) %}{{ 'x' * 4000 }}{% endfor %}{% endset %}{{ x }}",
]


@pytest.mark.parametrize("body", BOMBS)
def test_a_letter_that_asks_for_too_much_is_stopped_at_once(body):
    start = time.perf_counter()
    with pytest.raises(LetterError) as caught:
        letter(body + "\n").merge(contact(name="x"), CAMPAIGN)
    assert time.perf_counter() - start < 5
    assert caught.value.problems[0].file == "templates/it.md"


def test_constants_are_not_worked_out_without_limit_while_compiling():
    start = time.perf_counter()
    with pytest.raises(LetterError):
        letter("{{ '%999999999d' % 1 }}{{ 'x' * 999999999 }}{{ 9 ** 99999999 }}").merge(contact(), CAMPAIGN)
    assert time.perf_counter() - start < 5


def test_ordinary_work_is_within_the_budget():
    body = "{% for i in range(500) %}\n- {{ i }} {{ name | upper }} {{ name ~ '!' }} {{ '%03d' % i }}\n{% endfor %}\n"
    message = letter(body).merge(contact(name="x"), CAMPAIGN)
    assert "- 499 X x! 499" in message.text


def test_the_budget_starts_anew_with_every_row():
    template = letter("{% for i in range(5000) %}{{ i }}{% endfor %}\n")
    for _ in range(40):
        template.merge(contact(), CAMPAIGN)
