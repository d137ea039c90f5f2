"""An error that nobody foresaw: what is said of it, and where its details are kept."""

from __future__ import annotations

import os
from pathlib import Path

from mailer.errors import MailerError, UsageError
from mailer.privacy import without_addresses


def scrubbed(text: str) -> str:
    """Without addresses and without the name of the home folder: this may be sent to strangers."""
    text = without_addresses(text, "(address removed)")
    home = os.path.expanduser("~")  # noqa: PTH111  Path.home() raises where there is none
    return text.replace(home, "~") if len(home) > 2 else text


def is_nowhere() -> bool:
    """Whether the folder that we are in was deleted, or the drive that it was on is gone: no command finds its settings there."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def bug(error: Exception) -> MailerError:
    """What to say of an error that nobody foresaw; its details go to a file, if it is a bug of ours."""
    import tempfile  # noqa: PLC0415 - hopefully never needed
    import traceback  # noqa: PLC0415

    from mailer.model import said  # noqa: PLC0415

    if is_nowhere():
        return UsageError(
            said("The folder in which mailer was started does not exist any more, or the drive that it is on is gone."),
            hint="bring it back, go into it once more with cd, and run the same command again",
        )
    text = scrubbed("".join(traceback.format_exception(error)))
    path = None
    for folder in (tempfile.gettempdir(), "."):
        try:
            descriptor, path = tempfile.mkstemp(prefix="mailer-bug-", suffix=".txt", dir=folder)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.write(text)
            break
        except OSError:
            path = None
    sentence = said("This is a bug in mailer, sorry. What happened could not be written to a file.")
    if path:
        sentence = said("This is a bug in mailer, sorry. What happened is written in {file}", file=Path(path))
    hint = "Running the same command again is safe. Please report the file; e-mail addresses were removed from it."
    return MailerError(sentence, hint=hint)
