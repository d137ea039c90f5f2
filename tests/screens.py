"""Takes pictures of every screen of the organiser's page, with sample data: wide and narrow, light and dark.

python tests/screens.py FOLDER [LANGUAGE]
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from chromium import browser
from organiser import Office, office
from playwright.sync_api import Browser, Page
from program import SAMPLES

from mailer.ledger import Ledger
from mailer.model import BounceClass, Event, EventKind

SIZES = ((1280, 900), (390, 844))
SCHEMES = ("light", "dark")
LETTER, LIST = "solidarity-appeal", "contacts/branches.csv"
CAMPAIGN = f"{LETTER}--branches"


def prepared(made: Office) -> None:
    """Campaigns in every state, somebody suppressed, and a list with something wrong in it."""
    for name in ("templates", "contacts"):
        shutil.copytree(SAMPLES / name, made.folder / name, dirs_exist_ok=True)
    addresses = [
        line.split(",") for line in (made.folder / LIST).read_text("utf-8-sig").splitlines()[1:] if "@" in line
    ]
    found = [cell for row in addresses for cell in row if "@" in cell]
    made.server.on("rcpt", address=found[1], reply="550 5.1.1 User unknown")
    made.server.on("rcpt", address=found[4], reply="450 4.2.0 Greylisted, try again later")
    made.server.on("rcpt", address=found[6], reply="552 5.2.2 Mailbox full")
    made.server.on("accepted", address=found[7], drop=True)
    made.program.run("send", LETTER, LIST, "--yes", "--skip-problems")
    made.program.run("send", LETTER, LIST, "--yes", "--skip-problems", "--campaign", "spring", "--hold-after", "3")
    made.program.run("suppress", "add", found[2])
    lines = ["email,name,branch", "x@,Ana,Leeds", "mina@union.example,مینا احمد,لاہور", "ok@union.example,Bo,Cork"]
    (made.folder / "contacts" / "new list.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    with Ledger(made.folder / "mailer.db") as ledger:
        campaign = ledger.find(CAMPAIGN)
        sent = ledger._all("SELECT id, key FROM deliveries WHERE campaign_id = ? AND status = 'sent'", campaign.id)
        kinds = ((EventKind.BOUNCE, BounceClass.HARD), (EventKind.UNSUBSCRIBE, None), (EventKind.REPLY, None))
        ledger.add_events(
            Event(
                kind=kind, delivery=number, campaign=campaign.id, key=key, at=time.time(), source=kind, bounce=bounce,
                text="550 5.1.1 No such user" if bounce else "",
            )
            for (kind, bounce), (number, key) in zip(kinds, sent, strict=False)
        )  # fmt: skip


def screens() -> Iterator[tuple[str, str]]:
    """Names and addresses, in the order in which somebody meets them."""
    draft = urlencode({"list": LIST, "letter": LETTER, "campaign": "autumn", "skip": "1"})
    yield "start", "/"
    yield "list-empty", "/list"
    yield "list", "/list?list=contacts/new+list.csv"
    for step in ("letter", "preview", "test", "approve", "send"):
        yield step, f"/{step}?{draft}"
    yield "campaign", f"/campaign/{CAMPAIGN}"
    yield "campaign-held", "/campaign/spring"
    yield "uncertain", f"/campaign/{CAMPAIGN}/uncertain"
    yield "report", f"/campaign/{CAMPAIGN}/report"
    yield "report-counts", f"/campaign/{CAMPAIGN}/report?counts=1"
    yield "inbox", "/inbox"
    yield "suppressed", "/suppressed"
    yield "account", "/account"


def take(chromium: Browser, made: Office, folder: Path, language: str) -> None:
    context = chromium.new_context(locale=language)
    page = context.new_page()
    page.goto(made.open())
    base = page.url.rstrip("/")
    for name, place in screens():
        page.goto(base + place)
        settled(page)
        if name == "approve" and page.locator("#name").count():
            page.locator("#name").fill("Ana Berg")
            page.locator("input[type=checkbox]").check()
            shots(page, folder, name)
            page.locator("form button").first.click()
            continue
        shots(page, folder, name)
    context.close()


def settled(page: Page) -> None:
    """Until what comes by itself has come."""
    page.wait_for_load_state("networkidle" if "/campaign/" not in page.url and "/inbox" not in page.url else "load")
    page.wait_for_timeout(1500)


def shots(page: Page, folder: Path, name: str) -> None:
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.wait_for_timeout(200)
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "screens")
    language = sys.argv[2] if len(sys.argv) > 2 else "en-GB"
    if not re.fullmatch(r"[a-zA-Z-]+", language):
        sys.exit(f"{language!r} is no language")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, office(Path(place) / "Union Office") as made, browser() as chromium:
        prepared(made)
        take(chromium, made, folder, language)
    sys.stdout.write(f"{len(list(folder.glob('*.png')))} pictures in {folder}\n")


if __name__ == "__main__":
    main()
