"""From a plan to its results: the parts of a run put together."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from opskit import __version__, redact
from opskit.bench.answers.exchanges import FailingExchanges
from opskit.bench.answers.inspection import Inspection
from opskit.bench.conductor import Conductor, Observer, Trace
from opskit.bench.engine import Engine
from opskit.bench.following import Following
from opskit.bench.hooks import Hooks
from opskit.bench.merging import Part
from opskit.bench.plan import Plan, Url, refuse_contradictions
from opskit.bench.ports import ports_of
from opskit.bench.recorder import Recorder, Row
from opskit.bench.requests import Feed, PipeFed, Tally, request_stream
from opskit.bench.results import Results, Run, Stop
from opskit.bench.script import Script
from opskit.bench.transport import SPARE_DESCRIPTORS, Dialer, raise_descriptor_limit
from opskit.errors import Misuse, OpskitError, Unable

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
        failing: FailingExchanges | None = None,
        hooks: Hooks | None = None,
        feed: Feed | None = None,
    ) -> None:
        if plan.streams is not None and (failing or (hooks and hooks.response)):
            wants = "--save-failures" if failing else "response() of --script"
            raise Misuse(f"{wants} is not there for --http2", hint="leave one of them out")
        raise_descriptor_limit(plan.concurrency + SPARE_DESCRIPTORS)
        self._plan = plan
        self._tally = Tally()
        self._dialer = Dialer(plan)
        self._script = script = _script(hooks, plan, self._tally)
        requests = script or request_stream(plan, self._tally, feed)
        self._dialer.prepare(plan.url.origin if plan.url else None)
        shown = script if hooks and hooks.response else None
        self._inspection = Inspection(plan, failing, shown) if plan.checks or failing or shown else None
        self._engine = _engine_class(plan)(
            plan,
            requests,
            self._dialer,
            Recorder(on_row),
            would_wait=requests.would_wait if isinstance(requests, PipeFed | Script) else None,
            observer=observer,
            trace=trace,
            inspector=self._inspection,
            work=script.work if script else None,
        )
        self.interrupt = self._engine.interrupt

    def carry_out(self, at: int | None = None) -> Part:
        """Do it, from `at` on the monotonic clock in ns."""
        engine = self._engine
        clocks = time.time() - time.monotonic_ns() / 1e9
        engine.run(at)
        begun = engine.begun or time.monotonic_ns()  # it did not begin if it was stopped before
        results = _results(self._plan, engine, self._tally, clocks + begun / 1e9)
        results = _with_checks(results, self._inspection)
        if self._dialer.sessions is not None:
            results = replace(results, resumed=self._dialer.sessions.resumed)
        error = engine.error
        if self._script is not None:
            results = _with_script(results, self._script)
            error = self._script.error or error
        return Part(results, engine.recorder.series, begun, self._tally, error)


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
    ports = ports_of(plan)
    session = Session(plan, observer=observer, trace=trace, on_row=on_row, failing=failing, hooks=hooks)
    with interrupts(session.interrupt):
        part = session.carry_out()
    return replace(part.results, ports=ports), part.error


def _script(hooks: Hooks | None, plan: Plan, tally: Tally) -> Script | None:
    if hooks is None:
        return None
    return Script(hooks, plan, None if hooks.request else request_stream(plan, tally))


def _with_script(results: Results, script: Script) -> Results:
    if results.stop is not Stop.INTERRUPTED:
        script.finish()
    figures = {"requests": script.made, "responses": script.shown, "seconds": script.seconds}
    return replace(results, script=figures, stop=Stop.SCRIPT if script.error else results.stop)


def _with_checks(results: Results, inspection: Inspection | None) -> Results:
    if inspection is None or inspection.checks is None:
        return results
    failed = {str(check): inspection.failed_checks[str(check)] for check in inspection.checks.checks}
    return replace(results, checks=failed, checked=inspection.checked)


def _engine_class(plan: Plan) -> type[Conductor]:
    """Raises Unable where HTTP/2 needs a package that is missing."""
    if plan.streams is None:
        if plan.cookies:
            from opskit.bench.remembering import Remembering

            return Remembering
        return Following if plan.redirects else Engine
    try:
        from opskit.bench.http2.engine import Http2Engine
    except ModuleNotFoundError as error:
        raise Unable("HTTP/2 needs one more package", hint="pip install 'opskit[http2]'") from error
    return Http2Engine


def _results(plan: Plan, engine: Conductor, tally: Tally, started_at: float) -> Results:
    counts, recorder = engine.counts, engine.recorder
    return Results(
        run=run_facts(plan, started_at),
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
        redirected=counts.redirected,
        resumed=0,
        lower_bounds=counts.lower_bounds,
        latencies=recorder.latencies(),
        first=engine.first,
        tls=engine.tls,
        http2=engine.http2,
        requests_file=tally.to_dict(counts.started) if plan.requests else None,
        labels=recorder.labels(),
        cookies={"set": counts.cookies_set, "sent": counts.cookies_sent} if plan.cookies else None,
        series=recorder.series.seconds(),
        warmup=engine.warmup,
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
        requests_file=plan.requests.path if plan.requests else plan.script,
        proxy=":".join(map(str, plan.route.proxy)) if plan.route.proxy else None,
        local_addresses=",".join(plan.route.local_addresses),
        body_sent=plan.shape.body is not None,
        variable_length=plan.variable_length,
        version=__version__,
        streams=plan.streams or 0,
        redirects=plan.redirects,
        cookies=plan.cookies,
        rate=str(plan.schedule or ""),
    )


def _path(url: Url) -> str:
    return redact.target(url.target.decode("ascii"))
