"""The -R file: from lines on disk to requests ready to send, in constant memory.

The i-th request of a run is the i-th line of the file, from the top again when it ends.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from opskit.bench.lines import PLAIN, Batch, Line, Source, one_by_one
from opskit.bench.plan import (
    Origin,
    Plan,
    Prepared,
    Shape,
    Url,
    fixed_request,
    parse_header,
    parse_url,
    request_head,
    sendable,
)
from opskit.errors import Misuse, OpskitError

_CHECKED_AHEAD = 50_000  # lines that are judged before anything is sent


@dataclass
class Tally:
    """What a run has taken from its file so far."""

    in_file: int | None = None  # requests in the whole file, once it has been read to its end
    encoded: int = 0  # lines of the first pass that had something percent-encoded
    skipped: int = 0  # lines of an access log that cannot be asked again
    wrapped: int = 0  # times the file began again

    def to_dict(self, started: int) -> dict[str, int]:
        """`started` requests were taken: so many lines were used, or the whole file."""
        return {
            "lines": started if self.in_file is None else self.in_file,
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
    for _ in islice(_one_pass(plan, source, Tally(), shuffled=False), _CHECKED_AHEAD):
        pass


def _passes(plan: Plan, source: Source, tally: Tally) -> Iterator[Iterator[Prepared]]:
    """Pass after pass over the file; each is asked for when the one before has ended."""
    assert plan.requests is not None
    shuffled = plan.requests.order == "random"
    with closing(source):
        yield _one_pass(plan, source, tally, shuffled=shuffled)
        tally.in_file = source.usable - tally.skipped
        while tally.in_file and not plan.once:
            tally.wrapped += 1
            yield _one_pass(plan, source, Tally(), shuffled=shuffled)


def _one_pass(plan: Plan, source: Source, tally: Tally, *, shuffled: bool) -> Iterator[Prepared]:
    assert plan.requests is not None
    batches = source.batches(shuffled=shuffled)
    if plan.requests.format == "lines" and plan.url is not None:
        return _appended(plan, plan.url, batches, tally)
    return _FORMATS[plan.requests.format](plan, one_by_one(batches), source.name, tally)


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


def _from_urls(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    """Lines that are whole URLs."""
    make = _Maker(plan)
    for number, line in lines:
        url = _parsed(line.decode("utf-8", "surrogateescape"), name, number, line)
        if line.translate(None, PLAIN):
            tally.encoded += 1
        yield make.request(url)


def _parsed(text: str, name: str, number: int, line: bytes) -> Url:
    if "://" not in text:
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
        self._heads: dict[tuple[Origin, str], tuple[Origin, bytes, bytes]] = {}

    def request(self, url: Url) -> Prepared:
        shape = self._plan.shape
        key = (url.origin, url.credentials)
        known = self._heads.get(key)
        if known is None:
            mine = replace(shape, credentials=url.credentials) if url.credentials else shape
            known = (url.origin, *request_head(mine, self._plan.route, url.origin, shape.method, shape.body))
            self._heads[key] = known
        origin, before, after = known  # the first Origin object of its kind: the engine compares by identity
        return Prepared(before + url.target + after, origin, shape.method == "HEAD", None)

    def special(self, url: Url, method: str, shape: Shape, label: str | None) -> Prepared:
        """A request with a method, headers or body of its own."""
        key = (url.origin, "")
        origin = self._heads.setdefault(key, (url.origin, b"", b""))[0]
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
        entry = _JsonLine(name, number, line.decode("utf-8", "replace"))
        url = entry.url(plan.url)
        if entry.get("url", "").encode().translate(None, PLAIN):
            tally.encoded += 1
        shape = entry.shape(plan.shape)
        yield make.special(url, entry.get("method", shape.method).upper(), shape, entry.get("label", None))


class _JsonLine:
    """One line of a .jsonl file; everything wrong with it is said with line and column."""

    def __init__(self, name: str, number: int, text: str) -> None:
        self._name, self._number, self._text = name, number, text
        try:
            self.value = json.loads(text)
        except json.JSONDecodeError as error:
            raise self._error(error.colno, f"not JSON: {error.msg}") from error
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
        if key == "method" and not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(value)):
            raise self._error(self._column(key), f"'{value}' is no method")
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

    def url(self, base: Url | None) -> Url:
        text = self.get("url", "")
        try:
            if "://" in text:
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
            raise self._error(self._column("headers"), error.message) from error
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
