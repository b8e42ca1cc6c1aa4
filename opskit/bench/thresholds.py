"""`--fail-if 'p99 > 250ms'`: conditions on the figures of a run, in the toolkit's grammar."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from opskit.bench.histogram import PERCENTS, Histogram
from opskit.bench.results import Results
from opskit.conditions import Kind, MetricCondition, describe, parse_metric

_PERCENTILES = {f"p{percent:g}": percent for percent in PERCENTS}
METRICS: Mapping[str, Kind] = {
    **dict.fromkeys(_PERCENTILES, Kind.DURATION),
    "min": Kind.DURATION,
    "mean": Kind.DURATION,
    "max": Kind.DURATION,
    "rate": Kind.RATE,
    "requests": Kind.COUNT,
    "good": Kind.SHARE,
    "failed": Kind.SHARE,
    "non_2xx": Kind.SHARE,
    "unsent": Kind.SHARE,
    "status.*": Kind.SHARE,
}


@dataclass(frozen=True)
class Crossed:
    """A threshold that a run crossed, and the figure that did it; `figure` is "" where there were no samples."""

    condition: MetricCondition
    figure: str
    excess: str = ""  # how far beyond the limit it is

    def __str__(self) -> str:
        if not self.figure:
            return f"{self.condition}: there is no figure to judge, not one request was answered"
        return f"{self.condition}: it is {self.figure}" + (f", {self.excess}" if self.excess else "")


def parse_thresholds(texts: Iterable[str]) -> tuple[MetricCondition, ...]:
    """Raises BadCondition."""
    return tuple(parse_metric(text, METRICS) for text in texts)


def crossed(conditions: Iterable[MetricCondition], results: Results) -> list[Crossed]:
    """Those that hold, and those that nothing was measured for."""
    return list(_judged_as(True, conditions, results))


def not_held(conditions: Iterable[MetricCondition], results: Results) -> list[Crossed]:
    """Those that do not hold, and those that nothing was measured for."""
    return list(_judged_as(False, conditions, results))


def _judged_as(bad: bool, conditions: Iterable[MetricCondition], results: Results) -> Iterator[Crossed]:
    """The conditions that are as `bad` says, with the figure; and those without one."""
    for each in conditions:
        kind = each.condition.kind
        value = _value(each.metric, results)
        whole = float(results.started) if kind is Kind.SHARE else None
        if value is None:
            yield Crossed(each, "")
        elif each.condition.holds(value, whole) is bad:
            yield Crossed(each, describe(value, kind, whole), _excess(each, value, whole))


def _excess(condition: MetricCondition, value: float, whole: float | None) -> str:
    """By how much a figure is beyond the one limit of its condition; nothing for a limit of 0."""
    bounds = condition.condition.any_of[0]
    limit = bounds[0].limit
    if bounds[0].percent and whole:
        value = value / whole * 100
    if len(bounds) > 1 or not limit or value == limit:
        return ""
    return f"{abs(value / limit - 1):.1%} {'above' if value > limit else 'below'} the limit"


def _value(metric: str, results: Results) -> float | None:
    """A figure in the base unit of its kind; None where there are no samples. Latencies are those of `judged`."""
    counts = {
        "rate": results.rate,
        "requests": results.started,
        "good": results.good,
        "failed": results.failed,
        "non_2xx": results.non_2xx,
        "unsent": results.unsent,
    }
    if metric in counts:
        return float(counts[metric]) if results.started else None
    if metric.startswith("status."):
        return _with_status(metric.removeprefix("status."), results)
    return _latency(metric, judged(results))


def judged(results: Results) -> Histogram:
    """With a rate the response times, which count from when a request was due; else the totals."""
    return results.latencies.response if results.paced else results.latencies.total


def _latency(metric: str, times: Histogram) -> float | None:
    if not times.count:
        return None
    if metric in _PERCENTILES:
        return times.percentile(_PERCENTILES[metric]) / 1e9
    return {"min": times.lowest, "mean": times.mean(), "max": times.highest}[metric] / 1e9


def _with_status(which: str, results: Results) -> float | None:
    """How many answers had the status `404`, or one of the class `5xx`."""
    if not results.answered:
        return None
    first = which.lower().removesuffix("xx")
    return float(sum(count for status, count in results.status.items() if str(status).startswith(first)))
