"""ab's own outputs, line for line, with the figures put right: text, CSV percentiles, HTML.

Layout from support/ab.c of httpd 2.4 (output_results, output_html_results). One line is missing, `Server Temp
Key`, which Python's ssl module does not tell. ab's doubts, where median and mean lie further apart than the
deviation, never come: with the right median they cannot. The banner has ab's three lines, but says whose figures
these are.
"""

import html
import math
from collections.abc import Iterable, Iterator

from opskit.bench.histogram import Histogram, Summary, summarise
from opskit.bench.results import Failure, Latencies, Results

_LABEL = 24
_PERCENTS = (50, 66, 75, 80, 90, 95, 98, 99)

# ab has four counters for failures; every request stands in one of them here, not in up to three.
_CONNECT = (
    Failure.REFUSED, Failure.UNREACHABLE, Failure.RESOLVE, Failure.TLS, Failure.PROXY,
    Failure.CONNECT_TIMEOUT, Failure.LOCAL, Failure.NO_HTTP2,
)  # fmt: skip
_RECEIVE = (
    Failure.RESET, Failure.WAIT_TIMEOUT, Failure.READ_TIMEOUT, Failure.CLOSED, Failure.TRUNCATED,
    Failure.BAD_FRAMING, Failure.EXTRA_BYTES, Failure.STREAM_RESET, Failure.GOAWAY,
)  # fmt: skip
_LENGTH = (Failure.LENGTH,)
_EXCEPTIONS = (Failure.STATUS, Failure.CHECK, Failure.REDIRECT, Failure.CUT_OFF)


def text(
    results: Results, *, percentiles: bool = True, spread: bool = True, heartbeat: bool = True
) -> Iterator[str]:
    """The text report. `percentiles` and `spread` are off with -d and -S; `heartbeat` with -q or few requests."""
    yield from _banner(results)
    through = f" [through {results.run.proxy}]" if results.run.proxy else ""
    end = "\n" if heartbeat and (results.planned is None or results.planned > 150) else ".....done\n"
    yield f"\nBenchmarking {results.run.host}{through} (be patient){end}"
    yield "\n\n"
    for label, value in (*_facts(results), *_rates(results)):
        yield f"{label + ':':<{_LABEL}}{value}\n" if label else value
    if results.completed:
        yield from _times(results, spread=spread)
    if results.completed > 1 and percentiles:
        yield from _percentiles(results.latencies.total)


def _banner(results: Results) -> Iterator[str]:
    yield f"This is ApacheBench, Version 2.3 <opskit bench {results.run.version}>\n"
    yield "The figures are opskit bench's own; the lines are ApacheBench's.\n"
    yield "Licensed under the MIT License\n"


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    """(label, value) of each line before the rates; a label of "" stands for a line of another shape."""
    run, first, tls = results.run, results.first, results.tls
    yield "Server Software", first.server.split(" ")[0] if first else ""
    yield "Server Hostname", run.host
    yield "Server Port", str(run.port)
    if tls is not None:
        yield "SSL/TLS Protocol", f"{tls.protocol},{tls.cipher},{tls.key_bits},{tls.cipher_bits}"
        if tls.server_name:
            yield "TLS Server Name", tls.server_name
    yield "", "\n"
    yield "Document Path", run.path
    yield "Document Length", "Variable" if run.variable_length else f"{first.length if first else 0} bytes"
    yield "", "\n"
    yield "Concurrency Level", str(run.concurrency)
    yield "Time taken for tests", f"{results.seconds:.3f} seconds"
    yield "Complete requests", str(results.completed)
    yield "Failed requests", str(results.failed)
    if results.failed:
        yield "", f"   ({_failure_kinds(results)})\n"
    if results.non_2xx:
        yield "Non-2xx responses", str(results.non_2xx)
    if run.keep_alive:
        yield "Keep-Alive requests", str(results.kept)
    yield "Total transferred", f"{results.received} bytes"
    if run.body_sent:
        yield "Total body sent", str(results.sent)
    yield "HTML transferred", f"{results.body} bytes"


def _failure_kinds(results: Results) -> str:
    kinds = (("Connect", _CONNECT), ("Receive", _RECEIVE), ("Length", _LENGTH), ("Exceptions", _EXCEPTIONS))
    return ", ".join(f"{name}: {sum(results.failures.get(each, 0) for each in group)}" for name, group in kinds)


def _rates(results: Results) -> Iterator[tuple[str, str]]:
    if not (results.completed and results.seconds):
        return
    done, seconds, concurrency = results.completed, results.seconds, results.run.concurrency
    received, sent = _kilobytes_per_second(results)
    yield "Requests per second", f"{done / seconds:.2f} [#/sec] (mean)"
    yield "Time per request", f"{concurrency * seconds * 1000 / done:.3f} [ms] (mean)"
    yield "Time per request", f"{seconds * 1000 / done:.3f} [ms] (mean, across all concurrent requests)"
    yield "Transfer rate", f"{received:.2f} [Kbytes/sec] received"
    if results.run.body_sent:
        yield "", f"{'':<{_LABEL}}{sent:.2f} kb/s sent\n"
        yield "", f"{'':<{_LABEL}}{received + sent:.2f} kb/s total\n"


def _kilobytes_per_second(results: Results) -> tuple[float, float]:
    """Received, sent; a kilobyte of ab's has 1024 bytes."""
    return results.received / 1024 / results.seconds, results.sent / 1024 / results.seconds


def _rows(results: Results) -> list[tuple[str, Summary]]:
    """The four rows of connection times."""
    times = results.latencies
    return [
        ("Connect:", summarise(_per_request(times))),
        ("Processing:", summarise(times.processing)),
        ("Waiting:", summarise(times.first_byte)),
        ("Total:", summarise(times.total)),
    ]


def _per_request(times: Latencies) -> Histogram:
    """Connecting as ab shows it: TCP and TLS together, and 0 for each request on a kept connection."""
    merged = Histogram()
    merged.merge(times.ready if times.ready.count else times.connect)
    reused = times.processing.count - merged.count
    if reused > 0:
        merged.repeat(0, reused)
    return merged


def _times(results: Results, *, spread: bool) -> Iterator[str]:
    rows = _rows(results)
    yield "\nConnection Times (ms)\n"
    if not spread:
        yield "              min   avg   max\n"
        for label, row in rows:
            yield f"{label:<12}{_whole(row.min):5} {_whole(row.mean):5}{_whole(row.max):5}\n"
        return
    yield "              min  mean[+/-sd] median   max\n"
    for label, row in rows:
        median = _whole(row.percentiles["p50"])
        yield f"{label:<12}{_whole(row.min):5} {_whole(row.mean):4} {row.sd:5.1f} {median:6} {_whole(row.max):7}\n"


def _percentiles(total: Histogram) -> Iterator[str]:
    yield "\nPercentage of the requests served within a certain time (ms)\n"
    for percent, value in zip(_PERCENTS, total.percentiles(_PERCENTS), strict=True):
        yield f"  {percent}%  {_whole(value / 1e6):5}\n"
    yield f" 100%  {_whole(total.highest / 1e6):5} (longest request)\n"


def _whole(milliseconds: float) -> int:
    """Rounded as ab does, a half always up."""
    return math.floor(milliseconds + 0.5)


def csv(results: Results) -> Iterator[str]:
    """`-e`: the time within which each whole percentage of the requests was served; 0 is the fastest."""
    total = results.latencies.total
    yield "Percentage served,Time in ms\n"
    if total.count:
        values = [total.lowest, *total.percentiles(range(1, 101))]
        for percent, value in enumerate(values):
            yield f"{percent},{value / 1e6:.3f}\n"


def page(results: Results, *, table: str = "", row: str = "", cell: str = "bgcolor=white") -> Iterator[str]:
    """`-w`: the HTML table; `table`, `row` and `cell` are the attributes of -x, -y and -z."""
    yield "<p>\n"
    for line in _banner(results):
        yield f" {html.escape(line.rstrip())}<br>\n"
    yield f"</p>\n\n\n<table {table}>\n"
    for label, value in _facts(results):
        if label:
            yield _html_row(
                [f"<th colspan=2 {cell}>{label}:</th>", f"<td colspan=2 {cell}>{html.escape(value)}</td>"], row
            )
        elif value.strip():
            yield _html_row([f"<td colspan=4 {cell} >{html.escape(value.strip())}</td>"], row)
    if results.completed and results.seconds:
        yield from _html_rates(results, row, cell)
    if results.completed:
        yield _html_row([f"<th {cell} colspan=4>Connection Times (ms)</th>"], row)
        heads = ("&nbsp;</th> ", "min</th>   ", "avg</th>   ", "max</th>")
        yield _html_row([f"<th {cell}>{head}" for head in heads], row)
        for label, figures in _rows(results):
            if label != "Waiting:":
                values = (figures.min, figures.mean, figures.max)
                cells = (f"<td {cell}>{_whole(value):5}</td>" for value in values)
                yield _html_row([f"<th {cell}>{label}</th>", *cells], row)
    yield "</table>\n"


def _html_rates(results: Results, row: str, cell: str) -> Iterator[str]:
    received, sent = _kilobytes_per_second(results)
    rates = [
        ("<th{}>Requests per second:</th>", f"{results.completed / results.seconds:.2f}"),
        ("<th{}>Transfer rate:</th>", f"{received:.2f} kb/s received"),
    ]
    if results.run.body_sent:
        rates.append(("<td{}>&nbsp;</td>", f"{sent:.2f} kb/s sent"))
        rates.append(("<td{}>&nbsp;</td>", f"{received + sent:.2f} kb/s total"))
    for head, value in rates:
        yield _html_row([head.format(f" colspan=2 {cell}"), f"<td colspan=2 {cell}>{value}</td>"], row)


def _html_row(cells: Iterable[str], attributes: str) -> str:
    return f"<tr {attributes}>{''.join(cells)}</tr>\n"
