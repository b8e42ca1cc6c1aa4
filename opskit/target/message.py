"""A request as it was read and an answer as it will be sent, before and after there are bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from opskit.target.content import Span, blocks

Headers: TypeAlias = tuple[tuple[str, str], ...]
Piece: TypeAlias = bytes | Span

SERVER = "opskit-target"
BODILESS = frozenset({204, 304})  # RFC 9110, 6.4.1: never with content
REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `target` as it was sent, header names in lower case, `version` as in "1.1".

    `body` is None when it was too long to be kept; `connection` numbers the connections.
    """

    method: str
    target: str
    version: str
    headers: Headers
    keep_alive: bool
    body: bytes | None = b""
    connection: int = 0

    def header(self, name: str) -> str | None:
        """The value of a header, lines of the same name joined; None without one."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Its body is pieces: bytes, and spans of the generated content that cost no memory.

    `wait` seconds pass before it and `pace` seconds between its pieces. `silent` ends the connection with
    no answer at all. A Content-Length in `headers` is sent as it stands instead of the true one, and
    `body_on_head` sends a body where none may be: for answers that are wrong on purpose.
    """

    status: int
    headers: Headers = ()
    body: tuple[Piece, ...] = ()
    wait: float = 0.0
    pace: float = 0.0
    chunked: bool = False
    silent: bool = False
    version: str = "1.1"
    body_on_head: bool = False

    @property
    def length(self) -> int:
        return sum(len(piece) for piece in self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def text(status: int, body: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), (body.encode(),))


def head(answer: Answer, request: Request, date: str, *, keep_alive: bool) -> bytes:
    """The status line and headers, framing and Date included."""
    lines = [f"HTTP/{answer.version} {answer.status} {REASONS.get(answer.status, 'Unknown')}"]
    lines += [f"Server: {SERVER}", f"Date: {date}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if is_chunked(answer, request):
        lines.append("Transfer-Encoding: chunked")
    elif not answer.chunked and answer.status not in BODILESS and answer.header("Content-Length") is None:
        lines.append(f"Content-Length: {answer.length}")
    if not keep_alive:
        lines.append("Connection: close")
    elif request.version == "1.0":
        lines.append("Connection: keep-alive")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def is_chunked(answer: Answer, request: Request) -> bool:
    """Whether the chunked coding frames the body; to HTTP/1.0 the end of the connection does."""
    return answer.chunked and request.version != "1.0"


def has_body(answer: Answer, request: Request) -> bool:
    return (request.method != "HEAD" or answer.body_on_head) and answer.status not in BODILESS


def chunks(answer: Answer) -> Iterator[bytes]:
    """The body in order; spans a block at a time."""
    for piece in answer.body:
        if isinstance(piece, bytes):
            yield piece
        else:
            yield from blocks(piece)
