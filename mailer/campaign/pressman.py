"""A process that renders messages for `presses`, a few hundred contacts at a time; it sends and writes nothing."""

from __future__ import annotations

import pickle
import signal
import sys

from mailer import contacts, merge
from mailer.campaign import apart
from mailer.campaign.frozen import Recorded
from mailer.campaign.rendering import Job, Press, Sheet


def main() -> None:
    """Render slices from standard input to standard output until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then closes our input
    answers = apart.answers()
    try:
        job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the program that started us, by a pipe of its own
    except EOFError:
        return  # it stood by, and was not needed
    files = Recorded(job.folder)
    template = merge.load(job.template, files)
    if files.digests != job.digests:
        sys.exit("the letter was changed meanwhile")
    press = Press(
        template=template,
        identity=job.identity,
        secret=job.secret,
        campaign=job.campaign,
        list_path=job.list_path,
        watched=job.watched,
    )
    while True:
        try:
            part: contacts.Slice = pickle.load(sys.stdin.buffer)  # noqa: S301
        except EOFError:
            return
        sheet = Sheet(rendered=press.render(contacts.made(part, job.tables)), digests=files.digests)
        pickle.dump(sheet, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()
