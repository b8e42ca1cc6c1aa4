"""Content-Range, multipart, zip and MP4: read from bytes, refused where they lie."""

import io
import struct
import zipfile
from contextlib import suppress
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.httprange import archive, boxes, fields
from opskit.httprange.fields import ContentRange, Malformed, Span
from opskit.target import ranges
from opskit.target.content import Span as TargetSpan


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("bytes 0-0/2000", ContentRange(Span(0, 0), 2000)),
        ("bytes 10-20/12438", ContentRange(Span(10, 20), 12438)),
        ("bytes 10-20/*", ContentRange(Span(10, 20), None)),
        ("bytes */2000", ContentRange(None, 2000)),
    ],
)
def test_a_content_range_that_can_be(text: str, meant: ContentRange) -> None:
    assert fields.content_range(text) == meant


# The ones that browsers must refuse are from the web platform tests for fetch.
@pytest.mark.parametrize(
    "text",
    [
        "", "bytes 0-1", "0-1/1000", "bytes -10-100/200", "bytes 7-4/10", "bytes ABC-1/2", "80", "bytes 3 3",
        "bytes 0-10/10", "bytes */*", "bytes=0-1/2", "Bytes 0-1/2", "bytes 0-1/-2", "bytes 0-١/2",
        "bytes 2000-1999/2000", "bytes 0--1/0",
    ],
)  # fmt: skip
def test_a_content_range_that_cannot_be(text: str) -> None:
    with pytest.raises(Malformed):
        fields.content_range(text)


def multipart(spans: list[tuple[int, int]], boundary: str = "B") -> bytes:
    parts = b"".join(
        b"--%b\r\nContent-Type: a/b\r\nContent-Range: bytes %d-%d/999\r\n\r\n%b\r\n"
        % (boundary.encode(), first, last, b"x" * (last - first + 1))
        for first, last in spans
    )
    return parts + b"--%b--\r\n" % boundary.encode()


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 300)), min_size=1, max_size=6))
def test_parts_are_what_was_put_in(pairs: list[tuple[int, int]]) -> None:
    spans = [(first, first + size) for first, size in pairs]
    found = fields.parts(multipart(spans), "B")
    assert [part.range.span for part in found] == [Span(*span) for span in spans]
    assert all(part.range.span and len(part.body) == len(part.range.span) for part in found)


def test_the_boundary_in_the_content_ends_nothing() -> None:
    body = b"--B\r\nContent-Range: bytes 0-6/9\r\n\r\n\r\n--B--\r\n--B--\r\n"
    assert [part.body for part in fields.parts(body, "B")] == [b"\r\n--B--"]


def test_line_ends_before_the_first_boundary_are_allowed() -> None:
    assert len(fields.parts(b"\r\n\r\n" + multipart([(0, 4), (9, 9)]), "B")) == 2


GOOD = multipart([(0, 4), (10, 14)])


@pytest.mark.parametrize(
    "body",
    [
        b"", GOOD.replace(b"\r\n", b"\n"), GOOD.removesuffix(b"--B--\r\n"), GOOD[:40], b"hello" + GOOD,
        GOOD + b"more", GOOD.replace(b"Content-Range: bytes 0-4/999\r\n", b""),
        GOOD.replace(b"0-4/999", b"0-5/999"), GOOD.replace(b"0-4/999", b"4-0/999"),
        GOOD.replace(b"Content-Type: a/b", b"nonsense"), GOOD.replace(b"--B", b"--C"),
        GOOD.replace(b"bytes 0-4/999", b"bytes */999"),
    ],
)  # fmt: skip
def test_a_multipart_body_that_is_wrong(body: bytes) -> None:
    with pytest.raises(Malformed):
        fields.parts(body, "B")


@given(st.binary(max_size=200))
def test_any_bytes_are_parts_or_malformed(body: bytes) -> None:
    with suppress(Malformed):
        fields.parts(b"--B" + body, "B")


def test_the_standard_library_reads_what_the_target_sends() -> None:
    resource = ranges.Resource(999, '"v"', 1, "a/b")
    spans = (TargetSpan(0, 4), TargetSpan(10, 14))
    pieces = (p if isinstance(p, bytes) else b"x" * len(p) for p in ranges.multipart(spans, resource))
    head = f"Content-Type: multipart/byteranges; boundary={ranges.BOUNDARY}\r\n\r\n".encode()
    message = message_from_bytes(head + b"".join(pieces))
    assert [(part["Content-Range"], part.get_payload()) for part in message.walk()][1:] == [
        ("bytes 0-4/999", "xxxxx"),
        ("bytes 10-14/999", "xxxxx"),
    ]


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("multipart/byteranges; boundary=abc", "abc"),
        ('Multipart/ByteRanges; charset=x; boundary="a b"', "a b"),
    ],
)
def test_a_boundary(kind: str, mark: str) -> None:
    assert fields.boundary(kind) == mark


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/x-byteranges; boundary=a", "multipart/byteranges"])
def test_no_boundary(kind: str) -> None:
    with pytest.raises(Malformed):
        fields.boundary(kind)


def zipped(count: int, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        target.comment = comment
        for number in range(count):
            target.writestr(f"package/module{number}.py", "x = 1\n" * 50)
    return file.getvalue()


def reader(data: bytes, sizes: list[int]) -> archive.Read:
    def read(span: Span) -> bytes:
        sizes.append(len(span))
        assert span.last < len(data)
        return data[span.first : span.last + 1]

    return read


@pytest.mark.parametrize("count", [1, 3, 400])
def test_a_directory_is_read_without_the_file(count: int) -> None:
    data, sizes = zipped(count, b"a comment"), list[int]()
    assert archive.directory(reader(data, sizes), len(data)) == [f"package/module{n}.py" for n in range(count)]
    assert sum(sizes) <= 16384 + archive.LARGEST_DIRECTORY + 4


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"x" * 50, b"x" * 50_000, zipped(3)[:-10], zipped(3)[100:], zipped(0)],
    ids=["empty", "two bytes", "no zip", "long", "cut end", "cut beginning", "no members"],
)
def test_a_zip_that_is_none_is_a_problem(data: bytes) -> None:
    assert list(archive.problems(reader(data, []), len(data)))


def box(name: bytes, size: int) -> bytes:
    return struct.pack(">L4s", size + 8, name) + bytes(size)


FAST = box(b"ftyp", 16) + box(b"moov", 100) + box(b"mdat", 5000)
SLOW = box(b"ftyp", 16) + box(b"mdat", 5000) + box(b"moov", 100)
LARGE = box(b"ftyp", 16) + box(b"moov", 9) + struct.pack(">L4sQ", 1, b"mdat", 16 + 50) + bytes(50)
OPEN = box(b"ftyp", 16) + box(b"moov", 9) + struct.pack(">L4s", 0, b"mdat") + bytes(50)


@pytest.mark.parametrize("data", [FAST, SLOW, LARGE, OPEN])
def test_the_boxes_of_a_video_are_walked(data: bytes) -> None:
    sizes = list[int]()
    assert sorted(boxes.walk(reader(data, sizes), len(data))) == ["ftyp", "mdat", "moov"]
    assert sum(sizes) <= 16 * 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (FAST, ""), (SLOW, "faststart"), (box(b"ftyp", 3), "no moov"), (b"\xff" * 40, "no box at 0"),
        (struct.pack(">L4s", 4, b"ftyp") + bytes(20), "has the size 4"), (b"", "no moov"),
    ],
)  # fmt: skip
def test_what_a_player_meets(data: bytes, words: str) -> None:
    problems = list(boxes.problems(reader(data, []), len(data)))
    assert [words in problem for problem in problems] == ([True] if words else [])
