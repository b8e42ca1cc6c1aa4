"""From a plan to its results: the parts of a run put together."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from opskit import __version__, redact
from opskit.bench.engine import Engine, Observer, Trace
from opskit.bench.merging import Part
from opskit.bench.plan import Plan, Url, refuse_contradictions
from opskit.bench.ports import ports_of
from opskit.bench.recorder import Recorder, Row
from opskit.bench.requests import Feed, PipeFed, Tally, request_stream
from opskit.bench.results import Results, Run, Stop
from opskit.bench.transport import SPARE_DESCRIPTORS, Dialer, raise_descriptor_limit
from opskit.errors import OpskitError

Interrupts = Callable[[Callable[[], None]], AbstractContextManager[None]]


class Session:
    """One plan, or one's share of it, ready to be carried out: what can be known to be wrong has been refused.

    The lines of the -R file come from `feed` where there is one. Raises Misuse or Unable.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        observer: Observer | None = None,
        trace: Trace | None = None,
        on_row: Callable[[Row], None] | None = None,
        feed: Feed | None = None,
    ) -> None:
        raise_descriptor_limit(plan.concurrency + SPARE_DESCRIPTORS)
        self._plan = plan
        self._tally = Tally()
        dialer = Dialer(plan)
        requests = request_stream(plan, self._tally, feed)
        dialer.prepare(plan.url.origin if plan.url else None)
        self._engine = Engine(
            plan,
            requests,
            dialer,
            Recorder(on_row),
            would_wait=requests.would_wait if isinstance(requests, PipeFed) else None,
            observer=observer,
            trace=trace,
        )
        self.interrupt = self._engine.interrupt

    def carry_out(self, at: int | None = None) -> Part:
        """Do it, from `at` on the monotonic clock in ns."""
        engine = self._engine
        clocks = time.time() - time.monotonic_ns() / 1e9
        engine.run(at)
        results = _results(self._plan, engine, self._tally, clocks + engine.begun / 1e9)
        return Part(results, engine.recorder.series, engine.begun, self._tally, engine.error)


def carry_out(
    plan: Plan,
    *,
    observer: Observer | None = None,
    trace: Trace | None = None,
    on_row: Callable[[Row], None] | None = None,
    interrupts: Interrupts = lambda stop: nullcontext(),
) -> tuple[Results, OpskitError | None]:
    """Run a plan; the error is the line of the file that ended the run early, if one did.

    What can be known to be wrong is refused before the first request: raises Misuse or Unable.
    """
    refuse_contradictions(plan)
    ports = ports_of(plan)
    session = Session(plan, observer=observer, trace=trace, on_row=on_row)
    with interrupts(session.interrupt):
        part = session.carry_out()
    return replace(part.results, ports=ports), part.error


def _results(plan: Plan, engine: Engine, tally: Tally, started_at: float) -> Results:
    counts, recorder = engine.counts, engine.recorder
    return Results(
        run=_run_facts(plan, started_at),
        stop=engine.stop or Stop.FINISHED,
        planned=counts.started if plan.number is None and plan.once else plan.number,
        started=counts.started,
        failures={failure.value: count for failure, count in counts.failures.most_common()},
        status={status: count for status, count in enumerate(counts.answered) if count},
        seconds=engine.seconds,
        cpu_share=engine.cpu_share,
        received=counts.received,
        body=counts.body,
        sent=counts.sent,
        opened=counts.opened,
        reused=counts.reused,
        kept=counts.kept,
        resent=counts.resent,
        unsent=counts.unsent,
        lower_bounds=counts.lower_bounds,
        latencies=recorder.latencies(),
        first=engine.first,
        tls=engine.tls,
        requests_file=tally.to_dict(counts.started) if plan.requests else None,
        labels=recorder.labels(),
        series=recorder.series.seconds(),
        warmup=engine.warmup,
        reason=engine.reason,
    )


def _run_facts(plan: Plan, started_at: float) -> Run:
    url = plan.url
    return Run(
        url=redact.url(str(url)) if url else "",
        scheme=url.origin.scheme if url else "",
        host=url.origin.host if url else "",
        port=url.origin.port if url else 0,
        path=_path(url) if url else "",
        method=plan.shape.method,
        concurrency=plan.concurrency,
        keep_alive=plan.shape.keep_alive,
        request_limit=plan.request_limit,
        started_at=started_at,
        requests_file=plan.requests.path if plan.requests else None,
        proxy=":".join(map(str, plan.route.proxy)) if plan.route.proxy else None,
        body_sent=plan.shape.body is not None,
        variable_length=plan.variable_length,
        version=__version__,
    )


def _path(url: Url) -> str:
    return redact.target(url.target.decode("ascii"))
