"""A script's functions beside a run: called when nothing waits on a socket, and never for long."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout

from opskit.bench.hooks import Hooks, Response
from opskit.bench.plan import Plan, Prepared, first_of
from opskit.bench.requests import Maker
from opskit.errors import Misuse, OpskitError

SLICE = 1_000_000  # ns that the functions may take before the sockets are looked at again
BATCH = 64  # answers that wait even while the sockets are busy
MOST_WAITING = 256  # answers; each may hold 256 KiB of a body


class Numbered(Prepared):
    """A request that knows which it is, from 0."""

    i: int


def _numbered(request: Prepared, i: int) -> Numbered:
    made = Numbered(*request)
    made.i = i
    return made


class Script:
    """The requests of a run, made ahead by the script or taken from `others`, and the answers shown to it.

    The engine takes requests and asks `would_wait`; between its events it lets `work` call the functions.
    """

    def __init__(self, hooks: Hooks, plan: Plan, others: Iterator[Prepared] | None) -> None:
        """`others` are the requests where the script makes none. Raises Misuse for a bad first request."""
        self.hooks = hooks
        self.error: OpskitError | None = None  # what ended the run
        self._bad_request = False  # whether that is a request's, whose turn comes after those made before it
        self.made = self.shown = 0
        self.seconds = 0.0  # in the script's functions
        self._plan = plan
        self._most = None if plan.warmup else plan.number  # a warm-up takes no one knows how many
        self._maker = Maker(plan)
        self._others = others
        self._taken = 0
        self._ready: deque[Prepared] = deque()
        self._responses: deque[Callable[[], Response]] = deque()
        self._wanted = False  # whether a place has found no request
        self._ended = hooks.request is None
        if others is None:
            self._make_first()

    # For the engine

    def __iter__(self) -> Iterator[Prepared]:
        return self

    def __next__(self) -> Prepared:
        if self.error is not None and not (self._ready and self._bad_request):
            raise self.error
        if self._others is not None:
            self._taken += 1
            return _numbered(next(self._others), self._taken - 1)
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def would_wait(self) -> bool:
        """Whether the next request has not been made yet."""
        if self._ready or self._ended or self.error is not None:
            return False
        self._wanted = True
        return True

    def answered(self, request: Prepared, response: Callable[[int], Response]) -> None:
        """An answer is in, or there will be none; what is made of it is put off."""
        first = first_of(request)
        assert isinstance(first, Numbered)
        i = first.i
        self._responses.append(lambda: response(i))

    def work(self, busy: bool) -> bool:
        """Show answers and make requests for a moment; whether the sockets should be looked at at once."""
        wanted, self._wanted = self._wanted, False
        if busy and not wanted and self._ready_enough() and len(self._responses) < BATCH:
            return False
        begun = time.monotonic_ns()
        before = len(self._ready)
        with redirect_stdout(sys.stderr):  # stdout is for the report
            while self._one_call(max(self.hooks.ahead, wanted)):
                spent = time.monotonic_ns() - begun
                if spent > SLICE and len(self._responses) < MOST_WAITING:
                    break
        self.seconds += (time.monotonic_ns() - begun) / 1e9
        return bool(self._responses) or len(self._ready) > before or (wanted and self._ended)

    def finish(self) -> None:
        """Show the answers that are left."""
        with redirect_stdout(sys.stderr):
            while self._responses and self.error is None:
                self._show()

    # The functions

    def _ready_enough(self) -> bool:
        return self._ended or self._others is not None or len(self._ready) * 2 >= self.hooks.ahead

    def _one_call(self, enough: int) -> bool:
        """Answers first, since a request may depend on them; False when there is nothing to do."""
        if self.error is not None:
            return False
        if self._responses:
            self._show()
        elif not self._ended and len(self._ready) < enough:
            self._make()
        else:
            return False
        return True

    def _show(self) -> None:
        response = self._responses.popleft()()
        try:
            self.hooks.show(response)
            self.shown += 1
        except Misuse as error:
            self._fail(error)

    def _make(self) -> None:
        try:
            request = None if self.made == self._most else self.hooks.make(self.made, self._plan, self._maker)
        except OpskitError as error:
            self._bad_request = True
            self._fail(error)
            return
        if request is None:
            self._ended = True
        else:
            self._ready.append(_numbered(request, self.made))
            self.made += 1

    def _fail(self, error: OpskitError) -> None:
        self.error, self._ended = error, True
        self._responses.clear()

    def _make_first(self) -> None:
        with redirect_stdout(sys.stderr):
            self._make()
        if self.error is not None:
            raise self.error
        if not self._ready:
            raise Misuse(
                f"{self.hooks.path}: request(0) returned None: there is nothing to ask",
                hint="None ends the run; return a dict or a str for each request before",
            )
