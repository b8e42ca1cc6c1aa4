"""A comparison as a command delivers it: with its baseline, what was forced, and what speaks against it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opskit.bench.compare.comparable import Difference, refuse_unlike
from opskit.bench.compare.comparing import CONFIDENCE, Change, Comparison, compare
from opskit.bench.results import Results, Run
from opskit.bench.saved import load
from opskit.bench.verdict import Doubt, findings
from opskit.outcome import ErrorNote

# What repeats themselves show, or what holds of every run here, is no doubt about a comparison.
_BORNE = (Doubt.LOOPBACK_SHARED, Doubt.SHORT)


@dataclass(frozen=True)
class Baseline:
    """The runs to compare with. `name` is their file or URL; `forced` is what was asked otherwise."""

    name: str
    runs: tuple[Results, ...]
    tolerance: float
    forced: tuple[Difference, ...] = ()
    in_turn: bool = False  # measured together with the new ones, run by run


@dataclass(frozen=True)
class Compared:
    baseline: Baseline
    comparison: Comparison
    doubts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        found = self.comparison
        return {
            "baseline": self.baseline.name,
            "runs": {"new": found.runs[0], "old": found.runs[1]},
            "method": found.method.value,
            "confidence": CONFIDENCE,
            "tolerance": found.tolerance,
            "finding": found.finding.value,
            "changes": [_change_dict(change) for change in found.changes],
            "forced": [each.to_dict() for each in self.baseline.forced],
            "doubts": list(self.doubts),
        }

    def notes(self) -> Iterator[ErrorNote]:
        """One for each regression beyond the tolerance."""
        for change in self.comparison.regressions:
            yield ErrorNote("regression", _regression(change, self.baseline), _HINT)


_HINT = "the report's comparison says how sure this is; --repeat 5 or more makes it surer"


def read_baseline(path: str, run: Run, *, tolerance: float, force: bool) -> Baseline:
    """The runs in a file, if they can be compared with `run`. Raises Misuse."""
    runs = load(path)
    return Baseline(path, runs, tolerance, tuple(refuse_unlike(run, runs[0].run, path, force=force)))


def compared(new: Sequence[Results], baseline: Baseline) -> Compared:
    old = baseline.runs
    if baseline.in_turn:  # Ctrl-C may have come between the two runs of a pair
        count = min(len(new), len(old))
        new, baseline = new[:count], replace(baseline, runs=old[:count])
    comparison = compare(new, baseline.runs, tolerance=baseline.tolerance, paired=baseline.in_turn)
    return Compared(baseline, comparison, tuple(_doubts(new, baseline.runs)))


def _doubts(new: Sequence[Results], old: Sequence[Results]) -> Iterator[str]:
    """Those of the runs' own verdicts that make a comparison doubtful too, counted."""
    for runs, when in ((new, "now"), (old, "then")):
        counts = Counter(each.doubt for run in runs for each in findings(run))
        for doubt, count in counts.items():
            if doubt not in _BORNE:
                yield f"{doubt.value}: {count} of {len(runs)} runs {when}"


def _change_dict(change: Change) -> dict[str, Any]:
    """Times in ms, as everywhere in the JSON; `ratio` and its interval are new through old."""
    scale = change.figure.scale
    return {
        "figure": change.figure.key,
        "new": change.new * scale if change.new is not None else None,
        "old": change.old * scale if change.old is not None else None,
        "ratio": change.ratio,
        "low": change.low,
        "high": change.high,
        "detectable": change.detectable,
        "finding": change.finding.value,
    }


def _regression(change: Change, baseline: Baseline) -> str:
    assert change.ratio is not None
    size = abs(change.ratio - 1)
    word = "lower" if change.figure.more_is_better else "higher"
    return f"{change.figure.name} is {size:.1%} {word} than {baseline.name}, beyond {baseline.tolerance * 100:g}%"
