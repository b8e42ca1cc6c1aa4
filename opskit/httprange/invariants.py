"""Rules that every answer keeps, whatever was asked. Pure: an answer in, violations out."""

from collections.abc import Iterator
from dataclasses import dataclass

from opskit.httprange import fields
from opskit.httprange.exchange import Ask, Got
from opskit.httprange.fields import Malformed, Span
from opskit.httprange.results import Level, Verdict

MOST_KNOWN = 1 << 16  # bytes of an answer that are kept for comparison


@dataclass(frozen=True)
class Invariant:
    """A rule with an id, for the list of cases and the report."""

    id: str
    title: str
    section: str
    level: Level
    expected: str
    meaning: str


INVARIANTS = (
    Invariant("I1", "A 206 says which bytes it holds", "15.3.7.1, 14.4", Level.MUST,
              "Content-Range: bytes F-L/N in every single-part 206",
              "Without it no client can tell where the bytes belong."),
    Invariant("I2", "The length is the length of what is sent", "15.3.7", Level.MUST,
              "Content-Length and the body are as long as the range",
              "A client waits for bytes that never come, or takes too many: downloads hang or break."),
    Invariant("I3", "The bytes are the bytes of that place", "15.3.7.1", Level.MUST,
              "the same bytes as in the whole file",
              "The headers are right and the data is wrong: every resumed download is corrupt."),
    Invariant("I4", "All that was asked for is sent", "15.3.7", Level.SHOULD,
              "the range that was asked for, not a part of it",
              "Allowed, but few clients ask again for the rest."),
    Invariant("I5", "A 206 keeps the headers of the 200", "15.3.7", Level.MUST,
              "Date, ETag, Cache-Control, Expires, Vary, and without If-Range all others",
              "Clients and caches cannot tell whether two parts belong together."),
    Invariant("I6", "A 206 to If-Range is brief", "15.3.7", Level.SHOULD,
              "no Content-Type, no Last-Modified: the client has them",
              "Harmless; nearly every server does it."),
    Invariant("I7", "Content-Range only where it has a meaning", "14.4", Level.MAY,
              "no Content-Range but on 206 and 416",
              "Some clients take the answer for a part, others for the whole."),
    Invariant("I8", "The complete length is told", "14.4", Level.SHOULD,
              "a number after the slash of Content-Range, not *",
              "Video players, PMTiles, uv and CDNs need the number."),
    Invariant("I9", "Ranges are cut from what is really sent", "14.1.2", Level.MUST,
              "with Content-Encoding, a range of the encoded bytes and their length",
              "Compressed pieces of an uncompressed file cannot be put together."),
    Invariant("I10", "A 416 says how long the file is", "15.5.17, 14.4", Level.SHOULD,
              "Content-Range: bytes */N with the current length",
              "A client that has the whole file already cannot tell it from an error."),
    Invariant("I11", "The server lives through every question", "15.6", Level.MUST,
              "no 5xx, no dropped connection, no silence",
              "Anyone can do this to the server with one line."),
    Invariant("I12", "The file stays the same while it is checked", "8.8", Level.MAY,
              "the same ETag, Last-Modified and length at the end as at the beginning",
              "Nothing can be said about a file that changes."),
)  # fmt: skip


@dataclass(frozen=True)
class Violation:
    """A rule broken by an answer; `words` say how."""

    rule: str
    verdict: Verdict
    words: str
    case: str = ""


class Known:
    """The bytes of the resource that have been seen, and its first whole answer."""

    def __init__(self, whole: Got, length: int | None) -> None:
        self.whole = whole
        self.length = length
        self._segments: list[tuple[int, bytes]] = []

    def learn(self, first: int, data: bytes) -> None:
        if data:
            self._segments.append((first, data[:MOST_KNOWN]))

    def difference(self, first: int, data: bytes) -> int | None:
        """The first offset at which `data` is not what was seen before; None where nothing differs."""
        for start, seen in self._segments:
            low, high = max(first, start), min(first + len(data), start + len(seen))
            ours, theirs = data[low - first : high - first], seen[low - start : high - start]
            if low < high and ours != theirs:
                return next(low + n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
        return None

    def covers(self, first: int, last: int) -> bool:
        return any(start <= first and last < start + len(seen) for start, seen in self._segments)


def is_server_error(got: Got) -> bool:
    """A 5xx, but for "not implemented" and "version not supported", which are answers."""
    return got.status >= 500 and got.status not in (501, 505)


def check(ask: Ask, got: Got, expect: Span | None, known: Known) -> list[Violation]:
    """Every rule that this answer breaks."""
    return list(_violations(ask, got, expect, known))


def _violations(ask: Ask, got: Got, expect: Span | None, known: Known) -> Iterator[Violation]:
    if got.status == 206 and not got.is_multipart and ask.method == "GET":
        broken = list(_single(got, expect, known))
        yield from broken
        if got.fault and broken:
            return  # it waited for bytes that the length promised: one fault, not two
    if got.fault:
        yield Violation("I11", Verdict.FAIL, got.fault)
    elif is_server_error(got):
        yield Violation("I11", Verdict.FAIL, f"{got.status} {got.reason}".strip())
    if ask.method != "GET":
        return  # Range has no meaning there, and a case of its own
    if got.status == 206:
        yield from _fields(ask, got, known)
    if got.status == 206 and got.is_multipart:
        yield from _multipart(got, known)
    if got.status == 416:
        yield from _unsatisfied(got, known)
    if got.header("content-range") is not None and got.status not in (206, 416):
        yield Violation("I7", Verdict.WARN, f"Content-Range on a {got.status}")
    if got.status == 200:
        yield from _whole(got, known)


def _single(got: Got, expect: Span | None, known: Known) -> Iterator[Violation]:
    text = got.header("content-range")
    if text is None:
        yield Violation("I1", Verdict.FAIL, "a 206 without Content-Range")
        return
    try:
        placed = fields.content_range(text)
    except Malformed as error:
        yield Violation("I1", Verdict.FAIL, str(error))
        return
    span = placed.span
    if span is None:
        yield Violation("I1", Verdict.FAIL, f"a 206 with Content-Range '{text}', which names no bytes")
        return
    encoded = got.header("content-encoding") and not known.whole.header("content-encoding")
    if encoded:
        if placed.total == known.length:
            yield Violation("I9", Verdict.FAIL, "Content-Encoding, but places and length of the plain bytes")
        return
    yield from _length(got, span)
    yield from _content(got, span, known)
    if placed.total is None:
        yield Violation("I8", Verdict.WARN, f"Content-Range '{text}'")
    elif known.length is not None and placed.total != known.length:
        yield Violation(
            "I1", Verdict.FAIL, f"Content-Range says {placed.total} bytes, the 200 said {known.length}"
        )
    if expect is not None and span != expect and span.within(expect):
        yield Violation("I4", Verdict.WARN, f"{expect} was asked for, {span} was sent")


def _length(got: Got, span: Span) -> Iterator[Violation]:
    if got.length is not None and got.length != len(span):
        yield Violation("I2", Verdict.FAIL, f"Content-Length {got.length} for the {len(span)} bytes of {span}")
    elif got.truncated:
        yield Violation(
            "I2", Verdict.FAIL, f"the body ends after {len(got.body)} of the {len(span)} bytes of {span}"
        )
    elif not got.cut and not got.fault and len(got.body) != len(span):
        yield Violation("I2", Verdict.FAIL, f"{len(got.body)} bytes for the {len(span)} of {span}")


def _content(got: Got, span: Span, known: Known) -> Iterator[Violation]:
    body = got.body[: len(span)]
    place = known.difference(span.first, body)
    if place is not None:
        yield Violation("I3", Verdict.FAIL, f"{span} differs from what was sent before, at byte {place}")
    elif len(got.body) == len(span) and not known.covers(span.first, span.last):
        known.learn(span.first, body)


def _multipart(got: Got, known: Known) -> Iterator[Violation]:
    """Only what the parts hold: their form is a case of its own."""
    try:
        found = fields.parts(got.body, fields.boundary(got.header("content-type") or ""))
    except Malformed:
        return
    for part in found:
        if part.range.span:
            place = known.difference(part.range.span.first, part.body)
            if place is not None:
                yield Violation("I3", Verdict.FAIL, f"part {part.range.span} differs at byte {place}")


def _whole(got: Got, known: Known) -> Iterator[Violation]:
    if got.header("content-encoding") or got.header("content-range"):
        return
    if got.truncated:
        yield Violation("I2", Verdict.FAIL, f"the body ends after {len(got.body)} of {got.length} bytes")
    place = known.difference(0, got.body)
    if place is not None:
        yield Violation("I3", Verdict.FAIL, f"a 200 differs from the first one at byte {place}")


ALWAYS = ("Date", "Cache-Control", "ETag", "Expires", "Content-Location", "Vary")
REPRESENTATION = ("Last-Modified", "Content-Language", "Content-Type")


def _fields(ask: Ask, got: Got, known: Known) -> Iterator[Violation]:
    brief = ask.header("if-range") is not None
    expected = ALWAYS if brief else ALWAYS + REPRESENTATION
    missing = [name for name in expected if known.whole.header(name) is not None and got.header(name) is None]
    if missing:
        yield Violation("I5", Verdict.FAIL, f"a 206 without {', '.join(missing)}, which the 200 has")
    if brief and any(got.header(name) is not None for name in REPRESENTATION):
        yield Violation("I6", Verdict.INFO, "the 206 repeats them")


def _unsatisfied(got: Got, known: Known) -> Iterator[Violation]:
    text = got.header("content-range")
    if text is None:
        yield Violation("I10", Verdict.WARN, "a 416 without Content-Range")
        return
    try:
        placed = fields.content_range(text)
    except Malformed:
        yield Violation("I10", Verdict.FAIL, f"a 416 with Content-Range '{text}'")
        return
    if placed.span is not None or (known.length is not None and placed.total != known.length):
        yield Violation("I10", Verdict.FAIL, f"Content-Range '{text}' for {known.length} bytes")
