"""For comparison: an honest sender as many write it, which notes a recipient after the server's 250, killed alike.

It is careful in its way: it notes each recipient at once, with fsync, and continues from its notes. It fails all the same,
since between the server's yes and its own note there is a moment, and a kill in that moment mails somebody twice.
"""

from __future__ import annotations

import os
import random
import signal
import smtplib
import time
from collections import Counter
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

from .oracle import Oracle
from .stage import USUAL

PEOPLE = 60
KILLS = 5


def send_all(folder: Path, port: int, people: list[str]) -> None:
    """Send to everybody who is not in the notes."""
    path = folder / "done.txt"
    done = set(path.read_text(encoding="utf-8").split()) if path.exists() else set()
    with path.open("a", encoding="utf-8", newline="\n") as notes, smtplib.SMTP("127.0.0.1", port) as server:
        for address in people:
            if address in done:
                continue
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = "office@example.org", address, "News"
            message["Message-ID"] = f"<{address.partition('@')[0]}@example.org>"
            message.set_content("Please write to them today.\n")
            server.send_message(message)
            notes.write(address + "\n")
            notes.flush()
            os.fsync(notes.fileno())


def trial(folder: Path, chance: random.Random, rules: Sequence[str] = USUAL) -> tuple[int, int, int]:
    """Kill it some times while messages leave, at moments chosen as for mailer. Returns kills, duplicated, missed."""
    people = [f"p{number}@example.org" for number in range(1, PEOPLE + 1)]
    oracle = Oracle(folder, rules)
    oracle.start()
    kills = 0
    try:
        for number in range(KILLS + 1):
            pid = os.fork()
            if pid == 0:
                try:
                    send_all(folder, oracle.port, people)
                finally:
                    os._exit(0)
            if number < KILLS:
                wanted = oracle.count() + chance.randint(1, 12)
                while (
                    oracle.count() < wanted and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
                ):
                    time.sleep(0.0005)
                time.sleep(chance.uniform(0, 0.004))
                os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            kills += os.WIFSIGNALED(status)
    finally:
        oracle.stop()
    received = Counter(address for message in oracle.accepted() for address in message.recipients)
    return kills, sum(received.values()) - len(received), len(set(people) - received.keys())
