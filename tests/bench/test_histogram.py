"""The histogram against exact computation, and against another reader of its format."""

import base64
import math
import statistics
import struct
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench.histogram import (
    CELLS,
    HIGHEST,
    PERCENTS,
    Histogram,
    cell_bounds,
    cell_of,
    decode,
    summarise,
)

NANOSECONDS = st.one_of(st.integers(0, 5000), st.integers(0, 10**9), st.integers(0, HIGHEST))
SAMPLES = st.lists(NANOSECONDS, min_size=1, max_size=200)
ERROR = 1 / 1024  # of a value: three significant digits


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record(values)
    return histogram


def read_back(histogram: Histogram) -> Histogram:
    return decode(histogram.encode(), total=histogram.total, lowest=histogram.lowest, highest=histogram.highest)


def exact_percentile(values: list[int], percent: float) -> int:
    """The nearest rank, in whole numbers: the percentages have two decimals at most."""
    rank = max(1, -(-round(percent * 100) * len(values) // 10_000))
    return sorted(values)[rank - 1]


@given(NANOSECONDS)
def test_a_cell_holds_its_value_to_three_digits(value: int) -> None:
    lowest, highest = cell_bounds(cell_of(value))
    assert lowest <= value <= highest
    assert highest - lowest <= value * ERROR


@given(st.integers(1, CELLS - 1))
def test_cells_lie_side_by_side(cell: int) -> None:
    assert cell_bounds(cell)[0] == cell_bounds(cell - 1)[1] + 1
    assert cell_of(cell_bounds(cell)[0]) == cell_of(cell_bounds(cell)[1]) == cell


@given(SAMPLES, st.sampled_from([*PERCENTS, 0.01, 1, 33, 99.95, 100]))
def test_a_percentile_is_the_nearest_rank_to_three_digits(values: list[int], percent: float) -> None:
    exact = exact_percentile(values, percent)
    assert exact <= histogram_of(values).percentile(percent) <= exact * (1 + ERROR)


@given(SAMPLES)
def test_the_figures_are_exact_but_for_the_deviation(values: list[int]) -> None:
    figures = summarise(histogram_of(values))
    assert figures.count == len(values)
    assert figures.min == min(values) / 1e6
    assert figures.max == max(values) / 1e6
    assert figures.mean == pytest.approx(statistics.fmean(values) / 1e6, rel=1e-12)
    exact = statistics.stdev(values) / 1e6 if len(values) > 1 else 0.0
    assert figures.sd == pytest.approx(exact, rel=1e-9, abs=max(values) / 1e6 * ERROR)
    ordered = list(figures.percentiles.values())
    assert ordered == sorted(ordered)
    assert figures.min <= ordered[0]
    assert ordered[-1] <= figures.max


def test_percentiles_of_a_known_run() -> None:
    histogram = histogram_of([number * 1_000_000 for number in range(1, 1001)])
    figures = summarise(histogram)
    assert list(figures.percentiles) == [
        "p50", "p66", "p75", "p80", "p90", "p95", "p98", "p99", "p99_9", "p99_99",
    ]  # fmt: skip
    exact = [500, 660, 750, 800, 900, 950, 980, 990, 999, 1000]
    assert list(figures.percentiles.values()) == pytest.approx(exact, rel=ERROR)
    assert histogram.percentile(100) == 1_000_000_000


def test_one_sample_is_every_percentile() -> None:
    histogram = histogram_of([123_456_789])
    assert {histogram.percentile(percent) for percent in (0, 1, 50, 99.99, 100)} == {123_456_789}
    assert histogram.deviation() == 0


def test_an_empty_histogram_is_all_zeros() -> None:
    assert set(summarise(Histogram()).to_dict().values()) == {0}


def test_what_takes_longer_than_an_hour_counts_as_an_hour() -> None:
    histogram = histogram_of([HIGHEST * 5, 7])
    histogram.repeat(HIGHEST * 5, 2)
    assert set(histogram.counts) == {cell_of(7), CELLS - 1}
    assert histogram.counts[CELLS - 1] == 3
    assert histogram.highest == HIGHEST * 5
    assert histogram.percentile(100) == pytest.approx(HIGHEST, rel=ERROR)


@given(st.lists(st.lists(NANOSECONDS, max_size=30), min_size=1, max_size=5))
def test_merging_is_recording_together(parts: list[list[int]]) -> None:
    merged = Histogram()
    for part in parts:
        merged.merge(histogram_of(part))
    together = histogram_of([value for part in parts for value in part])
    assert merged == together
    assert merged.counts == together.counts
    assert (merged.count, merged.total, merged.lowest, merged.highest) == (
        together.count, together.total, together.lowest, together.highest,
    )  # fmt: skip


@given(NANOSECONDS, st.integers(0, 50))
def test_repeating_is_recording_many_times(value: int, times: int) -> None:
    histogram = Histogram()
    histogram.repeat(value, times)
    assert histogram == histogram_of([value] * times)
    assert (histogram.count, histogram.total) == (times, value * times)


@given(SAMPLES, st.integers(1, 1 << 40))
def test_hdrhistogram_reads_what_we_write(values: list[int], times: int) -> None:
    ours = histogram_of(values)
    ours.repeat(values[0], times)
    theirs = HdrHistogram.decode(ours.encode())
    assert theirs.get_total_count() == ours.count
    for value in values:
        assert theirs.get_count_at_value(value) == ours.counts[cell_of(value)]


@given(SAMPLES)
def test_we_read_what_hdrhistogram_writes(values: list[int]) -> None:
    theirs = HdrHistogram(1, HIGHEST, 3)
    for value in values:
        theirs.record_value(value)
    ours = histogram_of(values)
    text = theirs.encode().decode()
    assert decode(text, total=ours.total, lowest=ours.lowest, highest=ours.highest) == ours


@given(st.lists(NANOSECONDS, max_size=50))
def test_what_is_written_is_read_back(values: list[int]) -> None:
    histogram = histogram_of(values)
    again = read_back(histogram)
    assert again == histogram
    assert summarise(again) == summarise(histogram)


def test_the_encoding_is_small() -> None:
    histogram = histogram_of([round(1e6 * math.exp(number / 3000)) for number in range(20_000)])
    assert len(base64.b64decode(histogram.encode())) < 4000


GOOD = histogram_of([1, 1, 5000, 10**9]).encode()


@pytest.mark.parametrize(
    "text",
    ["", "x", "AAAA", "====", GOOD[:-8], GOOD[8:], base64.b64encode(b"12345678" + b"plain").decode(), "Ä" * 12],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text, total=0, lowest=0, highest=0)


@given(st.integers(0, 300), st.binary(min_size=1, max_size=4))
def test_damage_is_refused_or_read_but_nothing_worse(place: int, damage: bytes) -> None:
    inner = bytearray(zlib.decompress(base64.b64decode(GOOD)[8:]))
    place %= len(inner)
    inner[place : place + len(damage)] = damage
    packed = zlib.compress(bytes(inner))
    text = base64.b64encode(struct.pack(">ii", 0, len(packed)) + packed).decode()
    try:
        histogram = decode(text, total=0, lowest=0, highest=0)
    except ValueError:
        return
    assert all(0 <= cell < CELLS for cell in histogram.counts)
    assert histogram.count == sum(histogram.counts.values())
