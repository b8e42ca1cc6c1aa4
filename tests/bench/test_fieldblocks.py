"""Heads in HPACK, judged by the hpack library's decoder; sessions fed with anything."""

from contextlib import suppress

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from opskit.bench.http2.fieldblocks import AnswerHeads, RequestBlocks, RequestHeads
from opskit.bench.http2.frames import PREFACE, Code, code_name, headers
from opskit.bench.http2.session import OPENING, Http2Session, Lost, Stream
from opskit.bench.plan import Origin, Prepared
from opskit.bench.wire import BadFraming

ORIGIN = Origin("http", "h", 80)


def message(method: str, target: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: h", *fields, "", ""]).encode() + body


targets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=300).map("/".__add__)
heads = st.sampled_from(
    [
        ("GET", ()),
        ("POST", ("X-A: 1", "Content-Length: 0")),
        ("PATCH", ("X-Long: " + "y" * 5000,)),
        ("HEAD", ("A: b",)),
    ]
)


@given(st.lists(st.tuples(heads, targets, st.sampled_from([None, None, 0, 100, 4096])), max_size=30))
def test_blocks_are_read_as_the_fields_they_stand_for(
    asked: list[tuple[tuple[str, tuple[str, ...]], str, int | None]],
) -> None:
    known, blocks, decoder = RequestHeads("http"), RequestBlocks(), Decoder()
    for (method, fields), target, table in asked:
        if table is not None:
            blocks.limit_table(table)
            decoder.max_allowed_table_size = table
        head, path, _ = known.of(message(method, target, *fields))
        decoded = [
            (bytes(name), bytes(value)) for name, value in decoder.decode(blocks.block(head, path), raw=True)
        ]
        pairs = [line.split(": ") for line in fields]
        assert decoded == [
            (b":method", method.encode()), (b":scheme", b"http"), (b":authority", b"h"),
            (b":path", target.encode()),
            *((name.lower().encode(), value.encode()) for name, value in pairs),
        ]  # fmt: skip


def test_the_second_request_of_a_connection_is_short() -> None:
    known, blocks = RequestHeads("http"), RequestBlocks()
    head, target, body = known.of(message("GET", "/a", "User-Agent: opskit-bench/1.0", "Accept: */*"))
    first, second = blocks.block(head, target), blocks.block(head, target)
    assert (len(second), body) == (9, b"")
    assert len(first) > 20


def test_what_belongs_to_one_connection_is_not_carried_over() -> None:
    fields = (
        "Connection: keep-alive",
        "Keep-Alive: 5",
        "TE: gzip",
        "Upgrade: x",
        "Transfer-Encoding: chunked",
        "X: y",
    )
    head, _, _ = RequestHeads("https").of(message("GET", "/", *fields))
    decoded = [bytes(name) for name, _ in Decoder().decode(b"".join(head.alone), raw=True)]
    assert decoded == [b":method", b":scheme", b":authority", b"x"]


@pytest.mark.parametrize("update", [b"\x3f\xe1\x1f", b"\x3f\x01"])
def test_a_server_that_keeps_a_table_though_it_may_not_is_noticed(update: bytes) -> None:
    with pytest.raises(HPACKError):
        AnswerHeads().read(update + b"\x88")


def test_an_answers_head_is_worked_out_once() -> None:
    answers = AnswerHeads()
    encoder = Encoder()
    encoder.header_table_size = 0
    block = encoder.encode([(":status", "404"), ("server", "a"), ("content-length", "12")])
    assert answers.recall(block) is None
    head = answers.read(block)
    assert (head.status, head.length, head.server) == (404, 12, "a")
    assert answers.recall(block) is head


@pytest.mark.parametrize("lengths", [("1", "2"), ("-1",), ("1 ",), ("9" * 20,), ("",)])
def test_a_length_that_is_none_is_refused(lengths: tuple[str, ...]) -> None:
    fields = [(":status", "200"), *(("content-length", length) for length in lengths)]
    with pytest.raises(BadFraming):
        AnswerHeads().read(Encoder().encode([(*pair, True) for pair in fields]))


def test_codes_have_names() -> None:
    assert (code_name(Code.REFUSED_STREAM), code_name(0x2A)) == ("REFUSED_STREAM", "error code 0x2a")


def test_a_block_larger_than_a_frame_goes_on_in_others() -> None:
    assert headers(1, b"a" * 25, 10, end_stream=True) == (
        b"\0\0\x0a\x01\x01\0\0\0\x01" + b"a" * 10 + b"\0\0\x0a\x09\0\0\0\0\x01" + b"a" * 10
        + b"\0\0\x05\x09\x04\0\0\0\x01" + b"a" * 5
    )  # fmt: skip


SETTINGS = bytes(3) + b"\x04" + bytes(5)
frame = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
    ),
    st.integers(0, 11), st.integers(0, 255), st.integers(0, 7), st.binary(max_size=40),
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(frame | st.binary(max_size=30), max_size=12), st.integers(1, 50))
def test_whatever_comes_each_stream_ends_at_most_once_and_nothing_but_Lost_is_raised(  # noqa: N802
    pieces: list[bytes], cut: int
) -> None:
    session = Http2Session(AnswerHeads())
    session.receive(SETTINGS, 1)
    head, target, body = RequestHeads("http").of(message("POST", "/", body=b"x" * 100_000))
    asked = [Stream(Prepared(b"", ORIGIN, False, None), 0, 0) for _ in range(3)]
    for stream in asked:
        session.ask(stream, head, target, body)
    ended: list[Stream] = []
    data = b"".join(pieces)
    with suppress(Lost):
        for at in range(0, len(data), cut):
            ended += session.receive(data[at : at + cut], 2)
    assert len({id(stream) for stream in ended}) == len(ended)
    assert {stream.number for stream in ended}.isdisjoint(session.streams)
    assert len(session.streams) + len(ended) <= len(asked)


def test_a_connection_opens_as_RFC_9113_says() -> None:  # noqa: N802 — the document's name
    assert OPENING.startswith(PREFACE + b"\0\0\x18\x04\0\0\0\0\0")
