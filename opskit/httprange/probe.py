"""The telnet session: one request, the bytes that went out and came back, one sentence about them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opskit import redact
from opskit.console import Stdout
from opskit.errors import Unable
from opskit.httprange.exchange import Ask, hexdump
from opskit.httprange.fields import Malformed, content_range
from opskit.httprange.raw import Conversation, Place, converse
from opskit.httprange.web import DEFAULTS, Access

if TYPE_CHECKING:
    import ssl

SHOWN = 512  # bytes of a body
MOST_READ = 1 << 14


@dataclass(frozen=True)
class Probe:
    """One exchange, for show."""

    url: str
    value: str
    talk: Conversation

    @property
    def sentence(self) -> str:
        got = self.talk.got
        if got.status == 206 and got.is_multipart:
            return "206: ranges are answered, several of them in one multipart body"
        if got.status == 206:
            return self._judged()
        if got.status == 200:
            return "200: the server ignores Range and sends the whole file"
        if got.status == 416:
            told = got.header("content-range") or "it does not say how many there are"
            return f"416: there are no such bytes, says the server ({told})"
        return f"{got.status}: this is not about Range"

    def _judged(self) -> str:
        got = self.talk.got
        try:
            placed = content_range(got.header("content-range") or "")
        except Malformed as error:
            return f"206, but {error}"
        size = len(placed.span) if placed.span else 0
        if not got.cut and len(got.body) != size:
            return f"206 for {size} bytes, but {len(got.body)} came"
        return f"206: ranges are answered; these are the bytes {placed.span}"

    def render(self, out: Stdout) -> None:
        first, *headers = _lines(self.talk.sent)
        out.write(f"> {redact.url(first)}\n")
        for line in headers:
            out.write(f"> {_masked(line)}\n")
        head, _, _ = self.talk.received.partition(b"\r\n\r\n")
        for line in _lines(head):
            out.write(f"< {_masked(line)}\n")
        out.write("<\n")
        body = self.talk.got.body
        out.write("".join(f"{line}\n" for line in hexdump(body[:SHOWN])))
        if len(body) > SHOWN or self.talk.got.cut:
            out.write(f"  … {len(body)} bytes read\n")
        out.write(f"\n{self.sentence}\n")

    def to_dict(self) -> dict[str, Any]:
        got = self.talk.got
        return {
            "url": redact.url(self.url),
            "range": self.value,
            "request_line": redact.url(got.request_line),
            "request_headers": [list(pair) for pair in redact.headers(got.request)],
            "status": got.status,
            "http_version": got.version,
            "headers": [list(pair) for pair in redact.headers(got.headers)],
            "body_hex": got.body[:SHOWN].hex(),
            "bytes_read": len(got.body),
            "verdict": self.sentence,
            "elapsed_ms": round(got.seconds * 1e3, 3),
        }


def run(url: str, value: str, access: Access, context: "ssl.SSLContext | None") -> Probe:
    """One exchange. Raises Unable when nothing comes that could be shown."""
    own = {name.lower() for name, _ in access.headers}
    defaults = tuple(p for p in DEFAULTS if p[0] == "User-Agent" and p[0].lower() not in own) + access.headers
    ask = Ask(headers=(("Range", value),), version=access.version, read=min(MOST_READ, access.max_bytes))
    talk = converse(Place.of(url, context), ask, defaults, access.timeout)
    if talk.got.fault:
        raise Unable(
            f"cannot probe {urlsplit(url).netloc.rpartition('@')[2]}: {talk.got.fault}",
            hint="is it running, and is this an HTTP port?", code="unreachable",
        )  # fmt: skip
    return Probe(url, value, talk)


def _lines(data: bytes) -> list[str]:
    return data.decode("latin-1").rstrip("\r\n").split("\r\n")


def _masked(line: str) -> str:
    """A header line as it stands, its value masked when it is a secret."""
    name, colon, value = line.partition(": ")
    text = f"{name}: {redact.header_value(name, value)}" if colon else line
    return "".join(c if c.isprintable() else "?" for c in text)
