"""The load engine for HTTP/1.1: one loop over non-blocking sockets, in the manner of ab's.

Most of its time is the kernel's; what Python does for a usual answer is one `recv`, one look at a remembered head,
one append and one `send`.
"""

import errno
import os
from collections.abc import Iterator
from typing import Any

from opskit.bench.conductor import FIRST_BACKOFF, Conductor
from opskit.bench.connection import Connection
from opskit.bench.opener import Opener
from opskit.bench.plan import Origin, Plan, Prepared
from opskit.bench.poller import HANGUP, READ, WRITE
from opskit.bench.recorder import Recorder, Row
from opskit.bench.results import MEANING, Failure, Stop
from opskit.bench.transport import Dialer, tls_reason
from opskit.bench.wire import BadFraming, ExtraBytes, Head, Truncated
from opskit.errors import os_reason

FIRST_READ = 4 * 1024  # bytes: a head and a small body; a larger buffer costs more to make than it saves
READ_SIZE = 64 * 1024  # bytes: what follows a head, where its length is not known
SINK_SIZE = 256 * 1024  # bytes: what a read takes of a body that is only counted
LINGER = 1_000_000_000  # ns that a connection may take to close after its last answer
_UNDER_WAY = (0, errno.EINPROGRESS)  # what connect says of a socket that does not wait
MOST_LEAVING = 32  # connections that are only waiting to be closed


class Engine(Conductor):
    """HTTP/1.1: a connection carries one request at a time."""

    def __init__(
        self, plan: Plan, requests: Iterator[Prepared], dialer: Dialer, recorder: Recorder, **others: Any
    ) -> None:
        super().__init__(plan, requests, dialer, recorder, **others)
        self._opener = Opener(self, dialer, self._poller, self._clock, plan.route)
        self._sink = bytearray(SINK_SIZE)
        self._memories: tuple[dict[bytes, Head], dict[bytes, Head]] = ({}, {})
        self._idle: dict[Origin, list[Connection]] = {}
        self._spare: list[Connection] = []  # closed after a whole answer: a new socket may take their place
        self._leaving: dict[int, int] = {}  # descriptor → when it was left to close
        self._keep_alive = plan.shape.keep_alive

    def _end_overdue(self, now: int, *, cut: bool) -> None:
        for connection in list(self._connections.values()):
            since = connection.taken_at if self._paced else connection.begun
            if connection.request is not None and (cut or now - since > self._limit):
                self._out_of_time(connection, now)
        for descriptor, since in list(self._leaving.items()):
            if now - since > LINGER:
                self._close(self._connections[descriptor])

    def _close_all(self) -> None:
        for connection in list(self._connections.values()):
            self._close(connection)
        self._poller.close()

    # Connections open

    def _dispatch(self, request: Prepared, begun: int) -> None:
        """Send on an idle connection to the origin, or open one."""
        idle = self._idle.get(request.origin)
        if idle:
            connection = idle[-1]
            self._no_longer_idle(connection)
            connection.handler = self._on_readable
            self._reuse(connection, request, begun)
        else:
            self._open(request, begun)

    def _open(self, request: Prepared, begun: int) -> None:
        if self._idle:
            self._make_room()
        taken_at = self._clock()
        try:
            address = self._dialer.addresses(request.origin)[0]
            sock, code = self._dialer.dial(address, len(request.wire))
        except OSError as error:
            self._no_connection(request, error)
            return
        connection = self._spare.pop() if self._spare else Connection(self._new_reader(self._memories))
        connection.begin(request, begun, address, sock, taken_at)
        if code == errno.EAGAIN:  # the queue of a unix socket is full: connect(2)
            sock.close()
            self._hold(FIRST_BACKOFF, request, begun)
        elif code in _UNDER_WAY:
            self._connections[connection.descriptor] = connection
            self._opener.greet(connection, request)
        else:
            sock.close()
            self._try_elsewhere(connection, OSError(code, os.strerror(code)))

    def _make_room(self) -> None:
        """With several origins, an idle connection to another one makes place for the new one."""
        if len(self._connections) - len(self._leaving) < self.plan.concurrency:
            return
        longest_unused = next(iter(self._idle.values()))[0]
        self._close(longest_unused)

    def send_first(self, connection: Connection) -> None:
        """The connection is ready and has not got its request yet."""
        assert connection.request is not None
        self._send(connection, connection.request)

    def ready(self, connection: Connection, now: int) -> None:
        """The connection can take a request."""
        connection.ready_at = now
        connection.handler = self._on_readable
        self._count_opened(connection, now)

    # Requests go out

    def _reuse(self, connection: Connection, request: Prepared, begun: int) -> None:
        """Another request on a connection that has answered before."""
        connection.request = request
        connection.begun = begun
        connection.first_at = 0
        if self._paced:
            connection.taken_at = self._clock()
        self.counts.reused += 1
        self._send(connection, request)

    def _send(self, connection: Connection, request: Prepared) -> None:
        wire, _, head_request, _ = request  # cheaper than by name
        connection.reader.start(head_request=head_request)
        try:
            sent = connection.send(wire)
        except self._dialer.would_wait:
            sent = 0
        except OSError as error:
            self._broken(connection, error)
            return
        self.counts.sent += sent
        if sent < len(wire):
            self.send_rest(connection, memoryview(wire)[sent:])

    def send_rest(self, connection: Connection, rest: memoryview) -> None:
        connection.rest = rest
        connection.handler = self._on_writable
        self._poller.change(connection.descriptor, READ | WRITE | HANGUP)

    def _on_writable(self, connection: Connection, mask: int) -> None:
        assert connection.rest is not None
        if mask & READ:
            self._on_readable(connection, mask)  # an answer before the whole request was sent
            if connection.rest is None:
                return
        try:
            sent = connection.send(connection.rest)
        except self._dialer.would_wait:
            return
        except BrokenPipeError:
            connection.rest = connection.rest[:0]  # it reads no more, but its answer may be there
        except OSError as error:
            self._broken(connection, error)
            return
        else:
            self.counts.sent += sent
            connection.rest = connection.rest[sent:]
        if not connection.rest:
            connection.rest = None
            connection.handler = self._on_readable
            self._poller.change(connection.descriptor, READ | HANGUP)

    # Answers come in

    def _on_readable(self, connection: Connection, mask: int) -> None:
        reader = connection.reader
        while True:
            try:
                if reader.left:
                    asked = min(reader.left, SINK_SIZE)
                    size = connection.sock.recv_into(self._sink, asked)
                    data = b""
                else:
                    asked = FIRST_READ if reader.head is None else READ_SIZE
                    data = connection.recv(asked)
                    size = len(data)
            except self._dialer.would_wait:
                return
            except OSError as error:
                self._broken(connection, error)
                return
            now = self._clock()
            if not size:
                self._at_end(connection, now)
                return
            self.counts.received += size
            try:
                done = reader.feed(data) if data else reader.skip(size)
            except (BadFraming, ExtraBytes) as error:
                self._misframed(connection, error)
                return
            if done:
                self._complete(connection, now, mask & HANGUP)
                return
            if not connection.first_at:
                connection.first_at = now
            if size < asked and not connection.tls:
                return  # the socket is drained; TLS may hold decrypted bytes back, so it must say so itself

    def _complete(self, connection: Connection, now: int, closed: int) -> None:
        """A whole answer is in: count it, then send the next request, on this connection if it lives."""
        reader = connection.reader
        head = reader.head
        assert head is not None
        counts = self.counts
        counts.answered[head.status] += 1
        counts.body += reader.body_size
        if self._paced:
            self.recorder.response.append(now - connection.begun)
            self._record_parts(connection, connection.taken_at, now)
        elif connection.answered and not connection.first_at:
            self.recorder.quick.append(now - connection.begun)
        else:
            self._record_parts(connection, connection.begun, now)
        if self._judging:
            self._judge_answer(connection, head, now)
        if head.keep_alive and self._keep_alive and not closed and connection.rest is None:
            counts.kept += 1
            connection.answered = True
            request = None if self._paced else self._take()
            if request is not None and request.origin is connection.origin:
                self._reuse(connection, request, now)
                return
            self._park(connection)
            if request is None:
                self._in_flight -= 1
            else:
                # Not within this round of events: a new socket may get the descriptor of one that has just
                # been closed, and with it an event that was meant for that one.
                self._hold(0, request, now)
        else:
            self._leave(connection, now, closed)
            self._vacant += 1

    def _record_parts(self, connection: Connection, begun: int, now: int) -> None:
        """The times of an answer that opened its connection, or that came in parts."""
        first_at = connection.first_at
        sent_at = begun if connection.answered else connection.ready_at
        if first_at:
            self.recorder.first_byte.append(first_at - sent_at)
            self.recorder.processing.append(now - sent_at)
        else:
            self.recorder.once.append(now - sent_at)
        self.recorder.total.append(now - begun)

    def _judge_answer(self, connection: Connection, head: Head, now: int) -> None:
        request, begun = connection.request, connection.begun
        assert request is not None
        sent_at = begun if connection.answered else connection.ready_at
        wait = (connection.first_at or now) - sent_at
        times = Row(begun, sent_at - begun, now - begun, wait)
        self._judge(request, head, connection.reader.body_size, times, connection)

    def _park(self, connection: Connection) -> None:
        """Keep a connection for a later request to its origin."""
        connection.request = None
        connection.handler = self._on_idle
        self._idle.setdefault(connection.origin, []).append(connection)

    def _on_idle(self, connection: Connection, mask: int) -> None:
        """Nothing was asked: whatever comes, be it the end or a 408, makes the connection useless."""
        self._close(connection)

    def _leave(self, connection: Connection, now: int, closed: int) -> None:
        """Let the server close first, as ab does: TIME_WAIT then is the server's, and no port is lost here."""
        connection.request = None
        if closed or connection.rest is not None:  # a server that answers early may never read the rest
            self._close(connection)
            self._spare.append(connection)
            return
        if len(self._leaving) >= MOST_LEAVING:
            self._close(self._connections[next(iter(self._leaving))])
        self._leaving[connection.descriptor] = now
        connection.handler = self._on_leaving

    def _on_leaving(self, connection: Connection, mask: int) -> None:
        try:
            if not mask & HANGUP and connection.recv(FIRST_READ):
                return
        except self._dialer.would_wait:
            return
        except OSError:
            pass
        self._close(connection)
        self._spare.append(connection)

    # Requests end badly

    def _at_end(self, connection: Connection, now: int) -> None:
        """The server closed."""
        try:
            done = connection.reader.end()
        except Truncated:
            self.fail(connection, Failure.TRUNCATED, "the connection ended inside the answer")
            return
        if done:
            self._complete(connection, now, 1)
        elif connection.answered:
            self._resend(connection)
        else:
            self.fail(connection, Failure.CLOSED, "the server closed the connection without an answer")

    def _broken(self, connection: Connection, error: OSError) -> None:
        if isinstance(error, self._dialer.tls_errors):
            self.fail(connection, Failure.TLS, tls_reason(error))
        elif connection.answered and connection.reader.untouched():
            self._resend(connection)
        elif isinstance(error, ConnectionResetError | BrokenPipeError):
            self.fail(connection, Failure.RESET, "the server reset the connection")
        else:
            self.fail(connection, Failure.UNREACHABLE, os_reason(error))

    def _resend(self, connection: Connection) -> None:
        """The server closed a kept connection as the request came (RFC 9112 section 9.3.1): ask on a new one."""
        request, begun = connection.request, connection.begun
        self.counts.resent += 1
        self.counts.reused -= 1
        self._close(connection)
        self._hold(0, request, begun)

    def _misframed(self, connection: Connection, error: BadFraming | ExtraBytes) -> None:
        if isinstance(error, ExtraBytes):
            self.fail(connection, Failure.EXTRA_BYTES, "bytes came after the end of the answer")
        else:
            self.fail(connection, Failure.BAD_FRAMING, str(error))

    def _out_of_time(self, connection: Connection, now: int) -> None:
        if self.stop is not Stop.INTERRUPTED:
            self._record_lower_bound(connection.begun, now)
        if not connection.connected_at:
            self._dialer.give_up_on(connection.origin, connection.address)
        if self.stop is not None:
            failure = Failure.CUT_OFF
        elif not connection.ready_at:
            failure = Failure.CONNECT_TIMEOUT
        else:
            failure = Failure.READ_TIMEOUT if connection.first_at else Failure.WAIT_TIMEOUT
        self.fail(connection, failure, MEANING[failure])

    def not_connected(self, connection: Connection, error: OSError) -> None:
        self._close(connection)
        self._try_elsewhere(connection, error)

    def _try_elsewhere(self, connection: Connection, error: OSError) -> None:
        """A name may have several addresses (::1 and 127.0.0.1): the request goes to the next one."""
        request = connection.request
        assert request is not None
        if self._dialer.give_up_on(connection.origin, connection.address):
            self._hold(0, request, connection.begun)
        else:
            self._no_connection(request, error)

    def fail(self, connection: Connection, failure: Failure, words: str) -> None:
        """The request on a connection ends badly, and the connection with it."""
        request = connection.request
        assert request is not None
        self._close(connection)
        if connection.ready_at:
            self._count_failure(request, failure, words, connection)
            self._hold(0, None, 0)
        else:
            self._give_up(request, failure, words, connection)

    def _close(self, connection: Connection) -> None:
        descriptor = connection.descriptor
        del self._connections[descriptor]
        connection.rest = None
        if connection.request is None:
            self._leaving.pop(descriptor, None)
            self._no_longer_idle(connection)
        self._poller.forget(descriptor)
        connection.sock.close()

    def _no_longer_idle(self, connection: Connection) -> None:
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)
            if not idle:
                del self._idle[connection.origin]
