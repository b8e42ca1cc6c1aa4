"""HTTP/2 servers that do what a test tells them: the h2 library speaks, and judges what it hears."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from tests.scripted import Peer, Scripted, scripted

Fields = list[tuple[str, str]]


@dataclass
class Request:
    stream: int
    fields: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.fields[":path"]


@dataclass
class Http2Peer:
    """The server's end of one connection. What the client does against the rules is in `faults`."""

    peer: Peer
    h2: H2Connection
    faults: list[str]
    most_open: int = 0
    events: list[Event] = field(default_factory=list)
    _bodies: dict[int, Request] = field(default_factory=dict)

    def start(self, settings: dict[SettingCodes | int, int]) -> None:
        values = {
            SettingCodes(name): value for name, value in [*self.h2.local_settings.items(), *settings.items()]
        }
        own = Settings(client=False, initial_values=values)
        self.h2.local_settings = own
        self.h2.max_inbound_frame_size = own.max_frame_size
        self.h2.decoder.max_allowed_table_size = own.header_table_size
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.peer.send(self.h2.data_to_send())

    def raw(self, data: bytes) -> None:
        """Bytes past the library, which would not send such."""
        self.flush()
        self.peer.send(data)

    def hear(self) -> Iterator[Event]:
        """Each event until the client goes; what is to be said to it is sent in between."""
        while data := self.peer.sock.recv(65536):
            try:
                events = self.h2.receive_data(data)
            except ProtocolError as error:
                self.faults.append(f"{type(error).__name__}: {error}")
                self.flush()
                return
            for event in events:
                self.events.append(event)
                yield event
            self.flush()

    def requests(self, *, read: bool = True) -> Iterator[Request]:
        """Whole requests; with `read`, the client's window is opened again for what came of bodies."""
        for event in self.hear():
            if isinstance(event, RequestReceived):
                assert event.headers is not None
                fields = {_text(name): _text(value) for name, value in event.headers}
                self._bodies[event.stream_id] = Request(event.stream_id, fields)
                self.most_open = max(self.most_open, self.h2.open_inbound_streams)
            elif isinstance(event, DataReceived):
                self._bodies[event.stream_id].body += event.data or b""
                if read:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                yield self._bodies.pop(event.stream_id)

    def answer(self, stream: int, body: bytes = b"ok", status: int = 200, fields: Fields | None = None) -> None:
        length = [] if status in (204, 304) else [("content-length", str(len(body)))]
        self.h2.send_headers(stream, [(":status", str(status)), *length, *(fields or [])], end_stream=not body)
        if body:
            self.send_body(stream, body)
        self.flush()

    def send_body(self, stream: int, body: bytes, **more: Any) -> None:
        most = self.h2.max_outbound_frame_size - more.get("pad_length", 0) - 1
        pieces = [body[at : at + most] for at in range(0, len(body), most)]
        for piece in pieces:
            self.h2.send_data(stream, piece, end_stream=piece is pieces[-1], **more)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


Script = Callable[[Http2Peer], None]


@dataclass
class Judge:
    """What all connections of a server have seen."""

    faults: list[str] = field(default_factory=list)
    peers: list[Http2Peer] = field(default_factory=list)


def http2(
    script: Script,
    judge: Judge,
    settings: dict[SettingCodes | int, int] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AbstractContextManager[Scripted]:
    """Each connection is greeted with these SETTINGS; then `script` has it."""

    def serve(peer: Peer) -> None:
        server = Http2Peer(peer, H2Connection(H2Configuration(client_side=False)), judge.faults)
        judge.peers.append(server)
        server.start(settings or {})
        script(server)

    return scripted(serve, tls=tls)


def answer_all(peer: Http2Peer) -> None:
    for request in peer.requests():
        peer.answer(request.stream)


__all__ = [
    "Http2Peer", "Judge", "Request", "SettingCodes", "WindowUpdated", "answer_all", "http2",
]  # fmt: skip
