"""The only socket of the checker: for HTTP/1.0, for bytes as they stand, for `--probe`.

It sends what it is given and keeps what comes, byte by byte; h11 says where the answer ends.
"""

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opskit.errors import os_reason
from opskit.httprange.exchange import Ask, Got, Pairs

if TYPE_CHECKING:
    import ssl

MOST_HEAD = 1 << 16  # bytes of status line and headers


@dataclass(frozen=True)
class Place:
    """Where to connect: `address` is the host or the one IP address of it that is meant."""

    url: str
    address: str
    port: int
    context: "ssl.SSLContext | None"

    @classmethod
    def of(cls, url: str, context: "ssl.SSLContext | None", address: str = "") -> "Place":
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls(url, address or parts.hostname or "", port, context if secure else None)

    @property
    def request_target(self) -> str:
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True)
class Conversation:
    """The bytes that went out, the bytes that came back, and what they were as an answer."""

    sent: bytes
    received: bytes
    got: Got

    @property
    def after_head(self) -> bytes:
        """What came after the empty line that ends the headers."""
        return self.received.partition(b"\r\n\r\n")[2]


def request_bytes(place: Place, ask: Ask, defaults: Pairs) -> tuple[str, Pairs, bytes]:
    """The request line, the headers in order, and both as bytes. Host comes first, as curl has it."""
    version = ask.version or "1.1"
    line = f"{ask.method} {place.request_target} HTTP/{version}"
    own = {name.lower() for name, _ in ask.headers}
    headers = [("Host", place.host), *(pair for pair in defaults if pair[0].lower() not in own)]
    headers += list(ask.headers)
    if version != "1.0" and "connection" not in own:
        headers.append(("Connection", "close"))
    text = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return line, tuple(headers), f"{line}\r\n{text}\r\n".encode("latin-1", errors="replace")


def converse(place: Place, ask: Ask, defaults: Pairs, timeout: float, *, to_end: bool = False) -> Conversation:
    """One exchange on a connection of its own, ended after `timeout` seconds whatever happens.

    `to_end` reads on after the answer, a second at most, to see what should not be there.
    """
    line, headers, sent = request_bytes(place, ask, defaults)
    started = time.monotonic()
    reading = _Reading(ask)
    try:
        with _connected(place, timeout) as connection:
            connection.sendall(sent)
            _receive(connection, reading, started + timeout)
            if to_end:
                reading.received += _remainder(connection)
    except TimeoutError:
        reading.fail("no answer in time")
    except UnicodeError:
        reading.fail("no connection: it is no name of a host")
    except ConnectionRefusedError as error:
        reading.fail(f"no connection: {os_reason(error)}")
    except OSError as error:
        reading.fail(f"the connection broke: {os_reason(error)}")
    got = reading.got(time.monotonic() - started, line, headers)
    return Conversation(sent, bytes(reading.received), got)


def _connected(place: Place, timeout: float) -> socket.socket:
    connection = socket.create_connection((place.address, place.port), timeout=timeout)
    if place.context is None:
        return connection
    return place.context.wrap_socket(connection, server_hostname=urlsplit(place.url).hostname)


def _receive(connection: socket.socket, reading: "_Reading", deadline: float) -> None:
    while not reading.done:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        reading.feed(connection.recv(1 << 14))


def _remainder(connection: socket.socket) -> bytes:
    connection.settimeout(1.0)
    try:
        return connection.recv(1 << 14)
    except OSError:
        return b""


class _Reading:
    """An answer while it comes."""

    def __init__(self, ask: Ask) -> None:
        import h11

        self._h11 = h11
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
        # h11 keeps both sides in step: it has to know that it was a HEAD, not what was really sent.
        self._connection.send(h11.Request(method=ask.method, target="/", headers=[("Host", "x")]))
        self._connection.send(h11.EndOfMessage())
        self._limit = ask.read
        self._response: Any = None
        self._fault = ""
        self.received = bytearray()
        self.body = bytearray()
        self.done = self.cut = self.truncated = False

    def feed(self, data: bytes) -> None:
        """Take what one read brought; b"" for the end of the connection."""
        h11 = self._h11
        self.received += data
        if not data and not self.received:
            self.fail("the connection ended without an answer")
            return
        try:
            self._connection.receive_data(data)
            while not self.done and (event := self._connection.next_event()) not in (
                h11.NEED_DATA, h11.PAUSED,
            ):  # fmt: skip
                self._take(event)
        except h11.RemoteProtocolError as error:
            if self._response is None:
                self.fail(f"what came is not HTTP: {error}")
            else:
                self.truncated = self.done = True

    def _take(self, event: Any) -> None:
        h11 = self._h11
        if isinstance(event, h11.Response):
            self._response = event
        elif isinstance(event, h11.Data):
            self.body += event.data
            self.cut = len(self.body) >= self._limit
        if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            self.done, self.cut = True, False
        elif self.cut:
            self.done = not self._ends_here()

    def _ends_here(self) -> bool:
        """Whether the limit is the end of the message too, so that nothing is left to close on."""
        lengths = [value for name, value in self._response.headers if name == b"content-length"]
        return bool(lengths) and int(lengths[0]) <= len(self.body)

    def fail(self, why: str) -> None:
        self._fault, self.done = why, True

    def got(self, seconds: float, line: str, headers: Pairs) -> Got:
        response = self._response
        if self._fault or response is None:
            fault = self._fault or "the connection ended without an answer"
            return Got(fault=fault, seconds=seconds, request_line=line, request=headers)
        pairs = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw_items()
        )
        return Got(
            response.status_code, response.http_version.decode(), response.reason.decode("latin-1"), pairs,
            bytes(self.body), self.cut, self.truncated, "", seconds, line, headers,
        )  # fmt: skip
