"""The load engine: one loop over non-blocking sockets, in the manner of ab's.

It keeps `concurrency` requests in the air, takes the next line of the file whenever one has ended, and
counts every request once: as good, or as one named failure. Most of its time is the kernel's; what Python
does for a usual answer is one `recv`, one look at a remembered head, one append and one `send`.
"""

import errno
import heapq
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Protocol

from opskit.bench.connection import Connection
from opskit.bench.opener import Opener
from opskit.bench.plan import Origin, Plan, Prepared, Schedule
from opskit.bench.poller import HANGUP, READ, WRITE, Poller, best_poller
from opskit.bench.recorder import BATCH, Counts, Recorder, Row
from opskit.bench.results import MEANING, Failure, FirstAnswer, Stop, TlsFacts, Warmup
from opskit.bench.series import Interval
from opskit.bench.transport import Dialer, tls_reason
from opskit.bench.wire import BadFraming, ExtraBytes, Head, Truncated
from opskit.errors import OpskitError, os_reason

FIRST_READ = 4 * 1024  # bytes: a head and a small body; a larger buffer costs more to make than it saves
READ_SIZE = 64 * 1024  # bytes: what follows a head, where its length is not known
SINK_SIZE = 256 * 1024  # bytes: what a read takes of a body that is only counted
PIPE_LOOK = 5_000_000  # ns between looks at a pipe that has no request yet
TICK = 100_000_000  # ns between looks at limits, progress and signals
SECOND = 1_000_000_000
LINGER = 1_000_000_000  # ns that a connection may take to close after its last answer
FIRST_BACKOFF = 10_000_000  # ns after a failure to connect; doubles up to the last
LAST_BACKOFF = 100_000_000
_UNDER_WAY = (0, errno.EINPROGRESS)  # what connect says of a socket that does not wait
MOST_LEAVING = 32  # connections that are only waiting to be closed
DRAINED_AFTER = SECOND  # ns that what the warm-up has begun may take to end
DEAD_AFTER = 10  # × concurrency failures before the first answer: the server is not hammered further


class Observer(Protocol):
    """Who watches a run: called about ten times a second, and at the end of each second; never per request."""

    def tick(self, ended: int, failed: int, seconds: float) -> None: ...
    def interval(self, interval: Interval) -> None: ...


class Trace(Protocol):
    """Who wants to see each exchange (`-v`)."""

    def sent(self, request: Prepared) -> None: ...
    def answered(self, head: Head, length: int) -> None: ...


class Engine:
    """Runs one plan. `requests` yields the requests in order; what it raises ends the run.

    `would_wait` says whether the next of them has not come yet, where that can happen.
    """

    def __init__(
        self,
        plan: Plan,
        requests: Iterator[Prepared],
        dialer: Dialer,
        recorder: Recorder,
        *,
        would_wait: Callable[[], bool] | None = None,
        observer: Observer | None = None,
        trace: Trace | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.plan = plan
        self.recorder = recorder
        self._requests = self._all_requests = requests
        self._no_request_yet = would_wait
        self._dialer = dialer
        self._observer = observer
        self._trace = trace
        self._clock = clock
        self._poller: Poller = best_poller()
        self._opener = Opener(self, dialer, self._poller, clock, plan.route)
        self._sink = bytearray(SINK_SIZE)
        self._memories: tuple[dict[bytes, Head], dict[bytes, Head]] = ({}, {})
        self._limit = int(plan.request_limit * 1e9)
        self._connections: dict[int, Connection] = {}
        self._idle: dict[Origin, list[Connection]] = {}
        self._spare: list[Connection] = []  # closed after a whole answer: a new socket may take their place
        self._leaving: dict[int, int] = {}  # descriptor → when it was left to close
        self._delayed: list[tuple[int, int, Prepared | None, int]] = []  # (due, order, request, begun)
        self._order = count()
        self._connect_failures = 0  # since a connection was last made
        self._in_flight = 0
        self._vacant = 0
        self._starved = 0  # places that wait for a request to come
        self._keep_alive = plan.shape.keep_alive
        self._paced = plan.schedule is not None
        self._due: Iterator[int] | None = None
        self.begun = 0  # when the run, or its warm-up, did
        self._cut_at = sys.maxsize  # when what is still in the air is given up
        self._interval_ends = 0
        self._before = (0, 0, 0, 0)  # when the interval began, and what had been sent, good and failed by then
        self._next_due = 0  # ns on the clock
        self._last_due = 0  # when the schedule ends at the latest
        # With none of the rarer wishes, an answer is judged by its framing alone.
        self._judging = True
        labels = plan.requests is not None and plan.requests.format == "jsonl"
        wishes = (plan.fail_status, plan.fail_length, trace is not None, recorder.on_row is not None, labels)
        self._picky = any(wishes)

        self.stop: Stop | None = None
        self.error: OpskitError | None = None
        self.counts = Counts()
        self.first: FirstAnswer | None = None
        self.tls: TlsFacts | None = None
        self.reason = ""
        self.warmup: Warmup | None = None
        self.seconds = 0.0
        self.cpu_share = 0.0  # CPU time of this process, as a share of one core

    # The run

    def run(self, at: int | None = None) -> None:
        """Carry the plan out, from `at` on its clock. The figures are in the attributes in any case."""
        self._wait_until(at)
        try:
            if self.plan.warmup:
                self._warm_up()
            if self.stop is None:
                self._measure()
        finally:
            self._close_all()

    def _wait_until(self, at: int | None) -> None:
        while at is not None and self.stop is None and (early := at - self._clock()) > 0:
            time.sleep(min(early, TICK) / 1e9)

    def _measure(self) -> None:
        if self.plan.number is not None:
            self._requests = islice(self._all_requests, self.plan.number)
        schedule, cpu = self.plan.schedule, time.process_time()
        try:
            self._phase(self.plan.seconds, schedule)
        finally:
            self.seconds = (self._clock() - self.begun) / 1e9
            self.cpu_share = (time.process_time() - cpu) / self.seconds if self.seconds else 0.0

    def _warm_up(self) -> None:
        """Send for a while without counting; the connections stay. What counts begins when all of it has ended."""
        counts, recorder = self.counts, self.recorder
        self.counts, self.recorder = Counts(), Recorder()
        schedule = self.plan.schedule
        self._cut_at = self._clock() + int(self.plan.warmup * 1e9) + DRAINED_AFTER
        self._phase(self.plan.warmup, schedule.steady() if schedule else None)
        self.warmup = Warmup(self.plan.warmup, self.counts.started)
        self._cut_at = sys.maxsize
        if self.stop in (None, Stop.TIME):
            self.stop, self.reason = None, ""
            self.counts, self.recorder = counts, recorder
        self._connect_failures = 0

    def _phase(self, seconds: float | None, schedule: Schedule | None) -> None:
        """Send until the requests, the schedule or the time has ended, and until everything is answered."""
        begun = self.begun = self._clock()
        ends = begun + int(seconds * 1e9) if seconds is not None else None
        self._interval_ends, self._before = begun + SECOND, (begun, 0, 0, 0)
        try:
            if schedule is None:
                self._fill_the_air()
            else:
                self._due = schedule.due_times(self.plan.share)
                self._next_due = begun + next(self._due)
                self._last_due = sys.maxsize if ends is None else ends - 1
            self._loop(begun, ends)
        finally:
            self._end_interval(self._clock())

    def _fill_the_air(self) -> None:
        for _ in range(self.plan.concurrency):
            self._in_flight += 1
            self._next(self._clock())
            if self.stop is not None:
                return

    def interrupt(self) -> None:
        """End the run now: what is in flight is counted as cut off."""
        self.stop = Stop.INTERRUPTED

    def _loop(self, begun: int, ends: int | None) -> None:
        poll, connections, clock = self._poller.poll, self._connections, self._clock
        quick, total, fold = self.recorder.quick, self.recorder.total, self.recorder.fold
        loop_lag, next_tick = self.recorder.loop, begun + TICK
        while self._in_flight or self._starved or self._due is not None:
            for descriptor, mask in poll(self._patience(next_tick)):
                connection = connections.get(descriptor)
                if connection is not None:
                    connection.handler(connection, mask)
            if len(quick) >= BATCH or len(total) >= BATCH:
                fold()
            while self._vacant:
                self._vacant -= 1
                self._next(clock())
            if self._delayed:
                self._start_delayed(clock())
            if self._starved:
                self._feed_starved()
            if self._due is not None:
                self._start_due(clock())
            now = clock()
            if now >= next_tick or self.stop is Stop.INTERRUPTED:
                loop_lag.append(max(0, now - next_tick))
                next_tick = now + TICK - (now - begun) % TICK
                self._tick(begun, ends)

    def _patience(self, next_tick: int) -> float:
        """Seconds that the poller may wait."""
        due = min(next_tick, self._delayed[0][0]) if self._delayed else next_tick
        if self._due is not None and self._has_place():
            due = min(due, self._next_due)
        wait = due - self._clock()
        return max(0, min(wait, PIPE_LOOK) if self._starved else wait) / 1e9

    def _tick(self, begun: int, ends: int | None) -> None:
        now = self._clock()
        self.recorder.fold()  # also where connections are made but no request is ever answered
        if now >= self._interval_ends:
            self._end_interval(now)
        if ends is not None and now >= ends and self.stop is None:
            self.stop = Stop.TIME
        if self.stop is not None:
            self._drop_delayed()
        cut = self.stop is Stop.INTERRUPTED or now >= self._cut_at
        for connection in list(self._connections.values()):
            since = connection.taken_at if self._paced else connection.begun
            if connection.request is not None and (cut or now - since > self._limit):
                self._out_of_time(connection, now)
        for descriptor, since in list(self._leaving.items()):
            if now - since > LINGER:
                self._close(self._connections[descriptor])
        if self._observer is not None:
            failed = self.counts.failures.total()
            self._observer.tick(sum(self.counts.ended()), failed, (now - begun) / 1e9)

    def _end_interval(self, now: int) -> None:
        """Close a second of the series; the last one may be shorter."""
        begins, *before = self._before
        if now == begins:
            return
        total = (self.counts.started, *self.counts.ended())
        self._before = (now, *total)
        self._interval_ends += SECOND * (1 + max(0, now - self._interval_ends) // SECOND)
        happened = [after - earlier for after, earlier in zip(total, before, strict=True)]
        interval = self.recorder.end_interval((begins - self.begun) / 1e9, (now - self.begun) / 1e9, *happened)
        if self._observer is not None:
            self._observer.interval(interval)

    def answered(self) -> int:
        """Requests with a whole answer."""
        return sum(self.counts.answered)

    def _close_all(self) -> None:
        for connection in list(self._connections.values()):
            self._close(connection)
        self._poller.close()

    # Requests begin. A place is one of the `concurrency` requests in the air; `_in_flight` counts the places.

    def _take(self) -> Prepared | None:
        """The next request of the plan, or None when there is to be no other."""
        if self.stop is not None:
            return None
        if self._no_request_yet is not None and self._starve():
            return None
        try:
            request = next(self._requests, None)
        except OpskitError as error:
            self.stop, self.error = Stop.BAD_REQUEST, error
            return None
        if request is not None:
            self.counts.started += 1
            if self._trace is not None:
                self._trace.sent(request)
        return request

    def _starve(self) -> bool:
        """Whether to leave the place empty until a pipe brings the next request."""
        assert self._no_request_yet is not None
        waits = self.counts.started != self.plan.number and self._no_request_yet()
        self._starved += waits
        return waits

    def _feed_starved(self) -> None:
        places, self._starved = self._starved, 0
        for _ in range(places):
            self._in_flight += 1
            self._next(self._clock())

    def _next(self, now: int) -> None:
        """Fill a free place with the next request, or give the place up."""
        request = None if self._paced else self._take()
        if request is None:
            self._in_flight -= 1
        else:
            self._dispatch(request, now)

    def _start_due(self, now: int) -> None:
        """Begin what is due, as far as there are places; `begun` of such a request is when it was due."""
        if self.stop is not None or self._next_due > self._last_due:
            self._end_schedule(min(now, self._last_due))
        while self._due is not None and self._next_due <= min(now, self._last_due) and self._has_place():
            request = self._take()
            if request is None:
                self._due, self._starved = None, 0
                return
            due, self._next_due = self._next_due, self.begun + next(self._due)
            self._in_flight += 1
            self.recorder.lag.append(now - due)
            self._dispatch(request, due)

    def _has_place(self) -> bool:
        return self._in_flight < self.plan.concurrency

    def _end_schedule(self, now: int) -> None:
        """Count what was due by now and never began."""
        while self._due is not None and self._next_due <= now:
            self.counts.unsent += 1
            self._next_due = self.begun + next(self._due)
        self._due = None

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

    def _hold(self, nanoseconds: int, request: Prepared | None, begun: int) -> None:
        """Keep a place for a while: for this request, or for whichever is next."""
        heapq.heappush(self._delayed, (self._clock() + nanoseconds, next(self._order), request, begun))

    def _start_delayed(self, now: int) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            _, _, request, begun = heapq.heappop(self._delayed)
            if request is None:
                self._next(now)
            elif now - begun > self._limit:
                self._record_lower_bound(begun, now)
                failure = Failure.CONNECT_TIMEOUT if self.stop is None else Failure.CUT_OFF
                self._give_up(request, failure, MEANING[failure])
            else:
                self._dispatch(request, begun)

    def _drop_delayed(self) -> None:
        """No new requests; those that were begun and wait for a connection go on, unless interrupted."""
        held, self._delayed = self._delayed, []
        for entry in held:
            request = entry[2]
            if request is not None and self.stop is not Stop.INTERRUPTED:
                heapq.heappush(self._delayed, entry)
                continue
            self._in_flight -= 1
            if request is not None:
                self._count_failure(request, Failure.CUT_OFF, MEANING[Failure.CUT_OFF])

    # Connections open

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
        connection = self._spare.pop() if self._spare else Connection(self._memories)
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
        self._connect_failures = 0
        self.counts.opened += 1
        self.recorder.connect.append(connection.connected_at - connection.taken_at)
        if connection.tls:
            self.recorder.tls.append(now - connection.connected_at)
            self.recorder.ready.append(now - connection.taken_at)

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
            self._judge(connection, head, now)
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

    def _judge(self, connection: Connection, head: Head, now: int) -> None:
        """The rarer wishes: the first answer, statuses and lengths that fail, labels, rows, the trace."""
        request, length = connection.request, connection.reader.body_size
        assert request is not None
        if self.first is None:
            self.first = FirstAnswer(head.server, length)
            self._judging = self._picky
        failure = None
        if self.plan.fail_status and head.status >= 400:
            failure = Failure.STATUS
        elif self.plan.fail_length and length != self.first.length:
            failure = Failure.LENGTH
        if failure:
            self.counts.failures[failure] += 1
            self.counts.answered_badly += 1
        total = now - connection.begun
        if request.label is not None:
            self.recorder.labelled(request.label, None if failure else total)
        if self.recorder.on_row is not None:
            sent_at = connection.begun if connection.answered else connection.ready_at
            wait = (connection.first_at or now) - sent_at
            self.recorder.on_row(Row(connection.begun, sent_at - connection.begun, total, wait))
        if self._trace is not None:
            self._trace.answered(head, length)

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

    def _record_lower_bound(self, begun: int, now: int) -> None:
        """A request that took at least so long, so that the slowest are not missing from the latencies."""
        self.counts.lower_bounds += 1
        self.recorder.total.append(now - begun)
        if self._paced:
            self.recorder.response.append(now - begun)

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

    def _no_connection(self, request: Prepared, error: OSError) -> None:
        self._give_up(request, *self._dialer.why_not(request.origin, error))

    def _give_up(self, request: Prepared, failure: Failure, words: str) -> None:
        """A request that got no connection: its place rests a little, so that a dead server is not hammered."""
        self._count_failure(request, failure, words)
        rounds = min(self._connect_failures // self.plan.concurrency, 7)
        self._connect_failures += 1
        self._hold(min(FIRST_BACKOFF << rounds, LAST_BACKOFF), None, 0)

    def fail(self, connection: Connection, failure: Failure, words: str) -> None:
        """The request on a connection ends badly, and the connection with it."""
        request = connection.request
        assert request is not None
        self._close(connection)
        if connection.ready_at:
            self._count_failure(request, failure, words)
            self._hold(0, None, 0)
        else:
            self._give_up(request, failure, words)

    def _count_failure(self, request: Prepared, failure: Failure, words: str) -> None:
        self.counts.failures[failure] += 1
        self.reason = self.reason or words
        if request.label is not None:
            self.recorder.labelled(request.label, None)
        dead = self.counts.failures.total() >= DEAD_AFTER * self.plan.concurrency and not self.answered()
        if dead and not self.plan.keep_going and self.stop is None:
            self.stop = Stop.DEAD

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
