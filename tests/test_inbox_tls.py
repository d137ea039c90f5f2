"""A mailbox over TLS and STARTTLS: a real Dovecot's certificate is taken only if it is right."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_servers
from smtp_certificate import Certificate

from mailer.errors import Paused
from mailer.inbox.mailbox import Access, OpenMailbox
from mailer.model import Security

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Dovecot is not for Windows")

BOTH = (Security.STARTTLS, Security.TLS)
FURTHER = """\
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
service imap-login {{
  inet_listener imaps {{
    address = 127.0.0.1
    port = {port}
    ssl = yes
  }}
}}
"""


def serving(made: Certificate) -> Iterator[dict[Security, int]]:
    port = real_servers.free_port()
    further = FURTHER.format(certificate=made.certificate, key=made.key, port=port)
    with real_servers.server_folder() as folder:
        uid, gid = real_servers.nobody()
        maildir = folder / "mail"
        maildir.mkdir()
        real_servers.shutil.chown(maildir, uid, gid)
        with real_servers.dovecot(folder, maildir, further=further) as mailbox:
            yield {Security.STARTTLS: mailbox.port, Security.TLS: port}


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("right"))


@pytest.fixture(scope="module")
def good(right: Certificate) -> Iterator[dict[Security, int]]:
    real_servers.require("dovecot")
    yield from serving(right)


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("strange"), host="mail.other.test")


@pytest.fixture(scope="module")
def misnamed(strange: Certificate) -> Iterator[dict[Security, int]]:
    real_servers.require("dovecot")
    yield from serving(strange)


def access(ports: dict[Security, int], security: Security) -> Access:
    return Access(host="localhost", port=ports[security], security=security, username="reader", password="sample")


def trust(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    """As if it stood among those that this computer trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.parametrize("security", BOTH)
def test_a_certificate_that_is_right_is_taken(
    good: dict[Security, int], right: Certificate, security: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(monkeypatch, right.certificate)
    with OpenMailbox(access(good, security)) as box:
        assert box.validity > 0


@pytest.mark.parametrize("security", BOTH)
def test_a_certificate_that_nobody_vouches_for_is_refused(good: dict[Security, int], security: Security) -> None:
    with pytest.raises(Paused, match=r"its certificate is not valid \(self-signed certificate\)"):
        OpenMailbox(access(good, security))


@pytest.mark.parametrize("security", BOTH)
def test_a_certificate_of_another_host_is_refused(
    misnamed: dict[Security, int], strange: Certificate, security: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(monkeypatch, strange.certificate)
    with pytest.raises(Paused, match=r"its certificate is not valid \(Hostname mismatch"):
        OpenMailbox(access(misnamed, security))


def test_tls_at_a_port_that_begins_without_says_which_is_usual(good: dict[Security, int]) -> None:
    ports = {Security.TLS: good[Security.STARTTLS]}
    with pytest.raises(Paused, match="does not begin with TLS"):
        OpenMailbox(access(ports, Security.TLS))
