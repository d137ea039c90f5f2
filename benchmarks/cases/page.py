"""How long somebody at the organiser's page waits: for the first page, a long list, its preview, and while it is sent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from benchmarks import contacts, letter
from benchmarks.browser import opened
from benchmarks.measure import Failed, Rounds, clean, interleaved
from benchmarks.peers import CAMPAIGN_LIST, mailer_program
from benchmarks.scale import Scale
from benchmarks.servers import smtp_sink
from benchmarks.table import Row, Section, number

from .folder import fresh

if TYPE_CHECKING:
    from playwright.sync_api import Page

TITLE = "The organiser's page"
HEADS = ("what", "ms", "to be at most", "CPU ms of the page")
MEASURED = """\
{rows:,} rows, {repeats} times, medians. *First page*: from the command until the page of campaigns is there, an empty folder. *Upload*: the \
file sent by a form, checked, and the page that says so. *Preview*: in Chromium, from the click until the table and the first message can be \
read, while every message is being checked. *Next page*, *search*: until the table has other rows, still while messages are checked. *While sending*: everybody of the list to a \
server on this computer as fast as it goes, over 5 connections; the longest answer of {asked} pages asked for one after another, and the longest \
time for which Chromium, which shows the campaign, could not have answered a click (0: nothing took 50 ms)."""

FIRST, UPLOAD, PREVIEW = "first page", "upload and check", "preview, until the first message"
NEXT, SEARCH = "next page of the preview", "search in the preview"
ANSWER, BLOCK = "while sending: the longest answer", "while sending: the longest block in the browser"
TARGETS = {FIRST: 1000, UPLOAD: None, PREVIEW: 2000, NEXT: 100, SEARCH: 100, ANSWER: None, BLOCK: 100}

ASKED = 40
"""Pages asked for while a campaign is sent."""


@dataclass(frozen=True, kw_only=True)
class Waited:
    """What each step took, in seconds, and the CPU seconds of the page's process until its end, where they are its own."""

    seconds: dict[str, float]
    cpu: float


def measure(scale: Scale) -> Section:
    rows = scale.page_rows
    contenders: dict[str, Callable[[], Waited]] = {FIRST: first_page, PREVIEW: lambda: long_list(rows)}
    rounds = interleaved(contenders, scale.repeats)
    sent = interleaved({ANSWER: lambda: while_sending(rows)}, 1)
    for found, more in ((rounds.results, sent.results), (rounds.failed, sent.failed), (rounds.skipped, sent.skipped)):
        found.update(more)  # type: ignore[arg-type]
    return Section(
        title=TITLE,
        measured=MEASURED.format(rows=rows, repeats=scale.repeats, asked=ASKED),
        heads=HEADS,
        rows=[row for name, steps in STEPS.items() for row in _rows(rounds, name, steps)],
        failures=[f"{name}: {why}" for name, why in rounds.failed.items()],
    )


STEPS = {FIRST: (FIRST,), PREVIEW: (UPLOAD, PREVIEW, NEXT, SEARCH), ANSWER: (ANSWER, BLOCK)}
"""What is measured together, and what comes of it."""


def _rows(rounds: Rounds[Waited], name: str, steps: tuple[str, ...]) -> Iterator[Row]:
    if name not in rounds.results:
        yield (name, f"skipped: {rounds.skipped[name]}" if name in rounds.skipped else "failed")
        return
    for step in steps:
        waited = rounds.median(name, lambda one, step=step: one.seconds[step])
        cpu = number(rounds.median(name, lambda one: one.cpu) * 1000) if step == steps[0] and name == FIRST else ""
        yield (step, number(waited * 1000), f"{TARGETS[step]:,}" if TARGETS[step] else "", cpu)


class Desk:
    """`mailer web` in a folder, and somebody who asks it for pages."""

    def __init__(self, folder: Path) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*mailer_program(), "web", "--no-open", "--port", "0", "--json"], cwd=folder, env=clean(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout
        said = self.process.stdout.readline()
        if not said:
            raise Failed("mailer web did not begin")
        self.page = json.loads(said)["page"]
        self.base = "{0.scheme}://{0.netloc}".format(urlsplit(self.page))
        self.cookie, self.csrf = "", ""

    def enter(self) -> None:
        """Open the page, as a browser would."""
        parts = urlsplit(self.page)
        self.cookie = self.ask("GET", f"{parts.path}?{parts.query}")[1].partition(";")[0]
        self.csrf = self.ask("GET", "/")[0].partition('<meta name="csrf" content="')[2].partition('"')[0]

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[str, str]:
        """What comes back, and the cookie that came with it. Raises Failed for what is no answer."""
        connection = HTTPConnection(urlsplit(self.base).netloc, timeout=600)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, {"Cookie": self.cookie, **given})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        connection.close()
        if answer.status >= 400:
            raise Failed(f"{method} of a page was answered with {answer.status}")
        return text, answer.getheader("Set-Cookie") or ""

    def post(self, path: str, **fields: str) -> str:
        """Send a form."""
        body = urlencode({"csrf": self.csrf, **fields}).encode()
        return self.ask("POST", path, body, Content_Type="application/x-www-form-urlencoded")[0]


@contextlib.contextmanager
def desk(folder: Path) -> Iterator[tuple[Desk, list[float]]]:
    """The page; at its end the list has the CPU seconds that it took."""
    made, cpu = Desk(folder), list[float]()
    try:
        yield made, cpu
    finally:
        made.process.send_signal(signal.SIGINT)
        _, _, usage = os.wait4(made.process.pid, 0)
        made.process.returncode = 0
        cpu.append(usage.ru_utime + usage.ru_stime)


def first_page() -> Waited:
    with fresh() as folder:
        letter.for_mailer(folder, 9)
        with desk(folder) as (made, cpu):
            made.enter()
            seconds = time.monotonic() - made.began
        return Waited(seconds={FIRST: seconds}, cpu=cpu[0])


def long_list(rows: int) -> Waited:
    """Upload a list, look at its preview, turn a page, search."""
    with fresh() as folder, fresh() as elsewhere:
        letter.for_mailer(folder, 9)
        given = contacts.make(elsewhere / CAMPAIGN_LIST, rows).path.read_bytes()
        with opened() as page, desk(folder) as (made, cpu):
            page.goto(made.page)
            page.goto(f"{made.base}/list")
            began = time.monotonic()
            page.locator("#file").set_input_files([{"name": "members.csv", "mimeType": "text/csv", "buffer": given}])
            page.get_by_role("button", name="Next: the letter").wait_for()
            seconds = {UPLOAD: time.monotonic() - began}
            began = time.monotonic()
            page.goto(f"{made.base}/preview?list=contacts/members.csv&letter={letter.NAME}", wait_until="commit")
            page.locator("#rows tr").first.wait_for()
            page.frame_locator("#message").locator("h1").wait_for()
            seconds[PREVIEW] = time.monotonic() - began
            seconds[NEXT] = timed(page, 'document.getElementById("after").click()')
            seconds[SEARCH] = timed(
                page,
                'const s = document.getElementById("search"); s.value = "berg"; s.dispatchEvent(new Event("input"))',
            )
        return Waited(seconds=seconds, cpu=cpu[0])


def timed(page: Page, what: str) -> float:
    """Seconds from a click until the table has other rows, by the browser's own clock."""
    script = f"""() => new Promise((done) => {{
      const began = performance.now();
      new MutationObserver(() => done(performance.now() - began)).observe(document.getElementById("rows"), {{ childList: true }});
      {what};
    }})"""
    return float(page.evaluate(script)) / 1000


def while_sending(rows: int) -> Waited:
    """Send to everybody; meanwhile the campaign is shown in a browser, and somebody asks for one page after another."""
    with fresh() as folder, smtp_sink(folder) as sink:
        letter.for_mailer(folder, sink.port)
        with (folder / "mailer.toml").open("a", encoding="utf-8") as file:
            file.write('rate = "100000/second"\nconnections = 5\n')
        contacts.make(folder / CAMPAIGN_LIST, rows)
        draft = {"list": CAMPAIGN_LIST.as_posix(), "letter": letter.NAME}
        with opened() as page, desk(folder) as (made, cpu):
            made.enter()
            seal = ready(made, urlencode(draft))
            made.post("/approve", **draft, seal=seal, name="Ana", looked="1")
            shown = made.ask("GET", f"/send?{urlencode(draft)}")[0]
            count = re.search(r"type the number of messages: ([\d,]+)", shown)
            if not count:
                raise Failed("the page does not say how many messages there are")
            made.post("/send", **draft, number=count[1])
            name, value = made.cookie.split("=", 1)
            page.context.add_cookies([{"name": name, "value": value, "url": made.base}])
            campaign = f"/campaign/{letter.NAME}--{CAMPAIGN_LIST.stem}"
            page.goto(made.base + campaign)
            page.locator('#progress:not([value="0"])').wait_for()
            answers = asked(made, campaign)
            block = float(page.evaluate("window.longestBlock")) / 1000
            made.post(f"{campaign}/pause")
            page.locator("#state", has_text=re.compile("paused|finished")).wait_for()
        return Waited(seconds={ANSWER: max(answers), BLOCK: block}, cpu=cpu[0])


def ready(made: Desk, query: str) -> str:
    """Wait until every message is checked; comes to the seal."""
    made.ask("GET", f"/preview?{query}")
    while not (said := json.loads(made.ask("GET", f"/preview/state?{query}")[0]))["seal"]:
        if said["error"]:
            raise Failed("the preview failed: " + " ".join(said["error"]))
        threading.Event().wait(0.1)
    return str(said["seal"])


def asked(made: Desk, campaign: str) -> list[float]:
    """Seconds for each of many answers."""
    took = []
    for turn in range(ASKED):
        began = time.monotonic()
        made.ask("GET", ("/", campaign, "/suppressed", "/list")[turn % 4])
        took.append(time.monotonic() - began)
    return took
