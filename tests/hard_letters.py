"""Letters and rows with everything in them that quoted-printable, headers and Jinja may get wrong."""

from __future__ import annotations

from hypothesis import strategies as st
from merge_letters import Shelf

from mailer.merge import Template, load
from mailer.model import Contact, Identity, Mailbox

HARD = [
    "From ", "From", "Fro", "F", "rom ", ".", "..", "\n", "\n\n", "\n.", "\nFrom ", " ", "\t", " \n", "\t\n", "=", "=20",
    "\r", "\r\n", "\n\r", "é", "e\u0301", "你", "🏭", "👩🏽‍🏭", "بلاول", "\u202e", "\u00a0", "\u2028", "\x7f", "\x0c", "",
    *("a" * length for length in (1, 5, 37, 70, 71, 72, 73, 74, 75, 76, 77, 151)),
    "é" * 12, "é" * 13, "你" * 8 + "a", "a" * 74 + "=", "a" * 75 + "\n", "a" * 76 + "\n", "a" * 74 + " \n", "word. ",
]  # fmt: skip
PLEASANT = [
    "Dear ",
    "Pat",
    " Müller",
    ",\n\n",
    "we write to ",
    "Leeds",
    ". ",
    "A sentence of some length, as in letters. ",
]

piece = st.lists(st.sampled_from(HARD), max_size=5).map("".join) | st.lists(st.sampled_from(PLEASANT), max_size=8).map(
    "".join
)

TAGS = [
    "{{ name }}", "{{ city }}", "{{ name }}{{ city }}", "{{ embassy.email }}", "{{ city or 'your town' }}", "{{ name | upper }}",
    "{% if city %}{{ city }}{% else %}nowhere{% endif %}", "{% for part in name %}{{ part }}\n{% endfor %}",
    "{% set both %}{{ name }}\n{{ city }}{% endset %}{{ both }}", "{% if case.open %}yes{% else %}no{% endif %}", "{{ case.where }}",
    "{{ sender.name }}", "{{ footer }}", "{{ mailto('a@b.example', name, city) }}", "{{ ['https://a.example/?b=', city] | link_ }}", "{{ row }}",
]  # fmt: skip
literal = st.lists(st.sampled_from([bit for bit in HARD if "\r" not in bit] + PLEASANT), max_size=4).map("".join)
source = st.lists(literal | st.sampled_from(TAGS), min_size=1, max_size=8).map("".join)
cell = piece.map(lambda text: text.strip("\r\n"))
people = st.lists(
    st.builds(
        lambda row, name, city: Contact(
            address=f"p{row}@branch.example",
            key=f"p{row}@branch.example",
            row=row,
            name=name.replace("\n", " ").replace("\r", " "),
            fields={"name": name, "city": city, "embassy": {"email": "embassy@state.example"}},
        ),
        st.integers(2, 99),
        cell,
        cell,
    ),
    min_size=1,
    max_size=5,
)
IDENTITY = Identity(
    sender=Mailbox(address="office@union.example", name="Union Office"),
    reply_to=Mailbox(address="answers@union.example"),
    bounce_address="bounces+{token}@union.example",
    list_id="Appeals <appeals.union.example>",
    unsubscribe_url="https://union.example/leave?a=1&token={token}",
    unsubscribe_mailto="leave+{token}@union.example?subject=unsubscribe",
)


def folder(text: str, html: str, subject: str = "For {{ name }}") -> Template:
    front = f'---\nsubject: "{subject}"\ncase: {{open: true, where: Mill Lane}}\n---\n'
    files = {"letter.md": front + "Hello\n", "letter.txt": text, "letter.html": f"<html><body>{html}</body></html>"}
    return load("it", Shelf({f"templates/it/{name}": content for name, content in files.items()}))
