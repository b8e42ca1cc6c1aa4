"""A reader that keeps bytes judges as the one that does not, and keeps what the server meant."""

from types import ModuleType

import pytest

from opskit.bench import parser_h11, parser_httptools, wire
from opskit.bench.answers.keeping import MOST_KEPT, KeepingReader
from opskit.bench.wire import head_lines
from tests.bench.answers import ANSWERS, Answer
from tests.bench.test_wire import cut, expected, fed, judged


@pytest.fixture(params=[parser_httptools, parser_h11], ids=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module: ModuleType = request.param
    monkeypatch.setattr(wire, "parse_head", module.parse_head)
    monkeypatch.setattr(wire, "chunked_body", module.chunked_body)
    return module


def keeping(*, head_request: bool = False) -> KeepingReader:
    reader = KeepingReader(({}, {}), lambda: True)
    reader.start(head_request=head_request)
    return reader


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_every_answer_is_judged_as_ever(parser: ModuleType, answer: Answer) -> None:
    size = len(answer.wire)
    for places in ((), range(1, min(size, 300)), (size // 2,)):
        reader = keeping(head_request=answer.head_request)
        assert judged(reader, cut(answer.wire, places)) == expected(answer, parser)


LENGTH = b"HTTP/1.1 200 Fine\r\nX-A:  b \r\nX-Long: a\r\n b\r\nContent-Length: 6\r\n\r\nabcdef"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;n=v\r\nabc\r\n3\r\ndef\r\n0\r\nT: x\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CHUNKED


@pytest.mark.parametrize("data", [LENGTH, CHUNKED, INTERIM], ids=["length", "chunked", "after a 103"])
def test_the_body_is_kept_wherever_it_is_cut(parser: ModuleType, data: bytes) -> None:
    for at in range(1, len(data)):
        reader = keeping()
        assert fed(reader, cut(data, [at]))
        assert (reader.kept_body(), reader.body_size) == (b"abcdef", 6)
        assert head_lines(reader.kept_head)[0].startswith("HTTP/1.1 200")


def test_a_second_answer_knows_nothing_of_the_first(parser: ModuleType) -> None:
    reader = keeping()
    assert reader.feed(LENGTH)
    assert head_lines(reader.kept_head) == (
        "HTTP/1.1 200 Fine",
        [("X-A", "b"), ("X-Long", "a b"), ("Content-Length", "6")],
    )
    reader.start(head_request=False)
    assert (reader.kept_head, reader.kept_body()) == (b"", b"")
    assert reader.feed(CHUNKED)
    assert reader.kept_body() == b"abcdef"


def test_of_a_large_body_the_beginning_is_kept(parser: ModuleType) -> None:
    size = MOST_KEPT + 70_001
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    reader = keeping()
    assert fed(reader, cut(head + bytes(size), range(0, size, 65_536)))
    assert (len(reader.kept_body()), reader.body_size) == (MOST_KEPT, size)


def test_of_what_is_no_answer_its_bytes_are_kept() -> None:
    reader = keeping()
    with pytest.raises(wire.BadFraming):
        reader.feed(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert reader.kept_body() == b"SSH-2.0-OpenSSH_9.2\r\n"


def test_what_nobody_wants_is_not_kept() -> None:
    reader = KeepingReader(({}, {}), iter([False, True, False]).__next__)
    reader.start(head_request=False)
    assert reader.feed(LENGTH)
    assert (reader.kept, reader.kept_body()) == (True, b"abcdef")
    reader.start(head_request=False)
    assert reader.feed(LENGTH)
    assert (reader.kept, reader.kept_body()) == (False, b"")
