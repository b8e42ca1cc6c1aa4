"""The load engine with HTTP/2: several requests share a connection, as streams.

Requests go where there is room for another stream; where there is none, a connection is opened. What a round
of events gives each connection to send goes out in one `send` before the next round.
"""

import errno
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

from opskit.bench.conductor import FIRST_BACKOFF, Conductor, Trace
from opskit.bench.connection import Connection
from opskit.bench.http2 import frames
from opskit.bench.http2.fieldblocks import AnswerHeads, RequestHeads, is_carried
from opskit.bench.http2.frames import Code, code_name
from opskit.bench.http2.session import OPENING, Http2Session, Lost, Stream
from opskit.bench.opener import Opener
from opskit.bench.plan import PORTS, Origin, Plan, Prepared
from opskit.bench.poller import HANGUP, READ, WRITE
from opskit.bench.recorder import Recorder, Row
from opskit.bench.results import MEANING, Failure, Http2Facts, Stop
from opskit.bench.transport import Dialer, tls_reason
from opskit.bench.wire import ResponseReader
from opskit.errors import os_reason

READ_SIZE = 256 * 1024  # bytes taken from a socket at once
_UNDER_WAY = (0, errno.EINPROGRESS)


class Again(Prepared):
    """A request that a server has turned away unseen: it is not offered a third time."""

    __slots__ = ()


class TranslatedTrace:
    """Shows requests as they go out: without what belongs to an HTTP/1.1 connection."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.answered = trace.answered

    def sent(self, request: Prepared) -> None:
        line, *fields = request.wire.partition(b"\r\n\r\n")[0].split(b"\r\n")
        carried = [field for field in fields if is_carried(*field.split(b": ", 1))]
        shown = b"\r\n".join([line.replace(b" HTTP/1.1", b" HTTP/2"), *carried])
        self._trace.sent(request._replace(wire=shown + b"\r\n\r\n"))


class Line:
    """One connection: its socket, its session, and the requests that wait until it takes them."""

    __slots__ = ("blocked", "connection", "dirty", "mute", "origin", "session", "waiting")

    def __init__(self, origin: Origin, answers: AnswerHeads) -> None:
        self.origin = origin
        self.connection = Connection(ResponseReader(({}, {})))  # which reads a proxy's answer
        self.session = Http2Session(answers)
        self.waiting: deque[Stream] = deque()
        self.dirty = False  # whether it has something to send in this round
        self.blocked = False  # whether its socket takes no more for now
        self.mute = False  # whether its socket will never take more

    def room(self, streams: int) -> int:
        """How many more requests it may be given, if it may share `streams`."""
        session = self.session
        if session.leaving is not None or session.exhausted or self.mute:
            return 0
        return min(streams, session.most_streams) - len(session.streams) - len(self.waiting)

    @property
    def unused(self) -> bool:
        return not self.session.streams and not self.waiting


class Http2Engine(Conductor):
    """HTTP/2: by ALPN for https, with prior knowledge for http (RFC 9113 sections 3.2 and 3.3)."""

    def __init__(
        self, plan: Plan, requests: Iterator[Prepared], dialer: Dialer, recorder: Recorder, **others: Any
    ) -> None:
        super().__init__(plan, requests, dialer, recorder, **others)
        if self._trace is not None:
            self._trace = TranslatedTrace(self._trace)
        assert plan.streams is not None
        self._streams = plan.streams
        self._opener = Opener(self, dialer, self._poller, self._clock, plan.route)
        self._lines: dict[int, Line] = {}
        self._roomy: dict[Origin, dict[Line, None]] = {}  # lines with room, the last used last
        self._dirty: list[Line] = []
        self._heads = {scheme: RequestHeads(scheme) for scheme in PORTS}
        self._answers = AnswerHeads()
        self._buffer = bytearray(READ_SIZE)
        self._view = memoryview(self._buffer)

    @property
    def http2(self) -> Http2Facts:
        return Http2Facts(self.counts.goaways, dict(self.counts.resets.most_common()))

    def _patience(self, next_tick: int) -> float:
        """The last thing of each round: what has gathered for the sockets is sent."""
        while self._dirty:
            self._flush(self._dirty.pop())
        return super()._patience(next_tick)

    def _end_overdue(self, now: int, *, cut: bool) -> None:
        for line in list(self._lines.values()):
            for stream in [*line.session.streams.values(), *line.waiting]:
                since = stream.taken_at if self._paced else stream.begun
                if cut or now - since > self._limit:
                    self._out_of_time(line, stream, now)
            if line.session.ready:
                self._settle(line, now)
            elif line.unused:
                self._close(line)

    def _close_all(self) -> None:
        for line in list(self._lines.values()):
            self._close(line)
        self._poller.close()

    # Requests find a connection

    def _dispatch(self, request: Prepared, begun: int) -> None:
        stream = Stream(request, begun, self._clock() if self._paced else begun)
        roomy = self._roomy.get(request.origin)
        if roomy:
            self._give(next(reversed(roomy)), stream)
        else:
            self._open(stream)

    def _give(self, line: Line, stream: Stream) -> None:
        """A request to a line that has room."""
        if line.session.ready:
            stream.sent_at = stream.taken_at
            self._ask(line, stream)
        else:
            line.waiting.append(stream)
        if line.room(self._streams) <= 0:
            self._no_room(line)

    def _ask(self, line: Line, stream: Stream) -> None:
        request = stream.request
        if line.session.answered:
            stream.reused = True
            self.counts.reused += 1
        head, target, body = self._heads[request.origin.scheme].of(request.wire)
        line.session.ask(stream, head, target, body)
        self._mark(line)

    def _mark(self, line: Line) -> None:
        if not line.dirty:
            line.dirty = True
            self._dirty.append(line)

    def _has_room(self, line: Line) -> None:
        self._roomy.setdefault(line.origin, {})[line] = None

    def _no_room(self, line: Line) -> None:
        self._roomy.get(line.origin, {}).pop(line, None)

    def _settle(self, line: Line, now: int) -> None:
        """After a change of state: requests that waited go out, or elsewhere; a line of no more use is closed."""
        session = line.session
        if session.leaving is not None or line.mute or session.exhausted:
            self._no_room(line)
            while line.waiting:
                stream = line.waiting.popleft()
                self._hold(0, stream.request, stream.begun)
            if line.unused:
                self._close(line)
            return
        while line.waiting and session.ready and len(session.streams) < session.most_streams:
            stream = line.waiting.popleft()
            stream.sent_at = now
            self._ask(line, stream)
        if line.room(self._streams) > 0:
            self._has_room(line)
        else:
            self._no_room(line)

    # Connections open

    def _open(self, stream: Stream) -> None:
        self._make_room()
        origin = stream.request.origin
        line = Line(origin, self._answers)
        line.waiting.append(stream)
        opening = Prepared(OPENING, origin, False, None)
        try:
            address = self._dialer.addresses(origin)[0]
            sock, code = self._dialer.dial(address, len(OPENING))
        except OSError as error:
            self._no_connection(stream.request, error)
            return
        line.connection.begin(opening, stream.begun, address, sock, self._clock())
        if code == errno.EAGAIN:  # the queue of a unix socket is full: connect(2)
            sock.close()
            self._hold(FIRST_BACKOFF, stream.request, stream.begun)
            return
        self._lines[line.connection.descriptor] = line
        self._connections[line.connection.descriptor] = line.connection
        if line.room(self._streams) > 0:
            self._has_room(line)
        if code in _UNDER_WAY:
            self._opener.greet(line.connection, opening)
        else:
            self._poller.watch(line.connection.descriptor, READ)
            self.not_connected(line.connection, OSError(code, os.strerror(code)))

    def _make_room(self) -> None:
        """With several origins, an unused connection to another one makes place for the new one."""
        if len(self._lines) >= self.plan.concurrency:
            unused = next((line for line in self._lines.values() if line.unused), None)
            if unused is not None:
                self._close(unused)

    def ready(self, connection: Connection, now: int) -> None:
        """The connection is open; requests go out when the server has said what it takes (section 3.4)."""
        line = self._lines[connection.descriptor]
        connection.handler = lambda _, mask: self._on_event(line, mask)
        self._count_opened(connection, now)

    def send_first(self, connection: Connection) -> None:
        """TCP or TLS is up; with TLS the server has chosen the protocol."""
        line = self._lines[connection.descriptor]
        chosen = connection.sock.selected_alpn_protocol() if connection.tls else "h2"
        if chosen == "h2":
            line.session.out[:0] = OPENING
            self._mark(line)
        else:
            self._lose(line, Failure.NO_HTTP2, "the server does not offer HTTP/2 (by ALPN)")

    def send_rest(self, connection: Connection, rest: memoryview) -> None:
        line = self._lines[connection.descriptor]
        line.session.out[:0] = rest
        self._mark(line)

    # Bytes go out and come in

    def _flush(self, line: Line) -> None:
        line.dirty = False
        connection, session = line.connection, line.session
        if line.mute or connection.descriptor not in self._lines:
            return
        while session.out:
            try:
                sent = connection.send(session.out)
            except self._dialer.would_wait:
                self._watch(line, blocked=True)
                return
            except OSError:
                # What it said before it closed, such as a GOAWAY, may still be there to be read.
                line.mute = True
                self._no_room(line)
                self._watch(line, blocked=False)
                return
            self.counts.sent += sent
            session.sent(sent)
        self._watch(line, blocked=False)

    def _watch(self, line: Line, *, blocked: bool) -> None:
        if line.blocked != blocked:
            line.blocked = blocked
            self._poller.change(line.connection.descriptor, READ | HANGUP | (WRITE if blocked else 0))

    def _on_event(self, line: Line, mask: int) -> None:
        if mask & WRITE:
            self._mark(line)
        if not mask & ~WRITE:
            return
        connection = line.connection
        while connection.descriptor in self._lines:
            try:
                size = connection.sock.recv_into(self._buffer)
            except self._dialer.would_wait:
                return
            except OSError as error:
                self._broken(line, error)
                return
            if not size:
                self._at_end(line)
                return
            self.counts.received += size
            self._take_in(line, bytes(self._view[:size]))
            if not connection.tls or not connection.sock.pending():
                return

    def _take_in(self, line: Line, data: bytes) -> None:
        now = self._clock()
        session = line.session
        was_leaving = session.leaving is not None
        try:
            ended = session.receive(data, now)
        except Lost as lost:
            self._end_all(line, session.taken(), now)
            self._lose(line, lost.failure, str(lost))
            return
        if ended:
            self._end_all(line, ended, now)
        if session.out:
            self._mark(line)
        if session.leaving is not None and not was_leaving:
            self.counts.goaways += 1
        self._settle(line, now)

    # Requests end

    def _end_all(self, line: Line, ended: list[Stream], now: int) -> None:
        for stream in ended:
            if stream.bad is None:
                self._complete(line, stream, now)
            elif stream.bad.again and self._again(line, stream):
                self.counts.resent += 1
                self.counts.reused -= stream.reused
            else:
                if stream.bad.failure is Failure.STREAM_RESET:
                    self.counts.resets[code_name(stream.bad.code)] += 1
                self._fail(stream.request, stream.bad.failure, stream.bad.words)

    def _again(self, line: Line, stream: Stream) -> bool:
        """Send a request again that the server has not looked at (RFC 9113 section 8.7).

        After GOAWAY as often as it takes, if the server answers something on each connection; else once.
        """
        assert stream.bad is not None
        request = stream.request
        served = line.session.answered or line.session.streams
        if stream.bad.failure is Failure.GOAWAY and served:
            self._hold(0, request, stream.begun)
        elif isinstance(request, Again):
            return False
        else:
            self._hold(FIRST_BACKOFF, Again(*request), stream.begun)
        return True

    def _complete(self, line: Line, stream: Stream, now: int) -> None:
        """A whole answer is in: count it, and send the next request."""
        head, counts = stream.head, self.counts
        assert head is not None
        counts.answered[head.status] += 1
        counts.body += stream.body_size
        counts.kept += 1
        begun, sent_at, first_at = stream.begun, stream.sent_at, stream.first_at
        if self._paced:
            self.recorder.response.append(now - begun)
            begun = stream.taken_at
        if sent_at == begun and not self._paced and first_at in (0, now):
            self.recorder.quick.append(now - begun)
        else:
            self._record_parts(begun, sent_at, first_at or now, now)
        if self._judging:
            wait = (first_at or now) - sent_at
            self._judge(stream.request, head, stream.body_size, Row(begun, sent_at - begun, now - begun, wait))
        request = None if self._paced else self._take()
        if request is None:
            self._in_flight -= 1
        elif request.origin is line.origin and line.room(self._streams) > 0:
            self._give(line, Stream(request, now, now))
        else:
            # Not within this round of events: a new socket may get the descriptor of one just closed.
            self._hold(0, request, now)

    def _record_parts(self, begun: int, sent_at: int, first_at: int, now: int) -> None:
        self.recorder.first_byte.append(first_at - sent_at)
        self.recorder.processing.append(now - sent_at)
        self.recorder.total.append(now - begun)

    def _fail(self, request: Prepared, failure: Failure, words: str) -> None:
        self._count_failure(request, failure, words)
        self._hold(0, None, 0)

    def _out_of_time(self, line: Line, stream: Stream, now: int) -> None:
        if self.stop is not Stop.INTERRUPTED:
            self._record_lower_bound(stream.begun, now)
        if not line.connection.connected_at:
            self._dialer.give_up_on(line.origin, line.connection.address)
        if stream.number:
            line.session.cancel(stream, Code.CANCEL)
            self._mark(line)
        else:
            line.waiting.remove(stream)
        if self.stop is not None:
            failure = Failure.CUT_OFF
        elif not line.session.ready:
            failure = Failure.CONNECT_TIMEOUT
        else:
            failure = Failure.READ_TIMEOUT if stream.first_at else Failure.WAIT_TIMEOUT
        end = self._fail if line.session.ready else self._give_up
        end(stream.request, failure, MEANING[failure])

    # Connections end

    def _at_end(self, line: Line) -> None:
        self._lose(line, Failure.CLOSED, "the server closed the connection without an answer")

    def _broken(self, line: Line, error: OSError) -> None:
        if isinstance(error, self._dialer.tls_errors):
            self._lose(line, Failure.TLS, tls_reason(error))
        elif isinstance(error, ConnectionResetError | BrokenPipeError):
            self._lose(line, Failure.RESET, "the server reset the connection")
        else:
            self._lose(line, Failure.UNREACHABLE, os_reason(error))

    def not_connected(self, connection: Connection, error: OSError) -> None:
        """A name may have several addresses: the requests go to the next one."""
        line = self._lines[connection.descriptor]
        elsewhere = self._dialer.give_up_on(line.origin, connection.address)
        self._close(line)
        for stream in line.waiting:
            if elsewhere:
                self._hold(0, stream.request, stream.begun)
            else:
                self._no_connection(stream.request, error)

    def fail(self, connection: Connection, failure: Failure, words: str) -> None:
        """The way to the server did not open: a tunnel or TLS."""
        if failure is Failure.TLS and "no application protocol" in words:
            failure, words = Failure.NO_HTTP2, "the server does not offer HTTP/2 (by ALPN)"
        self._lose(self._lines[connection.descriptor], failure, words)

    def _lose(self, line: Line, failure: Failure, words: str) -> None:
        """A connection ends, and with it what was asked on it; requests that only waited go elsewhere."""
        session = line.session
        self._close(line)
        for stream in session.streams.values():
            if failure is Failure.CLOSED and stream.head is not None:
                self._fail(stream.request, Failure.TRUNCATED, "the connection ended inside the answer")
            else:
                self._fail(stream.request, failure, words)
        for stream in line.waiting:
            if session.ready:
                self._hold(0, stream.request, stream.begun)
            else:
                self._give_up(stream.request, failure, words)

    def _close(self, line: Line) -> None:
        connection = line.connection
        del self._lines[connection.descriptor]
        del self._connections[connection.descriptor]
        self._no_room(line)
        self._poller.forget(connection.descriptor)
        if line.session.ready and not line.mute:
            self._say_goodbye(line)
        connection.sock.close()

    def _say_goodbye(self, line: Line) -> None:
        """What is left to be said goes out if the socket takes it: a GOAWAY, and which rule the server broke."""
        if not line.blocked:
            try:
                line.connection.send(line.session.out + frames.goaway(Code.NO_ERROR))
            except OSError:
                line.mute = True
