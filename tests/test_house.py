"""The house rules of DESIGN section 4, checked on the syntax trees: levels, doors, names, sizes, openings."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LEVELS = [
    {"__main__"},
    {"cli"},
    {"web"},
    {"account", "cluster"},
    {"campaign", "settings"},
    {
        "contacts",
        "merge",
        "mime",
        "pace",
        "smtp",
        "ledger",
        "inbox",
        "oauth",
        "preflight",
        "report",
        "preview",
        "mailbox",
    },
    {"countries", "outcome", "postfix_log", "reaction", "retry", "suppression", "throttle"},
    {
        "address",
        "age",
        "authorities",
        "crashpoint",
        "deadline",
        "destination",
        "disk",
        "explanations",
        "harmless",
        "hours",
        "loopback",
        "markup",
        "privacy",
        "proxy",
        "signals",
        "times",
        "tokens",
        "traces",
    },
    {"archives", "model", "errors"},
]
"""Top to bottom. A module imports only from levels below its own; `errors` may name `model` for its annotations."""

LEVEL = {name: number for number, names in enumerate(reversed(LEVELS)) for name in names}
PURE = {"model", "errors"}
ALLOWED_SIDEWAYS = {("errors", "model")}

DOORS = {
    "pandas": {"contacts"},
    "numpy": {"contacts"},
    "pyarrow": {"contacts"},
    "python_calamine": {"contacts"},
    "jinja2": {"merge"},
    "docx": {"merge"},
    "docxtpl": {"merge"},
    "fpdf": {"merge"},
    "markdown_it": {"merge"},
    "css_inline": {"merge"},
    "aiosmtplib": {"smtp"},
    "dns": {"preflight"},
    "python_socks": {"proxy"},
    "matplotlib": {"report"},
    "PIL": {"traces"},
    "pypdf": {"traces"},
    "imap_tools": {"inbox"},
    "typer": {"cli", "__main__"},
    "rich": {"cli", "__main__"},
    "click": {"cli", "__main__"},
    "pydantic": {"settings"},
    "pydantic_settings": {"settings"},
    "dotenv": {"settings"},
    "keyring": {"settings"},
    "babel": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "aiosmtpd": {"mailbox"},
    "sqlite3": {"ledger"},
    "sqlcipher3": {"ledger"},
    "pyrage": {"age"},
    "cryptography": {"mime"},
    "itsdangerous": {"tokens"},
    "procrastinate": {"cluster"},
    "prometheus_client": {"cluster"},
    "psycopg": {"cluster", "ledger"},
}

BANNED = re.compile(r"(^|_)(manager|managers|utils?|helpers?|process_data)(_|$)")
BANNED_CAMEL = re.compile(r"(Manager|Utils?|Helper)s?(?![a-z])")

HOSTNAMES = {"gethostname", "getfqdn", "node", "uname"}
MAY_NAME_THE_HOST = {"ledger"}
"""The owner of a campaign's lock is told as host and process, in the ledger only; never in a message."""

FUNCTION_LINES, FILE_LINES = 60, 400
DOCUMENTS = ["LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"]


def offences(package: Path) -> list[str]:
    """Every offence in a tree of modules, as `file:line: what`."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        owner = parts[0]
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        checks = [
            *placement(tree, owner, package.name, parts[:-1]),
            *openings(tree, source, owner),
            *names(tree, [*parts]),
            *sizes(tree, source),
            *calls(tree, owner),
        ]
        found += [f"{path.relative_to(package.parent).as_posix()}:{line}: {what}" for line, what in checks]
    return found


def imports(tree: ast.AST, package: str, folder: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Dotted names that a module imports: anywhere in it, also inside functions and for type checking only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                above = [package, *folder]
                base = [*above[: len(above) - node.level + 1], *base]
            dotted = ".".join(base)
            # `from mailer import contacts` names a module, not something in it.
            yield from (
                (node.lineno, f"{dotted}.{alias.name}" if dotted == package else dotted) for alias in node.names
            )
        elif isinstance(node, ast.Call) and name_of(node.func) in {"import_module", "__import__"} and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield node.lineno, target.value


def placement(tree: ast.AST, owner: str, package: str, folder: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    if owner != "__init__" and owner not in LEVEL:
        yield 1, f"{owner} has no level"
        return
    for line, dotted in dict.fromkeys(imports(tree, package, folder)):
        top, _, rest = dotted.partition(".")
        if top == package:
            yield from ((line, what) for what in direction(owner, rest.partition(".")[0]))
        elif top in DOORS and owner not in DOORS[top]:
            yield line, f"{top} may be imported only in {' and '.join(sorted(DOORS[top]))}"
        elif owner in PURE and top not in sys.stdlib_module_names:
            yield line, f"{owner} may import only the standard library, not {top}"


def direction(owner: str, other: str) -> Iterator[str]:
    if other in {"", owner, "__version__"} or (owner, other) in ALLOWED_SIDEWAYS:
        return
    if other not in LEVEL:
        yield f"{other} has no level"
    elif owner == "__init__":
        yield f"the package itself may not import {other}"
    elif LEVEL[other] == LEVEL[owner]:
        yield f"{owner} imports {other} sideways"
    elif LEVEL[other] > LEVEL[owner]:
        yield f"{owner} imports {other} upwards"


def openings(tree: ast.Module, source: str, owner: str) -> Iterator[tuple[int, str]]:
    doc = ast.get_docstring(tree)
    if source.strip() and not doc:
        yield 1, "the module does not open with a sentence"
    elif doc and doc.split("\n\n")[0].rstrip()[-1] not in ".:!?":
        yield 1, "the module's opening is not a sentence"


def names(tree: ast.AST, modules: list[str]) -> Iterator[tuple[int, str]]:
    given = [(1, name) for name in modules]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            given.append((node.lineno, node.name))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            given.append((node.lineno, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            given.append((node.lineno, node.attr))
        elif isinstance(node, ast.arg):
            given.append((node.lineno, node.arg))
        elif isinstance(node, ast.alias) and node.asname:
            given.append((node.lineno, node.asname))
    for line, name in given:
        if BANNED.search(name.lower()) or BANNED_CAMEL.search(name):
            yield line, f"the name {name} is banned"


def sizes(tree: ast.AST, source: str) -> Iterator[tuple[int, str]]:
    if (lines := len(source.splitlines())) > FILE_LINES:
        yield 1, f"{lines} lines; {FILE_LINES} is the limit for a file"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # without the signature: a command's options are a table, not work
            lines = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            if lines > FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {lines} lines; {FUNCTION_LINES} is the limit for a function"


def name_of(function: ast.expr) -> str:
    """The last word of what is called."""
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def calls(tree: ast.AST, owner: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"socket", "platform", "os"}:
            used = {alias.name for alias in node.names} & HOSTNAMES
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = {node.attr} & HOSTNAMES if node.value.id in {"socket", "platform", "os"} else set()
        else:
            used = set()
        if used and owner not in MAY_NAME_THE_HOST:
            yield node.lineno, f"{used.pop()} would tell this computer's name"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
            and owner != "cli"
        ):
            yield node.lineno, "print belongs to cli"


def test_the_house_is_in_order() -> None:
    assert offences(ROOT / "mailer") == []


def test_the_house_is_looked_at() -> None:
    """An empty list of offences must not come from an empty list of files."""
    assert {path.name for path in (ROOT / "mailer").rglob("*.py")} >= {"model.py", "errors.py", "__main__.py", "new.py"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_exist(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


CLEAN = '"""A sentence."""\n'

PLANTED = [
    ("contacts/read.py", "from mailer.settings import load", "contacts imports settings upwards"),
    ("contacts/read.py", "import mailer.merge.load", "contacts imports merge sideways"),
    ("contacts/read.py", "from mailer import ledger", "contacts imports ledger sideways"),
    ("contacts/read.py", "from ..merge import load", "contacts imports merge sideways"),
    ("contacts/read.py", "def f() -> None:\n    from mailer.campaign import run", "contacts imports campaign upwards"),
    ("contacts/read.py", "if TYPE_CHECKING:\n    from mailer.cli import app", "contacts imports cli upwards"),
    ("contacts/read.py", "importlib.import_module('mailer.web')", "contacts imports web upwards"),
    ("web/page.py", "from mailer.cli import send", "web imports cli upwards"),
    ("model.py", "from mailer.outcome import classify", "model imports outcome upwards"),
    ("model.py", "from mailer.errors import MailerError", "model imports errors sideways"),
    ("model.py", "import yaml", "model may import only the standard library, not yaml"),
    ("__init__.py", "from mailer.model import Contact", "the package itself may not import model"),
    ("strange.py", "x = 1", "strange has no level"),
    ("mime/compose.py", "import mailer.strange", "strange has no level"),
    ("merge/load.py", "import pandas as pd", "pandas may be imported only in contacts"),
    ("contacts/read.py", "from jinja2.sandbox import X", "jinja2 may be imported only in merge"),
    ("campaign.py", "def f() -> None:\n    import sqlite3", "sqlite3 may be imported only in ledger"),
    ("web/page.py", "import rich.console", "rich may be imported only in __main__ and cli"),
    ("campaign.py", "import pydantic_settings", "pydantic_settings may be imported only in settings"),
    ("smtp/client.py", "print('x')", "print belongs to cli"),
    ("smtp/client.py", "name = socket.getfqdn()", "getfqdn would tell this computer's name"),
    ("smtp/client.py", "from platform import node", "node would tell this computer's name"),
    ("smtp/utils.py", "x = 1", "the name utils is banned"),
    ("smtp/client.py", "class PoolManager: ...", "the name PoolManager is banned"),
    ("smtp/client.py", "def process_data() -> None: ...", "the name process_data is banned"),
    ("smtp/client.py", "def f(helper: int) -> None: ...", "the name helper is banned"),
    ("smtp/client.py", "self.retry_manager = 1", "the name retry_manager is banned"),
    ("smtp/client.py", "def f() -> None:\n" + "    x = 1\n" * 61, "f has 61 lines; 60 is the limit for a function"),
    ("smtp/client.py", "x = 1\n" * 400, "401 lines; 400 is the limit for a file"),
]


def plant(folder: Path, name: str, text: str) -> list[str]:
    path = folder / "mailer" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return offences(folder / "mailer")


@pytest.mark.parametrize(("name", "code", "expected"), PLANTED)
def test_a_planted_offence_is_caught(tmp_path: Path, name: str, code: str, expected: str) -> None:
    found = plant(tmp_path, name, CLEAN + code)
    assert [line.partition(": ")[2] for line in found] == [expected]
    assert found[0].startswith(f"mailer/{name}:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x = 1", "the module does not open with a sentence"), ('"""Words"""', "the module's opening is not a sentence")],
)
def test_a_module_that_does_not_open_with_a_sentence_is_caught(tmp_path: Path, text: str, expected: str) -> None:
    assert plant(tmp_path, "pace.py", text) == [f"mailer/pace.py:1: {expected}"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("contacts/read.py", "import pandas\nfrom mailer.model import Contact\nfrom .columns import find"),
        ("contacts/read.py", "from mailer.contacts import columns\nfrom mailer import contacts"),
        ("campaign.py", "from mailer import contacts, errors, outcome\nimport mailer.ledger.queries"),
        ("cli/send.py", "import typer\nfrom mailer.settings import load\nprint('x')"),
        ("errors.py", "from mailer.model import Problem"),
        ("ledger/owner.py", "import socket\nname = socket.gethostname()"),
        ("smtp/client.py", "managed = reutilised = 1"),
        ("smtp/client.py", "'''print(1)'''"),
        ("__init__.py", "import re"),
    ],
)
def test_what_the_house_allows_is_not_an_offence(tmp_path: Path, name: str, code: str) -> None:
    assert plant(tmp_path, name, CLEAN + code) == []


def test_an_empty_module_needs_no_opening(tmp_path: Path) -> None:
    assert plant(tmp_path, "smtp/__init__.py", "") == []
