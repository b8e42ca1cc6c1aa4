"""HTTP/1.x answers: bytes in, a judged message out. No sockets, no clock.

A kept parser (httptools, or h11 where it has no wheel) reads heads and chunked bodies; where the message
ends is decided here, by RFC 9112 section 6.3. A server repeats its heads to the byte, but for a date that
changes once a second, so each distinct head is parsed once and remembered.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

MAX_HEAD = 256 * 1024  # bytes; more is no HTTP server that anyone means to test
REMEMBERED_HEADS = 4096

_LINE_END = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CONTROL = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]")
_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")
_MOST_DIGITS = 19  # of a Content-Length: what fits 64 bits; no one has more bytes than that


class Body(IntEnum):
    """How the end of a body is known (RFC 9112 section 6.3)."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    CLOSE = 3


class BadFraming(Exception):
    """The bytes are not an HTTP message whose end can be known."""


class ExtraBytes(Exception):
    """Bytes came after the end of the message, though nothing else was asked."""


class Truncated(Exception):
    """The connection ended inside a message."""


@dataclass(frozen=True, slots=True)
class Head:
    """What matters of a status line and its header fields.

    `length` is the number of body bytes: 0 for NONE, -1 for CHUNKED and CLOSE, where the head does not
    tell. `keep_alive` says whether the server will take another request on the connection; `set_cookies` are the
    values of its Set-Cookie fields.
    """

    status: int
    body: Body
    length: int
    keep_alive: bool
    server: str
    set_cookies: tuple[bytes, ...] = ()


class RawHead(NamedTuple):
    """A head as the parser read it: field names in lower case."""

    version: str
    status: int
    fields: list[tuple[bytes, bytes]]


class ChunkedBody(Protocol):
    """A reader of one chunked body. `size` counts the decoded bytes."""

    size: int

    def feed(self, data: bytes) -> bool:
        """Take a byte or more; True once the last chunk and the trailer are in. Raises BadFraming, ExtraBytes."""


def judge(raw: RawHead, *, head_request: bool) -> Head:
    """Where the body ends and whether the connection lives on. Raises BadFraming."""
    if raw.version not in ("1.0", "1.1") or raw.status < 100:
        raise BadFraming(f"status line with HTTP/{raw.version} {raw.status:03}")
    body, length = _framing(raw, head_request=head_request)
    tokens = _tokens(raw.fields, b"connection")
    persists = b"keep-alive" in tokens if raw.version == "1.0" else b"close" not in tokens
    keep_alive = persists and body is not Body.CLOSE and raw.status != 101
    server = next((value for name, value in raw.fields if name == b"server"), b"")
    cookies = tuple([value for name, value in raw.fields if name == b"set-cookie"])
    return Head(raw.status, body, length, keep_alive, _UNPRINTABLE.sub(b"?", server).decode("ascii"), cookies)


def _framing(raw: RawHead, *, head_request: bool) -> tuple[Body, int]:
    """RFC 9112 section 6.3, in its order."""
    if head_request or raw.status in (204, 304) or 100 <= raw.status < 200:
        return Body.NONE, 0
    codings = _tokens(raw.fields, b"transfer-encoding")
    lengths = [value.strip() for name, value in raw.fields if name == b"content-length"]
    if codings:
        if lengths:
            raise BadFraming("both Transfer-Encoding and Content-Length")
        return (Body.CHUNKED if codings[-1] == b"chunked" else Body.CLOSE), -1
    if not lengths:
        return Body.CLOSE, -1
    # One that is repeated may be refused even where it agrees with itself: RFC 9110 section 8.6.
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _MOST_DIGITS:
        raise BadFraming(f"Content-Length: {b' and '.join(lengths)[:80].decode('latin-1')}")
    return Body.LENGTH, int(lengths[0])


def _tokens(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The members of a comma-separated field, over all its lines, in lower case."""
    return [
        token.strip().lower()
        for field, value in fields
        if field == name
        for token in value.split(b",")
        if token.strip()
    ]


def _tidied(raw: bytes) -> bytes:
    """A head as any parser takes it: each line whole (RFC 9112 section 5.2) and ended by CR LF (section 2.2)."""
    if _CONTROL.search(raw):
        raise BadFraming("a control character in the head")
    return _LINE_END.sub(b"\r\n", _FOLD.sub(b" ", raw))


def head_lines(raw: bytes) -> tuple[str, list[tuple[str, str]]]:
    """The status line and the fields of a head that has been read, as they came but for folded lines."""
    first, *lines = _tidied(raw).decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, [(name.strip(), value.strip()) for name, _, value in pairs]


class ResponseReader:
    """Reads answers on one connection, one after the other.

    Call `start` before each request, then `feed` what arrives until it returns True, or `end` when the
    connection closes. `head` and `body_size` tell what came. While `left` is positive, that many body
    bytes are still to come and may be counted off by `skip` instead of being fed.
    """

    __slots__ = (
        "_buffer", "_chunks", "_head_request", "_interim", "_memory", "_usual_end", "body_size", "head", "left",
        "memories",
    )  # fmt: skip

    def __init__(self, memories: tuple[dict[bytes, Head], dict[bytes, Head]]) -> None:
        """`memories` are the remembered heads of (other requests, HEAD requests), shared by connections."""
        self.memories = memories
        self._buffer = b""
        self._chunks: ChunkedBody | None = None
        self._usual_end = 0
        self.left = 0
        self.body_size = 0
        self.start(head_request=False)

    def start(self, *, head_request: bool) -> None:
        """Await the next answer; the one before, if any, was complete."""
        self.head: Head | None = None
        self._interim = False
        self._head_request = head_request
        self._memory = self.memories[head_request]

    def feed(self, data: bytes) -> bool:
        """Take what arrived; True when the answer is complete. Raises BadFraming, ExtraBytes."""
        if self.head is None and not self._buffer:
            # Nearly every answer of a busy server: a head seen before, and all of its body in one read.
            # Its length is tried first: heads of one server mostly have the same.
            end = self._usual_end
            head = self._memory.get(data[:end])
            if head is None:
                end = self._usual_end = data.find(b"\r\n\r\n") + 4
                head = self._memory.get(data[:end])
            if head is not None:
                self.head = head
                size = len(data) - end  # below 0 if this head is shorter than the usual one, and came alone
                self.body_size = size if size > 0 else 0
                self.left = head.length - self.body_size
                if self.left == 0:
                    return True
                if self.left < 0:  # chunked, until the close, or too much
                    return self._feed_first(head, data[end:])
                return False
        return self._feed_parts(data)

    def skip(self, count: int) -> bool:
        """Count off body bytes that were read elsewhere, at most `left`; True when the answer is complete."""
        self.body_size += count
        self.left -= count
        return self.left == 0

    def end(self) -> bool:
        """The connection closed. True if that ends the answer, as RFC 9112 6.3 (8) has it.

        False if not one byte of an answer had come. Raises Truncated.
        """
        if self.head is not None and self.head.body is Body.CLOSE:
            return True
        if self.untouched():
            return False
        raise Truncated

    def untouched(self) -> bool:
        """Whether not one byte of the awaited answer has come."""
        return self.head is None and not self._buffer and not self._interim

    def _feed_parts(self, data: bytes) -> bool:
        if self.head is not None:
            return _BODY_FEEDERS[self.head.body](self, data)
        whole = self._feed_head(data)
        return self._feed_first(*whole) if whole else False

    def _feed_first(self, head: Head, rest: bytes) -> bool:
        """The first bytes of a body, which came with its head."""
        self.left = max(head.length, 0)
        self.body_size = 0
        return _BODY_FEEDERS[head.body](self, rest)

    def _feed_head(self, data: bytes) -> tuple[Head, bytes] | None:
        """Collect a head; returns it with the bytes after it, or None while it is incomplete."""
        self._buffer += data
        while end := self._end_of_head():
            raw, rest = self._buffer[:end], self._buffer[end:]
            head = self._judge(raw)
            if 100 <= head.status < 200 and head.status != 101:
                self._buffer, self._interim = rest, True  # the real answer follows
                continue
            self._buffer = b""
            self.head = head
            return head, rest
        return None

    def _end_of_head(self) -> int:
        """Where the head in the buffer ends, its blank line included; 0 while it is incomplete."""
        if not b"HTTP/".startswith(self._buffer[:5]):
            raise BadFraming(f"not HTTP: {self._buffer[:40]!r}")
        ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := self._buffer.find(mark)) >= 0]
        end = min(ends, default=0)
        if (end or len(self._buffer)) > MAX_HEAD:
            raise BadFraming(f"no end of the head within {MAX_HEAD} bytes")
        return end

    def _judge(self, raw: bytes) -> Head:
        head = self._memory.get(raw)
        if head is None:
            head = judge(parse_head(_tidied(raw)), head_request=self._head_request)
            if head.status >= 200:
                if len(self._memory) >= REMEMBERED_HEADS:
                    self._memory.clear()
                self._memory[raw] = head
        return head

    def _feed_none(self, data: bytes) -> bool:
        if data:
            raise ExtraBytes
        return True

    def _feed_length(self, data: bytes) -> bool:
        if len(data) > self.left:
            self.skip(self.left)
            raise ExtraBytes
        return self.skip(len(data))

    def _feed_chunks(self, data: bytes) -> bool:
        if not data:
            return False
        if self._chunks is None:
            self._chunks = chunked_body()
        done = self._chunks.feed(data)
        self.body_size = self._chunks.size
        if done:
            self._chunks = None
        return done

    def _feed_until_close(self, data: bytes) -> bool:
        self.body_size += len(data)
        return False


_BODY_FEEDERS: dict[Body, Callable[[ResponseReader, bytes], bool]] = {
    Body.NONE: ResponseReader._feed_none,
    Body.LENGTH: ResponseReader._feed_length,
    Body.CHUNKED: ResponseReader._feed_chunks,
    Body.CLOSE: ResponseReader._feed_until_close,
}

chunked_body: Callable[..., ChunkedBody]
parse_head: Callable[[bytes], RawHead]
try:
    from opskit.bench.parser_httptools import chunked_body, parse_head
except ImportError:
    from opskit.bench.parser_h11 import chunked_body, parse_head
