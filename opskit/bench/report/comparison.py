"""A comparison for people: each figure now and then, how far apart, how sure that is, and what could be seen."""

from collections.abc import Iterator

from opskit.bench.compared import Compared
from opskit.bench.comparing import BETWEEN_RUNS, FEWEST_SECONDS, Change, Finding, Method
from opskit.bench.report.figures import label, value
from opskit.bench.report.text import Line

_WORDS = {
    Finding.REGRESSION: ("REGRESSION", "bold red"),
    Finding.WORSE: ("worse, but tolerated", "yellow"),
    Finding.BETTER: ("better", "bold green"),
    Finding.SAME: ("no difference seen", ""),
    Finding.UNKNOWN: ("too little to tell", "yellow"),
}


def lines(compared: Compared) -> Iterator[Line]:
    now, then = compared.comparison.runs
    yield [("Compared with ", "dim"), (compared.baseline.name, "bold")]
    for each in compared.baseline.forced:
        yield [("  forced       ", "yellow"), (str(each), "")]
    yield [
        (f"{f'runs: {now}, {then}':<13}", "dim"),
        (f"{'now':>9}{'then':>9}{'change':>9}{'between':>19}", "dim"),
    ]
    for change in compared.comparison.changes:
        yield _row(change)
    yield []
    yield _conclusion(compared)
    yield from _method(compared)
    yield from _detectable(compared.comparison.changes)
    for doubt in compared.doubts:
        yield [("  doubtful     ", "yellow"), (doubt, "")]


def _row(change: Change) -> Line:
    shift = _percent(change.ratio) if change.ratio else "-"
    between = f"{_percent(change.low)} to {_percent(change.high)}" if change.low and change.high else ""
    return [
        (f"{label(change.figure):<13}", ""),
        (f"{value(change.figure, change.new):>9}{value(change.figure, change.old):>9}", ""),
        (f"{shift:>9}", "bold"),
        (f"{between:>19}  ", "dim"),
        _WORDS[change.finding],
    ]


def _percent(ratio: float) -> str:
    if ratio >= 10:
        return f"×{ratio:.3g}" if ratio < 1e4 else "any"
    return f"{(ratio - 1) * 100:+.1f}%"


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
    says = {
        Method.PAIRS: ("pairs of runs in turn: Student's t on the differences",),
        Method.RUNS: ("the spread from run to run: Welch's t on logarithms",),
        Method.SECONDS: (
            "one run a side: the spread of its seconds, with how they hang together;",
            f"what differs between runs is taken to be {BETWEEN_RUNS:.0%}; --repeat 5 measures it",
        ),
        Method.NONE: (
            f"one run a side, without {FEWEST_SECONDS} whole seconds in both: nothing tells the noise;",
            "--repeat 5 does",
        ),
    }
    yield [("  judged by    ", "dim"), (says[compared.comparison.method][0], "dim")]
    for more in says[compared.comparison.method][1:]:
        yield [(" " * 15 + more, "dim")]
    if compared.comparison.method is not Method.NONE:
        yield [(" " * 15 + "all four intervals hold together in 95 of 100 comparisons", "dim")]


def _detectable(changes: tuple[Change, ...]) -> Iterator[Line]:
    """The smallest changes for the worse that would have been seen."""
    sizes = [f"{each.figure.name} {_share(each.detectable)}" for each in changes if each.detectable]
    if sizes:
        yield [("  would be seen", "dim"), (f" 19 times in 20, if worse by: {', '.join(sizes)}", "dim")]


def _share(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}" if share < 10 else "more than tenfold"
