"""The statistics of a comparison, on made runs with known differences: seeded, so that each test is one fact."""

import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from opskit.bench.compare.comparing import (
    FIGURES,
    Comparison,
    Finding,
    Method,
    compare,
    independent_values,
    paired_effect,
    series_effect,
    student_probability,
    student_quantile,
    welch_effect,
)
from opskit.bench.histogram import Histogram
from opskit.bench.results import Latencies, Results
from opskit.bench.series import Second
from tests.bench.runs import PLAIN

MS = 1_000_000
CALM = (Finding.SAME, Finding.UNKNOWN)
WORSE = (Finding.REGRESSION, Finding.WORSE)


def a_run(chance: random.Random, slower: float = 1.0, noise: float = 0.02, requests: int = 100) -> Results:
    """Each request takes 2 ms and a little more by chance; a run as a whole is a little faster or slower, too."""
    whole = slower * chance.lognormvariate(0, noise)
    times = [round(whole * MS * (2 + chance.expovariate(2))) for _ in range(requests)]
    total = Histogram()
    total.record(times)
    return replace(
        PLAIN, started=requests, status={200: requests}, seconds=sum(times) / 1e9, latencies=Latencies(total=total)
    )


def some_runs(chance: random.Random, count: int = 5, slower: float = 1.0) -> list[Results]:
    return [a_run(chance, slower) for _ in range(count)]


def share(trials: int, happens: Callable[[], bool]) -> float:
    return sum(happens() for _ in range(trials)) / trials


def alarmed(found: Comparison) -> bool:
    return any(change.finding not in CALM for change in found.changes)


@pytest.mark.parametrize(
    ("probability", "freedom", "t"),
    [  # from the usual tables
        (0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 4, 2.7764), (0.95, 8, 1.8595), (0.995, 10, 3.1693),
        (0.975, 30, 2.0423), (0.975, 1000, 1.9623),
    ],
)  # fmt: skip
def test_students_quantiles_are_those_of_the_tables(probability: float, freedom: float, t: float) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(t, abs=1e-4)
    assert student_probability(t, freedom) == pytest.approx(probability, abs=1e-5)
    assert student_probability(-t, freedom) == pytest.approx(1 - probability, abs=1e-5)


@pytest.mark.parametrize("sides", [(5, 5), (3, 8), (1, 8)], ids=str)
def test_what_does_not_differ_is_seldom_called_different(sides: tuple[int, int]) -> None:
    chance = random.Random(8)
    new, old = sides

    def alarm() -> bool:
        return alarmed(compare(some_runs(chance, new), some_runs(chance, old), tolerance=0.05))

    assert share(200, alarm) <= 0.05


def test_a_tenth_slower_is_found() -> None:
    chance = random.Random(8)

    def found() -> bool:
        judged = compare(some_runs(chance, slower=1.1), some_runs(chance), tolerance=0.05)
        return any(change.finding in WORSE for change in judged.changes)

    assert share(200, found) >= 0.95


def test_in_turn_what_slows_the_whole_machine_down_cancels_out() -> None:
    chance = random.Random(8)
    moods = [1.0, 1.5, 0.9, 1.3, 1.1, 1.6]
    new = [a_run(chance, 1.1 * mood, noise=0.005, requests=300) for mood in moods]
    old = [a_run(chance, mood, noise=0.005, requests=300) for mood in moods]
    assert compare(new, old, tolerance=0.05, paired=True).finding is Finding.REGRESSION
    assert compare(new, old, tolerance=0.05).finding is Finding.SAME


def test_the_detectable_change_is_one_that_is_detected_19_times_in_20() -> None:
    chance = random.Random(8)
    sizes = []
    for _ in range(50):
        change = compare(some_runs(chance, 8), some_runs(chance, 8), tolerance=0.05).changes[1]
        assert change.detectable is not None
        sizes.append(change.detectable)
    size = statistics.median(sizes)

    def found() -> bool:
        return (
            compare(some_runs(chance, 8, 1 + size), some_runs(chance, 8), tolerance=0).changes[1].finding in WORSE
        )

    assert 0.9 <= share(200, found) < 1


def times(factor: float) -> list[Results]:
    """Five runs with next to no noise."""
    chance = random.Random(8)
    return [a_run(chance, factor, noise=0.001, requests=2000) for _ in range(5)]


@pytest.mark.parametrize(
    ("factor", "finding"),
    [(1.2, Finding.REGRESSION), (1.1, Finding.WORSE), (1.0, Finding.SAME), (0.5, Finding.BETTER)],
)
def test_only_what_is_worse_by_more_than_the_tolerance_is_a_regression(factor: float, finding: Finding) -> None:
    found = compare(times(factor), times(1.0), tolerance=0.15)
    assert {change.finding for change in found.changes} == {finding}
    assert found.finding is finding
    assert bool(found.regressions) is (finding is Finding.REGRESSION)


def test_the_effect_is_a_ratio_within_its_interval() -> None:
    rate, mean, p50, p99 = compare(times(1.2), times(1.0), tolerance=0.05).changes
    for change in (mean, p50, p99):
        assert change.low is not None
        assert change.high is not None
        assert change.low < 1.2 < change.high
    assert rate.ratio == pytest.approx(1 / 1.2, rel=0.01)
    assert rate.new == pytest.approx((rate.ratio or 0) * (rate.old or 0))
    assert [change.figure for change in (rate, mean, p50, p99)] == list(FIGURES)


def test_runs_that_are_exactly_alike_are_no_proof_of_the_smallest_difference() -> None:
    same = [times(1.0)[0]] * 5
    assert compare(same, same, tolerance=0.05).finding is Finding.SAME
    assert welch_effect([1.0] * 5, [1.0] * 5).error > 0
    assert paired_effect([1.0] * 5, [1.0] * 5).error > 0


def test_two_runs_a_side_tell_little_and_say_how_little() -> None:
    chance = random.Random(8)
    found = [compare(some_runs(chance, 2, 1.1), some_runs(chance, 2), tolerance=0.05) for _ in range(21)]
    assert statistics.median(each.changes[0].detectable or 0 for each in found) > 0.1


def test_a_single_short_run_a_side_is_too_little() -> None:
    found = compare(times(1.5)[:1], times(1.0)[:1], tolerance=0.05)
    assert found.method is Method.NONE
    assert found.finding is Finding.UNKNOWN
    assert found.changes[0].ratio == pytest.approx(1 / 1.5, rel=0.01)
    assert {change.low for change in found.changes} == {None}


def test_a_run_without_an_answer_is_not_judged() -> None:
    silent = replace(PLAIN, started=5, failures={"refused": 5}, status={}, latencies=Latencies())
    found = compare([silent] * 3, times(1.0), tolerance=0.05)
    assert found.finding is Finding.UNKNOWN
    assert found.changes[0].new is None


# One run a side: its seconds


def resembling(chance: random.Random, count: int, likeness: float, noise: float = 0.1) -> Iterator[float]:
    """A series around 1 whose neighbours have the correlation `likeness`."""
    off = chance.gauss(0, 1)
    for _ in range(count):
        yield 1 + noise * off
        off = likeness * off + chance.gauss(0, (1 - likeness**2) ** 0.5)


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.8])
def test_seconds_count_for_as_many_as_are_independent(likeness: float) -> None:
    chance = random.Random(8)
    worth = statistics.mean(independent_values(list(resembling(chance, 1000, likeness))) for _ in range(50))
    assert worth == pytest.approx(1000 * (1 - likeness) / (1 + likeness), rel=0.1)


def a_long_run(chance: random.Random, slower: float = 1.0, seconds: int = 60, likeness: float = 0.7) -> Results:
    series = tuple(
        Second(at, 1.0, 0, round(1000 / pace), 0, round(2 * MS * pace), round(5 * MS * pace), 0)
        for at, pace in enumerate(slower * value for value in resembling(chance, seconds, likeness))
    )
    return replace(a_run(chance, slower, noise=0), series=series)


def test_seconds_that_resemble_their_neighbours_raise_no_alarm() -> None:
    chance = random.Random(8)

    def alarm() -> bool:
        found = compare([a_long_run(chance)], [a_long_run(chance)], tolerance=0.05)
        assert found.method is Method.SECONDS
        return alarmed(found)

    assert share(200, alarm) <= 0.05


def test_a_naive_test_of_the_same_seconds_would_raise_it_often() -> None:
    chance = random.Random(8)

    def alarm() -> bool:
        sides = [list(resembling(chance, 60, 0.7)) for _ in range(2)]
        effect = welch_effect(*sides)
        return abs(effect.difference) > student_quantile(0.975, effect.freedom) * effect.error

    assert share(200, alarm) > 0.2


def test_a_single_run_finds_what_is_much_slower() -> None:
    chance = random.Random(8)
    found = compare([a_long_run(chance, 1.4)], [a_long_run(chance)], tolerance=0.05)
    assert found.finding is Finding.REGRESSION
    assert {change.figure.name for change in found.regressions} == {"rate", "p50", "p99"}


def test_seconds_without_an_answer_are_judged_by_the_rate() -> None:
    assert series_effect([0.0] * 10, [1.0] * 10) is None
    stalls = series_effect([0.0, 2.0] * 10, [1.0] * 20)
    assert stalls is not None
    assert stalls.difference == pytest.approx(0.0)
