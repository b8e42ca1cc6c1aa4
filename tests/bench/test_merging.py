"""Shares of a run: together they are the run, and their figures add up to those of all samples."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench.merging import Part, merged
from opskit.bench.plan import Plan, RequestsFile, Schedule, divided, parse_url, with_seeds
from opskit.bench.recorder import Recorder
from opskit.bench.requests import Tally, request_stream
from opskit.bench.results import LabelTimes, Stop
from opskit.bench.schedule import parse_rate
from opskit.bench.series import Series
from tests.bench.runs import PLAIN, histogram
from tests.bench.test_series import interval

URL = parse_url("http://127.0.0.1:8080/")
TIMES = st.lists(st.integers(0, 10**10), max_size=40)


@given(st.lists(st.tuples(TIMES, TIMES, TIMES), min_size=1, max_size=4))
def test_merged_histograms_are_those_of_all_samples(samples: list[tuple[list[int], list[int], list[int]]]) -> None:
    def filled(recorder: Recorder, quick: list[int], total: list[int], response: list[int]) -> None:
        recorder.quick += quick
        recorder.total += total
        recorder.response += response
        recorder.end_interval(0, 1, 0, 0, 0)

    everything, parts = Recorder(), []
    for each in samples:
        recorder = Recorder()
        filled(recorder, *each)
        filled(everything, *each)
        parts.append(Part(replace(PLAIN, latencies=recorder.latencies()), recorder.series, 0, Tally()))
    whole = merged(Plan(URL), parts).results.latencies
    for name, expected in everything.latencies().named().items():
        found = whole.named()[name]
        assert found == expected
        assert (found.count, found.total, found.lowest, found.highest) == (
            expected.count, expected.total, expected.lowest, expected.highest,
        )  # fmt: skip


@given(
    st.integers(1, 7), st.integers(1, 30), st.integers(1, 100), st.sampled_from(["lines", "jsonl", "access-log"])
)
def test_shares_take_turns_at_the_lines_over_all_passes(
    tmp_path_factory: pytest.TempPathFactory, shares: int, lines: int, number: int, form: str
) -> None:
    write = {
        "lines": "{}",
        "jsonl": '{{"url": "{}"}}',
        "access-log": '- - - [x] "POST /no HTTP/1.1" 200 1\n- - - [x] "GET /{} HTTP/1.1" 200 1',
    }[form]
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_text("".join(write.format(line) + "\n" for line in range(lines)))
    plan = Plan(URL, RequestsFile(str(path), form), number=max(number, shares), concurrency=shares)
    whole = list(islice(request_stream(plan, Tally()), plan.number))
    parts = [list(islice(request_stream(share, Tally()), share.number)) for share in divided(plan, shares)]
    together = [parts[turn % shares][turn // shares] for turn in range(len(whole))]
    assert [each.wire for each in together] == [each.wire for each in whole]
    assert sum(map(len, parts)) == len(whole)


def test_a_file_sent_once_by_more_shares_than_it_has_lines(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a\nb\n")
    plan = Plan(URL, RequestsFile(str(path), order="once"), number=None, concurrency=4)
    assert [len(list(request_stream(share, Tally()))) for share in divided(plan, 4)] == [1, 1, 0, 0]


@given(st.integers(1, 5), st.sampled_from(["50", "10..200@2s", "5,100@1s"]), st.booleans())
def test_shares_take_turns_at_the_schedule(shares: int, rate: str, poisson: bool) -> None:
    plan = with_seeds(Plan(URL, schedule=Schedule(parse_rate(rate), poisson), concurrency=shares))
    assert plan.schedule is not None
    whole = list(islice(plan.schedule.due_times(plan.share), 60))
    parts = [list(islice(plan.schedule.due_times(share.share), 60)) for share in divided(plan, shares)]
    assert [parts[turn % shares][turn // shares] for turn in range(60)] == whole


def test_shuffled_shares_shuffle_alike(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("".join(f"{line}\n" for line in range(50)))
    plan = with_seeds(Plan(URL, RequestsFile(str(path), order="random"), number=50, concurrency=3))
    parts = [list(islice(request_stream(share, Tally()), share.number)) for share in divided(plan, 3)]
    assert len({each.wire for part in parts for each in part}) == 50


def part(begun: float, seconds: float, good_a_second: int, **changes: object) -> Part:
    series = Series()
    for second in range(int(seconds)):
        series.add(interval(second, second + 1, *[1000] * good_a_second))
    good = good_a_second * int(seconds)
    results = replace(PLAIN, started=good, status={200: good}, seconds=seconds, **changes)  # type: ignore[arg-type]
    return Part(results, series, int(begun * 1e9), Tally())


def test_the_rate_is_that_of_the_stretch_in_which_all_were_at_work() -> None:
    # vegeta merges such runs into good / (end - begin), which is the rate of nobody.
    whole = merged(Plan(URL, concurrency=2), [part(100, 10, 50), part(105, 10, 70)]).results
    assert whole.together is not None
    assert whole.together.seconds == 5
    assert whole.rate == pytest.approx(120)
    assert whole.seconds == 15
    assert whole.good == 1200
    assert sum(each.good for each in whole.series) == 1200


def test_labels_failures_and_stops_are_added_up() -> None:
    first = part(0, 1, 1, labels=(LabelTimes("a", 1, histogram(5)), LabelTimes("b", 0, histogram(1))))
    second = part(0, 1, 1, labels=(LabelTimes("a", 2, histogram(7)),), failures={"reset": 1}, stop=Stop.TIME)
    whole = merged(Plan(URL, concurrency=8), [first, second], lost=1).results
    assert [(each.label, each.failed, each.total.count) for each in whole.labels] == [("a", 3, 2), ("b", 0, 1)]
    assert whole.failures == {"reset": 1}
    assert whole.stop is Stop.TIME
    assert whole.run.concurrency == 8
    assert whole.together is not None
    assert (whole.together.parts, whole.together.lost) == (3, 1)
