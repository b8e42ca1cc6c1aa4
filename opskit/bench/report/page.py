"""A run, or several laid over each other, as one HTML page that needs nothing beside it: no network, no script.

All that comes from outside is escaped on its way in, by `_text`; the page's own policy forbids whatever it would
load or run all the same.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files

from opskit.bench.histogram import Summary, summarise
from opskit.bench.report import columns, plots
from opskit.bench.report.columns import Named, Row
from opskit.bench.report.text import LATENCIES, LATENCIES_WITH_A_RATE, milliseconds
from opskit.bench.results import Results
from opskit.bench.thresholds import judged
from opskit.bench.verdict import Finding, findings, is_valid
from opskit.files import whole_file
from opskit.units import format_duration

MOST_LABELS = 50
_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")

# What each picture is called, and what there is to know before reading it: where one run is drawn, or several.
_CAPTIONS = {
    "percentiles": ("Latency by percentile", "So large a share of the requests took no longer."),
    "distribution": ("Distribution", "The share of requests in steps of time that are equal in the logarithm."),
    "latency": ("Latency over time", "Second by second; longer runs in longer steps."),
    "rate": ("Rate over time", "Answers a second."),
}
_CAPTIONS_OF_SEVERAL = {
    **_CAPTIONS,
    "latency": ("p99 over time", _CAPTIONS["latency"][1]),
    "rate": ("Rate over time", "Good answers a second."),
}


def write(named: Sequence[Named], path: str) -> None:
    """Write the page, whole or not at all. Raises Unable where it cannot be written, or drawn."""
    plots.require_plots()
    document = "\n".join(page(named)) + "\n"
    with whole_file(path) as file:
        file.write(document.encode())


def page(named: Sequence[Named]) -> Iterator[str]:
    """The lines of the document."""
    runs = [each.results for each in named]
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    # No script, nothing from elsewhere: only the style below and that of the pictures.
    yield (
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_title(named)}</title>"
    yield f"<style>\n{files(__package__).joinpath('page.css').read_text()}</style>"
    yield "</head>"
    yield "<body>"
    yield from _summary_of_one(runs[0]) if len(named) == 1 else _summary_of_many(named)
    yield from _pictures(runs)
    if len(named) == 1:
        yield from _latencies(runs[0])
    yield from _answers(runs)
    yield from _labels(runs)
    yield "<h2>How it was measured</h2>"
    yield _table("facts", ["", *_heads(runs)], columns.environment(runs), figures=False)
    yield "<footer>Percentiles are those of HDR histograms of every request, to three significant digits.</footer>"
    yield "</body>"
    yield "</html>"


def _title(named: Sequence[Named]) -> str:
    if len(named) > 1:
        return f"{len(named)} load tests"
    return f"Load test of {_text(_asked(named[0].results))}"


def _asked(run: Results) -> str:
    return run.run.url or f"the URLs of {run.run.requests_file}"


def _summary_of_one(run: Results) -> Iterator[str]:
    yield f"<h1><small>Load test</small> {_text(_asked(run))}</h1>"
    kept = "kept alive" if run.run.keep_alive else "a connection each"
    facts = [run.run.method, f"{run.run.concurrency:,} at a time", kept]
    yield f'<p class="dim">{_text(", ".join(facts))}</p>'
    yield _verdict(run)
    yield '<dl class="cards">'
    yield _card("good requests/s", f"{run.rate:,.{0 if run.rate >= 100 else 1}f}", kind="main")
    times = judged(run)
    if times.count:
        which = "response " if run.paced else ""
        for percent, value in zip(columns.PERCENTS, times.percentiles(columns.PERCENTS), strict=True):
            yield _card(f"{which}p{percent:g}", milliseconds(value / 1e6), " ms")
        yield _card(f"{which}maximum", milliseconds(times.highest / 1e6), " ms")
    share = f" {run.failed / run.started:.2%}" if run.failed else ""
    yield _card("failed", f"{run.failed:,}", share, kind="bad" if run.failed else "")
    yield _card("requests", f"{run.started:,}", f" in {format_duration(run.seconds)}")
    yield "</dl>"


def _card(name: str, figure: str, unit: str = "", *, kind: str = "") -> str:
    chosen = f' class="{kind}"' if kind else ""
    return f"<div{chosen}><dt>{name}</dt><dd>{figure}<small>{unit}</small></dd></div>"


def _verdict(run: Results) -> str:
    found = findings(run)
    valid = is_valid(found)
    word, says = ("VALID", "this run can be believed.") if valid else ("Doubtful", "what speaks against this run:")
    chosen = " valid" if valid else ""
    return f'<section class="verdict{chosen}"><strong>{word}</strong>: {says}{_findings(found)}</section>'


def _findings(found: Sequence[Finding]) -> str:
    items = "".join(f"<li><b>{_text(each.doubt.value)}</b>{_text(each.evidence)}</li>" for each in found)
    return f'<ul class="findings">{items}</ul>' if items else ""


def _summary_of_many(named: Sequence[Named]) -> Iterator[str]:
    runs = [each.results for each in named]
    yield f"<h1>{len(named)} load tests</h1>"
    yield '<ul class="key">'
    for index, each in enumerate(named):
        found = findings(each.results)
        valid = is_valid(found)
        good, bad = '<span class="mark valid">VALID</span>', '<span class="mark">Doubtful</span>'
        mark = good if valid else bad + _findings(found)
        yield (
            f"<li>{_swatch(index)}<b>run {index + 1}</b> <code>{_text(each.name)}</code> "
            f'<span class="dim">{_text(_asked(each.results))}</span> {mark}</li>'
        )
    yield "</ul>"
    yield _table("figures", ["", *_heads(runs)], columns.figures(runs))


def _swatch(index: int) -> str:
    dash = plots.dash_array(index)
    style = f"stroke: var(--run-{index % plots.COLOURS}); stroke-width: 4" + (
        f"; stroke-dasharray: {dash}" if dash else ""
    )
    return f'<svg viewBox="0 0 44 12" aria-hidden="true"><path d="M0 6H44" style="{style}"/></svg>'


def _heads(runs: Sequence[Results]) -> list[str]:
    return [""] if len(runs) == 1 else [f"run {number}" for number in range(1, len(runs) + 1)]


def _pictures(runs: Sequence[Results]) -> Iterator[str]:
    drawn = list(plots.pictures(runs))
    if drawn:
        yield '<div class="pictures">'
        for name, svg in drawn:
            heading, words = (_CAPTIONS if len(runs) == 1 else _CAPTIONS_OF_SEVERAL)[name]
            yield f'<figure id="{name}"><h3>{heading}</h3>\n{svg}\n<figcaption>{words}</figcaption></figure>'
        yield "</div>"
    if not plots.over_time(runs):
        yield '<p class="dim">Too short for a picture over time.</p>'


_COLUMNS = ("min", "mean", "sd", "p50", "p90", "p99", "p99.9", "p99.99", "max")


def _latencies(run: Results) -> Iterator[str]:
    named = [(label, run.latencies.named()[name]) for name, label in _which(run)]
    rows = [(label, _values(summarise(times))) for label, times in named if times.count]
    if rows:
        yield "<h2>Latencies in milliseconds</h2>"
        yield _table("figures", ["", *_COLUMNS], rows)
    if run.lower_bounds:
        yield (
            f'<p class="dim">{run.lower_bounds:,} of the totals are lower bounds: of requests given up '
            "unanswered.</p>"
        )


def _which(run: Results) -> Sequence[tuple[str, str]]:
    return LATENCIES_WITH_A_RATE if run.paced else LATENCIES


def _values(figures: Summary) -> list[str]:
    percentiles = [figures.percentiles[name] for name in ("p50", "p90", "p99", "p99_9", "p99_99")]
    return [milliseconds(value) for value in (figures.min, figures.mean, figures.sd, *percentiles, figures.max)]


def _answers(runs: Sequence[Results]) -> Iterator[str]:
    statuses = list(columns.statuses(runs))
    if statuses:
        yield "<h2>Answers by status</h2>"
        yield _table("figures", ["status", *(_heads(runs) if len(runs) > 1 else ["answers"])], statuses)
    failures = list(columns.failures(runs))
    if failures:
        yield "<h2>Failures</h2>"
        yield _table("figures", ["failure", *(_heads(runs) if len(runs) > 1 else ["requests"])], failures)


def _labels(runs: Sequence[Results]) -> Iterator[str]:
    """Of one run all about each label, slowest first; of several what they differ in, p99."""
    names = list(dict.fromkeys(label.label for run in runs for label in run.labels))
    if not names:
        return
    yield f"<h2>Labels{', p99 in milliseconds' if len(runs) > 1 else ', in milliseconds'}</h2>"
    rows: list[Row] = []
    for name in names[:MOST_LABELS]:
        found = [next((label for label in run.labels if label.label == name), None) for run in runs]
        times = [summarise(label.total) if label else None for label in found]
        if len(runs) > 1:
            rows.append(
                (name, [milliseconds(each.percentiles["p99"]) if each and each.count else "-" for each in times])
            )
        elif (label := found[0]) and (summary := times[0]):
            values = _values(summary) if summary.count else ["-"] * len(_COLUMNS)
            rows.append((name, [f"{summary.count + label.failed:,}", f"{label.failed:,}", *values]))
    yield _table(
        "figures", ["label", *(_heads(runs) if len(runs) > 1 else ["requests", "failed", *_COLUMNS])], rows
    )
    if len(names) > MOST_LABELS:
        yield f'<p class="dim">and {len(names) - MOST_LABELS:,} more: <code>--json</code> lists them all</p>'


def _table(kind: str, heads: Sequence[str], rows: Iterable[Row], *, figures: bool = True) -> str:
    """A table that scrolls within the page where it is wider."""
    aligned = ' class="n"' if figures else ""
    first, *others = heads
    head = f"<th>{first}</th>" + "".join(f"<th{aligned}>{each}</th>" for each in others)
    lines = [f'<div class="scroll"><table class="{kind}">']
    if any(heads):
        lines.append(f"<thead><tr>{head}</tr></thead>")
    lines.append("<tbody>")
    for name, values in rows:
        cells = "".join(f"<td{aligned}>{_text(value)}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{_text(name)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>", "</table></div>"])


def _text(text: str) -> str:
    """What came from outside, fit for a page: escaped, and without what no page may hold."""
    return escape(_UNSHOWABLE.sub("\ufffd", text))
