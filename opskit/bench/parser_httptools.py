"""The parser of `wire` at C speed: llhttp, through httptools."""

import re
from collections.abc import Callable

import httptools

from opskit.bench.wire import BadFraming, ExtraBytes, RawHead

_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# llhttp passes over line ends after a message; a body that ends where it should has one blank line there.
_ENDED = re.compile(rb"[^\n]\r\n\r\n\Z")


class _HeadEvents:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True


def parse_head(data: bytes) -> RawHead:
    """Read one whole head, blank line included. Raises BadFraming."""
    events = _HeadEvents()
    parser = httptools.HttpResponseParser(events)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # 101: what follows is not HTTP
    except httptools.HttpParserError as error:
        raise BadFraming(str(error)) from error
    if not events.complete:
        raise BadFraming("the head has no status line")
    return RawHead(parser.get_http_version(), parser.get_status_code(), events.fields)


class _Chunks:
    def __init__(self) -> None:
        self.size = 0
        self._done = False
        self._tail = b""
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)

    def on_body(self, body: bytes) -> None:
        self.size += len(body)

    def on_message_begin(self) -> None:
        if self._done:
            raise ExtraBytes

    def on_message_complete(self) -> None:
        self._done = True

    def feed(self, data: bytes) -> bool:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._done:
                raise ExtraBytes from error
            raise BadFraming(str(error)) from error
        self._tail = (self._tail + data[-5:])[-5:]
        if self._done and not _ENDED.search(self._tail):
            raise ExtraBytes
        return self._done


class _KeptChunks(_Chunks):
    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep = keep
        super().__init__()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._keep(body)


def chunked_body(keep: Callable[[bytes], None] | None = None) -> _Chunks:
    """A reader of one chunked body, which hands each decoded piece to `keep`."""
    return _Chunks() if keep is None else _KeptChunks(keep)
