"""The benchmarks measure what they say: messages are counted right, delays and windows are what they should be. Not timed."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.platform == "win32":
    pytest.skip("the benchmarks run Postfix's programs", allow_module_level=True)

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import capacity, contacts, letter, table  # noqa: E402
from benchmarks.brief import BEGIN, END, brief, put_into  # noqa: E402
from benchmarks.cases import CASES, distance, million, paced, shared, whole, workers  # noqa: E402
from benchmarks.measure import Failed, Skipped, interleaved, run  # noqa: E402
from benchmarks.peers import PEERS, Peer, Work  # noqa: E402
from benchmarks.servers import Counter, Noted, counter, slow_line, smtp_sink  # noqa: E402
from benchmarks.table import Section  # noqa: E402

MESSAGES = 20


def sent_by(peer: Peer, folder: Path, port: int) -> None:
    """Let a peer do its work. Skips the test where the peer is not installed."""
    try:
        run(peer.command(Work(folder=folder, port=port, messages=MESSAGES, connections=3)), folder=folder, patience=60)
    except Skipped as reason:
        pytest.skip(str(reason))


def mean_size(noted: Noted) -> float:
    return noted.size / len(noted.times)


@pytest.mark.thorough
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_message_of_a_peer_is_counted(peer: Peer, tmp_path: Path) -> None:
    with counter() as server:
        sent_by(peer, tmp_path, server.port)
        noted = server.noted()
    assert len(noted.times) == MESSAGES
    # all send about the same; smtp-source counts the content without its head
    assert mean_size(noted) == pytest.approx(letter.SIZE, rel=0.12)


def test_the_constant_message_has_exactly_its_size(tmp_path: Path) -> None:
    content = letter.constant(tmp_path).read_bytes()
    assert len(content) == letter.SIZE
    assert content.count(b"\n") == content.count(b"\r") == content.count(b"\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 998  # RFC 5321, section 4.5.3.1.6


def test_smtp_sink_tells_how_many_messages_it_took(tmp_path: Path) -> None:
    try:
        with smtp_sink(tmp_path) as sink:
            loop = next(peer for peer in PEERS if peer.name == "smtplib, 1 connection")
            sent_by(loop, tmp_path, sink.port)
            sink.expect(MESSAGES)
            with pytest.raises(Failed, match="20 messages arrived instead of 19"):
                sink.expect(MESSAGES - 1)
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def server() -> Iterator[Counter]:
    with counter() as running:
        yield running


CONTENTS = st.lists(
    st.sampled_from(["", "x", "Subject: a\r\n\r\nb", "..\r\n.. ", "a\r\n..\r\nb", "DATA\r\nQUIT"]),
    min_size=1,
    max_size=6,
)


@given(contents=CONTENTS, cuts=st.lists(st.integers(1, 40), max_size=12))
def test_the_counting_server_answers_each_command_however_the_bytes_are_cut(
    contents: list[str], cuts: list[int], server: Counter
) -> None:
    words = "".join(
        f"MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n{text}\r\n.\r\n" if text else EMPTY for text in contents
    )
    stream = f"EHLO me.test\r\n{words}QUIT\r\n".encode()
    codes = dialogue(server.port, stream, cuts)
    assert codes == ["220", "250-", "250-", "250", *["250", "250", "354", "250"] * len(contents), "221"]


EMPTY = "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n.\r\n"


def dialogue(port: int, stream: bytes, cuts: list[int]) -> list[str]:
    """The codes of all replies to a stream that is sent in pieces."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, connection.makefile("rb") as replies:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin, end in itertools.pairwise([0, *itertools.accumulate(cuts), len(stream)]):
            connection.sendall(stream[begin:end])
        return [line[:4].decode().strip() for line in replies.read().splitlines()]


def test_the_slow_line_delays_both_ways_loses_nothing_and_tells_of_every_connection() -> None:
    with counter() as server, slow_line(server.port, delay=0.02) as line:
        assert line.round_trip() >= 0.9 * 0.04  # it allows for a clock that wakes late
        content = "".join(f"{number:06}\r\n" for number in range(50_000))
        stream = f"MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n{content}\r\n.\r\nQUIT\r\n".encode()
        assert dialogue(line.port, stream, [1000] * 20)[-1] == "221"
        (told,) = line.lines()
        noted = server.noted()
    assert (len(noted.times), noted.size) == (1, len(content) + 2)
    assert told.first_mail is not None
    assert told.first_mail + 0.9 * 0.04 <= told.last_reply <= told.closed
    assert told.opened + 0.9 * 0.06 <= noted.times[0]


@given(times=st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_the_fullest_window_is_found(times: list[float]) -> None:
    assert paced.most_in(times, 1.0) == max(sum(begin <= time < begin + 1.0 for time in times) for begin in times)


@pytest.mark.parametrize(
    ("times", "share"),
    [
        ([0.1 * number for number in range(100)], 1.0),
        ([float(number // 10) for number in range(100)], 1.0),
        ([0.2 * number for number in range(100)], 0.5),
    ],
)
def test_the_share_of_a_quota_is_the_same_in_bursts_and_evenly(times: list[float], share: float) -> None:
    assert paced.used(times, 10, 1.0) == pytest.approx(share)


@pytest.mark.thorough
def test_a_long_list_is_checked_enqueued_and_continued(tmp_path: Path) -> None:
    made = contacts.make(tmp_path / "contacts" / "members.csv", 12_000, faults=True)
    assert (made.problems, made.duplicates) == (1, 2)
    assert million.check(made, tmp_path).peak > 0
    wrong = contacts.Made(path=made.path, rows=made.rows, problems=2, duplicates=2)
    with pytest.raises(Failed, match="'problems': 1"):
        million.check(wrong, tmp_path)


@pytest.mark.thorough
def test_the_last_hundred_of_a_campaign_are_sent_and_timed(tmp_path: Path) -> None:
    made = contacts.make(tmp_path / "contacts" / "members.csv", 300)
    first, last = million.sending(made, tmp_path)
    assert float(first[1]) > 0
    assert float(last[1]) > 0


def test_a_command_that_fails_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ended with 3: no reason"):
        run([sys.executable, "-c", "import sys; print('no reason'); sys.exit(3)"], folder=tmp_path)


def test_the_cpu_time_of_children_counts(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    spent = run(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"],
        folder=tmp_path,
    )
    assert spent.cpu >= 0.2


def test_contenders_take_turns_and_one_that_fails_stops_nobody() -> None:
    order = []

    def one(name: str) -> float:
        order.append(name)
        if name == "b":
            raise Failed("it broke")
        return 1.0

    rounds = interleaved({name: lambda name=name: one(name) for name in "abc"}, 3)
    assert order == ["a", "b", "c", "c", "a", "a", "c"]
    assert rounds.failed == {"b": "it broke"}
    assert set(rounds.results) == {"a", "c"}


def test_a_section_can_be_read_again() -> None:
    section = Section(title="T", measured="how", heads=("who", "x", "y"), rows=[("a", "1", "2"), ("b", "skipped: no")])
    page = table.page("- processor: p\n- Python: q", {"T": section.markdown()})
    found = table.sections(page)
    assert table.cells(found["T"]) == {"a": {"x": "1", "y": "2"}, "b": {"x": "skipped: no", "y": ""}}
    assert table.page("- processor: p\n- Python: q", found) == page


def test_the_readme_has_the_figures_of_the_page() -> None:
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert "FAILED" not in page
    assert {case.TITLE for case in CASES.values()} <= set(table.sections(page))
    assert f"{BEGIN}\n{brief(page)}\n{END}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_block_in_a_readme_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}old\n{END}after\n{END}", encoding="utf-8")
    put_into(readme, page)
    assert readme.read_text(encoding="utf-8") == f"before\n{BEGIN}\n{brief(page)}\n{END}after\n{END}"


def test_a_page_without_the_whole_path_leaves_the_readme_as_it_is(tmp_path: Path) -> None:
    """As after `--only workers` on another machine than before, whose figures cannot stand beside these."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    put_into(readme, table.page("- processor: a new one", {workers.TITLE: "## Workers\n"}))
    assert readme.read_text(encoding="utf-8") == f"before\n{BEGIN}old\n{END}after\n"


def test_a_fair_share_is_counted_while_all_send() -> None:
    early, late = [at / 10 for at in range(100)], [5 + at / 10 for at in range(100)]
    assert shared.while_all([early, late]) == (5.0, 9.9)
    assert shared.fair_shares([early, late]) == [1.0, 1.0]
    assert shared.fair_shares([early, late[::2]]) == pytest.approx([2 / 3, 4 / 3], rel=0.02)
    with pytest.raises(Failed, match="no time at which all"):
        shared.fair_shares([[1.0, 2.0], [3.0, 4.0]])


def results(**changed: str) -> str:
    """A page of results, as far as the arithmetic rests on it."""
    figures = {"messages/s": "2,000", "CPU us a message": "400", "of the database": "300", "KB it keeps": "1.20"}
    figures |= {"KB of its log": "3.00", "peak MB of each": "80"} | changed
    path = ("messages/s", "CPU us a message")
    parts = [
        Section(
            title=workers.TITLE, measured="", heads=("who sends", *figures), rows=[("1 worker", *figures.values())]
        ),
        Section(
            title=whole.TITLE,
            measured="",
            heads=("sender", *path),
            rows=[("mailer send", "2,500", "300"), ("mailer send, signed (DKIM)", "1,000", "900")],
        ),
        Section(title=distance.TITLE, measured="", heads=("sender", path[0]), rows=[("mailer send", "90.0")]),
        Section(title=shared.TITLE, measured="", heads=("workers", "quota used"), rows=[("4", "99.1%")]),
    ]
    return table.page("- processor: a test, 2 cores", {part.title: part.markdown() for part in parts})


def test_the_page_of_arithmetic_says_what_follows_from_the_results() -> None:
    given = capacity.measured(results())
    million_a_day = capacity.needed(given, 1_000_000)
    assert million_a_day.rate == pytest.approx(27.8, abs=0.1)
    assert million_a_day.workers == 2, "one core does it, and one more is there"
    assert million_a_day.lines == 4
    hundred = capacity.needed(given, 100_000_000)
    # 2,778 a second, each 400 us and 600 us of a signature, on cores that are half busy
    assert hundred.cores == pytest.approx(5.56, abs=0.01)
    assert hundred.workers == 7
    assert hundred.database == pytest.approx(1.67, abs=0.01)
    assert hundred.disk == pytest.approx(120e9)
    text = capacity.page(given)
    assert "| 100,000,000 " in text
    assert "a test, 2 cores" in text
    assert "Messages are signed" in text
    unsigned = dataclasses.replace(given, signing=None)
    assert capacity.needed(unsigned, 100_000_000).workers == 4
    assert "Messages are not signed" in capacity.page(unsigned)


def test_without_its_figures_the_page_of_arithmetic_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    for text in (results(**{"of the database": ""}), "# How fast\n\n## The machine\n"):
        page.write_text(text, encoding="utf-8")
        capacity.write_beside(page)
        assert not page.with_name(capacity.NAME).exists()
    page.write_text(results(), encoding="utf-8")
    capacity.write_beside(page)
    assert page.with_name(capacity.NAME).exists()


@pytest.mark.thorough
def test_workers_and_one_process_are_measured_by_what_arrives() -> None:
    try:
        for number in (0, 2):
            sent = workers.sending(300, workers=number)
            assert sent.rate > 0
            assert len(sent.senders) == max(1, number)
            assert min(sent.cpu, sent.peak, sent.database, sent.kept, sent.logged) > 0
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.mark.thorough
def test_workers_under_one_limit_are_seen_apart() -> None:
    try:
        one = shared.sending(4)
    except Skipped as reason:
        pytest.skip(str(reason))
    assert len(one.times) == 4 * shared.COUNT
    assert len(one.shares) == shared.WORKERS
    assert paced.most_in(one.times, 1.0) <= shared.COUNT
