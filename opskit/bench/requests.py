"""The -R file: from lines on disk to requests ready to send, in constant memory.

The i-th request of a run is the i-th line of the file, from the top again when it ends.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

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


def request_stream(plan: Plan, tally: Tally) -> Iterator[Prepared]:
    """The requests of a run, in order; endless but for `once`. Refuses a bad file before the first one.

    Raises Misuse or Unable: at once for what stands in the first lines, later for what stands further down.
    """
    if plan.requests is None:
        assert plan.url is not None
        return _repeat(fixed_request(plan.shape, plan.route, plan.url))
    source = Source(plan.requests)
    if source.can_be_read_twice:
        _judge_first_lines(plan, source)
    stream = chain.from_iterable(_passes(plan, source, tally))
    try:
        first = next(stream)
    except StopIteration:
        if source.usable and plan.share.of > 1:  # fewer lines than there are shares
            return iter(())
        raise Misuse(
            f"{source.name} holds no request",
            hint="one per line; blank lines and lines starting with # do not count",
        ) from None
    requests = chain([first], stream)
    return requests if source.can_be_read_twice else PipeFed(requests, source, tally)


class PipeFed:
    """Requests from a pipe, which may have none for a while."""

    def __init__(self, requests: Iterator[Prepared], source: Source, tally: Tally) -> None:
        self._requests = requests
        self._source = source
        self._tally = tally
        self._handed_out = 0

    def __iter__(self) -> Iterator[Prepared]:
        return self

    def __next__(self) -> Prepared:
        request = next(self._requests)
        self._handed_out += 1
        return request

    def would_wait(self) -> bool:
        """Whether the next one has not come yet."""
        return self._handed_out + self._tally.skipped >= self._source.at_hand and self._source.would_wait()


def _repeat(request: Prepared) -> Iterator[Prepared]:
    while True:
        yield request


def _judge_first_lines(plan: Plan, source: Source) -> None:
    whole = replace(plan, share=Share())
    for _ in _one_pass(whole, _first(source.batches(shuffled=False)), source.name, Tally(), 0):
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


def _passes(plan: Plan, source: Source, tally: Tally) -> Iterator[Iterator[Prepared]]:
    """Pass after pass over the file; each is asked for when the one before has ended."""
    assert plan.requests is not None
    shuffled = plan.requests.order == "random"
    yield _one_pass(plan, source.batches(shuffled=shuffled), source.name, tally, 0)
    tally.usable = source.usable
    while tally.usable > tally.skipped and not plan.once:
        tally.wrapped += 1
        before = tally.wrapped * (tally.usable - tally.skipped)
        yield _one_pass(plan, source.batches(shuffled=shuffled), source.name, Tally(), before)


def _one_pass(plan: Plan, batches: Iterator[Batch], name: str, tally: Tally, before: int) -> Iterator[Prepared]:
    """The requests of a share, of one pass over the file; so many requests came `before` it."""
    assert plan.requests is not None
    step = plan.share.of
    first = (plan.share.index - before) % step
    if plan.requests.format == "lines" and plan.url is not None:
        ours = (lines for _, lines in batches) if step == 1 else every(batches, first, step)
        return _appended(plan, plan.url, ours, tally)
    requests, lines = _FORMATS[plan.requests.format], one_by_one(batches)
    if plan.requests.format == "access-log":  # which lines are requests is known only when they are read
        return islice(requests(plan, lines, name, tally), first, None, step)
    return requests(plan, islice(lines, first, None, step), name, tally)


def _appended(plan: Plan, base: Url, batches: Iterator[list[bytes]], tally: Tally) -> Iterator[Prepared]:
    """Each line appended to the base URL."""
    before, after = request_head(plan.shape, plan.route, base.origin, plan.shape.method, plan.shape.body)
    before += base.target
    origin, head_request = base.origin, plan.shape.method == "HEAD"
    for lines in batches:
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
    make = _Maker(plan)
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


class _Maker:
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

    def special(self, url: Url, method: str, shape: Shape, label: str | None) -> Prepared:
        """A request with a method, headers or body of its own."""
        origin = self._origins.setdefault(url.origin, url.origin)
        before, after = request_head(shape, self._plan.route, origin, method, shape.body)
        return Prepared(before + url.target + after, origin, method == "HEAD", label)


_JSON_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "method": (str, "a string"),
    "url": (str, "a string"),
    "headers": (dict, "an object of strings"),
    "body": ((str, dict, list), "a string, or JSON to send"),
    "label": (str, "a string"),
}


def _from_jsonl(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    """{"method", "url", "headers", "body", "label"} a line, each of them optional where there is a base URL."""
    make = _Maker(plan)
    for number, line in lines:
        entry = _JsonLine(name, number, line)
        url = entry.url(plan.url)
        if entry.get("url", "").encode().translate(None, PLAIN):
            tally.encoded += 1
        shape = entry.shape(plan.shape)
        if url.credentials:
            shape = replace(shape, credentials=url.credentials)
        yield make.special(url, entry.method(plan.shape), shape, entry.get("label", None))


class _JsonLine:
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
        for key, value in self.value.items():
            self._check(key, value)

    def _check(self, key: str, value: object) -> None:
        if key not in _JSON_TYPES:
            raise self._error(self._column(key), f"unknown key '{key}'; expected one of {', '.join(_JSON_TYPES)}")
        kind, words = _JSON_TYPES[key]
        if not isinstance(value, kind):
            raise self._error(self._column(key), f"'{key}' must be {words}")
        if key == "headers" and not all(isinstance(part, str) for part in self.value["headers"].values()):
            raise self._error(self._column(key), f"'headers' must be {words}")

    def _column(self, key: str) -> int:
        return max(self._text.find(json.dumps(key)), 0) + 1

    def _error(self, column: int, message: str) -> Misuse:
        return Misuse(
            f"{_place(self._name, self._number, column)}: {message}", hint=f"the line is: {self._text[:100]}"
        )

    def get(self, key: str, default: Any) -> Any:
        return self.value.get(key, default)

    def method(self, shape: Shape) -> str:
        try:
            return parse_method(self.get("method", shape.method)).upper()
        except Misuse as error:
            raise self._error(
                self._column("method"), f"{error.message.removeprefix('-m ')}; {error.hint}"
            ) from error

    def url(self, base: Url | None) -> Url:
        text = self.get("url", "")
        try:
            if has_scheme(text):
                return parse_url(text)
            if base is not None:
                return Url(base.origin, base.target + sendable(text.encode("utf-8", "surrogatepass")))
        except OpskitError as error:
            raise self._error(self._column("url"), error.message) from error
        raise self._error(
            self._column("url"), "'url' must be a whole URL, because the command line gives no base URL"
        )

    def shape(self, shape: Shape) -> Shape:
        own = tuple(self.get("headers", {}).items())
        try:
            own = tuple(parse_header(f"{name}: {value}") for name, value in own)
        except Misuse as error:
            raise self._error(self._column("headers"), error.message.removeprefix("-H ")) from error
        names = {name.lower() for name, _ in own}
        headers = tuple(pair for pair in shape.headers if pair[0].lower() not in names) + own
        body = self.get("body", None)
        if body is None:
            return replace(shape, headers=headers)
        if isinstance(body, str):
            return replace(shape, headers=headers, body=body.encode("utf-8", "surrogatepass"))
        return replace(shape, headers=headers, body=json.dumps(body).encode(), content_type="application/json")


# Common and combined log format: the request line is the first quoted field after the time.
_LOG_LINE = re.compile(rb'[^\["]*\[[^\]]*\] "((?:[^"\\]|\\.)*)"')
_LOG_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)")


def _from_access_log(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    """The paths of real traffic. Only GET and HEAD are asked again: a log does not hold the bodies of others."""
    assert plan.url is not None
    base = plan.url
    prefix = base.target.rstrip(b"/")
    make = _Maker(plan)
    for _, line in lines:
        match = _LOG_LINE.match(line)
        words = _unescaped(match[1]).split(b" ") if match else []
        if len(words) < 2 or words[0] not in (b"GET", b"HEAD") or not words[1].startswith(b"/"):
            tally.skipped += 1
            continue
        target = b" ".join(words[1:-1]) if len(words) > 2 else words[1]
        if target.translate(None, PLAIN):
            tally.encoded += 1
        url = Url(base.origin, prefix + sendable(target))
        if words[0].decode() == plan.shape.method:
            yield make.request(url)
        else:
            yield make.special(url, words[0].decode(), plan.shape, None)


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
