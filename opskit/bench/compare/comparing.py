"""Are two sets of runs different beyond their noise? Pure statistics: results in, changes out.

Each figure is judged on its logarithm, so that an effect is a ratio and its interval lies around it:

- *pairs*: runs that were measured in turn. Student's t on the differences within the pairs, in which what slowed
  the whole machine down for a while cancels out.
- *runs*: Welch's t on the runs of the two sides. Where one side has a single run, the spread of the other stands
  for both (the pooled form of Student's t). How the machine itself changed from one set to the other cannot be
  seen in either, and a little of that is assumed (`BETWEEN_TIMES`).
- *seconds*: one run a side. The seconds of a run are a series in which neighbours resemble each other; they count
  for as many independent ones as their autocorrelation leaves (Bayley and Hammersley 1946). What differs from one
  run to the next cannot be seen from inside one, and is assumed (`BETWEEN_RUNS`).

Four figures are judged at once, so each interval is made at 1 - 0.05/4 (Bonferroni): in 95 of 100 comparisons of
things that do not differ, none of the four is called different.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from opskit.bench.results import Results
from opskit.bench.series import Second
from opskit.bench.thresholds import judged

CONFIDENCE = 0.95  # of all intervals of one comparison together
POWER = 0.95  # the share of differences of `detectable` size that would have been seen
RESOLUTION = 5e-4  # standard deviation, as a share: what three digits of a histogram cannot tell apart
BETWEEN_RUNS = 0.02  # standard deviation, as a share, assumed between two single runs of the same thing
BETWEEN_TIMES = 0.005  # the same between two sets of runs: the machine is not quite what it was a while ago
FEWEST_SECONDS = 5  # of a run, without its first and an unfinished last, that can be judged
WHOLE_SECOND = 0.95


class Method(StrEnum):
    PAIRS = "pairs"
    RUNS = "runs"
    SECONDS = "seconds"
    NONE = "none"


class Finding(StrEnum):
    """What is said of one figure. Only REGRESSION makes a comparison fail."""

    REGRESSION = "regression"  # worse beyond the noise, by more than the tolerance
    WORSE = "worse"  # beyond the noise, within the tolerance
    BETTER = "better"  # beyond the noise
    SAME = "no_difference_seen"
    UNKNOWN = "too_little_evidence"


@dataclass(frozen=True)
class Figure:
    """One figure of a run; `of` gives None where it has no samples. Times in ns, rates per second."""

    name: str
    of: Callable[[Results], float | None]
    more_is_better: bool = False

    @property
    def is_time(self) -> bool:
        return not self.more_is_better

    @property
    def key(self) -> str:
        """Its name in JSON, where times are in ms."""
        return f"{self.name}_ms" if self.is_time else self.name

    @property
    def scale(self) -> float:
        """What makes of a value the one under `key`."""
        return 1e-6 if self.is_time else 1.0


def _percentile(percent: float) -> Callable[[Results], float | None]:
    return lambda results: judged(results).percentile(percent) or None


FIGURES = (
    Figure("rate", lambda results: results.rate or None, more_is_better=True),
    Figure("mean", lambda results: judged(results).mean() or None),
    Figure("p50", _percentile(50)),
    Figure("p99", _percentile(99)),
)
_EACH = 1 - (1 - CONFIDENCE) / len(FIGURES)  # Bonferroni


class Effect(NamedTuple):
    """A difference of two logarithms, its standard error and the degrees of freedom of that."""

    difference: float
    error: float
    freedom: float


@dataclass(frozen=True)
class Change:
    """One figure on both sides. `ratio` is new through old, between `low` and `high`; None where none is known.

    `detectable` is the smallest change for the worse, as a share, that would have been seen 19 times in 20.
    """

    figure: Figure
    finding: Finding
    old: float | None
    new: float | None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class Comparison:
    method: Method
    runs: tuple[int, int]  # new, old
    changes: tuple[Change, ...]
    tolerance: float

    @property
    def regressions(self) -> list[Change]:
        return [change for change in self.changes if change.finding is Finding.REGRESSION]

    @property
    def finding(self) -> Finding:
        """The gravest of all; better only where nothing is worse."""
        found = {change.finding for change in self.changes}
        return next((each for each in Finding if each in found), Finding.UNKNOWN)


def compare(
    new: Sequence[Results], old: Sequence[Results], *, tolerance: float, paired: bool = False
) -> Comparison:
    """Judge every figure. `paired` says that new[i] and old[i] were measured in turn."""
    method = _method(new, old, paired=paired)
    changes = tuple(_change(figure, new, old, method, tolerance) for figure in FIGURES)
    return Comparison(method, (len(new), len(old)), changes, tolerance)


def _method(new: Sequence[Results], old: Sequence[Results], *, paired: bool) -> Method:
    if paired and len(new) == len(old) > 1:
        return Method.PAIRS
    if new and old and len(new) + len(old) > 2:
        return Method.RUNS
    if new and old and all(len(judged_seconds(runs[0])) >= FEWEST_SECONDS for runs in (new, old)):
        return Method.SECONDS
    return Method.NONE


def _change(
    figure: Figure, new: Sequence[Results], old: Sequence[Results], method: Method, tolerance: float
) -> Change:
    now, then = _logs(figure, new), _logs(figure, old)
    if now is None or then is None:
        return Change(figure, Finding.UNKNOWN, _centre(then), _centre(now))
    if method is Method.NONE:
        ratio = math.exp(statistics.mean(now) - statistics.mean(then))
        return Change(figure, Finding.UNKNOWN, _centre(then), _centre(now), ratio)
    effect = _EFFECTS[method](figure, new, old)
    if effect is None:
        return Change(figure, Finding.UNKNOWN, _centre(then), _centre(now))
    return _judge(figure, effect, _centre(then), _centre(now), tolerance)


def _judge(figure: Figure, effect: Effect, old: float | None, new: float | None, tolerance: float) -> Change:
    margin = student_quantile((1 + _EACH) / 2, effect.freedom) * effect.error
    visible = margin + student_quantile(POWER, effect.freedom) * effect.error
    ratio = math.exp(effect.difference)
    return Change(
        figure,
        _finding(figure, effect.difference, margin, tolerance),
        old,
        new,
        ratio,
        _exp(effect.difference - margin),
        _exp(effect.difference + margin),
        1 - math.exp(-visible) if figure.more_is_better else _exp(visible) - 1,
    )


def _finding(figure: Figure, difference: float, margin: float, tolerance: float) -> Finding:
    if abs(difference) <= margin:
        return Finding.SAME
    if (difference > 0) == figure.more_is_better:
        return Finding.BETTER
    return Finding.REGRESSION if abs(math.expm1(difference)) > tolerance else Finding.WORSE


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # the largest that a float can hold


def _logs(figure: Figure, runs: Sequence[Results]) -> list[float] | None:
    """None unless every run has the figure."""
    values = [figure.of(run) for run in runs]
    return [math.log(value) for value in values if value] if values and all(values) else None


def _centre(logs: Sequence[float] | None) -> float | None:
    """The geometric mean: the ratio of two of them is the effect."""
    return math.exp(statistics.mean(logs)) if logs else None


# The effects


def _of_pairs(figure: Figure, new: Sequence[Results], old: Sequence[Results]) -> Effect | None:
    return paired_effect(_logs(figure, new) or (), _logs(figure, old) or ())


def _of_runs(figure: Figure, new: Sequence[Results], old: Sequence[Results]) -> Effect | None:
    effect = welch_effect(_logs(figure, new) or (), _logs(figure, old) or ())
    return effect._replace(error=math.hypot(effect.error, BETWEEN_TIMES * math.sqrt(2)))


def paired_effect(new: Sequence[float], old: Sequence[float]) -> Effect:
    """Student's t on the differences of logarithms that belong together."""
    differences = [now - then for now, then in zip(new, old, strict=True)]
    count = len(differences)
    spread = max(statistics.stdev(differences), RESOLUTION * math.sqrt(2))
    return Effect(statistics.mean(differences), spread / math.sqrt(count), count - 1)


def welch_effect(new: Sequence[float], old: Sequence[float]) -> Effect:
    """Welch's t on logarithms (Biometrika 34, 1947); with one value on a side, Student's with one spread."""
    difference = statistics.mean(new) - statistics.mean(old)
    if min(len(new), len(old)) == 1:
        many = max(new, old, key=len)
        spread = max(statistics.stdev(many), RESOLUTION)
        return Effect(difference, spread * math.sqrt(1 + 1 / len(many)), len(many) - 1)
    parts = [(_variance(side) / len(side), len(side) - 1) for side in (new, old)]
    return _joined(difference, parts)


def _variance(values: Sequence[float]) -> float:
    return max(statistics.variance(values), RESOLUTION**2)


def _joined(difference: float, parts: Sequence[tuple[float, float]]) -> Effect:
    """The effect from each side's squared error and its degrees of freedom (Satterthwaite 1946)."""
    total = sum(square for square, _ in parts)
    freedom = total**2 / sum(square**2 / freedom for square, freedom in parts)
    return Effect(difference, math.sqrt(total), freedom)


def judged_seconds(results: Results) -> list[Second]:
    """The whole seconds of a run, but the first, in which connections are made."""
    return [each for each in results.series[1:] if each.seconds >= WHOLE_SECOND]


def _of_seconds(figure: Figure, new: Sequence[Results], old: Sequence[Results]) -> Effect | None:
    """None where too many seconds have no such figure; that of the mean is not kept."""
    of = _OF_A_SECOND.get(figure.name)
    if of is None:
        return None
    sides = [[value for each in judged_seconds(side[0]) if (value := of(each)) is not None] for side in (new, old)]
    return series_effect(*sides) if all(len(side) >= FEWEST_SECONDS for side in sides) else None


_OF_A_SECOND: dict[str, Callable[[Second], float | None]] = {
    "rate": lambda second: second.good / second.seconds,
    "p50": lambda second: second.p50 or None,
    "p99": lambda second: second.p99 or None,
}


def series_effect(new: Sequence[float], old: Sequence[float]) -> Effect | None:
    """The effect between two series of whole seconds, by the delta method; None if one of them is all zero."""
    means = [statistics.mean(side) for side in (new, old)]
    if not all(means):
        return None
    parts = []
    for side, mean in zip((new, old), means, strict=True):
        independent = independent_values(side)
        square = statistics.variance(side) / mean**2 / independent + RESOLUTION**2
        parts.append((square, independent - 1))
    within = _joined(math.log(means[0] / means[1]), parts)
    return within._replace(error=math.hypot(within.error, BETWEEN_RUNS * math.sqrt(2)))


def independent_values(series: Sequence[float]) -> float:
    """How many independent values a series is worth: n (1 - r) / (1 + r), r the correlation of neighbours.

    r is raised by its own bias, about (1 + 4 r) / n (Kendall 1954), and never taken as negative; at least 2.
    """
    count = len(series)
    mean = statistics.mean(series)
    square = sum((value - mean) ** 2 for value in series)
    if not square:
        return float(count)
    neighbours = sum((one - mean) * (other - mean) for one, other in pairwise(series))
    correlation = neighbours / square
    correlation = min(max(correlation + (1 + 4 * correlation) / count, 0.0), 0.99)
    return max(2.0, count * (1 - correlation) / (1 + correlation))


_EFFECTS: dict[Method, Callable[[Figure, Sequence[Results], Sequence[Results]], Effect | None]] = {
    Method.PAIRS: _of_pairs,
    Method.RUNS: _of_runs,
    Method.SECONDS: _of_seconds,
}


# Student's t


def student_probability(t: float, freedom: float) -> float:
    """P(T <= t) of Student's t: the density, with t = √freedom tan x a power of cos x, by Simpson's rule."""
    end = math.atan(abs(t) / math.sqrt(freedom))
    steps = 128
    width = end / steps
    ordinates = [math.cos(index * width) ** (freedom - 1) for index in range(steps + 1)]
    area = width / 3 * (ordinates[0] + ordinates[-1] + 4 * sum(ordinates[1:-1:2]) + 2 * sum(ordinates[2:-1:2]))
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    return 0.5 + math.copysign(min(scale * area, 0.5), t)


def student_quantile(probability: float, freedom: float) -> float:
    """The t that `probability` (0.5 to 1) of Student's distribution does not exceed."""
    low, high = 0.0, 1.0
    while student_probability(high, freedom) < probability:
        low, high = high, high * 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_probability(middle, freedom) < probability else (low, middle)
    return high
