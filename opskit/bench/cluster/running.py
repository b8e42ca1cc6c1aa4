"""One run by the workers of a cluster, each with its share of the requests, added up exactly.

As processes.py does it for the cores of one machine, but for what machines have of their own: their clocks, their
files, and the way to them.
"""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from opskit.bench.cluster.feed import Piece, pieces
from opskit.bench.cluster.remote import News, Order, clock, exchange
from opskit.bench.cluster.scheduler import Gone, Place, Worker, quiet, workers_at
from opskit.bench.cluster.shipment import Shipment
from opskit.bench.conductor import Observer
from opskit.bench.joined import Joined
from opskit.bench.merging import Part, merged
from opskit.bench.plan import Plan, Tls, divided, refuse_contradictions, refuse_undividable, with_seeds
from opskit.bench.requests import Tally, request_stream
from opskit.bench.results import Ports, Results
from opskit.bench.run import Interrupts
from opskit.bench.transport import tls_context
from opskit.errors import Misuse, OpskitError, Unable
from opskit.outcome import ExitCode

HEAD_START = 1_000_000_000  # ns from when all are ready to when all begin
LOST_AFTER = 20.0  # seconds without an answer after which a worker counts as lost
_WAITING, _NEWS_EVERY = 0.2, 0.5  # seconds that an answer may take before the start and after it
_PROBES = 16  # of a clock; the quickest counts
_PROBED_AT_ONCE = 4  # workers: probes that wait for each other are slow ones


def refuse_unshippable(plan: Plan) -> None:
    """What other machines cannot do. Raises Misuse."""
    for given, option, why in (
        (plan.route.local_addresses, "-B", "each worker has addresses of its own"),
        (plan.route.unix_socket, "--unix-socket", "the socket is on this machine, the workers are elsewhere"),
        (plan.script, "--script", "its functions are this machine's"),
    ):
        if given:
            raise Misuse(f"{option} does not go with --cluster: {why}", hint=f"leave {option} out")


def carry_out_on_cluster(
    plan: Plan,
    place: Place,
    *,
    observer: Observer | None = None,
    interrupts: Interrupts = lambda stop: nullcontext(),
) -> tuple[Results, OpskitError | None]:
    """`run.carry_out` by all workers of a cluster, which begin at the same moment.

    What can be known to be wrong is refused before the first request: raises Misuse or Unable.
    """
    refuse_contradictions(plan)
    refuse_unshippable(plan)
    refuse_undividable(plan, 1, "--cluster")
    if plan.tls != Tls():
        tls_context(plan.tls)
    request_stream(plan, Tally())  # judges the first lines
    shipment = Shipment.of(with_seeds(plan))
    with quiet():
        part = asyncio.run(_carried_out(shipment, place, observer, interrupts))
    return part.results, part.error


async def _carried_out(
    shipment: Shipment, place: Place, observer: Observer | None, interrupts: Interrupts
) -> Part:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    crew: _Crew | None = None

    def interrupt() -> None:
        if crew is not None and crew.begun is not None:
            crew.stopped = True
        elif task is not None:
            loop.call_soon_threadsafe(task.cancel)

    with interrupts(interrupt):
        try:
            async with workers_at(place) as workers:
                refuse_undividable(shipment.plan, len(workers), f"--cluster with {len(workers)} workers")
                crew = _Crew(shipment, workers, observer)
                return await crew.carried_out()
        except asyncio.CancelledError:
            raise OpskitError(
                "interrupted before the start: nothing was sent",
                code="interrupted",
                exit_code=ExitCode.INTERRUPTED,
            ) from None


@dataclass
class _Member:
    """A worker, its share, and what is known of it so far."""

    index: int
    worker: Worker
    plan: Plan
    lines: Iterator[Piece] | None
    ahead: int = 0  # ns that its clock shows more than ours
    unsure: int = 0  # ns by which that may be wrong
    ready: bool = False
    gone: bool = False
    part: Part | None = None

    async def probe(self) -> None:
        """Compare the clocks: the answer was given between the call and its return, as NTP has it (RFC 5905)."""
        found = []
        for _ in range(_PROBES):
            asked = time.monotonic_ns()
            theirs = await self.worker.call(clock, within=LOST_AFTER)
            took = time.monotonic_ns() - asked
            found.append((took, theirs - asked - took // 2))
        took, self.ahead = min(found)
        self.unsure = took // 2

    async def piece(self, news: News) -> Piece | None:
        if not news.hungry or self.lines is None:
            return None
        return await asyncio.to_thread(next, self.lines, None)


class _Crew:
    """All workers of a run, as seen from where it was started."""

    def __init__(self, shipment: Shipment, workers: list[Worker], observer: Observer | None) -> None:
        self._shipment = shipment
        self._run = uuid.uuid4().hex
        self._joined = Joined(len(workers), observer)
        self._all_ready = asyncio.Event()
        self._members = [
            _Member(index, worker, plan, pieces(plan) if plan.requests else None)
            for index, (worker, plan) in enumerate(zip(workers, divided(shipment.plan, len(workers)), strict=True))
        ]
        self.begun: int | None = None  # ns on our clock
        self.stopped = False

    async def carried_out(self) -> Part:
        """Raises what one of them refuses."""
        await self._compare_clocks()
        try:
            async with asyncio.TaskGroup() as group:
                for member in self._members:
                    group.create_task(self._follow(member))
        except BaseExceptionGroup as errors:
            await self._dismiss()
            raise errors.exceptions[0] from None
        return self._whole()

    async def _compare_clocks(self) -> None:
        places = asyncio.Semaphore(_PROBED_AT_ONCE)

        async def probed(member: _Member) -> None:
            async with places:
                try:
                    await member.probe()
                except Gone:
                    self._lose(member)

        await asyncio.gather(*map(probed, self._members))

    async def _follow(self, member: _Member) -> None:
        """Give orders to one worker and hear its news, until its part is here or it is lost."""
        order = Order(self._run, plan=replace(self._shipment, plan=member.plan), patience=_WAITING)
        told_when = False
        while not member.gone and member.part is None:
            try:
                news: News = await member.worker.call(exchange, order, within=LOST_AFTER + order.patience)
            except Gone:
                self._lose(member)
                return
            self._take(member, news)
            begin = None
            if self.begun is not None and not told_when:
                begin, told_when = self.begun + member.ahead, True
            order = Order(
                self._run,
                begin=begin,
                lines=await member.piece(news),
                stop=self.stopped,
                patience=_NEWS_EVERY if told_when else _WAITING,
            )

    def _take(self, member: _Member, news: News) -> None:
        if news.refused is not None:
            raise news.refused
        if news.fault:
            raise RuntimeError(f"worker {member.worker.name} failed:\n{news.fault}")
        if news.unknown:  # another process has taken the place of the one that began
            self._lose(member)
            return
        member.ready = member.ready or news.ready
        self._begin_if_all_are_ready()
        if self.begun is not None and news.ended:
            seconds = (time.monotonic_ns() - self.begun) / 1e9
            self._joined.tick(member.index, news.ended, news.failed, seconds)
        for interval in news.intervals:
            self._joined.interval(interval)
        if news.part is not None:
            member.part = self._on_our_clock(member, news.part)
            self._joined.leave()

    def _begin_if_all_are_ready(self) -> None:
        if self.begun is None and all(member.ready or member.gone for member in self._members):
            self.begun = time.monotonic_ns() + HEAD_START

    def _lose(self, member: _Member) -> None:
        member.gone = True
        self._joined.leave()
        self._begin_if_all_are_ready()

    @staticmethod
    def _on_our_clock(member: _Member, part: Part) -> Part:
        begun = part.begun - member.ahead
        started_at = time.time() - (time.monotonic_ns() - begun) / 1e9
        run = replace(part.results.run, started_at=started_at)
        return replace(part, begun=begun, results=replace(part.results, run=run))

    async def _dismiss(self) -> None:
        """Tell all who still work to stop; whom this does not reach stops when it hears nothing more."""
        order = Order(self._run, stop=True)

        async def told(member: _Member) -> None:
            with suppress(Gone, OpskitError):
                await member.worker.call(exchange, order, within=_NEWS_EVERY)

        await asyncio.gather(*(told(member) for member in self._members if not member.gone and not member.part))

    def _whole(self) -> Part:
        """The parts added up. Raises Unable if there is none."""
        there = [member for member in self._members if member.part is not None]
        parts = [member.part for member in there if member.part is not None]
        if not parts:
            raise Unable("every worker was lost", hint="are their machines, and the scheduler, still up?")
        whole = merged(self._shipment.plan, parts, len(self._members) - len(parts))
        ports = [part.results.ports for part in parts if part.results.ports is not None]
        assert whole.results.together is not None
        together = replace(
            whole.results.together, machines=True, clocks=max(member.unsure for member in there) / 1e9
        )
        results = replace(whole.results, together=together, ports=min(ports, key=_spare, default=None))
        return replace(whole, results=results)


def _spare(ports: Ports) -> float:
    return ports.available - (ports.needed or 0)
