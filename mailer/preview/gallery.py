"""Writes the gallery: a folder of pages that opens from the disk, without a server and without the network."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from mailer.markup import Html, asset, fill, join, script_json, tag
from mailer.model import Problem
from mailer.preview.folder import link_name, replaced
from mailer.preview.model import Rendered, Summary
from mailer.preview.packs import KEPT, ROWS, TOGETHER, Packs
from mailer.preview.page import PACKAGE, POLICY, message_page, sentence
from mailer.preview.reading import Enclosed, read
from mailer.preview.telling import Choice, Telling

OWN_FILES = 10_000
"""Messages up to which each is a page and an .eml of its own, unless somebody wants more or fewer."""

ASSETS = (
    "browse.js", "gallery.css", "gallery.js", "list.js", "message.css", "message.js", "read.js", "shelf.js",
)  # fmt: skip
PAGES_OF_THEIR_OWN = " Each message is also a page of its own in the folder “messages”."
SHOWN_DOMAINS = 10
SHOWN_WARNINGS = 100


def write(
    out: Path,
    items: Iterable[Rendered],
    summary: Summary | Callable[[], Summary],
    *,
    total: int = 0,
    own_files: int = OWN_FILES,
) -> Path:
    """Write every message and an index into `out`; the path of its index.html.

    Items are taken one at a time and not kept. A `summary` that is known only after the last item may be a function. If there
    will be a `total` of more than `own_files`, messages share files: see `packs`.
    Raises Refused if `out` holds anything but an earlier preview, or cannot be written; `out` is then as it was.
    """
    with replaced(out) as building:
        _write_assets(building / "assets")
        index = _Index()
        if total > own_files:
            _write_packs(building, items, index)
        else:
            _write_files(building, items, index, total)
        _write_index(building, index, summary if isinstance(summary, Summary) else summary())
        if (building / "rows").is_file():
            (building / "rows").unlink()
    return out / "index.html"


def _write_files(building: Path, items: Iterable[Rendered], index: _Index, total: int) -> None:
    """A page and an .eml for each message; the lines of the list in one file, which the index takes up."""
    attachments = _Attachments(building)
    (building / "eml").mkdir()
    with (building / "rows").open("w", encoding="utf-8", newline="\n") as rows:
        for number, item in enumerate(items, start=1):
            thousand = f"{number // 1000:02d}"
            folder = building / "messages" / thousand
            # a folder of a hundred thousand files is slow everywhere, and in some programs never opens
            mail = f"eml/{thousand}/{number:06d}.eml" if total > OWN_FILES else f"eml/{number:06d}.eml"
            if number == 1 or number % 1000 == 0:
                folder.mkdir(parents=True)
                (building / mail).parent.mkdir(exist_ok=True)
            (building / mail).write_bytes(item.message.content)
            page = _page(number, item, attachments, above="../../", download=f"../../{mail}")
            (folder / f"{number:06d}.html").write_text(page, encoding="utf-8", newline="\n")
            index.add(number, item)
            rows.write(("," if number > 1 else "") + "\n" + script_json(_row(item)))


def _write_packs(building: Path, items: Iterable[Rendered], index: _Index) -> None:
    """Messages that share files, and the page that shows one of them."""
    attachments = _Attachments(building)
    (building / "messages").mkdir()
    reader = fill(asset(PACKAGE, "read.html"), policy=POLICY, together=TOGETHER)
    (building / "messages" / "read.html").write_text(reader, encoding="utf-8", newline="\n")
    with Packs(building) as packs:
        for number, item in enumerate(items, start=1):
            small = len(item.message.content) <= KEPT
            packs.add(_page(number, item, attachments, above="../", download="#" if small else None), item, _row(item))
            index.add(number, item)


def _page(number: int, item: Rendered, attachments: _Attachments, *, above: str, download: str | None) -> Html:
    reading = read(item.message.content)
    return message_page(
        reading,
        title=f"Message {number}, row {item.contact.row}" + (f", over relay {item.relay}" if item.relay else ""),
        assets=f"{above}assets",
        download=download,
        attachments=[above + attachments.place(file) for file in reading.attachments],
        warnings=item.warnings,
    )


def _write_assets(folder: Path) -> None:
    folder.mkdir()
    (folder / "base.css").write_text(asset("mailer.markup", "base.css"), encoding="utf-8", newline="\n")
    for name in ASSETS:
        (folder / name).write_text(asset(PACKAGE, name), encoding="utf-8", newline="\n")


class _Attachments:
    """Stores a file once, whoever it is attached to."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: set[str] = set()

    def place(self, file: Enclosed) -> str:
        """Its address as seen from the gallery's folder."""
        place = f"attachments/{hashlib.sha256(file.content).hexdigest()[:16]}/{link_name(file.filename)}"
        if place not in self._files:
            self._files.add(place)
            target = self._root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
        return quote(place)


class _Index:
    """What the index needs to know of all messages: counts and a few names, whatever their number."""

    def __init__(self) -> None:
        self.total = 0
        self.messages = 0
        """Without the examples."""
        self.warned = 0
        self.languages: Counter[str] = Counter()
        self.domains: Counter[str] = Counter()
        self.choice = Choice()

    def add(self, number: int, item: Rendered) -> None:
        self.total = number
        self.choice.look(number, item)
        if item.relay:
            return
        self.messages += 1
        self.warned += bool(item.warnings)
        self.languages[item.letter.language] += 1
        self.domains[item.contact.domain] += 1


def _row(item: Rendered) -> list[str | int]:
    files = sum(attachment.content_id is None for attachment in item.letter.attachments)
    contact = item.contact
    return [
        f"{contact.name} (over relay {item.relay})" if item.relay else contact.name,
        contact.address,
        item.letter.subject,
        contact.row,
        item.letter.language,
        files,
        len(item.warnings),
    ]


def _write_index(building: Path, index: _Index, summary: Summary) -> None:
    telling = index.choice.result()
    head = fill(
        asset(PACKAGE, "gallery.html"),
        campaign=summary.campaign,
        total=f"{index.messages:,}",
        messages="message" if index.messages == 1 else "messages",
        seal=summary.seal,
        facts=_facts(summary),
        warnings=_notes(summary.warnings),
        telling=_telling(telling),
        counts=_counts(index),
        chips=_chips(index, telling),
        without="" if (building / "packs").exists() else PAGES_OF_THEIR_OWN,
    )
    numbers = script_json([one.number for one in telling])
    with (building / "index.html").open("w", encoding="utf-8", newline="\n") as page:
        page.write(head)
        if (building / "packs").exists():
            page.write(f'{{"telling":{numbers},"total":{index.total},"size":{ROWS}')
        else:
            page.write(f'{{"telling":{numbers},"rows":[')
            with (building / "rows").open(encoding="utf-8", newline="\n") as rows:
                shutil.copyfileobj(rows, page)
            page.write("]")
        page.write("}\n</script>\n</body>\n</html>\n")


def _facts(summary: Summary) -> Html:
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (summary.duplicates, "listed twice"),
            (summary.blank, "blank"),
            (summary.suppressed, "suppressed"),
            (summary.skipped, "skipped"),
        )
        if count
    ]
    facts = {
        "Letter": summary.template,
        "List": summary.list_name,
        "From": summary.sender,
        "Over relay": "; ".join(summary.relays),
        "Signed (DKIM)": summary.signed_by
        and f"as each message leaves, by {summary.signed_by}; not yet in these files",
        "Rows without a message": ", ".join(left_out) or "none",
        "Made": f"{summary.made_at:%Y-%m-%d %H:%M} UTC" if summary.made_at else "",
    }
    return join(tag("dt", name) + tag("dd", value, dir="auto") for name, value in facts.items() if value)


def _notes(warnings: Sequence[Problem]) -> Html:
    if not warnings:
        return Html("")
    count = f"{len(warnings):,} " + ("thing" if len(warnings) == 1 else "things") + " to know before sending"
    lines: list[str] = [sentence(problem) for problem in warnings[:SHOWN_WARNINGS]]
    if hidden := len(warnings) - len(lines):
        lines.append(f"And {hidden:,} more of this kind; the messages concerned are marked in the list.")
    listed = tag("ul", *(tag("li", line) for line in lines))
    return tag("details", tag("summary", count), listed, class_="notes warning", open=True)


def _telling(telling: tuple[Telling, ...]) -> Html:
    return join(
        tag(
            "li",
            tag(
                "a",
                tag("span", ", ".join(one.reasons).capitalize(), class_="why"),
                tag(
                    "span",
                    tag("span", one.name, dir="auto"),
                    tag("span", one.subject, class_="quiet small", dir="auto"),
                    class_="whom",
                ),
                href=f"#{one.number}",
            ),
        )
        for one in telling
    )


def _counts(index: _Index) -> Html:
    return join(
        [
            _count("By language", "language", index.languages, len(index.languages)),
            _count("By destination", "domain", index.domains, SHOWN_DOMAINS),
        ]
    )


def _count(title: str, facet: str, counter: Counter[str], most: int) -> Html:
    shown = counter.most_common(most)
    rows = [
        tag(
            "tr",
            tag(
                "th",
                tag("button", value or "none", type="button", data_search=f"{facet}:{value or 'none'}"),
                scope="row",
            ),
            tag("td", f"{count:,}", class_="number"),
        )
        for value, count in shown
    ]
    if rest := len(counter) - len(shown):
        others = counter.total() - sum(count for _value, count in shown)
        rows.append(
            tag(
                "tr",
                tag("th", f"{rest:,} more {facet}s", scope="row", class_="quiet"),
                tag("td", f"{others:,}", class_="number"),
            )
        )
    return tag("section", tag("h2", title), tag("table", tag("tbody", *rows)))


def _chips(index: _Index, telling: tuple[Telling, ...]) -> Html:
    chips = [("all", "All"), ("first", f"Look first ({len(telling)})")]
    if index.warned:
        chips.append(("warned", f"Warnings ({index.warned:,})"))
    return join(
        tag("button", label, type="button", data_filter=key, aria_pressed="true" if key == "all" else "false")
        for key, label in chips
    )
