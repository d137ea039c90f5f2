"""What every account's settings know of where they were written, to say what is missing and how to write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import PrivateAttr
from pydantic_settings import BaseSettings

from mailer.errors import SettingsError
from mailer.model import MAIN_RELAY, Problem, said
from mailer.settings import relays
from mailer.settings.layers import PREFIX, Entry, Origin


class Written(BaseSettings):
    """Settings that remember their account, their folder and where each of them stands."""

    _name: str = PrivateAttr(default=MAIN_RELAY)
    _folder: Path = PrivateAttr(default=Path())
    _entries: dict[str, Entry] = PrivateAttr(default_factory=dict)
    _own: dict[str, Entry] = PrivateAttr(default_factory=dict)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is odd about the settings without being wrong."""
        return self._warnings

    def origin(self, name: str) -> Origin | None:
        """Where a setting was written; None for its default."""
        entry = self._entries.get(name)
        return entry.origin if entry else None

    @property
    def relay(self) -> str:
        """The name of the account that these settings are of."""
        return self._name

    @property
    def folder(self) -> Path:
        """Where the campaign is."""
        return self._folder

    @property
    def own(self) -> Mapping[str, Entry]:
        """What was written for this account itself."""
        return self._own

    def require(self, *names: str) -> None:
        """Raise SettingsError with every one of these settings that is not set."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            asked = said("Write it into mailer.toml in this folder, or be asked for it: {command}", command=self.setup)
            raise SettingsError(
                "Something is not set yet." if len(missing) == 1 else "Some things are not set yet.",
                hint=asked
                if set(missing) & {"sender", "smtp_host"}
                else "Write it into mailer.toml in this folder, or set it in the environment.",
                problems=[*(self._missing(name) for name in missing), *self.overlooked()],
            )

    def overlooked(self) -> list[Problem]:
        """Where what is missing may stand unread."""
        return [warning for warning in self._warnings if warning.code in {"no-prefix", "misnamed-env"}]

    def _missing(self, name: str) -> Problem:
        value = str((type(self).model_fields[name].examples or [""])[0])
        spelling = name if self._name == MAIN_RELAY else self.called(name)
        written = Origin(spelling=spelling, place="mailer.toml").example(value)
        return Problem(
            code="missing-setting",
            message=said(
                "{name} is not set; in mailer.toml write for example {written}", name=self.called(name), written=written
            ),
        )

    def variable(self, name: str) -> str:
        """A setting's name in the environment."""
        section = "" if self._name == MAIN_RELAY else f"{relays.SECTION}__{relays.key_of(self._name)}__"
        return f"{PREFIX}{section}{name}".upper()

    def called(self, name: str) -> str:
        """A setting's name where its owner looks for it."""
        return self.variable(name) if self._name == MAIN_RELAY else f"{relays.SECTION}.{self._name}.{name}"

    @property
    def setup(self) -> str:
        """The command that asks for this account."""
        return "mailer setup" if self._name == MAIN_RELAY else f"mailer setup --relay {self._name}"
