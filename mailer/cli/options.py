"""Arguments and options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mailer.campaign.send import Limits
    from mailer.campaign.source import Source
    from mailer.contacts import ContactList
    from mailer.model import SkippedRow
