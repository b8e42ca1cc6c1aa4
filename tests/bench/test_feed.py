"""A share whose lines are sent to it makes the same requests as one that reads the file, and tells the same."""

import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opskit.bench.cluster.feed import KEPT, PIECE, Fed, Piece, pieces
from opskit.bench.plan import Plan, RequestsFile, divided, parse_url
from opskit.bench.requests import Tally, request_stream
from opskit.errors import Misuse, Unable

URL = parse_url("http://127.0.0.1/search?q=")
LOG = '192.0.2.1 - - [28/Nov/2026:10:00:00 +0000] "{} HTTP/1.1" 200 5 "-" "-"\n'


def at_once() -> bool:
    return True  # a test that would wait for more has gone wrong


def nothing() -> None: ...


def fed_with(plan: Plan, most: int = 1000) -> Fed:
    """A feed that has been given so many pieces of a share."""
    fed = Fed("the file", at_once, nothing)
    for piece in islice(pieces(plan), most):
        fed.put(piece)
        if piece.last:
            break
    return fed


def taken(plan: Plan, count: int, fed: Fed | None) -> tuple[list[bytes], Tally]:
    tally = Tally()
    requests = [request.wire for request in islice(request_stream(plan, tally, fed), count)]
    return requests, tally


def plan_of(path: Path, form: str = "lines", order: str = "sequential", number: int | None = None) -> Plan:
    url = None if form == "urls" else URL
    kind = "lines" if form == "urls" else form
    return Plan(url, RequestsFile(str(path), kind, order, seed=7), number=number, seconds=None if number else 9.0,
                concurrency=8)  # fmt: skip


def write(path: Path, form: str, words: list[str]) -> Path:
    line = {
        "lines": "{}\n",
        "urls": "http://127.0.0.1/{}\n",
        "jsonl": '{{"url": "{}"}}\n',
        "access-log": LOG.format("GET /{}"),
    }[form]
    text = "# a comment\n\n" + "".join(line.format(word) for word in words)
    if form == "access-log":
        text += LOG.format("POST /order") + "nonsense\n"
    path.write_text(text)
    return path


@pytest.mark.parametrize("form", ["lines", "urls", "jsonl", "access-log"])
@pytest.mark.parametrize("order", ["sequential", "random", "once"])
@settings(max_examples=15)
@given(count=st.integers(1, 12), shares=st.integers(1, 4), asked=st.integers(1, 30))
def test_what_is_sent_is_what_would_have_been_read(
    tmp_path_factory: pytest.TempPathFactory, form: str, order: str, count: int, shares: int, asked: int
) -> None:
    words = [f"w{index}" if index % 5 else f"w%20{index}" for index in range(count)]
    path = write(tmp_path_factory.mktemp("feed") / "requests", form, words)
    for plan in divided(plan_of(path, form, order), shares):
        wanted = asked if order != "once" else min(asked, plan.share.part(count))
        read, told = taken(plan, wanted, None)
        sent, told_by_feed = taken(plan, wanted, fed_with(plan, 2 * asked * shares + 2))
        assert sent == read
        if form != "access-log":  # of which what is skipped is told with each piece, not with each line
            assert told_by_feed == told


def test_the_shares_of_a_run_send_every_line_as_often(tmp_path: Path) -> None:
    path = write(tmp_path / "requests", "lines", [f"w{index}" for index in range(97)])
    sent = [
        wire
        for plan in divided(plan_of(path, number=970), 3)
        for wire in taken(plan, plan.number or 0, fed_with(plan))[0]
    ]
    assert {sent.count(wire) for wire in set(sent)} == {10}
    assert len(sent) == 970


def test_no_more_pieces_than_a_share_has_requests(tmp_path: Path) -> None:
    path = write(tmp_path / "requests", "lines", [f"word{index}" for index in range(200_000)])
    found = list(pieces(divided(plan_of(path, number=2000), 2)[0]))
    assert [piece.last for piece in found] == [True]
    assert found[0].size <= 2 * PIECE


def test_what_waits_is_bounded_and_asks_for_more_when_used(tmp_path: Path) -> None:
    path = write(tmp_path / "requests", "lines", [f"word{index}" for index in range(200_000)])
    plan = plan_of(path)
    source, fed = pieces(plan), Fed("the file", at_once, nothing)
    given_out = 0
    while fed.has_room:
        piece = next(source)
        fed.put(piece)
        given_out += piece.size
    assert KEPT <= given_out <= KEPT + 4 * PIECE
    requests = request_stream(plan, Tally(), fed)
    for _ in range(100_000):
        if fed.has_room:
            break
        next(requests)
    assert fed.has_room


def test_it_says_when_the_next_line_has_not_come(tmp_path: Path) -> None:
    path = write(tmp_path / "requests", "lines", ["one", "two"])
    plan = plan_of(path)
    fed = Fed("the file", at_once, nothing)
    source = pieces(plan)
    fed.put(next(source))
    requests = request_stream(plan, Tally(), fed)
    next(requests)
    assert not fed.would_wait(1)
    next(requests)
    assert fed.would_wait(2)
    fed.put(next(source))  # the end of a pass: no line
    assert fed.would_wait(2)
    fed.put(next(source))
    assert not fed.would_wait(2)


def test_a_line_that_is_no_request_ends_the_run_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"url": "/a"}\n# no request\n{"url": "/b"}\n{"nonsense": 1}\n')
    plan = divided(plan_of(path, "jsonl"), 1)[0]
    requests = request_stream(plan, Tally(), fed_with(plan, 1))
    next(requests)
    next(requests)
    with pytest.raises(Misuse, match=r"the file:4:2: unknown key 'nonsense'"):
        next(requests)


def test_a_file_that_cannot_be_read_on_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "requests"
    path.write_bytes(b"one\n" * 100_000 + b"x" * (2 << 20) + b"\n")
    plan = divided(plan_of(path), 1)[0]
    found = list(islice(pieces(plan), 1000))
    assert found[-1].last
    assert isinstance(found[-1].error, Misuse)
    with pytest.raises(Misuse, match="longer than 1 MiB"):
        list(request_stream(plan, Tally(), fed_with(plan)))


def test_a_share_without_a_line_makes_no_request(tmp_path: Path) -> None:
    path = write(tmp_path / "requests", "lines", ["only"])
    plan = divided(plan_of(path, order="once"), 2)[1]
    assert list(request_stream(plan, Tally(), fed_with(plan))) == []


def test_lines_that_come_late_are_waited_for() -> None:
    fed = Fed("the file", lambda: False, nothing)
    threading.Timer(0.2, lambda: fed.put(Piece(((1, [b"late"]),), 1, 60, usable=1, last=True))).start()
    plan = Plan(URL, RequestsFile("the file", order="once"), number=None)
    assert [request.wire.split()[1] for request in request_stream(plan, Tally(), fed)] == [b"/search?q=late"]


def test_nobody_waits_for_lines_of_someone_who_is_gone() -> None:
    until = time.monotonic() + 0.1
    fed = Fed("the file", lambda: time.monotonic() > until, nothing)
    with pytest.raises(Unable, match="no more lines of the file came"):
        request_stream(Plan(URL, RequestsFile("the file"), number=5), Tally(), fed)


def test_pieces_do_not_show_their_lines() -> None:
    assert "secret" not in repr(Piece(((1, [b"token=secret"]),), 1))
