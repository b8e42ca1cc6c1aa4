"""Clients played: the requests that each of them sends, in its order, and where it would give up.

The cases say what a server does; these say it in the client's own words. A word that is yielded is a problem.
"""

from collections.abc import Callable, Iterator

from opskit.httprange import archive, boxes
from opskit.httprange.cases.base import span_of
from opskit.httprange.exchange import Ask, Got
from opskit.httprange.fields import Malformed, Span, boundary, is_strong, parts
from opskit.httprange.inspection import Inspection, NoAnswer
from opskit.httprange.web import Exhausted

Problems = Iterator[str]
IDENTITY = ("Accept-Encoding", "identity")


def play(name: str, run: Inspection) -> tuple[str, ...]:
    """The problems that one client meets; none means that it gets what it came for."""
    run.case = f"profile {name}"
    try:
        return tuple(dict.fromkeys(CLIENTS[name](run)))
    except NoAnswer as silence:
        return (f"no answer: {silence}",)
    except Exhausted:
        return ("more would have to be read than --max-bytes allows",)


def _exact(got: Got, span: Span, who: str) -> Problems:
    """206 with just that span."""
    if got.status != 206:
        yield f"{who} expects 206 for {span} and gets {got.status}"
    elif span_of(got) != span:
        yield f"{who} asks for {span} and gets {span_of(got)}"
    elif got.broken:
        yield f"{who} gets {span}, which breaks {', '.join(got.broken)}"


def _get(run: Inspection, span: Span, *headers: tuple[str, str]) -> Got:
    return run.ask(("Range", f"bytes={span}"), *headers, expect=span)


def _tail(run: Inspection, size: int) -> Span:
    return Span(max(0, run.length - size), run.length - 1)


def resume(run: Inspection) -> Problems:
    cut = run.sampled // 2
    whole = Span(cut, run.length - 1)
    validator = run.facts.etag if is_strong(run.facts.etag) else run.facts.modified
    if not validator:
        yield "there is no strong ETag and no date to resume by"
    condition = [("If-Range", validator)] if validator else []
    got = run.ask(("Range", f"bytes={cut}-"), *condition, expect=whole)
    yield from _exact(got, whole, "the download")
    if run.ask(("Range", f"bytes={cut}-"), ("If-Range", '"opskit-older"')).status != 200:
        yield "a changed file is not sent whole"
    done = run.ask(("Range", f"bytes={run.length}-"))
    if done.status not in (200, 416):
        yield f"a finished download asks on and gets {done.status}"


def parallel(run: Inspection) -> Problems:
    size = max(1, run.sampled // 8)
    spans = [Span(first, min(first + size, run.sampled) - 1) for first in range(0, run.sampled, size)][:8]
    asks = [Ask(headers=(("Range", f"bytes={span}"),)) for span in spans]
    answers = [
        run.record(ask, expect=span, got=got)
        for ask, span, got in zip(asks, spans, run.web.ask_all(asks), strict=True)
    ]
    for got, span in zip(answers, spans, strict=True):
        yield from _exact(got, span, "one of eight connections")
    if len({got.header("etag") for got in answers}) > 1:
        yield "the connections are told different ETags"


def video(run: Inspection) -> Problems:
    first = Span(0, min(1, run.length - 1))
    yield from _exact(_get(run, first), first, "Safari")
    rest = Span(0, run.length - 1)
    yield from _exact(run.range("0-", expect=rest), rest, "Chrome")
    middle = Span(run.length // 2, run.length - 1)
    yield from _exact(run.range(f"{middle.first}-", expect=middle), middle, "a seek")
    if run.web.url.partition("?")[0].lower().endswith((".mp4", ".m4v", ".mov", ".m4a")):
        yield from boxes.problems(lambda span: _bytes(run, span), run.length)


def pip(run: Inspection) -> Problems:
    head = run.ask(("Cache-Control", "no-cache"), method="HEAD")
    if head.status != 200 or head.length is None:
        yield "pip's HEAD gets no length"
    if "bytes" not in (head.header("accept-ranges") or ""):
        yield "pip's HEAD finds no Accept-Ranges: it loads the whole wheel"
    tail = _tail(run, 10240)
    yield from _exact(_get(run, tail, ("Cache-Control", "no-cache")), tail, "pip")
    if _is_archive(run):
        yield from archive.problems(lambda span: _bytes(run, span), run.length)


def uv(run: Inspection) -> Problems:
    head = run.ask(method="HEAD")
    if head.status not in (200, 400, 403, 404, 405):
        yield f"uv's HEAD gets {head.status}"
    if head.status == 200 and (head.header("accept-ranges") != "bytes" or head.length is None):
        yield "uv's HEAD finds no Accept-Ranges: bytes with a length: it loads the whole wheel"
    tail = _tail(run, 16384)
    yield from _exact(_get(run, tail), tail, "uv")
    if _is_archive(run):
        yield from archive.problems(lambda span: _bytes(run, span), run.length)


def cog(run: Inspection) -> Problems:
    run.ask(method="HEAD")
    got = run.range("0-16383")
    yield from _exact(got, Span(0, min(16384, run.length) - 1), "GDAL")
    for number in range(3):  # adjacent tiles
        span = Span(number * 4096, number * 4096 + 4095)
        if span.last < run.length:
            yield from _exact(_get(run, span), span, "GDAL")


def parquet(run: Inspection) -> Problems:
    head = run.ask(method="HEAD")
    if head.status != 200 or head.length is None:
        yield "HEAD gives no length"
    yield from _exact(_get(run, _tail(run, 8)), _tail(run, 8), "the footer's reader")
    got = run.range(f"-{min(1 << 16, run.length)}")
    yield from _exact(got, _tail(run, 1 << 16), "Arrow")


def zarr(run: Inspection) -> Problems:
    size = min(516, run.length)
    yield from _exact(run.range(f"-{size}", expect=_tail(run, size)), _tail(run, size), "the shard index")
    for number in range(3):
        span = Span(number * 100, number * 100 + 49)
        if span.last < run.length:
            yield from _exact(_get(run, span), span, "an inner chunk")


def pmtiles(run: Inspection) -> Problems:
    origin = ("Origin", "https://opskit.example")
    got = run.ask(("Range", "bytes=0-16383"), origin)
    if got.status == 416 and got.header("content-range") is None:
        yield "a file shorter than 16 KiB gives 416 without its length"
    elif got.status == 206:
        yield from _exact(got, Span(0, min(16384, run.length) - 1), "PMTiles")
    elif got.status != 416 and run.length > 16384:
        yield f"PMTiles asks for 16 KiB and gets {got.status}"
    if got.header("access-control-allow-origin") is None:
        yield "scripts of other origins may not read it"


def zsync(run: Inspection) -> Problems:
    step = max(40, run.sampled // 12)
    spans = [Span(first, first + 9) for first in range(0, run.sampled - 10, step)][:10]
    if len(spans) < 2:
        return
    got = run.range(",".join(map(str, spans)))
    if got.status != 206 or not got.is_multipart:
        yield f"zsync asks for {len(spans)} ranges and gets {got}"
        return
    try:
        sent = [part.range.span for part in parts(got.body, boundary(got.header("content-type") or ""))]
    except Malformed as error:
        yield f"zsync cannot read the parts: {error}"
        return
    if not all(any(other is not None and span.within(other) for other in sent) for span in spans):
        yield "zsync does not get all the ranges"


def cdn_origin(run: Inspection) -> Problems:
    if run.ask(method="HEAD").length is None:
        yield "HEAD gives no length"
    span = Span(0, min(run.length, 1 << 16) - 1)
    got = _get(run, span, ("Accept-Encoding", "gzip"))
    yield from _exact(got, span, "the CDN")
    if got.header("transfer-encoding") or got.length is None:
        yield "a 206 without Content-Length is not cached"
    if got.header("content-encoding"):
        yield "an encoded 206 is not cached"


def _is_archive(run: Inspection) -> bool:
    return run.web.url.partition("?")[0].lower().endswith((".whl", ".zip"))


def _bytes(run: Inspection, span: Span) -> bytes:
    """Exactly these bytes, as a reader of a format needs them. Raises Malformed for another answer."""
    got = _get(run, span)
    if got.status != 206 or span_of(got) != span or got.broken:
        raise Malformed(f"{span} was answered with {got}")
    return got.body


CLIENTS: dict[str, Callable[[Inspection], Problems]] = {
    "resume": resume, "parallel": parallel, "video": video, "pip": pip, "uv": uv, "cog": cog,
    "parquet": parquet, "zarr": zarr, "pmtiles": pmtiles, "zsync": zsync, "cdn-origin": cdn_origin,
}  # fmt: skip
