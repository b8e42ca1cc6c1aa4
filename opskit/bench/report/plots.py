"""Runs as pictures: SVG by matplotlib, drawn in the colours of the page that they stand in.

No text of a run is ever drawn, only our own words and figures, so that nothing in them could be read as markup or
as mathematics. Colours stand in the style as CSS variables, which the page sets for light, dark and paper.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from opskit.bench.histogram import Histogram
from opskit.bench.report.text import buckets
from opskit.bench.results import Results
from opskit.bench.series import Second
from opskit.bench.thresholds import judged
from opskit.errors import Unable
from opskit.units import format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = 6  # of runs; the page has as many, and dashes tell the rest apart
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
_WIDTH, _HEIGHT = 4.6, 2.8  # inches: as wide as a phone, so that the words are readable there as well
_POINTS = 300  # of a percentile curve
_BARS = 60
_NARROWEST_BAR = 0.004  # of the logarithm: a few cells of the histogram, or it would look like a comb
_MUCH = 30  # times the smallest, from where only a logarithmic axis shows both

# What matplotlib draws with, for what the page calls its colours.
_INK, _DIM, _LINE, _BAD = "#0000f0", "#0000f1", "#0000f2", "#0000f3"
_RUNS = [f"#0000e{index}" for index in range(COLOURS)]
_VARIABLES = {_INK: "--ink", _DIM: "--dim", _LINE: "--line", _BAD: "--bad"} | {
    colour: f"--run-{index}" for index, colour in enumerate(_RUNS)
}

Picture = Callable[["Axes", Sequence[Results]], None]


def require_plots() -> None:
    """Raises Unable where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise Unable(
            "--html draws with matplotlib, which is not installed",
            hint="pip install 'opskit[plot]'",
            code="missing_extra",
        )


def percentile_curve(axes: "Axes", runs: Sequence[Results]) -> None:
    """Latency over 1 / (1 - p), as HdrHistogram's plots have it: every nine takes as much room."""
    shown = [(judged(run), index, _dash(index), "response" if run.paced else "") for index, run in enumerate(runs)]
    if len(runs) == 1 and runs[0].paced:
        shown.append((runs[0].latencies.total, 0, _DASHES[2], "service"))
    shown = [each for each in shown if each[0].count]
    for times, index, dash, label in shown:
        xs, ys = zip(*curve(times), strict=True)
        axes.plot(xs, ys, color=_colour(index), linestyle=dash, linewidth=1.6, label=label)
    most = max(times.count for times, *_ in shown)
    nines = [(2.0, "50 %"), *((10.0**n, f"{100 - 100 / 10**n:.10g} %") for n in range(1, 10))]
    ticks = [(x, name) for x, name in nines if x <= max(most, 2)]
    axes.set_xscale("log")
    axes.set_xlim(1, max(most, 2) * 1.05)
    axes.set_xticks([x for x, _ in ticks], [name for _, name in ticks])
    axes.minorticks_off()
    _latency_axis(axes, [times.percentile(50) for times, *_ in shown], [times.highest for times, *_ in shown])
    if len(shown) > len(runs):
        _legend(axes)


def latency_over_time(axes: "Axes", runs: Sequence[Results]) -> None:
    """p99 in each second; of a single run also the median and the maximum."""
    for index, run in enumerate(runs):
        answered = [second for second in run.series if second.max]
        middles = [float(second.at + second.seconds / 2) for second in answered]
        colour = _colour(index)
        p99s = [float(second.p99) for second in answered]
        axes.plot(middles, p99s, color=colour, linestyle=_dash(index), linewidth=1.6, label="p99")
        if len(runs) == 1:
            axes.scatter(middles, [float(second.max) for second in answered], color=colour, s=5, label="maximum")
            p50s = [float(second.p50) for second in answered]
            axes.plot(middles, p50s, color=colour, linestyle=_DASHES[2], linewidth=1.2, label="median")
            axes.fill_between(middles, p50s, p99s, color=colour, alpha=0.12, linewidth=0)
    seconds = [second for run in runs for second in run.series if second.max]
    tops = [second.max if len(runs) == 1 else second.p99 for second in seconds]
    _latency_axis(axes, [second.p50 for second in seconds], tops)
    _time_axis(axes, runs)
    if len(runs) == 1:
        _legend(axes)


def rate_over_time(axes: "Axes", runs: Sequence[Results]) -> None:
    """Good requests a second; of a single run also those that failed."""
    for index, run in enumerate(runs):
        if not run.series:
            continue
        colour = _colour(index)
        values, edges = _steps(run.series, [second.good for second in run.series])
        axes.stairs(
            values, edges, baseline=None, color=colour, linestyle=_dash(index), linewidth=1.6, label="good"
        )
        if len(runs) == 1:
            axes.stairs(values, edges, fill=True, color=colour, alpha=0.12)
            if run.failed:
                values, edges = _steps(run.series, [second.failed for second in run.series])
                axes.stairs(
                    values, edges, baseline=None, color=_BAD, linewidth=1.6, linestyle=(0, (3, 2)), label="failed"
                )
                _legend(axes)
    axes.set_ylim(0, 1.08 * max(axes.dataLim.ymax, 1))
    axes.yaxis.set_major_locator(_nice(5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.{0 if value == int(value) else 1}f}/s")
    _time_axis(axes, runs)


def distribution(axes: "Axes", runs: Sequence[Results]) -> None:
    """What share of the requests took how long, in steps that are equal in the logarithm."""
    tops = []
    for index, run in enumerate(runs):
        times, colour = judged(run), _colour(index)
        if times.count:
            shares, edges = bars(times)
            tops.append(max(shares))
            if len(runs) == 1:
                axes.stairs(shares, edges, fill=True, color=colour, alpha=0.85)
            else:
                axes.stairs(shares, edges, color=colour, linestyle=_dash(index), linewidth=1.4)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.08 * max(tops))
    axes.xaxis.set_major_formatter(lambda value, _: _duration(value))
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    _readable_log_ticks(axes.xaxis, *axes.get_xlim(), most=30)
    axes.yaxis.set_major_locator(_nice(5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g} %")


def curve(times: Histogram) -> list[tuple[float, float]]:
    """(1 / (1 - p), ns) from the smallest sample on; the largest stands at the end, over the one before it."""
    steps = [times.count ** (step / _POINTS) for step in range(_POINTS + 1)]
    percents = [100 * (1 - 1 / x) for x in steps]
    values = map(float, times.percentiles(percents))
    return [*zip(steps, values, strict=True), (float(times.count), float(times.highest))]


def bars(times: Histogram) -> tuple[list[float], list[float]]:
    """The share of the samples in each bar, in percent, and the ends of the bars in ns, one more than bars."""
    import math

    lowest, highest = max(times.lowest, 1), max(times.highest, 1)
    many = max(1, min(_BARS, int(math.log(highest / lowest) / _NARROWEST_BAR)))
    found = buckets(times, many)
    edges = [float(lowest), *(float(upper) for upper, _ in found)]
    if len(found) == 1:
        edges = [lowest * 0.98, highest * 1.02]
    return [100 * count / times.count for _, count in found], edges


def over_time(runs: Sequence[Results]) -> bool:
    """Whether there is enough of a course to be drawn."""
    return any(len(run.series) > 1 for run in runs)


def svg(name: str, picture: Picture, runs: Sequence[Results]) -> str:
    """An `<svg>` element to stand in a page; its ids begin with `name`."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()  # whatever style the person prefers for their own plots
        mpl.rcParams.update({**_STYLE, "svg.hashsalt": name})
        figure = Figure((_WIDTH, _HEIGHT), layout="constrained")
        FigureCanvasSVG(figure)  # so that no other back end is looked for
        axes = figure.add_subplot()
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        picture(axes, runs)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _for_a_page(name, written.getvalue())


_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,
    "font.size": 9,
    "text.color": _INK, "axes.edgecolor": _DIM, "axes.labelcolor": _DIM, "xtick.color": _DIM, "ytick.color": _DIM,
    "grid.color": _LINE, "grid.linewidth": 0.6, "axes.linewidth": 0.8,
    "xtick.major.width": 0.8, "ytick.major.size": 0, "ytick.minor.size": 0, "xtick.minor.size": 0,
    "figure.facecolor": "none", "axes.facecolor": "none",
    "figure.constrained_layout.h_pad": 0.03, "figure.constrained_layout.w_pad": 0.03,
    "legend.frameon": False, "legend.fontsize": 9, "legend.handlelength": 1.8,
}  # fmt: skip


def _for_a_page(name: str, document: str) -> str:
    """The element alone: without prologue, fixed size, namespaces and a style that would hold for all the page."""
    text = document[document.index("<svg") :]
    text = re.sub(r"<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg[^>]*?(viewBox="[^"]+")[^>]*>', r'<svg \1 role="presentation">', text, count=1)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]+|font-family: [^;\"]+", _only_the_size, text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return re.sub(r"\s*\n\s*", "\n", text)


def _only_the_size(match: "re.Match[str]") -> str:
    return f"font-size: {match[1]}px" if match[1] else "font-family: inherit"


def _colour(index: int) -> str:
    return _RUNS[index % COLOURS]


def _dash(index: int) -> Any:
    """A matplotlib line style: the colour is never all that tells two runs apart."""
    return _DASHES[index % len(_DASHES)]


def dash_array(index: int) -> str:
    """`_dash` for the stroke-dasharray of the page's own key."""
    dash = _dash(index)
    return "" if isinstance(dash, str) else " ".join(f"{2 * length:g}" for length in dash[1])


def _steps(series: Sequence[Second], counts: Sequence[int]) -> tuple[list[float], list[float]]:
    """Counts a second, and where each interval begins, with the end of the last."""
    edges = [float(second.at) for second in series]
    values = [
        count / second.seconds if second.seconds else 0.0 for count, second in zip(counts, series, strict=True)
    ]
    return values, [*edges, series[-1].at + series[-1].seconds]


def _latency_axis(axes: "Axes", typical: Sequence[float], tops: Sequence[float]) -> None:
    low, high = max(1.0, min(typical, default=1)), float(max(tops, default=1))
    if high > _MUCH * low:
        axes.set_yscale("log")
        _readable_log_ticks(axes.yaxis, *axes.get_ylim(), most=3000)
    else:
        axes.set_ylim(0, high * 1.08)
        axes.yaxis.set_major_locator(_nice(5))
    axes.yaxis.set_major_formatter(lambda value, _: _duration(value))
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _readable_log_ticks(axis: Any, low: float, high: float, *, most: float) -> None:
    """Decades; 2 and 5 as well up to `most` between the ends; even steps within less than one."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_minor_locator(NullLocator())
    if high < 8 * low:
        axis.set_major_locator(_nice(4))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0,) if high > most * low else (1.0, 2.0, 5.0), numticks=12))


def _nice(most: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, steps=[1, 2, 5, 10])


def _time_axis(axes: "Axes", runs: Sequence[Results]) -> None:
    ends = [run.series[-1].at + run.series[-1].seconds for run in runs if run.series]
    axes.set_xlim(0, float(max(ends, default=1)))
    axes.xaxis.set_major_locator(_nice(6))
    axes.xaxis.set_major_formatter(lambda value, _: _duration(value * 1e9))


def _duration(nanoseconds: float) -> str:
    return format_duration(nanoseconds / 1e9) if nanoseconds else "0"


def _legend(axes: "Axes") -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0, borderpad=0.2)


PICTURES: dict[str, Picture] = {
    "percentiles": percentile_curve,
    "distribution": distribution,
    "latency": latency_over_time,
    "rate": rate_over_time,
}


def pictures(runs: Sequence[Results]) -> Iterator[tuple[str, str]]:
    """(name, `<svg>`) of whatever there is to be drawn."""
    if any(judged(run).count for run in runs):
        yield from ((name, svg(name, PICTURES[name], runs)) for name in ("percentiles", "distribution"))
    if over_time(runs):
        yield from ((name, svg(name, PICTURES[name], runs)) for name in ("latency", "rate"))
