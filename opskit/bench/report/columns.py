"""Runs side by side: a row for each figure, a column for each run. Only shown, never judged."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from opskit.bench.histogram import Histogram
from opskit.bench.report.text import Line, facts, milliseconds
from opskit.bench.results import MEANING, Failure, Results, Stop
from opskit.bench.thresholds import judged
from opskit.bench.verdict import findings, is_valid
from opskit.units import format_duration

PERCENTS = (50, 90, 99, 99.9)
_NAME, _COLUMN = 20, 12  # columns of a terminal
_AT_ONCE = 5  # runs that fit beside each other into 80 of them


@dataclass(frozen=True)
class Named:
    """A run, and what it is called in a report: the file that it was kept in, as a rule."""

    name: str
    results: Results


Row = tuple[str, list[str]]


def figures(runs: Sequence[Results]) -> Iterator[Row]:
    """What is compared first."""
    yield "verdict", ["VALID" if is_valid(findings(run)) else "doubtful" for run in runs]
    yield "good requests/s", [f"{run.rate:,.{0 if run.rate >= 100 else 1}f}" for run in runs]
    yield "requests", [f"{run.started:,}" for run in runs]
    yield "failed", [f"{run.failed:,}" for run in runs]
    yield from _unless_zero("not 2xx", [run.non_2xx for run in runs])
    yield from _latencies([judged(run) for run in runs])
    yield "duration", [format_duration(run.seconds) for run in runs]
    yield "CPU of the client", [f"{run.cpu_share:.0%}" for run in runs]


def environment(runs: Sequence[Results]) -> Iterator[Row]:
    """What is known of how each run was made; rows that would say nothing of any of them are left out."""
    told = [dict(_conditions(run)) for run in runs]
    for name in dict.fromkeys(name for each in told for name in each):
        values = [each.get(name, "") for each in told]
        if any(values):
            yield name, values


def _conditions(run: Results) -> Iterator[tuple[str, str]]:
    yield "URL", run.run.url
    yield "Requests from", _requests_file(run)
    yield "Method", run.run.method
    yield "At a time", f"{run.run.concurrency:,}, {'kept alive' if run.run.keep_alive else 'a connection each'}"
    yield "Model", "open: by a schedule (--rate)" if run.paced else "closed: a request follows an answer"
    yield "Time limit", f"{run.run.request_limit:g} s for one request"
    yield "Proxy", run.run.proxy or ""
    yield from (each for each in facts(run) if run.answered and each[0] != "Status")
    yield "Began", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min(run.run.started_at, _YEAR_9999)))
    yield "Ended", _ended(run)
    yield "Warm-up", f"{run.warmup.seconds:g} s, {run.warmup.requests:,} requests left out" if run.warmup else ""
    yield "Parts at work", f"{run.together.parts}, {run.together.lost} lost" if run.together else ""
    yield "Client", f"{run.cpu_share:.0%} of a core, opskit {run.run.version}"


def statuses(runs: Sequence[Results]) -> Iterator[Row]:
    for status in sorted({status for run in runs for status in run.status}):
        yield str(status), [f"{run.status.get(status, 0):,}" for run in runs]


def failures(runs: Sequence[Results]) -> Iterator[Row]:
    """The most frequent first; of --check also which."""
    totals = _added(run.failures for run in runs)
    for name, _ in totals.most_common():
        yield f"{name}: {MEANING[Failure(name)]}", [f"{run.failures.get(name, 0):,}" for run in runs]
        if name == Failure.CHECK:
            for check, _ in (+_added(run.checks or {} for run in runs)).most_common():
                yield f"– {check}", [f"{(run.checks or {}).get(check, 0):,}" for run in runs]


def _added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def lines(named: Sequence[Named]) -> Iterator[Line]:
    """For people on a terminal: what each run is, then blocks of as many runs as fit into 80 columns."""
    for number, each in enumerate(named, 1):
        yield [
            (f"run {number:<4}", "bold"),
            (each.name, ""),
            (f"   {each.results.run.url or each.results.run.requests_file}", "dim"),
        ]
    for first in range(0, len(named), _AT_ONCE):
        chunk = named[first : first + _AT_ONCE]
        yield []
        heads = "".join(f"{f'run {first + at}':>{_COLUMN}}" for at in range(1, len(chunk) + 1))
        yield [(f"{'':<{_NAME}}{heads}", "dim")]
        for name, values in figures([each.results for each in chunk]):
            style = "bold" if name in ("good requests/s", "p99, ms") else ""
            yield [(f"{name:<{_NAME}}", "dim"), ("".join(f"{value:>{_COLUMN}}" for value in values), style)]
    yield []
    yield [("Whether a difference is more than noise is another question: see docs/bench.md", "dim")]


def _unless_zero(name: str, counts: Iterable[int]) -> Iterator[Row]:
    values = list(counts)
    if any(values):
        yield name, [f"{value:,}" for value in values]


def _latencies(runs: Sequence[Histogram]) -> Iterator[Row]:
    chosen: list[tuple[str, Callable[[Histogram], float]]] = [
        *((f"p{percent:g}", partial(Histogram.percentile, percent=percent)) for percent in PERCENTS),
        ("max", lambda times: times.highest),
        ("mean", Histogram.mean),
    ]
    for name, figure in chosen:
        yield f"{name}, ms", [milliseconds(figure(times) / 1e6) if times.count else "-" for times in runs]


_YEAR_9999 = 253402300799.0  # where the calendar of strftime ends


def _requests_file(run: Results) -> str:
    file = run.requests_file
    if file is None:
        return ""
    name = "standard input" if run.run.requests_file == "-" else run.run.requests_file or ""
    return f"{name}: {file['lines']:,} lines, begun {file['wrapped'] + 1:,} times"


def _ended(run: Results) -> str:
    first = f"; the first failure: {run.reason}" if run.reason else ""
    return f"after {format_duration(run.seconds)}: {_ENDS[run.stop]}{first}"


_ENDS = {
    Stop.FINISHED: "every request was sent",
    Stop.TIME: "the time was up",
    Stop.INTERRUPTED: "by Ctrl-C",
    Stop.DEAD: "nothing answered",
    Stop.BAD_REQUEST: "at a bad line",
    Stop.SCRIPT: "the script failed",
}
