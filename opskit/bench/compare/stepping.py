"""One step of a search for the highest rate: settle, measure, judge, and wait until the server has caught up."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from opskit.bench import verdict
from opskit.bench.compare.repeating import Carry
from opskit.bench.compare.search import Bounds, End, Held, Trial, next_rate
from opskit.bench.conductor import Observer
from opskit.bench.plan import Plan, Schedule
from opskit.bench.results import Results, Stop
from opskit.bench.run import carry_out
from opskit.bench.schedule import parse_rate
from opskit.bench.series import Interval
from opskit.bench.thresholds import METRICS, not_held
from opskit.bench.verdict import BUSY, LATE, Doubt, Finding
from opskit.conditions import Kind, MetricCondition
from opskit.errors import OpskitError, Unable
from opskit.interrupts import Relay

FAR = 0.9  # of the rate: a server that does less has clearly failed
ONE_MORE_OR_LESS = 2  # requests, at the two ends of what is counted
FIRST_PART = 0.25  # of a step: what is answered afterwards is set against the rate
LONGEST_DRAIN = 30.0  # seconds to wait for a server to catch up
DRAIN_PAUSE = 0.2
MANY_LATE = 0.1  # of the requests
MOST_AT_A_TIME = 2048
FEWEST_AT_A_TIME = 8
NO_LIMIT = 1.0  # seconds for one request, where no condition names a time


@dataclass(frozen=True)
class Search:
    """What is to hold, where to look, and how long to look at each rate, in seconds.

    `concurrency` is None where the limit of requests in the air follows from the conditions.
    """

    conditions: tuple[MetricCondition, ...]
    bounds: Bounds
    settle: float
    step: float
    concurrency: int | None = None

    @property
    def time_limit(self) -> float:
        """The longest time that a condition allows for one request, in seconds."""
        limits = [
            bound.limit
            for each in self.conditions
            if METRICS.get(each.metric) is Kind.DURATION
            for bounds in each.condition.any_of
            for bound in bounds
        ]
        return max(limits, default=NO_LIMIT)

    def at_a_time(self, rate: float) -> int:
        """Room for twice as many requests as a server has that takes the whole time limit for each (Little)."""
        room = int(2 * rate * self.time_limit) + 1
        return self.concurrency or min(max(room, FEWEST_AT_A_TIME), MOST_AT_A_TIME)


@dataclass(frozen=True)
class Step:
    """A rate, what was measured at it, and what that says. `answered` is the rate of answers once under way."""

    trial: Trial
    results: Results
    answered: float
    why: str  # "" where it held

    @property
    def rate(self) -> float:
        return self.trial.rate

    @property
    def held(self) -> Held:
        return self.trial.held


@dataclass(frozen=True)
class Found:
    """Where a search ended: `rate` is the highest that held, `failed` the lowest above it that did not."""

    search: Search
    steps: tuple[Step, ...]
    end: End
    notes: tuple[str, ...] = ()
    error: OpskitError | None = None

    @property
    def rate(self) -> float | None:
        return max((step.rate for step in self.steps if step.held is Held.YES), default=None)

    @property
    def failed(self) -> float | None:
        above = self.rate or 0.0
        return min((each.rate for each in self.steps if each.held is Held.NO and each.rate > above), default=None)


class Watch(Protocol):
    """Who is told of each step."""

    def begin(self, rate: float) -> Observer: ...
    def end(self, step: Step) -> None: ...


@dataclass
class Answers:
    """An observer that notes how many requests had ended well at each moment of a run."""

    inner: Observer
    moments: list[tuple[float, int]] = field(default_factory=list)

    def tick(self, ended: int, failed: int, seconds: float) -> None:
        if self.moments and seconds < self.moments[-1][0]:
            self.moments.clear()  # that was the warm-up
        self.moments.append((seconds, ended - failed))
        self.inner.tick(ended, failed, seconds)

    def interval(self, interval: Interval) -> None:
        self.inner.interval(interval)

    def rate(self, begins: float, ends: float) -> float | None:
        """Good answers per second between two moments; None where there are no two."""
        inside = [moment for moment in self.moments if begins <= moment[0] <= ends]
        if len(inside) < 2:
            return None
        (since, before), (until, after) = inside[0], inside[-1]
        return (after - before) / (until - since)


def find_rate(
    plan: Plan,
    search: Search,
    watch: Watch,
    relay: Relay,
    *,
    carry: Carry = carry_out,
    sleep: Callable[[float], None] = time.sleep,
) -> Found:
    """Step up and bisect until the answer is known, or Ctrl-C ends it. Raises what `carry_out` raises.

    An answer of 400 or more counts as a failure here: a server that sheds its load does so quickly.
    """
    return _Stepper(replace(plan, fail_status=True), search, watch, relay, carry, sleep).run()


class _Stepper:
    def __init__(
        self,
        plan: Plan,
        search: Search,
        watch: Watch,
        relay: Relay,
        carry: Carry,
        sleep: Callable[[float], None],
    ) -> None:
        self._plan, self._search, self._watch, self._relay = plan, search, watch, relay
        self._carry, self._sleep = carry, sleep
        self._steps: list[Step] = []
        self._notes: list[str] = []
        self._error: OpskitError | None = None

    def run(self) -> Found:
        asked = next_rate(self._search.bounds, [])
        if not self._first_answer():
            asked = End.INTERRUPTED
        while not isinstance(asked, End):
            step = self._step(asked)
            if step is None:
                asked = End.INTERRUPTED
                break
            self._steps.append(step)
            self._watch.end(step)
            asked = next_rate(self._search.bounds, [each.trial for each in self._steps])
            if step.held is not Held.YES and not isinstance(asked, End):
                self._let_it_catch_up()
        return Found(self._search, tuple(self._steps), asked, tuple(self._notes), self._error)

    def _first_answer(self) -> bool:
        """Whether one request went well; False where it was ended from outside. Raises Unable."""
        results = self._carried(self._one, None)
        if results is not None and not results.good:
            status = next(iter(results.status), None)
            why = results.reason if status is None else f"it answers {status}"
            where = results.run.url or results.run.host
            raise Unable(
                f"there is no rate to find at {where}: {why}", hint="is the server up, and the URL right?"
            )
        return results is not None

    @property
    def _one(self) -> Plan:
        return replace(self._plan, number=1, seconds=None, schedule=None, concurrency=1)

    def _step(self, rate: float) -> Step | None:
        """Settle at a rate and measure it; None where the run was ended from outside."""
        answers = Answers(self._watch.begin(rate))
        plan = replace(
            self._plan,
            number=None,
            seconds=self._search.step,
            warmup=self._search.settle,
            schedule=Schedule(parse_rate(repr(rate))),
            concurrency=self._search.at_a_time(rate),
        )
        results = self._carried(plan, answers)
        return None if results is None else judge_step(self._search, rate, results, answers)

    def _carried(self, plan: Plan, observer: Observer | None) -> Results | None:
        results, self._error = self._carry(plan, observer=observer, interrupts=self._relay.under_way)
        return None if self._error or results.stop is Stop.INTERRUPTED or self._relay.stopped else results

    def _let_it_catch_up(self) -> None:
        """Ask single requests until one is about as quick as at the last rate that held, or time is up."""
        held = [step for step in self._steps if step.held is Held.YES]
        if not held:
            return
        usual = 2 * held[-1].results.latencies.total.percentile(90)
        waited = 0.0
        while waited < LONGEST_DRAIN:
            results = self._carried(self._one, None)
            if results is None or (results.good and results.latencies.total.highest <= usual):
                return
            self._sleep(DRAIN_PAUSE)
            waited += DRAIN_PAUSE + results.seconds
        rate = self._steps[-1].rate
        self._notes.append(f"{LONGEST_DRAIN:g} s after {rate:g}/s the server was still slower than before it")


def judge_step(search: Search, rate: float, results: Results, answers: Answers) -> Step:
    """Whether the conditions held and the answers kept up with the rate; if not, whether it was the client."""
    done = answers.rate(search.step * FIRST_PART, search.step)
    answered = results.rate if done is None else done
    broken = not_held(search.conditions, results)
    if not broken and _kept_up(search, rate, answered):
        return Step(Trial(rate, Held.YES), results, answered, "")
    client = _client_limit(search, results, broken=bool(broken))
    why = client or (str(broken[0]) if broken else f"only {answered:.4g}/s went well")
    held = Held.CLIENT if client else Held.NO
    return Step(Trial(rate, held, clearly=not client and answered < FAR * rate), results, answered, why)


def _kept_up(search: Search, rate: float, answered: float) -> bool:
    missing = (rate - answered) * search.step * (1 - FIRST_PART)  # requests
    return missing <= ONE_MORE_OR_LESS or answered >= rate * (1 - search.bounds.precision / 2)


def _client_limit(search: Search, results: Results, *, broken: bool) -> str:
    """The evidence that a step failed because of the client; "" if there is none.

    Requests that begin late do not say it alone: so they do where a slow server has taken all places. But where
    the conditions would hold had every request begun in time, or many began late though the server was quick, more
    places or a quicker client would have made the difference.
    """
    if results.cpu_share >= BUSY:
        return f"opskit used {results.cpu_share:.0%} of a core"
    times = results.latencies
    in_time = replace(results, latencies=replace(times, response=times.total))
    if times.total.mean() > search.time_limit * 1e9 or not_held(search.conditions, in_time):
        return ""
    late, due = times.lag.above(int(LATE * 1e6)) + results.unsent, times.lag.count + results.unsent
    if late > (0 if broken else MANY_LATE * due):
        return f"{late:,} began late, though each was then answered in time (-c {results.run.concurrency})"
    return ""


def doubts(step: Step) -> list[Finding]:
    """The verdict on a step; lateness is no doubt where the server has been shown to cause it."""
    found = verdict.findings(step.results)
    return [each for each in found if step.held is not Held.NO or each.doubt is not Doubt.CLIENT_BOUND]
