"""Who a message is from over which relay: sealed, previewed, checked in all its forms, and the same on every retry."""

from __future__ import annotations

import dataclasses
import email
import email.policy
from pathlib import Path
from unittest import mock

import pytest
from campaigns import IDENTITY, LETTER, address, once_each, received, relay_to, run_of, source, write_letter, write_list
from dkim_judge import signer
from hypothesis import given
from hypothesis import strategies as st
from smtp_server import ScriptedServer

from mailer import mime
from mailer.campaign import presses
from mailer.campaign.plan import make_plan
from mailer.campaign.preview import write_preview
from mailer.campaign.prints import Prints
from mailer.campaign.report import make_report
from mailer.campaign.sealing import identity_of, settings_of, together
from mailer.campaign.send import conclude, freeze, prepare
from mailer.campaign.thaw import renderer
from mailer.errors import CampaignError, Paused, SealError
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Identity, Mailbox, Signature
from mailer.report import counts_only
from mailer.tokens import Purpose, Tokens

PEOPLE = [address(number) for number in range(1, 8)]


def face(name: str, **other: object) -> Identity:
    """What the campaign's identity is over an account of its own."""
    sender = Mailbox(address=f"{name}@{name}.example", name=name.title())
    return dataclasses.replace(IDENTITY, **{"sender": sender, "own_sender": True, **other})  # type: ignore[arg-type]


def speaking(**faces: Identity) -> Identity:
    return dataclasses.replace(IDENTITY, faces=tuple(sorted(faces.items())))


BOTH = speaking(office=face("office", bounce_address="bounces+{token}@office.example"), backup=face("backup"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    with Ledger(tmp_path / "mailer.db") as opened:
        yield opened


@pytest.fixture
def folder(campaign_folder: Path) -> Path:
    write_letter(campaign_folder)
    write_list(campaign_folder, PEOPLE)
    return campaign_folder


def begun(folder: Path, ledger: Ledger, identity: Identity = BOTH) -> CampaignRecord:
    return freeze(prepare(source(folder), identity, ledger), ledger)


def one(ledger: Ledger, campaign: CampaignRecord, **given: str) -> email.message.EmailMessage:
    """The first message as it leaves over a relay."""
    [delivery] = ledger.deliveries(ledger.due(campaign, 0.0)[:1])
    content = renderer(ledger, campaign, None, **given)(delivery).content
    return email.message_from_bytes(content, policy=email.policy.default)


@pytest.mark.parametrize("identity", [IDENTITY, BOTH], ids=["one identity", "several"])
def test_what_was_checked_is_sent_however_it_was_checked(folder: Path, ledger: Ledger, identity: Identity) -> None:
    """Also by a version that made every message to check it, and where only some must be made."""
    write_letter(folder, LETTER + "We write from {{ city }}.\n")
    cities = ["Leeds", "Umeå", "two\nlines", "Hull", "x" * 2001, "Ó", "R"]
    rows = [f'{key},Pat,"{city}"' for key, city in zip(PEOPLE, cities, strict=True)]
    (folder / "people.csv").write_text("\n".join(["email,name,city", *rows]), encoding="utf-8")
    taken = prepare(source(folder), identity, ledger)
    with mock.patch.object(Prints, "of", return_value=None):
        made = prepare(source(folder), identity, ledger)
    assert taken.plan
    assert made.plan
    same = [one == other for one, other in zip(taken.plan.fingerprints, made.plan.fingerprints, strict=True)]
    assert same == [False, False, True, False, True, False, False]
    for prepared in (taken, made):
        campaign = freeze(prepared, ledger)
        for relay in ("main", "office"):
            deliveries = ledger.deliveries(ledger.due(campaign, 0.0))
            messages = [renderer(ledger, campaign, None, relay)(delivery) for delivery in deliveries]
            assert [message.envelope.rcpt_to for message in messages] == PEOPLE


# -- the seal


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (speaking(office=BOTH.over("office")), "RELAYS.BACKUP.SENDER was 'Backup <backup@backup.example>', is now ''"),
        (speaking(**dict(BOTH.faces), third=face("third")), "RELAYS.THIRD.SENDER was '', is now 'Third <third@third.example>'"),
        (speaking(**{**dict(BOTH.faces), "backup": face("backup", reply_to=Mailbox("r@b.example"))}), "RELAYS.BACKUP.REPLY_TO was ''"),
        (speaking(**{**dict(BOTH.faces), "backup": face("backup", signatures=signer().signatures)}), "RELAYS.BACKUP.DKIM was ''"),
        (speaking(office=BOTH.over("office"), spare=BOTH.over("backup")), "RELAYS.SPARE.SENDER was ''"),
    ],
)  # fmt: skip
def test_a_seal_is_stale_when_an_identity_that_may_send_came_went_or_changed(
    folder: Path, ledger: Ledger, after: Identity, words: str
) -> None:
    plan = make_plan(source(folder), BOTH, ledger.secret)
    write_preview(plan, ledger, None)
    assert prepare(source(folder), BOTH, ledger, seal=plan.seal).manifest.seal == plan.seal
    with pytest.raises(SealError) as caught:
        prepare(source(folder), after, ledger, seal=plan.seal)
    assert words in caught.value.message


def test_a_campaign_that_has_begun_refuses_another_identity_until_update_says_so(folder: Path, ledger: Ledger) -> None:
    campaign = begun(folder, ledger)
    ledger._db.execute("UPDATE deliveries SET first_attempt_at = 1 WHERE id = 1")
    after = speaking(**{**dict(BOTH.faces), "backup": face("other")})
    with pytest.raises(CampaignError, match=r"RELAYS\.BACKUP\.SENDER was"):
        prepare(source(folder), after, ledger)
    changed = freeze(prepare(source(folder), after, ledger, update=True), ledger)
    assert changed.revision == 2
    assert one(ledger, campaign, relay="backup")["From"] == "Other <other@other.example>"


def test_without_other_identities_seal_and_numbers_are_what_they_were(folder: Path, ledger: Ledger) -> None:
    plan = make_plan(source(folder), IDENTITY, ledger.secret)
    assert not any(name.startswith("RELAYS") for name in settings_of(IDENTITY))
    assert together([7]) == 7
    other = make_plan(source(folder), BOTH, ledger.secret)
    assert [*plan.tokens] == [*other.tokens]
    same = [part for part, digest in plan.manifest.parts.items() if other.manifest.parts[part] == digest]
    assert same == ["letter", "list", "attachments"]


mailboxes = st.builds(
    Mailbox,
    address=st.sampled_from(["a@b.example", "ana.berg@union.example", "x+y@xn--bcher-kva.example"]),
    name=st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="<>"), max_size=8),
)
signatures = st.lists(
    st.builds(Signature, st.just("b.example"), st.sampled_from(["m1", "m2"]), st.just("0123456789abcdef")), max_size=2
).map(tuple)
faces = st.builds(
    dict,
    sender=mailboxes,
    reply_to=st.none() | mailboxes,
    bounce_address=st.none() | st.just("bounces+{token}@b.example"),
    signatures=signatures,
    own_sender=st.booleans(),
)


@given(faces, st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,3})?", fullmatch=True), faces, max_size=3))
def test_identities_are_read_back_from_what_was_frozen(
    main: dict[str, object], others: dict[str, dict[str, object]]
) -> None:
    identity = dataclasses.replace(IDENTITY, **main)  # type: ignore[arg-type]
    named = {name: dataclasses.replace(identity, **own) for name, own in others.items()}  # type: ignore[arg-type]
    whole = dataclasses.replace(identity, faces=tuple(sorted(named.items())))
    assert identity_of(settings_of(whole)) == whole


# -- the messages


def test_over_each_relay_a_message_is_from_its_own_sender_and_bears_the_same_number(
    folder: Path, ledger: Ledger
) -> None:
    campaign = begun(folder, ledger)
    main, office, backup = (one(ledger, campaign, relay=name) for name in ("main", "office", "backup"))
    assert [message["From"] for message in (main, office, backup)] == [
        "Union Office <office@example.org>",
        "Office <office@office.example>",
        "Backup <backup@backup.example>",
    ]
    assert main["Message-ID"] == office["Message-ID"] == backup["Message-ID"]
    assert main["Message-ID"].endswith("@example.org>")
    assert main["List-Unsubscribe"] == office["List-Unsubscribe"] == backup["List-Unsubscribe"]
    assert one(ledger, campaign, relay="unheard-of")["From"] == main["From"]


def test_a_bounce_over_a_relay_tells_which_delivery_it_is_of(folder: Path, ledger: Ledger) -> None:
    campaign = begun(folder, ledger)
    [delivery] = ledger.deliveries(ledger.due(campaign, 0.0)[:1])
    message = renderer(ledger, campaign, None, "office")(delivery)
    token = message.envelope.mail_from.removeprefix("bounces+").removesuffix("@office.example")
    assert Tokens(ledger.secret).read(Purpose.BOUNCE, token) == delivery.message_id[1:].partition("@")[0]


def test_a_letter_s_own_sender_goes_before_the_main_one_but_not_before_a_relay_s(folder: Path, ledger: Ledger) -> None:
    write_letter(folder, LETTER.replace("language: en", "language: en\nsender: Branch <branch@example.org>"))
    kept = dataclasses.replace(IDENTITY, bounce_address="bounces@backup.example")
    campaign = begun(folder, ledger, speaking(office=face("office"), backup=kept))
    senders = [one(ledger, campaign, relay=name)["From"] for name in ("main", "office", "backup")]
    assert senders == ["Branch <branch@example.org>", "Office <office@office.example>", "Branch <branch@example.org>"]
    assert campaign.manifest.senders == ("Branch <branch@example.org>", "Office <office@office.example>")


@pytest.mark.parametrize("changes", ["main", "office"])
def test_a_message_that_would_come_out_otherwise_over_any_relay_is_not_sent(
    folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, changes: str
) -> None:
    campaign = begun(folder, ledger)
    whole = mime.compose

    def otherwise(letter: object, **given: object) -> object:
        made = whole(letter, **given)  # type: ignore[arg-type]
        sender = "office@office.example" if changes == "office" else "office@example.org"
        return made._replace(content=made.content + b"!") if letter.identity.sender.address == sender else made  # type: ignore[attr-defined]

    monkeypatch.setattr(mime, "compose", otherwise)
    for relay in ("main", "office", "backup"):
        with pytest.raises(Paused, match="another message than the one that was checked"):
            one(ledger, campaign, relay=relay)


def test_a_name_that_only_one_relay_s_sender_cannot_bear_is_found_before_the_start(
    folder: Path, ledger: Ledger
) -> None:
    wrong = face("office", sender=Mailbox(address="office@office.example", name="A\nBcc: all"))
    plan = make_plan(source(folder), speaking(office=wrong), ledger.secret)
    assert len(plan.unrendered) == len(PEOPLE)


def test_several_processes_make_the_same_of_all_identities(
    folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presses, "SLICE", 500)
    write_list(folder, [address(number) for number in range(1, 1200)])
    alone = make_plan(source(folder), BOTH, ledger.secret, processes=1)
    shared = make_plan(source(folder), BOTH, ledger.secret, processes=2)
    assert (alone.seal, alone.fingerprints, alone.tokens) == (shared.seal, shared.fingerprints, shared.tokens)
    assert alone.manifest.senders == shared.manifest.senders


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_run_over_one_relay_sends_as_that_and_goes_on_over_another_with_nobody_twice(
    folder: Path, ledger: Ledger, processes: int
) -> None:
    campaign = begun(folder, ledger)
    with ScriptedServer() as office, ScriptedServer() as backup:
        office.on("mail", nth=4, reply="454 4.7.0 Throttling failure: Daily message quota exceeded")
        for server, name in ((office, "office"), (backup, "backup")):
            relay = relay_to(server, name=name)
            run = run_of(ledger, campaign, relay, connections=processes, processes=processes)
            conclude(ledger, campaign, await run.run())
        assert len(office.accepted) >= 3 - processes
        assert received(office) + received(backup) == once_each(PEOPLE)
        assert {message.mail_from.partition("@")[2] for message in office.accepted} == {"office.example"}
        assert {message.mail_from for message in backup.accepted} == {"backup@backup.example"}
        shares = {f"127.0.0.1:{server.port} {len(server.accepted)}" for server in (backup, office)}
        report = make_report(ledger, campaign)
        assert set(report.facts["Accepted by"].split(", ")) == shares
        assert "Accepted by" not in counts_only(report).facts, "no group may be smaller than five there"


# -- the preview


def test_the_preview_shows_a_message_over_each_relay_that_speaks_as_itself(
    folder: Path, ledger: Ledger, tmp_path: Path
) -> None:
    plan = make_plan(source(folder), BOTH, ledger.secret)
    index, count = write_preview(plan, ledger, tmp_path / "preview")
    assert index is not None
    assert count == len(PEOPLE)
    page = index.read_text(encoding="utf-8")
    assert f'<span class="big number">{count}</span> messages' in page
    assert "Over relay backup" in page
    assert "Over relay office" in page
    assert "office: Office &lt;office@office.example&gt;" in page
    examples = sorted((tmp_path / "preview/eml").glob("*.eml"))[count:]
    senders = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["From"] for path in examples]
    assert senders == ["Backup <backup@backup.example>", "Office <office@office.example>"]
    assert "over relay office" in (tmp_path / f"preview/messages/00/{count + 2:06d}.html").read_text(encoding="utf-8")


def test_the_preview_of_a_long_list_shows_them_too(folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    plan = make_plan(source(folder), BOTH, ledger.secret)
    index, _ = write_preview(plan, ledger, tmp_path / "preview", own_files=1)
    assert index is not None
    page = index.read_text(encoding="utf-8")
    assert "Over relay office" in page
    assert f'"total":{len(PEOPLE) + 2}' in page
    assert f'<span class="big number">{len(PEOPLE)}</span> messages' in page
