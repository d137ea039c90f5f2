"""A suppression outlives the erasure of its address, tells nobody who it was, and can be handed on."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hashed import keep_as_hash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.__main__ import main
from mailer.campaign.suppressing import Asked, entry_of, key_path, read_suppressions, write_export
from mailer.contacts.address import Checked, check
from mailer.contacts.sniff import SUFFIXES
from mailer.errors import ListError
from mailer.ledger import Ledger, Row, Start
from mailer.model import Contact, Manifest, Reason, Status, Suppression, Tally
from mailer.suppression import fingerprint, found_among, list_name, normalise

PEOPLE = ("ada@example.org", "bo@example.org", "cem@left.example")
FORMAT_3 = Path(__file__).parent / "ledgers" / "format3.sql"
NOTHING_ASKED = Asked()


def started(ledger: Ledger, name: str, list_file: str = "contacts/Branches.xlsx") -> None:
    manifest = Manifest(
        template="letter", list_name=list_file, letter={}, attachments={}, contacts="c", list_file="f", settings={},
        messages="m",
    )  # fmt: skip
    rows = [
        Row(Contact(address=key, key=key, row=2), f"<{name}{number}@example.org>") for number, key in enumerate(PEOPLE)
    ]
    ledger.start(Start(campaign=name, manifest=manifest, rows=rows, content=lambda _: b""))


def states(ledger: Ledger, name: str) -> list[Status]:
    return [record.status for record in ledger.records(ledger.find(name))]


def test_a_ledger_of_format_3_keeps_everybody_out_under_a_hash_and_one_of_few_reasons(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    old = sqlite3.connect(path)
    old.executescript(FORMAT_3.read_text(encoding="utf-8"))
    before = old.execute("SELECT key, created_at FROM suppressions ORDER BY key").fetchall()
    old.close()
    with Ledger(path) as ledger:
        kept = ledger.suppression_rows()
        (secret,) = ledger.suppression_secrets()
        assert len(secret) == 32
        assert {one.entry: one.since.timestamp() for one in kept} == pytest.approx(dict(before))
        assert all(one.hash == fingerprint(secret, one.entry or "") for one in kept)
        assert {one.entry: (one.reason, one.note, one.source) for one in kept} == {
            "@left.example": (Reason.MANUAL, "asked not to be mailed", "by hand"),
            "ada@example.org": (Reason.MANUAL, "asked by phone", "by hand"),
            "bo@example.org": (Reason.UNSUBSCRIBED, "", "link in campaign appeal--Branches"),
            "cem@example.net": (Reason.UNSUBSCRIBED, "", "by e-mail"),
            "eve@example.org": (Reason.BOUNCE, "there is no such address", "refused"),
            "gil@example.org": (Reason.COMPLAINT, "", "by e-mail"),
            "hal@example.org": (Reason.BOUNCE, "the address does not exist (5.1.1)", "by e-mail"),
            "old@example.org": (Reason.IMPORTED, "unsubscribed in the old tool", "imported from old.csv"),
            "zoe@example.org": (Reason.IMPORTED, "", "imported from old.csv"),
        }
        assert ledger.list_names() == {"branches", "people"}
        assert ledger.tally(ledger.find("other")) == Tally(queued=1, suppressed=5)
    with Ledger(path) as again:
        assert again.suppression_secrets() == [secret]


def test_who_is_erased_stays_suppressed_and_no_byte_of_the_address_is_left(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger:
        ledger.suppress([("ada@example.org", "Ada said so"), ("@left.example", "")], source="by hand")
        ledger.erase(["ada@example.org"])
        erased, domain = sorted(ledger.suppression_rows(), key=lambda one: one.entry or "")
        assert (erased.entry, erased.reason, erased.note, domain.entry) == (
            None,
            Reason.MANUAL,
            "erased",
            "@left.example",
        )
        for file in tmp_path.iterdir():
            assert b"ada@" not in file.read_bytes()
            assert b"Ada said" not in file.read_bytes()
        started(ledger, "appeal")
        assert states(ledger, "appeal") == [Status.SUPPRESSED, Status.QUEUED, Status.SUPPRESSED]
        assert ledger.suppress([("ada@example.org", "")], source="by hand") == 0
        assert ledger.unsuppress(["ada@example.org"]) == 1
        assert not ledger.suppressions().erased


def test_for_one_list_is_for_the_campaigns_of_that_list_alone(tmp_path: Path) -> None:
    with Ledger(tmp_path / "mailer.db") as ledger:
        started(ledger, "begun")
        started(ledger, "elsewhere", "people.csv")
        ledger.suppress([("ada@example.org", ""), ("@left.example", "")], source="by hand", scope="branches")
        keep_as_hash(ledger, "ada@example.org", "branches")
        started(ledger, "later", "BRANCHES.csv")
        out = [Status.SUPPRESSED, Status.QUEUED, Status.SUPPRESSED]
        assert (states(ledger, "begun"), states(ledger, "later")) == (out, out)
        assert states(ledger, "elsewhere") == [Status.QUEUED] * 3
        assert not ledger.suppressions("people").entries
        assert ledger.unsuppress(["ada@example.org"], scope="people") == 0
        assert ledger.unsuppress(["ada@example.org"], scope="branches") == 1


@pytest.mark.parametrize(
    ("path", "name"),
    [("contacts/Branches.xlsx", "branches"), ("a\\b\\Branches.CSV", "branches"), ("v1.2", "v1.2"), (".csv", ".csv")],
)
def test_a_list_is_called_by_its_file_in_whatever_format(path: str, name: str) -> None:
    assert list_name(path) == name == list_name(name)


@pytest.mark.parametrize("encrypted", ["", ".age", ".AGE"])
@pytest.mark.parametrize("ending", SUFFIXES)
def test_a_list_has_one_name_in_whatever_format_and_encrypted_or_not(ending: str, encrypted: str) -> None:
    for path in (f"contacts/Branches{ending}{encrypted}", f"BRANCHES{ending.upper()}{encrypted}"):
        assert list_name(path) == "branches"
    assert list_name(f"v1.2{ending}{encrypted}") == "v1.2"


KEYS = st.builds(
    lambda local, label, alone: normalise(f"{'' if alone else local}@{label}.example"),
    st.text("aA=+-'\u00e4\u00c4.", min_size=1, max_size=6),
    st.text("ab\u00fc\u00dc\u6f22", min_size=1, max_size=6),
    st.booleans(),
)
ENTRIES = st.builds(
    Suppression,
    entry=KEYS,
    reason=st.sampled_from(Reason),
    note=st.text("a ,;'\"=\u2028\u00e9\n", max_size=6).map(str.strip).filter(lambda text: not text.startswith("'")),
    source=st.just("by hand"),
    since=st.integers(10**9, 1_600_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    scope=st.sampled_from(["", "branches"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ENTRIES, max_size=6), st.booleans())
def test_an_export_suppresses_the_same_people_elsewhere_and_again_changes_nothing(
    tmp_path: Path, entries: list[Suppression], only_hashes: bool
) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    out = tmp_path / "out.csv"
    with Ledger(tmp_path / "one.db") as one, Ledger(tmp_path / "two.db") as two:
        one.take_over(entries)
        kept = one.suppression_rows()
        assert (write_export(out, kept, only_hashes=only_hashes) is None) == (
            not only_hashes or all((row.entry or "").startswith("@") for row in kept)
        )
        found = read_suppressions(out, NOTHING_ASKED)
        assert (found.rows, found.repeated, found.problems) == (len(kept), 0, [])
        assert all(two.take_over(found.suppressions))
        assert not any(two.take_over(read_suppressions(out, NOTHING_ASKED).suppressions))
        if not only_hashes:
            told = [(row.entry, row.reason, row.note, row.scope, row.since.replace(microsecond=0)) for row in kept]
            back = [(row.entry, row.reason, row.note, row.scope, row.since) for row in two.suppression_rows()]
            assert set(told) == set(back)
        people = {row.entry for row in kept if row.entry and not row.entry.startswith("@")}
        there = two.suppressions("branches")
        assert people == set(found_among(people, there)) | (there.entries.keys() & people)
        # and they come home to where they are known
        home = read_suppressions(out, NOTHING_ASKED, secrets=one.suppression_secrets())
        assert not any(one.take_over(home.suppressions))


@given(st.text("aAbB\u00e4\u00c4\u00fc\u00dc\u03c3\u03a3", min_size=1, max_size=8), st.binary(min_size=32, max_size=32))
def test_an_address_is_found_by_its_hash_however_it_is_written(label: str, secret: bytes) -> None:
    key = normalise(f"Ada@{label}.example")
    assert fingerprint(secret, key) == fingerprint(secret, normalise(f" ADA@{key.rpartition('@')[2].upper()}. "))
    assert fingerprint(secret, key) != fingerprint(bytes([secret[0] ^ 1]) + secret[1:], key)


def test_hashes_without_their_key_are_refused_by_row_and_a_key_that_is_none_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with Ledger(tmp_path / "one.db") as ledger:
        ledger.suppress([("ada@example.org", ""), ("@left.example", "")], source="by hand")
        write_export(out, ledger.suppression_rows(), only_hashes=True)
    key_path(out).rename(tmp_path / "apart.key")
    found = read_suppressions(out, NOTHING_ASKED)
    assert (found.rows, found.refused, [one.entry for one in found.suppressions]) == (2, 1, ["@left.example"])
    assert [(problem.row, problem.column) for problem in found.problems] in ([(2, "key")], [(3, "key")])
    assert read_suppressions(out, NOTHING_ASKED, key_file=tmp_path / "apart.key").refused == 0
    with pytest.raises(ListError, match="holds no key"):
        read_suppressions(out, NOTHING_ASKED, key_file=out)


@pytest.mark.parametrize(
    ("name", "text", "entries", "repeated", "refused"),
    [
        ("a.txt", "ada@example.org\n@B\u00dcCHER.example\n\nADA@example.org\nexample.net\n",
         ["ada@example.org", "@xn--bcher-kva.example"], 1, [5]),
        ("b.csv", "uuid,email,name,status\n1,Ada@Example.org,Ada,blocklisted\n2,bad,Bo,enabled\n",
         ["ada@example.org"], 0, [3]),
        ("c.csv", "Email Address,First Name,UNSUB_TIME\nada@example.org,Ada,2026\n@left.example,,\n",
         ["ada@example.org", "@left.example"], 0, []),
    ],
)  # fmt: skip
def test_what_other_programs_write_is_read_and_every_row_accounted_for(
    tmp_path: Path, *, name: str, text: str, entries: list[str], repeated: int, refused: list[int]
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = read_suppressions(tmp_path / name, Asked(reason=Reason.UNSUBSCRIBED, scope="branches"))
    assert [one.entry for one in found.suppressions] == entries
    assert {(one.reason, one.scope) for one in found.suppressions} == {(Reason.UNSUBSCRIBED, "branches")}
    assert (found.repeated, [problem.row for problem in found.problems]) == (repeated, refused)
    assert found.rows == len(entries) + repeated + len(refused)


COPIED = [
    "<pat@example.org>", "mailto:pat@example.org", "pat@example.org,", "pat@example.org;", '"pat@example.org"', "\u200bpat@example.org",
    "\u201cpat@example.org\u201d", "Pat <pat@example.org>", "<mailto:Pat@Example.org>;",
]  # fmt: skip


@pytest.mark.parametrize("written", COPIED)
def test_somebody_is_suppressed_however_the_address_was_copied(
    written: str, campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (campaign_folder / "left.txt").write_text(f"kim@example.org\n{written}\n", encoding="utf-8")
    found = read_suppressions(campaign_folder / "left.txt", NOTHING_ASKED)
    assert ([one.entry for one in found.suppressions], found.refused) == (["kim@example.org", "pat@example.org"], 0)
    (campaign_folder / "left.csv").write_text(
        "address,domain,hash,reason\n" + '"{}",,,manual\n'.format(written.replace('"', '""')), encoding="utf-8"
    )
    found = read_suppressions(campaign_folder / "left.csv", NOTHING_ASKED)
    assert [one.entry for one in found.suppressions] == ["pat@example.org"]
    assert main(["suppress", "add", "--", written]) == 0
    assert main(["suppress", "list"]) == 0
    assert "pat@example.org " in capsys.readouterr().out
    assert main(["suppress", "remove", "--", written]) == 0


@pytest.mark.parametrize(
    "written", ["a@example.org, b@example.org", "(pat@example.org)", "pat@example.org>x", "@example.org,", "a@b"]
)
def test_what_no_address_of_a_list_can_be_is_refused_rather_than_kept_for_nothing(
    written: str, campaign_folder: Path
) -> None:
    (campaign_folder / "left.txt").write_text(f"kim@example.org\n{written}\n", encoding="utf-8")
    found = read_suppressions(campaign_folder / "left.txt", NOTHING_ASKED)
    assert ([one.entry for one in found.suppressions], found.refused) == (["kim@example.org"], 1)
    if not {",", ";"} & set(written):  # several in one word are taken apart there
        assert main(["suppress", "add", "--", written]) == 2


@given(
    st.text("aA.@'\"<>;, \u200b\u201c\u201d\u00e4", max_size=14),
    st.sampled_from(["example.org", "B\u00fccher.example"]),
)
def test_who_is_in_a_list_is_kept_out_by_the_same_words(text: str, domain: str) -> None:
    written = f"{text}@{domain}"
    checked = check(written)
    if isinstance(checked, Checked):
        assert entry_of(written) == checked.key == entry_of(checked.key)


def test_a_list_that_there_is_not_is_refused_with_the_names_there_are(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> str:
        assert main(["suppress", *words]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return " ".join(printed.err.split())

    (campaign_folder / "contacts").mkdir()
    told = refused("add", "p@union.example", "--list", "nosuch")
    assert "There is no list called nosuch here" in told
    assert "put it into contacts/ first" in told
    for name in ("branches.csv", "Members.xlsx", "notes.docx"):
        (campaign_folder / "contacts" / name).write_text("email\n", "utf-8")
    told = refused("add", "p@union.example", "--list", "brnaches")
    assert "did you mean --list branches? The lists are: branches, members." in told
    assert "Nothing was changed." in told
    (campaign_folder / "old.txt").write_text("old@union.example\n", "utf-8")
    assert "The lists are: branches, members." in refused("import", "old.txt", "--list", "nosuch")
    assert "The lists are:" in refused("remove", "p@union.example", "--list", "nosuch")
    with Ledger(campaign_folder / "mailer.db") as ledger:
        assert ledger.suppression_rows() == []


def test_a_list_counts_as_known_by_its_file_its_path_and_what_somebody_is_suppressed_for(
    campaign_folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "Retired.csv"
    elsewhere.write_text("email\n", "utf-8")
    (campaign_folder / "contacts").mkdir()
    here = campaign_folder / "contacts" / "branches.csv"
    here.write_text("email\n", "utf-8")
    for name, known in (("branches", "branches"), ("contacts/Branches.csv", "branches"), (str(elsewhere), "retired")):
        assert main(["suppress", "add", f"{known}@union.example", "--list", name]) == 0
        printed = capsys.readouterr()
        assert (f"for the list {known}: " in printed.out, printed.err) == (True, "")
    here.unlink()  # whose wish it was is still there, and can be taken back
    assert main(["suppress", "remove", "branches@union.example", "--list", "branches"]) == 0
    assert "1 address may be mailed again" in capsys.readouterr().out


def test_an_export_makes_no_folder(campaign_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suppress", "add", "p@union.example"]) == 0
    assert main(["suppress", "export", "stick/s.csv"]) == 2
    assert "there is no folder stick" in capsys.readouterr().err
    assert not (campaign_folder / "stick").exists()
