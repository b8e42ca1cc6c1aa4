"""ab's report to the byte, and a script made for ab's output fed with both."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opskit.bench.report import ab
from opskit.bench.results import Failure, Latencies, Results
from tests.bench.runs import FAILING, KEPT, LABELLED, PLAIN, POSTED, RUNS, SECURE, histogram
from tests.command import opskit
from tests.programs import need
from tests.servers import Running, target

GOLDEN = Path(__file__).parent / "golden"

PAGES = {
    "plain.txt": ab.text(PLAIN),
    "no-spread.txt": ab.text(PLAIN, spread=False),
    "no-percentiles.txt": ab.text(PLAIN, percentiles=False),
    "kept.txt": ab.text(KEPT),
    "failing.txt": ab.text(FAILING),
    "posted.txt": ab.text(POSTED),
    "secure.txt": ab.text(SECURE),
    "silent.txt": ab.text(RUNS["silent"]),
    "through-a-proxy.txt": ab.text(LABELLED),
    "plain.html": ab.page(PLAIN),
    "posted.html": ab.page(POSTED, table="border=1", row="align=left", cell="bgcolor=red"),
    "failing.html": ab.page(FAILING),
    "plain.csv": ab.csv(PLAIN),
}


@pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=PAGES)
def test_the_report_is_the_golden_one(name: str, page: Iterator[str]) -> None:
    assert "".join(page) == (GOLDEN / name).read_text()


def line(label: str, results: Results = PLAIN, **how: bool) -> str:
    return next(each for each in "".join(ab.text(results, **how)).splitlines() if each.startswith(label))


def test_the_columns_stand_where_printf_puts_them() -> None:
    # ab.c: "%5d %4d %5.1f %6d %7d", with -S "%5d %5d%5d", and "  %d%%  %5d".
    wide = replace(PLAIN, latencies=Latencies(*[histogram(*[10] * 9, 123456.7)] * 3, *[histogram(1, 2.5)] * 3))
    assert line("Connect:", wide) == "Connect:       10 12355 39034.1     10  123457"
    assert line("Processing:", wide) == "Processing:     1    2   1.1      1       3"
    assert line("Total:", wide, spread=False) == "Total:          1     2    3"
    assert line("  50%", wide) == "  50%      1"
    assert line(" 100%", wide) == " 100%      3 (longest request)"
    assert line("Server Port:")[:24] == "Server Port:".ljust(24)


def test_halves_are_rounded_up_everywhere() -> None:
    halves = replace(PLAIN, latencies=replace(PLAIN.latencies, total=histogram(0.5, 2.5)))
    assert line("Total:", halves).split()[1::4] == ["1", "3"]
    assert line(" 100%", halves).split()[1] == "3"


def test_every_failure_stands_in_one_counter() -> None:
    counters = [set(group) for group in (ab._CONNECT, ab._RECEIVE, ab._LENGTH, ab._EXCEPTIONS)]
    assert set.union(*counters) == set(Failure)
    assert sum(map(len, counters)) == len(Failure)


@pytest.mark.parametrize(
    ("planned", "heartbeat", "dots"),
    [(150, True, True), (151, True, False), (151, False, True), (None, True, False)],
)
def test_the_dots_end_the_line_where_ab_prints_no_heartbeat(
    planned: int | None, heartbeat: bool, dots: bool
) -> None:
    page = "".join(ab.text(replace(PLAIN, planned=planned), heartbeat=heartbeat))
    assert ("(be patient).....done\n\n\nServer Software" in page) is dots
    assert ("(be patient)\n\n\nServer Software" in page) is not dots


def test_the_csv_has_a_row_for_each_percentage_and_never_falls() -> None:
    rows = "".join(ab.csv(PLAIN)).splitlines()
    assert rows[0] == "Percentage served,Time in ms"
    values = [(int(percent), float(value)) for percent, _, value in (row.partition(",") for row in rows[1:])]
    assert [percent for percent, _ in values] == list(range(101))
    assert [value for _, value in values] == sorted(value for _, value in values)
    assert [values[0][1], values[50][1], values[100][1]] == pytest.approx([2.9, 2.9, 14.5], rel=1e-3)
    assert "".join(ab.csv(RUNS["silent"])) == "Percentage served,Time in ms\n"


# What people write around ab: labels by awk and grep, the table by columns.
SCRIPT = r"""
/^Complete requests:/   { print "done=" $3 }
/^Failed requests:/     { print "failed=" $3 }
/^Non-2xx responses:/   { print "non2xx=" $3 }
/^Total transferred:/   { print "bytes=" $3 }
/^HTML transferred:/    { print "html=" $3 }
/^Document Length:/     { print "length=" $3 }
/^Requests per second:/ { print ($4 > 0 && $5 == "[#/sec]") ? "rps" : "no rps" }
/^Time per request:.*\(mean\)/ { print ($4 > 0) ? "tpr" : "no tpr" }
/^Transfer rate:/       { print ($3 > 0) ? "rate" : "no rate" }
/^(Connect|Processing|Waiting|Total):/ { print $1, NF; if ($2 > $6) print "min above max" }
/^ *(50|90|95|99)%/     { print $1, ($2 ~ /^[0-9]+$/) ? "ms" : "no ms" }
/longest request/       { print "longest", ($2 ~ /^[0-9]+$/) ? "ms" : "no ms" }
"""


def parsed(report: str) -> list[str]:
    done = subprocess.run(["awk", SCRIPT], input=report, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def labels(report: str) -> list[str]:
    """Each line's words before its figures, where they begin, and the blank lines between."""
    found = []
    for row in report[report.index("Server Software") :].splitlines():
        if not row.startswith(("WARNING", "ERROR", " " * 7)):  # doubts come and go with the figures
            found.append(re.split(r"[ \t]+(?=[-\d(])|:\s", row, maxsplit=1)[0])
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with target() as running:
        yield running


@pytest.mark.parametrize(
    "args",
    [
        ["-n", "20", "-c", "2", "/bytes/512"],
        ["-k", "-n", "20", "-c", "2", "/bytes/512"],
        ["-n", "3", "/status/404"],
        ["-S", "-n", "5", "/bytes/10"],
        ["-d", "-n", "5", "/bytes/10"],
        ["-n", "1", "/bytes/10"],
        ["-q", "-l", "-n", "200", "-c", "4", "/bytes/7"],
        ["-i", "-n", "3", "/bytes/10"],
        ["-p", "BODY", "-n", "4", "/bytes/10"],
        ["-u", "BODY", "-T", "text/csv", "-n", "4", "/bytes/10"],
    ],
    ids=" ".join,
)
def test_a_script_made_for_ab_reads_both(server: Running, tmp_path: Path, args: list[str]) -> None:
    body = tmp_path / "body"
    body.write_text("hello")
    args = [str(body) if arg == "BODY" else arg for arg in args]
    args[-1] = server.url + args[-1]
    real = subprocess.run([need("ab"), *args], capture_output=True, text=True, timeout=60)
    assert real.returncode == 0, real.stderr
    ours = opskit("bench", "--format", "ab", *args)
    assert ours.code == 0, ours.err
    assert labels(ours.out) == labels(real.stdout)
    exact = [each for each in parsed(real.stdout) if not each.startswith(("bytes", "html"))]
    assert [each for each in parsed(ours.out) if not each.startswith(("bytes", "html"))] == exact


def test_the_html_table_has_the_rows_and_cells_of_abs(server: Running) -> None:
    args = ["-w", "-x", "border=1", "-y", "a", "-z", "b", "-n", "4", f"{server.url}/bytes/10"]
    real = subprocess.run([need("ab"), *args], capture_output=True, text=True, timeout=60).stdout
    ours = opskit("bench", *args).out

    def table(page: str) -> list[str]:
        return [
            re.sub(r"\d+(\.\d+)?", "N", row).replace(" N", "N") for row in page[page.index("<table") :].split("\n")
        ]

    squeezed = [re.sub(r">\s+", ">", row) for row in table(ours)]
    assert squeezed == [re.sub(r">\s+", ">", row) for row in table(real)]
