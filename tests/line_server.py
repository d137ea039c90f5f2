"""Small servers for tests that answer from a thread: of a mailbox (IMAP, RFC 3501), and of DNS by TCP (RFC 7766)."""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


@contextlib.contextmanager
def running(talk: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """A server on a port of this computer."""
    with _Server(("127.0.0.1", 0), talk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


ANSWERS = {
    "CAPABILITY": "* CAPABILITY IMAP4rev1 ID MOVE IDLE",
    "SELECT": "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] valid",
    "SEARCH": "* SEARCH 1",
    "LIST": '* LIST () "/" "INBOX"',
    "LOGOUT": "* BYE",
}


@contextlib.contextmanager
def imap(mail: bytes, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[str]]]:
    """A mailbox with one mail that takes every login: its port, and what its clients said. TLS with a context."""
    heard: list[str] = []

    class Talk(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if context:
                self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def handle(self) -> None:
            self.wfile.write(b"* OK ready\r\n")
            for line in self.rfile:
                heard.append(line.decode("utf-8").rstrip("\r\n"))
                tag, *words = heard[-1].split(" ")
                word = words[1] if words[0] == "UID" else words[0]
                if word == "FETCH":
                    head = f'* 1 FETCH (UID 1 INTERNALDATE "01-Nov-2026 10:00:00 +0000" BODY[]<0> {{{len(mail)}}}\r\n'
                    self.wfile.write(head.encode("ascii") + mail + b")\r\n")
                elif word in ANSWERS:
                    self.wfile.write(f"{ANSWERS[word]}\r\n".encode("ascii"))
                self.wfile.write(f"{tag} OK done\r\n".encode("ascii"))

    with running(Talk) as port:
        yield port, heard


@contextlib.contextmanager
def dns_by_tcp(records: Mapping[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Answers from records such as {"union.alt TXT": '"v=spf1 -all"'}: its port, and what it was asked."""
    heard: list[str] = []

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = struct.unpack("!H", self.rfile.read(2))[0]
            question = dns.message.from_wire(self.rfile.read(length))
            [asked] = question.question
            name, kind = str(asked.name).rstrip("."), dns.rdatatype.to_text(asked.rdtype)
            heard.append(f"{name} {kind}")
            answer = dns.message.make_response(question)
            if heard[-1] in records:
                answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, records[heard[-1]]))
            elif not any(record.startswith(f"{name} ") for record in records):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            wire = answer.to_wire()
            self.wfile.write(struct.pack("!H", len(wire)) + wire)

    with running(Talk) as port:
        yield port, heard
