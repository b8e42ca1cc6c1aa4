"""The paths of the target: which there are, and what each answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from random import Random
from urllib.parse import parse_qs, unquote

from opskit.errors import Misuse
from opskit.target.content import LARGEST, Span
from opskit.target.defects import Defect
from opskit.target.message import Answer, Headers, Request, text
from opskit.target.ranges import Resource, respond
from opskit.units import parse_size

LONGEST_DELAY = 600_000  # milliseconds; longer is a typing error
LONGEST_DRIP = 100_000  # bytes
WHOLE = "whole"  # the query under which Range does not count
FLAWLESS = Defect("")
MODIFIED = 1_704_067_200  # 2024-01-01, so that dates are strong validators on every run
CROSS_ORIGIN: Headers = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "Accept-Ranges, Content-Length, Content-Range, ETag"),
)
READ = ("GET", "HEAD")
ANY = (*READ, "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Page:
    """One path: how it is written, what it is for, the methods it takes, and its answer.

    `answer` is handed the request and what stands behind the first word of the path, "" for nothing.
    """

    form: str
    purpose: str
    answer: Callable[[Request, str], Answer]
    methods: tuple[str, ...] = ANY


class BadPath(Exception):
    """A path whose last word is not what the page takes; the message says what it takes."""


def site(defect: Defect = FLAWLESS) -> Callable[[Request], Answer]:
    """All pages; with a defect, those that it concerns are spoiled."""
    spoiled = {"bytes": partial(content, defect), "redirect": partial(redirect, defect)}
    pages = PAGES | {word: replace(PAGES[word], answer=spoiled[word]) for word in spoiled}
    return lambda request: defect.spoil(request, answer(pages, request))


def answer(pages: dict[str, Page], request: Request) -> Answer:
    """The answer of the whole target to one request."""
    word, _, rest = request.path.removeprefix("/").partition("/")
    page = pages.get(word)
    if page is None or not request.path.startswith("/"):
        return text(404, f"there is no {request.path} here; / lists what there is\n")
    if request.method == "OPTIONS":
        return _options(page)
    if request.method not in page.methods:
        allowed = ", ".join((*page.methods, "OPTIONS"))
        return text(405, f"/{word} takes {allowed}\n", ("Allow", allowed))
    try:
        return page.answer(request, unquote(rest))
    except BadPath as error:
        return text(400, f"{error}\n")


def _options(page: Page) -> Answer:
    """Also the answer to a browser's preflight."""
    allowed = ", ".join((*page.methods, "OPTIONS"))
    return Answer(
        204,
        (
            ("Allow", allowed),
            ("Access-Control-Allow-Methods", allowed),
            ("Access-Control-Allow-Headers", "Range, If-Range"),
            *CROSS_ORIGIN,
        ),
    )


def _parameter(request: Request, name: str, default: str) -> str:
    return parse_qs(request.query, keep_blank_values=True).get(name, [default])[-1]


def _whole_number(text: str, what: str, most: int, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise BadPath(f"'{text}' is no {what}: write a whole number from {least} to {most}")
    return int(text)


def _size(text: str) -> int:
    """Bytes of `4096`, `10MB` or `4GiB`."""
    try:
        size = parse_size(text)
    except Misuse as error:
        raise BadPath(f"{error.message}: {error.hint}") from error
    if size > LARGEST:
        raise BadPath(f"'{text}' is more than {LARGEST} bytes")
    return size


def index(request: Request, rest: str) -> Answer:
    if rest:
        return text(404, f"there is no {request.path} here; / lists what there is\n")
    width = max(len(page.form) for page in PAGES.values())
    lines = [f"{page.form:<{width}}  {page.purpose}" for page in PAGES.values()]
    return text(200, "\n".join(("A server to try things on.", "", *lines)) + "\n")


def search(request: Request, rest: str) -> Answer:
    return _search_answer(request.query)


@lru_cache(maxsize=4096)
def _search_answer(query: str) -> Answer:
    """Results drawn by a generator that is seeded with the words, so that they are the same on every run."""
    words = parse_qs(query).get("q", [""])[-1]
    draw = Random(words)
    results = [
        {
            "title": f"{words} {draw.choice(_NOUNS)}",
            "path": f"/item/{draw.randrange(10**6):06}",
            "score": round(1 / (rank + draw.random()), 3),
        }
        for rank in range(1, draw.randrange(3, 11) if words else 1)
    ]
    body = {"query": words, "total": draw.randrange(len(results), 5000) if words else 0, "results": results}
    return Answer(
        200, (("Content-Type", "application/json"),), (json.dumps(body, ensure_ascii=False).encode() + b"\n",)
    )


_NOUNS = ("handbook", "for beginners", "in practice", "reference", "at night", "by the sea", "and its limits")


def content(defect: Defect, request: Request, rest: str) -> Answer:
    responder = respond if request.query == WHOLE else defect.respond
    if request.query == WHOLE:
        request = replace(request, headers=tuple(pair for pair in request.headers if pair[0] != "range"))
    return responder(request, resource(_size(rest)))


def redirect(defect: Defect, request: Request, rest: str) -> Answer:
    forgets = defect.forgetful_redirect and request.header("range")
    return text(302, "", ("Location", f"/{rest}" + (f"?{WHOLE}" if forgets else "")))


def resource(length: int) -> Resource:
    return Resource(length, f'"{length:x}-1"', MODIFIED, "text/plain; charset=us-ascii", CROSS_ORIGIN)


def status(request: Request, rest: str) -> Answer:
    code = _whole_number(rest, "status", 599, 200)
    extra = {
        301: ("Location", "/"), 302: ("Location", "/"), 303: ("Location", "/"),
        307: ("Location", "/"), 308: ("Location", "/"),
        401: ("WWW-Authenticate", 'Basic realm="target"'),
    }.get(code)  # fmt: skip
    return text(code, f"{code}\n", *([extra] if extra else []))


def delay(request: Request, rest: str) -> Answer:
    pause = _whole_number(rest, "delay in milliseconds", LONGEST_DELAY)
    return Answer(200, (("Content-Type", "text/plain"),), (f"{pause} ms\n".encode(),), wait=pause / 1000)


def chunked(request: Request, rest: str) -> Answer:
    size = _size(rest)
    return Answer(200, (("Content-Type", "text/plain"),), resource(size).whole, chunked=True)


def drip(request: Request, rest: str) -> Answer:
    count = _whole_number(_parameter(request, "bytes", "10"), "number of bytes", LONGEST_DRIP)
    pause = _whole_number(_parameter(request, "ms", "100"), "delay in milliseconds", LONGEST_DELAY)
    pieces = tuple(Span(offset, offset) for offset in range(count))
    return Answer(200, (("Content-Type", "text/plain"),), pieces, pace=pause / 1000)


def close(request: Request, rest: str) -> Answer:
    return Answer(200, silent=True)


def echo(request: Request, rest: str) -> Answer:
    if request.body is None:
        return text(413, "the body is too long to be echoed\n")
    seen = {
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "headers": [list(pair) for pair in request.headers],
        "body": request.body.decode(errors="replace"),
    }
    return Answer(200, (("Content-Type", "application/json"),), (json.dumps(seen, indent=2).encode() + b"\n",))


PAGES = {
    "": Page("/", "this list", index, READ),
    "search": Page("/search?q=WORDS", "search results as JSON, the same ones every time", search),
    "bytes": Page(
        "/bytes/N",
        "N bytes (4096, 10MB, 4GiB); understands Range and If-Range",
        partial(content, FLAWLESS),
        READ,
    ),
    "redirect": Page("/redirect/bytes/N", "a redirect to /bytes/N", partial(redirect, FLAWLESS), READ),
    "status": Page("/status/N", "the status N, 200 to 599", status),
    "delay": Page("/delay/MS", "an answer after MS milliseconds", delay),
    "chunked": Page("/chunked/N", "N bytes without a Content-Length", chunked, READ),
    "drip": Page("/drip?bytes=10&ms=100", "one byte at a time, MS milliseconds apart", drip, READ),
    "close": Page("/close", "no answer: the connection ends", close),
    "echo": Page("/echo", "the request as it was read, as JSON", echo),
}
