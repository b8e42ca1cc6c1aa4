"""The report for people: what went wrong first, then rate and latencies, then the shape of the latencies."""

import math
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from opskit.bench.histogram import Histogram, Summary, cell_bounds, summarise
from opskit.bench.results import MEANING, Failure, Http2Facts, Results, Stop, Together
from opskit.bench.thresholds import judged
from opskit.bench.verdict import findings, is_valid
from opskit.units import format_duration, format_size

if TYPE_CHECKING:
    from rich.console import Console

Line = list[tuple[str, str]]  # (text, rich style) pieces

BARS = 12
_BAR_WIDTH = 40
_EVIDENCE_WIDTH = 60  # of 80 columns, after the name of the doubt
_COLUMNS = ("min", "mean", "sd", "p50", "p90", "p99", "p99.9", "max")
LATENCIES = (("connect", "connect"), ("tls", "TLS"), ("first_byte", "first byte"), ("total", "total"))
# With a rate: from when a request was sent, from when it should have been, and how far apart these were.
LATENCIES_WITH_A_RATE = (*LATENCIES[:-1], ("total", "service"), ("response", "response"), ("lag", "late by"))
_MOST_LABELS = 10


def show(results: Results, console: "Console", *, ascii_only: bool = False) -> None:
    """Print the report."""
    print_lines(lines(results, ascii_only=ascii_only), console)


def print_lines(lines: Iterable[Line], console: "Console") -> None:
    """Each on one line: what is wider than the terminal ends in an ellipsis."""
    from rich.text import Text

    for line in lines:
        console.print(Text.assemble(*line), no_wrap=True, overflow="ellipsis")


def lines(results: Results, *, ascii_only: bool = False) -> Iterator[Line]:
    yield from heading(results)
    yield []
    yield _verdict(results)
    yield from _failures(results)
    if results.answered:
        yield []
        yield from (_fact(*each) for each in facts(results))
    if results.latencies.total.count:
        yield []
        yield from _latencies(results)
        yield []
        yield from _shape(judged(results), ascii_only=ascii_only)
    if results.labels:
        yield []
        yield from _labels(results)
    yield []
    yield from _trust(results)


def heading(results: Results) -> Iterator[Line]:
    run = results.run
    yield [("opskit bench  ", "dim"), (run.url or f"the URLs of {run.requests_file}", "bold")]
    yield [(f"{run.method}, {run.concurrency} at a time, {_sharing(results)}", "dim")]
    if results.warmup is not None:
        warmup = results.warmup
        yield [(f"after a warm-up of {warmup.seconds:g} s, {warmup.requests:,} requests left out", "dim")]
    if results.together is not None:
        yield from _together(results.together)
    file = results.requests_file
    if file is not None:
        parts = [f"{file['lines']:,} lines of {_file_name(run.requests_file)}"]
        parts += [f"{file['encoded']:,} percent-encoded"] if file["encoded"] else []
        parts += [f"{file['skipped']:,} skipped"] if file["skipped"] else []
        parts += [f"begun {file['wrapped'] + 1:,} times"] if file["wrapped"] else []
        yield [(", ".join(parts), "dim")]


def _sharing(results: Results) -> str:
    streams = results.run.streams
    if streams:
        return f"HTTP/2 with {streams} stream{'s' if streams > 1 else ''} a connection"
    return "kept alive" if results.run.keep_alive else "a connection each"


def _together(together: Together) -> Iterator[Line]:
    who, seconds = "workers" if together.machines else "processes", format_duration(together.seconds)
    yield [(f"{together.parts} {who}; the rate is that of the {seconds} in which all were at work", "dim")]
    if together.machines:
        spread, clocks = milliseconds(together.spread * 1e3), milliseconds(together.clocks * 1e3)
        yield [(f"they began within {spread} ms, their clocks compared to within {clocks} ms", "dim")]


def _file_name(path: str | None) -> str:
    return "standard input" if path == "-" else path or ""


def _verdict(results: Results) -> Line:
    failed = (f"{results.failed:,} failed", "bold red" if results.failed else "")
    line: Line = [
        (f"{results.rate:,.0f} good requests/s", "bold green" if results.good else "bold"),
        (f"   {results.good:,} good", ""),
        (f" ({results.non_2xx:,} not 2xx)" if results.non_2xx else "", "bold yellow"),
        (", ", ""),
        failed,
        (f", in {format_duration(results.seconds)}", ""),
    ]
    if results.stop is not Stop.FINISHED:
        line.append((f"   {_STOPPED[results.stop]}", "yellow"))
    return line


_STOPPED = {
    Stop.TIME: "(time is up)",
    Stop.INTERRUPTED: "(interrupted)",
    Stop.DEAD: "(stopped: nothing answers)",
    Stop.BAD_REQUEST: "(stopped: a bad line)",
    Stop.SCRIPT: "(the script failed)",
}


def _failures(results: Results) -> Iterator[Line]:
    for name, count in results.failures.items():
        yield [(f"  {count:>9,}  ", "red"), (f"{name:<16}", "bold"), (MEANING[Failure(name)], "")]
        if name == Failure.CHECK:
            yield from _checks(results)


def _checks(results: Results) -> Iterator[Line]:
    """Which of the checks did not hold, most often first."""
    for check, count in sorted((results.checks or {}).items(), key=lambda pair: -pair[1]):
        if count:
            yield [(f"  {'':>9}  {'':<16}", ""), (f"{count:,} × ", "red"), (check, "bold")]


def facts(results: Results) -> Iterator[tuple[str, str]]:
    """What a run with answers has to tell beside its figures: a name, and words."""
    yield "Status", ", ".join(f"{code}: {count:,}" for code, count in results.status.items())
    yield "Connections", _connections(results)
    rate = f" ({format_size(results.received / results.seconds)}/s)" if results.seconds else ""
    bodies, sent = format_size(results.body), format_size(results.sent)
    yield "Transfer", f"{format_size(results.received)} received{rate}, {bodies} bodies; {sent} sent"
    if results.first is not None:
        server = f"{results.first.server or 'not named'}; first answer {results.first.length:,} bytes"
        yield "Server", server
    if results.script is not None:
        made, shown = (f"{results.script[name]:,.0f}" for name in ("requests", "responses"))
        spent = format_duration(results.script["seconds"])
        yield "Script", f"{made} requests, {shown} responses, {spent} in its functions"
    if results.cookies is not None:
        text = "set by {set:,} answers, sent with {sent:,} requests"
        yield "Cookies", text.format(**results.cookies)
    if results.checks is not None:
        checks = f"{len(results.checks)} check{'s' * (len(results.checks) > 1)}"
        yield "Checked", f"{results.checked:,} of {results.answered:,} answers, by {checks}"
    if results.tls is not None:
        tls = results.tls
        alpn = f", ALPN {tls.alpn}" if tls.alpn else ""
        yield "TLS", f"{tls.protocol} {tls.cipher}, key of {tls.key_bits} bits{alpn}"
        yield "Handshakes", _handshakes(results)
    if results.http2 is not None and (results.http2.goaways or results.http2.resets):
        yield "HTTP/2", _http2(results.http2)


def _handshakes(results: Results) -> str:
    count, resumed = results.latencies.tls.count, results.resumed
    if resumed and count:
        return f"{count:,}, of which {resumed:,} resumed a session ({resumed / count:.1%})"
    return f"{count:,} in full; --tls-resume resumes sessions" if count > 1 else f"{count:,} in full"


def _http2(facts: Http2Facts) -> str:
    resets = ", ".join(f"{count:,} {name}" for name, count in facts.resets.items())
    goaways = f"{facts.goaways:,} connections ended by GOAWAY" if facts.goaways else "no GOAWAY"
    return f"{goaways}; reset: {resets or 'no stream'}"


def _fact(name: str, value: str) -> Line:
    return [(f"{name:<13}", "dim"), (value, "")]


def _connections(results: Results) -> str:
    text = f"{results.opened:,} opened, {results.reused:,} requests on a kept one"
    if results.resent:
        text += f", {results.resent:,} sent again after a close"
    if results.redirected:
        text += f", {results.redirected:,} redirects followed"
    if not results.run.keep_alive and results.opened > 1:
        text += "; -k keeps them"
    return text


def _latencies(results: Results) -> Iterator[Line]:
    yield [(f"{'Latency, ms':<13}", "dim"), *((f"{name:>8}", "dim") for name in _COLUMNS)]
    summaries = results.latencies.summaries()
    for name, label in LATENCIES_WITH_A_RATE if results.paced else LATENCIES:
        figures = summaries[name]
        if figures.count:
            style = "bold" if name in ("total", "response") else ""
            yield [(f"{label:<13}", ""), *((f"{milliseconds(value):>8}", style) for value in _values(figures))]
    if results.lower_bounds:
        given_up = f"{results.lower_bounds:,} of the totals are lower bounds: of requests given up unanswered"
        yield [(given_up, "yellow")]


def _values(figures: Summary) -> list[float]:
    chosen = [figures.percentiles[name] for name in ("p50", "p90", "p99", "p99_9")]
    return [figures.min, figures.mean, figures.sd, *chosen, figures.max]


def milliseconds(value: float) -> str:
    """Three or four significant digits, at most seven wide."""
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 10 else f"{value:.3f}"


def _shape(total: Histogram, *, ascii_only: bool) -> Iterator[Line]:
    """The histogram: bars over equal steps of the logarithm."""
    bars = buckets(total)
    most = max(count for _, count in bars)
    yield [(f"{'Total, ms':<13}", "dim")]
    for upper, count in bars:
        share = 100 * count / total.count
        yield [
            (f"{'≤' if not ascii_only else '<='}{milliseconds(upper / 1e6):>9}  ", ""),
            (f"{_bar(count / most, ascii_only=ascii_only):<{_BAR_WIDTH}}", "green"),
            (f"{count:>11,}  {share:5.1f} %", "dim"),
        ]


def buckets(histogram: Histogram, bars: int = BARS) -> list[tuple[int, int]]:
    """(upper bound in ns, count) of bars from the minimum to the maximum, equal in the logarithm."""
    lowest, highest = max(histogram.lowest, 1), histogram.highest
    if highest <= lowest:
        return [(highest, histogram.count)]
    step = math.log(highest / lowest) / bars
    found = [0] * bars
    for cell, count in histogram.used():
        middle = min(max(sum(cell_bounds(cell)) / 2, lowest), highest)
        found[min(int(math.log(middle / lowest) / step), bars - 1)] += count
    uppers = [int(lowest * math.exp(step * (index + 1))) for index in range(bars)]
    return list(zip(uppers, found, strict=True))


def _bar(share: float, *, ascii_only: bool) -> str:
    eighths = round(share * _BAR_WIDTH * 8)
    if ascii_only:
        return "#" * max(eighths // 8, 1 if share > 0 else 0)
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8].strip() or ("▏" if share > 0 and eighths < 8 else ""))


def _trust(results: Results) -> Iterator[Line]:
    """The verdict on the run itself."""
    found = findings(results)
    word = ("VALID", "bold green") if is_valid(found) else ("doubtful", "bold yellow")
    yield [(f"{'This run is':<13}", "dim"), word]
    for each in found:
        first, *rest = wrap(each.evidence, _EVIDENCE_WIDTH, break_on_hyphens=False)
        yield [(f"  {each.doubt.value:<16} ", ""), (first, "dim")]
        yield from ([(" " * 19 + line, "dim")] for line in rest)


def _labels(results: Results) -> Iterator[Line]:
    yield [
        (f"{'Slowest labels, ms':<33}", "dim"),
        *((f"{name:>10}", "dim") for name in ("requests", "failed", "p50", "p99")),
    ]
    for label in results.labels[:_MOST_LABELS]:
        figures = summarise(label.total)
        yield [
            (f"{label.label[:32]:<33}", ""),
            (f"{figures.count + label.failed:>10,}{label.failed:>10,}", ""),
            (f"{milliseconds(figures.percentiles['p50']):>10}{milliseconds(figures.percentiles['p99']):>10}", ""),
        ]
    if len(results.labels) > _MOST_LABELS:
        yield [(f"and {len(results.labels) - _MOST_LABELS:,} more: --json lists them all", "dim")]
