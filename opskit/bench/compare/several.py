"""What `opskit bench` does beyond one run: repeat it, compare it, search with it. Plans in, outcomes out."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from opskit import redact
from opskit.bench.compare.compared import Baseline, Compared, compared
from opskit.bench.compare.repeating import Carry, Sides, repeat
from opskit.bench.compare.search import Bounds, End
from opskit.bench.compare.stepping import Found, Search, Step, find_rate
from opskit.bench.conductor import Observer
from opskit.bench.plan import Plan
from opskit.bench.progress import Silent, live
from opskit.bench.results import Results, Stop
from opskit.bench.run import carry_out
from opskit.bench.thresholds import METRICS, crossed, judged, parse_thresholds
from opskit.conditions import Kind, MetricCondition
from opskit.console import talk
from opskit.errors import Misuse
from opskit.interrupts import Relay, stop_on_interrupt
from opskit.outcome import ErrorNote, ExitCode, Outcome
from opskit.units import format_duration, parse_duration, parse_share

if TYPE_CHECKING:
    from opskit.bench.live import Live
    from opskit.console import Stdout

STEP = 5.0  # seconds; a step is also 20 times as long as the time that one request may take


def refuse_beside(option: str, others: Mapping[str, object]) -> None:
    """Refuse options that have no meaning beside another. Raises Misuse."""
    given = [name for name, value in others.items() if value not in (None, False, (), [])]
    if given:
        raise Misuse(f"{option} and {given[0]} exclude each other", hint=f"leave {given[0]} out")


def refuse_a_pipe(plan: Plan, option: str) -> None:
    """A pipe gives its lines once, and so to one run. Raises Misuse."""
    if plan.requests is not None and _is_a_pipe(plan.requests.path):
        raise Misuse(
            f"{option} reads the requests again for each run: -R {plan.requests.path} gives them once",
            hint="write the requests to a file first",
        )


def _is_a_pipe(path: str) -> bool:
    return path == "-" or Path(path).is_fifo()


# Repeats


class Told:
    """Says on stderr what each of several runs found."""

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._plan, self._quiet = plan, quiet
        self._line: Live | Silent = Silent()
        self._which = ""

    def begin(self, run: int, of: int, side: str) -> Observer:
        self._which = f"run {run} of {of}{f', {side}' if side else ''}"
        self._line = live(self._plan, quiet=self._quiet)
        return self._line

    def end(self, results: Results) -> None:
        self._line.done(results.completed)
        if not self._quiet:
            p99 = format_duration(judged(results).percentile(99) / 1e9)
            talk(f"{self._which}: {results.rate:,.0f} good requests/s, p99 {p99}")


def measure_in_turn(plan: Plan, times: int, against: Plan | None, processes: int, *, quiet: bool) -> Sides:
    """`times` runs of each plan. Ctrl-C ends the run under way and keeps those before it."""
    carry: Carry = carry_out
    if processes > 1:
        from opskit.bench.processes import carry_out_divided

        carry = partial(carry_out_divided, processes=processes)
    relay = Relay()
    with stop_on_interrupt(relay.stop):
        return repeat(plan, times, against, Told(plan, quiet=quiet), relay, carry)


def baseline_of_turns(sides: Sides, plan: Plan, tolerance: float) -> Baseline:
    return Baseline(redact.url(str(plan.url)), tuple(sides.old), tolerance, in_turn=True)


def repeated(
    sides: Sides,
    baseline: Baseline | None,
    thresholds: Iterable[MetricCondition],
    lost: Sequence[ErrorNote],
    *,
    as_json: bool,
) -> Outcome:
    """The outcome of several runs, compared where there is a baseline."""
    from opskit.bench.report import repeats

    found = compared(sides.new, baseline) if baseline is not None else None
    bad = [*_crossed_in_a_run(thresholds, sides.new), *(found.notes() if found else ())]
    errors = [*([sides.error.note()] if sides.error else []), *lost, *_unanswered(sides), *bad]
    data = {**repeats.to_dict(sides.new), **({"comparison": found.to_dict()} if found is not None else {})}
    return Outcome(
        "bench",
        "bench-repeat/1",
        data,
        lambda out: _show(out, [*repeats.lines(sides.new), *comparison_lines(found)]),
        exit_code=_ended(sides) or (ExitCode.UNABLE if lost else ExitCode.BAD if bad else ExitCode.OK),
        errors=tuple(errors),
        as_json=as_json,
    )


def reported(runs: Sequence[Results], baseline: Baseline | None, *, as_json: bool) -> Outcome:
    """The outcome of runs that were kept: as `repeated`, but that nothing is judged anew except the comparison."""
    outcome = repeated(Sides(new=list(runs)), baseline, (), (), as_json=as_json)
    return replace(outcome, command="report")


def comparison_lines(found: Compared | None) -> Iterator[list[tuple[str, str]]]:
    """The comparison after a report, with a blank line between; nothing without one."""
    from opskit.bench.report import comparison

    if found is not None:
        yield []
        yield from comparison.lines(found)


def show_comparison(found: Compared | None, out: "Stdout") -> None:
    _show(out, comparison_lines(found))


def _show(out: "Stdout", lines: Iterable[list[tuple[str, str]]]) -> None:
    from opskit.bench.report.text import print_lines

    print_lines(lines, out.rich)


def _crossed_in_a_run(thresholds: Iterable[MetricCondition], runs: Sequence[Results]) -> Iterator[ErrorNote]:
    """Each run is judged by itself: a threshold is not for the average of a good day and a bad one."""
    for number, run in enumerate(runs, 1):
        for each in crossed(thresholds, run):
            yield ErrorNote("threshold", f"run {number} of {len(runs)}: {each}", "--save keeps the runs")


def _ended(sides: Sides) -> int:
    if sides.ended is None:
        return ExitCode.INTERRUPTED if sides.stopped else ExitCode.OK
    if sides.ended.stop is Stop.INTERRUPTED:
        return ExitCode.INTERRUPTED
    return ExitCode.UNABLE if not sides.ended.answered else ExitCode.PARTIAL


def _unanswered(sides: Sides) -> Iterator[ErrorNote]:
    ended = sides.ended
    if ended is not None and not ended.answered and ended.stop not in (Stop.INTERRUPTED, Stop.BAD_REQUEST):
        where = ended.run.url or ended.run.host
        yield ErrorNote("no_answer", f"{where} gave no answer: {ended.reason}", "is the server up?")


# Searches


def read_search(
    conditions: Sequence[str],
    settle: str,
    step: str | None,
    lowest: float,
    highest: float,
    precision: str,
    concurrency: int | None,
) -> Search:
    """What `--find-rate` and its options mean. Raises Misuse or BadCondition."""
    if not 0 < lowest <= highest or math.isinf(highest):
        raise Misuse(
            f"--min-rate {lowest:g} and --max-rate {highest:g}: there is no rate between them",
            hint="--min-rate 10 --max-rate 5000, for instance",
        )
    share = parse_share(precision, "--precision")
    if not 0.001 <= share <= 0.5:
        raise Misuse(f"--precision {precision}: from 0.1% to 50%", hint="2% is the default")
    wanted = parse_thresholds(conditions)
    _refuse_upside_down(wanted)
    search = Search(wanted, Bounds(lowest, highest, share), parse_duration(settle, bare="s"), STEP, concurrency)
    seconds = parse_duration(step, bare="s") if step is not None else max(STEP, 20 * search.time_limit)
    if seconds < 0.5:
        raise Misuse(f"--step-time {step}: too short to measure a rate", hint="--step-time 5s is the default")
    return replace(search, step=seconds)


def _refuse_upside_down(conditions: Iterable[MetricCondition]) -> None:
    """A condition here says what is to hold, and one of --fail-if what is not. Raises Misuse."""
    for each in conditions:
        bounds = [bound for alternative in each.condition.any_of for bound in alternative]
        if METRICS.get(each.metric) is Kind.DURATION and any(bound.comparison in (">", ">=") for bound in bounds):
            raise Misuse(
                f"--find-rate '{each}': a higher rate makes that easier",
                hint=f"say what is to hold: '{str(each).replace('>', '<')}'",
            )


class Steps:
    """Says on stderr what each step of a search found; each is watched as a run of `plan`."""

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._plan, self._quiet = plan, quiet
        self._line: Live | Silent = Silent()

    def begin(self, rate: float) -> Observer:
        self._line = live(self._plan, quiet=self._quiet)
        return self._line

    def end(self, step: Step) -> None:
        from opskit.bench.report.search import row

        self._line.done(0)
        if not self._quiet:
            talk("".join(text for text, _ in row(step)))


def searched(plan: Plan, search: Search, *, quiet: bool, as_json: bool) -> Outcome:
    """Search, and say what was found."""
    from opskit.bench.report import search as report

    relay = Relay()
    with stop_on_interrupt(relay.stop):
        watch = Steps(replace(plan, number=None, warmup=search.settle, seconds=search.step), quiet=quiet)
        found = find_rate(plan, search, watch, relay)
    url = redact.url(str(plan.url)) if plan.url else f"the URLs of {plan.requests.path if plan.requests else ''}"
    return Outcome(
        "bench",
        "bench-search/1",
        report.to_dict(found, url),
        lambda out: _show(out, report.lines(found, url)),
        exit_code=_search_exit(found),
        errors=tuple(_search_notes(found)),
        as_json=as_json,
    )


def _search_exit(found: Found) -> int:
    if found.error is not None:
        return ExitCode.PARTIAL
    if found.end is End.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if found.rate is not None:
        return ExitCode.OK
    return ExitCode.BAD if found.end is End.LOWEST else ExitCode.UNABLE


def _search_notes(found: Found) -> Iterator[ErrorNote]:
    from opskit.bench.report.search import says

    if found.error is not None:
        yield found.error.note()
    if found.rate is not None or not found.steps or found.end is End.INTERRUPTED:
        return
    last = found.steps[-1]
    if found.end is End.LOWEST:
        yield ErrorNote("not_found", f"{says(found)}: {last.why}", "--min-rate begins lower")
    else:
        yield ErrorNote("client_bound", f"{says(found)}: {last.why}", "raise -c, or use a quicker client")
