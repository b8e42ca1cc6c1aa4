"""A worker's end of a run that many machines share: what is called there, and what it answers.

Everything here runs inside a worker of Dask, but knows nothing of it. `exchange` is all that is called: each call
brings an order, and is answered with the news since the one before, at once or when there is some.
"""

import asyncio
import logging
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace

from opskit.bench.cluster.feed import Fed, Piece
from opskit.bench.cluster.shipment import Shipment
from opskit.bench.merging import Part
from opskit.bench.ports import ports_of
from opskit.bench.run import Session
from opskit.bench.series import Interval
from opskit.errors import OpskitError

ALONE_AFTER = 30.0  # seconds without an order after which a worker stops: nobody waits for its figures any more
_TOLD_OF_EVERY_CALL = "distributed.worker"  # the logger of Dask that does


@dataclass(frozen=True)
class Order:
    """What to do now. `run` names it, for a worker may be part of several."""

    run: str
    plan: Shipment | None = None  # with the first order: prepare this
    begin: int | None = None  # when, in ns on the worker's monotonic clock
    lines: Piece | None = None
    stop: bool = False
    patience: float = 0.0  # seconds that the answer may wait for news

    def __repr__(self) -> str:
        return f"<order of {self.run}>"  # Dask logs the arguments of what fails


@dataclass(frozen=True)
class News:
    """What has happened since the last answer."""

    ready: bool = False
    hungry: bool = False  # there is room for more lines
    ended: int = 0
    failed: int = 0
    intervals: tuple[Interval, ...] = ()
    part: Part | None = None
    refused: OpskitError | None = None
    fault: str = ""  # a traceback
    unknown: bool = False  # the run: this is not the process that began it


async def exchange(order: Order) -> News:
    """Take an order, answer with news."""
    _spare_the_log()
    try:
        return await _exchange(order)
    except Exception:
        return News(fault=traceback.format_exc())


def clock() -> int:
    """ns on this worker's monotonic clock."""
    _spare_the_log()
    return time.monotonic_ns()


async def _exchange(order: Order) -> News:
    agent = _agents.get(order.run)
    if agent is None:
        for run in [run for run, other in _agents.items() if other.is_forgotten]:
            del _agents[run]
        if order.plan is None:
            return News(unknown=True)
        agent = _agents[order.run] = _Agent(order.plan)
    news = await agent.answer(order)
    if agent.is_done:
        del _agents[order.run]
    return news


def _spare_the_log() -> None:
    """Keep our calls out of the worker's log: there are many, and the first has told that we are here."""
    logging.getLogger(_TOLD_OF_EVERY_CALL).addFilter(_is_not_ours)


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.args not in ((exchange.__name__,), (clock.__name__,))


class _Agent:
    """One run on this worker: a thread that carries it out, and what it has to say."""

    def __init__(self, shipment: Shipment) -> None:
        self._shipment = shipment
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._fed = self._feed_for(shipment)
        self._heard = time.monotonic()
        self._begin: int | None = None
        self._may_begin = threading.Event()
        self._stopped = False
        self._session: Session | None = None
        self._counts = (0, 0)
        self._intervals: deque[Interval] = deque()
        self._told_ready = False
        self._outcome: Part | OpskitError | str | None = None
        threading.Thread(target=self._work, name="opskit bench", daemon=True).start()

    def _feed_for(self, shipment: Shipment) -> Fed | None:
        file = shipment.plan.requests
        return Fed(file.path, self._is_alone, self._wake) if file is not None else None

    # In the loop of the worker

    @property
    def is_done(self) -> bool:
        return self._outcome is not None

    @property
    def is_forgotten(self) -> bool:
        """Whether nobody is going to ask how it went."""
        return self.is_done and self._is_alone()

    async def answer(self, order: Order) -> News:
        self._heard = time.monotonic()
        if order.lines is not None and self._fed is not None:
            self._fed.put(order.lines)
        if order.stop:
            self._stop()
        if order.begin is not None:
            self._begin = order.begin
            self._may_begin.set()
        if not self._has_news():
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), order.patience)
        return self._tell()

    def _has_news(self) -> bool:
        just_ready = self._session is not None and not self._told_ready
        return just_ready or self._is_hungry or self.is_done or bool(self._intervals)

    @property
    def _is_hungry(self) -> bool:
        return self._fed is not None and self._fed.has_room

    def _tell(self) -> News:
        self._told_ready, outcome = self._session is not None, self._outcome
        return News(
            ready=self._told_ready,
            hungry=self._is_hungry,
            ended=self._counts[0],
            failed=self._counts[1],
            intervals=tuple(self._intervals.popleft() for _ in range(len(self._intervals))),
            part=outcome if isinstance(outcome, Part) else None,
            refused=outcome if isinstance(outcome, OpskitError) else None,
            fault=outcome if isinstance(outcome, str) else "",
        )

    def _stop(self) -> None:
        self._stopped = True
        self._may_begin.set()
        if self._session is not None:
            self._session.interrupt()

    # In the thread that works

    def _work(self) -> None:
        try:
            self._outcome = self._carry_out()
        except OpskitError as error:
            self._outcome = error
        except Exception:
            self._outcome = traceback.format_exc()
        self._wake()

    def _carry_out(self) -> Part:
        with self._shipment.unpacked() as plan:
            ports = ports_of(plan)
            session = Session(plan, observer=self, feed=self._fed)
        self._session = session
        self._wake()
        while not self._may_begin.wait(1.0):
            if self._is_alone():
                self._stop()
        if self._stopped:
            session.interrupt()
        part = session.carry_out(self._begin)
        return replace(part, results=replace(part.results, ports=ports))

    def tick(self, ended: int, failed: int, seconds: float) -> None:
        self._counts = (ended, failed)
        if self._is_alone():
            self._stop()

    def interval(self, interval: Interval) -> None:
        self._intervals.append(interval)
        self._wake()

    def _is_alone(self) -> bool:
        return self._stopped or time.monotonic() - self._heard > ALONE_AFTER

    def _wake(self) -> None:
        """Say in the worker's loop that there is news, unless the worker itself is ending."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)


_agents: dict[str, _Agent] = {}
