"""One run by several processes of this machine, each with its share of the requests, added up exactly."""

import multiprocessing
import os
import signal
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from opskit.bench.engine import Observer
from opskit.bench.merging import Part, merged
from opskit.bench.plan import Plan, divided, refuse_contradictions, with_seeds
from opskit.bench.ports import ports_of
from opskit.bench.results import Results
from opskit.bench.run import Interrupts, Session
from opskit.bench.series import Interval
from opskit.errors import Misuse, OpskitError, Unable

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_START = 20_000_000  # ns from when all are ready to when all begin
_NEWS_EVERY = 0.4  # seconds between two words of a process on how far it is


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_undividable(plan: Plan, processes: int) -> None:
    """What cannot be shared out. Raises Misuse."""
    if processes > plan.concurrency:
        raise Misuse(
            f"--processes {processes}, but only -c {plan.concurrency} requests at a time",
            hint=f"each process needs one of its own: -c {processes}, or more",
        )
    if plan.requests is not None and not Path(plan.requests.path).is_file():
        raise Misuse(
            f"--processes {processes}: every process reads the -R file, and {plan.requests.path} is a pipe",
            hint="write the requests to a file first",
        )


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
    refuse_undividable(plan, processes)
    ports = ports_of(plan)
    crew = _Crew([_Worker.start(share) for share in divided(with_seeds(plan), processes)], observer)
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

    process: BaseProcess
    news: Connection
    ready: bool = False
    ended: int = 0
    failed: int = 0
    part: Part | None = None
    gone: bool = False

    @classmethod
    def start(cls, plan: Plan) -> "_Worker":
        # A fork is there at once; where there is none, multiprocessing's own way serves.
        how = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        context: Any = multiprocessing.get_context(how)
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(plan, theirs), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)


@dataclass
class _Crew:
    """All processes of a run, as seen from the one that started them."""

    workers: list[_Worker]
    observer: Observer | None
    begun: float = 0.0
    pending: dict[int, list[Interval]] = field(default_factory=dict)  # seconds that not all have told of

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
            else:
                self._take(by_news[news], what, said)

    def _take(self, worker: _Worker, what: str, said: Any) -> None:
        if what == "ready":
            worker.ready = True
        elif what == "part":
            worker.part = said
        elif what == "interval":
            self._interval(said)
        elif what == "tick":
            worker.ended, worker.failed = said
            if self.observer is not None:
                ended, failed = (sum(getattr(w, name) for w in self.workers) for name in ("ended", "failed"))
                self.observer.tick(ended, failed, time.monotonic() - self.begun)
        elif what == "refused":
            raise said
        else:
            raise RuntimeError(f"a process of the run failed:\n{said}")

    def _interval(self, interval: Interval) -> None:
        """Show a second once everybody has told of it."""
        parts = self.pending.setdefault(round(interval.begins), [])
        parts.append(interval)
        if len(parts) < len(self._living()) or self.observer is None:
            return
        whole = self.pending.pop(round(interval.begins))
        for other in whole[1:]:
            whole[0] = whole[0].joined(other)
        self.observer.interval(whole[0])
        self.pending = {second: rest for second, rest in self.pending.items() if second > interval.begins}


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
