"""A run in a pipeline: JUnit XML, annotations, and how far beyond a threshold a figure is."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from opskit.bench.report import ci
from opskit.bench.thresholds import crossed, parse_thresholds
from tests.bench.runs import FAILING, PLAIN, SILENT
from tests.bench.test_verdict import CLEAN
from tests.command import opskit
from tests.scripted import OK, answers, scripted


def test_junit_has_a_case_for_the_run_and_one_for_each_threshold(tmp_path: Path) -> None:
    path = tmp_path / "bench.xml"
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit(
            "bench", "-kq", "-n20", "--junit", str(path), "--fail-if", "p99 > 1h", "--fail-if", "status.2xx > 10",
            server.url,
        )  # fmt: skip
    assert ran.code == 1
    suite = ET.parse(path).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    cases = {case.get("name"): case for case in suite}
    assert list(cases) == ["the run", "not p99 > 1h", "not status.2xx > 10"]
    assert "LOOPBACK-SHARED" in (cases["the run"].findtext("system-out") or "")
    assert cases["not p99 > 1h"].find("failure") is None
    failure = cases["not status.2xx > 10"].find("failure")
    assert failure is not None
    assert failure.get("message") == "status.2xx > 10: it is 20 (100.00%), 100.0% above the limit"


def test_a_run_without_an_answer_is_an_error_in_junit() -> None:
    thresholds = parse_thresholds(["p99 > 1s"])
    (page,) = ci.junit_lines(SILENT, thresholds, crossed(thresholds, SILENT))
    suite = ET.fromstring(page)[0]
    assert (suite.get("errors"), suite.get("failures")) == ("1", "1")


def test_a_junit_file_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    ran = opskit("bench", "-n1", "--junit", str(tmp_path / "none" / "x.xml"), "http://127.0.0.1:1/")
    assert (ran.code, ran.err.startswith("error: cannot write ")) == (3, True)


def test_annotations_are_errors_for_thresholds_and_a_warning_for_doubts() -> None:
    found = crossed(parse_thresholds(["failed > 1%"]), FAILING)
    error, warning = ci.annotations(FAILING, found)
    assert error.startswith("::error title=opskit bench::failed > 1%25: it is 10 (50.00%25), ")
    assert warning.startswith("::warning title=opskit bench%3A doubtful run::")
    assert "%0A" in warning
    assert ci.annotations(CLEAN, []) == []


@pytest.mark.parametrize(("on_github", "annotated"), [("true", True), ("", False)])
def test_annotations_are_written_for_a_runner_only(on_github: str, annotated: bool) -> None:
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit(
            "bench", "-kq", "-n5", "--fail-if", "requests > 1", server.url, env={"GITHUB_ACTIONS": on_github}
        )
    assert ("::error title=opskit bench::requests > 1" in ran.err) is annotated


@pytest.mark.parametrize(
    ("condition", "excess"),
    [
        ("p99 > 10ms", "45.0% above the limit"),
        ("rate < 100/s", "20.0% below the limit"),
        ("requests > 5, < 20", ""),  # of two limits, which?
        ("good >= 0", ""),
    ],
)
def test_a_crossed_threshold_says_by_how_much(condition: str, excess: str) -> None:
    (found,) = crossed(parse_thresholds([condition]), replace(PLAIN))
    assert found.excess == excess
