"""Load the settings of a campaign folder, with every problem named at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import TypeAdapter, ValidationError

from mailer.errors import SettingsError
from mailer.loopback import is_loopback
from mailer.model import MAIN_RELAY, Problem, Said, Security, Severity, counted, said, words_of
from mailer.settings import relays, sources, values
from mailer.settings.layers import PREFIX, SECRETS, Entry, Layer, Origin
from mailer.settings.model import DEFAULT_RATE, UNENCRYPTED, Settings

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
    every = [one for layer in layers for one in (layer, *layer.relays.values())]
    for layer in every:
        sources.read_secret_files(layer, folder)
    merged = merged_of(layers)
    found = [problem for layer in every for problem in layer.problems]
    found += unprotected(merged) + exposed(merged) + beside_proxy(merged)
    settings = made(merged, merged, found, folder)
    relays = relays_of(layers, merged, found, folder)
    found += repeated(settings, relays)
    problems = [problem for problem in found if problem.severity is Severity.PROBLEM]
    if settings is None or problems:
        raise refusal(problems)
    settings._named = relays  # noqa: SLF001  set once, here
    odd = (settings.placeholders(Severity.WARNING), *(one.placeholders(Severity.WARNING) for one in relays.values()))
    settings._warnings = (*found, *dict.fromkeys(chain.from_iterable(odd)))  # noqa: SLF001
    return settings


def made(
    merged: Mapping[str, Entry], own: Mapping[str, Entry], found: list[Problem], folder: Path, name: str = MAIN_RELAY
) -> Settings | None:
    """The settings of one account, or None where something is wrong with them; `found` hears what is wrong with its `own`."""
    try:
        settings = cast("Any", Settings)(layers=[Layer(entries=dict(merged)), defaults(merged)])
    except ValidationError as error:
        found += wrong_values(error, merged, own)
        return None
    settings._name, settings._folder = name, folder  # noqa: SLF001  set once, here
    settings._entries, settings._own = dict(merged), dict(own)  # noqa: SLF001
    return cast("Settings", settings)


def relays_of(
    layers: Sequence[Layer], main: Mapping[str, Entry], found: list[Problem], folder: Path
) -> dict[str, Settings]:
    """The accounts that have a name. What is wrong with them is added to what was `found`."""
    relays_found = {}
    for name, own in relays.merged_relays(layers).items():
        merged = relays.completed(own, main, layers[0].entries)
        found += (
            unprotected(own) + exposed(own) + beside_proxy({**own, **{k: e for k, e in main.items() if k == "proxy"}})
        )
        if settings := made(merged, own, found, folder, name):
            relays_found[name] = settings
    return relays_found


def repeated(main: Settings | None, named: Mapping[str, Settings]) -> list[Problem]:
    """What is wrong with relays that are one account."""
    every = {**({MAIN_RELAY: main} if main else {}), **named}
    origins = {name: origin for name, one in every.items() if (origin := one.origin("smtp_host"))}
    return list(relays.twice({name: every[name].account for name in origins}, origins))


def draft(settings: Settings, relay: str) -> Settings:
    """The settings of an account that is to be set up: what it has of its own, and no sender of another. Raises SettingsError."""
    name = relay.lower()
    if name == MAIN_RELAY:
        return settings
    if problem := relays.misnamed(name, Origin(spelling="--relay", place="the command line")):
        raise refusal([problem])
    before = settings.named(name)
    own = before.own if before else {}
    main = {name: entry for name, entry in settings.own.items() if name not in {"sender", "reply_to", "bounce_address"}}
    found: list[Problem] = []
    made_of = made(relays.completed(own, main, {}), own, found, settings.folder, before.relay if before else name)
    if made_of is None:
        raise refusal(found)
    return made_of


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
            name: Entry(text=value, origin=Origin(spelling=PREFIX + name.upper(), place=said("the defaults")))
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
        if name in merged and merged[name].origin.spelling.rpartition(".")[2] == name
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


def wrong_values(error: ValidationError, merged: Mapping[str, Entry], own: Mapping[str, Entry]) -> Iterable[Problem]:
    """What pydantic found, as sentences; the values themselves are left out, they may be private.

    Only what is wrong with an account's `own`: what it takes over is told where it stands.
    """
    for detail in error.errors(include_url=False, include_input=False):
        name = str(detail["loc"][0]) if detail["loc"] else ""
        entry, field = merged.get(name), Settings.model_fields.get(name)
        if entry is None or field is None:
            # Only our own defaults could end here.
            raise error
        if name not in own:
            continue
        error_said = detail.get("ctx", {}).get("error")
        sentence = words_of(error_said) if isinstance(error_said, ValueError) else Said(detail["msg"])
        value = str((field.examples or [""])[0])
        yield entry.origin.problem(
            "wrong-setting", said("{sentence}. {instead}", sentence=sentence, instead=instead(entry, value))
        )
