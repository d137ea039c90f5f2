"""`mailer web --public`: the page that takes unsubscribes."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from mailer.cli import console
from mailer.cli.options import JsonOption, settings_here
from mailer.cli.unlocking import ledger_key
from mailer.errors import UsageError


def web(
    *,
    public: Annotated[bool, typer.Option("--public", help="Serve the page that takes unsubscribes.")] = False,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="The port; 0 for any free one.")] = 8058,
    as_json: JsonOption = False,
) -> None:
    """Run the page that takes unsubscribes, and nothing else.

    It belongs behind a web server that speaks HTTPS, at the address that MAILER_UNSUBSCRIBE_URL names. It shows nobody's
    address, keeps no log, and sets no cookie. Ctrl-C ends it.

    \b
    Example:
      mailer web --public --port 8058
    """  # noqa: D301
    if not public:
        raise UsageError(
            "There is no page for campaigns yet; so far the commands do everything. Nothing was started.",
            hint="for the page that takes unsubscribes: mailer web --public",
        )
    from mailer.web.public_page import create_app  # noqa: PLC0415
    from mailer.web.serving import serve  # noqa: PLC0415

    settings = settings_here()
    app = create_app(settings.ledger_path, ledger_key(settings))

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

    try:
        asyncio.run(serve(app, host=host, port=port, ready=ready, anywhere=True))
    except KeyboardInterrupt:
        console.note("No more unsubscribes are taken by this page.")
