"""The -R file: from lines on disk to requests ready to send, in constant memory.

The i-th request of a run is the i-th line of the file, from the top again when it ends.
"""

import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from opskit.bench.plan import (
    Origin,
    Plan,
    Prepared,
    RequestsFile,
    Shape,
    Url,
    fixed_request,
    parse_header,
    parse_url,
    request_head,
    sendable,
)
from opskit.errors import Misuse, OpskitError, Unable, os_reason

CHUNK = 1 << 20  # bytes read at once, and the longest line
_BLOCK = 1 << 16  # bytes whose lines stay together when a file is shuffled
_BLOCKS_MIXED = 16
_CHECKED_AHEAD = 50_000  # lines that are judged before anything is sent
_BOM = b"\xef\xbb\xbf"
_PLAIN = bytes(range(0x21, 0x7F)) + b"\n"  # what needs no second look


@dataclass
class Tally:
    """What a run has taken from its file so far."""

    lines: int = 0  # usable lines handed out in the first pass
    encoded: int = 0  # of those, how many had something percent-encoded
    skipped: int = 0  # lines of an access log that cannot be asked again
    wrapped: int = 0  # times the file began again

    def to_dict(self) -> dict[str, int]:
        return {
            "lines": self.lines,
            "encoded": self.encoded,
            "skipped": self.skipped,
            "wrapped": self.wrapped,
        }


Line = tuple[int, bytes]  # its number from 1 (0 where that is not known), its bytes without the line end


def request_stream(plan: Plan, tally: Tally) -> Iterator[Prepared]:
    """The requests of a run, in order; endless but for `once`. Refuses a bad file before the first one.

    Raises Misuse or Unable: at once for what stands in the first lines, later for what stands further down.
    """
    if plan.requests is None:
        assert plan.url is not None
        return _repeat(fixed_request(plan.shape, plan.route, plan.url))
    source = _Source(plan.requests)
    if source.can_be_read_twice:
        _judge_first_lines(plan, source)
    stream = _passes(plan, source, tally)
    try:
        first = next(stream)
    except StopIteration:
        raise Misuse(
            f"{source.name} holds no request",
            hint="one per line; blank lines and lines starting with # do not count",
        ) from None
    return chain([first], stream)


def _repeat(request: Prepared) -> Iterator[Prepared]:
    while True:
        yield request


def _judge_first_lines(plan: Plan, source: "_Source") -> None:
    for _ in islice(_one_pass(plan, source.lines(shuffled=False), source.name, Tally()), _CHECKED_AHEAD):
        pass


def _passes(plan: Plan, source: "_Source", tally: Tally) -> Iterator[Prepared]:
    assert plan.requests is not None
    shuffled = plan.requests.order == "random"
    for request in _one_pass(plan, source.lines(shuffled=shuffled), source.name, tally):
        tally.lines += 1
        yield request
    if plan.requests.order == "once" or tally.lines == 0:
        return
    while True:
        tally.wrapped += 1
        yield from _one_pass(plan, source.lines(shuffled=shuffled), source.name, Tally())


def _one_pass(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    assert plan.requests is not None
    return _FORMATS[plan.requests.format](plan, lines, name, tally)


class _Source:
    """The file itself: opened once, read as often as needed."""

    def __init__(self, file: RequestsFile) -> None:
        self.name = "standard input" if file.path == "-" else file.path
        self._random = random.Random(file.seed)
        self._file = _open(file.path)
        self.can_be_read_twice = self._file.seekable()
        if file.order == "random" and not self.can_be_read_twice:
            self._file, self.can_be_read_twice = _spooled(self._file), True
        self._copy = None if self.can_be_read_twice else tempfile.TemporaryFile()  # noqa: SIM115

    def lines(self, *, shuffled: bool) -> Iterator[Line]:
        """One pass over the usable lines: not blank, no comment, no line end."""
        if shuffled:
            return self._shuffled()
        if self._copy is not None and self._copy.tell():
            self._file, self._copy, self.can_be_read_twice = self._copy, None, True
        if self.can_be_read_twice:
            self._file.seek(0)
        return _in_order(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        """Pieces of whole lines. A pipe is kept in a temporary file as it is read, for the next pass."""
        rest = b""
        while data := self._read(CHUNK):
            if not rest and b"\0" in data[:8192]:
                raise Misuse(
                    f"{self.name} looks binary: it holds a NUL byte",
                    hint="-R takes a text file in UTF-8 with one request per line",
                )
            if self._copy is not None:
                self._copy.write(data)
            end = data.rfind(b"\n") + 1
            if end:
                yield rest + data[:end]
                rest = data[end:]
            else:
                rest += data
            if len(rest) > CHUNK:
                raise Misuse(
                    f"{self.name}: a line is longer than 1 MiB",
                    hint="is it a text file, one request per line?",
                )
        if rest:
            yield rest

    def _read(self, size: int) -> bytes:
        try:
            # read1 gives what a pipe has now; read would wait until a whole chunk is there.
            return self._file.read1(size) if hasattr(self._file, "read1") else self._file.read(size)
        except OSError as error:
            raise Unable(f"cannot read {self.name}: {os_reason(error)}") from error

    def _shuffled(self) -> Iterator[Line]:
        """Every line once, in an order that mixes blocks from all over the file, then their lines."""
        size = self._file.seek(0, 2)
        starts = list(range(0, size, _BLOCK))
        self._random.shuffle(starts)
        for first in range(0, len(starts), _BLOCKS_MIXED):
            lines = [line for start in starts[first : first + _BLOCKS_MIXED] for line in self._lines_from(start)]
            self._random.shuffle(lines)
            yield from lines

    def _lines_from(self, start: int) -> Iterator[Line]:
        """The usable lines that begin in one block."""
        position = self._file.seek(max(0, start - 1))
        if start:
            position += len(self._file.readline(CHUNK))
        while position < start + _BLOCK and (raw := self._file.readline(CHUNK)):
            line = _usable(raw.removeprefix(_BOM) if position == 0 else raw)
            position += len(raw)
            if line:
                yield 0, line


def _open(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except IsADirectoryError as error:
        raise Misuse(f"-R {path} is a directory", hint="name a file with one request per line") from error
    except FileNotFoundError as error:
        hint = "name a file with one request per line"
        if path.isdigit():
            hint = (
                f"-R takes a file; for ab's ramp delay (-R {path} in its trunk) there is no equal: see -c and -t"
            )
        raise Misuse(f"-R {path}: there is no such file", hint=hint) from error
    except OSError as error:
        raise Misuse(f"-R {path}: {os_reason(error)}", hint="name a file that can be read") from error


def _spooled(pipe: BinaryIO) -> BinaryIO:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 — lives as long as the run
    while data := pipe.read(CHUNK):
        copy.write(data)
    return copy


def _usable(raw: bytes) -> bytes:
    """A line without its end, or nothing for a blank line or a comment."""
    line = raw.rstrip(b"\r\n")
    return b"" if line.startswith(b"#") or not line.strip() else line


def _in_order(chunks: Iterator[bytes]) -> Iterator[Line]:
    """Usable lines with their numbers. A chunk with nothing but plain lines costs a few scans in C."""
    number = 0
    for chunk in chunks:
        if number == 0:
            chunk = chunk.removeprefix(_BOM)
        lines = chunk.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        if _all_plain(chunk):
            yield from enumerate(lines, number + 1)
        else:
            yield from ((at, line) for at, raw in enumerate(lines, number + 1) if (line := _usable(raw)))
        number += len(lines)


def _all_plain(chunk: bytes) -> bool:
    return not (
        chunk.translate(None, _PLAIN) or b"\n\n" in chunk or b"\n#" in chunk or chunk.startswith((b"\n", b"#"))
    )


def _from_lines(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    """Lines that are appended to the base URL, or are URLs themselves."""
    if plan.url is None:
        return _from_urls(plan, lines, name, tally)
    return _appended(plan, plan.url, lines, tally)


def _appended(plan: Plan, base: Url, lines: Iterator[Line], tally: Tally) -> Iterator[Prepared]:
    before, after = request_head(plan.shape, plan.route, base.origin, plan.shape.method, plan.shape.body)
    before += base.target
    origin, head_request = base.origin, plan.shape.method == "HEAD"
    for _, line in lines:
        # isalnum is the cheapest test that a line needs no cleaning; most others pass the second.
        if not line.isalnum() and line.translate(None, _PLAIN):
            line = sendable(line)
            tally.encoded += 1
        # What Prepared(…) does, without the Python-level constructor of a named tuple.
        yield tuple.__new__(Prepared, (before + line + after, origin, head_request, None))


def _from_urls(plan: Plan, lines: Iterator[Line], name: str, tally: Tally) -> Iterator[Prepared]:
    make = _Maker(plan)
    for number, line in lines:
        url = _parsed(line.decode("utf-8", "surrogateescape"), name, number, line)
        if line.translate(None, _PLAIN):
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
            mine = _with(shape, credentials=url.credentials) if url.credentials else shape
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


def _with(shape: Shape, **changes: Any) -> Shape:
    from dataclasses import replace

    return replace(shape, **changes)


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
        if entry.get("url", "").encode().translate(None, _PLAIN):
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
            return _with(shape, headers=headers)
        if isinstance(body, str):
            return _with(shape, headers=headers, body=body.encode("utf-8", "surrogatepass"))
        return _with(shape, headers=headers, body=json.dumps(body).encode(), content_type="application/json")


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
        if target.translate(None, _PLAIN):
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
    "lines": _from_lines,
    "jsonl": _from_jsonl,
    "access-log": _from_access_log,
}
FORMATS = tuple(_FORMATS)


def format_of(path: str) -> str:
    """The format that a file's name says: .jsonl and .ndjson, else lines."""
    return "jsonl" if path.lower().endswith((".jsonl", ".ndjson")) else "lines"
