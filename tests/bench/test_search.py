"""Where a search goes next: on made servers of every capacity, and on each kind of end."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench.compare.search import Bounds, End, Held, Trial, highest_held, next_rate

BOUNDS = Bounds(10, 100_000, 0.02)


def searched(judge: Callable[[float], Trial], bounds: Bounds = BOUNDS) -> tuple[End, list[Trial]]:
    trials: list[Trial] = []
    while not isinstance(asked := next_rate(bounds, trials), End):
        trials.append(judge(asked))
        assert len(trials) < 100
    return asked, trials


def holds_up_to(capacity: float) -> Callable[[float], Trial]:
    return lambda rate: Trial(rate, Held.YES if rate <= capacity else Held.NO)


@given(st.floats(10, 99_999), st.sampled_from([0.005, 0.02, 0.1]))
def test_a_search_ends_within_its_precision_of_the_capacity(capacity: float, precision: float) -> None:
    end, trials = searched(holds_up_to(capacity), Bounds(10, 100_000, precision))
    found = highest_held(trials)
    assert end is End.SERVER
    assert found is not None
    assert found <= capacity < found * (1 + precision) * 1.001
    assert len(trials) <= 14 + 2 * 9  # doublings, and halvings of which each failure is looked at twice


def test_every_rate_asked_for_is_within_the_bounds() -> None:
    end, trials = searched(holds_up_to(1e9), Bounds(30, 1000, 0.02))
    assert end is End.MAXIMUM
    assert [trial.rate for trial in trials] == [30, 60, 120, 240, 480, 960, 1000]


def test_a_server_that_never_holds_is_asked_twice_at_the_lowest_rate() -> None:
    end, trials = searched(holds_up_to(1))
    assert (end, [trial.rate for trial in trials]) == (End.LOWEST, [10, 10])


def test_a_clear_failure_needs_no_second_look() -> None:
    end, trials = searched(lambda rate: Trial(rate, Held.NO, clearly=True))
    assert (end, len(trials)) == (End.LOWEST, 1)


def test_a_hiccup_is_not_the_servers_limit() -> None:
    seen: list[float] = []

    def once(rate: float) -> Trial:
        seen.append(rate)
        return Trial(rate, Held.NO if seen.count(rate) == 1 and rate < 200 else holds_up_to(500)(rate).held)

    end, trials = searched(once)
    assert end is End.SERVER
    assert (highest_held(trials) or 0) == pytest.approx(500, rel=0.02)


def test_a_rate_that_is_too_much_for_the_client_ends_the_search() -> None:
    def judge(rate: float) -> Trial:
        return Trial(rate, Held.YES if rate < 100 else Held.CLIENT)

    end, trials = searched(judge)
    assert (end, highest_held(trials)) == (End.CLIENT, 80)
    assert [trial.rate for trial in trials] == [10, 20, 40, 80, 160, 160]
