"""Digests: of a message, a contact, a list, the settings; and the manifest with the seal over them all."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailer import __version__, merge
from mailer.campaign.frozen import Recorded
from mailer.campaign.source import Source
from mailer.model import NO_MARKS, Contact, Identity, Mailbox, Manifest, Marks, Message, Signature

if TYPE_CHECKING:
    from mailer import contacts

# What a letter is written in; all other files are attachments. Only for saying which part of a seal changed.
SOURCES = frozenset({".md", ".html", ".txt", ".yaml", ".yml", ".css"})

RELAYS = "RELAYS"
"""What the settings of an account that has a name begin with."""

OWN_SENDER = "OWN_SENDER"
"""Whether the sender is the account's own, which no letter changes."""

SIGNED_BY = re.compile(r"(\S+), selector (\S+), key ([0-9a-f]+)")

# The seal covers every message but for its Date, which is set when it leaves.
SEALED_DATE = datetime(2000, 1, 1, tzinfo=UTC)


def fingerprint(message: Message, marks: Marks = NO_MARKS) -> int:
    """Sixty-four bits over everything that a reader gets, and the envelope.

    Left out are the Date, the token of the Message-ID (also in the boundaries), and those of unsubscribe links and bounce
    addresses, which differ from ledger to ledger: two people who preview the same folder get the same seal.
    """
    envelope, content = message.envelope, message.content
    token = message.message_id[1:].partition("@")[0].encode()
    date = content.index(b"\r\nDate: ")
    rest = content[content.index(b"\r\n", date + 2) :]
    mail_from = envelope.mail_from
    if marks.bounce:
        mail_from = mail_from.replace(marks.bounce, "")
    if marks.unsubscribe:
        # a soft line break (RFC 2045, section 6.7) may go through the middle of one; by split, which is quicker than replace
        rest = b"".join(rest.split(b"=\r\n"))
        signature = marks.unsubscribe.encode()[len(token) :]
        pieces = [piece.removeprefix(signature) for piece in rest.split(token)]
    else:
        pieces = rest.split(token)
    whose = f"{mail_from}\0{envelope.rcpt_to}\0".encode()
    digest = hashlib.sha256(b"".join([whose, content[:date], *pieces])).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def contact_digest(contact: Contact) -> str:
    """Sixteen hexadecimal digits over everything a letter may say about a contact, but not its row."""
    details = [contact.address, contact.name, contact.language or "", contact.fields]
    text = json.dumps(details, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lookup_folders(source: Source, template: merge.Template) -> tuple[Path, ...]:
    """Where look-up tables are searched: beside the letter, then in the campaign folder."""
    beside = Path(template.front.origin("subject").file).parent
    return (source.folder / beside, source.folder)


def manifest_of(
    source: Source,
    template: merge.Template,
    people: contacts.ContactList,
    files: Recorded,
    identity: Identity,
    *,
    sources: Collection[str],
) -> Manifest:
    """What a campaign would be frozen with, before its messages are rendered. `sources` are the letter's own files."""
    bare = Manifest(
        template=source.template,
        list_name=source.list_path.as_posix(),
        letter={},
        attachments={},
        contacts=people.fingerprint(),
        list_file=list_digest(source, template),
        settings=settings_of(identity),
        messages="",
        count=len(people),
        duplicates=people.duplicates,
        blank=people.blank,
        program=__version__,
        sheet=people.sheet,
        options=source.options,
    )
    return completed(bare, files, sources=sources)


def completed(
    manifest: Manifest, files: Recorded, *, sources: Collection[str], messages: str = "", senders: Collection[str] = ()
) -> Manifest:
    """The manifest with the files that were read so far, and with what came of rendering the messages."""
    attachments = {path: digest for path, digest in files.digests.items() if path not in sources}
    letter = {path: digest for path, digest in files.digests.items() if path not in attachments}
    return replace(manifest, letter=letter, attachments=attachments, messages=messages, senders=tuple(sorted(senders)))


def list_digest(source: Source, template: merge.Template) -> str:
    """A digest of the bytes of the list and its look-up tables, and of how they are to be read."""
    # only here: a maker is to start without what reads lists
    from mailer import contacts  # noqa: PLC0415

    tables = [
        next(folder / lookup.table for folder in lookup_folders(source, template) if (folder / lookup.table).exists())
        for lookup in template.front.lookups.values()
    ]
    parts = [contacts.file_digest(path) for path in (source.list_path, *tables)]
    parts += [
        repr((source.email_column, source.sheet, template.front.required, sorted(template.front.lookups.items())))
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def settings_of(identity: Identity) -> dict[str, str]:
    """The settings that shape every message, by their names; those of a relay with a face of its own as `RELAYS.OFFICE.SENDER`."""
    named = {
        **_face(identity),
        "LIST_ID": identity.list_id,
        "POSTAL_ADDRESS": identity.postal_address,
        "UNSUBSCRIBE_URL": identity.unsubscribe_url,
        "UNSUBSCRIBE_MAILTO": identity.unsubscribe_mailto,
    }
    for relay, face in identity.faces:
        named |= {f"{RELAYS}.{relay.upper()}.{name}": value for name, value in _face(face).items()}
    return {name: value for name, value in named.items() if value}


def _face(identity: Identity) -> dict[str, str | None]:
    """What one account may say otherwise than another."""
    reply_to = identity.reply_to
    return {
        "SENDER": written(identity.sender),
        OWN_SENDER: "yes" if identity.own_sender else None,
        "REPLY_TO": written(reply_to) if reply_to else None,
        "BOUNCE_ADDRESS": identity.bounce_address,
        "DKIM": signed_by(identity.signatures),
    }


def signed_by(signatures: Iterable[Signature]) -> str:
    """By which keys messages are signed, in words; empty if by none."""
    return "; ".join(f"{one.domain}, selector {one.selector}, key {one.key}" for one in signatures)


def written(mailbox: Mailbox) -> str:
    """`Name <address>`, for people to read and for `identity_of` to read back."""
    return f"{mailbox.name} <{mailbox.address}>".strip()


def identity_of(settings: Mapping[str, str]) -> Identity:
    """The identity that a manifest's settings were written from."""
    identity = Identity(
        list_id=settings.get("LIST_ID"),
        postal_address=settings.get("POSTAL_ADDRESS"),
        unsubscribe_url=settings.get("UNSUBSCRIBE_URL"),
        unsubscribe_mailto=settings.get("UNSUBSCRIBE_MAILTO"),
        **_face_of(settings),
    )
    faces: dict[str, dict[str, str]] = {}
    for name, value in settings.items():
        if name.startswith(f"{RELAYS}."):
            _, relay, setting = name.split(".")
            faces.setdefault(relay.lower(), {})[setting] = value
    return replace(
        identity,
        faces=tuple((relay, replace(identity, **_face_of(own))) for relay, own in sorted(faces.items())),
    )


def _face_of(settings: Mapping[str, str]) -> dict[str, Any]:
    def mailbox(text: str) -> Mailbox:
        name, _, address = text.rpartition("<")
        return Mailbox(name=name.strip(), address=address.rstrip(">"))

    return {
        "sender": mailbox(settings["SENDER"]),
        "own_sender": OWN_SENDER in settings,
        "reply_to": mailbox(settings["REPLY_TO"]) if "REPLY_TO" in settings else None,
        "bounce_address": settings.get("BOUNCE_ADDRESS"),
        "signatures": tuple(Signature(*one) for one in SIGNED_BY.findall(settings.get("DKIM", ""))),
    }


def has_faces(manifest: Manifest) -> bool:
    """Whether its messages are from others where they leave over certain accounts."""
    return any(name.startswith(f"{RELAYS}.") for name in manifest.settings)


def faces_of(identity: Identity) -> tuple[Identity, ...]:
    """Everybody who may speak in a campaign, the campaign's own identity first."""
    return (identity, *(face for _, face in identity.faces))


def unlike(one: Identity, other: Identity) -> str:
    """By the names of which settings two accounts speak otherwise, with commas between them; empty if they speak alike."""
    mine, theirs = _face(one), _face(other)
    names = (name for name in mine if name != OWN_SENDER)
    return ", ".join(name.lower() for name in names if (mine[name] or "") != (theirs[name] or ""))


def together(fingerprints: Sequence[int]) -> int:
    """One number for a message in all its faces; its own where it has one."""
    if len(fingerprints) == 1:
        return fingerprints[0]
    digest = hashlib.sha256(b"".join(one.to_bytes(8, "big", signed=True) for one in fingerprints)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
