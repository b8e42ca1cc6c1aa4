"""Sockets: reads requests from connections, sends what the pages answer, ends when it is told to."""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from email.utils import formatdate
from itertools import chain
from signal import SIGINT, SIGTERM, Signals

from opskit.target import message
from opskit.target.message import Answer, Request
from opskit.target.wire import BadRequest, reader

Pages = Callable[[Request], Answer]

LARGEST_BODY = 1 << 20  # bytes of a request's body that are kept for /echo
SHORT = 1 << 16  # bytes of an answer that go out in one write
MOST_WAITING = 64  # pipelined requests that are read ahead
LINGER = 2.0  # seconds in which a client may still send after a refusal (RFC 9112, 9.6)


class Counts:
    """What was served, for the last line."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0


def serve(listener: socket.socket, pages: Pages, announce: Callable[[], None]) -> tuple[Signals, Counts]:
    """Answer on a listening socket until SIGINT or SIGTERM; says which of them it was.

    `announce` is called once connections are taken.
    """
    return asyncio.run(_serve(listener, pages, announce))


async def _serve(listener: socket.socket, pages: Pages, announce: Callable[[], None]) -> tuple[Signals, Counts]:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Signals] = loop.create_future()
    counts, clock = Counts(), Clock()
    for number in (SIGINT, SIGTERM):
        loop.add_signal_handler(number, _settle, ended, number)
    server = await loop.create_server(lambda: Connection(pages, counts, clock), sock=listener)
    announce()
    number = await ended
    server.close()
    return number, counts


def _settle(future: "asyncio.Future[Signals]", number: Signals) -> None:
    if not future.done():
        future.set_result(number)


class Clock:
    """The Date header, made anew once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def date(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second, self._text = now, formatdate(now, usegmt=True)
        return self._text


class Connection(asyncio.Protocol):
    """One client: requests are answered one after the other, in the order in which they came."""

    def __init__(self, pages: Pages, counts: Counts, clock: Clock) -> None:
        self._pages = pages
        self._counts = counts
        self._clock = clock
        self.number = 0
        self._reader = reader(self)
        self._waiting: deque[Request] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._last = False  # nothing that comes from now on is read

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._counts.connections += 1
        self.number = self._counts.connections

    def connection_lost(self, _exc: Exception | None) -> None:
        self._last = True
        self._waiting.clear()
        if self._sending:
            self._sending.cancel()
        self._room.set()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        try:
            self._reader.feed(data)
        except BadRequest as error:
            self._refuse(error)

    def eof_received(self) -> bool:
        """A client that has said all it will is still answered."""
        self._last = True
        return bool(self._sending or self._waiting)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()
        self._answer_waiting()

    # What the reader calls

    def on_head(self, request: Request) -> None:
        self._request, self._body, self._body_size = request, [], 0
        expect = request.header("expect")
        if expect and request.version != "1.0" and expect.lower() == "100-continue" and self._is_idle:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_size += len(data)
        if self._body_size <= LARGEST_BODY:
            self._body.append(data)
        else:
            self._body.clear()

    def on_end(self) -> None:
        request = self._request
        if request is None or self._last:
            return
        if self._body_size:
            kept = b"".join(self._body) if self._body_size <= LARGEST_BODY else None
            request = replace(request, body=kept)
        self._request = None
        self._last = not request.keep_alive
        if self._is_idle:
            self._answer(request)
        else:
            self._waiting.append(request)
            if len(self._waiting) >= MOST_WAITING:
                self._transport.pause_reading()

    # Answering

    @property
    def _is_idle(self) -> bool:
        return self._sending is None and not self._waiting and self._room.is_set()

    def _answer_waiting(self) -> None:
        while self._waiting and self._sending is None and self._room.is_set():
            if len(self._waiting) == MOST_WAITING:
                self._transport.resume_reading()
            self._answer(self._waiting.popleft())

    def _answer(self, request: Request) -> None:
        self._counts.requests += 1
        answer = _objection(request) or self._pages(request)
        if answer.silent:
            self._transport.close()
        elif answer.wait or answer.pace or answer.length > SHORT:
            self._sending = asyncio.get_running_loop().create_task(self._send(answer, request))
        else:
            self._transport.writelines((self._head(answer, request), *_framed(answer, request)))
            self._finish(answer, request)

    async def _send(self, answer: Answer, request: Request) -> None:
        """A long or slow body, no faster than the client takes it."""
        if answer.wait:
            await asyncio.sleep(answer.wait)
        self._transport.write(self._head(answer, request))
        for part in _framed(answer, request):
            self._transport.write(part)
            await self._room.wait()
            await asyncio.sleep(answer.pace)
        self._sending = None
        self._finish(answer, request)
        self._answer_waiting()

    def _head(self, answer: Answer, request: Request) -> bytes:
        keep = _keeps(answer, request)
        return message.head(answer, request, self._clock.date(), keep_alive=keep)

    def _finish(self, answer: Answer, request: Request) -> None:
        if not _keeps(answer, request):
            self._last = True
            self._transport.close()

    def _refuse(self, error: BadRequest) -> None:
        """Say what is wrong, then read on for a moment, so that the client gets to see it."""
        self._last = True
        request = Request("GET", "/", "1.1", (), keep_alive=False)
        answer = message.text(error.status, f"{error}\n")
        self._transport.writelines((self._head(answer, request), *_framed(answer, request)))
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, self._transport.abort)


def _objection(request: Request) -> Answer | None:
    """The refusal of a request that HTTP itself does not allow, or that is not understood."""
    hosts = sum(name == "host" for name, _ in request.headers)
    if request.version != "1.0" and hosts != 1:
        return message.text(400, "an HTTP/1.1 request needs one Host\n")
    expect = request.header("expect")
    if expect and expect.lower() != "100-continue":
        return message.text(417, f"nothing is known of the expectation {expect}\n")
    return None


def _keeps(answer: Answer, request: Request) -> bool:
    """Whether the connection lives on; an HTTP/1.0 client sees the end of a chunked answer by its end."""
    if answer.chunked and not message.is_chunked(answer, request):
        return False
    return request.keep_alive and (answer.header("Connection") or "").lower() != "close"


def _framed(answer: Answer, request: Request) -> Iterable[bytes]:
    """The body as it goes over the wire."""
    if not message.has_body(answer, request):
        return ()
    if not message.is_chunked(answer, request):
        return message.chunks(answer)
    sized = (b"%x\r\n%b\r\n" % (len(part), part) for part in message.chunks(answer))
    return chain(sized, (b"0\r\n\r\n",))
