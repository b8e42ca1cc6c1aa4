"""What RFC 9110 says about one resource: preconditions, Range, If-Range, and the answer they come to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

from opskit.target.content import Span
from opskit.target.message import Answer, Headers, Piece, Request, text

MOST_RANGES = 64  # section 14.2: a long list of small ranges may be ignored
BOUNDARY = "opskit-target-part"  # never in the content, which is digits and line ends

_SPEC = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_DIGITS = 19  # enough for any length; longer numbers are as good as infinite (14.1.2)


@dataclass(frozen=True, slots=True)
class Resource:
    """What can be asked for a part of: `length` in bytes, `modified` in seconds since 1970."""

    length: int
    etag: str
    modified: int
    content_type: str
    extra: Headers = ()

    @property
    def last_modified(self) -> str:
        return formatdate(self.modified, usegmt=True)

    @property
    def validators(self) -> Headers:
        return (("ETag", self.etag), ("Last-Modified", self.last_modified))

    @property
    def whole(self) -> tuple[Span, ...]:
        return (Span(0, self.length - 1),) if self.length else ()


def respond(request: Request, resource: Resource) -> Answer:
    """The right answer to GET or HEAD, conditions and ranges weighed in the order of section 13.2.2."""
    refused = precondition(request, resource)
    if refused:
        return refused
    field = request.header("range")
    # Range is defined for GET alone (14.2), and no range of nothing is worth a partial answer.
    if field is None or request.method != "GET" or not resource.length or not if_range(request, resource):
        return complete(resource)
    spans = satisfiable(field, resource.length)
    if spans is None:
        return complete(resource)
    return partial(coalesced(spans), resource) if spans else unsatisfiable(resource)


def precondition(request: Request, resource: Resource) -> Answer | None:
    """The 412 or 304 that a condition in the request asks for, or None to go on."""
    failed = text(412, "the condition in the request does not hold\n", *resource.validators)
    if (tags := request.header("if-match")) is not None:
        if not _matches(tags, resource.etag, weakly=False):
            return failed
    elif (since := _date(request.header("if-unmodified-since"))) is not None and resource.modified > since:
        return failed
    if (tags := request.header("if-none-match")) is not None:
        return not_modified(resource) if _matches(tags, resource.etag, weakly=True) else None
    since = _date(request.header("if-modified-since"))
    return not_modified(resource) if since is not None and resource.modified <= since else None


def if_range(request: Request, resource: Resource) -> bool:
    """Whether Range may be used: without If-Range, or when it names exactly this representation (13.1.5).

    `modified` is long past, so the date is a strong validator too (8.8.2.2).
    """
    value = request.header("if-range")
    return value is None or value in (resource.etag, resource.last_modified)


def satisfiable(field: str, length: int) -> tuple[Span, ...] | None:
    """The parts of a Range field that exist, in order: () for none, None when the field is to be ignored.

    Ignored are other units, sets with any invalid member (14.1.1), and sets that are too many.
    """
    unit, equals, ranges = field.partition("=")
    specs = [word.strip(" \t") for word in ranges.split(",")]
    specs = [word for word in specs if word]  # empty list elements mean nothing (5.6.1.2)
    if unit.lower() != "bytes" or not equals or not 0 < len(specs) <= MOST_RANGES:
        return None
    found = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None:
            return None
        first, last = _bounds(match, length)
        if match[2] and _number(match[2]) < _number(match[1]):
            return None
        if first < length and first <= last:
            found.append(Span(first, last))
    return tuple(found)


def _bounds(match: re.Match[str], length: int) -> tuple[int, int]:
    if match[3]:
        return max(0, length - _number(match[3])), length - 1
    return _number(match[1]), min(_number(match[2]), length - 1) if match[2] else length - 1


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS


def coalesced(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Touching and overlapping spans made one, which stands where its first member stood (15.3.7.2)."""
    kept: list[Span] = []
    for span in spans:
        touching = [s for s in kept if s.first <= span.last + 1 and span.first <= s.last + 1]
        place = kept.index(touching[0]) if touching else len(kept)
        kept = [s for s in kept if s not in touching]
        joined = (span, *touching)
        kept.insert(place, Span(min(s.first for s in joined), max(s.last for s in joined)))
    return tuple(kept)


def complete(resource: Resource) -> Answer:
    headers = (("Content-Type", resource.content_type), ("Accept-Ranges", "bytes"))
    return Answer(200, headers + resource.validators + resource.extra, resource.whole)


def not_modified(resource: Resource) -> Answer:
    return Answer(304, resource.validators + resource.extra)


def unsatisfiable(resource: Resource) -> Answer:
    return text(
        416,
        f"the resource has {resource.length} bytes\n",
        ("Content-Range", f"bytes */{resource.length}"),
        ("Accept-Ranges", "bytes"),
    )


def partial(spans: tuple[Span, ...], resource: Resource) -> Answer:
    """One span as it is, more in multipart/byteranges (14.6)."""
    common = (("Accept-Ranges", "bytes"), *resource.validators, *resource.extra)
    if len(spans) == 1:
        headers = (("Content-Type", resource.content_type), content_range(spans[0], resource))
        return Answer(206, headers + common, spans)
    kind = ("Content-Type", f"multipart/byteranges; boundary={BOUNDARY}")
    return Answer(206, (kind, *common), multipart(spans, resource))


def content_range(span: Span, resource: Resource) -> tuple[str, str]:
    return ("Content-Range", f"bytes {span.first}-{span.last}/{resource.length}")


def multipart(spans: Iterable[Span], resource: Resource) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for span in spans:
        name, value = content_range(span, resource)
        pieces += [
            f"--{BOUNDARY}\r\nContent-Type: {resource.content_type}\r\n{name}: {value}\r\n\r\n".encode(),
            span,
            b"\r\n",
        ]
    return (*pieces, f"--{BOUNDARY}--\r\n".encode())


def _matches(field: str, etag: str, *, weakly: bool) -> bool:
    """Whether a list of entity tags, or `*`, names this one (8.8.3.2)."""
    if field.strip() == "*":
        return True
    tags = _TAG.findall(field)
    if weakly:
        return etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in tags]
    return etag in tags and not etag.startswith("W/")


def _date(field: str | None) -> float | None:
    """Seconds since 1970 of an HTTP-date; None for none and for what is no date (13.1.3)."""
    try:
        return parsedate_to_datetime(field).timestamp() if field else None
    except ValueError:
        return None
