"""The standard library's `sendmail` in a loop, a thread for each connection: PORT CONNECTIONS MESSAGES FILE."""

import smtplib
import sys
import threading
from pathlib import Path


def work(port: int, messages: int, content: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example") as client:
        for _ in range(messages):
            client.sendmail("ana@example.org", ["comrade@example.org"], content)


def main(port: int, connections: int, messages: int, content: bytes) -> None:
    shares = [messages // connections + (number < messages % connections) for number in range(connections)]
    threads = [threading.Thread(target=work, args=(port, share, content)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), Path(sys.argv[4]).read_bytes())
