"""What a run found: counts, latencies, and the arithmetic on them. Nothing here asks the clock or a socket."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from opskit.bench.histogram import Histogram, Summary, decode, summarise
from opskit.bench.series import Second


class Failure(StrEnum):
    """The one name under which a failed request is counted."""

    REFUSED = "refused"
    RESET = "reset"
    UNREACHABLE = "unreachable"
    RESOLVE = "resolve"
    TLS = "tls"
    PROXY = "proxy"
    CONNECT_TIMEOUT = "connect_timeout"
    WAIT_TIMEOUT = "wait_timeout"
    READ_TIMEOUT = "read_timeout"
    CLOSED = "closed"
    TRUNCATED = "truncated"
    BAD_FRAMING = "bad_framing"
    EXTRA_BYTES = "extra_bytes"
    NO_HTTP2 = "no_http2"
    STREAM_RESET = "stream_reset"
    GOAWAY = "goaway"
    STATUS = "status"
    LENGTH = "length"
    CHECK = "check"
    REDIRECT = "redirect"
    CUT_OFF = "cut_off"
    LOCAL = "local"


MEANING = {
    Failure.REFUSED: "the server refused the connection",
    Failure.RESET: "the connection was reset",
    Failure.UNREACHABLE: "no way to the server",
    Failure.RESOLVE: "the host name did not resolve",
    Failure.TLS: "the TLS handshake or a TLS record failed",
    Failure.PROXY: "the proxy would not open a tunnel",
    Failure.CONNECT_TIMEOUT: "no connection within the limit",
    Failure.WAIT_TIMEOUT: "not one byte of an answer within the limit",
    Failure.READ_TIMEOUT: "the answer began but did not end within the limit",
    Failure.CLOSED: "the server closed without a byte of answer",
    Failure.TRUNCATED: "the connection ended inside the answer",
    Failure.BAD_FRAMING: "the answer is not HTTP, or its end cannot be known",
    Failure.EXTRA_BYTES: "bytes came after the end of the answer",
    Failure.NO_HTTP2: "the server does not speak HTTP/2 (--http2)",
    Failure.STREAM_RESET: "the server sent RST_STREAM instead of an answer",
    Failure.GOAWAY: "the server sent GOAWAY before it answered anything",
    Failure.STATUS: "a status of 400 or more (--fail-status)",
    Failure.LENGTH: "not as long as the first answer (--fail-length)",
    Failure.CHECK: "the answer is not as --check says",
    Failure.REDIRECT: "redirects to nowhere, or too many (--redirects)",
    Failure.CUT_OFF: "still in flight when the run ended",
    Failure.LOCAL: "no ports, descriptors or memory left on this side",
}


class Stop(StrEnum):
    """Why a run ended."""

    FINISHED = "finished"
    TIME = "time"
    INTERRUPTED = "interrupted"
    DEAD = "dead"  # the first 10 × concurrency requests all failed
    BAD_REQUEST = "bad_request"  # a line of the file could not be made into a request
    SCRIPT = "script"  # a function of the script failed


@dataclass(frozen=True)
class Run:
    """What was asked, as far as a report or a later comparison needs it. No secrets are kept."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    method: str
    concurrency: int
    keep_alive: bool
    request_limit: float  # seconds
    started_at: float  # epoch seconds
    requests_file: str | None = None
    proxy: str | None = None
    local_addresses: str = ""  # connected from in turn; separated by commas
    body_sent: bool = False
    variable_length: bool = False
    version: str = ""
    streams: int = 0  # requests that share one HTTP/2 connection; 0 for HTTP/1.1
    redirects: int = 0  # how many are followed for a request at the most
    cookies: bool = False  # whether those that are set are sent back
    rate: str = ""  # of the schedule, in words; "" without one, and in files kept before it was noted


@dataclass(frozen=True)
class Http2Facts:
    """What only HTTP/2 has: GOAWAY frames that came, and RST_STREAM frames by the name of their code."""

    goaways: int
    resets: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        return {"goaways": self.goaways, "resets": dict(self.resets)}


@dataclass(frozen=True)
class FirstAnswer:
    """What ab prints of the first answer: its Server field and its body's length in bytes."""

    server: str
    length: int


@dataclass(frozen=True)
class TlsFacts:
    """The first connection's TLS: protocol, cipher, bits of the server's key and of the cipher; ALPN's choice."""

    protocol: str
    cipher: str
    key_bits: int
    cipher_bits: int
    server_name: str | None
    alpn: str | None = None


@dataclass(frozen=True)
class Latencies:
    """Times in ns. `connect` and `tls` have a sample per connection opened, the others one per request.

    `ready` is connect and tls together, and empty without TLS. `total` begins when the request was begun,
    connecting included; `processing` is total less connecting; `first_byte` is the wait from when the request was
    sent. `response` and `lag` are empty without a rate: the time since a request was due, and how late it began.
    `loop` is how late the client itself was, ten times a second, for what it had planned to do.
    """

    connect: Histogram = field(default_factory=Histogram)
    tls: Histogram = field(default_factory=Histogram)
    ready: Histogram = field(default_factory=Histogram)
    first_byte: Histogram = field(default_factory=Histogram)
    processing: Histogram = field(default_factory=Histogram)
    total: Histogram = field(default_factory=Histogram)
    response: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    loop: Histogram = field(default_factory=Histogram)

    def named(self) -> dict[str, Histogram]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def summaries(self) -> dict[str, Summary]:
        return {name: summarise(histogram) for name, histogram in self.named().items()}


@dataclass(frozen=True)
class Warmup:
    """What was sent before the run, and left out of every figure."""

    seconds: float
    requests: int


@dataclass(frozen=True)
class Together:
    """A run that several carried out, and the stretch in which all of them were at it."""

    parts: int
    lost: int  # of them, whose figures are missing
    seconds: float
    good: float  # answers in that stretch
    spread: float = 0.0  # seconds between the first that began and the last
    machines: bool = False  # whether they are workers of a cluster
    clocks: float = 0.0  # seconds by which their clocks may be apart in these figures


@dataclass(frozen=True)
class Ports:
    """How many ports a run may hold at once at the most, and how many there are. `needed` is None if unknown."""

    needed: int | None
    available: int
    held: float  # seconds that a port stays taken after its connection was closed from this side

    @property
    def short(self) -> bool:
        return self.needed is not None and self.needed > self.available

    def evidence(self) -> str:
        return (
            f"up to {self.needed or 0:,} ports for one server within {self.held:g} s; "
            f"this machine has {self.available:,}"
        )


@dataclass(frozen=True)
class LabelTimes:
    """The requests of one label: how many, how many of them failed, and their total times."""

    label: str
    failed: int
    total: Histogram


@dataclass(frozen=True)
class Results:
    """One finished run. Every request begun is counted once: `good`, or under one name in `failures`."""

    run: Run
    stop: Stop
    planned: int | None  # None where only the clock could end it
    started: int
    failures: Mapping[str, int]
    status: Mapping[int, int]
    seconds: float
    cpu_share: float  # CPU time of this process during the run, as a share of one core
    received: int  # bytes, heads and framing included
    body: int  # bytes of bodies, without chunk framing
    sent: int  # bytes
    opened: int
    reused: int  # requests sent on a connection that had already answered one
    kept: int  # answers after which the server kept the connection
    resent: int  # requests sent again because a reused connection turned out closed
    unsent: int  # requests that were due before the end, but never begun
    redirected: int  # redirects that were followed
    resumed: int  # TLS handshakes that took up a session
    lower_bounds: int  # samples in `total` that ended by a limit: it took at least so long
    latencies: Latencies
    first: FirstAnswer | None = None
    tls: TlsFacts | None = None
    http2: Http2Facts | None = None
    requests_file: Mapping[str, int] | None = None
    labels: tuple[LabelTimes, ...] = ()
    checks: Mapping[str, int] | None = None  # each --check, and of how many answers it did not hold
    checked: int = 0  # answers that the checks were made of
    script: Mapping[str, float] | None = None  # requests it made, responses it was shown, seconds in it
    cookies: Mapping[str, int] | None = None  # answers that set some, requests that carried some of a jar's
    series: tuple[Second, ...] = ()
    warmup: Warmup | None = None
    together: Together | None = None
    ports: Ports | None = None  # computed before the start
    reason: str = ""  # the first failure in words, where there was one

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def good(self) -> int:
        return self.started - self.failed

    @property
    def completed(self) -> int:
        """Requests that ended by themselves, well or badly; not those cut off."""
        return self.started - self.failures.get(Failure.CUT_OFF, 0)

    @property
    def answered(self) -> int:
        """Requests with a whole answer, whatever its status."""
        return sum(self.status.values())

    @property
    def non_2xx(self) -> int:
        return sum(count for status, count in self.status.items() if not 200 <= status < 300)

    @property
    def paced(self) -> bool:
        """Whether the run followed a schedule."""
        return self.latencies.lag.count > 0

    @property
    def rate(self) -> float:
        """Good requests per second; of the stretch in which all parts of the run were at it."""
        if self.together and self.together.seconds:
            return self.together.good / self.together.seconds
        return self.good / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The `data` of the JSON envelope."""
        return {
            "url": self.run.url,
            "concurrency": self.run.concurrency,
            "keep_alive": self.run.keep_alive,
            "local_addresses": self.run.local_addresses.split(",") if self.run.local_addresses else [],
            "stop": self.stop.value,
            "requests": {
                "planned": self.planned,
                "started": self.started,
                "completed": self.completed,
                "good": self.good,
                "failed": self.failed,
                "non_2xx": self.non_2xx,
                "resent": self.resent,
                "unsent": self.unsent,
                "redirected": self.redirected,
            },
            "failures": dict(self.failures),
            "status": {str(code): count for code, count in sorted(self.status.items())},
            "seconds": self.seconds,
            "rate": self.rate,
            "bytes": {"received": self.received, "body": self.body, "sent": self.sent},
            "connections": {"opened": self.opened, "reused": self.reused},
            "latency_ms": self._latency_dict(),
            "latency_lower_bounds": self.lower_bounds,
            "requests_file": dict(self.requests_file) if self.requests_file is not None else None,
            "labels": [_label_dict(label) for label in self.labels],
            "checks": {"checked": self.checked, "failed": dict(self.checks)} if self.checks is not None else None,
            "script": dict(self.script) if self.script is not None else None,
            "cookies": dict(self.cookies) if self.cookies is not None else None,
            "tls": self._tls_dict(),
            "http2": {"streams": self.run.streams, **self.http2.to_dict()} if self.http2 else None,
            "cpu_share": self.cpu_share,
            "loop_lag_ms": summarise(self.latencies.loop).to_dict(),
            "warmup": asdict(self.warmup) if self.warmup else None,
            "together": asdict(self.together) if self.together else None,
            "ports": asdict(self.ports) if self.ports else None,
            "series": [second.to_dict() for second in self.series],
        }

    def _tls_dict(self) -> dict[str, Any] | None:
        if self.tls is None:
            return None
        return {**asdict(self.tls), "handshakes": self.latencies.tls.count, "resumed": self.resumed}

    def _latency_dict(self) -> dict[str, dict[str, float]]:
        """With a rate also `service`, from when a request was sent, and `response`, from when it was due."""
        summaries = self.latencies.summaries()
        found = {name: summaries[name].to_dict() for name in ("connect", "tls", "first_byte", "total")}
        if self.paced:
            found["service"] = found["total"]
            found["response"] = summaries["response"].to_dict()
            found["lag"] = summaries["lag"].to_dict()
        return found


def _label_dict(label: LabelTimes) -> dict[str, Any]:
    figures = summarise(label.total)
    return {
        "label": label.label,
        "requests": figures.count,
        "failed": label.failed,
        "latency_ms": figures.to_dict(),
    }


def to_saved(results: Results) -> dict[str, Any]:
    """The run with its histograms, for a file that `from_saved` reads back."""
    return {
        "run": asdict(results.run),
        "stop": results.stop.value,
        **{name: getattr(results, name) for name in _PLAIN_FIELDS},
        "failures": dict(results.failures),
        "status": {str(code): count for code, count in results.status.items()},
        "first": asdict(results.first) if results.first else None,
        "tls": asdict(results.tls) if results.tls else None,
        "http2": results.http2.to_dict() if results.http2 else None,
        "requests_file": dict(results.requests_file) if results.requests_file is not None else None,
        "checks": dict(results.checks) if results.checks is not None else None,
        "script": dict(results.script) if results.script is not None else None,
        "cookies": dict(results.cookies) if results.cookies is not None else None,
        "histograms": {name: _packed(each) for name, each in results.latencies.named().items()},
        "labels": [
            {"label": each.label, "failed": each.failed, "histogram": _packed(each.total)}
            for each in results.labels
        ],
        "series": [asdict(second) for second in results.series],
        "warmup": asdict(results.warmup) if results.warmup else None,
        "together": asdict(results.together) if results.together else None,
        "ports": asdict(results.ports) if results.ports else None,
    }


def from_saved(saved: Mapping[str, Any]) -> Results:
    """The inverse of `to_saved`. Raises KeyError, TypeError or ValueError for anything else."""
    file, plain = saved["requests_file"], {**_LATER, **saved}
    return Results(
        run=Run(**_fitting(Run, saved["run"])),
        stop=Stop(saved["stop"]),
        **_fitting(Results, {name: plain[name] for name in _PLAIN_FIELDS}),
        failures={Failure(name).value: _count(count) for name, count in saved["failures"].items()},
        status={int(code): _count(count) for code, count in saved["status"].items()},
        first=FirstAnswer(**_fitting(FirstAnswer, saved["first"])) if saved["first"] else None,
        tls=TlsFacts(**_fitting(TlsFacts, saved["tls"])) if saved["tls"] else None,
        http2=_http2(saved.get("http2")),
        requests_file=None if file is None else {name: _count(file[name]) for name in _FILE_COUNTS},
        checks={_text(n): _count(c) for n, c in saved["checks"].items()} if saved.get("checks") else None,
        script={name: _number(saved["script"][name]) for name in _SCRIPT_FIGURES} if saved.get("script") else None,
        latencies=Latencies(**{name: _unpacked(each) for name, each in saved["histograms"].items()}),
        labels=tuple(
            LabelTimes(_text(each["label"]), _count(each["failed"]), _unpacked(each["histogram"]))
            for each in saved["labels"]
        ),
        # Runs of earlier versions have none of these.
        cookies=_cookies(saved.get("cookies")),
        series=tuple(Second(**_fitting(Second, each)) for each in saved.get("series", ())),
        warmup=Warmup(**_fitting(Warmup, saved["warmup"])) if saved.get("warmup") else None,
        together=Together(**_fitting(Together, saved["together"])) if saved.get("together") else None,
        ports=Ports(**_fitting(Ports, saved["ports"])) if saved.get("ports") else None,
    )


_MOST = 2**80  # of any number in a saved run: what is larger was not counted


def _fitting(owner: type, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The values for the fields of a dataclass, if each is of its field's type. Raises ValueError."""
    types = {each.name: each.type for each in fields(owner)}
    for name, value in saved.items():
        kind: Any = types[name]
        number = isinstance(value, int | float)
        if not isinstance(value, int | float if kind is float else kind) or (number and not 0 <= value < _MOST):
            raise ValueError(f"{name} is {value!r}")
    return dict(saved)


def _count(value: object) -> int:
    if isinstance(value, int) and 0 <= value < _MOST:
        return value
    raise ValueError(f"{value!r} is no count")


def _number(value: object) -> float:
    if isinstance(value, int | float) and 0 <= value < _MOST:
        return value
    raise ValueError(f"{value!r} is no number")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is no text")


def _http2(saved: Mapping[str, Any] | None) -> Http2Facts | None:
    """None also for a run that was saved before HTTP/2 was spoken."""
    if saved is None:
        return None
    return Http2Facts(
        _count(saved["goaways"]), {_text(name): _count(each) for name, each in saved["resets"].items()}
    )


def _cookies(saved: Mapping[str, Any] | None) -> dict[str, int] | None:
    return None if saved is None else {name: _count(saved[name]) for name in _COOKIE_COUNTS}


_FILE_COUNTS = ("lines", "encoded", "skipped", "wrapped")
_COOKIE_COUNTS = ("set", "sent")
_SCRIPT_FIGURES = ("requests", "responses", "seconds")
_LATER = {"redirected": 0, "resumed": 0, "checked": 0}  # what a run that an earlier version kept does not have
_PLAIN_FIELDS = (
    "planned", "started", "seconds", "cpu_share", "received", "body", "sent", "opened", "reused", "kept", "resent",
    "unsent", "redirected", "resumed", "lower_bounds", "checked", "reason",
)  # fmt: skip


def _packed(histogram: Histogram) -> dict[str, Any]:
    return {
        "hdr_v2": histogram.encode(),
        "sum_ns": histogram.total,
        "min_ns": histogram.lowest,
        "max_ns": histogram.highest,
    }


def _unpacked(packed: Mapping[str, Any]) -> Histogram:
    total, lowest, highest = (_count(packed[name]) for name in ("sum_ns", "min_ns", "max_ns"))
    histogram = decode(_text(packed["hdr_v2"]), total=total, lowest=lowest, highest=highest)
    if histogram.count and lowest > highest:
        raise ValueError(f"a histogram from {lowest} to {highest} ns")
    return histogram
