"""A comparison for people: each figure now and then, how far apart, how sure that is, and what could be seen."""

from collections.abc import Iterator

from opskit.bench.compare.compared import Compared
from opskit.bench.compare.comparing import BETWEEN_RUNS, FEWEST_SECONDS, Change, Finding, Method
from opskit.bench.report.figures import label, value
from opskit.bench.report.text import Line

_TENFOLD = 10.0  # from here on a factor reads better than a percentage
_WORDS = {
    Finding.REGRESSION: ("REGRESSION", "bold red"),
    Finding.WORSE: ("worse, tolerated", "yellow"),
    Finding.BETTER: ("better", "bold green"),
    Finding.SAME: ("no difference seen", ""),
    Finding.UNKNOWN: ("too little to tell", "yellow"),
}


def lines(compared: Compared) -> Iterator[Line]:
    yield [("Compared with ", "dim"), (compared.baseline.name, "bold")]
    for each in compared.baseline.forced:
        yield [("  forced       ", "yellow"), (str(each), "")]
    yield [
        (f"{'':<10}{'now':>9}{'then':>9}{'change':>8}{'between':>17}{'seen':>7}", "dim"),
    ]
    for change in compared.comparison.changes:
        yield _row(change)
    yield []
    yield _conclusion(compared)
    yield from _method(compared)
    for doubt in compared.doubts:
        yield [("  doubtful     ", "yellow"), (doubt, "")]


def _row(change: Change) -> Line:
    return [
        (f"{label(change.figure):<10}", ""),
        (f"{value(change.figure, change.new):>9}{value(change.figure, change.old):>9}", ""),
        (f"{_percent(change.ratio) if change.ratio else '-':>8}", "bold"),
        (f"{_between(change):>17}", "dim"),
        (f"{_share(change.detectable) if change.detectable else '':>7}  ", "dim"),
        _WORDS[change.finding],
    ]


def _between(change: Change) -> str:
    """The interval; the unit stands once, where both ends have the same."""
    if not change.low or not change.high:
        return ""
    low, high = _percent(change.low), _percent(change.high)
    return f"{low.removesuffix('%') if high.endswith('%') else low} to {high}"


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f}%" if ratio < _TENFOLD else f"×{ratio:.3g}"


def _share(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}" if share < _TENFOLD else f"×{share + 1:.2g}"


def _conclusion(compared: Compared) -> Line:
    found = compared.comparison.finding
    tolerated = f"{compared.comparison.tolerance * 100:g}%"
    says = {
        Finding.REGRESSION: f"worse beyond the noise, by more than the {tolerated} tolerated",
        Finding.WORSE: f"worse beyond the noise, within the {tolerated} tolerated",
        Finding.BETTER: "better beyond the noise, and nothing worse",
        Finding.SAME: "no difference seen",
        Finding.UNKNOWN: "too little evidence to tell",
    }
    return [(f"{'This is':<13}", "dim"), (says[found], _WORDS[found][1] or "bold")]


def _method(compared: Compared) -> Iterator[Line]:
    """What was judged, in words; docs/bench.md has them all."""
    now, then = compared.comparison.runs
    says = {
        Method.PAIRS: (f"{now} pairs of runs in turn: Student's t on the differences of logarithms",),
        Method.RUNS: (f"{now} {'run' if now == 1 else 'runs'} now and {then} then: Welch's t on logarithms",),
        Method.SECONDS: (
            "one run a side: its seconds, and how they hang together;",
            f"between runs {BETWEEN_RUNS:.0%} is assumed: --repeat 5 would measure it",
        ),
        Method.NONE: (
            f"one run a side, and not {FEWEST_SECONDS} whole seconds in both: nothing tells",
            "the noise; --repeat 5 does",
        ),
    }
    yield [("  judged by    ", "dim"), (says[compared.comparison.method][0], "dim")]
    for more in says[compared.comparison.method][1:]:
        yield [(" " * 15 + more, "dim")]
    if compared.comparison.method is not Method.NONE:
        yield [(" " * 15 + "all four intervals hold together in 95 of 100 comparisons;", "dim")]
        yield [(" " * 15 + "seen: a change for the worse of so much would be, mostly", "dim")]
