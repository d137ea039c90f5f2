"""`mailer mailbox`: a mail server that only collects."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from mailer.cli import console
from mailer.cli.options import JsonOption
from mailer.cli.unlocking import keep_outside


def mailbox(
    *,
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where the mail is kept.")] = Path("mailbox"),
    port: Annotated[int, typer.Option("--port", help="The port for mail; 0 for any free one.")] = 1025,
    web_port: Annotated[int, typer.Option("--web-port", help="The port of the page; 0 for any free one.")] = 8025,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a mail server that only collects, to try things out.

    Nothing leaves this computer: whatever is sent to it can be read on a page. Ctrl-C ends it; the mail stays.

    \b
    Example:
      mailer mailbox --open
    """  # noqa: D301
    from mailer.mailbox import CaptureServer  # noqa: PLC0415
    from mailer.web.mailbox_page import create_app  # noqa: PLC0415
    from mailer.web.serving import serve  # noqa: PLC0415

    keep_outside(folder)

    async def run() -> None:
        async with CaptureServer(folder, port=port) as server:

            def ready(page: str) -> None:
                if as_json:
                    console.emit({"smtp_port": server.port, "page": page, "folder": str(folder)})
                else:
                    announce(server.port, page, folder)
                sys.stdout.flush()  # whoever started it in a pipe waits for this
                if open_it:
                    webbrowser.open(page)

            await serve(create_app(folder), port=web_port, option="--web-port", ready=ready)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        console.note("The mailbox is closed.")


def announce(port: int, page: str, folder: Path) -> None:
    """Where to send to, and where to read it."""
    console.say(f"Collecting mail on     127.0.0.1 port {port}")
    console.say('To send to it, write   smtp_host = "127.0.0.1"')
    console.say(f"into mailer.toml       smtp_port = {port}")
    console.say(f"Read the mail at       {page}")
    console.say(f"Ctrl-C ends the mailbox; the mail stays in {folder}", sentence=True)
