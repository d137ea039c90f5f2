"""Settings: environment, then `.env`, then `mailer.toml`; the only place that imports pydantic_settings.

`values` turns texts into values, `sources` finds the texts and remembers where they came from, `passwords` asks the
system keyring, `dotenv_file` changes `.env`, `loading` puts them together and names every problem at once.
"""

from __future__ import annotations

from mailer.model import Security
from mailer.settings.loading import check, draft, load, written
from mailer.settings.model import DEFAULT_RATE, Settings
from mailer.settings.values import Auth, duration

__all__ = ["DEFAULT_RATE", "Auth", "Security", "Settings", "check", "draft", "duration", "load", "written"]
