"""Files to Contacts, problems and look-up tables; the only place that imports pandas."""

from mailer.contacts.contact_list import ContactList
from mailer.contacts.load import file_digest
from mailer.contacts.naming import Column
from mailer.contacts.read import read

__all__ = ["Column", "ContactList", "file_digest", "read"]
