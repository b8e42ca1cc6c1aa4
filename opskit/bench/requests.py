"""The -R file: from lines on disk to requests ready to send, in constant memory.

The i-th request of a run is the i-th line of the file, from the top again when it ends.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Protocol

from opskit.bench.lines import PLAIN, Batch, Line, Source, every, one_by_one
from opskit.bench.plan import (
    Origin,
    Plan,
    Prepared,
    Shape,
    Share,
    Url,
    fixed_request,
    has_scheme,
    parse_header,
    parse_method,
    parse_url,
    request_head,
    sendable,
)
from opskit.errors import Misuse, OpskitError

_CHECKED_AHEAD = 2000  # lines that are judged before anything is sent,
_CHECKED_BYTES = 2 << 20  # but no more of a file than is read at once


@dataclass
class Tally:
    """What a run has taken from its file so far."""

    usable: int | None = None  # lines of the whole file, once it has been read to its end
    encoded: int = 0  # lines of the first pass that had something percent-encoded
    skipped: int = 0  # lines of an access log that cannot be asked again
    wrapped: int = 0  # times the file began again

    def to_dict(self, started: int) -> dict[str, int]:
        """`started` requests were taken: so many lines were used, or the whole file."""
        return {
            "lines": started if self.usable is None else self.usable - self.skipped,
            "encoded": self.encoded,
            "skipped": self.skipped,
            "wrapped": self.wrapped,
        }


class Feed(Protocol):
    """The lines of a share that come from elsewhere, where the file itself is not."""

    name: str

    def passes(self, tally: Tally) -> Iterator[Iterator[Batch]]: ...
    def would_wait(self, handed_out: int) -> bool: ...


def request_stream(plan: Plan, tally: Tally, feed: Feed | None = None) -> Iterator[Prepared]:
    """The requests of a run, in order; endless but for `once`. Refuses a bad file before the first one.

    With a `feed` that takes the place of the file. Raises Misuse or Unable: at once for what stands in the first
    lines, later for what stands further down.
    """
    if plan.requests is None:
        assert plan.url is not None
        return _repeat(fixed_request(plan.shape, plan.route, plan.url))
    if feed is not None:
        fed = _begun(_stream(plan, feed.passes(tally), feed.name, tally))
        return PipeFed(fed, feed.would_wait) if fed is not None else iter(())
    source = Source(plan.requests)
    if source.can_be_read_twice:
        _judge_first_lines(plan, source)
    requests = _begun(_stream(plan, own_lines(plan, source, tally), source.name, tally))
    if requests is None:
        if source.usable and plan.share.of > 1:  # fewer lines than there are shares
            return iter(())
        raise Misuse(
            f"{source.name} holds no request",
            hint="one per line; blank lines and lines starting with # do not count",
        )
    if source.can_be_read_twice:
        return requests
    return PipeFed(requests, lambda taken: taken + tally.skipped >= source.at_hand and source.would_wait())


class PipeFed:
    """Requests from a pipe, which may have none for a while; `waits` says so when so many were handed out."""

    def __init__(self, requests: Iterator[Prepared], waits: Callable[[int], bool]) -> None:
        self._requests = requests
        self._waits = waits
        self._handed_out = 0

    def __iter__(self) -> Iterator[Prepared]:
        return self

    def __next__(self) -> Prepared:
        request = next(self._requests)
        self._handed_out += 1
        return request

    def would_wait(self) -> bool:
        """Whether the next one has not come yet."""
        return self._waits(self._handed_out)


def _repeat(request: Prepared) -> Iterator[Prepared]:
    while True:
        yield request


def _begun(requests: Iterator[Prepared]) -> Iterator[Prepared] | None:
    """The same, with the first one made already; None if there is none."""
    first = next(requests, None)
    return chain([first], requests) if first is not None else None


def _judge_first_lines(plan: Plan, source: Source) -> None:
    whole = replace(plan, share=Share())
    lines = _own_of_pass(whole, _first(source.batches(shuffled=False)), Tally(), 0)
    for _ in _prepared(whole, lines, source.name, Tally()):
        pass


def _first(batches: Iterator[Batch]) -> Iterator[Batch]:
    """As many lines as can be judged without being noticed."""
    lines = size = 0
    for batch in batches:
        yield batch
        lines += len(batch[1])
        size += sum(map(len, batch[1]))
        if lines >= _CHECKED_AHEAD or size >= _CHECKED_BYTES:
            return


def own_lines(plan: Plan, source: Source, tally: Tally) -> Iterator[Iterator[Batch]]:
    """The lines of the plan's share, pass after pass over the file; one is asked for when the last has ended."""
    assert plan.requests is not None
    shuffled = plan.requests.order == "random"
    yield _own_of_pass(plan, source.batches(shuffled=shuffled), tally, 0)
    tally.usable = source.usable
    while tally.usable > tally.skipped and not plan.once:
        tally.wrapped += 1
        before = tally.wrapped * (tally.usable - tally.skipped)
        yield _own_of_pass(plan, source.batches(shuffled=shuffled), Tally(), before)


def _own_of_pass(plan: Plan, batches: Iterator[Batch], tally: Tally, before: int) -> Iterator[Batch]:
    """The share's lines of one pass; so many requests came `before` it."""
    assert plan.requests is not None
    step = plan.share.of
    first = (plan.share.index - before) % step
    if plan.requests.format == "access-log":  # which lines are requests is known only when they are read
        return _singly(islice(_asked_again(one_by_one(batches), tally), first, None, step))
    if step == 1:
        return batches
    if plan.requests.format == "lines" and plan.url is not None:  # nothing can be wrong with a line
        return ((0, lines) for lines in every(batches, first, step))
    return _singly(islice(one_by_one(batches), first, None, step))


def _singly(lines: Iterator[Line]) -> Iterator[Batch]:
    return ((number, [line]) for number, line in lines)


def _stream(plan: Plan, passes: Iterator[Iterator[Batch]], name: str, tally: Tally) -> Iterator[Prepared]:
    """The requests of all passes; what is to be told of the lines is told of the first pass."""
    told = chain([tally], iter(Tally, None))
    return chain.from_iterable(
        _prepared(plan, lines, name, each) for lines, each in zip(passes, told, strict=False)
    )


def _prepared(plan: Plan, batches: Iterator[Batch], name: str, tally: Tally) -> Iterator[Prepared]:
    """Requests of the lines of a pass."""
    assert plan.requests is not None
    if plan.requests.format == "lines" and plan.url is not None:
        return _appended(plan, plan.url, batches, tally)
    return _FORMATS[plan.requests.format](plan, one_by_one(batches), name, tally)


def _appended(plan: Plan, base: Url, batches: Iterator[Batch], tally: Tally) -> Iterator[Prepared]:
    """Each line appended to the base URL."""
    before, after = request_head(plan.shape, plan.route, base.origin, plan.shape.method, plan.shape.body)
    before += base.target
    origin, head_request = base.origin, plan.shape.method == "HEAD"
    for _, lines in batches:
        for line in lines:
            # isalnum is the cheapest test that a line needs no cleaning; most others pass the second.
            if not line.isalnum() and line.translate(None, PLAIN):
                line = sendable(line)
                tally.encoded += 1
            # What Prepared(…) does, without the Python-level constructor of a named tuple.
            yield tuple.__new__(Prepared, (before + line + after, origin, head_request, None))


# A URL that is sent as it stands: its origin, and a path that holds neither a fragment nor anything to encode.
_PLAIN_URL = re.compile(rb"(https?://[^/?#@\x00-\x20\x7f-\xff]+)(/[\x21\x22\x24-\x7e]*)")


def _from_urls(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    """Lines that are whole URLs."""
    make = Maker(plan)
    heads: dict[bytes, tuple[Origin, bytes, bytes]] = {}
    for number, line in lines:
        plain = _PLAIN_URL.fullmatch(line)
        known = heads.get(plain[1]) if plain else None
        if plain and known:
            origin, before, after = known
            yield Prepared(before + plain[2] + after, origin, plan.shape.method == "HEAD", None)
            continue
        url = _parsed(line.decode("utf-8", "surrogateescape"), name, number, line)
        if line.translate(None, PLAIN):
            tally.encoded += 1
        if plain:
            heads[plain[1]] = make.head(url)
        yield make.request(url)


def _parsed(text: str, name: str, number: int, line: bytes) -> Url:
    if not has_scheme(text):
        raise Misuse(
            f"{_place(name, number)}: '{_start_of(line)}' is not a whole URL",
            hint="give the base URL too (opskit bench -R FILE http://host/search?q=), or whole URLs in the file",
        )
    try:
        return parse_url(text)
    except Misuse as error:
        raise Misuse(f"{_place(name, number)}: {error.message}", hint=error.hint) from error


def _place(name: str, number: int, column: int | None = None) -> str:
    place = f"{name}:{number}" if number else name
    return place if column is None else f"{place}:{column}"


def _start_of(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return text if len(text) <= 60 else text[:59] + "…"


class Maker:
    """Makes requests of URLs; the head of each origin is built once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._origins: dict[Origin, Origin] = {}
        self._heads: dict[tuple[Origin, str], tuple[Origin, bytes, bytes]] = {}

    def head(self, url: Url) -> tuple[Origin, bytes, bytes]:
        """The origin, always the same object for the engine to compare, and the bytes around the target."""
        shape = self._plan.shape
        key = (url.origin, url.credentials)
        known = self._heads.get(key)
        if known is None:
            mine = replace(shape, credentials=url.credentials) if url.credentials else shape
            origin = self._origins.setdefault(url.origin, url.origin)
            known = (origin, *request_head(mine, self._plan.route, origin, shape.method, shape.body))
            self._heads[key] = known
        return known

    def request(self, url: Url) -> Prepared:
        origin, before, after = self.head(url)
        return Prepared(before + url.target + after, origin, self._plan.shape.method == "HEAD", None)

    def described(self, entry: "Entry") -> Prepared:
        """The request that an object describes. Raises Misuse."""
        url, shape = entry.url(self._plan.url), entry.shape(self._plan.shape)
        if url.credentials:
            shape = replace(shape, credentials=url.credentials)
        return self.special(url, entry.method(self._plan.shape), shape, entry.get("label", None))

    def special(self, url: Url, method: str, shape: Shape, label: str | None) -> Prepared:
        """A request with a method, headers or body of its own."""
        origin = self._origins.setdefault(url.origin, url.origin)
        before, after = request_head(shape, self._plan.route, origin, method, shape.body)
        return Prepared(before + url.target + after, origin, method == "HEAD", label)


Kind = tuple[type | tuple[type, ...], str]  # what a value must be, and that in words

_JSON_TYPES: dict[str, Kind] = {
    "method": (str, "a string"),
    "url": (str, "a string"),
    "headers": (dict, "an object of strings"),
    "body": ((str, dict, list), "a string, or JSON to send"),
    "label": (str, "a string"),
}


def _from_jsonl(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    """{"method", "url", "headers", "body", "label"} a line, each of them optional where there is a base URL."""
    make = Maker(plan)
    for number, line in lines:
        entry = _JsonLine(name, number, line)
        if entry.get("url", "").encode().translate(None, PLAIN):
            tally.encoded += 1
        yield make.described(entry)


class Entry:
    """A request as an object of its parts; `wrong` says where it stands."""

    value: dict[str, Any]

    def wrong(self, key: str, message: str) -> Misuse:
        raise NotImplementedError

    def check(self, types: Mapping[str, Kind]) -> None:
        """Refuse what is not among the keys and types. Raises Misuse."""
        for key, value in self.value.items():
            if key not in types:
                raise self.wrong(key, f"unknown key '{key}'; expected one of {', '.join(types)}")
            kind, words = types[key]
            if not isinstance(value, kind):
                raise self.wrong(key, f"'{key}' must be {words}")
            if key == "headers" and not _all_texts(self.value["headers"]):
                raise self.wrong(key, f"'headers' must be {words}")

    def get(self, key: str, default: Any) -> Any:
        return self.value.get(key, default)

    def method(self, shape: Shape) -> str:
        try:
            return parse_method(self.get("method", shape.method)).upper()
        except Misuse as error:
            raise self.wrong("method", f"{error.message.removeprefix('-m ')}; {error.hint}") from error

    def url(self, base: Url | None) -> Url:
        text = self.get("url", "")
        try:
            if has_scheme(text):
                return parse_url(text)
            if base is not None:
                return Url(base.origin, _joined(base.target, sendable(text.encode("utf-8", "surrogatepass"))))
        except OpskitError as error:
            raise self.wrong("url", error.message) from error
        raise self.wrong("url", "'url' must be a whole URL, because the command line gives no base URL")

    def shape(self, shape: Shape) -> Shape:
        own = tuple(self.get("headers", {}).items())
        try:
            own = tuple(parse_header(f"{name}: {value}") for name, value in own)
        except Misuse as error:
            raise self.wrong("headers", error.message.removeprefix("-H ")) from error
        names = {name.lower() for name, _ in own}
        headers = tuple(pair for pair in shape.headers if pair[0].lower() not in names) + own
        body = self.get("body", None)
        if body is None:
            return replace(shape, headers=headers)
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        if isinstance(body, bytes):
            return replace(shape, headers=headers, body=body)
        return replace(shape, headers=headers, body=json.dumps(body).encode(), content_type="application/json")


def _joined(base: bytes, target: bytes) -> bytes:
    """One after the other, but for the slash that a URL without a path has got."""
    return target if base == b"/" and target.startswith(b"/") else base + target


def _all_texts(headers: dict[Any, Any]) -> bool:
    return all(isinstance(part, str) for pair in headers.items() for part in pair)


class _JsonLine(Entry):
    """One line of a .jsonl file; everything wrong with it is said with line and column."""

    def __init__(self, name: str, number: int, line: bytes) -> None:
        self._name, self._number, self._text = name, number, line.decode("utf-8", "replace")
        try:
            self.value = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            column = len(line[: error.start].decode()) + 1
            raise self._error(column, "not UTF-8, which JSON is to be in") from error
        except json.JSONDecodeError as error:
            raise self._error(error.colno, f"not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:  # a number of too many digits; brackets too deep
            raise self._error(1, f"JSON that cannot be read: {error}") from error
        if not isinstance(self.value, dict):
            raise self._error(1, 'expected an object such as {"url": "/path"}')
        self.check(_JSON_TYPES)

    def wrong(self, key: str, message: str) -> Misuse:
        return self._error(self._column(key), message)

    def _column(self, key: str) -> int:
        return max(self._text.find(json.dumps(key)), 0) + 1

    def _error(self, column: int, message: str) -> Misuse:
        return Misuse(
            f"{_place(self._name, self._number, column)}: {message}", hint=f"the line is: {self._text[:100]}"
        )


# Common and combined log format: the request line is the first quoted field after the time.
_LOG_LINE = re.compile(rb'[^\["]*\[[^\]]*\] "((?:[^"\\]|\\.)*)"')
_LOG_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)")


def _asked_again(lines: Iterator[Line], tally: Tally) -> Iterator[Line]:
    """`METHOD /path` of the lines of an access log that can be asked again: GET and HEAD, since a log does not
    hold the bodies of others."""
    for number, line in lines:
        match = _LOG_LINE.match(line)
        words = _unescaped(match[1]).split(b" ") if match else []
        if len(words) < 2 or words[0] not in (b"GET", b"HEAD") or not words[1].startswith(b"/"):
            tally.skipped += 1
            continue
        yield number, b" ".join(words[:-1] if len(words) > 2 else words)


def _from_access_log(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    """The paths of real traffic, as `_asked_again` gives them."""
    assert plan.url is not None
    base = plan.url
    prefix = base.target.rstrip(b"/")
    make = Maker(plan)
    for _, line in lines:
        method, _, target = line.partition(b" ")
        if target.translate(None, PLAIN):
            tally.encoded += 1
        url = Url(base.origin, prefix + sendable(target))
        if method.decode() == plan.shape.method:
            yield make.request(url)
        else:
            yield make.special(url, method.decode(), plan.shape, None)


def _unescaped(text: bytes) -> bytes:
    """nginx and Apache write `\\x22` for what may not stand between the quotes."""
    return _LOG_ESCAPE.sub(lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" else m[1], text)


_FORMATS: dict[str, Callable[[Plan, Iterator[Line], str, Tally], Iterator[Prepared]]] = {
    "lines": _from_urls,
    "jsonl": _from_jsonl,
    "access-log": _from_access_log,
}
FORMATS = tuple(_FORMATS)


def format_of(path: str) -> str:
    """The format that a file's name says: .jsonl and .ndjson, else lines."""
    return "jsonl" if path.lower().endswith((".jsonl", ".ndjson")) else "lines"
