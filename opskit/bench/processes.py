"""One run by several processes of this machine, each with its share of the requests, added up exactly."""

import multiprocessing
import os
import signal
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TYPE_CHECKING, Any

from opskit.bench.conductor import Observer
from opskit.bench.joined import Joined
from opskit.bench.merging import Part, merged
from opskit.bench.plan import Plan, divided, refuse_contradictions, refuse_undividable, with_seeds
from opskit.bench.ports import ports_of
from opskit.bench.results import Results
from opskit.bench.run import Interrupts, Session
from opskit.bench.series import Interval
from opskit.errors import OpskitError, Unable

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_START = 20_000_000  # ns from when all are ready to when all begin
_NEWS_EVERY = 0.4  # seconds between two words of a process on how far it is


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def carry_out_divided(
    plan: Plan,
    processes: int,
    *,
    observer: Observer | None = None,
    interrupts: Interrupts = lambda stop: nullcontext(),
) -> tuple[Results, OpskitError | None]:
    """`run.carry_out` by several processes, which begin at the same moment.

    What can be known to be wrong is refused before the first request: raises Misuse or Unable.
    """
    refuse_contradictions(plan)
    refuse_undividable(plan, processes, f"--processes {processes}")
    ports = ports_of(plan)
    workers = [_Worker.start(index, share) for index, share in enumerate(divided(with_seeds(plan), processes))]
    crew = _Crew(workers, Joined(processes, observer))
    try:
        with interrupts(crew.interrupt):
            crew.begin()
            crew.follow()
    finally:
        crew.end()
    parts = [worker.part for worker in crew.workers if worker.part is not None]
    if not parts:
        raise Unable("every process of the run died", hint="did something end them? the kernel's log may tell")
    whole = merged(plan, parts, processes - len(parts))
    return replace(whole.results, ports=ports), whole.error


@dataclass
class _Worker:
    """A process, and what it has said so far."""

    index: int
    process: BaseProcess
    news: Connection
    ready: bool = False
    part: Part | None = None
    gone: bool = False

    @classmethod
    def start(cls, index: int, plan: Plan) -> "_Worker":
        # A fork is there at once; where there is none, multiprocessing's own way serves.
        how = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        context: Any = multiprocessing.get_context(how)
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(plan, theirs), daemon=True)
        process.start()
        theirs.close()
        return cls(index, process, ours)


@dataclass
class _Crew:
    """All processes of a run, as seen from the one that started them."""

    workers: list[_Worker]
    joined: Joined
    begun: float = 0.0

    def begin(self) -> None:
        """Once all are ready, name the moment at which all begin. Raises what one of them refuses."""
        while any(not worker.ready and not worker.gone for worker in self.workers):
            self._hear()
        at = time.monotonic_ns() + HEAD_START
        self.begun = at / 1e9
        for worker in self._living():
            worker.news.send(at)

    def follow(self) -> None:
        """Take in what they say until all have ended."""
        while self._living():
            self._hear()

    def interrupt(self) -> None:
        for worker in self._living():
            if worker.process.pid is not None:
                os.kill(worker.process.pid, signal.SIGINT)

    def end(self) -> None:
        for worker in self.workers:
            worker.news.close()
            if worker.part is None:
                worker.process.kill()
            worker.process.join()

    def _living(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.part is None and not worker.gone]

    def _hear(self) -> None:
        by_news = {worker.news: worker for worker in self._living()}
        for news in wait(list(by_news)):
            assert isinstance(news, Connection)
            try:
                what, said = news.recv()
            except (EOFError, OSError):  # it died
                by_news[news].gone = True
                self.joined.leave()
            else:
                self._take(by_news[news], what, said)

    def _take(self, worker: _Worker, what: str, said: Any) -> None:
        if what == "ready":
            worker.ready = True
        elif what == "part":
            worker.part = said
            self.joined.leave()
        elif what == "interval":
            self.joined.interval(said)
        elif what == "tick":
            ended, failed = said
            self.joined.tick(worker.index, ended, failed, time.monotonic() - self.begun)
        elif what == "refused":
            raise said
        else:
            raise RuntimeError(f"a process of the run failed:\n{said}")


class _Reporter:
    """The observer in a process: passes on what it sees, but not too often."""

    def __init__(self, news: Connection) -> None:
        self._news = news
        self._told = -_NEWS_EVERY  # when, in seconds of the run; after a warm-up these begin anew
        self._parent = os.getppid()

    def tick(self, ended: int, failed: int, seconds: float) -> None:
        if os.getppid() != self._parent:  # it was killed
            raise EOFError
        if not 0 <= seconds - self._told < _NEWS_EVERY:
            self._told = seconds
            self._news.send(("tick", (ended, failed)))

    def interval(self, interval: Interval) -> None:
        self._news.send(("interval", interval))


def _work(plan: Plan, news: Connection) -> None:
    """What a process does: says that it is ready, begins when it is told to, and hands back its part."""
    stop: list[Callable[[], None]] = []

    def interrupted(number: int, frame: FrameType | None) -> None:
        for each in stop:
            each()

    signal.signal(signal.SIGINT, interrupted)
    try:
        session = Session(plan, observer=_Reporter(news))
        stop.append(session.interrupt)
        news.send(("ready", None))
        news.send(("part", session.carry_out(news.recv())))
    except OpskitError as error:
        news.send(("refused", error))
    except (EOFError, BrokenPipeError):
        pass  # the one who asked is gone
    except Exception:
        news.send(("bug", traceback.format_exc()))
