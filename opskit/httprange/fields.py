"""Content-Range and multipart/byteranges, read as strictly as RFC 9110 writes them. Bytes in, data out."""

import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]+)-([0-9]+)/([0-9]+|\*)|\*/([0-9]+))")
_BOUNDARY = re.compile(r'boundary=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def within(self, other: "Span") -> bool:
        return other.first <= self.first and self.last <= other.last


@dataclass(frozen=True)
class ContentRange:
    """`bytes 10-20/2000`, `bytes 10-20/*` or `bytes */2000`; None for what it does not say."""

    span: Span | None
    total: int | None


class Malformed(Exception):
    """A field or a body that is not what it claims to be; the message says in what way."""


def content_range(text: str) -> ContentRange:
    """Read a Content-Range (section 14.4). Raises Malformed."""
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        raise Malformed(f"Content-Range '{text}' is not of the form bytes F-L/N")
    first, last, total, unsatisfied = match.groups()
    if unsatisfied is not None:
        return ContentRange(None, int(unsatisfied))
    span, length = Span(int(first), int(last)), None if total == "*" else int(total)
    if span.last < span.first or (length is not None and length <= span.last):
        raise Malformed(f"Content-Range '{text}' contradicts itself")
    return ContentRange(span, length)


@dataclass(frozen=True)
class Part:
    """One body part: its own headers in lower case, where it says it belongs, its bytes."""

    headers: dict[str, str]
    range: ContentRange
    body: bytes


def boundary(content_type: str) -> str:
    """The boundary of a multipart/byteranges type. Raises Malformed."""
    if content_type.partition(";")[0].strip().lower() != "multipart/byteranges":
        raise Malformed(f"Content-Type is {content_type or 'missing'}, not multipart/byteranges")
    match = _BOUNDARY.search(content_type)
    if match is None or not (match[1] or match[2]):
        raise Malformed("multipart/byteranges without a boundary")
    return match[1] or match[2]


def is_quoted(content_type: str) -> bool:
    match = _BOUNDARY.search(content_type)
    return match is not None and match[1] is not None


def parts(body: bytes, mark: str) -> list[Part]:
    """The parts of a multipart body (section 14.6, RFC 2046 5.1.1). Raises Malformed.

    The length of a part is taken from its Content-Range: content may hold anything, the boundary too.
    """
    delimiter = b"--" + mark.encode("latin-1")
    start = body.find(delimiter)
    if start < 0:
        raise Malformed("the boundary that the header names is not in the body")
    if body[:start].strip(b"\r\n"):
        raise Malformed("there is something before the first boundary")
    found: list[Part] = []
    position = start + len(delimiter)
    while not body.startswith(b"--", position):
        part, position = _part(body, position, delimiter)
        found.append(part)
    if body[position + 2 :].strip(b"\r\n"):
        raise Malformed("there is something after the final boundary")
    return found


def _part(body: bytes, position: int, delimiter: bytes) -> tuple[Part, int]:
    """The part whose delimiter ends at `position`, and where the next delimiter ends."""
    if not body.startswith(b"\r\n", position):
        raise Malformed("lines of the parts do not end with CR LF")
    end = body.find(b"\r\n\r\n", position)
    if end < 0:
        raise Malformed("the headers of a part do not end")
    headers = _headers(body[position + 2 : end])
    if "content-range" not in headers:
        raise Malformed("a part has no Content-Range")
    placed = content_range(headers["content-range"])
    if placed.span is None:
        raise Malformed("a part has a Content-Range without a place")
    start = end + 4
    stop = start + len(placed.span)
    if not body.startswith(b"\r\n" + delimiter, stop):
        raise Malformed(f"the part {placed.span} is not followed by the boundary at its end")
    return Part(headers, placed, body[start:stop]), stop + 2 + len(delimiter)


def _headers(block: bytes) -> dict[str, str]:
    found = {}
    for line in block.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(f"'{line}' is no header of a part")
        found[name.strip().lower()] = value.strip()
    return found


def is_strong(etag: str) -> bool:
    """Whether an ETag is quoted as it must be, and not weak (8.8.3)."""
    return len(etag) >= 2 and etag.startswith('"') and etag.endswith('"')
