"""Files to Contacts, problems and look-up tables; the only place that imports pandas.

pandas comes with the first list that is read: whoever only wants to know whether a list has changed need not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mailer.contacts.opening import file_digest
from mailer.contacts.slices import Slice, Tables, made

if TYPE_CHECKING:
    from mailer.contacts.contact_list import ContactList
    from mailer.contacts.listing import read
    from mailer.contacts.load import sheets
    from mailer.contacts.naming import Column

__all__ = ["Column", "ContactList", "Slice", "Tables", "file_digest", "made", "read", "sheets"]

LATER = {
    "Column": "mailer.contacts.naming",
    "ContactList": "mailer.contacts.contact_list",
    "read": "mailer.contacts.listing",
    "sheets": "mailer.contacts.load",
}


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(LATER[name]), name)
