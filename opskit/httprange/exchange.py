"""One request and its answer, as data: what cases ask for and what they judge."""

import shlex
from dataclasses import dataclass, field

from opskit import redact

Pairs = tuple[tuple[str, str], ...]

SAMPLE = 1 << 16  # bytes of a body that are read at most: enough to compare, little enough for any file


@dataclass(frozen=True)
class Ask:
    """A request. `version` is "1.0", "1.1" or "2"; `url` is another one than the resource's.

    At most `read` bytes of the body are taken; the connection is closed on the rest. `fresh` asks on a
    connection of its own.
    """

    method: str = "GET"
    headers: Pairs = ()
    url: str = ""
    version: str = ""
    read: int = SAMPLE
    fresh: bool = False

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def __str__(self) -> str:
        """`GET, Range: bytes=0-0`, as a report shows it."""
        words = [f"{key}: {value}" for key, value in redact.headers(self.headers) if key not in QUIET]
        method = [self.method] if self.method != "GET" or not words else []
        version = [f"HTTP/{self.version}"] if self.version else []
        text = ", ".join(method + words + version)
        return text if len(text) <= 120 else text[:117] + "…"


QUIET = ("Accept-Encoding",)  # sent with nearly every request; shown in transcripts


@dataclass(frozen=True)
class Got:
    """An answer. `fault` says why there is none, `cut` that we stopped, `truncated` that it ended too early.

    `request` and `headers` are as they went over the wire, in order.
    """

    status: int = 0
    version: str = ""
    reason: str = ""
    headers: Pairs = ()
    body: bytes = b""
    cut: bool = False
    truncated: bool = False
    fault: str = ""
    seconds: float = 0.0
    request_line: str = ""
    request: Pairs = ()
    broken: tuple[str, ...] = field(default=())  # the invariants that this answer violates

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def length(self) -> int | None:
        """Content-Length, if there is a usable one."""
        text = self.header("content-length") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    @property
    def is_multipart(self) -> bool:
        return (self.header("content-type") or "").lower().startswith("multipart/")

    def __str__(self) -> str:
        """`206, bytes 0-0/2000, 1 byte`."""
        if self.fault:
            return self.fault
        words = [str(self.status)]
        if placed := self.header("content-range"):
            words.append(placed)
        if self.is_multipart:
            words.append("multipart")
        if self.header("content-encoding"):
            words.append(self.header("content-encoding") or "")
        size = self.length if self.length is not None else len(self.body)
        if self.status not in (304, 416) and self.status < 400:
            words.append(f"{size} byte{'' if size == 1 else 's'}")
        return ", ".join(words)


@dataclass(frozen=True)
class Exchange:
    """What was sent for which case, and what came."""

    case: str
    url: str
    ask: Ask
    got: Got


def curl_line(exchange: Exchange) -> str:
    """The same request as a line to paste; secrets are masked."""
    words = ["curl", "-sS", "-o", "/dev/null", "-D", "-", "--path-as-is"]
    words += ["-I"] if exchange.ask.method == "HEAD" else ["-X", exchange.ask.method]
    if exchange.ask.method == "GET":
        words = words[:-2]
    words += {"1.0": ["--http1.0"], "2": ["--http2"]}.get(exchange.ask.version, [])
    for name, value in redact.headers(exchange.ask.headers):
        words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, redact.url(exchange.url)])


def transcript(exchange: Exchange, *, shown: int = 256) -> str:
    """The exchange as it went: `>` sent, `<` received, the first bytes of the body as a hexdump."""
    got = exchange.got
    lines = [f"# case {exchange.case}: {redact.url(exchange.url)} ({got.seconds * 1e3:.1f} ms)"]
    lines += [f"> {redact.url(got.request_line)}"]
    lines += [f"> {name}: {value}" for name, value in redact.headers(got.request)]
    lines.append(">")
    if got.fault:
        return "\n".join([*lines, f"! {got.fault}", ""])
    lines.append(f"< HTTP/{got.version} {got.status} {got.reason}".rstrip())
    lines += [f"< {name}: {value}" for name, value in redact.headers(got.headers)]
    lines.append("<")
    lines += hexdump(got.body[:shown])
    if len(got.body) > shown or got.cut:
        lines.append(f"  … {len(got.body)} bytes read{', the rest was not taken' if got.cut else ''}")
    return "\n".join([*lines, ""])


def hexdump(data: bytes) -> list[str]:
    """16 bytes a line: offset, hexadecimal, and what is printable."""
    lines = []
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"  {offset:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  |{text}|")
    return lines
