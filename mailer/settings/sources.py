"""Where settings stand: the command line, the environment, `.env` and `mailer.toml`, in this order.

Every source becomes a layer of plain texts that remember where they were written, so that a problem can point there.
"""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from mailer.model import Problem, Severity, said
from mailer.settings.layers import PREFIX, SECRETS, Entry, Layer, Origin, plain, unknown
from mailer.settings.relays import SECTION, add_from_environment, add_from_toml

CURLY = "“”„‟‘’‚‛«»‹›"
"""Quotes as word processors make them of straight ones."""


def from_command_line(overrides: Mapping[str, str | None], known: Collection[str]) -> Layer:
    layer = Layer()
    for name, text in overrides.items():
        origin = Origin(spelling=f"--{name.replace('_', '-')}", place=said("the command line"))
        if text is not None:
            layer.add(name, text, origin, known)
    return layer


def from_environment(environ: Mapping[str, str], known: Collection[str]) -> Layer:
    layer = Layer()
    for key, text in environ.items():
        if key.upper().startswith(PREFIX):
            name = key.upper().removeprefix(PREFIX).lower()
            origin = Origin(spelling=key, place=said("the environment"))
            if not add_from_environment(layer, name, text, origin, known):
                layer.add(name, text, origin, known)
    return layer


def read_text(path: Path, layer: Layer) -> str:
    """A settings file's text, or nothing if there is no such file. Windows editors add a mark or write UTF-16."""
    try:
        data = path.read_bytes()
        encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
        return data.decode(encoding)
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        message = said("{name} is not saved as UTF-8 text; save it again with the encoding UTF-8", name=path.name)
        layer.problems.append(Problem(code="settings-encoding", message=message, file=str(path), row=row))
    except OSError as error:
        message = said("{name} cannot be read: {strerror}", name=path.name, strerror=error.strerror)
        layer.problems.append(Problem(code="settings-unreadable", message=message, file=str(path)))
    return ""


def from_dotenv(path: Path, known: Collection[str]) -> Layer:
    """Lines NAME=value. Nothing is expanded: a `$` in a password stays what it is."""
    layer = Layer()
    for binding in parse_stream(io.StringIO(read_text(path, layer))):
        original = binding.original.string
        row = binding.original.line + original.count("\n", 0, len(original) - len(original.lstrip()))
        # The rest of a broken line is never shown: it may be a password.
        if binding.error or (binding.key and binding.value is None):
            message = said(
                "line {row} of {name} cannot be read; write NAME=value, with quotes around a value with # or quotes",
                row=row,
                name=path.name,
            )
            layer.problems.append(Problem(code="broken-settings", message=message, file=str(path), row=row))
        elif binding.key and binding.value is not None:
            origin = Origin(spelling=binding.key, place=path.name, file=str(path), line=row)
            if binding.key.upper().startswith(PREFIX):
                name = binding.key.upper().removeprefix(PREFIX).lower()
                if not add_from_environment(layer, name, binding.value, origin, known):
                    layer.add(name, binding.value, origin, known)
                layer.problems += misquoted(name.rpartition("__")[2], original, binding.value, origin)
            elif binding.key.lower() in known:
                meant = said(
                    "it is ignored without its prefix; did you mean {name}?", name=f"{PREFIX}{binding.key.upper()}"
                )
                layer.problems.append(origin.problem("no-prefix", meant, severity=Severity.WARNING))
    if (path.parent / ".env.txt").exists() and not path.exists():
        misnamed = "there is a .env.txt, which is not read; rename it to .env (Windows may hide the ending .txt)"
        layer.problems.append(
            Problem(code="misnamed-env", message=misnamed, file=f"{path}.txt", severity=Severity.WARNING)
        )
    return layer


def misquoted(name: str, original: str, value: str, origin: Origin) -> list[Problem]:
    """A value that `.env` reads otherwise than it looks; in a password this is surely wrong, and shows only at login."""
    severity = Severity.PROBLEM if name in SECRETS else Severity.WARNING
    written = original.partition("=")[2].strip()
    if written[:1] not in {"'", '"'} and written != value:
        sentence = "what follows # is not used; if it belongs to the value, put the whole value in quotes '...'"
        if name in SECRETS:
            sentence = (
                "what follows # is not used; if it belongs to the value, put the whole value in quotes '...', and if it is "
                "a note, put it on a line of its own"
            )
        return [origin.problem("cut-value", sentence, severity=severity)]
    if len(value) > 1 and value[0] in CURLY and value[-1] in CURLY:
        sentence = "it stands in curly quotes, which count as part of it; put it in straight quotes '...'"
        return [origin.problem("curly-quotes", sentence, severity=severity)]
    return []


def from_toml(path: Path, known: Collection[str]) -> Layer:
    """Lines `name = "value"`, and the sections of relays."""
    layer = Layer()
    source = read_text(path, layer)
    try:
        table = tomllib.loads(source.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        layer.problems.append(broken_toml(path, str(error), source))
        return layer
    for name, value in table.items():
        match = re.search(rf"(?m)^[ \t]*[\[\"']*{re.escape(name)}\b", source)
        row = source.count("\n", 0, match.start()) + 1 if match else None
        origin = Origin(spelling=name, place=path.name, file=str(path), line=row)
        if name == SECTION:
            add_from_toml(layer, value, source, origin, known)
        elif isinstance(value, dict):
            sentence = 'it stands as a section in [brackets]; write plain lines such as smtp_host = "smtp.example.org"'
            layer.problems.append(origin.problem("broken-settings", sentence))
        elif name not in known:
            layer.problems.append(unknown(name, origin, known))
        elif (text := plain(value)) is None:
            layer.problems.append(
                origin.problem("broken-settings", "it must be one value, a text in quotes or a number")
            )
        else:
            layer.add(name, text, origin, known)
    return layer


def broken_toml(path: Path, error: str, source: str) -> Problem:
    where = re.search(r"at line (\d+)", error)
    row = int(where[1]) if where else source.count("\n") + 1
    hint = None
    if "\\" in error or "escape" in error.lower() or "hex" in error.lower():
        hint = "Write a Windows path with forward slashes, or between single quotes."
    message = said(
        'line {row} of {name} cannot be read; write name = "value", with the value in quotes', row=row, name=path.name
    )
    if "overwrite" in error.lower():
        message = said(
            "line {row} of {name} gives a setting a second time; keep one of the two", row=row, name=path.name
        )
    return Problem(code="broken-settings", message=message, file=str(path), row=row, hint=hint)


def read_secret_files(layer: Layer, folder: Path) -> None:
    """Replace NAME_FILE by the content of that file as NAME, without its last line end."""
    for name in SECRETS:
        pointer = layer.entries.pop(f"{name}_file", None)
        if pointer is None:
            continue
        if name in layer.entries:
            layer.problems.append(
                pointer.origin.problem("two-secrets", said("give either this or {name}, not both", name=name.upper()))
            )
            continue
        try:
            path = folder / Path(pointer.text).expanduser()
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or said("it is not a text file")
            sentence = said(
                "the file cannot be read: {why}. Write for example {example}",
                why=why,
                example=pointer.origin.example("password.txt"),
            )
            layer.problems.append(pointer.origin.problem("secret-file", sentence))
            continue
        text = text.removesuffix("\n").removesuffix("\r")
        if text:
            layer.entries[name] = Entry(text=text, origin=pointer.origin, path=path)
        else:
            layer.problems.append(pointer.origin.problem("secret-file", "the file is empty"))
