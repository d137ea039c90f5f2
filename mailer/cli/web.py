"""`mailer web`: the organiser's page on this computer, and with --public the one that takes unsubscribes."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.bugs import bug
from mailer.cli.options import JsonOption, refuse_other_folder, settings_here
from mailer.cli.unlocking import is_encrypted, ledger_key, open_ledger, unlocking
from mailer.errors import Refused, UsageError

if TYPE_CHECKING:
    from mailer.settings import Settings
    from mailer.web.journey import Means

PORT, PUBLIC_PORT = 8026, 8058
SECRET = re.compile(r"MAILER_\w*(PASSPHRASE|PASSWORD|SECRET|TOKEN)", re.IGNORECASE)


def web(
    *,
    public: Annotated[bool, typer.Option("--public", help="Serve only the page that takes unsubscribes.")] = False,
    host: Annotated[
        str | None, typer.Option("--host", help="With --public: the address to listen on (127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="The port; 0 for any free one (8026, with --public 8058).")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Do it all on a page: list, letter, preview, test, approve, send, report.

    The page opens in the browser of this computer, and answers nobody else. It uses the same folder and the same ledger as the
    commands: what is begun here can be continued there. Ctrl-C ends it, and pauses what it is sending. Whoever was only waiting to
    be tried again is so by the page that is opened next.

    With --public it is another page, which takes unsubscribes and shows nothing else. It belongs behind a web server that
    speaks HTTPS, at the address that MAILER_UNSUBSCRIBE_URL names. It keeps no log and sets no cookie.

    \b
    Examples:
      mailer web
      mailer web --public --port 8058
    """  # noqa: D301
    if public:
        take_unsubscribes(host or "127.0.0.1", PUBLIC_PORT if port is None else port, as_json=as_json)
        return
    if host:
        raise UsageError(
            "--host is for --public only: this page shows everybody's addresses, and answers on this computer alone.",
            hint="leave it out; from another computer, use an SSH tunnel",
        )
    show_journey(port, open_it=open_it, as_json=as_json)


def show_journey(port: int | None, *, open_it: bool, as_json: bool) -> None:
    """Serve the organiser's page until Ctrl-C."""
    from mailer.web.journey import create_app  # noqa: PLC0415
    from mailer.web.serving import serve  # noqa: PLC0415

    settings = settings_here()
    refuse_other_folder(settings)
    journey = create_app(means_of(settings))

    def ready(page: str) -> None:
        journey.begin()
        address = page.rstrip("/") + journey.ticket()
        if as_json:
            console.emit({"page": address})
        else:
            console.say(f"The page is at  {address}")
            console.say("It opens once with this address. Ctrl-C ends it.")
        for name in journey.goes_on_with:
            console.note(f"Campaign {name} goes on by itself, as it was to when the page was closed.")
        sys.stdout.flush()  # whoever started it in a pipe waits for this
        if open_it:
            open_browser(address)

    async def run() -> None:
        try:
            await serve(journey.app, port=PORT if port is None else port, ready=ready, ending=journey.end)
        except Refused:
            if port is not None:
                raise
            await serve(journey.app, port=0, ready=ready, ending=journey.end)  # another folder's page has the usual one
        finally:
            await asyncio.shield(journey.shut())

    with ended("The page has ended."):
        asyncio.run(run())


def open_browser(address: str) -> None:
    """Open the address. A browser, and all that is begun from it, has no business with what unlocks the folder."""
    secret = {name: text for name, text in os.environ.items() if SECRET.fullmatch(name)}
    for name in secret:
        del os.environ[name]
    try:
        webbrowser.open(address)
    finally:
        os.environ.update(secret)


def means_of(settings: Settings) -> Means:
    """How the page gets at the campaign folder: as every command does."""
    from mailer import settings as settings_module  # noqa: PLC0415
    from mailer.campaign import apart  # noqa: PLC0415
    from mailer.web.journey import Means  # noqa: PLC0415

    # asked here, where there is a terminal; a passphrase that is typed is handed on to the commands that the page runs
    key = ledger_key(settings)
    typed = {"MAILER_PASSPHRASE": passphrase} if key and (passphrase := key_words(settings)) else {}
    os.environ.update(typed)
    return Means(
        folder=Path(),
        settings=settings_module.load,
        ledger=open_ledger,
        unlock=unlocking,
        encrypted=is_encrypted,
        command=tuple(apart.command("mailer.__main__", "main")),
        environment=typed,
        bug=bug,
        warn=partial(console.note, style="yellow"),
    )


def key_words(settings: Settings) -> str | None:
    """The passphrase that somebody has just typed, if it was one."""
    from mailer.cli.unlocking import asked  # noqa: PLC0415

    if settings.passphrase is not None or not asked.cache_info().currsize:
        return None
    return asked("Passphrase: ")


def take_unsubscribes(host: str, port: int, *, as_json: bool) -> None:
    """Serve the page that takes unsubscribes, and nothing else, until Ctrl-C."""
    from mailer.web.public_page import create_app  # noqa: PLC0415
    from mailer.web.serving import serve  # noqa: PLC0415

    settings = settings_here()
    app = create_app(settings.ledger_place, ledger_key(settings))

    def ready(page: str) -> None:
        if as_json:
            console.emit({"page": page, "unsubscribe_url": settings.unsubscribe_url})
        else:
            console.say(f"Taking unsubscribes at  {page}")
            console.say(
                f"Letters link to         {settings.unsubscribe_url or 'nothing: MAILER_UNSUBSCRIBE_URL is not set'}"
            )
            console.say("Ctrl-C ends it.")
        sys.stdout.flush()  # whoever started it in a pipe waits for this

    with ended("No more unsubscribes are taken by this page."):
        asyncio.run(serve(app, host=host, port=port, ready=ready, anywhere=True))


@contextmanager
def ended(words: str) -> Iterator[None]:
    """Ctrl-C is the usual end of a page."""
    try:
        yield
    except KeyboardInterrupt:
        console.note(words)
