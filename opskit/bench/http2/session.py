"""One HTTP/2 connection, the client's end (RFC 9113): bytes in, ended streams out. No sockets, no clock.

The state of a stream is what a load test needs of it and no more, for a state machine that knows every corner
costs ten times the system calls of a request. What the peer may not do is still an error by its proper name.
"""

from collections.abc import Callable
from typing import NamedTuple

from opskit.bench.http2 import frames
from opskit.bench.http2.fieldblocks import AnswerHeads, HPACKError, RequestBlocks, RequestHead
from opskit.bench.http2.frames import Code, Flag, Kind, Setting, code_name
from opskit.bench.plan import Prepared
from opskit.bench.results import Failure
from opskit.bench.wire import MAX_HEAD, BadFraming, Head

WINDOW = 1 << 30  # bytes that a server may send ahead, for a stream and for the connection
_CREDIT = WINDOW // 2  # bytes taken before the window is opened again
UPLOAD_AHEAD = 256 * 1024  # bytes of request bodies that wait for the socket at once
_MOST_REPLIES = 1 << 20  # bytes of answers to PING and SETTINGS that a peer may leave unread
_LARGEST_PIECE = 64 * 1024  # bytes of a request's body in one frame, though a server may take more
_NO_BODY = (204, 304)

OPENING = (
    frames.PREFACE
    + frames.settings(
        [
            (Setting.HEADER_TABLE_SIZE, 0),
            (Setting.ENABLE_PUSH, 0),
            (Setting.INITIAL_WINDOW_SIZE, WINDOW),
            (Setting.MAX_HEADER_LIST_SIZE, MAX_HEAD),
        ]
    )
    + frames.window_update(0, WINDOW - frames.FIRST_WINDOW)
)


class Lost(Exception):
    """The connection is of no more use: the peer broke a rule that holds for all of it."""

    def __init__(self, code: Code, words: str, failure: Failure = Failure.BAD_FRAMING) -> None:
        super().__init__(words)
        self.code = code
        self.failure = failure


class Bad(NamedTuple):
    """How a stream ended, where not by a whole answer. `again`: the server has not looked at the request."""

    failure: Failure
    words: str
    again: bool = False
    code: int = Code.NO_ERROR  # of a RST_STREAM


class Stream:
    """One request and what has come of its answer. Times are ns; 0 means not yet."""

    __slots__ = (
        "bad", "begun", "body", "body_size", "first_at", "head", "number", "request", "reused", "sent_at",
        "taken_at", "uncredited", "window",
    )  # fmt: skip

    def __init__(self, request: Prepared, begun: int, taken_at: int) -> None:
        self.request = request
        self.begun = begun
        self.taken_at = taken_at
        self.sent_at = self.first_at = 0
        self.number = 0
        self.reused = False  # whether its connection had answered before
        self.head: Head | None = None
        self.body_size = 0
        self.body: memoryview | None = None  # what is still to be sent
        self.window = 0  # bytes of it that the server will take
        self.uncredited = 0  # bytes received since the server's window was last opened
        self.bad: Bad | None = None


class Http2Session:
    """Feed it what arrives; take from `out` what is to be sent."""

    def __init__(self, answers: AnswerHeads) -> None:
        self.out = bytearray()
        self.streams: dict[int, Stream] = {}
        self.ready = False  # whether the server's SETTINGS have come
        self.leaving: Code | int | None = None  # the code of its GOAWAY
        self.most_streams = frames.LAST_STREAM
        self.answered = 0
        self._answers = answers
        self._blocks = RequestBlocks()
        self._next = 1
        self._left = b""
        self._ended: list[Stream] = []
        self._now = 0
        self._block: tuple[int, bool, list[bytes], int] | None = None  # stream, its end, pieces, their size
        self._uploads: dict[int, Stream] = {}
        self._replies = 0  # bytes of `out`, at least until it was last empty
        self._uncredited = 0
        self._window = frames.FIRST_WINDOW
        self._first_window = frames.FIRST_WINDOW
        self._most_payload = frames.MAX_FRAME
        self._handlers: dict[int, _Handler] = {Kind.SETTINGS: self._on_settings}
        self._usual: dict[int, _Handler] = {
            Kind.DATA: self._on_data,
            Kind.HEADERS: self._on_headers,
            Kind.RST_STREAM: self._on_reset,
            Kind.SETTINGS: self._on_settings,
            Kind.PUSH_PROMISE: self._on_push,
            Kind.PING: self._on_ping,
            Kind.GOAWAY: self._on_goaway,
            Kind.WINDOW_UPDATE: self._on_window_update,
            Kind.CONTINUATION: self._on_continuation,
        }

    # What we send

    @property
    def exhausted(self) -> bool:
        """Whether there is no number left for another stream (RFC 9113 section 5.1.1)."""
        return self._next > frames.LAST_STREAM

    def ask(self, stream: Stream, head: RequestHead, target: bytes, body: bytes) -> None:
        """Begin a stream. The caller has looked at `ready`, `leaving`, `most_streams` and `exhausted`."""
        stream.number = number = self._next
        self._next += 2
        self.streams[number] = stream
        block = self._blocks.block(head, target)
        self.out += frames.headers(number, block, self._most_payload, end_stream=not body)
        if body:
            stream.body = memoryview(body)
            stream.window = self._first_window
            self._uploads[number] = stream
            self.upload()

    def upload(self) -> None:
        """Put as much of the bodies into `out` as the server's windows and its memory here allow, in turns."""
        while self._window > 0 and len(self.out) < UPLOAD_AHEAD:
            able = [each for each in self._uploads.values() if each.window > 0]
            if not able:
                return
            for stream in able:
                self._upload_piece(stream)
                if self._window <= 0 or len(self.out) >= UPLOAD_AHEAD:
                    break

    def _upload_piece(self, stream: Stream) -> None:
        assert stream.body is not None
        size = min(len(stream.body), stream.window, self._window, self._most_payload)
        last = size == len(stream.body)
        flags = Flag.END_STREAM if last else 0
        self.out += frames.frame(Kind.DATA, flags, stream.number, stream.body[:size])
        stream.window -= size
        self._window -= size
        stream.body = None if last else stream.body[size:]
        if last:
            del self._uploads[stream.number]

    def cancel(self, stream: Stream, code: Code = Code.CANCEL) -> None:
        """Give a stream up."""
        self._forget(stream)
        self.out += frames.reset(stream.number, code)

    def _forget(self, stream: Stream) -> None:
        del self.streams[stream.number]
        if stream.body is not None:
            del self._uploads[stream.number]

    def sent(self, size: int) -> None:
        """So many bytes of `out` have gone; bodies that waited may follow."""
        del self.out[:size]
        if not self.out:
            self._replies = 0
        if self._uploads:
            self.upload()

    def _reply(self, frame: bytes) -> None:
        self._replies += len(frame)
        if self._replies > _MOST_REPLIES:
            raise Lost(Code.ENHANCE_YOUR_CALM, "the server asks for replies and does not read them")
        self.out += frame

    # What comes in

    def receive(self, data: bytes, now: int) -> list[Stream]:
        """The streams that these bytes have ended. Raises Lost; `out` then holds our GOAWAY."""
        self._now = now
        self._ended = []
        data = self._left + data if self._left else data
        at, size, read_header = 0, len(data), frames.read_header
        try:
            while size - at >= 9:
                word, flags, number = read_header(data, at)
                start = at + 9
                end = start + (word >> 8)
                if word >> 8 > frames.MAX_FRAME:
                    raise self._too_large(data, word >> 8)
                if end > size:
                    break
                handler = self._handlers.get(word & 0xFF)
                if handler is None:
                    self._out_of_place(word & 0xFF)
                else:
                    handler(flags, number & 0x7FFFFFFF, data, start, end)
                at = end
        except Lost as lost:
            self.out += frames.goaway(lost.code)
            raise
        self._left = data[at:]
        return self._ended

    def taken(self) -> list[Stream]:
        """What `receive` had ended before it raised."""
        return self._ended

    def _too_large(self, data: bytes, size: int) -> Lost:
        if not self.ready:
            return _no_http2(data)
        return Lost(Code.FRAME_SIZE_ERROR, f"a frame of {size:,} bytes, where {frames.MAX_FRAME:,} are allowed")

    def _out_of_place(self, kind: int) -> None:
        """Frames of unknown kinds are passed over, but for two places (RFC 9113 sections 3.4 and 6.10)."""
        if self._block is not None:
            raise Lost(Code.PROTOCOL_ERROR, "a field block was interrupted by another frame")
        if not self.ready:
            raise _no_http2(b"another frame than SETTINGS")

    def _stream(self, number: int) -> Stream | None:
        """None for one that is over: what was under way when it ended may still come."""
        stream = self.streams.get(number)
        if stream is None and (not number & 1 or number >= self._next):
            raise Lost(Code.PROTOCOL_ERROR, f"a frame for stream {number}, which was never begun")
        return stream

    def _finish(self, stream: Stream, bad: Bad | None = None, code: Code | None = None) -> None:
        """A stream has ended; `code` is what the server is to hear of it, if it does not know already."""
        stream.bad = bad
        self._ended.append(stream)
        if code is not None:
            self.cancel(stream, code)
        else:
            self._forget(stream)

    def _malformed(self, stream: Stream, words: str, failure: Failure = Failure.BAD_FRAMING) -> None:
        self._finish(stream, Bad(failure, words), Code.PROTOCOL_ERROR)

    def _on_headers(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        if flags & 0x28:
            start, end = _unwrapped(flags, data, start, end)
        if flags & Flag.END_HEADERS:
            self._on_block(number, data[start:end], flags & 1)
        else:
            self._block = (number, bool(flags & 1), [data[start:end]], end - start)
            self._handlers = {Kind.CONTINUATION: self._on_continuation}

    def _on_continuation(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        if self._block is None or self._block[0] != number:
            raise Lost(Code.PROTOCOL_ERROR, "a CONTINUATION without its HEADERS")
        _, last, pieces, size = self._block
        size += end - start
        pieces.append(data[start:end])
        if size > MAX_HEAD or len(pieces) > MAX_HEAD // 64:
            raise Lost(Code.ENHANCE_YOUR_CALM, f"no end of the head within {MAX_HEAD} bytes")
        self._block = (number, last, pieces, size)
        if flags & Flag.END_HEADERS:
            self._block = None
            self._handlers = self._usual
            self._on_block(number, b"".join(pieces), last)

    def _on_block(self, number: int, block: bytes, last: int) -> None:
        stream = self.streams.get(number) or self._stream(number)
        head, words = self._answers.recall(block), ""
        if head is None:
            try:
                head = self._answers.read(block)
            except HPACKError as error:
                raise Lost(Code.COMPRESSION_ERROR, f"a field block that cannot be read: {error}") from error
            except BadFraming as error:
                words = str(error)
        if stream is None:
            return
        if head is None:
            self._malformed(stream, words)
        elif stream.head is not None:
            self._on_trailers(stream, head, last)
        elif head.status >= 200:
            stream.head = head
            if last:
                self._whole(stream)
            elif not stream.first_at:
                stream.first_at = self._now
        elif last or head.status < 100 or head.status == 101:
            self._malformed(stream, f"an answer with the status {head.status}" if head.status else "no status")
        elif not stream.first_at:
            stream.first_at = self._now

    def _on_trailers(self, stream: Stream, head: Head, last: int) -> None:
        if head.status or not last:
            self._malformed(stream, "a second head, or a trailer that is not the end")
        else:
            self._whole(stream)

    def _on_data(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        taken = end - start
        self._uncredited += taken
        if self._uncredited >= _CREDIT:
            self.out += frames.window_update(0, self._uncredited)
            self._uncredited = 0
        stream = self.streams.get(number) or self._stream(number)
        if stream is None:
            return
        if flags & Flag.PADDED:
            start, end = _unwrapped(flags & Flag.PADDED, data, start, end)
        if stream.head is None:
            self._malformed(stream, "a body before its head")
            return
        stream.body_size += end - start
        if flags & 1:
            self._whole(stream)
            return
        stream.uncredited += taken
        if stream.uncredited >= _CREDIT:
            self.out += frames.window_update(number, stream.uncredited)
            stream.uncredited = 0

    def _whole(self, stream: Stream) -> None:
        """The answer is complete, if it is as long as it says (RFC 9113 section 8.1.1)."""
        head, size = stream.head, stream.body_size
        assert head is not None
        bodiless = stream.request.head_request or head.status in _NO_BODY
        expected = 0 if bodiless else head.length
        if size != expected and expected >= 0:
            short = size < expected
            words = f"a body of {size:,} bytes, where {expected:,} were announced"
            self._malformed(stream, words, Failure.TRUNCATED if short else Failure.EXTRA_BYTES)
            return
        self.answered += 1
        # A server that has answered may never read the rest of a request (section 8.1).
        self._finish(stream, None, Code.NO_ERROR if stream.body is not None else None)

    def _on_reset(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        if end - start != 4:
            raise Lost(Code.FRAME_SIZE_ERROR, "a RST_STREAM of another size than 4")
        stream = self._stream(number)
        if stream is None:
            return
        (code,) = frames.read_number(data, start)
        words = f"the server reset the stream: {code_name(code)}"
        self._finish(stream, Bad(Failure.STREAM_RESET, words, code == Code.REFUSED_STREAM, code))

    def _on_goaway(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        if number or end - start < 8:
            raise Lost(Code.PROTOCOL_ERROR, "a malformed GOAWAY")
        last, code = frames.read_goaway(data, start)
        self.leaving = code
        words = f"the server sent GOAWAY: {code_name(code)}"
        for stream in [each for each in self.streams.values() if each.number > last & 0x7FFFFFFF]:
            self._finish(stream, Bad(Failure.GOAWAY, words, again=True))

    def _on_push(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        raise Lost(Code.PROTOCOL_ERROR, "a PUSH_PROMISE, though pushes are not allowed")

    def _on_ping(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        if number or end - start != 8:
            raise Lost(Code.FRAME_SIZE_ERROR, "a malformed PING")
        if not flags & Flag.ACK:
            self._reply(frames.frame(Kind.PING, Flag.ACK, 0, data[start:end]))

    def _on_settings(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        ack = flags & Flag.ACK
        if number or (end - start) % 6 or (ack and end > start):
            raise Lost(Code.FRAME_SIZE_ERROR, "a malformed SETTINGS")
        if ack:
            if not self.ready:
                raise Lost(Code.PROTOCOL_ERROR, "an acknowledgement before the server's own SETTINGS")
            return
        for name, value in frames.read_settings(data[start:end]):
            self._set(name, value)
        self._reply(frames.frame(Kind.SETTINGS, Flag.ACK, 0))
        if not self.ready:
            self.ready, self._handlers = True, self._usual
        self.upload()

    def _set(self, name: int, value: int) -> None:
        if name == Setting.MAX_CONCURRENT_STREAMS:
            self.most_streams = value
        elif name == Setting.HEADER_TABLE_SIZE:
            self._blocks.limit_table(value)
        elif name == Setting.MAX_FRAME_SIZE:
            if not frames.MAX_FRAME <= value < 1 << 24:
                raise Lost(Code.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE of {value}")
            self._most_payload = min(value, _LARGEST_PIECE)
        elif name == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise Lost(Code.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE of {value}")
            for stream in self._uploads.values():
                stream.window += value - self._first_window  # it may fall below 0: section 6.9.2
            self._first_window = value

    def _on_window_update(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        if end - start != 4:
            raise Lost(Code.FRAME_SIZE_ERROR, "a WINDOW_UPDATE of another size than 4")
        increment = frames.read_number(data, start)[0] & frames.MAX_WINDOW
        if number:
            self._widen(number, increment)
        else:
            self._window += increment
            if not increment or self._window > frames.MAX_WINDOW:
                raise Lost(Code.FLOW_CONTROL_ERROR, "a WINDOW_UPDATE beyond the largest window, or of 0")
        self.upload()

    def _widen(self, number: int, increment: int) -> None:
        stream = self._stream(number)
        if stream is None:
            return
        stream.window += increment
        if not increment or (stream.body is not None and stream.window > frames.MAX_WINDOW):
            words = "a WINDOW_UPDATE beyond the largest window, or of 0"
            self._finish(stream, Bad(Failure.BAD_FRAMING, words), Code.FLOW_CONTROL_ERROR)


def _no_http2(data: bytes) -> Lost:
    began = data.partition(b"\r\n")[0][:40].decode("ascii", "replace")
    return Lost(
        Code.PROTOCOL_ERROR, f"the server does not speak HTTP/2: it began with {began!r}", Failure.NO_HTTP2
    )


_Handler = Callable[[int, int, bytes, int, int], None]  # flags, stream, and where the payload is


def _unwrapped(flags: int, data: bytes, start: int, end: int) -> tuple[int, int]:
    """The payload without padding and priority (RFC 9113 sections 6.1 and 6.2)."""
    padding = 0
    if flags & Flag.PADDED:
        padding = data[start] if start < end else end
        start += 1
    if flags & Flag.PRIORITY:
        start += 5
    if start + padding > end:
        raise Lost(Code.PROTOCOL_ERROR, "padding beyond its frame")
    return start, end - padding
