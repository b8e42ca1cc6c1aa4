"""`--repeat`, `--against`, `--baseline` and `opskit report --baseline`, against real servers."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opskit.bench import saved
from opskit.bench.compare.comparable import differences
from opskit.bench.compare.compared import Baseline, compared
from opskit.bench.compare.repeating import repeat, turns
from opskit.bench.compare.several import Told
from opskit.bench.plan import Plan, parse_url
from opskit.bench.report import comparison, repeats
from opskit.bench.results import Failure, Results
from opskit.interrupts import Relay
from tests.bench.runs import FAILING, PLAIN, SILENT
from tests.bench.test_comparing import a_long_run, some_runs
from tests.command import Ran, opskit
from tests.scripted import OK, Peer, Scripted, scripted


@contextmanager
def sleeping() -> Iterator[Scripted]:
    """Sleeps for as many ms as the path names: /20."""

    def script(peer: Peer) -> None:
        for request in peer.requests():
            running.seen.append(request.split(b" ", 2)[1])
            time.sleep(int(request.split(b" ", 2)[1][1:]) / 1000)
            peer.send(OK)

    with scripted(script) as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with sleeping() as running:
        yield running


@pytest.fixture(scope="module")
def kept(server: Scripted, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five runs at 20 ms, kept."""
    path = str(tmp_path_factory.mktemp("kept") / "old.json")
    assert bench(server, 20, "--repeat", "5", "--save", path).code == 0
    return path


def bench(server: Scripted, milliseconds: int, *args: str) -> Ran:
    return opskit("bench", "-kq", "-n", "10", *args, f"{server.url}{milliseconds}")


def in_file(path: str, **changes: Any) -> None:
    """Change what a kept run says that it asked."""
    document = json.loads(Path(path).read_text())
    for run in document.get("runs", [document]):
        run["run"].update(changes)
    Path(path).write_text(json.dumps(document))


def url_of(path: str) -> str:
    return str(json.loads(Path(path).read_text())["runs"][0]["run"]["url"])


def test_runs_stand_in_turn_so_that_drift_weighs_on_both() -> None:
    assert list(turns(3, against=False)) == [False] * 3
    assert list(turns(4, against=True)) == [False, True, True, False, False, True, True, False]


def test_repeated_runs_show_how_they_spread_and_are_kept(kept: str) -> None:
    runs = saved.load(kept)
    assert [run.good for run in runs] == [10] * 5
    shown = opskit("report", kept)
    assert shown.code == 0
    assert "\n5 runs of " in shown.out
    assert all(f"\n{name}" in shown.out for name in ("rate, 1/s", "mean, ms", "p50, ms", "p99, ms"))
    data = opskit("report", kept, "--json").data
    assert data["repeat"] == len(data["runs"]) == 5
    assert 20 <= data["spread"]["p50_ms"]["min"] <= data["spread"]["p50_ms"]["median"]
    assert opskit("report", kept, "--format", "ab").code == 2


def test_each_run_is_told_of_on_stderr(server: Scripted) -> None:
    ran = opskit("bench", "-k", "-n", "5", "--repeat", "3", f"{server.url}1")
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["run 1 of 3", "run 2 of 3", "run 3 of 3"]
    assert all("good requests/s, p99 " in line for line in ran.err.splitlines())


def test_a_regression_is_exit_1_with_its_size(server: Scripted, kept: str) -> None:
    # A file of its own: the baseline then asked for the same URL as the slower run.
    slow = kept.replace("old", "slow")
    Path(slow).write_text(Path(kept).read_text())
    in_file(slow, url=f"{server.url}40")
    ran = bench(server, 40, "--repeat", "5", "--baseline", slow)
    assert ran.code == 1
    assert "REGRESSION" in ran.out
    assert "error: p50 is " in ran.err
    assert f"higher than {slow}, beyond 5%" in ran.err


def test_an_improvement_is_no_failure(server: Scripted, kept: str) -> None:
    fast = kept.replace("old", "fast")
    Path(fast).write_text(Path(kept).read_text())
    in_file(fast, url=f"{server.url}5")
    ran = bench(server, 5, "--repeat", "5", "--baseline", fast, "--json")
    found = ran.data["comparison"]
    assert (ran.code, found["finding"], found["method"]) == (0, "better", "runs")
    assert found["runs"] == {"new": 5, "old": 5}


def test_a_single_run_is_judged_by_the_spread_of_the_baseline(server: Scripted, kept: str) -> None:
    ran = bench(server, 20, "--baseline", kept, "--tolerance", "10000%", "--json")
    assert (ran.code, ran.json["schema"]) == (0, "bench/1")
    assert ran.data["comparison"]["runs"] == {"new": 1, "old": 5}
    assert ran.data["requests"]["good"] == 10
    shown = bench(server, 20, "--baseline", kept, "--tolerance", "10000%")
    assert "This run is" in shown.out
    assert f"Compared with {kept}" in shown.out


def test_against_measures_both_in_turn(server: Scripted) -> None:
    server.seen.clear()
    ran = bench(server, 30, "--against", f"{server.url}10", "--repeat", "3", "--json")
    order = [path for number, path in enumerate(server.seen) if not number or server.seen[number - 1] != path]
    assert order == [b"/30", b"/10", b"/30", b"/10"]  # A, B B, A A, B
    assert server.seen.count(b"/30") == server.seen.count(b"/10") == 30
    found = ran.data["comparison"]
    assert (ran.code, found["method"], found["finding"]) == (1, "pairs", "regression")
    assert found["baseline"] == f"{server.url}10"
    assert found["changes"][1]["ratio"] == pytest.approx(3, rel=0.5)


def test_report_compares_two_kept_runs(kept: str, tmp_path: Path) -> None:
    same = opskit("report", kept, "--baseline", kept)
    assert same.code == 0
    assert "no difference seen" in same.out
    new, old = str(tmp_path / "new.json"), str(tmp_path / "old.json")
    chance = random.Random(8)
    saved.keep(some_runs(chance, slower=1.5), new)
    saved.keep(some_runs(chance), old)
    worse = opskit("report", new, "--baseline", old)
    assert worse.code == 1
    assert worse.err.count("error: ") == 4
    assert opskit("report", old, "--baseline", new).code == 0
    assert opskit("report", new, "--baseline", old, "--tolerance", "90%").code == 0


def test_single_runs_are_compared_by_their_seconds(tmp_path: Path) -> None:
    new, old = str(tmp_path / "new.json"), str(tmp_path / "old.json")
    chance = random.Random(8)
    saved.keep([a_long_run(chance, 1.5)], new)
    saved.keep([a_long_run(chance)], old)
    ran = opskit("report", new, "--baseline", old, "--json")
    assert (ran.code, ran.data["comparison"]["method"]) == (1, "seconds")
    assert "one run a side: its seconds" in opskit("report", new, "--baseline", old).out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "http://other/"}, "URL: "),
        ({"method": "HEAD"}, "method: GET now, HEAD then"),
        ({"concurrency": 7}, "concurrency: 1 now, 7 then"),
        ({"keep_alive": False}, "keep-alive: yes now, no then"),
        ({"rate": "5/s"}, "rate: none now, 5/s then"),
        ({"requests_file": "f"}, "file of requests: none now, f then"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_baseline_of_something_else_is_refused_before_anything_is_sent(
    server: Scripted, kept: str, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    other = str(tmp_path / "other.json")
    Path(other).write_text(Path(kept).read_text())
    in_file(other, **changes)
    server.seen.clear()
    ran = bench(server, 20, "--baseline", other)
    assert (ran.code, server.seen) == (2, [])
    assert f"error: {other} is a run of something else: {says}" in ran.err
    assert "--force" in ran.err
    forced = bench(server, 20, "--baseline", other, "--force", "--tolerance", "10000%")
    assert forced.code == 0
    assert f"forced       {says}" in forced.out
    assert opskit("report", kept, "--baseline", other).code == 2


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": "bench-run/7"}', '{"schema": "bench-run/2", "runs": [{}]}']
)
def test_a_baseline_of_another_schema_is_refused_before_anything_is_sent(
    server: Scripted, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "old.json"
    path.write_text(content)
    server.seen.clear()
    ran = bench(server, 20, "--baseline", str(path), "--force")
    assert (ran.code, server.seen) == (2, [])
    assert str(path) in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ("--repeat", "0"), ("--repeat", "2", "--format", "ab"), ("--repeat", "2", "-e", "f"),
        ("--repeat", "2", "-g", "f"), ("--repeat", "2", "-R", "-"), ("--tolerance", "much"),
        ("--repeat", "2", "--junit", "f"), ("--against", "http://h/", "--baseline", "f"), ("--against", "ftp://h/"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(server: Scripted, args: tuple[str, ...], kept: str) -> None:
    args = tuple(kept if each == "f" and "--baseline" in args else each for each in args)
    server.seen.clear()
    ran = bench(server, 1, *args)
    assert (ran.code, server.seen) == (2, [])
    assert "hint: " in ran.err


def test_a_threshold_is_for_each_run(server: Scripted) -> None:
    ran = bench(server, 5, "--repeat", "2", "--fail-if", "p50 > 1ms")
    assert ran.code == 1
    assert "error: run 1 of 2: p50 > 1ms: it is " in ran.err
    assert "error: run 2 of 2: p50 > 1ms: it is " in ran.err


def test_a_server_that_is_not_there_ends_the_repeats() -> None:
    ran = opskit("bench", "-q", "--repeat", "3", "http://127.0.0.1:1/")
    assert ran.code == 3
    assert ran.err.count("error: ") == 1


def test_ctrl_c_keeps_the_runs_that_ended(server: Scripted, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "opskit", "bench", "-k", "-n", "20", "--repeat", "50", "--save", str(path),
         f"{server.url}20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    for number in (1, 2):
        assert process.stderr.readline().startswith(f"run {number} of 50")
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "runs of " in out
    assert 2 <= len(saved.load(str(path))) < 50


def test_the_first_run_that_does_not_end_is_the_last() -> None:
    ends: Iterator[Results] = iter([PLAIN, SILENT])
    plan = Plan(url=parse_url("http://h/"))
    sides = repeat(plan, 5, None, Told(plan, quiet=True), Relay(), carry=lambda plan, **how: (next(ends), None))
    assert (sides.new, sides.ended) == ([PLAIN], SILENT)


def test_ctrl_c_between_two_runs_ends_the_whole() -> None:
    relay = Relay()

    def carry(plan: Plan, **how: object) -> tuple[Results, None]:
        relay.stop()
        return PLAIN, None

    plan = Plan(url=parse_url("http://h/"))
    assert repeat(plan, 2, None, Told(plan, quiet=True), relay, carry).stopped
    assert not repeat(plan, 1, None, Told(plan, quiet=True), relay, carry).stopped


def test_what_two_runs_did_not_ask_alike_is_named() -> None:
    assert differences(PLAIN.run, PLAIN.run) == []
    other = replace(PLAIN.run, concurrency=9, started_at=1.0, version="9", keep_alive=True, cookies=True)
    assert [str(each) for each in differences(other, PLAIN.run)] == [
        "concurrency: 9 now, 4 then",
        "keep-alive: yes now, no then",
        "cookies sent back: yes now, no then",
    ]


def test_runs_that_were_in_doubt_put_the_comparison_in_doubt() -> None:
    failing = replace(PLAIN, failures={Failure.RESET: 5}, status={200: 5})
    found = compared([failing, PLAIN], Baseline("old", (PLAIN, PLAIN), 0.05))
    assert found.doubts == ("ERRORS: 1 of 2 runs now",)


EXTREMES = {
    "alike": ([PLAIN] * 2, (PLAIN,) * 2),
    "one each": ([PLAIN], (PLAIN,)),
    "silent": ([SILENT], (PLAIN, FAILING)),
    "far apart": (some_runs(random.Random(1), slower=1e4), tuple(some_runs(random.Random(2)))),
    "much better": (some_runs(random.Random(1), slower=1e-3), tuple(some_runs(random.Random(2)))),
    "two": (some_runs(random.Random(1), 2, 3.0), tuple(some_runs(random.Random(3), 2))),
    "seconds": ([a_long_run(random.Random(1))], (a_long_run(random.Random(2), 1.2),)),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_the_report_fits_eighty_columns(case: str) -> None:
    new, old = EXTREMES[case]
    for page in (comparison.lines(compared(new, Baseline("old.json", old, 0.05))), repeats.lines(new)):
        shown = ["".join(piece for piece, _ in line) for line in page]
        assert [line for line in shown if len(line) > 80] == []
    assert json.dumps(compared(new, Baseline("old.json", old, 0.05)).to_dict(), allow_nan=False)
