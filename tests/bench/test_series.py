"""The seconds of a run, and its warm-up: sums that agree with the whole, in constant memory."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench import series as module
from opskit.bench.histogram import Histogram
from opskit.bench.plan import Schedule
from opskit.bench.results import Stop
from opskit.bench.schedule import parse_rate
from opskit.bench.series import Interval, Series
from tests.bench.running import bench
from tests.command import opskit
from tests.scripted import OK, Peer, answers, scripted


def interval(begins: float, ends: float, *times: int, failed: int = 0) -> Interval:
    histogram = Histogram()
    histogram.record(times)
    return Interval.of(begins, ends, len(times) + failed, len(times), failed, histogram)


def series_of(*intervals: Interval) -> Series:
    series = Series()
    for each in intervals:
        series.add(each)
    return series


@given(st.integers(1, 40), st.integers(1, 6))
def test_a_longer_run_has_longer_intervals_not_more_of_them(seconds: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "MOST", most)
        series = series_of(*(interval(second, second + 1, 5, second) for second in range(seconds)))
        shown = series.seconds()
    assert len(shown) <= most
    assert sum(each.good for each in shown) == 2 * seconds
    assert sum(each.seconds for each in shown) == seconds
    assert [each.at for each in shown] == list(range(0, seconds, series.width))
    assert max(each.max for each in shown) == max(5, seconds - 1)


@given(st.lists(st.lists(st.integers(0, 10**9), max_size=8), min_size=1, max_size=5), st.integers(1, 3))
def test_seconds_of_several_are_joined_exactly(seconds: list[list[int]], others: int) -> None:
    one = series_of(*(interval(at, at + 1, *times) for at, times in enumerate(seconds)))
    for _ in range(others):
        one.merge(series_of(*(interval(at + 0.01, at + 1.01, *times) for at, times in enumerate(seconds))))
    for at, times in enumerate(seconds):
        whole = Histogram()
        whole.record(times * (1 + others))
        joined = one.intervals[at]
        assert joined.times() == whole
        assert joined.good == len(times) * (1 + others)
        assert joined.second().p99 == whole.percentile(99)


def test_series_of_different_widths_can_be_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    long, short = (series_of(*(interval(at, at + 1, at) for at in range(n))) for n in (10, 3))
    short.merge(long)
    assert short.width == long.width == 4
    assert sum(each.good for each in short.seconds()) == 13


def test_a_short_last_stretch_belongs_to_the_second_before() -> None:
    (first, second) = series_of(interval(0, 1, 1), interval(1, 2, 2), interval(2, 2.1, 3)).seconds()
    assert (first.good, second.good) == (1, 2)
    assert second.seconds == pytest.approx(1.1)


def test_good_answers_of_a_stretch_are_those_within_it() -> None:
    series = series_of(interval(0, 1, *[1] * 10), interval(1, 2, *[1] * 20), interval(2, 3, *[1] * 40))
    assert series.good_between(0, 3) == 70
    assert series.good_between(1, 2) == 20
    assert series.good_between(0.5, 2.25) == pytest.approx(5 + 20 + 10)
    assert series.good_between(3, 9) == 0


@pytest.mark.parametrize("rate", [None, "300"])
def test_the_seconds_of_a_run_add_up_to_it(rate: str | None) -> None:
    def mixed(peer: Peer) -> None:
        for number, _ in enumerate(peer.requests()):
            time.sleep(0.004)
            peer.send(OK if number % 5 < 4 else b"nonsense\r\n\r\n")
            if number % 5 == 4:
                return

    with scripted(mixed) as server:
        results = bench(
            server.url, number=None, seconds=1.3, concurrency=2, keep_alive=True, keep_going=True,
            schedule=Schedule(parse_rate(rate)) if rate else None,
        )  # fmt: skip
    assert len(results.series) in (1, 2)  # 1.3 s, or a little more where the machine is busy
    assert sum(each.sent for each in results.series) == results.started
    assert sum(each.good for each in results.series) == results.good > 0
    assert sum(each.failed for each in results.series) == results.failed > 0
    assert sum(each.seconds for each in results.series) == pytest.approx(results.seconds, abs=0.01)
    slowest = results.latencies.response if rate else results.latencies.total
    assert max(each.max for each in results.series) == slowest.highest


# --warmup


def test_a_warm_up_is_sent_and_left_out() -> None:
    with scripted(answers(OK, then="keep")) as server:
        results = bench(server.url, number=50, concurrency=2, keep_alive=True, warmup=0.3)
        assert server.connections == 2
    assert results.warmup is not None
    assert results.warmup.requests > 0
    assert (results.started, results.good, results.opened) == (50, 50, 0)
    assert results.latencies.connect.count == 0
    assert sum(each.sent for each in results.series) == 50


def test_a_warm_up_goes_on_in_the_file_and_begins_with_the_first_rate(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("".join(f"{number}\n" for number in range(10_000)))
    asked: list[int] = []

    def notes(peer: Peer) -> None:
        for request in peer.requests():
            asked.append(int(request.split()[1].removeprefix(b"/")))
            peer.send(OK)

    with scripted(notes) as server:
        results = bench(
            server.url, number=20, concurrency=1, keep_alive=True, requests=str(path), warmup=0.5,
            schedule=Schedule(parse_rate("100..1000@1s")),
        )  # fmt: skip
    assert results.warmup is not None
    assert 40 <= results.warmup.requests <= 50
    assert asked == list(range(results.warmup.requests + 20))


def test_what_hangs_in_the_warm_up_does_not_hold_up_the_run() -> None:
    def hangs_first(peer: Peer) -> None:
        for _ in peer.requests():
            if peer.number == 0:
                peer.wait_for_close()
            peer.send(OK)

    began = time.monotonic()
    with scripted(hangs_first) as server:
        results = bench(server.url, number=20, concurrency=2, keep_alive=True, warmup=0.2, request_limit=60)
    assert time.monotonic() - began < 30  # not the limit of the request that hangs
    assert (results.good, results.failed) == (20, 0)


def test_a_server_that_is_dead_in_the_warm_up_ends_the_run() -> None:
    with scripted(lambda peer: None) as server:
        results = bench(server.url, number=1000, concurrency=1, warmup=5)
    assert (results.stop, results.good) == (Stop.DEAD, 0)


def test_the_report_tells_of_the_warm_up_and_a_file_sent_once_has_none() -> None:
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit("bench", "-kq", "-n20", "--warmup", "100ms", server.url)
        data = opskit("bench", "-k", "-n20", "--warmup", "100ms", "--json", server.url).data
    assert "after a warm-up of 0.1 s, " in ran.out
    assert data["warmup"]["requests"] > 0
    assert set(data["series"][0]) == {
        "at_s", "seconds", "sent", "good", "failed", "p50_ms", "p99_ms", "max_ms",
    }  # fmt: skip
    once = opskit("bench", "--warmup", "1s", "-R", "examples/requests.txt", "http://127.0.0.1:1/")
    assert once.code == 2
    assert "sent once" in once.err
    for wrong in ("fast", "-1s"):
        assert opskit("bench", "-n1", "--warmup", wrong, "http://127.0.0.1:1/").code == 2
