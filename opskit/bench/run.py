"""From a plan to its results: the parts of a run put together."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from opskit import __version__, redact
from opskit.bench.engine import Engine, Observer, Trace
from opskit.bench.exchanges import FailingExchanges
from opskit.bench.following import Following
from opskit.bench.hooks import Hooks
from opskit.bench.inspection import Inspection
from opskit.bench.plan import Plan, Url, refuse_contradictions
from opskit.bench.recorder import Recorder, Row
from opskit.bench.requests import PipeFed, Tally, request_stream
from opskit.bench.results import Results, Run, Stop
from opskit.bench.script import Script
from opskit.bench.transport import SPARE_DESCRIPTORS, Dialer, raise_descriptor_limit
from opskit.errors import OpskitError

Interrupts = Callable[[Callable[[], None]], AbstractContextManager[None]]


def carry_out(
    plan: Plan,
    *,
    observer: Observer | None = None,
    trace: Trace | None = None,
    on_row: Callable[[Row], None] | None = None,
    failing: FailingExchanges | None = None,
    hooks: Hooks | None = None,
    interrupts: Interrupts = lambda stop: nullcontext(),
) -> tuple[Results, OpskitError | None]:
    """Run a plan; the error is what ended the run early, a line of the file or the script, if one did.

    What can be known to be wrong is refused before the first request: raises Misuse or Unable.
    """
    refuse_contradictions(plan)
    raise_descriptor_limit(plan.concurrency + SPARE_DESCRIPTORS)
    tally = Tally()
    dialer = Dialer(plan)
    script = _script(hooks, plan, tally)
    requests = script or request_stream(plan, tally)
    dialer.prepare(plan.url.origin if plan.url else None)
    recorder = Recorder(on_row)
    make_engine = Following if plan.redirects else Engine
    shown = script if hooks and hooks.response else None
    inspection = Inspection(plan, failing, shown) if plan.checks or failing or shown else None
    engine = make_engine(
        plan,
        requests,
        dialer,
        recorder,
        would_wait=requests.would_wait if isinstance(requests, PipeFed | Script) else None,
        observer=observer,
        trace=trace,
        inspector=inspection,
        work=script.work if script else None,
    )
    started_at, cpu = time.time(), time.process_time()
    with interrupts(engine.interrupt):
        engine.run()
    cpu_share = (time.process_time() - cpu) / engine.seconds if engine.seconds else 0.0
    results = _with_checks(_results(plan, engine, recorder, tally, started_at, cpu_share), inspection)
    if dialer.sessions is not None:
        results = replace(results, resumed=dialer.sessions.resumed)
    return (results, engine.error) if script is None else _with_script(results, script, engine.error)


def _script(hooks: Hooks | None, plan: Plan, tally: Tally) -> Script | None:
    if hooks is None:
        return None
    return Script(hooks, plan, None if hooks.request else request_stream(plan, tally))


def _with_script(
    results: Results, script: Script, error: OpskitError | None
) -> tuple[Results, OpskitError | None]:
    if results.stop is not Stop.INTERRUPTED:
        script.finish()
    figures = {"requests": script.made, "responses": script.shown, "seconds": script.seconds}
    results = replace(results, script=figures)
    return (replace(results, stop=Stop.SCRIPT) if script.error else results), script.error or error


def _with_checks(results: Results, inspection: Inspection | None) -> Results:
    if inspection is None or inspection.checks is None:
        return results
    failed = {str(check): inspection.failed_checks[str(check)] for check in inspection.checks.checks}
    return replace(results, checks=failed, checked=inspection.checked)


def _results(
    plan: Plan, engine: Engine, recorder: Recorder, tally: Tally, started_at: float, cpu_share: float
) -> Results:
    counts = engine.counts
    return Results(
        run=_run_facts(plan, started_at),
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
        redirected=counts.redirected,
        resumed=0,
        lower_bounds=counts.lower_bounds,
        latencies=recorder.latencies(),
        first=engine.first,
        tls=engine.tls,
        requests_file=tally.to_dict(counts.started) if plan.requests else None,
        labels=recorder.labels(),
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
        requests_file=plan.requests.path if plan.requests else plan.script,
        proxy=":".join(map(str, plan.route.proxy)) if plan.route.proxy else None,
        local_addresses=",".join(plan.route.local_addresses),
        body_sent=plan.shape.body is not None,
        variable_length=plan.variable_length,
        version=__version__,
    )


def _path(url: Url) -> str:
    return redact.target(url.target.decode("ascii"))
