"""What begins requests and counts how they ended, whatever carries them: pacing, limits, back-off, the series.

It keeps `concurrency` requests in the air, takes the next line of the file whenever one has ended, and counts
every request once: as good, or as one named failure. How requests share connections is the engines' part.
"""

import heapq
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Protocol

from opskit.bench.connection import Connection
from opskit.bench.plan import Plan, Prepared, Schedule
from opskit.bench.poller import Poller, WorkingPoller, best_poller
from opskit.bench.recorder import BATCH, Counts, Recorder, Row
from opskit.bench.results import MEANING, Failure, FirstAnswer, Http2Facts, Stop, TlsFacts, Warmup
from opskit.bench.series import Interval
from opskit.bench.transport import Dialer
from opskit.bench.wire import Head, ResponseReader
from opskit.errors import OpskitError

PIPE_LOOK = 5_000_000  # ns between looks at a pipe that has no request yet
TICK = 100_000_000  # ns between looks at limits, progress and signals
SECOND = 1_000_000_000
FIRST_BACKOFF = 10_000_000  # ns after a failure to connect; doubles up to the last
LAST_BACKOFF = 100_000_000
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


class Inspector(Protocol):
    """Who looks into answers and has the last word on them (`--check`, `--save-failures`)."""

    def begin(self) -> None: ...
    def reader(self, memories: tuple[dict[bytes, Head], dict[bytes, Head]]) -> ResponseReader: ...
    def judge(self, connection: Connection, head: Head, failure: Failure | None, now: int) -> Failure | None: ...
    def failed(
        self, request: Prepared, failure: Failure, words: str, connection: Connection | None, now: int
    ) -> None: ...


class Conductor(ABC):
    """Runs one plan: begins its requests, keeps `concurrency` of them in the air, counts how they ended.

    `requests` yields the requests in order; what it raises ends the run. `would_wait` says whether the next of
    them has not come yet, where that can happen; `work` is what else is to be done when no socket is ready
    (`WorkingPoller`). How requests share connections is for those who inherit.
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
        inspector: Inspector | None = None,
        work: Callable[[bool], bool] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.plan = plan
        self.recorder = recorder
        self._requests = self._all_requests = requests
        self._no_request_yet = would_wait
        self._dialer = dialer
        self._observer = observer
        self._trace = trace
        self._inspector = inspector
        self._new_reader = ResponseReader if inspector is None else inspector.reader
        self._clock = clock
        self._poller: Poller = best_poller() if work is None else WorkingPoller(best_poller(), work)
        self._limit = int(plan.request_limit * 1e9)
        self._connections: dict[int, Connection] = {}
        self._delayed: list[tuple[int, int, Prepared | None, int]] = []  # (due, order, request, begun)
        self._order = count()
        self._connect_failures = 0  # since a connection was last made
        self._in_flight = 0
        self._vacant = 0
        self._starved = 0  # places that wait for a request to come
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
        labels = plan.script is not None or (plan.requests is not None and plan.requests.format == "jsonl")
        watched = trace is not None or inspector is not None or recorder.on_row is not None
        self._picky = plan.fail_status or plan.fail_length or watched or labels

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
            self._dialer.count_anew()
            if self._inspector is not None:
                self._inspector.begin()
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

    @property
    def http2(self) -> Http2Facts | None:
        """What only HTTP/2 has to tell."""
        return None

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
        if self._due is not None and not self._starved and self._has_place():
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
        self._end_overdue(now, cut=self.stop is Stop.INTERRUPTED or now >= self._cut_at)
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

    @abstractmethod
    def _end_overdue(self, now: int, *, cut: bool) -> None:
        """Give up the requests that took too long; with `cut`, all of them."""

    @abstractmethod
    def _close_all(self) -> None: ...

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
                if not self._starved:  # else it has not come yet
                    self._due = None
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

    @abstractmethod
    def _dispatch(self, request: Prepared, begun: int) -> None:
        """Send a request on one connection or another."""

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

    def _count_opened(self, connection: Connection, now: int) -> None:
        self._connect_failures = 0
        self.counts.opened += 1
        self.recorder.connect.append(connection.connected_at - connection.taken_at)
        if connection.tls:
            self.recorder.tls.append(now - connection.connected_at)
            self.recorder.ready.append(now - connection.taken_at)

    # Requests end

    def _judge(
        self, request: Prepared, head: Head, length: int, times: Row, connection: Connection | None = None
    ) -> None:
        """The rarer wishes: the first answer, statuses and lengths that fail, labels, rows, the trace."""
        if self.first is None:
            self.first = FirstAnswer(head.server, length)
            self._judging = self._picky
        failure = None
        if self.plan.fail_status and head.status >= 400:
            failure = Failure.STATUS
        elif self.plan.fail_length and length != self.first.length:
            failure = Failure.LENGTH
        if self._inspector is not None and connection is not None:
            failure = self._inspector.judge(connection, head, failure, times.begun + times.total)
        if failure:
            self.counts.failures[failure] += 1
            self.counts.answered_badly += 1
        if request.label is not None:
            self.recorder.labelled(request.label, None if failure else times.total)
        if self.recorder.on_row is not None:
            self.recorder.on_row(times)
        if self._trace is not None:
            self._trace.answered(head, length)

    def _record_lower_bound(self, begun: int, now: int) -> None:
        """A request that took at least so long, so that the slowest are not missing from the latencies."""
        self.counts.lower_bounds += 1
        self.recorder.total.append(now - begun)
        if self._paced:
            self.recorder.response.append(now - begun)

    def _no_connection(self, request: Prepared, error: OSError) -> None:
        self._give_up(request, *self._dialer.why_not(request.origin, error))

    def _give_up(
        self, request: Prepared, failure: Failure, words: str, connection: Connection | None = None
    ) -> None:
        """A request that got no connection: its place rests a little, so that a dead server is not hammered."""
        self._count_failure(request, failure, words, connection)
        rounds = min(self._connect_failures // self.plan.concurrency, 7)
        self._connect_failures += 1
        self._hold(min(FIRST_BACKOFF << rounds, LAST_BACKOFF), None, 0)

    def _count_failure(
        self, request: Prepared, failure: Failure, words: str, connection: Connection | None = None
    ) -> None:
        self.counts.failures[failure] += 1
        if self._inspector is not None:
            self._inspector.failed(request, failure, words, connection, self._clock())
        self.reason = self.reason or words
        if request.label is not None:
            self.recorder.labelled(request.label, None)
        dead = self.counts.failures.total() >= DEAD_AFTER * self.plan.concurrency and not self.answered()
        if dead and not self.plan.keep_going and self.stop is None:
            self.stop = Stop.DEAD
