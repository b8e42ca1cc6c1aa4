"""Bytes into requests. No sockets here: a reader is fed what came and tells its listener what it was.

httptools reads at C speed; h11 stands in where it has no wheel. Both refuse ambiguous framing (RFC 9112, 6).
"""

from typing import Any, Protocol

from opskit.target.message import Headers, Request

LONGEST_HEAD = 1 << 16  # bytes of request line and headers beyond what one read brought


class BadRequest(Exception):
    """What came is no request. The connection cannot be used any further."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Listener(Protocol):
    """Who is told: once about a head, then for each part of the body, then that the request is whole."""

    number: int

    def on_head(self, request: Request) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def on_end(self) -> None: ...


class Reader(Protocol):
    def feed(self, data: bytes) -> None:
        """Take bytes as they came. Raises BadRequest."""


def reader(listener: Listener) -> Reader:
    """The fastest reader there is on this platform."""
    try:
        return HttptoolsReader(listener)
    except ImportError:
        return H11Reader(listener)


class HttptoolsReader:
    """The callbacks named on_… are httptools' own."""

    def __init__(self, listener: Listener) -> None:
        import httptools

        self._broken = httptools.HttpParserError
        self._upgrade = httptools.HttpParserUpgrade
        self._listener = listener
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._head_size = 0
        self._in_head = True
        self.on_body = listener.on_body
        self.on_message_complete = listener.on_end
        self._parser: Any = httptools.HttpRequestParser(self)  # looks up the callbacks now

    def feed(self, data: bytes) -> None:
        before = self._in_head
        try:
            self._parser.feed_data(data)
        except self._upgrade:
            pass  # an offer that is not taken up; on_head has ruled out a further request
        except self._broken as error:
            raise BadRequest(f"this is not HTTP: {error}") from error
        self._head_size = self._head_size + len(data) if before and self._in_head else 0
        if self._head_size > LONGEST_HEAD:
            raise BadRequest("the headers are too long", 431)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._target = b""
        self._headers = []

    def on_url(self, data: bytes) -> None:
        self._target += data

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._in_head = False
        parser = self._parser
        self._listener.on_head(
            Request(
                parser.get_method().decode("latin-1"),
                self._target.decode("latin-1"),
                parser.get_http_version(),
                tuple(self._headers),
                parser.should_keep_alive() and not parser.should_upgrade(),
                connection=self._listener.number,
            )
        )


class H11Reader:
    """h11 keeps both sides of a connection in step, so it is told of an answer which is never sent."""

    def __init__(self, listener: Listener) -> None:
        import h11

        self._h11 = h11
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._listener = listener

    def feed(self, data: bytes) -> None:
        h11 = self._h11
        try:
            self._connection.receive_data(data)
            while (event := self._connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Request):
                    self._listener.on_head(_from_h11(event, self._listener.number))
                elif isinstance(event, h11.Data):
                    self._listener.on_body(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._listener.on_end()
                    self._next_cycle()
        except h11.RemoteProtocolError as error:
            raise BadRequest(f"this is not HTTP: {error}", error.error_status_hint) from error

    def _next_cycle(self) -> None:
        h11, connection = self._h11, self._connection
        connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()


def _from_h11(event: Any, number: int) -> Request:
    headers: Headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
    words = {word.strip().lower() for name, value in headers if name == "connection" for word in value.split(",")}
    version = event.http_version.decode("ascii")
    keep_alive = "close" not in words and "upgrade" not in words
    if version == "1.0":
        keep_alive = False  # h11 ends the connection whatever an old client asks
    method, target = event.method.decode("latin-1"), event.target.decode("latin-1")
    return Request(method, target, version, headers, keep_alive, connection=number)
