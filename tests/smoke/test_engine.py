"""Order, waiting, stopping: what runs when, and what is left out."""

import threading
import time
from pathlib import Path

import pytest

from opskit.smoke.engine import Engine, Progress, excerpt, pauses
from opskit.smoke.load import load
from opskit.smoke.model import Report, Status
from tests.programs import free_port
from tests.smoke.smoking import run


def engine(tmp_path: Path, text: str, **options: object) -> Engine:
    file = tmp_path / "checks.toml"
    file.write_text(text)
    checks, mistakes = load([str(file)], {})
    assert not mistakes
    return Engine(checks, **options)  # type: ignore[arg-type]


def states(report: Report) -> dict[str, str]:
    return {result.check.id: result.status.value for result in report.results}


def test_independent_checks_run_side_by_side(tmp_path: Path) -> None:
    text = "".join(f'[command.c{i}]\nrun = ["sleep", "0.5"]\n' for i in range(10))
    report = run(text, tmp_path)
    assert set(states(report).values()) == {"pass"}
    assert report.seconds < 3


def test_needs_go_first_and_a_failed_need_skips_with_its_reason(tmp_path: Path) -> None:
    text = """
    [command.c]
    run = "true"
    needs = ["command.b", "command.a"]
    [command.b]
    run = "false"
    [command.a]
    run = "true"
    [command.d]
    run = "true"
    needs = "command.c"
    """
    order: list[str] = []
    report = engine(tmp_path, text, progress=Progress(began=lambda check: order.append(check.id))).run()
    assert states(report) == {"command.c": "skip", "command.b": "fail", "command.a": "pass", "command.d": "skip"}
    assert report.results[0].message == "command.b did not pass"
    assert report.results[3].message == "command.c was skipped"
    assert sorted(order) == ["command.a", "command.b"]


def test_bench_runs_alone_and_after_the_others(tmp_path: Path) -> None:
    text = f"""
    [bench.x]
    url = "http://127.0.0.1:{free_port()}/"
    requests = 1
    [bench.y]
    url = "http://127.0.0.1:{free_port()}/"
    requests = 1
    [command.a]
    run = ["sleep", "0.3"]
    [command.after]
    run = "true"
    needs = "command.a"
    """
    running: set[str] = set()
    beside: dict[str, set[str]] = {}
    order: list[str] = []

    def began(check: object) -> None:
        running.add(check.id)  # type: ignore[attr-defined]
        order.append(check.id)  # type: ignore[attr-defined]
        beside[check.id] = set(running)  # type: ignore[attr-defined]

    progress = Progress(began, lambda result: running.discard(result.check.id))
    engine(tmp_path, text, progress=progress).run()
    assert beside["bench.x"] == {"bench.x"}
    assert beside["bench.y"] == {"bench.y"}
    assert order[:2] == ["command.a", "command.after"]


def test_waiting_until_it_passes(tmp_path: Path) -> None:
    flag = tmp_path / "ready"
    threading.Timer(0.6, flag.touch).start()
    report = run(
        f'[file.x]\npath = "{flag}"\nwait = "10s"\n[file.y]\npath = "{tmp_path}"\nneeds = "file.x"', tmp_path
    )
    waited, after = report.results
    assert (waited.status, after.status) == (Status.PASS, Status.PASS)
    assert 0.5 < waited.seconds < 5
    assert len(waited.attempts) > 2
    assert waited.message.startswith("passed after ")
    assert f"{len(waited.attempts)} tries" in waited.message


def test_waiting_ends_with_its_time(tmp_path: Path) -> None:
    result = run(f'[file.x]\npath = "{tmp_path}/no"\nwait = "500ms"\nevery = "100ms"', tmp_path).results[0]
    assert result.status is Status.FAIL
    assert 0.4 < result.seconds < 3
    assert 3 <= len(result.attempts) <= 7


def test_a_single_try_is_no_longer_than_what_is_left_to_wait(tmp_path: Path) -> None:
    result = run('[command.x]\nrun = ["sleep", "60"]\nwait = "500ms"', tmp_path).results[0]
    assert result.status is Status.FAIL
    assert result.seconds < 5


def test_pauses_double_with_jitter_up_to_two_seconds() -> None:
    found = [pause for pause, _ in zip(pauses(None), range(8), strict=False)]
    for pause, middle in zip(found, (0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2), strict=True):
        assert 0.79 * middle <= pause <= 1.21 * middle
    assert [pause for pause, _ in zip(pauses(3.0), range(2), strict=False)] == [3.0, 3.0]


def test_fail_fast_leaves_the_rest(tmp_path: Path) -> None:
    text = '[command.a]\nrun = "false"\n[command.b]\nrun = ["sleep", "20"]\n'
    begun = time.monotonic()
    report = engine(tmp_path, text, fail_fast=True).run()
    assert time.monotonic() - begun < 5
    assert states(report) == {"command.a": "fail", "command.b": "skip"}
    assert "--fail-fast" in report.results[1].message


def test_stopping_reports_what_was_done(tmp_path: Path) -> None:
    text = '[command.a]\nrun = "true"\n[command.b]\nrun = ["sleep", "20"]\n[command.c]\nrun = "true"\nneeds = "command.b"'
    one = engine(tmp_path, text)
    threading.Timer(0.5, one.stop).start()
    begun = time.monotonic()
    report = one.run()
    assert time.monotonic() - begun < 5
    assert report.interrupted
    assert states(report) == {"command.a": "pass", "command.b": "skip", "command.c": "skip"}
    assert report.results[1].message == "interrupted"


def test_skip_severity_and_hint(tmp_path: Path) -> None:
    text = """
    [command.a]
    run = "false"
    severity = "warning"
    hint = "never mind"
    [command.b]
    run = "false"
    skip = "not on Mondays"
    [command.c]
    run = "true"
    skip = false
    """
    report = run(text, tmp_path)
    warned, skipped, ran = report.results
    assert warned.warning
    assert warned.hint == "never mind"
    assert (skipped.status, skipped.message) == (Status.SKIP, "not on Mondays")
    assert ran.status is Status.PASS
    assert report.summary() == {"checks": 3, "passed": 1, "failed": 0, "errors": 0, "skipped": 1, "warnings": 1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("\n\na\nb\n", "a\nb"),
        ("\x1b[31mred\x1b[0m", "·[31mred·[0m"),
        ("x\n" * 100, "\n".join(["x"] * 20) + "…"),
        ("y" * 5000, "y" * 2000 + "…"),
    ],
)
def test_an_excerpt_is_short_and_moves_no_cursor(text: str, shown: str) -> None:
    assert excerpt(text) == shown
