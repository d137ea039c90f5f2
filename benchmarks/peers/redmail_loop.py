"""redmail in a loop over a list, merging text and HTML, over one connection that stays: PORT LIST LETTER."""

import csv
import json
import sys
from pathlib import Path

from redmail import EmailSender


def main(port: int, contacts: Path, letter: Path) -> None:
    parts = json.loads(letter.read_text(encoding="utf-8"))
    account = EmailSender(host="127.0.0.1", port=port, use_starttls=False, local_hostname="client.example")
    account.connect()
    with contacts.open(encoding="utf-8", newline="") as file:
        for person in csv.DictReader(file):
            account.send(
                subject="Your branch can help",  # it does not merge a subject
                sender=parts["sender"],
                receivers=[person["email"]],
                text=parts["text"],
                html=parts["html"],
                body_params=person,
            )
    account.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
