"""Letters as nobody should write them, and some that would take all time and memory if they were let."""

from __future__ import annotations

import random

LETTER = """---
subject: "News for {{ name }}"
to_name: "{{ name }}"
preheader: Please act today
required: [name]
---
# Dear {{ name }}

- one
- two {% if city %}in {{ city }}{% endif %}

| a | b |
|---|---|
| 1 | {{ city }} |

[Write to them]({{ mailto("office@example.org", "Hello", "Please") }})
"""

PIECES = (
    "{{", "}}", "{%", "%}", "{#", "#}", "---\n", "\0", "\r", "\x85", "\u2028", "\u202e", "{{ name", "{{ nmae }}", "{{ name | nothing }}",
    "{{ ''.__class__.__mro__ }}", "{{ self }}", "{{ name.__init__.__globals__ }}", "{{ cycler.__init__ }}", "{{ 1/0 }}",
    "{{ name[10] }}", "{{ name.upper }}", "{{ city.x.y }}", "{% for x in name %}", "{% endfor %}", "{% if %}", "{% endif %}",
    "{% include 'appeal' %}", "{% include '../../etc/passwd' %}", "{% extends 'x' %}", "{% import 'os' as os %}", "{% raw %}",
    "{% set x = 1 %}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{% block x %}", "{{ mailto() }}", "{{ mailto(1, 2, 3) }}",
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](/etc/passwd)", "![x](http://example.net/x.png)", "[[[[[[[",
    "****", "```", "<!--", "&#0;", "&nbsp", "\\", "\t\t\t", "> > > > > >", "1. " * 60, "| a " * 100, "[a]: <", "x" * 3000,
    "subject: again\n", "subject: {a: b}\n", "attachments: [x.pdf]\n", "attachments: 7\n", "lookups: {a: b}\n", "language: xx\n",
    "images: {logo: ../x.png}\n", "case: nothing.yaml\n", "sender: nobody\n", "reply_to: 'x\\ny'\n", "? [a]\n", "&a [*a]\n", "!!python/object:os.x\n",
    "required: [nobody]\n", "- \n", ": \n", '"', "'", "é", "漢字", "🙂" * 20, "لا", "e\u0301" * 50,
)  # fmt: skip

BOMBS = (
    "{{ 'x' * 10**9 }}",
    "{{ 'x' * 9999 * 9999 * 9999 }}",
    "{{ [0] * 10**10 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 9999 ** 9999 ** 99 }}",
    "{% for a in range(10**12) %}x{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}",
    "{{ range(9999) | list * 9999 }}",
    "{{ 'x' | center(10**9) }}",
    "{{ '%0999999999d' | format(1) }}",
    "{{ '{:>999999999}'.format('x') }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'ab' | replace('', 'x' * 9999) | replace('', 'y' * 9999) }}",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% set x = 'x' * 1000 %}{% for a in range(99) %}{% set x = x ~ x %}{% endfor %}{{ x }}",
    "{% set n = namespace(x='xxxxxxxxxx') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{{ lipsum(n=999999) }}",
    "{{ 'x,' * 9999 | wordwrap(1) }}",
    "{{ ('a' * 9999) | urlize }}",
    "{{ range(9999) | batch(1) | list | string * 99 }}",
    "{{ ('a ' * 9999) | title | wordcount | string * 10**8 }}",
    "{{ name | indent(10**9) }}",
    "{% for a in range(9999) recursive %}{{ loop([1]) }}{% endfor %}",
    "{{ '(' * 5000 }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{{ " + "-" * 20_000 + "1 }}",
    "{{ " + "name ~ " * 20_000 + "name }}",
    "[" * 30_000,
    "> " * 30_000,
    "*a_" * 20_000,
    "![" * 20_000 + "x" + "](y)" * 20_000,
    "`" * 50_000 + "x",
    "<" * 50_000,
    "- " * 10_000 + "x",
    "|" * 30_000 + "\n" + "|-" * 30_000 + "|\n",
    "&a" * 50_000,
    "{% if 1 %}" * 2000 + "{% endif %}" * 2000,
    "{% include 'appeal' %}\n" * 500,
)

YAML_BOMBS = (
    "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12)),
    "case: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "case: {a: " * 5000 + "1" + "}" * 5000 + "\n",
    "subject: " + "x" * 5_000_000 + "\n",
    "? " * 20_000 + "\n",
    "subject: &a [*a]\n",
    "case: 0x" + "f" * 100_000 + "\n",
    "case: " + "9" * 100_000 + "\n",
    "case: 1" + ":59" * 20_000 + "\n",
)


def make(chance: random.Random) -> bytes:
    text = LETTER
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(6):
            case 0:
                text = text[:at] + text[at + chance.randint(1, 60) :]
            case 1:
                text = text[:at] + text[chance.randrange(len(text) + 1) :][: chance.randint(1, 200)] + text[at:]
            case _:
                text = text[:at] + chance.choice(PIECES) + text[at:]
    content = text.encode(chance.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1", "cp1252"]), "replace")
    if chance.random() < 0.1:
        at = chance.randrange(len(content) + 1)
        content = content[:at] + chance.randbytes(4) + content[at:]
    return content


def bombs() -> list[bytes]:
    """Each of them in the body, in the subject where it fits a line, and in the front matter."""
    found = [LETTER + "\n" + bomb + "\n" for bomb in BOMBS]
    found += [LETTER.replace("News for {{ name }}", bomb.replace('"', "'")) for bomb in BOMBS if len(bomb) < 200]
    found += [LETTER.replace("---\n", "---\n" + bomb, 1) for bomb in YAML_BOMBS]
    return [text.encode() for text in found]
