"""Who is not to be mailed, and why. No I/O."""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import TypeVar

from mailer.address import address_key
from mailer.model import Contact, Held, Suppressed

Why = TypeVar("Why")

LATER_ENDINGS = frozenset({".tab", ".xlsb", ".jsonl", ".ndjson"})
ENDINGS = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods", ".json", ".parquet"}) | LATER_ENDINGS
"""All that a list's file may have (`contacts.sniff.SUFFIXES`)."""

ENCRYPTED = ".age"
"""What comes after it where the file is encrypted."""
"""What a list's file may end in: the same list, saved in another format, keeps its name."""


def normalise(entry: str) -> str:
    """An entry of the suppression list as it is kept: `ada@example.org` for an address, `@example.org` for a domain.

    By the same rules as `Contact.key`. A domain may be given with or without the `@`.
    """
    return address_key(entry if "@" in entry else "@" + entry)


WRITTEN_AROUND = frozenset('"(),:;<>[\\]\u201c\u201d\u201e\u201f\u00ab\u00bb')
"""What stands around an address where it was copied from, and in no address of a list (RFC 5322, 3.2.3)."""


def is_entry(key: str) -> bool:
    """Whether a normalised entry can be somebody's address, or a domain; the check is not strict: it costs nobody a mail.

    But what no address of a list can ever be equal to is refused, or whoever asked not to be mailed would be all the same.
    """
    local, at, domain = key.rpartition("@")
    odd = not key.isprintable() or any(char.isspace() or char in WRITTEN_AROUND for char in key)
    return bool(at) and "." in domain.strip(".") and "@" not in local and not odd


def fingerprint(secret: bytes, entry: str) -> bytes:
    """HMAC-SHA256 of a normalised entry (RFC 2104): what is left of an address that was erased."""
    return hmac.digest(secret, entry.encode("utf-8", "surrogatepass"), "sha256")


def list_name(path: str) -> str:
    """What a list is called where a suppression is for it alone: the name of its file, without folder and ending.

    Capitals do not count, nor does the format it is saved in, nor whether it is encrypted.
    """
    name = PurePath(path.replace("\\", "/")).name
    if name.lower().endswith(ENCRYPTED) and len(name) > len(ENCRYPTED):
        name = name[: -len(ENCRYPTED)]
    stem, dot, ending = name.rpartition(".")
    name = stem if stem and f"{dot}{ending}".lower() in ENDINGS else name
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def is_named_anew(name: str) -> bool:
    """Whether a list's name, as an earlier version kept it, still had an ending that `list_name` takes off now."""
    return list_name(name) != name and PurePath(name).suffix in {*LATER_ENDINGS, ENCRYPTED}


def found_among(keys: Iterable[str], suppressed: Suppressed) -> dict[str, Held]:
    """Those of these addresses that were suppressed and then erased. Costs a microsecond for each address and secret."""
    found: dict[str, Held] = {}
    macs = [(hmac.new(secret, digestmod="sha256"), erased) for secret, erased in suppressed.erased.items()]
    if not macs:
        return found
    for key in keys:
        for begun, erased in macs:
            mac = begun.copy()
            mac.update(key.encode("utf-8", "surrogatepass"))
            if held := erased.get(mac.digest()):
                found[key] = held
    return found


def screen(contacts: Iterable[Contact], suppressed: Mapping[str, Why]) -> Iterator[tuple[Contact, Why | None]]:
    """Each contact in order, with the reason why not to mail it, or None.

    `suppressed` maps normalised entries to reasons. A domain stands for itself only, not for its sub-domains: a union's
    branches often have their own, and did not ask.
    """
    for contact in contacts:
        yield contact, reason(contact.key, suppressed)


def reason(key: str, suppressed: Mapping[str, Why]) -> Why | None:
    """The same for one address, by its key."""
    if not suppressed:
        return None
    found = suppressed.get(key)
    return suppressed.get("@" + key.rpartition("@")[2]) if found is None else found
