"""`--fail-if`: every metric, crossed and not, and a run that has no figure to judge."""

from dataclasses import replace

import pytest

from opskit.bench.results import Latencies
from opskit.bench.thresholds import METRICS, crossed, parse_thresholds
from opskit.conditions import BadCondition
from tests.bench.runs import FAILING, PLAIN, SILENT, histogram
from tests.command import opskit
from tests.scripted import OK, answers, scripted


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("p50 > 2ms", True),
        ("p50 > 4ms", False),
        ("p99 > 14ms", True),
        ("p99.9 > 15ms", False),
        ("min < 2.95ms", True),
        ("max > 1s", False),
        ("mean > 4ms", True),
        ("rate < 81/s", True),
        ("rate < 80/s", False),
        ("requests < 11", True),
        ("good < 100%", False),
        ("failed > 0", False),
        ("non_2xx > 0", False),
        ("status.200 < 10", False),
        ("status.2xx >= 10", True),
        ("status.404 > 0", False),
    ],
)
def test_a_condition_is_judged_by_the_figure_of_its_name(condition: str, holds: bool) -> None:
    assert bool(crossed(parse_thresholds([condition]), PLAIN)) is holds


@pytest.mark.parametrize(
    ("condition", "figure"),
    [
        ("failed > 0.1%", "10 (50.00%)"),
        ("failed > 9", "10"),
        ("non_2xx > 10%", "7 (35.00%)"),
        ("status.4xx > 0", "3"),
        ("status.404 > 0", "3"),
        ("unsent >= 0", "0"),
    ],
)
def test_a_crossed_threshold_says_by_what(condition: str, figure: str) -> None:
    (found,) = crossed(parse_thresholds([condition]), FAILING)
    assert found.figure.startswith(figure)
    assert str(found).startswith(f"{condition}: it is {figure}")


@pytest.mark.parametrize("metric", ["p99", "min", "mean", "status.5xx"])
def test_a_metric_without_a_sample_fails(metric: str) -> None:
    limit = "> 1000" if metric.startswith("status") else "> 1h"
    silent = replace(SILENT, status={}, latencies=Latencies())
    (found,) = crossed(parse_thresholds([f"{metric} {limit}"]), silent)
    assert "no figure to judge" in str(found)


def test_with_a_rate_the_response_times_are_judged() -> None:
    late = replace(
        PLAIN, latencies=replace(PLAIN.latencies, response=histogram(*[500.0] * 10), lag=histogram(*[490.0] * 10))
    )
    assert crossed(parse_thresholds(["p50 > 400ms"]), late)
    assert not crossed(parse_thresholds(["p50 > 400ms"]), PLAIN)


def test_an_unknown_metric_is_refused_with_a_suggestion() -> None:
    with pytest.raises(BadCondition, match=r"unknown metric 'p98\.5'") as refused:
        parse_thresholds(["p98.5 > 1s"])
    assert "did you mean" in refused.value.hint
    assert all(name in refused.value.hint for name in METRICS)


def test_the_command_exits_1_and_says_which() -> None:
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit("bench", "-kq", "-n20", "--fail-if", "p99 > 1h", "--fail-if", "status.2xx > 0", server.url)
        held = opskit("bench", "-kq", "-n20", "--fail-if", "p99 > 1h", server.url)
    assert ran.code == 1
    assert "good requests/s" in ran.out
    assert ran.err.startswith("error: status.2xx > 0: it is 20")
    assert (held.code, held.err) == (0, "")
