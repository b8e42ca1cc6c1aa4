"""The faults that real servers have with Range, on request: `opskit target --range-defect NAME`.

Each wraps the right answer and spoils one thing. A server in brackets is one that does just this.
"""

import gzip
import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from opskit.target import ranges
from opskit.target.content import Span, blocks
from opskit.target.message import Answer, Headers, Request, text
from opskit.target.ranges import Resource, respond

Responder = Callable[[Request, Resource], Answer]

LARGEST_GZIP = 1 << 20  # bytes of a resource that are compressed in one go
CHANGES_AFTER = 50  # requests, which is in the middle of a polite run
_INTEGERS = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Defect:
    """One fault: what it does in a few words, and the responder that has it."""

    purpose: str
    respond: Responder = respond
    forgetful_redirect: bool = False
    # What becomes of every answer of the target, those of other pages included.
    spoil: Callable[[Request, Answer], Answer] = lambda request, answer: answer


def _set(answer: Answer, *changes: tuple[str, str | None]) -> Answer:
    """The answer with headers replaced, added, or taken out by None."""
    kept: Headers = tuple(
        pair for pair in answer.headers if pair[0].lower() not in {name.lower() for name, _ in changes}
    )
    return replace(answer, headers=kept + tuple((name, value) for name, value in changes if value is not None))


def _without(request: Request, *names: str) -> Request:
    return replace(request, headers=tuple(pair for pair in request.headers if pair[0] not in names))


def _with_range(request: Request, value: str) -> Request:
    kept = _without(request, "range")
    return replace(kept, headers=(*kept.headers, ("range", value)))


def _range(request: Request) -> str:
    """The Range of a GET, without spaces; "" for none."""
    return (request.header("range") or "").replace(" ", "") if request.method == "GET" else ""


def _span(answer: Answer) -> Span | None:
    """The bytes of a single-part 206."""
    piece = answer.body[0] if len(answer.body) == 1 else None
    return piece if answer.status == 206 and isinstance(piece, Span) else None


def _on_single(change: Callable[[Answer, Span, Resource], Answer]) -> Responder:
    """A fault of every 206 with one part."""

    def spoiled(request: Request, resource: Resource) -> Answer:
        answer = respond(request, resource)
        span = _span(answer)
        return answer if span is None else change(answer, span, resource)

    return spoiled


def _on_multipart(change: Callable[[Answer, Resource], Answer]) -> Responder:
    def spoiled(request: Request, resource: Resource) -> Answer:
        answer = respond(request, resource)
        return change(answer, resource) if answer.status == 206 and len(answer.body) > 1 else answer

    return spoiled


def _when(pattern: str, instead: Responder) -> Responder:
    """A fault for ranges of one form."""

    def spoiled(request: Request, resource: Resource) -> Answer:
        matches = re.fullmatch(pattern, _range(request)) is not None
        return (instead if matches else respond)(request, resource)

    return spoiled


def _is_416(request: Request, resource: Resource) -> Answer:
    return ranges.unsatisfiable(resource)


def _is_whole(request: Request, resource: Resource) -> Answer:
    return respond(_without(request, "range"), resource)


def _forgets(*names: str) -> Responder:
    """Headers of the request that are not looked at."""
    return lambda request, resource: respond(_without(request, *names), resource)


def _part(span: Span, resource: Resource) -> Answer:
    return ranges.partial((span,), resource)


def _content_range(span: Span, total: int | str) -> tuple[str, str]:
    return ("Content-Range", f"bytes {span.first}-{span.last}/{total}")


# Accept-Ranges, and no ranges at all


def _no_ar(request: Request, resource: Resource) -> Answer:
    return _set(respond(request, resource), ("Accept-Ranges", None))


def _ignores(request: Request, resource: Resource) -> Answer:
    return _set(_is_whole(request, resource), ("Accept-Ranges", None))


def _http10(request: Request, resource: Resource) -> Answer:
    return replace(_set(_ignores(request, resource), ("Connection", "close")), version="1.0")


# Single ranges


def _off_by_one(answer: Answer, span: Span, resource: Resource) -> Answer:
    if span.last == resource.length - 1:
        return answer
    return _set(answer, _content_range(Span(span.first, span.last + 1), resource.length))


def _empty(answer: Answer, _span: Span, _resource: Resource) -> Answer:
    return replace(answer, body=())


def _truncated(answer: Answer, span: Span, _resource: Resource) -> Answer:
    short = (Span(span.first, span.first + len(span) // 2 - 1),) if len(span) > 1 else ()
    cut = _set(answer, ("Content-Length", str(len(span))), ("Connection", "close"))
    return replace(cut, body=short)


def _subset(answer: Answer, span: Span, resource: Resource) -> Answer:
    return _part(Span(span.first, span.first + (len(span) - 1) // 2), resource) if len(span) > 1 else answer


def _suffix_as_prefix(request: Request, resource: Resource) -> Answer:
    return respond(_with_range(request, f"bytes=0-{int(_range(request)[7:]) - 1}"), resource)


def _long_suffix_416(request: Request, resource: Resource) -> Answer:
    match = re.fullmatch(r"bytes=-([0-9]+)", _range(request))
    too_long = match is not None and int(match[1]) > resource.length
    return (_is_416 if too_long else respond)(request, resource)


def _clamp_416(request: Request, resource: Resource) -> Answer:
    match = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", _range(request))
    over = match is not None and int(match[1]) < resource.length <= int(match[2])
    return (_is_416 if over else respond)(request, resource)


def _zero_suffix(request: Request, resource: Resource) -> Answer:
    return Answer(206, (_content_range(Span(resource.length, resource.length - 1), resource.length),
                        *respond(_without(request, "range"), resource).headers))  # fmt: skip


def _beyond_206(request: Request, resource: Resource) -> Answer:
    match = re.fullmatch(r"bytes=([0-9]+)-", _range(request))
    beyond = match is not None and int(match[1]) >= resource.length > 0
    if not beyond or not ranges.if_range(request, resource):
        return respond(request, resource)
    return _part(Span(resource.length - 1, resource.length - 1), resource)


def _int64_416(request: Request, resource: Resource) -> Answer:
    large = any(int(number) >= 2**63 for number in _INTEGERS.findall(_range(request)))
    return (_is_416 if large else respond)(request, resource)


def _empty_file_206(request: Request, resource: Resource) -> Answer:
    if resource.length or not _range(request):
        return respond(request, resource)
    return Answer(206, (("Content-Range", "bytes 0--1/0"), *resource.validators))


# Units, syntax


def _any_unit(request: Request, resource: Resource) -> Answer:
    unit, equals, value = _range(request).partition("=")
    return respond(_with_range(request, f"bytes={value}") if unit and equals else request, resource)


def _unit_400(request: Request, resource: Resource) -> Answer:
    unit, equals, _ = _range(request).partition("=")
    if equals and unit.lower() != "bytes":
        return text(400, "only bytes are served\n")
    return respond(request, resource)


def _is_invalid(request: Request, resource: Resource) -> bool:
    value = request.header("range") if request.method == "GET" else None
    if value is None or not value.lower().startswith("bytes="):
        return False
    short = value.count(",") < ranges.MOST_RANGES
    return short and ranges.satisfiable(value, resource.length) is None


def _invalid_500(request: Request, resource: Resource) -> Answer:
    return text(500, "int() failed\n") if _is_invalid(request, resource) else respond(request, resource)


def _invalid_crash(request: Request, resource: Resource) -> Answer:
    if _is_invalid(request, resource):
        os.kill(os.getpid(), signal.SIGKILL)
    return respond(request, resource)


def _invalid_206(request: Request, resource: Resource) -> Answer:
    return _part(Span(0, 4), resource)


def _partly_invalid_206(request: Request, resource: Resource) -> Answer:
    if "," in _range(request) and _is_invalid(request, resource):
        return _part(Span(0, 4), resource)
    return respond(request, resource)


def _strict_on(pattern: str) -> Responder:
    def spoiled(request: Request, resource: Resource) -> Answer:
        found = re.search(pattern, request.header("range") or "") if request.method == "GET" else None
        return (_is_416 if found else respond)(request, resource)

    return spoiled


def _reversed_206(request: Request, resource: Resource) -> Answer:
    first, last = (int(number) for number in _INTEGERS.findall(_range(request)))
    if first <= last:
        return respond(request, resource)
    return respond(_with_range(request, f"bytes={last}-{first}"), resource)


# Several ranges


def _specs(request: Request) -> list[str]:
    return [spec for spec in _range(request).partition("=")[2].split(",") if spec]


def _one_unsatisfiable(request: Request, resource: Resource) -> Answer:
    for spec in _specs(request):
        if ranges.satisfiable(f"bytes={spec}", resource.length) == ():
            return _is_416(request, resource) if ranges.if_range(request, resource) else respond(request, resource)
    return respond(request, resource)


def _multi_for_single(answer: Answer, span: Span, resource: Resource) -> Answer:
    kind = ("Content-Type", f"multipart/byteranges; boundary={ranges.BOUNDARY}")
    return replace(_set(answer, kind, ("Content-Range", None)), body=ranges.multipart((span,), resource))


def _rewritten(old: bytes, new: bytes) -> Responder:
    """A fault in the bytes between the parts."""

    def change(answer: Answer, _resource: Resource) -> Answer:
        pieces = (p.replace(old, new) if isinstance(p, bytes) else p for p in answer.body)
        return replace(answer, body=tuple(pieces))

    return _on_multipart(change)


def _first_only(request: Request, resource: Resource) -> Answer:
    specs = _specs(request)
    if len(specs) < 2 or _is_invalid(request, resource) or len(specs) > ranges.MOST_RANGES:
        return respond(request, resource)
    return respond(_with_range(request, f"bytes={specs[0]}"), resource)


def _overlap_lost(request: Request, resource: Resource) -> Answer:
    specs = _specs(request)
    spans = ranges.satisfiable(_range(request), resource.length) if len(specs) == 2 else None
    if not spans or len(ranges.coalesced(spans)) == len(spans):
        return respond(request, resource)
    kind = ("Content-Type", f"multipart/byteranges; boundary={ranges.BOUNDARY}")
    answer = _set(_part(spans[0], resource), kind, ("Content-Range", None))
    return replace(answer, body=ranges.multipart(spans[:1], resource))


def _amplify(request: Request, resource: Resource) -> Answer:
    spans = [
        span for spec in _specs(request) for span in ranges.satisfiable(f"bytes={spec}", resource.length) or ()
    ]
    if len(spans) < 3 or _is_invalid(request, resource):
        return respond(request, resource)
    return ranges.partial(tuple(spans), resource)


def _sorted_parts(request: Request, resource: Resource) -> Answer:
    value = _range(request)
    spans = ranges.satisfiable(value, resource.length) if value else None
    if not spans or len(spans) < 2:
        return respond(request, resource)
    ordered = sorted(spans, key=lambda span: span.first)
    return respond(_with_range(request, "bytes=" + ",".join(f"{s.first}-{s.last}" for s in ordered)), resource)


# Conditions


def _weak_if_range(request: Request, resource: Resource) -> Answer:
    same = (request.header("if-range") or "").removeprefix("W/") == resource.etag
    return respond(_without(request, "if-range") if same else request, resource)


def _date_if_range(request: Request, resource: Resource) -> Answer:
    from email.utils import parsedate_to_datetime

    value = request.header("if-range") or ""
    try:
        later = parsedate_to_datetime(value).timestamp() >= resource.modified
    except ValueError:
        later = False
    return respond(_without(request, "if-range") if later else request, resource)


def _drops_range(request: Request, resource: Resource) -> Answer:
    return respond(_without(request, "range") if request.header("if-range") else request, resource)


def _range_first(*conditions: str) -> Responder:
    """Conditions that are forgotten as soon as there is a Range."""

    def spoiled(request: Request, resource: Resource) -> Answer:
        return respond(_without(request, *conditions) if _range(request) else request, resource)

    return spoiled


def _416_first(request: Request, resource: Resource) -> Answer:
    value = _range(request)
    if value and ranges.satisfiable(value, resource.length) == ():
        return _is_416(request, resource)
    return respond(request, resource)


def _if_range_alone(request: Request, resource: Resource) -> Answer:
    alone = request.method == "GET" and request.header("if-range") and not request.header("range")
    return _part(Span(0, resource.length - 1), resource) if alone else respond(request, resource)


def _content_range_honoured(request: Request, resource: Resource) -> Answer:
    match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/.*", request.header("content-range") or "")
    return _part(Span(int(match[1]), int(match[2])), resource) if match else respond(request, resource)


# 416, compression, versions of the file


def _on_416(*changes: tuple[str, str | None]) -> Responder:
    def spoiled(request: Request, resource: Resource) -> Answer:
        answer = respond(request, resource)
        return _set(answer, *changes) if answer.status == 416 else answer

    return spoiled


def _gzipped(answer: Answer) -> Answer:
    plain = b"".join(part for p in answer.body for part in ([p] if isinstance(p, bytes) else blocks(p)))
    return replace(_set(answer, ("Content-Encoding", "gzip")), body=(gzip.compress(plain, mtime=0),))


def _takes_gzip(request: Request, resource: Resource) -> bool:
    wanted = "gzip" in (request.header("accept-encoding") or "")
    return wanted and request.method == "GET" and resource.length <= LARGEST_GZIP


def _gzip_slice(request: Request, resource: Resource) -> Answer:
    answer = respond(request, resource)
    return _gzipped(answer) if _span(answer) and _takes_gzip(request, resource) else answer


def _gzip_same_etag(request: Request, resource: Resource) -> Answer:
    answer = respond(request, resource)
    return _gzipped(answer) if answer.status == 200 and _takes_gzip(request, resource) else answer


def _etag_per_connection(request: Request, resource: Resource) -> Answer:
    return respond(request, replace(resource, etag=f'"{request.connection}"'))


def _changing() -> Responder:
    requests = count(1)

    def spoiled(request: Request, resource: Resource) -> Answer:
        if next(requests) > CHANGES_AFTER:
            resource = replace(resource, etag='"another"', modified=resource.modified + 3600)
        return respond(request, resource)

    return spoiled


# HEAD and others


def _head_body(request: Request, resource: Resource) -> Answer:
    return replace(respond(request, resource), body_on_head=True)


def _head_405(request: Request, resource: Resource) -> Answer:
    return text(405, "", ("Allow", "GET")) if request.method == "HEAD" else respond(request, resource)


def _head_206(request: Request, resource: Resource) -> Answer:
    return respond(replace(request, method="GET"), resource)


def _options_206(request: Request, answer: Answer) -> Answer:
    ranged = request.method == "OPTIONS" and request.header("range")
    return replace(answer, status=206) if ranged else answer


def _missing_206(request: Request, answer: Answer) -> Answer:
    return replace(answer, status=206) if answer.status in (400, 404) and request.header("range") else answer


def _cors_hidden(request: Request, resource: Resource) -> Answer:
    return _set(respond(request, resource), ("Access-Control-Expose-Headers", None))


def _missing_validators(answer: Answer, _span: Span, _resource: Resource) -> Answer:
    return _set(answer, ("ETag", None), ("Last-Modified", None))


def _hang(request: Request, resource: Resource) -> Answer:
    answer = respond(request, resource)
    return replace(answer, wait=600.0) if _range(request) else answer


DEFECTS: dict[str, Defect] = {
    "no-ar": Defect("ranges work, Accept-Ranges is not sent [WhiteNoise]", _no_ar),
    "ar-lies": Defect("Accept-Ranges: bytes, and ranges are ignored", _is_whole),
    "ignore-range": Defect("no ranges at all [python -m http.server]", _ignores),
    "http10-only": Defect("answers in HTTP/1.0, without ranges [CherryPy of 2008]", _http10),
    "range-as-200-with-cr": Defect("a part with status 200 and Content-Range",
        _on_single(lambda answer, span, resource: replace(answer, status=200))),
    "no-cr": Defect("a 206 without Content-Range",
        _on_single(lambda answer, span, resource: _set(answer, ("Content-Range", None)))),
    "cr-off-by-one": Defect("Content-Range ends one byte too late",
        _on_single(_off_by_one)),
    "cr-no-unit": Defect("Content-Range without `bytes`",
        _on_single(lambda answer, span, resource: _set(
            answer, ("Content-Range", f"{span.first}-{span.last}/{resource.length}")))),
    "cr-star": Defect("Content-Range with * for the length",
        _on_single(lambda answer, span, resource: _set(answer, _content_range(span, "*")))),
    "cl-full-length": Defect("a 206 with the Content-Length of the whole",
        _on_single(lambda answer, span, resource: _set(
            answer, ("Content-Length", str(resource.length + 1)), ("Connection", "close")))),
    "body-from-zero": Defect("the right headers, the bytes from the start [uWSGI]",
        _on_single(lambda answer, span, resource: replace(answer, body=(Span(0, len(span) - 1),)))),
    "body-plus-one": Defect("one byte too many",
        _on_single(lambda answer, span, resource: replace(answer, body=(Span(span.first, span.last + 1),)))),
    "truncated": Defect("the connection ends in the middle of the part", _on_single(_truncated)),
    "empty-206": Defect("a 206 with nothing in it", _on_single(_empty)),
    "subset-206": Defect("half of what was asked for", _on_single(_subset)),
    "chunked-206": Defect("a 206 without Content-Length",
        _on_single(lambda answer, span, resource: replace(answer, chunked=True))),
    "missing-validators-206": Defect("a 206 without ETag and Last-Modified", _on_single(_missing_validators)),
    "first-byte-416": Defect("0-0 is refused [WhiteNoise]", _when(r"bytes=0-0", _is_416)),
    "open-range-416": Defect("0- is refused", _when(r"bytes=0-", _is_416)),
    "clamp-416": Defect("ranges over the end are refused [Vite]", _clamp_416),
    "suffix-as-prefix": Defect("-5 gives the first five bytes [sirv]",
        _when(r"bytes=-[1-9][0-9]{0,2}", _suffix_as_prefix)),
    "suffix-200": Defect("-5 is ignored [Azure Blob]", _when(r"bytes=-[1-9][0-9]*", _is_whole)),
    "suffix-too-long-416": Defect("a suffix longer than the file is refused [Flask]", _long_suffix_416),
    "suffix-zero-206": Defect("-0 gives an impossible 206 [Go]", _when(r"bytes=-0", _zero_suffix)),
    "beyond-206": Defect("beyond the end there is a byte", _beyond_206),
    "int64-416": Defect("numbers over 63 bits are refused [nginx]", _int64_416),
    "empty-file-206": Defect("an empty file gives bytes 0--1/0", _empty_file_206),
    "unit-honoured": Defect("any unit counts as bytes [CherryPy]", _any_unit),
    "unit-400": Defect("other units are an error [Starlette]", _unit_400),
    "unit-case-sensitive": Defect("BYTES is ignored [WhiteNoise]", _when(r"BYTES=.*", _is_whole)),
    "invalid-206": Defect("nonsense gives five bytes", _when(r"bytes=(|abc|5)", _invalid_206)),
    "invalid-500": Defect("nonsense is a server error [CherryPy]", _invalid_500),
    "invalid-crash": Defect("nonsense kills the server [sirv]", _invalid_crash),
    "reversed-206": Defect("50-4 is taken for 4-50", _when(r"bytes=[0-9]+-[0-9]+", _reversed_206)),
    "partly-invalid-206": Defect("of 0-4,foo the valid part is sent", _partly_invalid_206),
    "comma-416": Defect("one comma too many is refused", _strict_on(r",,")),
    "space-416": Defect("a space before a comma is refused", _strict_on(r" ,")),
    "one-unsat-kills-all": Defect("one range beyond the end refuses all [Starlette]", _one_unsatisfiable),
    "multi-for-single": Defect("one range comes as multipart", _on_single(_multi_for_single)),
    "multi-top-cr": Defect("multipart with a Content-Range of its own",
        _on_multipart(lambda answer, resource: _set(answer, _content_range(Span(0, 4), resource.length)))),
    "multi-lf-only": Defect("multipart with bare line feeds [old Starlette]", _rewritten(b"\r\n", b"\n")),
    "multi-no-part-ct": Defect("parts without Content-Type",
        _rewritten(b"Content-Type: text/plain; charset=us-ascii\r\n", b"")),
    "multi-quoted-boundary": Defect("the boundary in quotes",
        _on_multipart(lambda answer, resource: _set(
            answer, ("Content-Type", f'multipart/byteranges; boundary="{ranges.BOUNDARY}"')))),
    "multi-cl-wrong": Defect("multipart with a Content-Length that is too long",
        _on_multipart(lambda answer, resource: _set(
            answer, ("Content-Length", str(answer.length + 10)), ("Connection", "close")))),
    "multi-first-only": Defect("of several ranges only the first [Bottle]", _first_only),
    "overlap-lost": Defect("of overlapping ranges one is left out", _overlap_lost),
    "multi-sorted": Defect("parts in order of place [Starlette]", _sorted_parts),
    "multi-amplify": Defect("overlapping ranges are sent again and again [CherryPy]", _amplify),
    "head-206": Defect("HEAD with Range gives 206 [nearly all]", _head_206),
    "head-body": Defect("HEAD has a body", _head_body),
    "head-405": Defect("HEAD is refused", _head_405),
    "content-range-honoured": Defect("Content-Range in a request counts as Range", _content_range_honoured),
    "ifrange-ignored": Defect("If-Range is not looked at [aiohttp, Tornado, Bottle]", _forgets("if-range")),
    "ifrange-weak-ok": Defect("weak tags match in If-Range [Flask]", _weak_if_range),
    "ifrange-date-le": Defect("any later date matches in If-Range [Flask]", _date_if_range),
    "ifrange-drops-range": Defect("If-Range switches ranges off [VK's CDN]", _drops_range),
    "ifrange-alone-206": Defect("If-Range without Range gives 206", _if_range_alone),
    "inm-ignored": Defect("Range before If-None-Match [Flask]",
        _range_first("if-none-match", "if-modified-since")),
    "im-ignored": Defect("Range before If-Match [Starlette]",
        _range_first("if-match", "if-unmodified-since")),
    "416-before-ifrange": Defect("416 although If-Range does not match", _416_first),
    "416-no-cr": Defect("416 without the length [Apache, Bottle]", _on_416(("Content-Range", None))),
    "416-wrong-length": Defect("416 with another length", _on_416(("Content-Range", "bytes */526"))),
    "gzip-slice": Defect("each part is compressed for itself [middleware]", _gzip_slice),
    "gzip-same-etag": Defect("one ETag for compressed and plain", _gzip_same_etag),
    "etag-per-connection": Defect("every connection has its own ETag", _etag_per_connection),
    "changes-mid-run": Defect("the file changes after 50 requests", _changing()),
    "options-206": Defect("OPTIONS with Range gives 206", spoil=_options_206),
    "missing-206": Defect("a part of the error page", spoil=_missing_206),
    "cors-hidden": Defect("no headers are exposed to other origins", _cors_hidden),
    "slow-hang": Defect("ranges are never answered", _hang),
    "redirect-drops-range": Defect("the redirect of a Range leads to the whole", forgetful_redirect=True),
}  # fmt: skip
