"""The page of `--html`: it opens offline, says what the results say, and nothing from outside can break it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest

from opskit import cli
from opskit.bench import saved
from opskit.bench.histogram import Histogram
from opskit.bench.report import columns, page, plots
from opskit.bench.report.columns import Named
from opskit.bench.results import FirstAnswer, LabelTimes, Latencies, Results, TlsFacts
from opskit.bench.series import Second
from tests.bench.runs import FAILING, LABELLED, MS, PLAIN, RUNS, SECURE, SILENT, histogram
from tests.command import opskit
from tests.servers import target

HOSTILE = (
    "</td></svg><script>alert('$x$')</script><img src=//evil.example/x onerror=alert(1)>\x00\x1b[31m\ud800\"&'"
)


def series(*goods: int, failed: int = 0) -> tuple[Second, ...]:
    return tuple(
        Second(float(at), 1.0, good + failed, good, failed, 2 * MS, 9 * MS, 40 * MS)
        for at, good in enumerate(goods)
    )


def many(count: int = 20_000) -> Histogram:
    made = Histogram()
    made.record([MS + 37 * number for number in range(count)])
    return made


LONG = replace(PLAIN, series=series(80, 100, 60, failed=4), latencies=Latencies(total=many()))
PACED = replace(
    LONG, latencies=Latencies(total=many(), response=histogram(*range(1, 1001)), lag=histogram(*range(1000)))
)
NASTY = replace(
    LONG,
    run=replace(
        PLAIN.run, url=f"http://h/{HOSTILE}", method="GET", requests_file=HOSTILE, proxy=HOSTILE, version=HOSTILE
    ),
    requests_file={"lines": 3, "encoded": 1, "skipped": 0, "wrapped": 3},
    first=FirstAnswer(HOSTILE, 1),
    tls=TlsFacts(HOSTILE, HOSTILE, 1, 1, HOSTILE),
    labels=(LabelTimes(HOSTILE, 1, histogram(4, 5)),),
    reason=HOSTILE,
)
CASES: dict[str, list[Results]] = {
    **{name: [run] for name, run in RUNS.items()},
    "long": [LONG],
    "paced": [PACED],
    "nasty": [NASTY],
    "several": [LONG, PACED, FAILING, SILENT, SECURE],
    "labels of several": [LABELLED, NASTY],
    "more than there are colours": [LONG] * 9,
}
# What a page may hold; among what it may not are script, link, img, iframe, object, form and base.
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "small", "section", "strong", "ul",
    "li", "b", "code", "span", "dl", "div", "dt", "dd", "figure", "figcaption", "footer",
    "table", "thead", "tbody", "tr", "th", "td",
    "svg", "g", "defs", "path", "use", "text", "tspan", "clippath", "rect",
}  # fmt: skip


@cache
def text_of(case: str) -> str:
    return "\n".join(page.page([Named(HOSTILE, run) for run in CASES[case]]))


def tree_of(text: str) -> Element:
    """As a browser reads it; a document that is not well-formed is refused."""
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    assert isinstance(tree, Element)
    return tree


def elements(tree: Element) -> Iterator[tuple[str, Element]]:
    for element in tree.iter():
        if isinstance(element.tag, str):
            yield element.tag.rpartition("}")[2].lower(), element


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


@pytest.mark.parametrize("case", CASES)
def test_a_page_is_well_formed_and_loads_nothing(case: str) -> None:
    text = text_of(case)
    text.encode()
    ids: list[str] = []
    referred: set[str] = set()
    for tag, element in elements(tree_of(text)):
        assert tag in ELEMENTS
        for name, value in element.attrib.items():
            name = name.rpartition("}")[2].lower()
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "action", "data", "background")
            if name == "id":
                ids.append(value)
            if name == "href":
                assert value.startswith("#")
                referred.add(value[1:])
            for address in re.findall(r"url\(([^)]*)\)", value):
                assert address.startswith("#")
                referred.add(address[1:])
        if tag == "style":
            assert not re.search(r"url\(|@import", element.text or "")
    assert len(ids) == len(set(ids))
    assert referred <= set(ids)
    policy = "content=\"default-src 'none'; style-src 'unsafe-inline'\""
    assert policy in text


def test_what_comes_from_outside_stays_text() -> None:
    tree = tree_of(text_of("nasty"))
    seen = words(tree)
    assert seen.count("<script>alert('$x$')</script>") >= 8
    drawn = [words(element) for tag, element in elements(tree) if tag == "svg"]
    assert drawn
    assert not [text for text in drawn if "evil" in text or "$" in text]


def test_every_colour_is_one_of_the_pages_in_each_scheme() -> None:
    style = files("opskit.bench.report").joinpath("page.css").read_text()
    schemes = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    assert len(schemes) == 3  # light, dark, paper
    for case in CASES:
        used = set(re.findall(r"var\((--[\w-]+)\)", text_of(case)))
        for scheme in schemes:
            assert used <= set(re.findall(r"(--[\w-]+):", scheme))
        pictures = re.findall(r"<svg.*?</svg>", text_of(case), flags=re.DOTALL)
        assert not [found for each in pictures for found in re.findall(r"#[0-9a-f]{6}\b", each)]


def test_the_same_run_makes_the_same_page() -> None:
    again = "\n".join(page.page([Named(HOSTILE, run) for run in CASES["several"]]))
    assert again == text_of("several")


def cards(case: str) -> dict[str, str]:
    tree = tree_of(text_of(case))
    names = [words(element) for tag, element in elements(tree) if tag == "dt"]
    return dict(zip(names, [words(element) for tag, element in elements(tree) if tag == "dd"], strict=True))


def test_the_figures_are_those_of_the_results() -> None:
    p50, p90, p99, p999 = (f"{value / 1e6:.3f} ms" for value in many().percentiles((50, 90, 99, 99.9)))
    assert cards("long") == {
        "good requests/s": "80.0", "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "maximum": "1.740 ms",
        "failed": "0", "requests": "10 in 125 ms",
    }  # fmt: skip
    assert cards("paced")["response p99"] == f"{PACED.latencies.response.percentile(99) / 1e6:.1f} ms"
    assert cards("failing")["failed"] == "10 50.00%"
    assert "p50" not in cards("silent")


def rows(case: str, kind: str, which: int = 0) -> dict[str, list[str]]:
    tables = [
        element
        for tag, element in elements(tree_of(text_of(case)))
        if tag == "table" and element.get("class") == kind
    ]
    found = {}
    for tag, row in elements(tables[which]):
        if tag == "tr":
            name, *values = [words(cell) for cell in row]
            found[name] = values
    return found


def test_failures_statuses_and_labels_are_listed() -> None:
    assert rows("failing", "figures", 1) == {"status": ["answers"], "200": ["6"], "301": ["4"], "404": ["3"]}
    assert rows("failing", "figures", 2)["length: not as long as the first answer (--fail-length)"] == ["3"]
    assert rows("labelled", "figures", 2)["slow <one>"][:2] == ["3", "1"]


def test_several_runs_stand_side_by_side() -> None:
    found = rows("several", "figures")
    assert found[""] == ["run 1", "run 2", "run 3", "run 4", "run 5"]
    assert found["good requests/s"] == ["80.0", "80.0", "80.0", "0.0", "80.0"]
    assert found["failed"] == ["0", "0", "10", "40", "0"]
    assert found["p99, ms"][1] == f"{PACED.latencies.response.percentile(99) / 1e6:.1f}"
    assert found["p99, ms"][3] == "-"
    assert rows("several", "facts")["TLS"] == [
        "", "", "", "", "TLSv1.3 TLS_AES_256_GCM_SHA384, key of 2048 bits",
    ]  # fmt: skip


def test_a_run_without_a_course_says_so() -> None:
    assert "Too short for a picture over time." in text_of("plain")
    assert "Too short" not in text_of("long")
    assert "<svg" not in text_of("silent")


# The pictures


def axes_of(picture: plots.Picture, *runs: Results) -> Any:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    picture(axes, runs)
    return axes


def test_the_curve_is_that_of_the_percentiles() -> None:
    axes = axes_of(plots.percentile_curve, LONG)
    points = [(float(x), int(y)) for x, y in axes.lines[0].get_xydata()]
    assert points[0] == (1.0, many().percentile(0))
    assert points[-1] == (20_000, many().highest)
    for x, y in points[:-1]:
        assert y == many().percentile(100 * (1 - 1 / x))
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"]


def test_with_a_rate_response_and_service_are_drawn() -> None:
    axes = axes_of(plots.percentile_curve, PACED)
    assert [line.get_label() for line in axes.lines] == ["response", "service"]
    assert [int(line.get_xydata()[-1][1]) for line in axes.lines] == [1000 * MS, many().highest]
    assert len(axes_of(plots.percentile_curve, PACED, LONG).lines) == 2


def test_the_bars_hold_every_request_once() -> None:
    for times in (many(), histogram(1), histogram(1, 1.0001), histogram(0.000001, 3_600_000)):
        shares, edges = plots.bars(times)
        assert sum(shares) == pytest.approx(100)
        assert edges == sorted(edges)
        assert len(edges) == len(shares) + 1


def test_the_course_is_that_of_the_series() -> None:
    rate = axes_of(plots.rate_over_time, LONG)
    values, edges, _ = rate.patches[0].get_data()
    assert list(values) == [80, 100, 60]
    assert list(edges) == [0, 1, 2, 3]
    latency = axes_of(plots.latency_over_time, LONG)
    assert [list(line.get_ydata()) for line in latency.lines] == [[9 * MS] * 3, [2 * MS] * 3]


def test_a_failing_run_shows_its_failures() -> None:
    failing = replace(LONG, started=252, failures={"reset": 12})
    values = [list(patch.get_data()[0]) for patch in axes_of(plots.rate_over_time, failing).patches]
    assert [4, 4, 4] in values


# The commands


def test_bench_writes_a_page_and_report_lays_runs_over_each_other(tmp_path: Path) -> None:
    made, both = tmp_path / "made.html", tmp_path / "both.html"
    kept = [str(tmp_path / name) for name in ("one.json", "two.json")]
    with target() as server:
        url = f"{server.url.replace('://', '://me:hidden-1@')}/bytes/9?token=hidden-2"
        for path in kept:
            ran = opskit("bench", "-k", "-n", "50", "--save", path, "--html", str(made), url)
            assert ran.code == 0, ran.err
    text = made.read_text()
    assert "hidden" not in text
    assert "*** " not in text
    assert f"{server.url}/bytes/9?token=***" in words(tree_of(text))
    ran = opskit("report", *kept, "--html", str(both))
    assert (ran.code, ran.err) == (0, "")
    assert words(tree_of(both.read_text())).startswith("2 load tests")
    assert "one.json" in both.read_text()
    assert re.search(r"^good requests/s +[\d,.]+ +[\d,.]+$", ran.out, flags=re.MULTILINE)
    found = opskit("report", *kept, "--json")
    assert found.json["schema"] == "bench-runs/1"
    assert [run["name"] for run in found.data["runs"]] == kept
    assert [run["requests"]["good"] for run in found.data["runs"]] == [50, 50]


def test_repeats_are_laid_over_each_other(tmp_path: Path) -> None:
    kept, made, again = (str(tmp_path / name) for name in ("runs.json", "made.html", "again.html"))
    with target() as server:
        ran = opskit(
            "bench", "-k", "-n", "20", "--repeat", "3", "--save", kept, "--html", made, f"{server.url}/bytes/9"
        )
    assert ran.code == 0, ran.err
    assert words(tree_of(Path(made).read_text())).startswith("3 load tests")
    assert opskit("report", kept, "--html", again).code == 0
    assert f"{kept}, run 3" in Path(again).read_text()


def test_several_runs_in_a_format_of_one_are_refused(tmp_path: Path) -> None:
    kept = [str(tmp_path / name) for name in ("one.json", "two.json")]
    for path in kept:
        saved.keep([PLAIN], path)
    ran = opskit("report", *kept, "--format", "ab")
    assert ran.code == 2
    assert "error: several files and --format exclude each other" in ran.err


@pytest.mark.parametrize("command", [("bench", "http://127.0.0.1:9/"), ("report", "RUN")])
def test_a_page_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path, command: tuple[str, ...]) -> None:
    run = tmp_path / "run.json"
    saved.keep([PLAIN], str(run))
    arguments = [str(run) if word == "RUN" else word for word in command]
    for path, why in ((tmp_path, "it is a directory"), (tmp_path / "none/page.html", "there is no directory")):
        ran = opskit(*arguments, "--html", str(path))
        assert ran.code == 3
        assert f"error: cannot write {path}: {why}" in ran.err
        assert ran.out == ""
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_a_full_disk_leaves_the_report(tmp_path: Path) -> None:
    with target() as server:
        ran = opskit("bench", "-n", "5", "--html", "/dev/full", f"{server.url}/bytes/9")
    assert ran.code == 3
    assert "good requests/s" in ran.out
    assert "error: cannot write /dev/full: No space left on device" in ran.err


@pytest.mark.parametrize("command", [["bench", "http://127.0.0.1:9/"], ["report", "RUN"]])
def test_without_matplotlib_the_line_to_type_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    run = tmp_path / "run.json"
    saved.keep([PLAIN], str(run))
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    arguments = [str(run) if word == "RUN" else word for word in command]
    assert cli.run([*arguments, "--html", str(tmp_path / "page.html")]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "error: --html draws with matplotlib, which is not installed", "hint: pip install 'opskit[plot]'",
    ]  # fmt: skip
    assert not (tmp_path / "page.html").exists()


# Side by side on a terminal


def test_the_table_fits_eighty_columns_and_folds() -> None:
    named = [Named(f"runs/{number}.json", run) for number, run in enumerate(list(RUNS.values()) * 2)]
    lines = ["".join(piece for piece, _ in line) for line in columns.lines(named)]
    assert all(len(line) <= 80 for line in lines)
    assert sum(line.startswith("good requests/s") for line in lines) == 3
    heads = [line.split("run")[1:] for line in lines if line.strip().startswith("run") and line.startswith(" ")]
    assert [int(number) for head in heads for number in head] == list(range(1, 15))
