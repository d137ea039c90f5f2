"""Encrypted at rest: the ledger, the lists, and nothing readable beside them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import imaplib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pyrage
import pytest
import real_servers
import returned_mails
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import example, given
from hypothesis import strategies as st
from journey import LETTER, Journey, as_csv, beginning
from smtp_server import Accepted

from mailer import age, contacts, settings
from mailer.age import Opener
from mailer.cli.unlocking import open_ledger
from mailer.errors import CampaignError, ListError, LockedError
from mailer.ledger import Intent, Ledger, Writer, cipher
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.conversion import convert

KEY = age.new_key()
WORDS = "five words that nobody guesses"


# -- the search: is any byte of an address in a file?


def forms(text: str) -> list[bytes]:
    """What a text may look like in a file: as it is, in UTF-16, in base64 wherever it begins there."""
    raw = text.encode()
    turned = [base64.b64encode(bytes(at) + raw)[-(-at * 4 // 3) : -4] for at in range(3)]
    return [raw, text.encode("utf-16-le"), text.encode("utf-16-be"), *turned]


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and whatever in them was compressed."""
    yield data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", data):
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj(47).decompress(data[found.start() :], 1 << 20)


def told(folder: Path, words: list[str]) -> list[str]:
    """The files in which any of these words is found."""
    searched = [form for word in words for form in (*forms(word), *forms(word.upper()))]
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(form in part for part in unpacked(path.read_bytes()) for form in searched)
    ]


ODD = [f"quirinalis-{number:03}" for number in range(24)]
"""Local parts that nothing else in a folder looks like."""


@pytest.mark.parametrize(
    "hidden",
    [
        lambda text: text.encode(),
        lambda text: text.upper().encode(),
        lambda text: text.encode("utf-16"),
        lambda text: base64.b64encode(b"1" + text.encode()),
        lambda text: base64.b64encode(b"22" + text.encode()),
        lambda text: base64.b64encode(text.encode() + b"333"),
        lambda text: b"..." + zlib.compress(text.encode() * 9) + b"...",
    ],
)
def test_the_search_finds_an_address_however_it_was_written(tmp_path: Path, hidden: object) -> None:
    (tmp_path / "file").write_bytes(b"x" * 77 + hidden(f"{ODD[3]}@example.org"))
    assert told(tmp_path, ODD) == ["file"]


# -- the whole of it


def rows() -> list[dict[str, str]]:
    return [{"name": "Pat", "email": f"{odd}@example.org", "city": "Utrecht"} for odd in ODD]


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """A campaign folder with an encrypted ledger; the key lies outside of it."""
    with beginning(tmp_path / "campaign", rows=rows()) as begun:
        begun.key = {"MAILER_PASSPHRASE_FILE": str(tmp_path / "key.txt")}
        yield begun


def encrypt(journey: Journey) -> None:
    """As an organiser does it who has no keyring: first the ledger, then the list."""
    ran = journey.call("encrypt", "--yes", "--save-key", "../key.txt")
    assert ran.code == 0, ran
    assert journey.call("encrypt", "list.csv", "--remove", settings=journey.key).code == 0
    assert not (journey.folder / "list.csv").exists()
    journey.list = "list.csv.age"


def test_with_encryption_no_byte_of_any_address_is_in_any_file_of_the_folder(journey: Journey) -> None:
    assert told(journey.folder, ODD) == ["list.csv"]
    encrypt(journey)
    clean: list[str] = []

    def call(*words: str, code: int = 0) -> str:
        ran = journey.call(*words, settings=journey.key)
        assert ran.code == code, ran
        assert told(journey.folder, ODD) == clean, words
        return ran.said

    assert f"{len(ODD)}" in call("check", "list.csv.age")
    call("check", "list.csv.age", "--problems", "problems.csv", code=2)
    assert "No gallery was written" in call("preview", "appeal", "list.csv.age")
    call("preview", "appeal", "list.csv.age", "--out", "looks", code=2)
    call("preview", "appeal", "list.csv.age", "--out", "../looks")
    assert told(journey.folder.parent / "looks", ODD)
    call("suppress", "add", f"{ODD[0]}@example.org")

    crash = journey.key | {"MAILER_CRASH_AT": "after-dot:5"}
    killed = journey.start("send", "appeal", "list.csv.age", "--yes", settings=crash).ended()
    assert killed.code not in {0, 1, 2, 3, 4}
    assert (journey.folder / "mailer.db-wal").stat().st_size
    assert told(journey.folder, ODD) == clean
    call("status", "appeal--list")
    call("send", "appeal", "list.csv.age", "--yes", "--processes", "2", "--connections", "2", code=1)
    call("resolve", "appeal--list", "--as", "sent")
    call("report", "appeal--list")
    call("report", "appeal--list", "--csv", "report.csv", code=2)
    call("report", "appeal--list", "--html", "report.html", code=2)
    call("report", "appeal--list", "--csv", "../report.csv", "--html", "../report.html")
    call("report", "appeal--list", "--counts-only", "--csv", "counts.csv", "--html", "counts.html")
    call("mailbox", code=2)
    call("suppress", "list")
    call("encrypt")
    assert set(journey.accepted()) == {f"{odd}@example.org" for odd in ODD[1:]}
    assert max(journey.accepted().values()) == 1

    clean.append("mailer.db")
    call("decrypt", "--yes")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Dovecot is not for Windows")
def test_what_comes_back_leaves_no_address_either(journey: Journey) -> None:
    real_servers.require("dovecot")
    encrypt(journey)
    assert journey.call("send", "appeal", "list.csv.age", "--yes", settings=journey.key).code == 0
    with real_servers.server_folder() as folder:
        (folder / "Maildir").mkdir()
        shutil.chown(folder / "Maildir", *real_servers.nobody())
        with real_servers.dovecot(folder, folder / "Maildir") as mailbox:
            there = {"HOST": "127.0.0.1", "PORT": str(mailbox.port), "SECURITY": "none", "USERNAME": "reader"}
            there["PASSWORD"] = "sample"
            with imaplib.IMAP4("127.0.0.1", mailbox.port, timeout=30) as client:
                client.login("reader", "sample")
                client.append("INBOX", None, None, bounced(journey.server.accepted[3]))
            settings = journey.key | {f"MAILER_IMAP_{name}": value for name, value in there.items()}
            ran = journey.call("inbox", "--json", settings=settings)
    assert (ran.code, ran.data["suppressed"]) == (0, 1), ran
    assert told(journey.folder, ODD) == []


def bounced(message: Accepted) -> bytes:
    """What a server says of a message to an address that is dead."""
    words = f"550 5.1.1 <{message.rcpt_to[0]}>: User unknown"
    values = {"to": "campaign@example.org", "address": message.rcpt_to[0], "id": message.message_id, "words": words}
    return returned_mails.mail(returned_mails.POSTFIX, **values, action="failed", status="5.1.1")


@pytest.mark.thorough
def test_while_a_campaign_is_sent_its_ledger_is_unreadable_and_never_in_temporary_files(journey: Journey) -> None:
    encrypt(journey)
    settings = journey.key | {"MAILER_RATE": "16/second"}
    running = journey.start("send", "appeal", "list.csv.age", "--yes", settings=settings)
    seen = []
    while running.process.poll() is None:
        seen += told(journey.folder, ODD)
    assert running.ended().code == 0
    assert seen == []
    assert (len(journey.accepted()), max(journey.accepted().values())) == (len(ODD), 1)


def test_an_organiser_is_told_what_can_still_be_read(journey: Journey) -> None:
    assert journey.call("preview", "appeal", "list.csv").code == 0
    ran = journey.call("encrypt", "--yes", "--save-key", "../key.txt")
    left = ran.err.partition("Still readable")[2].split()
    assert "list.csv" in left
    assert str(Path("preview") / "eml") in left
    # and that an encrypted list beside a readable ledger protects little
    journey.call("decrypt", "--yes", settings=journey.key)
    journey.call("encrypt", "list.csv", "--remove", settings=journey.key)
    ran = journey.call("preview", "appeal", "list.csv.age", settings=journey.key)
    assert "the ledger, which gets its addresses, is not" in ran.err


# -- the ledger


@pytest.fixture
def key() -> LedgerKey:
    return cipher.new_key(KEY)


def lying(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def filled(path: Path, key: LedgerKey | None = None) -> list[str]:
    """A ledger with people in it; its contents as statements."""
    with Ledger(path, key=key) as ledger:
        ledger.suppress(((f"{odd}@example.org", "asked") for odd in ODD), source="by hand")
    return contents(path, key)


def contents(path: Path, key: LedgerKey | None) -> list[str]:
    with contextlib.closing(cipher.connect(path, key, timeout=5)) as connection:
        version = str(connection.execute("PRAGMA user_version").fetchone())
        tables = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        ).fetchall()
        names = [name for name, sql in tables if sql.startswith("CREATE TABLE")]
        return [
            version,
            *map(str, tables),
            *(str(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in names),
        ]


@pytest.mark.parametrize("secret", [KEY, WORDS], ids=["key", "passphrase"])
def test_a_ledger_is_the_same_after_it_was_encrypted_and_decrypted(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "mailer.db"
    before, new = filled(path), cipher.new_key(secret)
    assert told(tmp_path, ODD) == ["mailer.db"]
    convert(path, old=None, new=new)
    assert (told(tmp_path, ODD), lying(tmp_path)) == ([], ["mailer.db"])
    assert cipher.opener(path) is age.opener_of(secret)
    assert contents(path, cipher.key_of(path, secret)) == before
    convert(path, old=new, new=None)
    assert (contents(path, None), lying(tmp_path)) == (before, ["mailer.db"])


def test_two_ledgers_under_one_secret_have_two_keys() -> None:
    assert cipher.new_key(KEY) != cipher.new_key(KEY)
    assert cipher.new_key(KEY).raw.hex() not in repr(cipher.new_key(KEY))


@pytest.mark.parametrize(("secret", "word"), [(KEY, "key"), (WORDS, "passphrase")], ids=["key", "passphrase"])
def test_without_the_right_key_a_ledger_is_refused_and_left_as_it_is(tmp_path: Path, secret: str, word: str) -> None:
    path = tmp_path / "mailer.db"
    filled(path, cipher.new_key(secret))
    before = path.read_bytes()
    with pytest.raises(LockedError, match="is encrypted"):
        Ledger(path)
    with pytest.raises(LockedError, match=f"its {word} is missing or wrong") as refused:
        Ledger(path, key=cipher.key_of(path, age.new_key()))
    assert "MAILER_PASSPHRASE_FILE" in (refused.value.hint or "")
    assert path.read_bytes() == before


@pytest.mark.parametrize(("point", "encrypted"), [("before-exchange", False), ("after-exchange", True)])
def test_a_crash_while_encrypting_leaves_one_whole_ledger(
    tmp_path: Path, key: LedgerKey, point: str, encrypted: bool
) -> None:
    path = tmp_path / "mailer.db"
    before = filled(path)
    program = (
        "import sys; from pathlib import Path; from mailer.ledger.cipher import LedgerKey\n"
        "from mailer.ledger.conversion import convert\n"
        "salt, raw = map(bytes.fromhex, sys.stdin.read().split())\n"
        f"convert(Path({str(path)!r}), old=None, new=LedgerKey(salt=salt, raw=raw))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=f"{key.salt.hex()} {key.raw.hex()}".encode(),
        env=os.environ | {"MAILER_CRASH_AT": point},
        timeout=60,
    )
    if os.name != "posix" and point == "after-exchange":
        pytest.skip("on Windows nothing is done after the exchange")
    assert done.returncode not in {0, 1}
    now = key if encrypted else None
    assert contents(path, now) == before
    if encrypted:
        assert told(tmp_path, ODD) == []
    # whatever the crash left, the next one clears away
    convert(path, old=now, new=key)
    assert (contents(path, key), lying(tmp_path), told(tmp_path, ODD)) == (before, ["mailer.db"], [])


OPEN = "import sys; from pathlib import Path; from mailer.ledger import Ledger; ledger = Ledger(Path(sys.argv[1]))\n"


def test_a_ledger_that_another_program_has_open_is_not_converted(tmp_path: Path, key: LedgerKey) -> None:
    path = tmp_path / "mailer.db"
    before = filled(path)
    program = OPEN + "print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline().strip() == b"open"
        with pytest.raises(CampaignError, match="Another program has the ledger"):
            convert(path, old=None, new=key)
        other.communicate(timeout=30)
    assert contents(path, None) == before
    assert told(tmp_path, ODD) == ["mailer.db"]


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux says who has a file open")
def test_whoever_waits_to_open_it_meanwhile_does_not_get_the_old_file(
    tmp_path: Path, key: LedgerKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no name any more: what was sent from it would be forgotten, and sent again."""
    path = tmp_path / "mailer.db"
    filled(path)
    waiting: list[subprocess.Popen[bytes]] = []

    def at_the_exchange(point: str) -> None:
        if point == "before-exchange":
            waiting.append(subprocess.Popen([sys.executable, "-c", OPEN, str(path)], stderr=subprocess.PIPE))
            deadline = time.monotonic() + 30
            while not has_open(waiting[0].pid, path):
                assert time.monotonic() < deadline
                assert waiting[0].poll() is None

    monkeypatch.setattr("mailer.crashpoint.pass_through", at_the_exchange)
    convert(path, old=None, new=key)
    [other] = waiting
    said = other.communicate(timeout=90)[1].decode()
    assert other.returncode == 1
    assert "is encrypted. It was not opened" in said
    assert lying(tmp_path) == ["mailer.db"]


def has_open(process: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return any(one.resolve() == path for one in Path(f"/proc/{process}/fd").iterdir())
    return False


async def test_an_encrypted_ledger_is_written_with_the_same_durability(tmp_path: Path, key: LedgerKey) -> None:
    path = tmp_path / "mailer.db"
    settings = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with Ledger(path, key=key) as encrypted, Ledger(tmp_path / "plain.db") as plain:
        assert [encrypted._one(f"PRAGMA {name}") for name in settings] == [
            plain._one(f"PRAGMA {name}") for name in settings
        ]
        assert encrypted._one("PRAGMA temp_store") == (2,)
    # what SQLite says becomes a sentence there, too
    with Ledger(path, key=key) as ledger:
        async with Writer(ledger) as writer:
            with contextlib.closing(cipher.connect(path, key, timeout=5)) as breaker:
                breaker.execute("DROP TABLE deliveries")
            with pytest.raises(Exception, match=r"The ledger .* cannot be used"):
                await writer.write(intent=Intent(delivery=1, token="me", account="a", domain="b", at=0.0))


# -- lists


@given(st.binary(max_size=300))
@example(b"")
def test_what_was_encrypted_comes_back(data: bytes) -> None:
    encrypted = age.encrypt(data, KEY)
    assert age.opener(encrypted) is Opener.KEY
    assert age.decrypt(encrypted, lambda _: KEY.lower()) == data


@given(st.binary(min_size=1, max_size=600), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_file_is_a_sentence_whatever_is_wrong_with_it(data: bytes, at: int, change: int) -> None:
    encrypted = bytearray(age.encrypt(data, KEY))
    encrypted[at % len(encrypted)] ^= change
    if age.opener(bytes(encrypted)):
        with pytest.raises(LockedError):
            age.decrypt(bytes(encrypted), lambda _: KEY)
    with pytest.raises(LockedError):
        age.decrypt(age.encrypt(data, KEY)[:-1], lambda _: KEY)


def test_files_that_the_program_age_makes_are_known_by_their_first_lines() -> None:
    there = pyrage.x25519.Identity.from_str(KEY).to_public()
    for armored in (False, True):
        assert age.opener(pyrage.encrypt(b"x", [there], armored=armored)) is Opener.KEY
    assert age.decrypt(pyrage.encrypt(b"x", [there], armored=True), lambda _: KEY) == b"x"
    scrypt = b"age-encryption.org/v1\n-> scrypt g70BF4wt2Wu1a5B1lfuQYw 19\nQnwcoz8PiF6Pd5hfqm7ATF"
    assert age.opener(scrypt) is age.opener(age.ARMOR + b"\n" + base64.encodebytes(scrypt)) is Opener.PASSPHRASE
    assert age.opener(b"name,email\n") is age.opener(b"") is age.opener(age.ARMOR) is None


def by_the_book(data: bytes, passphrase: str, *, work: int = 2) -> bytes:
    """An age file as its specification has it (c2sp.org/age), with less work than a program would choose."""

    def derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)

    def text(raw: bytes) -> bytes:
        return base64.b64encode(raw).rstrip(b"=")

    file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    label = b"age-encryption.org/v1/scrypt" + salt
    wrapping = hashlib.scrypt(passphrase.encode(), salt=label, n=2**work, r=8, p=1, dklen=32)
    wrapped = ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)
    header = b"age-encryption.org/v1\n-> scrypt %s %d\n%s\n---" % (text(salt), work, text(wrapped))
    mac = hmac.digest(derived(file_key, b"", b"header"), header, "sha256")
    sealed = ChaCha20Poly1305(derived(file_key, nonce, b"payload")).encrypt(bytes(11) + b"\1", data, None)
    return header + b" " + text(mac) + b"\n" + nonce + sealed


@pytest.mark.thorough
def test_a_passphrase_opens_a_list_however_a_system_writes_its_letters() -> None:
    assert age.opener(age.encrypt(b"x", WORDS)) is Opener.PASSPHRASE
    encrypted = by_the_book(b"name,email", "caf\u00e9 m\u00fcnchen")
    assert age.decrypt(encrypted, lambda _: "cafe\u0301 mu\u0308nchen") == b"name,email"
    with pytest.raises(LockedError, match="the passphrase does not open it"):
        age.decrypt(encrypted, lambda _: WORDS)


def as_workbook(people: list[dict[str, str]]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in [list(people[0]), *(list(person.values()) for person in people)]:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize("name", ["people.csv", "people.xlsx", "people.tsv"])
def test_an_encrypted_list_is_read_as_the_readable_one_with_its_problems(tmp_path: Path, name: str) -> None:
    people = [
        *rows()[:5],
        {"name": "Bo", "email": "nowhere", "city": ""},
        {"name": "", "email": "", "city": ""},
        rows()[0],
    ]
    data = as_workbook(people) if name.endswith("xlsx") else as_csv(people).encode()
    data = data.replace(b",", b"\t") if name.endswith("tsv") else data
    (tmp_path / name).write_bytes(data)
    (tmp_path / f"{name}.age").write_bytes(age.encrypt(data, KEY))
    plain = contacts.read(tmp_path / name)
    encrypted = contacts.read(tmp_path / f"{name}.age", unlock=lambda _: KEY)
    assert list(encrypted) == list(plain)
    assert (encrypted.rows, encrypted.duplicates, encrypted.blank) == (plain.rows, plain.duplicates, plain.blank)
    assert [(one.row, one.code, one.message) for one in encrypted.problems] == [
        (one.row, one.code, one.message) for one in plain.problems
    ]
    assert lying(tmp_path) == [name, f"{name}.age"]


def test_a_list_without_its_key_and_one_that_is_none_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "people.csv.age"
    path.write_bytes(age.encrypt(as_csv(rows()).encode(), KEY))
    with pytest.raises(LockedError, match="no key"):
        contacts.read(path)
    with pytest.raises(LockedError, match=r"people\.csv\.age: .*the key does not open it"):
        contacts.read(path, unlock=lambda _: age.new_key())
    with pytest.raises(LockedError, match="mistyped"):
        contacts.read(path, unlock=lambda _: KEY[:-1] + ("Q" if KEY[-1] != "Q" else "P"))
    path.write_bytes(as_csv(rows()).encode())
    with pytest.raises(ListError, match="is not encrypted"):
        contacts.read(path, unlock=lambda _: KEY)


def test_a_list_is_corrected_and_encrypted_again_and_no_other_file_is_ever_replaced(journey: Journey) -> None:
    encrypt(journey)
    list_, encrypted = journey.folder / "list.csv", journey.folder / "list.csv.age"
    assert journey.call("decrypt", "list.csv.age", settings=journey.key).code == 0
    assert "already there" in journey.call("decrypt", "list.csv.age", settings=journey.key).err
    list_.write_text(as_csv(rows()[:3]), encoding="utf-8", newline="")
    assert journey.call("encrypt", "list.csv", "--remove", settings=journey.key).code == 0
    ran = journey.call("check", "list.csv.age", "--json", settings=journey.key)
    assert (ran.data["rows"], list_.exists()) == (3, False)

    strange = age.encrypt(b"of somebody else", age.new_key())
    encrypted.write_bytes(strange)
    list_.write_text(as_csv(rows()), encoding="utf-8", newline="")
    ran = journey.call("encrypt", "list.csv", "--remove", settings=journey.key)
    assert (ran.code, "already there" in ran.err) == (2, True)
    assert (encrypted.read_bytes(), list_.exists()) == (strange, True)
    ran = journey.call("encrypt", "list.csv.age", settings=journey.key)
    assert (ran.code, "encrypted already" in ran.err) == (2, True)


def test_a_look_up_table_may_be_encrypted_as_well(journey: Journey) -> None:
    encrypt(journey)
    table = b"city,office\nUtrecht,Oudegracht 1\n"
    journey.write("offices.csv.age", age.encrypt(table, (journey.folder.parent / "key.txt").read_text().split("\n")[1]))
    letter = LETTER.replace("required", "lookups: {office: {table: offices.csv.age, on: city}}\nrequired")
    journey.write("templates/appeal.md", letter + "\n{{ office.office }}\n")
    ran = journey.call("preview", "appeal", "list.csv.age", "--out", "../looks", settings=journey.key)
    assert ran.code == 0, ran
    assert told(journey.folder.parent / "looks", ["Oudegracht"])


# -- the commands


RING = """
from pathlib import Path
from keyring.backend import KeyringBackend
class Ring(KeyringBackend):
    priority = 1
    file = Path(__file__).with_name("ring.txt")
    def get_password(self, service, username):
        return self.file.read_text() if self.file.exists() and username == "encryption key" else None
    def set_password(self, service, username, password): self.file.write_text(password)
"""


@pytest.mark.thorough
def test_a_new_key_is_kept_in_the_keyring_shown_once_and_good_on_another_computer(
    journey: Journey, tmp_path: Path
) -> None:
    (tmp_path / "rings.py").write_text(RING, encoding="utf-8")
    ring = {"PYTHON_KEYRING_BACKEND": "rings.Ring", "PYTHONPATH": str(tmp_path)}
    ran = journey.run("encrypt", "--yes", settings=ring)
    assert ran.code == 0, ran
    [shown] = age.KEY.findall(ran.said)
    assert "If it is lost, they are lost" in ran.err
    assert ran.err.index("If it is lost") < ran.err.index(shown)
    assert journey.run("suppress", "add", "eve@example.org", settings=ring).code == 0
    again = journey.run("encrypt", "list.csv", "--remove", settings=ring)
    assert (again.code, age.KEY.findall(again.said)) == (0, [])

    # another computer: no keyring, and the key as it was written down, in small letters
    assert journey.call("status").code == 2
    (tmp_path / "written down").write_text(shown.lower() + "\n", encoding="ascii")
    elsewhere = {"MAILER_PASSPHRASE_FILE": "../written down"}
    assert "eve@example.org" in journey.call("suppress", "list", settings=elsewhere).out
    assert journey.call("check", "list.csv.age", settings=elsewhere).code == 0


@pytest.mark.thorough
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_passphrase_is_asked_for_unseen_and_confirmed(journey: Journey) -> None:
    ran = typing(journey, ["encrypt", "--passphrase"], "yes", WORDS, WORDS)
    assert (ran.code, WORDS in ran.said) == (0, False), ran
    assert cipher.opener(journey.folder / "mailer.db") is Opener.PASSPHRASE
    assert typing(journey, ["status"], WORDS).code == 0
    wrong = typing(journey, ["status"], "something else")
    assert (wrong.code, "its passphrase is missing or wrong" in wrong.said) == (2, True), wrong
    nobody = journey.call("status")
    assert (nobody.code, "MAILER_PASSPHRASE_FILE" in nobody.err) == (2, True), nobody
    short = journey.call("decrypt", "--yes", settings={"MAILER_PASSPHRASE": "another one altogether"})
    assert short.code == 2


def typing(journey: Journey, command: list[str], *answers: str) -> object:
    """A command in a terminal, each answer typed when it asks."""
    running = journey.sit(*command)
    for number, answer in enumerate(answers):
        question = "stops: " if answer == "yes" else "once more: " if number == 2 else "assphrase: "
        running.wait_for(question)
        os.write(running.terminal, f"{answer}\n".encode())
    return running.ended()


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (("encrypt",), {}, "Nobody is there to confirm"),
        (("encrypt", "--yes"), {}, "no keyring that would keep the key"),
        (("encrypt", "--yes", "--save-key", "key.txt"), {}, "in the folder that it is to protect"),
        (("encrypt", "--yes", "--save-key", "../nowhere/key.txt"), {}, "cannot be written"),
        (("encrypt", "--yes", "--passphrase"), {}, "nobody is there to type the passphrase"),
        (("encrypt", "--yes"), {"MAILER_PASSPHRASE": "short"}, "fewer than 12 characters"),
        (("encrypt", "lost.csv"), {}, "does not exist"),
        (("decrypt", "--out", "x.csv"), {}, "--out names the file for one list"),
        (("decrypt", "list.csv"), {}, "has not the ending .age"),
    ],
)
def test_what_cannot_be_encrypted_is_said_before_anything_is_changed(
    journey: Journey, words: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    before = sorted(journey.folder.rglob("*"))
    ran = journey.call(*words, settings=settings)
    assert (ran.code, said in ran.err) == (2, True), ran
    assert sorted(journey.folder.rglob("*")) == before


def test_a_ledger_without_its_key_is_named(journey: Journey) -> None:
    encrypt(journey)
    ran = journey.call("status")
    assert (ran.code, "mailer.db: It is encrypted, and its key is not" in ran.err) == (2, True), ran


def test_a_key_in_the_folder_that_it_protects_is_warned_of(journey: Journey) -> None:
    journey.write(".env", f"MAILER_PASSPHRASE='{WORDS}'\n")
    assert "it lies in the folder that it is to protect" in journey.call("suppress", "list").err


@pytest.mark.thorough
def test_without_the_libraries_it_says_how_to_get_them(journey: Journey, tmp_path: Path) -> None:
    encrypt(journey)
    for name in ("sqlcipher3", "pyrage"):
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text("raise ImportError\n", encoding="ascii")
    without = journey.key | {"PYTHONPATH": str(tmp_path / "without")}
    for words in (("status",), ("check", "list.csv.age")):
        ran = journey.run(*words, settings=without)
        assert (ran.code, age.INSTALL in ran.err) == (2, True), ran


WATCH = """
import sys
connected = []
def hook(event, values):
    if event == "sqlite3.connect":
        connected.append(values)
    elif event == "open" and connected and str(values[0]).endswith("mailer.db"):
        connected.append("opened")
        sys.stderr.write(f"opened beside SQLite: {values}\\n")
sys.addaudithook(hook)
from mailer.__main__ import main
code = main(sys.argv[1:])
assert connected
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words",
    [
        ("preview", "appeal", "list.csv", "--problems", "problems.csv"),
        ("test", "appeal", "list.csv", "--to", "me@example.org", "--problems", "problems.csv"),
        ("send", "appeal", "list.csv", "--yes", "--problems", "problems.csv"),
        ("suppress", "import", "list.csv", "--problems", "problems.csv"),
    ],
)
@pytest.mark.thorough
def test_nothing_opens_the_ledgers_file_beside_sqlite(journey: Journey, words: tuple[str, ...]) -> None:
    """To close it would give up SQLite's locks, and another program could take the WAL away under it."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *words],
        cwd=journey.folder, env=journey.environment(), capture_output=True, text=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert (done.returncode, "opened beside" in done.stderr) == (0, False), done.stderr


LOOK = "import sys; from pathlib import Path; from mailer.ledger import Ledger; Ledger(Path(sys.argv[1])).close()"


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a lock belongs to a handle")
def test_a_ledger_opened_once_more_takes_nothing_from_a_thread_that_has_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page does while it makes a preview: the next command would have cleared away the WAL under that thread."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger:
        ledger.ask_to_pause("one")
        open_ledger(settings.load()).close()
        subprocess.run([sys.executable, "-c", LOOK, str(path)], check=True, timeout=60)
        assert path.with_name("mailer.db-wal").exists()
        ledger.ask_to_pause("two")
    with Ledger(path) as ledger:
        assert ledger.asked_to_pause("one")
        assert ledger.asked_to_pause("two")


def test_a_ledger_is_asked_what_opens_it_though_very_many_others_were_asked_before(tmp_path: Path) -> None:
    key = cipher.new_key(KEY)
    paths = [tmp_path / f"{number}.db" for number in range(cipher.MOST_KEPT + 2)]
    for number, path in enumerate(paths):
        path.write_bytes(key.salt if number % 2 else b"")
    for _ in range(2):
        assert [cipher.opener(path) for path in paths[:4]] == [None, age.Opener.KEY] * 2
        assert {cipher.opener(path) for path in paths} == {None, age.Opener.KEY}
    assert len(cipher._kept) <= cipher.MOST_KEPT
    replaced = paths[1].with_name("new")
    replaced.write_bytes(b"SQLite format 3")
    replaced.replace(paths[1])
    assert cipher.opener(paths[1]) is None


@pytest.mark.thorough
def test_without_encryption_nothing_of_it_is_imported(journey: Journey) -> None:
    program = "import sys; from mailer.__main__ import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    for words in (("suppress", "list"), ("preview", "appeal", "list.csv")):
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            cwd=journey.folder, env=journey.environment(), capture_output=True, text=True, encoding="utf-8", timeout=60,
        )  # fmt: skip
        assert not {"sqlcipher3", "pyrage", "keyring", "getpass"} & set(done.stderr.splitlines()[-1].split()), words


def test_a_passphrase_in_the_shared_file_is_warned_about_once(tmp_path: Path) -> None:
    from mailer.settings import load

    (tmp_path / "mailer.toml").write_text(f'passphrase = "{WORDS}"\n', encoding="utf-8")
    (warning,) = load(tmp_path, {}).warnings
    assert "MAILER_PASSPHRASE_FILE" in warning.message
