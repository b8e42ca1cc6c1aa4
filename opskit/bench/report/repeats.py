"""Several runs of one plan for people: the median of each figure, and how far the runs lie apart."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from opskit.bench import verdict
from opskit.bench.compare.comparing import FIGURES, Figure
from opskit.bench.report.figures import label, value
from opskit.bench.report.text import Line, heading
from opskit.bench.results import MEANING, Failure, Results
from opskit.units import format_duration


def lines(runs: Sequence[Results]) -> Iterator[Line]:
    yield from heading(runs[0])
    yield []
    seconds = format_duration(statistics.median(run.seconds for run in runs))
    good, failed = sum(run.good for run in runs), sum(run.failed for run in runs)
    yield [
        (f"{len(runs)} runs of {seconds}", "bold"),
        (f"   {good:,} good, ", ""),
        (f"{failed:,} failed", "bold red" if failed else ""),
    ]
    yield from _failures(runs)
    yield []
    yield [(f"{'':<13}{'median':>10}{'mean':>10}{'spread':>10}{'lowest':>10}{'highest':>10}", "dim")]
    for figure in FIGURES:
        if values := _values(figure, runs):
            yield _row(figure, values)
    yield []
    yield from _trust(runs)


def _values(figure: Figure, runs: Sequence[Results]) -> list[float]:
    return [measured for run in runs if (measured := figure.of(run)) is not None]


def _row(figure: Figure, values: Sequence[float]) -> Line:
    ends = [value(figure, each) for each in (min(values), max(values))]
    return [
        (f"{label(figure):<13}", ""),
        (f"{value(figure, statistics.median(values)):>10}", "bold"),
        (f"{value(figure, statistics.mean(values)):>10}{_spread(values):>10}", ""),
        ("".join(f"{each:>10}" for each in ends), ""),
    ]


def _spread(values: Sequence[float]) -> str:
    """The standard deviation as a share of the mean."""
    return f"{statistics.stdev(values) / statistics.mean(values):.1%}" if len(values) > 1 else "-"


def _failures(runs: Sequence[Results]) -> Iterator[Line]:
    counts = Counter[str]()
    for run in runs:
        counts.update(run.failures)
    for name, count in counts.most_common():
        yield [(f"  {count:>9,}  ", "red"), (f"{name:<16}", "bold"), (MEANING[Failure(name)], "")]


def _trust(runs: Sequence[Results]) -> Iterator[Line]:
    """The verdicts of the runs, counted, each with the evidence of the first run that has it."""
    found = [verdict.findings(run) for run in runs]
    valid = sum(map(verdict.is_valid, found))
    word = "VALID" if valid == len(runs) else f"doubtful in {len(runs) - valid} of {len(runs)} runs"
    yield [(f"{'These are':<13}", "dim"), (word, "bold green" if valid == len(runs) else "bold yellow")]
    counts = Counter(each.doubt for findings in found for each in findings)
    for doubt, count in counts.items():
        evidence = next(each.evidence for findings in found for each in findings if each.doubt is doubt)
        yield [(f"  {doubt.value:<16} ", ""), (f"{count} of {len(runs)}: {evidence}", "dim")]


def to_dict(runs: Sequence[Results]) -> dict[str, Any]:
    """The `data` of the envelope for several runs: each in full, and how they spread. Times in ms."""
    return {
        "repeat": len(runs),
        "spread": dict(_spreads(runs)),
        "runs": [{**run.to_dict(), "verdict": verdict.to_dict(run)} for run in runs],
    }


def _spreads(runs: Sequence[Results]) -> Iterator[tuple[str, dict[str, float]]]:
    for figure in FIGURES:
        values = [measured * figure.scale for measured in _values(figure, runs)]
        if values:
            yield (
                figure.key,
                {
                    "median": statistics.median(values),
                    "mean": statistics.mean(values),
                    "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
                    "min": min(values),
                    "max": max(values),
                },
            )
