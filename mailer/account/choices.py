"""The settings, besides the account, of which an organiser decides: each as it is written, and changed in `.env`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailer.account.keeping import write
from mailer.model import said, words_of

CHOICES = (
    "postal_address",
    "unsubscribe_mailto",
    "unsubscribe_url",
    "reply_to",
    "bounce_address",
    "rate",
    "dns_server",
    "dkim_domain",
    "dkim_selector",
    "dkim_key_file",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One setting as text, right or wrong, and where it stands; both blank if nobody chose."""

    text: str = ""
    place: str = ""

    @property
    def is_fixed(self) -> bool:
        """Whether what is written into `.env` would not count."""
        return self.place == "the environment"


def choices(folder: Path) -> dict[str, Choice]:
    """Each of them, by its name."""
    from mailer.settings import written  # noqa: PLC0415 - imports pydantic

    found = dict.fromkeys(CHOICES, Choice())
    for entries in reversed(written(folder)):
        for name in found.keys() & entries.keys():
            entry = entries[name]
            found[name] = Choice(text=entry.text, place=entry.origin.place)
    return found


def choose(folder: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """Write what differs from what holds; a blank text takes the setting out.

    Comes to what is wrong, a sentence for each name, and then nothing was changed. Raises SettingsError.
    """
    before = choices(folder)
    changed = {
        name: text
        for name in CHOICES
        if (text := texts.get(name, before[name].text).strip()) != before[name].text.strip()
    }
    wrong = {name: problem for name, text in changed.items() if (problem := _wrong(name, text, before[name], folder))}
    if changed and not wrong:
        write(folder, {name: text or None for name, text in changed.items()})
    return wrong


def _wrong(name: str, text: str, before: Choice, folder: Path) -> str:
    from mailer.settings import check, written  # noqa: PLC0415 - imports pydantic

    if before.is_fixed:
        return said("it is set in the environment, which goes before what is written here")
    if not text:
        in_toml = name in written(folder)[-1]
        return said("it also stands in mailer.toml: take the line out there") if in_toml else ""
    try:
        check(name, text)
    except ValueError as error:
        return words_of(error)
    return ""
