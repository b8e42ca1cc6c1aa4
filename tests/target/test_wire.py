"""Both readers say the same of the same bytes, wherever those are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.target.message import Request
from opskit.target.wire import LONGEST_HEAD, BadRequest, H11Reader, HttptoolsReader

READERS = [HttptoolsReader, H11Reader]
TWO = (
    b"POST /echo?a=%20b HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    b"GET /bytes/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)


class Heard:
    number = 1

    def __init__(self) -> None:
        self.heads: list[Request] = []
        self.bodies: list[bytes] = []
        self.ended = 0

    def on_head(self, request: Request) -> None:
        self.heads.append(request)
        self.bodies.append(b"")

    def on_body(self, data: bytes) -> None:
        self.bodies[-1] += data

    def on_end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("kind", READERS)
@given(cuts=st.lists(st.integers(0, len(TWO)), max_size=5))
def test_two_requests_cut_anywhere(kind: type, cuts: list[int]) -> None:
    heard = Heard()
    reader = kind(heard)
    places = [0, *sorted(cuts), len(TWO)]
    for first, last in pairwise(places):
        if first < last:
            reader.feed(TWO[first:last])
    assert [(r.method, r.target, r.keep_alive) for r in heard.heads] == [
        ("POST", "/echo?a=%20b", True),
        ("GET", "/bytes/1", False),
    ]
    assert heard.heads[0].header("x-two") == "1, 2"
    assert heard.bodies == [b"abcde", b""]
    assert heard.ended == 2


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["tls", "words", "two lengths", "no chunk size"],
)
def test_what_is_not_http_is_refused(kind: type, garbage: bytes) -> None:
    with pytest.raises(BadRequest):
        kind(Heard()).feed(garbage)


@pytest.mark.parametrize("kind", READERS)
def test_endless_headers_are_refused(kind: type) -> None:
    reader = kind(Heard())
    reader.feed(b"GET / HTTP/1.1\r\nHost: x\r\n")
    line = b"X: " + b"a" * 1000 + b"\r\n"
    with pytest.raises(BadRequest) as refusal:  # noqa: PT012 — which line is one too many is the reader's own
        for _ in range(2 * LONGEST_HEAD // len(line)):
            reader.feed(line)
    assert refusal.value.status == 431


@pytest.mark.parametrize("kind", READERS)
def test_an_offer_to_switch_protocols_is_a_last_request(kind: type) -> None:
    heard = Heard()
    kind(heard).feed(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert [(r.method, r.keep_alive) for r in heard.heads] == [("GET", False)]
    assert heard.ended == 1
