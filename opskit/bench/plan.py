"""What a run will do: URLs, the shape of requests, limits, the way to the server. Text in, refusals out."""

import math
import random
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from opskit.bench.checks import Checks
from opskit.bench.schedule import Segment, due_times
from opskit.errors import Misuse

PORTS = {"http": 80, "https": 443}
_UNSENDABLE = re.compile(rb"[^\x21-\x7e]")
_UNSENDABLE_IN_TEXT = re.compile(r"[\t\r\n]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERINFO = re.compile(r"((?:^|://)[^/?#@:]*):[^/?#@]*@")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2: methods, names of headers
_LINE_BREAK = re.compile(r"[\r\n\0]")
_LARGEST_BUFFER = 2**31 - 1  # what setsockopt takes


class Origin(NamedTuple):
    """Where requests go: scheme, host (an IPv6 address without brackets), port. Hashed for every connection."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host field: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True)
class Url:
    """A URL as it is sent: `target` is the path and query, fit for a request line."""

    origin: Origin
    target: bytes
    credentials: str = ""

    def __str__(self) -> str:
        return f"{self.origin}{self.target.decode('ascii')}"


class Prepared(NamedTuple):
    """A request, ready to send: every byte of it, where to, and how its answer is read and filed."""

    wire: bytes
    origin: Origin
    head_request: bool
    label: str | None


class Instead(Prepared):
    """A request that is sent in place of another, `first`."""

    first: Prepared


def first_of(request: Prepared) -> Prepared:
    """The request that was asked for, whatever has been sent in its place."""
    while isinstance(request, Instead):
        request = request.first
    return request


@dataclass(frozen=True)
class Shape:
    """What all requests have in common. `headers` were asked for; the rest of the head is derived."""

    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    credentials: str = ""
    body: bytes | None = None
    content_type: str = "text/plain"
    keep_alive: bool = False
    user_agent: str = "opskit-bench"

    def head_fields(self, origin: Origin, body: bytes | None) -> list[tuple[str, str]]:
        """The header fields of one request, ours first; a header asked for takes the place of ours."""
        fields = [
            ("Host", origin.authority),
            ("User-Agent", self.user_agent),
            ("Accept", "*/*"),
            ("Connection", "keep-alive" if self.keep_alive else "close"),
        ]
        if self.cookies:
            fields.append(("Cookie", "; ".join(self.cookies)))
        if self.credentials:
            fields.append(("Authorization", basic(self.credentials)))
        if body is not None:
            fields += [("Content-Length", str(len(body))), ("Content-Type", self.content_type)]
        asked = {name.lower() for name, _ in self.headers}
        return [pair for pair in fields if pair[0].lower() not in asked] + list(self.headers)


@dataclass(frozen=True)
class Route:
    """The way to the server, where it is not simply the URL's host and port."""

    unix_socket: str | None = None
    connect_to: tuple[str, int] | None = None
    proxy: tuple[str, int] | None = None
    proxy_credentials: str = ""
    local_addresses: tuple[str, ...] = ()  # to connect from, in turn
    socket_buffer: int | None = None  # bytes, for sending and receiving


@dataclass(frozen=True)
class Tls:
    """How https is spoken. `lowest` and `highest` are member names of ssl.TLSVersion."""

    verify: bool = True
    ca_file: str | None = None
    certificate: str | None = None  # PEM with the chain, and with the key where that has no file of its own
    key: str | None = None
    lowest: str | None = None
    highest: str | None = None
    ciphers: str | None = None
    server_name: bool = True
    resume: bool = False
    alpn: tuple[str, ...] = ("http/1.1",)


@dataclass(frozen=True)
class RequestsFile:
    """The -R file: `path` is "-" for standard input."""

    path: str
    format: str = "lines"  # lines, jsonl, access-log
    order: str = "sequential"  # sequential, random, once
    seed: int | None = None


@dataclass(frozen=True)
class Schedule:
    """When requests are due, whatever became of those before: the rate in segments, and how they arrive."""

    segments: tuple[Segment, ...]
    poisson: bool = False
    seed: int | None = None

    def due_times(self, share: "Share") -> Iterator[int]:
        """In ns from the start."""
        every = due_times(self.segments, poisson=self.poisson, seed=self.seed)
        return islice(every, share.index, None, share.of)

    def steady(self) -> "Schedule":
        """For a warm-up: the rate with which the schedule begins, for as long as it takes."""
        rate = self.segments[0].rate
        return replace(self, segments=(Segment(0.0, math.inf, rate, rate),))

    def __str__(self) -> str:
        return ", ".join([*map(str, self.segments), *(("poisson",) if self.poisson else ())])


@dataclass(frozen=True)
class Share:
    """Which of a run's requests, and of their due moments, are ours: the i-th where i mod `of` is `index`."""

    index: int = 0
    of: int = 1

    def part(self, whole: int) -> int:
        """Our part of a number of things."""
        return whole // self.of + (self.index < whole % self.of)


@dataclass(frozen=True)
class Plan:
    """One run, or a share. `number` is None where the file or the clock ends it; `seconds` without -t."""

    url: Url | None
    requests: RequestsFile | None = None
    number: int | None = 1
    seconds: float | None = None
    warmup: float = 0.0  # seconds of requests that are left out of the figures, before the others
    concurrency: int = 1
    request_limit: float = 30.0  # seconds for one request, connecting included
    shape: Shape = field(default_factory=Shape)
    route: Route = field(default_factory=Route)
    tls: Tls = field(default_factory=Tls)
    share: Share = Share()  # `number` and `concurrency` are those of the share
    schedule: Schedule | None = None  # the open model; without it, a request follows the answer to another
    streams: int | None = None  # with HTTP/2: how many requests share one connection; None for HTTP/1.1
    keep_going: bool = False
    fail_status: bool = False
    fail_length: bool = False
    variable_length: bool = False  # ab's -l: no length is expected
    checks: Checks | None = None
    redirects: int = 0  # that are followed for one request
    cookies: bool = False  # whether those that are set are sent back
    script: str | None = None  # the file of `--script`
    seed: int | None = None  # of what is drawn by chance

    @property
    def once(self) -> bool:
        """Whether the run ends with the file: it was asked to, or nothing else would end it."""
        return self.requests is not None and (
            self.requests.order == "once" or (self.number is None and self.seconds is None)
        )


def divided(plan: Plan, shares: int) -> list[Plan]:
    """The same run for several who carry it out at the same time; together they send the same requests.

    What is drawn by chance is drawn alike by all of them, so `plan` has to have seeds.
    """
    return [
        replace(
            plan,
            share=share,
            number=None if plan.number is None else share.part(plan.number),
            concurrency=share.part(plan.concurrency),
        )
        for share in (Share(index, shares) for index in range(shares))
    ]


def refuse_undividable(plan: Plan, shares: int, option: str) -> None:
    """What cannot be shared out between so many, as `option` asks. Raises Misuse."""
    if shares > plan.concurrency:
        raise Misuse(
            f"{option}, but only -c {plan.concurrency} requests at a time",
            hint=f"each needs one of its own: -c {shares}, or more",
        )
    if plan.requests is not None and _is_pipe(plan.requests.path):
        raise Misuse(
            f"{option}: each takes its own lines of the -R file, and {plan.requests.path} is a pipe",
            hint="write the requests to a file first",
        )


def _is_pipe(path: str) -> bool:
    return path == "-" or Path(path).is_fifo() or Path(path).is_char_device()


def with_seeds(plan: Plan) -> Plan:
    """The plan with what chance decides fixed, so that it can be carried out alike in several places."""
    seed = random.randrange(1 << 32)
    requests, schedule = plan.requests, plan.schedule
    if requests is not None and requests.seed is None:
        requests = replace(requests, seed=seed)
    if schedule is not None and schedule.seed is None:
        schedule = replace(schedule, seed=seed)
    return replace(plan, requests=requests, schedule=schedule)


def sendable(text: bytes) -> bytes:
    """Bytes fit for a request line: what may not stand there is percent-encoded, all else left alone."""
    return _UNSENDABLE.sub(lambda match: b"%%%02X" % match[0][0], text)


def has_scheme(text: str) -> bool:
    """Whether a text begins as a whole URL does; one that only holds "://" further on does not."""
    return _SCHEME.match(text) is not None


def parse_url(text: str) -> Url:
    """Read an http or https URL; the scheme may be missing, as for ab. Raises Misuse."""
    shown = _USERINFO.sub(r"\1:***@", text)
    written = text if has_scheme(text) else f"http://{text}"
    try:
        # urlsplit would drop these without a word.
        parts = urlsplit(_UNSENDABLE_IN_TEXT.sub(lambda match: f"%{ord(match[0]):02X}", written))
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise Misuse(f"'{shown}' is not a URL: {error}", hint="write http://host:port/path") from error
    if parts.scheme not in PORTS:
        raise Misuse(f"'{shown}': the scheme {parts.scheme} is unknown", hint="bench speaks http:// and https://")
    if not host or re.search(r"[\s/\\]|^[^:]*%", host):
        raise Misuse(f"'{shown}' names no host", hint="write http://host:port/path")
    if port == 0:
        raise Misuse(f"'{shown}': port 0 cannot be asked", hint="name the port that the server listens on")
    origin = Origin(parts.scheme, _ascii_host(host, shown), port or PORTS[parts.scheme])
    target = parts.path or "/"
    if "?" in written.partition("#")[0]:
        target += f"?{parts.query}"
    credentials = ""
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Url(origin, sendable(target.encode("utf-8", "surrogateescape")), credentials)


def _ascii_host(host: str, text: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise Misuse(f"'{text}': {host} is not a host name", hint="write http://host:port/path") from error


def parse_host_port(text: str, option: str, default_port: int | None = None) -> tuple[str, int]:
    """`host:port`, `[v6]:port`, or a host alone where there is a default port. Raises Misuse."""
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:/\s]+))(?::(\d{1,5}))?/?", text.removeprefix("http://"))
    port = int(match[3]) if match and match[3] else default_port
    if match is None or port is None or not 0 < port < 65536:
        raise Misuse(f"{option} {text}: not a host and port", hint=f"write {option} host:port")
    return match[1] or match[2], port


def parse_header(text: str) -> tuple[str, str]:
    """`Name: value`. Raises Misuse."""
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise Misuse(f"-H '{text}' is not a header", hint="write -H 'Name: value'")
    return name, parse_value(value, "-H").strip()


def parse_value(text: str, option: str) -> str:
    """What may stand in a header's value: no line break, which would begin another header. Raises Misuse."""
    if _LINE_BREAK.search(text):
        raise Misuse(f"{option} {text!r} holds a line break or NUL", hint="a header is one line")
    return text


def parse_cookie(text: str) -> str:
    """`name=value`; it may be a secret, and is not repeated. Raises Misuse."""
    name, equals, _ = parse_value(text, "-C").partition("=")
    if not equals or not name.strip() or has_scheme(text):
        raise Misuse(
            "-C, --cookie takes a cookie: name=value", hint="--cookies is what sends back the cookies that are set"
        )
    return text


def parse_method(text: str) -> str:
    """A method as it is sent. Raises Misuse."""
    if not _TOKEN.fullmatch(text):
        raise Misuse(f"-m '{text}' is no method", hint="a word such as PATCH or DELETE")
    return text


def basic(credentials: str) -> str:
    """The Authorization field for `user:password` (RFC 7617)."""
    return "Basic " + b64encode(credentials.encode("utf-8", "surrogateescape")).decode()


def request_head(
    shape: Shape, route: Route, origin: Origin, method: str, body: bytes | None
) -> tuple[bytes, bytes]:
    """The bytes before and after the request target of a request whose target changes."""
    fields = shape.head_fields(origin, body)
    proxied = route.proxy is not None and origin.scheme == "http"
    if proxied and route.proxy_credentials:
        fields.append(("Proxy-Authorization", basic(route.proxy_credentials)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    before = f"{method} {origin if proxied else ''}"  # absolute-form for a proxy: RFC 9112 section 3.2.2
    return before.encode("latin-1"), f" HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + (body or b"")


def fixed_request(shape: Shape, route: Route, url: Url) -> Prepared:
    """The one request of a run without a file."""
    before, after = request_head(shape, route, url.origin, shape.method, shape.body)
    return Prepared(before + url.target + after, url.origin, shape.method == "HEAD", None)


def connect_request(origin: Origin, route: Route) -> bytes:
    """CONNECT for https through a proxy (RFC 9110 section 9.3.6)."""
    authority = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{authority}:{origin.port}"
    auth = f"Proxy-Authorization: {basic(route.proxy_credentials)}\r\n" if route.proxy_credentials else ""
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{auth}\r\n".encode()


def refuse_contradictions(plan: Plan) -> None:
    """What no single option shows to be wrong. Raises Misuse."""
    if plan.url is None and plan.requests is None and plan.script is None:
        raise Misuse(
            "no URL and no -R file",
            hint="opskit bench http://127.0.0.1:8080/ or opskit bench -R requests.txt http://127.0.0.1:8080/search?q=",
        )
    if plan.redirects < 0:
        raise Misuse(
            f"--redirects {plan.redirects}: not a number of redirects", hint="--redirects 5, for instance"
        )
    if plan.number is not None and plan.number < 1:
        raise Misuse(f"-n {plan.number}: at least one request is needed", hint="-n 1000, for instance")
    if plan.seconds == 0 or plan.request_limit == 0:
        raise Misuse("-t and -s need a time above 0", hint="-t 30s -s 5s, for instance")
    if plan.route.socket_buffer is not None and not 0 < plan.route.socket_buffer <= _LARGEST_BUFFER:
        raise Misuse(f"-b {plan.route.socket_buffer}: not a size of a buffer", hint="-b 65536, for instance")
    if plan.concurrency < 1:
        raise Misuse(f"-c {plan.concurrency}: at least one at a time is needed", hint="-c 10, for instance")
    if plan.schedule is not None and not (plan.number or plan.seconds or plan.requests or plan.script):
        raise Misuse("--rate says no end", hint="add -t 30s, or -n 1000")
    if plan.number is not None and plan.concurrency > plan.number:
        raise Misuse(
            f"-c {plan.concurrency} at once, but only -n {plan.number} requests in all",
            hint=f"add -n {max(1000, plan.concurrency * 10)}, or lower -c",
        )
    if plan.route.local_addresses and plan.route.unix_socket:
        raise Misuse(
            "-B and --unix-socket exclude each other", hint="a unix socket has no address to connect from"
        )
    if plan.warmup and plan.once:
        raise Misuse(
            "--warmup would take requests from a file that is to be sent once",
            hint="say how long to measure: -t 30s, or -n 1000",
        )
    if plan.streams is not None:
        _refuse_without_http2(plan, plan.streams)
    if plan.requests and plan.requests.format == "access-log" and plan.url is None:
        raise Misuse(
            "an access log holds paths, not hosts: it needs a URL",
            hint="opskit bench -R access.log http://127.0.0.1:8080",
        )


def _refuse_without_http2(plan: Plan, streams: int) -> None:
    if not 0 < streams <= plan.concurrency:
        raise Misuse(
            f"--streams {streams}: of -c {plan.concurrency} requests, 1 to {plan.concurrency} share a connection",
            hint=f"add -c {streams}, or more" if streams > 0 else "--streams 10, for instance",
        )
    there_is_none = ((plan.checks, "--check"), (plan.redirects, "--redirects"), (plan.cookies, "--cookies"))
    for asked, option in there_is_none:
        if asked:
            raise Misuse(f"{option} is not there for --http2", hint="leave one of them out")
    if plan.route.proxy is not None and (plan.url is None or plan.url.origin.scheme == "http"):
        raise Misuse(
            "--http2 through a proxy (-X) needs an https URL, for which the proxy opens a tunnel",
            hint="leave out --http2 or -X",
        )


def one_of(value: str, allowed: Iterable[str], option: str) -> str:
    """`value` if it is allowed. Raises Misuse that lists what is."""
    if value in (choices := list(allowed)):
        return value
    raise Misuse(f"{option} {value}: unknown", hint=f"one of {', '.join(choices)}")
