"""What happened second by second, in constant memory however long a run lasts."""

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Any

from opskit.bench.histogram import Histogram, cell_bounds

MOST = 512  # intervals; one more, and they are joined in pairs that last twice as long
TAIL = 0.5  # seconds; a last stretch shorter than this would have odd figures, and belongs to the one before it


@dataclass(frozen=True)
class Second:
    """The figures of one interval, of a second at first: when it began and how long it was, in seconds.

    `sent` were begun in it; `good` and `failed` ended in it. The percentiles are in ns, 0 where nothing
    was answered, and with a rate those of the response times.
    """

    at: float
    seconds: float
    sent: int
    good: int
    failed: int
    p50: int
    p99: int
    max: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "at_s": self.at,
            "seconds": self.seconds,
            "sent": self.sent,
            "good": self.good,
            "failed": self.failed,
            "p50_ms": self.p50 / 1e6,
            "p99_ms": self.p99 / 1e6,
            "max_ms": self.max / 1e6,
        }


@dataclass(frozen=True)
class Interval:
    """An interval as it is kept: exact, so that those of several processes can be joined. Times as in `Second`."""

    begins: float
    ends: float
    sent: int
    good: int
    failed: int
    cells: "array[int]"  # of the histogram of its latencies, packed: thousands of them are kept
    counts: "array[int]"
    highest: int

    @classmethod
    def of(cls, begins: float, ends: float, sent: int, good: int, failed: int, times: Histogram) -> "Interval":
        cells, counts = array("L", times.counts.keys()), array("L", times.counts.values())
        return cls(begins, ends, sent, good, failed, cells, counts, times.highest)

    def times(self) -> Histogram:
        """The histogram; its minimum is that of the cells, and it has no sum: a live view waits for this."""
        histogram = Histogram()
        histogram.counts = Counter(dict(zip(self.cells, self.counts, strict=True)))
        histogram.count = sum(self.counts)
        histogram.lowest = cell_bounds(min(self.cells))[0] if self.cells else histogram.lowest
        histogram.highest = self.highest
        return histogram

    def joined(self, other: "Interval") -> "Interval":
        """Both together, be it one after the other or at the same time."""
        times = self.times()
        times.merge(other.times())
        return Interval.of(
            min(self.begins, other.begins),
            max(self.ends, other.ends),
            self.sent + other.sent,
            self.good + other.good,
            self.failed + other.failed,
            times,
        )

    def second(self) -> Second:
        times = self.times()
        p50, p99 = times.percentiles((50, 99))
        return Second(
            self.begins, self.ends - self.begins, self.sent, self.good, self.failed, p50, p99, times.highest
        )


class Series:
    """The intervals of a run. Each lasts `width` seconds, and one that lasted longer stands where it began."""

    def __init__(self) -> None:
        self.width = 1
        self.intervals: dict[int, Interval] = {}  # by which multiple of `width` they begin in

    def add(self, interval: Interval) -> None:
        # What begins a hair before its second, by rounding, belongs to it.
        place = int((interval.begins + 1e-3) / self.width)
        if interval.ends - interval.begins < TAIL:
            place = max(self.intervals, default=place)
        known = self.intervals.get(place)
        self.intervals[place] = known.joined(interval) if known else interval
        if place >= MOST:
            self._widen()

    def _widen(self) -> None:
        before = list(self.intervals.values())
        self.width, self.intervals = self.width * 2, {}
        for interval in before:
            self.add(interval)

    def merge(self, other: "Series") -> None:
        """Add what happened at the same time elsewhere."""
        while self.width < other.width:
            self._widen()
        for interval in other.intervals.values():
            self.add(interval)

    def seconds(self) -> tuple[Second, ...]:
        return tuple(interval.second() for _, interval in sorted(self.intervals.items()))

    def good_between(self, begins: float, ends: float) -> float:
        """Good answers within a stretch of the run; of an interval across its ends, in proportion."""
        good = 0.0
        for interval in self.intervals.values():
            inside = min(ends, interval.ends) - max(begins, interval.begins)
            if inside > 0:
                good += interval.good * min(1.0, inside / (interval.ends - interval.begins))
        return good
