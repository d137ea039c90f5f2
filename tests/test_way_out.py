"""The way out of a list: in every message with a token of its own, in previews without effect, and asked for where many are mailed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from campaigns import IDENTITY, LETTER, address, send, source, write_letter, write_list
from smtp_server import ScriptedServer

from mailer.campaign.plan import WAY_OUT, make_plan
from mailer.campaign.preview import write_preview
from mailer.campaign.send import MANY, freeze, prepare
from mailer.errors import LetterError, Refused, SettingsError
from mailer.ledger import Ledger
from mailer.model import Identity, Status
from mailer.settings import values
from mailer.tokens import Purpose, Tokens

MARKED = replace(
    IDENTITY,
    bounce_address="bounces+{token}@example.org",
    unsubscribe_url="https://example.org/leave?token={token}",
    unsubscribe_mailto="leave@example.org?subject=unsubscribe%20{token}",
)
SILENT = replace(IDENTITY, unsubscribe_mailto=None)
TOKEN = re.compile(r"[a-z2-7]{32}[0-9a-f]{20}")


@pytest.fixture
def ledger(campaign_folder: Path) -> Iterator[Ledger]:
    write_letter(campaign_folder)
    write_list(campaign_folder, [address(number) for number in range(1, 4)])
    with Ledger(campaign_folder / "mailer.db") as opened:
        yield opened


def tokens_in(content: bytes) -> list[set[str]]:
    """The tokens in the header, the plain text and the HTML of a message."""
    message = message_from_bytes(content, policy=policy.default)
    texts = [str(message["List-Unsubscribe"])]
    texts += [message.get_body((kind,)).get_content() for kind in ("plain", "html")]  # type: ignore[union-attr]
    return [set(TOKEN.findall(text)) for text in texts]


async def test_each_message_carries_its_own_token_everywhere_and_leaving_by_it_is_final(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = freeze(prepare(source(campaign_folder), MARKED, ledger), ledger)
    with ScriptedServer() as server:
        await send(ledger, campaign, server, limit=2)
    tokens = Tokens(ledger.secret)
    names = {record.address: record.message_id[1:33] for record in ledger.records(campaign)}
    assert len(server.accepted) == 2
    for message in server.accepted:
        name = names[message.rcpt_to[0]]
        assert tokens_in(message.content) == [{tokens.sign(Purpose.UNSUBSCRIBE, name)}] * 3
        assert message.mail_from == f"bounces+{tokens.sign(Purpose.BOUNCE, name)}@example.org"

    assert ledger.unsubscribe(names[address(3)])
    with ScriptedServer() as server:
        await send(ledger, campaign, server)
    assert not server.accepted
    assert [record.status for record in ledger.records(campaign)] == [Status.SENT, Status.SENT, Status.SUPPRESSED]


def test_the_seal_does_not_depend_on_the_ledger_that_signs(campaign_folder: Path, ledger: Ledger) -> None:
    seals = {make_plan(source(campaign_folder), MARKED, secret).seal for secret in (ledger.secret, b"another")}
    assert len(seals) == 1
    assert seals != {make_plan(source(campaign_folder), IDENTITY, ledger.secret).seal}


def test_the_links_of_a_preview_unsubscribe_nobody(campaign_folder: Path, ledger: Ledger) -> None:
    plan = make_plan(source(campaign_folder), MARKED, ledger.secret)
    write_preview(plan, ledger, campaign_folder / "preview")
    tokens = Tokens(ledger.secret)
    files = sorted((campaign_folder / "preview").rglob("*.eml"))
    found = [token for file in files for place in tokens_in(file.read_bytes()) for token in place]
    assert len(found) == 9
    assert [tokens.read(Purpose.UNSUBSCRIBE, token) for token in found] == [None] * 9
    assert {tokens.read(Purpose.PREVIEW, token) for token in found} == {
        plan.message_id(contact)[1:33] for contact in plan.ready()
    }


@pytest.mark.parametrize(
    ("identity", "handmade", "error"),
    [
        (MARKED, "", None),
        (IDENTITY, "", None),
        (SILENT, "", SettingsError),
        (MARKED, "<p>{{ content }}</p>", LetterError),
        (IDENTITY, "<p>{{ content }}</p>", LetterError),
        (MARKED, "<p>{{ content }}</p>{{ footer }}", None),
    ],
    ids=["tokens", "an address", "nothing set", "no footer", "no footer, no token", "own page with a footer"],
)
@pytest.mark.parametrize("count", [MANY, MANY + 1])
def test_a_letter_to_many_shows_the_way_out_or_is_refused(
    campaign_folder: Path, identity: Identity, handmade: str, error: type[Refused] | None, count: int
) -> None:
    write_letter(campaign_folder)
    if handmade:
        (campaign_folder / "templates" / "appeal.md").unlink()
        (campaign_folder / "templates" / "appeal").mkdir()
        (campaign_folder / "templates" / "appeal" / "letter.md").write_text(LETTER, encoding="utf-8")
        page = f"<html><body>{handmade}</body></html>"
        (campaign_folder / "templates" / "appeal" / "letter.html").write_text(page, encoding="utf-8")
    write_list(campaign_folder, [address(number) for number in range(count)])
    with Ledger(campaign_folder / "mailer.db") as ledger:
        if error is None or count == MANY:
            prepared = prepare(source(campaign_folder), identity, ledger)
            assert prepared.plan
            assert (WAY_OUT in {warning.code for warning in prepared.plan.warnings}) is False
            return
        with pytest.raises(error) as caught:
            prepare(source(campaign_folder), identity, ledger)
        assert "Nothing was sent" in caught.value.message
        assert caught.value.hint
        # said in the preview already
        plan = make_plan(source(campaign_folder), identity, ledger.secret)
        assert WAY_OUT in {warning.code for warning in plan.warnings}


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("https://example.org/leave", "https://example.org/leave?token={token}"),
        ("https://example.org/leave?a=1", "https://example.org/leave?a=1&token={token}"),
        ("https://example.org/leave#here", "https://example.org/leave?token={token}#here"),
        ("https://example.org/leave/{token}/now", "https://example.org/leave/{token}/now"),
    ],
)
def test_a_link_without_a_place_for_the_token_gets_one(written: str, place: str) -> None:
    assert values.marked_link(values.web_address(written)) == place


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("leave@example.org", "leave@example.org?subject=unsubscribe%20{token}"),
        ("leave@example.org?subject=No+more", "leave@example.org?subject=No+more%20{token}"),
        ("leave@example.org?body=x", "leave@example.org?body=x&subject=unsubscribe%20{token}"),
        ("mailto:leave+{token}@example.org", "leave+{token}@example.org"),
    ],
)
def test_an_address_without_a_place_for_the_token_gets_one(written: str, place: str) -> None:
    assert values.marked_mailto(values.mailto(written)) == place


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (values.web_address, "https://{token}.example.org/"),
        (values.web_address, "https://example.org/{token}/{token}"),
        (values.bounce_address, "bounces@{token}.example.org"),
        (values.bounce_address, "{token}@example.org"),
        (values.bounce_address, "a-name-that-is-too-long+{token}@example.org"),
        (values.mailto, "leave@{token}"),
    ],
)
def test_a_place_where_no_token_can_stand_is_refused(check, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check(text)
