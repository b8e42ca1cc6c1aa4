"""From a plan to its results: the parts of a run put together."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from opskit import __version__, redact
from opskit.bench.engine import Engine, Observer, Trace
from opskit.bench.plan import Plan, Url, refuse_contradictions
from opskit.bench.recorder import Recorder, Row
from opskit.bench.requests import PipeFed, Tally, request_stream
from opskit.bench.results import Results, Run, Stop
from opskit.bench.transport import SPARE_DESCRIPTORS, Dialer, raise_descriptor_limit
from opskit.errors import OpskitError

Interrupts = Callable[[Callable[[], None]], AbstractContextManager[None]]


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
    raise_descriptor_limit(plan.concurrency + SPARE_DESCRIPTORS)
    tally = Tally()
    dialer = Dialer(plan)
    requests = request_stream(plan, tally)
    dialer.prepare(plan.url.origin if plan.url else None)
    recorder = Recorder(on_row)
    engine = Engine(
        plan,
        requests,
        dialer,
        recorder,
        would_wait=requests.would_wait if isinstance(requests, PipeFed) else None,
        observer=observer,
        trace=trace,
    )
    started_at, cpu = time.time(), time.process_time()
    with interrupts(engine.interrupt):
        engine.run()
    cpu_share = (time.process_time() - cpu) / engine.seconds if engine.seconds else 0.0
    return _results(plan, engine, recorder, tally, started_at, cpu_share), engine.error


def _results(
    plan: Plan, engine: Engine, recorder: Recorder, tally: Tally, started_at: float, cpu_share: float
) -> Results:
    counts = engine.counts
    return Results(
        run=run_facts(plan, started_at),
        stop=engine.stop or Stop.FINISHED,
        planned=counts.started if plan.number is None and plan.once else plan.number,
        started=counts.started,
        failures={failure.value: count for failure, count in counts.failures.most_common()},
        status={status: count for status, count in enumerate(counts.answered) if count},
        seconds=engine.seconds,
        cpu_share=cpu_share,
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
        reason=engine.reason,
    )


def run_facts(plan: Plan, started_at: float) -> Run:
    """What a report or a comparison will know of the plan; `started_at` in epoch seconds."""
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
        rate=str(plan.schedule or ""),
    )


def _path(url: Url) -> str:
    return redact.target(url.target.decode("ascii"))
