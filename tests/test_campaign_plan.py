"""The plan and its seal: what is a change, which one is told, and what an update leaves alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pandas as pd
import pytest
from campaigns import IDENTITY, LETTER, address, received, send, source, statuses, write_letter, write_list
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smtp_server import Accepted, ScriptedServer

from mailer.campaign.compare import digests_of
from mailer.campaign.plan import Plan, make_plan
from mailer.campaign.preview import write_preview
from mailer.campaign.send import Prepared, freeze, prepare, to_send
from mailer.campaign.source import Source, default_name
from mailer.errors import CampaignError, LetterError, ListError, Paused, SealError
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Identity, Mailbox, Status, Tally

PEOPLE = [address(number) for number in range(1, 7)]

MOTION = """---
subject: "A motion for {{ name }}"
language: en
attachments:
  - leaflet.txt
  - motions/{{ branch }}.txt
---
Dear {{ name }}, the motion is attached.
"""


@pytest.fixture
def ledger(campaign_folder: Path) -> Iterator[Ledger]:
    write_letter(campaign_folder)
    write_list(campaign_folder, PEOPLE)
    with Ledger(campaign_folder / "mailer.db") as opened:
        yield opened


def plan_of(folder: Path, ledger: Ledger, identity: Identity = IDENTITY, **other: str) -> Plan:
    return make_plan(source(folder, **other), identity, ledger.secret)


def prepared(folder: Path, ledger: Ledger, identity: Identity = IDENTITY, **other: object) -> Prepared:
    return prepare(source(folder), identity, ledger, **other)  # type: ignore[arg-type]


async def sent_first(folder: Path, ledger: Ledger, server: ScriptedServer, count: int = 2) -> CampaignRecord:
    """The campaign begun: so many are sent."""
    campaign = freeze(prepared(folder, ledger), ledger)
    await send(ledger, campaign, server, limit=count)
    return ledger.find(campaign.name)


def groups(one: Plan, other: Plan) -> set[str]:
    """Which groups of two seals differ."""
    names = one.manifest.parts
    return {
        name
        for name, mine, theirs in zip(names, one.seal.split("-"), other.seal.split("-"), strict=True)
        if mine != theirs
    }


def subject(message: Accepted) -> str:
    return str(message_from_bytes(message.content, policy=policy.default)["Subject"])


def with_attachments(folder: Path) -> None:
    write_letter(folder, MOTION)
    write_list(folder, PEOPLE, branch=[f"b{number % 2}" for number in range(len(PEOPLE))])
    (folder / "leaflet.txt").write_text("read this", encoding="utf-8")
    (folder / "motions").mkdir()
    for name in ("b0", "b1"):
        (folder / "motions" / f"{name}.txt").write_text(f"motion of {name}", encoding="utf-8")


def attached(message: Accepted) -> list[str]:
    parts = message_from_bytes(message.content, policy=policy.default).iter_attachments()
    return [part.get_content().strip() for part in parts]


# -- the seal


def test_the_same_campaign_has_the_same_seal(campaign_folder: Path, ledger: Ledger) -> None:
    one, other = plan_of(campaign_folder, ledger), plan_of(campaign_folder, ledger)
    assert one.seal == other.seal
    assert [len(group) for group in one.seal.split("-")] == [8] * 5
    assert not one.problems


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda folder: write_letter(folder, LETTER.replace("today", "now")), {"letter", "messages"}),
        (lambda folder: write_list(folder, PEOPLE[1:]), {"list", "messages"}),
        (lambda folder: write_list(folder, [*PEOPLE, address(9)]), {"list", "messages"}),
        (lambda folder: write_list(folder, PEOPLE, city=["Leeds"] * 6), {"list"}),
    ],
    ids=["letter", "gone", "new", "a column the letter does not use"],
)
def test_a_change_shows_in_the_seals_own_group(
    campaign_folder: Path, ledger: Ledger, change: Callable[[Path], object], changed: set[str]
) -> None:
    before = plan_of(campaign_folder, ledger)
    change(campaign_folder)
    assert groups(before, plan_of(campaign_folder, ledger)) == changed


def test_a_changed_setting_or_attachment_shows_in_its_own_group(campaign_folder: Path, ledger: Ledger) -> None:
    with_attachments(campaign_folder)
    before = plan_of(campaign_folder, ledger)
    other = replace(IDENTITY, reply_to=Mailbox(address="answers@example.org"))
    assert groups(before, plan_of(campaign_folder, ledger, other)) == {"settings", "messages"}
    (campaign_folder / "motions" / "b1.txt").write_text("another motion", encoding="utf-8")
    assert groups(before, plan_of(campaign_folder, ledger)) == {"attachments", "messages"}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(PEOPLE))))
def test_the_order_of_the_rows_is_no_change(campaign_folder: Path, ledger: Ledger, order: list[int]) -> None:
    path = write_list(campaign_folder, PEOPLE)
    before = plan_of(campaign_folder, ledger)
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *(rows[number] for number in order)]) + "\n", encoding="utf-8")
    after = plan_of(campaign_folder, ledger)
    assert after.seal == before.seal
    assert after.digests() == before.digests()


@pytest.mark.parametrize("name", ["people.xlsx", "people.ods", "people.tsv", "people.json", "people.parquet"])
async def test_the_list_saved_in_another_format_is_no_change(campaign_folder: Path, ledger: Ledger, name: str) -> None:
    with ScriptedServer() as server:
        await sent_first(campaign_folder, ledger, server)
        frame = pd.read_csv(campaign_folder / "people.csv", dtype=str)
        path = campaign_folder / name
        match path.suffix:
            case ".xlsx" | ".ods":
                frame.to_excel(path, index=False)
            case ".tsv":
                frame.to_csv(path, sep="\t", index=False)
            case ".json":
                frame.to_json(path, orient="records")
            case _:
                frame.to_parquet(path)
        other = source(campaign_folder, name)
        again = prepare(other, IDENTITY, ledger)
        assert again.plan is None
        result = await send(ledger, freeze(again, ledger), server)
    assert result.tally == Tally(sent=6)
    assert set(received(server).values()) == {1}


def test_the_name_comes_from_letter_and_list() -> None:
    assert default_name("appeal", Path("contacts/branches.csv")) == "appeal--branches"
    assert default_name("templates/appeal/letter.md", Path("b.xlsx")) == "appeal--b"
    assert default_name("templates/appeal.md", Path("b.c.csv")) == "appeal--b.c"
    assert Source(template="appeal", list_path=Path("b.csv"), campaign="mine").name == "mine"


def test_sending_under_a_stale_seal_is_refused_with_the_difference(campaign_folder: Path, ledger: Ledger) -> None:
    plan = plan_of(campaign_folder, ledger)
    write_preview(plan, ledger, campaign_folder / "out")
    assert prepared(campaign_folder, ledger, seal=plan.seal).manifest == plan.manifest
    write_list(campaign_folder, [*PEOPLE[1:], address(8), address(9)])
    write_letter(campaign_folder, LETTER.replace("today", "now"))
    with pytest.raises(SealError) as refused:
        prepared(campaign_folder, ledger, seal=plan.seal)
    assert "templates/appeal.md edited" in refused.value.message
    # six rows, renumbered: whoever kept the address but not the name has other details
    assert "2 new, 1 gone, 5 with other details" in refused.value.message
    assert ledger.campaigns() == []


def test_a_stale_seal_of_another_computer_tells_at_least_which_part_changed(
    campaign_folder: Path, ledger: Ledger
) -> None:
    seal = plan_of(campaign_folder, ledger).seal
    write_letter(campaign_folder, LETTER.replace("today", "now"))
    with pytest.raises(SealError, match="The letter changed") as refused:
        prepared(campaign_folder, ledger, seal=seal)
    assert "list" not in refused.value.message
    with pytest.raises(SealError, match="not one that mailer preview prints"):
        prepared(campaign_folder, ledger, seal="nonsense")


async def test_a_stale_seal_is_refused_for_a_campaign_that_has_begun_too(campaign_folder: Path, ledger: Ledger) -> None:
    with ScriptedServer() as server:
        campaign = await sent_first(campaign_folder, ledger, server)
    assert prepared(campaign_folder, ledger, seal=campaign.manifest.seal).campaign == campaign
    with pytest.raises(SealError):
        prepared(campaign_folder, ledger, seal="00000000-" * 4 + "00000000")


# -- what differs from what was frozen


def other_settings(_folder: Path) -> Identity:
    return replace(IDENTITY, postal_address="2 Mill Lane, Leeds")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda folder: write_letter(folder, LETTER.replace("today", "now")),
            "The letter changed: templates/appeal.md edited",
        ),
        (lambda folder: write_list(folder, PEOPLE[:-2]), "The list changed: 2 gone."),
        (lambda folder: write_list(folder, [*PEOPLE, address(9)]), "The list changed: 1 new."),
        (lambda folder: write_list(folder, PEOPLE, city=["Leeds"] * 6), "The list changed: 6 with other details."),
        (other_settings, "POSTAL_ADDRESS was '1 Mill Lane, Leeds', is now '2 Mill Lane, Leeds'"),
    ],
    ids=["letter", "gone", "new", "details", "settings"],
)
async def test_a_campaign_that_has_begun_refuses_other_contents_and_says_what_changed(
    campaign_folder: Path, ledger: Ledger, change: Callable[[Path], object], told: str
) -> None:
    with ScriptedServer() as server:
        campaign = await sent_first(campaign_folder, ledger, server)
    changed = change(campaign_folder)
    identity = changed if isinstance(changed, Identity) else IDENTITY
    with pytest.raises(CampaignError) as refused:
        prepared(campaign_folder, ledger, identity)
    assert told in refused.value.message
    assert refused.value.message.count("changed:") == 1, "nothing else is told"
    assert "--update" in (refused.value.hint or "")
    assert "--campaign" in (refused.value.hint or "")
    assert ledger.tally(campaign) == Tally(sent=2, queued=4)


async def test_changed_attachments_are_told_by_name(campaign_folder: Path, ledger: Ledger) -> None:
    with_attachments(campaign_folder)
    with ScriptedServer() as server:
        await sent_first(campaign_folder, ledger, server)
    (campaign_folder / "motions" / "b1.txt").write_text("another motion", encoding="utf-8")
    with pytest.raises(CampaignError, match=r"The attachments changed: motions/b1\.txt edited\."):
        prepared(campaign_folder, ledger)
    write_letter(campaign_folder, MOTION.replace("  - leaflet.txt\n", ""))
    with pytest.raises(CampaignError, match=r"leaflet\.txt removed"):
        prepared(campaign_folder, ledger)


async def test_unchanged_files_are_recognised_without_reading_the_list(campaign_folder: Path, ledger: Ledger) -> None:
    with_attachments(campaign_folder)
    with ScriptedServer() as server:
        await sent_first(campaign_folder, ledger, server)
    seen: list[object] = []
    again = prepared(campaign_folder, ledger, on_plan=seen.append)
    assert again.plan is None
    assert not seen
    (campaign_folder / "motions" / "b0.txt").unlink()
    with pytest.raises(ListError):
        prepared(campaign_folder, ledger)


async def test_a_letter_in_another_language_that_appears_is_noticed(campaign_folder: Path, ledger: Ledger) -> None:
    write_list(campaign_folder, PEOPLE, language=["fr"] * 6)
    folder = campaign_folder / "templates" / "appeal"
    folder.mkdir()
    (campaign_folder / "templates" / "appeal.md").rename(folder / "letter.md")
    with ScriptedServer() as server:
        await sent_first(campaign_folder, ledger, server)
    (folder / "letter.fr.md").write_text(LETTER.replace("language: en", "language: fr"), encoding="utf-8")
    with pytest.raises(CampaignError, match=r"letter\.fr\.md added"):
        prepared(campaign_folder, ledger)


# -- freezing


def test_a_campaign_of_which_nothing_was_tried_is_frozen_anew(campaign_folder: Path, ledger: Ledger) -> None:
    first = freeze(prepared(campaign_folder, ledger), ledger)
    write_list(campaign_folder, PEOPLE[:3])
    again = prepared(campaign_folder, ledger)
    assert again.campaign is None
    assert to_send(again, ledger) == 3
    second = freeze(again, ledger)
    assert first.manifest != second.manifest
    assert second.revision == 1
    assert ledger.tally(second) == Tally(queued=3)


def test_who_is_suppressed_at_the_start_is_kept_with_the_reason(campaign_folder: Path, ledger: Ledger) -> None:
    write_list(campaign_folder, [*PEOPLE, "Pat@left.example", "pat@sub.left.example"])
    ledger.suppress([(PEOPLE[0], "asked by phone"), ("@left.example", "branch closed")], source="by hand")
    ready = prepared(campaign_folder, ledger)
    assert to_send(ready, ledger) == 6
    campaign = freeze(ready, ledger)
    assert ledger.tally(campaign) == Tally(queued=6, suppressed=2)
    reasons = {record.address.lower(): record.reason for record in ledger.records(campaign, Status.SUPPRESSED)}
    assert reasons == {PEOPLE[0]: "asked by phone", "pat@left.example": "branch closed"}


def test_rows_with_problems_refuse_the_campaign_unless_they_are_skipped(campaign_folder: Path, ledger: Ledger) -> None:
    write_letter(campaign_folder, LETTER.replace("language: en", "language: en\nrequired: [branch]"))
    write_list(campaign_folder, ["nonsense", *PEOPLE, PEOPLE[0]], branch=["a", "b", "", "c", "d", "e", "f", "g"])
    with pytest.raises(ListError) as refused:
        prepared(campaign_folder, ledger)
    assert {problem.row for problem in refused.value.problems} == {2, 4}
    assert "2 rows" in refused.value.message
    assert "--skip-problems" in (refused.value.hint or "")
    assert ledger.campaigns() == []
    ready = prepared(campaign_folder, ledger, skip_problems=True)
    assert to_send(ready, ledger) == 5
    campaign = freeze(ready, ledger)
    assert ledger.tally(campaign) == Tally(queued=5, skipped=2)
    assert {record.row: bool(record.reason) for record in ledger.records(campaign, Status.SKIPPED)} == {
        2: True,
        4: True,
    }


async def test_what_changed_in_the_list_is_told_since_the_last_update(campaign_folder: Path, ledger: Ledger) -> None:
    with ScriptedServer() as server:
        await sent_first(campaign_folder, ledger, server)
        sent, waiting = PEOPLE[:2], PEOPLE[2:]
        write_list(campaign_folder, [*sent, *waiting[:-1], address(8)], city=["Hull"] * 6)
        with pytest.raises(CampaignError, match=r"The list changed: 1 new, 1 gone, 5 with other details\."):
            prepared(campaign_folder, ledger)
        campaign = freeze(prepared(campaign_folder, ledger, update=True), ledger)
        await send(ledger, campaign, server, limit=1)
    write_list(campaign_folder, [*sent, *waiting[:-1], address(8)], city=["Hull"] * 5 + ["York"])
    with pytest.raises(CampaignError, match=r"The list changed: 1 with other details\."):
        prepared(campaign_folder, ledger)


async def test_what_a_campaign_has_of_its_list_is_read_once_to_compare_it(
    campaign_folder: Path, ledger: Ledger
) -> None:
    with ScriptedServer() as server:
        campaign = await sent_first(campaign_folder, ledger, server)
        write_list(campaign_folder, [*PEOPLE[1:], address(8)], city=["Hull"] * 6)
        campaign = freeze(prepared(campaign_folder, ledger, update=True), ledger)
    asked: list[str] = []
    connection = ledger._db._connection  # type: ignore[attr-defined]
    connection.set_trace_callback(asked.append)
    found = digests_of(ledger, campaign)
    connection.set_trace_callback(None)
    assert len(asked) == 1
    assert set(found) == {*PEOPLE[1:], address(8)}, "who left the list is not in it"
    assert [key for key, digest in found.items() if not digest] == [PEOPLE[1]], "who had the letter before"


async def test_a_row_whose_message_cannot_be_made_is_skipped_and_counted_once_also_when_it_is_mended(
    campaign_folder: Path, ledger: Ledger
) -> None:
    with_attachments(campaign_folder)
    write_list(campaign_folder, PEOPLE, branch=["b0", "b1", "b0", "b1", "b0", "b2"])
    with pytest.raises(ListError, match="1 row "):
        prepared(campaign_folder, ledger)
    campaign = freeze(prepared(campaign_folder, ledger, skip_problems=True), ledger)
    assert ledger.tally(campaign) == Tally(queued=5, skipped=1)
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server)
        assert result.exit_code == 0
        write_list(campaign_folder, PEOPLE, branch=["b0", "b1", "b0", "b1", "b0", "b1"])
        with pytest.raises(CampaignError, match=r"The list changed: 1 with other details\."):
            prepared(campaign_folder, ledger)
        ready = prepared(campaign_folder, ledger, update=True)
        assert to_send(ready, ledger) == 1
        result = await send(ledger, freeze(ready, ledger), server)
    assert result.tally == Tally(sent=6), "nobody is counted as skipped and as sent"
    assert len({message.message_id for message in server.accepted}) == 6
    assert all("@example.org>" in message.message_id for message in server.accepted)


def test_a_letter_with_mistakes_is_refused_before_any_row(campaign_folder: Path, ledger: Ledger) -> None:
    write_letter(campaign_folder, LETTER.replace("{{ name }}", "{{ nmae }}"))
    with pytest.raises(LetterError) as refused:
        prepared(campaign_folder, ledger, skip_problems=True)
    assert any("name" in f"{problem.message} {problem.hint}" for problem in refused.value.problems)
    assert ledger.campaigns() == []


def test_a_list_without_one_usable_row_is_refused_even_if_problems_are_skipped(
    campaign_folder: Path, ledger: Ledger
) -> None:
    write_list(campaign_folder, ["nonsense", "more nonsense"])
    with pytest.raises(ListError):
        prepared(campaign_folder, ledger, skip_problems=True)


def test_a_file_that_changes_between_check_and_freeze_is_refused_and_nothing_is_recorded(
    campaign_folder: Path, ledger: Ledger
) -> None:
    ready = prepared(campaign_folder, ledger)
    write_letter(campaign_folder, LETTER.replace("today", "now"))
    with pytest.raises(LetterError, match="was changed while"):
        freeze(ready, ledger)
    assert ledger.campaigns() == []


async def test_a_campaign_goes_on_from_the_ledger_when_its_folder_is_gone(
    campaign_folder: Path, ledger: Ledger
) -> None:
    with_attachments(campaign_folder)
    with ScriptedServer() as server:
        campaign = await sent_first(campaign_folder, ledger, server, 1)
        shutil.rmtree(campaign_folder / "templates")
        shutil.rmtree(campaign_folder / "motions")
        for name in ("leaflet.txt", "people.csv"):
            (campaign_folder / name).unlink()
        result = await send(ledger, campaign, server)
    assert result.tally == Tally(sent=6)
    assert [attached(message) for message in server.accepted] == [
        ["read this", f"motion of b{number % 2}"] for number in range(6)
    ]


async def test_what_is_sent_is_what_was_frozen_not_what_the_folder_says_now(
    campaign_folder: Path, ledger: Ledger
) -> None:
    with_attachments(campaign_folder)
    with ScriptedServer() as server:
        campaign = freeze(prepared(campaign_folder, ledger), ledger)
        (campaign_folder / "motions" / "b1.txt").write_text("forged", encoding="utf-8")
        write_letter(campaign_folder, "---\nsubject: forged\nlanguage: en\n---\nforged\n")
        await send(ledger, campaign, server)
    assert not any(b"forged" in message.content for message in server.accepted)
    assert len(server.accepted) == 6


async def test_the_message_that_leaves_is_the_one_that_was_planned_but_for_its_date(
    campaign_folder: Path, ledger: Ledger
) -> None:
    with_attachments(campaign_folder)
    plan = plan_of(campaign_folder, ledger)
    planned = {}
    for contact in plan.ready():
        letter, _ = plan.template.merge_with_warnings(contact, plan.identity, plan.marker()(contact))
        planned[contact.key] = plan.compose(contact, letter).content
    with ScriptedServer() as server:
        await send(ledger, freeze(prepared(campaign_folder, ledger), ledger), server)

    def undated(content: bytes) -> list[bytes]:
        return [line for line in content.split(b"\r\n") if not line.startswith(b"Date:")]

    assert {message.rcpt_to[0]: undated(message.content) for message in server.accepted} == {
        key: undated(content) for key, content in planned.items()
    }


# -- --update


async def test_an_update_changes_the_unsent_rest_and_nothing_else(campaign_folder: Path, ledger: Ledger) -> None:
    with ScriptedServer() as server:
        server.on("accepted", address=PEOPLE[1], drop=True)
        campaign = await sent_first(campaign_folder, ledger, server)
        assert statuses(ledger, campaign)[PEOPLE[1]] is Status.UNCERTAIN
        write_letter(campaign_folder, LETTER.replace("News", "Newer news"))
        write_list(campaign_folder, [*PEOPLE[1:5], address(9)])
        ledger.suppress([(PEOPLE[4], "asked")], source="by hand")
        ready = prepared(campaign_folder, ledger, update=True)
        assert ready.campaign
        assert ready.plan
        assert to_send(ready, ledger) == 3
        campaign = freeze(ready, ledger)
        assert campaign.revision == 2
        assert statuses(ledger, campaign) == {
            PEOPLE[0]: Status.SENT,
            PEOPLE[1]: Status.UNCERTAIN,
            PEOPLE[2]: Status.QUEUED,
            PEOPLE[3]: Status.QUEUED,
            PEOPLE[4]: Status.SUPPRESSED,
            PEOPLE[5]: Status.SKIPPED,
            address(9): Status.QUEUED,
        }
        result = await send(ledger, campaign, server)
    assert result.tally == Tally(sent=4, uncertain=1, suppressed=1, skipped=1)
    subjects = {message.rcpt_to[0]: subject(message) for message in server.accepted}
    assert subjects == {
        PEOPLE[0]: "News for Pat 1",
        PEOPLE[1]: "News for Pat 2",
        # they moved up by a row, and the list numbers the names
        PEOPLE[2]: "Newer news for Pat 2",
        PEOPLE[3]: "Newer news for Pat 3",
        address(9): "Newer news for Pat 5",
    }
    assert set(received(server).values()) == {1}


async def test_who_comes_back_to_the_list_is_sent_to_after_all(campaign_folder: Path, ledger: Ledger) -> None:
    with ScriptedServer() as server:
        await sent_first(campaign_folder, ledger, server)
        write_list(campaign_folder, PEOPLE[:5])
        campaign = freeze(prepared(campaign_folder, ledger, update=True), ledger)
        result = await send(ledger, campaign, server)
        assert result.tally == Tally(sent=5, skipped=1)
        write_list(campaign_folder, PEOPLE)
        ready = prepared(campaign_folder, ledger, update=True)
        assert to_send(ready, ledger) == 1
        result = await send(ledger, freeze(ready, ledger), server)
    assert (result.tally, result.campaign.revision) == (Tally(sent=6), 3)
    assert set(received(server).values()) == {1}


async def test_an_update_without_changes_is_none(campaign_folder: Path, ledger: Ledger) -> None:
    with ScriptedServer() as server:
        campaign = await sent_first(campaign_folder, ledger, server)
    again = prepared(campaign_folder, ledger, update=True)
    assert again.plan is None
    assert freeze(again, ledger).revision == campaign.revision
    header, *rows = (campaign_folder / "people.csv").read_text(encoding="utf-8").splitlines()
    (campaign_folder / "people.csv").write_text("\n".join([header, *reversed(rows)]), encoding="utf-8")
    assert prepared(campaign_folder, ledger, update=True).plan is None


async def test_an_update_that_fails_half_way_changes_nothing(campaign_folder: Path, ledger: Ledger) -> None:
    with ScriptedServer() as server:
        campaign = await sent_first(campaign_folder, ledger, server)
    write_letter(campaign_folder, LETTER.replace("today", "now"))
    ready = prepared(campaign_folder, ledger, update=True)
    write_letter(campaign_folder, LETTER.replace("today", "soon"))
    with pytest.raises(LetterError):
        freeze(ready, ledger)
    assert ledger.find(campaign.name).manifest == campaign.manifest
    assert ledger.tally(campaign) == Tally(sent=2, queued=4)


async def test_a_campaign_that_cannot_be_rendered_any_more_fails_by_delivery_and_stops_nothing(
    campaign_folder: Path, ledger: Ledger
) -> None:
    with ScriptedServer() as server:
        campaign = freeze(prepared(campaign_folder, ledger), ledger)
        ledger._db.execute("UPDATE deliveries SET fields = ? WHERE id = 3", (json.dumps({"email": PEOPLE[2]}),))
        await send(ledger, campaign, server)
    assert ledger.tally(campaign) == Tally(sent=5, failed=1)


async def test_a_letter_named_by_its_whole_path_is_frozen_like_any_other(campaign_folder: Path, ledger: Ledger) -> None:
    prepared(campaign_folder, ledger)
    letter = campaign_folder.resolve() / "templates" / "appeal.md"
    given = Source(template=str(letter), list_path=campaign_folder / "people.csv", folder=campaign_folder)
    assert given.template == "templates/appeal.md"
    with ScriptedServer() as server:
        campaign = freeze(prepare(given, IDENTITY, ledger), ledger)
        await send(ledger, campaign, server)
    assert ledger.tally(campaign).sent == len(PEOPLE)


async def test_a_letter_that_cannot_be_read_any_more_stops_the_run_and_fails_nobody(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = freeze(prepared(campaign_folder, ledger), ledger)
    ledger._db.execute("UPDATE blobs SET content = ?", (b"---\nsubject: {{ \n---\n",))
    with ScriptedServer() as server, pytest.raises(Paused, match="cannot be read any more"):
        await send(ledger, campaign, server)
    assert not server.accepted
    assert ledger.tally(campaign) == Tally(queued=len(PEOPLE))
