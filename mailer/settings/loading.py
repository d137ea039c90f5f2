"""Load the settings of a campaign folder, with every problem named at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import TypeAdapter, ValidationError

from mailer.errors import SettingsError
from mailer.loopback import is_loopback
from mailer.model import Problem, Said, Security, Severity, counted, said, words_of
from mailer.settings import sources, values
from mailer.settings.model import DEFAULT_RATE, UNENCRYPTED, Settings
from mailer.settings.sources import SECRETS, Entry, Layer, Origin

KNOWN = frozenset(Settings.model_fields) | {f"{name}_file" for name in SECRETS}

PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
IMAP_PORTS = {Security.STARTTLS: 143, Security.TLS: 993, Security.NONE: 143}


def load(
    folder: Path = Path(),
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> Settings:
    """Read the settings that hold in this folder.

    `overrides` are texts from the command line by lower-case name (`{"rate": "20/minute"}`); None is not given.
    Raises SettingsError with all problems.
    """
    layers = layers_of(folder, environ, overrides)
    for layer in layers:
        sources.read_secret_files(layer, folder)
    merged = merged_of(layers)
    found = [problem for layer in layers for problem in layer.problems]
    found += unprotected(merged) + exposed(merged) + beside_proxy(merged)
    try:
        settings = cast("Any", Settings)(layers=[*layers, defaults(merged)])
    except ValidationError as error:
        found += wrong_values(error, merged)
        settings = None
    problems = [problem for problem in found if problem.severity is Severity.PROBLEM]
    if settings is None or problems:
        raise refusal(problems)
    settings._folder, settings._entries = folder, merged  # noqa: SLF001  set once, here
    settings._warnings = (*found, *settings.placeholders(Severity.WARNING))  # noqa: SLF001
    return cast("Settings", settings)


def layers_of(
    folder: Path, environ: Mapping[str, str] | None = None, overrides: Mapping[str, str | None] | None = None
) -> list[Layer]:
    """What each source says, the highest first."""
    return [
        sources.from_command_line(overrides or {}, KNOWN),
        sources.from_environment(os.environ if environ is None else environ, KNOWN),
        sources.from_dotenv(folder / ".env", KNOWN),
        sources.from_toml(folder / "mailer.toml", KNOWN),
    ]


def merged_of(layers: Iterable[Layer]) -> dict[str, Entry]:
    """What holds of each setting, as text."""
    merged: dict[str, Entry] = {}
    for layer in reversed([*layers]):
        merged.update(layer.entries)
    return merged


def written(folder: Path) -> list[dict[str, Entry]]:
    """What is written about each setting in the environment, in `.env` and in mailer.toml, right or wrong."""
    return [layer.entries for layer in layers_of(folder)[1:]]


def check(name: str, text: str) -> None:
    """Raise ValueError with a sentence for its owner if this cannot be the value of a setting."""
    field = Settings.model_fields[name]
    kind: Any = Annotated[(field.annotation, field, *field.metadata)]
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ValueError(
            next(words_of(one["ctx"]["error"]) for one in details if "error" in one.get("ctx", {}))
        ) from None


def refusal(problems: list[Problem]) -> SettingsError:
    count = len(problems)
    message = counted("There is a problem in the settings.", "There are {number} problems in the settings.", count)
    hint = next((problem.hint for problem in problems if problem.hint), None)
    return SettingsError(message, hint=hint, problems=problems)


def defaults(merged: Mapping[str, Entry]) -> Layer:
    """The lowest layer: what follows from the host where nothing was said."""

    def text(name: str) -> str:
        return merged[name].text.strip().lower() if name in merged else ""

    local = is_loopback(text("smtp_host") or None)
    security = text("smtp_security")
    if not security:
        usual = Security.NONE if local else Security.STARTTLS
        security = Security.TLS if text("smtp_port") == "465" else usual
    chosen = {"smtp_security": security, "rate": "unlimited" if local else DEFAULT_RATE}
    if security in PORTS:
        chosen["smtp_port"] = str(PORTS[Security(security)])
    imap_security = text("imap_security") or (Security.STARTTLS if text("imap_port") == "143" else Security.TLS)
    chosen["imap_security"] = imap_security
    if imap_security in IMAP_PORTS:
        chosen["imap_port"] = str(IMAP_PORTS[Security(imap_security)])
    return Layer(
        entries={
            name: Entry(text=value, origin=Origin(spelling=sources.PREFIX + name.upper(), place=said("the defaults")))
            for name, value in chosen.items()
        }
    )


def unprotected(merged: Mapping[str, Entry]) -> list[Problem]:
    """Refuse what would send letters and passwords readable over a network."""
    found = []
    allowed = UNENCRYPTED in merged and merged[UNENCRYPTED].text.strip().lower() in {"true", "yes", "on", "1"}
    for protocol in ("smtp", "imap"):
        entry, host = merged.get(f"{protocol}_security"), merged.get(f"{protocol}_host")
        if entry is None or host is None or entry.text.strip().lower() != Security.NONE or allowed:
            continue
        if not is_loopback(host.text.strip()):
            sentence = said(
                "without encryption everyone on the way can read the password and the letters; it is "
                "accepted only for a server on this computer. {instead}",
                instead=instead(entry, "starttls" if protocol == "smtp" else "tls"),
            )
            found.append(entry.origin.problem("unencrypted", sentence))
    return found


def exposed(merged: Mapping[str, Entry]) -> list[Problem]:
    """Warn of a password in the file that people share."""
    sentence = "a password in mailer.toml is easily given away with the folder; better write it into .env"
    found = [
        merged[name].origin.problem("exposed-password", sentence, severity=Severity.WARNING)
        for name in SECRETS
        if name in merged and merged[name].origin.spelling == name
        # a passphrase has a sentence of its own below: in .env, too, it would lie beside what it opens
        if name != "passphrase" and holds_a_password(name, merged[name].text)
    ]
    key = merged.get("passphrase")
    if key and key.origin.file and not key.origin.spelling.lower().endswith("_file"):
        sentence = "it lies in the folder that it is to protect; better set MAILER_PASSPHRASE_FILE to a file elsewhere"
        return [*found, key.origin.problem("exposed-password", sentence, severity=Severity.WARNING)]
    return found


def holds_a_password(name: str, text: str) -> bool:
    """An address may have a place for one, and nothing there."""
    if name not in {"proxy", "ledger"}:
        return True
    return re.search(r"://[^/?#]*:[^/?#]*@|[?&]password=", text) is not None or (name == "proxy" and "@" in text)


def beside_proxy(merged: Mapping[str, Entry]) -> list[Problem]:
    """Warn of a mail server here that goes on by ways of its own: who sets a proxy means everything."""
    host, proxy = merged.get("smtp_host"), merged.get("proxy")
    if host is None or proxy is None or values.is_no_proxy(proxy.text) or not is_loopback(host.text.strip()):
        return []
    sentence = "this mail server is on this computer, and what it sends on does not go through the proxy"
    return [host.origin.problem("beside-proxy", sentence, severity=Severity.WARNING)]


def instead(entry: Entry, value: str) -> Said:
    return said("Write for example {example}", example=entry.origin.example(value))


def wrong_values(error: ValidationError, merged: Mapping[str, Entry]) -> Iterable[Problem]:
    """What pydantic found, as sentences; the values themselves are left out, they may be private."""
    for detail in error.errors(include_url=False, include_input=False):
        name = str(detail["loc"][0]) if detail["loc"] else ""
        entry, field = merged.get(name), Settings.model_fields.get(name)
        if entry is None or field is None:
            # Only our own defaults could end here.
            raise error
        error_said = detail.get("ctx", {}).get("error")
        sentence = words_of(error_said) if isinstance(error_said, ValueError) else Said(detail["msg"])
        value = str((field.examples or [""])[0])
        yield entry.origin.problem(
            "wrong-setting", said("{sentence}. {instead}", sentence=sentence, instead=instead(entry, value))
        )
