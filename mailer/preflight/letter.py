"""The letter as its reader gets it: what spam filters, mail programs and tired eyes make of it."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

from mailer import traces
from mailer.model import Attachment, Identity, Letter, Said, counted, said
from mailer.preflight import presets
from mailer.preflight.check import Area, Check, Reporter
from mailer.preflight.colours import written
from mailer.preflight.page import Link, Page, look_at

LONGEST_SUBJECT = 78
"""Characters. Telephones show some 40 of them, programs on a computer some 70."""

CLIPPED = 102_000
"""Octets of HTML from which Gmail cuts a message off."""

HEAVY = 5_000_000
"""Octets of attachments: many receivers take 10 MB in all, of which the encoding needs a third more."""

REFUSED = frozenset(
    """
    ade adp apk appx bat cab chm cmd com cpl dll dmg exe hta img ins iso isp jar js jse lib lnk mde msc msi msix msp mst
    nsh pif ps1 reg scr sct shb sys vb vbe vbs vhd vxd wsc wsf wsh
    """.split()  # noqa: SIM905  # a table to be read
)
"""Endings of files that Gmail and Outlook refuse."""

DOUBTED = frozenset("docm dotm pptm xlsm xltm html htm shtml svg zip rar 7z tar gz rtf".split())  # noqa: SIM905  # as above
"""Endings of files that many firms and public bodies hold back: macros, pages, archives."""

MANY = 10
"""People of one institution who get the very same words, from which filters there take it for spam."""

PERSONAL = frozenset({"name", "first_name", "last_name", "given_name", "surname", "title", "salutation", "greeting"})
"""Fields that change a greeting and nothing else."""

SHOWN_TRACES = 4
"""Fields of a file that are named."""

FAKE = re.compile(r"(?i)^\s*(?:re|fw|fwd|aw|wg|rif|tr|sv|vs)\s*:")
ADDRESS_LIKE = re.compile(r"(?i)^(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?:[/?#:].*)?$")

report = Reporter(Area.LETTER)

_Shows = Callable[[str, str], bool]
"""Given a form's words and the targets of its links, whether it shows what is looked for."""


def lint(letter: Letter) -> Iterator[Check]:
    """Everything that one letter shows. What is known before it is merged, `merge` says."""
    page = look_at(letter.html)
    yield from _subject(letter.subject)
    yield from _links(page)
    yield from _way_out(letter, page)
    yield from _page(letter, page)
    yield from _attachments(letter.attachments)


def _subject(subject: str) -> Iterator[Check]:
    letters = [c for c in subject if c.isalpha()]
    if not subject.strip():
        yield report.fail("subject", "The subject is blank.", "Write subject: between the lines --- of the letter.")
        return
    if FAKE.match(subject):
        text = "The subject looks like an answer or a forwarded mail, which this is not: filters punish that."
        yield report.warn("subject-reply", text, "Take RE: or FW: out of the subject.")
    # scripts without capitals have none to shout with
    if len(letters) > 7 and all(c.isupper() for c in letters):
        yield report.warn("subject-capitals", "The subject is all in capitals, as spam often is.", "Write it as usual.")
    if len(subject) > LONGEST_SUBJECT:
        text = said("The subject has {count} characters; mail programs show the first 40 to 70.", count=len(subject))
        yield report.warn("subject-long", text, "Put what matters first, and shorten the rest.")


def _links(page: Page) -> Iterator[Check]:
    web = [link for link in page.links if link.target.lower().startswith(("http://", "https://"))]
    hosts = [urlsplit(link.target).hostname or "" for link in web if _splits(link.target)]
    if private := sorted({host for host in hosts if _is_private(host)}):
        text = said("A link leads to {host}, which only your own computer or network can reach.", host=private[0])
        yield report.fail("link-private", text, "Put the public address in its place.")
    if plain := [link for link in web if link.target.lower().startswith("http://")]:
        text = counted(
            "{number} link begins with http://: readers are warned of {host}.",
            "{number} links begin with http://: readers are warned of {host}.",
            len(plain),
            host=_short(plain[0]),
        )
        yield report.warn("link-http", text, "Write https:// if the site has it; nearly all have.")
    for link in web:
        shown = ADDRESS_LIKE.match(link.words.strip())
        if shown and _splits(link.target) and _differs(shown[1], urlsplit(link.target).hostname or ""):
            text = said(
                "A link says {shown}, but leads to {host}: filters take that for fraud.",
                shown=shown[1],
                host=urlsplit(link.target).hostname,
            )
            yield report.warn("link-text", text, "Let the words say what is there, not another address.")
            break


def _splits(target: str) -> bool:
    try:
        return bool(urlsplit(target).hostname)
    except ValueError:
        return False


def _short(link: Link) -> str:
    return (_splits(link.target) and urlsplit(link.target).hostname) or said("it")


def _differs(shown: str, target: str) -> bool:
    one, other = shown.lower().removeprefix("www."), target.lower().removeprefix("www.")
    return one != other and not one.endswith(f".{other}") and not other.endswith(f".{one}")


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".localhost", ".lan", ".internal"))


def _way_out(letter: Letter, page: Page) -> Iterator[Check]:
    """Sender's post and the way off the list, where a reader sees them: the law in many countries, and what filters want."""
    identity = letter.identity
    ways = [way for way in (identity.unsubscribe_url, (identity.unsubscribe_mailto or "").partition("?")[0]) if way]
    if not ways:
        text = "The letter names no way to get no more of them, which the law wants in many countries."
        fix = "Set unsubscribe_mailto (an address that you read) or unsubscribe_url in mailer.toml."
        yield report.warn("unsubscribe", text, fix)
    elif missing := _without(letter, page, lambda text, links: any(way in text or way in links for way in ways)):
        text = said("The way to get no more letters is not to be seen in {missing}.", missing=missing)
        yield report.warn("unsubscribe", text, "Write {{ footer }} into the layout, or {{ unsubscribe }} yourself.")
    else:
        yield report.ok("unsubscribe", "Readers see how to get no more letters.")
    yield from _post(identity, letter, page)


def _post(identity: Identity, letter: Letter, page: Page) -> Iterator[Check]:
    if not identity.postal_address:
        text = "The letter has no postal address of its sender, which the law wants in many countries."
        fix = 'Write into mailer.toml for example: postal_address = "1 Example Street, Exampletown"'
        yield report.warn("postal-address", text, fix)
        return
    # lines may be joined or broken anew, so the words of its first line are what is looked for
    first = " ".join(re.split(r"[\n,]", identity.postal_address)[0].split())
    if missing := _without(letter, page, lambda text, _: first in text):
        text = said("The sender's postal address is not to be seen in {missing}.", missing=missing)
        yield report.warn("postal-address", text, "Write {{ footer }} into the layout.")
    else:
        yield report.ok("postal-address", "Readers see the sender's postal address.")


def _without(letter: Letter, page: Page, shows: _Shows) -> Said:
    """Which of the two forms of the letter does not show it, in words; blank if both do."""
    text = " ".join(letter.text.split())
    targets = " ".join(link.target for link in page.links)
    in_text, in_html = shows(text, text), not letter.html or shows(page.words, targets)
    if not in_text and not in_html:
        return said("its plain text and its HTML")
    return Said("") if in_text and in_html else said("its HTML") if in_text else said("its plain text")


def _page(letter: Letter, page: Page) -> Iterator[Check]:
    if not letter.html:
        return
    if not page.language:
        text = "The HTML does not say its language, so screen readers may read it out in the wrong one."
        yield report.warn(
            "lang", text, said('Write <html lang="{language}"> in letter.html or the layout.', language=letter.language)
        )
    if page.pictures_without_alt:
        text = counted(
            "{number} picture has no words for readers who do not see it.",
            "{number} pictures have no words for readers who do not see it.",
            page.pictures_without_alt,
        )
        yield report.warn("image-alt", text, 'Write alt="what it shows" into <img>.')
    for (colour, ground), words in list(page.faint.items())[:3]:
        text = said(
            '"{words}" is hard to read: {colour} on {ground}.',
            words=words,
            colour=written(colour),
            ground=written(ground),
        )
        yield report.warn("contrast", text, "Choose a darker or lighter colour (contrast of at least 4.5 to 1).")
    size = len(letter.html.encode())
    if size > CLIPPED:
        text = said(
            "The HTML has {size:.0f} KB: Gmail cuts off what comes after 102, the way to unsubscribe included.",
            size=size / 1000,
        )
        yield report.warn("letter-long", text, "Shorten the letter, or attach a part of it.")
    else:
        yield report.ok(
            "letter-long", said("The HTML has {size} KB; up to 102 Gmail shows it whole.", size=max(1, size // 1000))
        )


def _attachments(attachments: Iterable[Attachment]) -> Iterator[Check]:
    attachments = list(attachments)
    yield from _traces(attachments)
    files = [one for one in attachments if one.content_id is None]
    endings = {one.filename: one.filename.rpartition(".")[2].lower() for one in files}
    for name, ending in endings.items():
        if ending in REFUSED:
            text = said(
                "The attachment {name} is of a kind that most mail servers refuse (.{ending}).",
                name=name,
                ending=ending,
            )
            yield report.fail("attachment-kind", text, "Send a PDF, or a link to the file.")
        elif ending in DOUBTED:
            text = said(
                "The attachment {name} is of a kind that many offices hold back (.{ending}).", name=name, ending=ending
            )
            yield report.warn("attachment-kind", text, "Send a PDF, or a link to the file.")
    total = sum(len(one.content) for one in files)
    if total > HEAVY:
        text = said(
            "The attachments have {total:.1f} MB together; many mailboxes refuse or fill up with that.",
            total=total / 1000000.0,
        )
        yield report.warn("attachment-size", text, "Make them smaller, or put a link in their place.")
    elif files:
        yield report.ok(
            "attachment-size",
            counted(
                "{number} attachment, {size:.0f} KB.",
                "{number} attachments, {size:.0f} KB.",
                len(files),
                size=total / 1000,
            ),
        )


def _traces(attachments: Iterable[Attachment]) -> Iterator[Check]:
    for one in attachments:
        if told := traces.found(one.content):
            named = ", ".join(told[:SHOWN_TRACES])
            if len(told) > SHOWN_TRACES:
                named = said("{named} and {count} more", named=named, count=len(told) - SHOWN_TRACES)
            text = said(
                "{filename} tells its readers more than it shows: {told}.",
                filename=one.filename,
                told=named,
            )
            fix = "Write strip_metadata: true between the lines --- of the letter; mailer then sends a copy without."
            yield report.warn("metadata", text, fix)


def same_for_all(fields: frozenset[str], keys: Iterable[str]) -> Iterator[Check]:
    """Whether many people of one institution get the same words. `fields` are those the letter takes from a row.

    `keys` are the normalised addresses; those at domains where anybody can have one are no institution.
    """
    if fields - PERSONAL:
        return
    counts = Counter(key.rpartition("@")[2] for key in keys)
    institutions = [(count, domain) for domain, count in counts.items() if not presets.is_freemail(domain)]
    count, domain = max(institutions, default=(0, ""))
    if count >= MANY:
        text = said(
            "{count} people at {domain} get the very same letter: its filter may hold all of them back, "
            "and form letters weigh little with those they are meant for.",
            count=count,
            domain=domain,
        )
        fix = said(
            "Let the letter say something of each person's own, or write to fewer of them; also slower: {setting}",
            setting=f'domain_rate = "{domain}=20/hour"',
        )
        yield report.warn("form-letter", text, fix)
