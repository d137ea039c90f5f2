"""Kinds of settings, each read from a text, and how pydantic is given what stands in the layers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from mailer.model import Mailbox, Security
from mailer.settings import values
from mailer.settings.layers import Layer

Line = Annotated[str, PlainValidator(values.line)]
Host = Annotated[str, PlainValidator(values.host)]
Port = Annotated[int, PlainValidator(values.whole(1, 65535))]
Protection = Annotated[Security, PlainValidator(values.choice(Security))]
Secret = Annotated[SecretStr, PlainValidator(values.secret)]
Address = Annotated[str, PlainValidator(values.address)]
MailboxText = Annotated[Mailbox, PlainValidator(values.mailbox)]
Selector = Annotated[str, PlainValidator(values.selector)]
Flag = Annotated[bool, PlainValidator(values.flag)]


def example(value: str, *, default: Any = None, private: bool = False) -> Any:
    """A field with what to write there; a private one never shows its value in a representation."""
    return Field(default=default, examples=[value], repr=not private)


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them, each once."""
    return tuple(dict.fromkeys(part for part in map(str.strip, values.line(text).split(",")) if part))


class LayerSource(PydanticBaseSettingsSource):
    """One layer of texts as a source of pydantic-settings."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self.layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  its signature
        entry = self.layer.entries.get(field_name)
        return (entry.text if entry else None, field_name, False)

    def __call__(self) -> dict[str, Any]:
        return {name: entry.text for name, entry in self.layer.entries.items()}
