"""The open model: what a rate means, when requests are due, and that the engine keeps to it."""

import statistics
import time
from itertools import islice, pairwise, takewhile

import pytest

from opskit.bench.plan import Schedule
from opskit.bench.results import Results
from opskit.bench.schedule import due_times, parse_rate
from opskit.errors import Misuse
from tests.bench.running import bench
from tests.command import opskit
from tests.scripted import OK, Peer, answers, scripted


@pytest.mark.parametrize(
    ("rate", "a_second"),
    [
        ("10", [10, 10, 10, 10]),
        ("10/s", [10, 10, 10, 10]),
        ("600/m", [10, 10, 10, 10]),
        ("0.5", [1, 0, 1, 0]),
        ("10,20@1s,40@3s", [10, 20, 20, 40]),
        ("10..30@2s", [15, 25, 30, 30]),
        ("30..10@2s", [25, 15, 10, 10]),
        ("10,10..30@2s,5@3s", [15, 25, 30, 5]),
    ],
)
def test_a_rate_says_how_many_are_due_in_each_second(rate: str, a_second: list[int]) -> None:
    due = list(takewhile(lambda at: at < 4e9, due_times(parse_rate(rate))))
    assert [sum(1 for at in due if second <= at / 1e9 < second + 1) for second in range(4)] == a_second
    assert due == sorted(due)


def test_poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    due = list(islice(due_times(parse_rate("1000"), poisson=True, seed=7), 20_001))
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert statistics.fmean(gaps) == pytest.approx(1e6, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1e6, rel=0.05)  # an exponential's deviation is its mean
    assert due == list(islice(due_times(parse_rate("1000"), poisson=True, seed=7), 20_001))


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("0", "more than 0"),
        ("10..0@1s", "more than 0"),
        ("-5", "'-5' is not a rate"),
        ("fast", "'fast' is not a rate"),
        ("10/x", "not a rate"),
        ("10@", "not a rate"),
        ("10@5", "'5' is not a duration"),
        ("", "not a rate"),
        ("5@1s", "the first stage begins at once"),
        ("10,20", "'20' says no time"),
        ("10..20", "says no time"),
        ("10,20@2s,30@1s", "out of order at '30@1s'"),
        ("10,20@2s,30@2s", "out of order"),
    ],
)
def test_what_is_no_rate_is_refused(rate: str, said: str) -> None:
    with pytest.raises(Misuse, match=said) as refused:
        parse_rate(rate)
    assert refused.value.hint


def paced(url: str, rate: str, **plan: object) -> Results:
    return bench(url, schedule=Schedule(parse_rate(rate)), **plan)  # type: ignore[arg-type]  # as bench has them


def test_the_rate_is_that_of_all_connections_together() -> None:
    with scripted(answers(OK, then="keep")) as server:
        results = paced(server.url, "200", number=100, concurrency=10, keep_alive=True)
    assert results.good == 100
    assert 0.45 < results.seconds < 1.5  # the last is due at 0.495 s
    assert results.latencies.response.count == results.latencies.lag.count == 100


def test_the_end_of_the_time_ends_the_schedule() -> None:
    with scripted(answers(OK, then="keep")) as server:
        results = paced(server.url, "100", number=None, seconds=0.5, concurrency=10, keep_alive=True)
    assert results.started + results.unsent == 50


def test_a_stall_shows_in_the_response_times_of_all_that_were_due_meanwhile() -> None:
    def stalls_once(peer: Peer) -> None:
        for number, _ in enumerate(peer.requests()):
            if number == 10:
                time.sleep(0.5)
            peer.send(OK)

    with scripted(stalls_once) as server:
        results = paced(server.url, "100", number=100, concurrency=1, keep_alive=True)
    slow = 200_000_000  # ns
    assert results.latencies.total.above(slow) <= 2  # one request was served slowly
    assert results.latencies.response.above(slow) >= 20  # but 30 that were due waited more than 0.2 s
    assert results.latencies.lag.above(slow) >= 20


def test_what_was_due_and_never_began_is_counted() -> None:
    def sleeps(peer: Peer) -> None:
        for _ in peer.requests():
            time.sleep(0.2)
            peer.send(OK)

    with scripted(sleeps) as server:
        results = paced(server.url, "100", number=None, seconds=0.5, concurrency=1, keep_alive=True)
    assert results.started + results.unsent == 50
    assert results.unsent >= 40


def test_the_command_shows_both_latencies_and_how_late_it_was() -> None:
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit("bench", "-kq", "--rate", "100", "-n50", "-c5", server.url)
        data = opskit("bench", "-k", "--rate", "100", "-n50", "-c5", "--json", server.url).data
    assert ran.code == 0
    for row in ("service", "response", "late by"):
        assert f"\n{row}" in ran.out
    assert set(data["latency_ms"]) >= {"service", "response"}
    assert data["latency_ms"]["service"] == data["latency_ms"]["total"]


def test_a_rate_without_an_end_is_refused() -> None:
    ran = opskit("bench", "--rate", "10", "http://127.0.0.1:1/")
    assert (ran.code, ran.err.splitlines()) == (2, ["error: --rate says no end", "hint: add -t 30s, or -n 1000"])
