r"""The command line: one table of commands, one module per family, each imported only when its command runs.

To add a command `greet`: write `mailer/cli/greet.py` with a function `greet` (`new.py` is the model) whose docstring
opens with one sentence for people and ends with an example after a line with only `\b`; add a line to COMMANDS with
the same sentence. A family with sub-commands gives a `typer.Typer` instead of a function. A test compares the sentences.

A command imports settings, contacts and other slow modules inside its function, raises MailerError for whatever must
end it, returns nothing for exit code 0 and raises `typer.Exit(code)` for another. Results go to standard output by
`console.say` or, with --json, by one `console.emit`; everything else goes to standard error by `console.note`.
"""

from __future__ import annotations

from typing import Any

COMMANDS = {
    "demo": ("mailer.cli.demo:demo", "Run the sample campaign from end to end on this computer."),
    "new": ("mailer.cli.new:new", "Make a folder for a campaign: a letter, a list and settings to start from."),
    "setup": ("mailer.cli.setup:setup", "Set up the mail account that sends, and test its login."),
    "check": ("mailer.cli.check:check", "Read a list and report every problem in it."),
    "preview": ("mailer.cli.preview:preview", "Show every message as it would be sent. Sends nothing."),
    "test": ("mailer.cli.trial:trial", "Send a few messages to your own address only."),
    "doctor": ("mailer.cli.doctor:doctor", "Look for what could keep your mail from arriving. Mails nobody."),
    "send": ("mailer.cli.send:send", "Send a campaign, or continue it."),
    "pause": ("mailer.cli.pausing:pause", "Pause a campaign that is being sent, here or elsewhere."),
    "status": ("mailer.cli.standing:status", "Show how far a campaign is."),
    "resolve": ("mailer.cli.decide:resolve", "Decide about messages of which nobody knows whether they arrived."),
    "retry": ("mailer.cli.decide:retry", "Queue failed messages again, and people who are no longer suppressed."),
    "report": ("mailer.cli.report:report", "Show and save what became of every message."),
    "suppress": ("mailer.cli.suppress:suppress", "Keep the list of addresses that must not be mailed."),
    "inbox": ("mailer.cli.inbox:inbox", "Fetch what came back: bounces, complaints, unsubscribes and replies."),
    "export": ("mailer.cli.personal:export", "Show everything that is kept about a person."),
    "erase": ("mailer.cli.personal:erase", "Forget people who ask for it, and never mail them again."),
    "purge": ("mailer.cli.retention:purge", "Forget everybody in campaigns that ended long ago."),
    "encrypt": (
        "mailer.cli.encrypting:encrypt",
        "Encrypt the ledger, or lists, so that nobody reads them without the key.",
    ),
    "decrypt": ("mailer.cli.encrypting:decrypt", "Make the ledger, or lists, readable for everybody again."),
    "ledger": (
        "mailer.cli.ledgers:ledger",
        "Move the ledger to PostgreSQL, or say that it was put back from a back-up.",
    ),
    "web": ("mailer.cli.web:web", "Do it all on a page: list, letter, preview, test, approve, send, report."),
    "worker": ("mailer.cli.worker:worker", "Send what was left to workers (mailer send --detach), until Ctrl-C."),
    "mailbox": ("mailer.cli.mailbox:mailbox", "Run a mail server that only collects, to try things out."),
}
"""Where each command stands and what it does, in the order of a campaign."""

PURPOSE = "Send an e-mail campaign: nobody is missed, and nobody is mailed twice."
OPTIONS = {"--version": "Show the version and end.", "-h, --help": "Show this message and exit."}
EPILOG = "Every command explains itself: mailer send --help. To see it all work at once: mailer demo"


def load(name: str) -> Any:
    """Import a command."""
    from mailer.cli import app  # noqa: PLC0415 - typer is slow

    return app.load(name)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Raises MailerError, UsageError for a wrong command line."""
    if arguments in (["--help"], ["-h"]):
        from mailer.cli.overview import show  # noqa: PLC0415

        show()
        return 0
    from mailer.cli import app  # noqa: PLC0415

    return app.run(arguments)
