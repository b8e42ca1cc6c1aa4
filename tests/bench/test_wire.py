"""Answers are judged the same wherever they are cut, by both parsers, whether their head was seen before."""

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench import parser_h11, parser_httptools, wire
from opskit.bench.wire import BadFraming, Body, ExtraBytes, Head, RawHead, ResponseReader, Truncated, judge
from tests.bench.answers import ANSWERS, HUGE, Answer

PARSERS = [parser_httptools, parser_h11]

Memories = tuple[dict[bytes, Head], dict[bytes, Head]]

each_answer = pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)


@pytest.fixture(params=PARSERS, ids=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module: ModuleType = request.param
    use(module, monkeypatch)
    return module


def use(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "parse_head", module.parse_head)
    monkeypatch.setattr(wire, "chunked_body", module.chunked_body)


def expected(answer: Answer, module: ModuleType) -> str:
    return answer.h11 if answer.h11 and module is parser_h11 else answer.verdict


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[first:last] for first, last in pairwise(edges) if first < last]


def verdict(pieces: list[bytes], *, head_request: bool = False, memories: Memories | None = None) -> str:
    """What is made of an answer after which the server closes; the pieces are what each read brings."""
    reader = ResponseReader(memories or ({}, {}))
    reader.start(head_request=head_request)
    return judged(reader, pieces)


def judged(reader: ResponseReader, pieces: list[bytes]) -> str:
    try:
        if not fed(reader, pieces) and not reader.end():
            return "nothing"
    except (BadFraming, ExtraBytes, Truncated) as error:
        return type(error).__name__
    assert reader.head is not None
    head = reader.head
    return f"{head.status} {head.body.name} {reader.body_size} {'kept' if head.keep_alive else 'closed'}"


def fed(reader: ResponseReader, pieces: list[bytes]) -> bool:
    """Feed as the engine does: what is left of a body of known length is counted, not fed."""
    done = False
    for piece in pieces:
        if done:
            raise ExtraBytes
        while piece and not done:
            if reader.left:
                size = min(reader.left, len(piece))
                piece, done = piece[size:], reader.skip(size)
            else:
                piece, done = b"", reader.feed(piece)
        if piece:
            raise ExtraBytes
    return done


@each_answer
def test_an_answer_in_one_read(parser: ModuleType, answer: Answer) -> None:
    assert verdict(cut(answer.wire, []), head_request=answer.head_request) == expected(answer, parser)


@each_answer
def test_an_answer_cut_in_two_at_every_byte(parser: ModuleType, answer: Answer) -> None:
    found = {
        verdict([answer.wire[:place], answer.wire[place:]], head_request=answer.head_request)
        for place in range(1, min(len(answer.wire), 400))
    }
    assert found <= {expected(answer, parser)}


@each_answer
def test_an_answer_byte_by_byte(parser: ModuleType, answer: Answer) -> None:
    pieces = cut(answer.wire, range(len(answer.wire)))
    assert verdict(pieces, head_request=answer.head_request) == expected(answer, parser)


@pytest.mark.parametrize("answer", HUGE, ids=lambda answer: answer.name)
def test_a_huge_answer_in_the_reads_of_a_network(parser: ModuleType, answer: Answer) -> None:
    sizes = random.Random(1)
    for size in (1 << 30, 65536, 16384, 1448 + sizes.randrange(100)):
        assert verdict(cut(answer.wire, range(size, len(answer.wire), size))) == expected(answer, parser)


@st.composite
def cut_answers(draw: st.DrawFn) -> tuple[Answer, list[bytes]]:
    answer = draw(st.sampled_from(ANSWERS))
    return answer, cut(answer.wire, draw(st.sets(st.integers(0, len(answer.wire)), max_size=8)))


@pytest.mark.parametrize("module", PARSERS, ids=["httptools", "h11"])
@given(cut_answers())
def test_an_answer_cut_anywhere(module: ModuleType, drawn: tuple[Answer, list[bytes]]) -> None:
    answer, pieces = drawn
    with pytest.MonkeyPatch.context() as patch:
        use(module, patch)
        assert verdict(pieces, head_request=answer.head_request) == expected(answer, module)


@each_answer
def test_a_remembered_head_changes_no_verdict(parser: ModuleType, answer: Answer) -> None:
    memories: Memories = ({}, {})
    for pieces in ([answer.wire], cut(answer.wire, range(0, len(answer.wire), 7)), [answer.wire]):
        found = verdict(pieces, head_request=answer.head_request, memories=memories)
        assert found == expected(answer, parser)


def test_all_answers_share_one_memory(parser: ModuleType) -> None:
    memories: Memories = ({}, {})
    for _ in range(2):
        for answer in ANSWERS:
            found = verdict([answer.wire], head_request=answer.head_request, memories=memories)
            assert found == expected(answer, parser), answer.name
    assert memories[False]
    assert memories[True]


def test_a_head_remembered_from_head_does_not_serve_get() -> None:
    memories: Memories = ({}, {})
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    assert verdict([data], head_request=True, memories=memories) == "200 NONE 0 kept"
    assert verdict([data + b"abc"], memories=memories) == "200 LENGTH 3 kept"
    assert verdict([data], memories=memories) == "Truncated"


def test_the_memory_of_heads_is_bounded() -> None:
    memories: Memories = ({}, {})
    for number in range(wire.REMEMBERED_HEADS + 10):
        data = b"HTTP/1.1 200 OK\r\nX-Id: %d\r\nContent-Length: 0\r\n\r\n" % number
        assert verdict([data], memories=memories) == "200 LENGTH 0 kept"
    assert len(memories[False]) <= wire.REMEMBERED_HEADS


GOOD = [answer for answer in ANSWERS if answer.verdict.endswith("kept")]


@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=6), st.integers(1, 50))
def test_answers_follow_one_another_on_a_kept_connection(answers: list[Answer], size: int) -> None:
    reader = ResponseReader(({}, {}))
    for answer in answers:
        reader.start(head_request=answer.head_request)
        assert reader.untouched()
        assert judged(reader, cut(answer.wire, range(size, len(answer.wire), size))) == answer.verdict


def test_a_short_head_is_whole_after_a_longer_one() -> None:
    reader = ResponseReader(({}, {}))
    short, long = b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    for data in (short, long, short, long, short):
        reader.start(head_request=False)
        assert reader.feed(data)
        assert (reader.body_size, reader.left) == (3 if data is long else 0, 0)


@pytest.mark.parametrize(
    ("data", "untouched"),
    [(b"", True), (b"H", False), (b"HTTP/1.1 100 Continue\r\n\r\n", False), (ANSWERS[0].wire[:-1], False)],
    ids=["nothing", "a byte", "an interim answer", "most of it"],
)
def test_untouched_means_not_one_byte(data: bytes, untouched: bool) -> None:
    reader = ResponseReader(({}, {}))
    if data:
        reader.feed(data)
    assert reader.untouched() is untouched


def broken(answers: list[Answer]) -> Iterator[st.SearchStrategy[bytes]]:
    """Whole answers, their parts, and bytes that mean something, in any order."""
    yield st.sampled_from([answer.wire for answer in answers])
    yield st.builds(
        lambda data, end: data[:end], st.sampled_from([answer.wire for answer in answers]), st.integers(0, 80)
    )
    yield st.sampled_from(
        [b"\r\n", b"\n", b"\r", b":", b";", b"0\r\n", b"HTTP/1.1 ", b"200", b"1xx", b" ", b"\0", b"ffffffff"]
    )
    yield st.binary(max_size=20)  # fmt: skip


BYTES = st.lists(st.one_of(*broken(ANSWERS)), max_size=6).map(b"".join)


@pytest.mark.parametrize("module", PARSERS, ids=["httptools", "h11"])
@given(BYTES, st.sets(st.integers(0, 300), max_size=4), st.booleans())
def test_no_bytes_raise_anything_but_the_three_errors(
    module: ModuleType, data: bytes, places: set[int], head_request: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        use(module, patch)
        pieces = cut(data, (place for place in places if place < len(data)))
        assert verdict(pieces, head_request=head_request)  # judged() lets every other exception out


@pytest.mark.parametrize("module", PARSERS, ids=["httptools", "h11"])
@given(BYTES, st.integers(1, 20))
def test_where_any_bytes_are_cut_changes_no_verdict(module: ModuleType, data: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        use(module, patch)
        whole, parts = verdict([data] if data else []), verdict(cut(data, range(size, len(data), size)))
        # What follows a message may be bad as well: which of the two is said depends on what came together.
        assert whole == parts or {whole, parts} <= {"ExtraBytes", "BadFraming"}


def test_the_server_field_is_shown_without_what_a_terminal_would_obey(parser: ModuleType) -> None:
    reader = ResponseReader(({}, {}))
    assert reader.feed(b"HTTP/1.1 204 No\r\nServer: ng\x9binx \xc3\xa4\r\n\r\n")
    assert reader.head is not None
    assert reader.head.server == "ng?inx ??"


def test_a_head_is_judged_by_its_fields() -> None:
    raw = RawHead("1.1", 200, [(b"server", b"s"), (b"content-length", b"7"), (b"connection", b"close")])
    assert judge(raw, head_request=False) == Head(200, Body.LENGTH, 7, keep_alive=False, server="s")
    assert judge(raw, head_request=True) == Head(200, Body.NONE, 0, keep_alive=False, server="s")


def test_every_difference_between_the_parsers_is_explained() -> None:
    assert [answer.name for answer in ANSWERS if bool(answer.h11) != bool(answer.why)] == []
