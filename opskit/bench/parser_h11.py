"""The parser of `wire` in plain Python, for platforms where httptools has no wheel: h11."""

import re
from collections.abc import Callable

import h11

from opskit.bench.wire import MAX_HEAD, BadFraming, ExtraBytes, RawHead

_OFFER = [("Host", "h"), ("Connection", "upgrade"), ("Upgrade", "any")]
_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# Where a message ends is judged by `wire`; h11's own and narrower rules must not see what it is judged by.
_FRAMING_FIELD = re.compile(rb"(?i)(?<=\n)(?=(?:transfer-encoding|content-length):)")
_HIDDEN = b"hidden-"


def _client() -> h11.Connection:
    """A connection that has sent a GET and now waits for its answer, be it a 101."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    connection.send(h11.Request(method="GET", target="/", headers=_OFFER))
    connection.send(h11.EndOfMessage())
    return connection


def parse_head(data: bytes) -> RawHead:
    """Read one whole head, blank line included. Raises BadFraming."""
    connection = _client()
    connection.receive_data(_FRAMING_FIELD.sub(_HIDDEN, data))
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise BadFraming(str(error)) from error
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        raise BadFraming("the head has no status line")
    fields = [(name.removeprefix(_HIDDEN), value) for name, value in event.headers]
    return RawHead(event.http_version.decode(), event.status_code, fields)


def _forget(piece: bytes) -> None:
    """What is only counted."""


class _Chunks:
    def __init__(self, keep: Callable[[bytes], None] = _forget) -> None:
        self.size = 0
        self._keep = keep
        self._connection = _client()
        self._connection.receive_data(_CHUNKED_HEAD)
        self._connection.next_event()

    def feed(self, data: bytes) -> bool:
        self._connection.receive_data(data)
        try:
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Data):
                    self.size += len(event.data)
                    self._keep(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    if self._connection.trailing_data[0]:
                        raise ExtraBytes
                    return True
                else:
                    return False
        except h11.RemoteProtocolError as error:
            raise BadFraming(str(error)) from error


def chunked_body(keep: Callable[[bytes], None] = _forget) -> _Chunks:
    """A reader of one chunked body, which hands each decoded piece to `keep`."""
    return _Chunks(keep)
