"""Who is not to be mailed, and why. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mailer.address import address_key
from mailer.model import Contact


def normalise(entry: str) -> str:
    """An entry of the suppression list as it is kept: `ada@example.org` for an address, `@example.org` for a domain.

    By the same rules as `Contact.key`. A domain may be given with or without the `@`.
    """
    return address_key(entry if "@" in entry else "@" + entry)


def screen(contacts: Iterable[Contact], suppressed: Mapping[str, str]) -> Iterator[tuple[Contact, str | None]]:
    """Each contact in order, with the reason why not to mail it, or None.

    `suppressed` maps normalised entries to reasons. A domain stands for itself only, not for its sub-domains: a union's
    branches often have their own, and did not ask.
    """
    for contact in contacts:
        yield contact, reason(contact.key, suppressed)


def reason(key: str, suppressed: Mapping[str, str]) -> str | None:
    """The same for one address, by its key."""
    if not suppressed:
        return None
    found = suppressed.get(key)
    return suppressed.get("@" + key.rpartition("@")[2]) if found is None else found
