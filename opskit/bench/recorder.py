"""Takes the counts and times of a run as they come, in constant memory."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from opskit.bench.histogram import Histogram
from opskit.bench.results import Failure, LabelTimes, Latencies
from opskit.bench.series import Interval, Series

BATCH = 256  # samples folded at once: cheap enough not to delay the answers that wait
MOST_LABELS = 200  # each has a histogram, of about 100 kB
OTHER_LABELS = "(other labels)"


@dataclass(slots=True)
class Counts:
    """What has happened so far. Bytes are those of the sockets, under TLS before encryption."""

    started: int = 0
    answered: list[int] = field(default_factory=lambda: [0] * 1000)  # by status
    failures: Counter[Failure] = field(default_factory=Counter)
    received: int = 0
    body: int = 0
    sent: int = 0
    opened: int = 0
    reused: int = 0
    kept: int = 0
    resent: int = 0
    unsent: int = 0
    redirected: int = 0
    cookies_set: int = 0  # answers that set some
    cookies_sent: int = 0  # requests that carried some of a jar's
    lower_bounds: int = 0
    goaways: int = 0
    resets: Counter[str] = field(default_factory=Counter)  # RST_STREAM by the name of its code
    answered_badly: int = 0  # failures of requests that have a whole answer

    def ended(self) -> tuple[int, int]:
        """How many requests have ended well and badly."""
        failed = self.failures.total()
        return sum(self.answered) - self.answered_badly, failed


class Row(NamedTuple):
    """One answered request, for the file of `-g`. Times in ns; `begun` on the run's monotonic clock."""

    begun: int
    connect: int
    total: int
    wait: int


class Recorder:
    """Histograms behind short lists, which `fold` empties. The engine appends to the lists itself.

    A list takes the time that its name says, but for two that save work in the usual case: `quick` takes a
    request on a kept connection that was answered in one read, whose first byte, processing and total times are
    one number; `once` takes the first byte and processing times of any other that was answered in one read.
    """

    def __init__(self, on_row: Callable[[Row], None] | None = None) -> None:
        self.on_row = on_row
        self.quick: list[int] = []
        self.once: list[int] = []
        self.connect: list[int] = []
        self.tls: list[int] = []
        self.ready: list[int] = []
        self.first_byte: list[int] = []
        self.processing: list[int] = []
        self.total: list[int] = []
        self.response: list[int] = []
        self.lag: list[int] = []
        self.loop: list[int] = []
        self.series = Series()
        self._quick = Histogram()
        self._once = Histogram()
        self._latencies = Latencies()
        self._begin_interval()
        self._labels: dict[str, tuple[Histogram, list[int]]] = {}

    def _begin_interval(self) -> None:
        # What the series tells of is recorded once, here, and joins the rest when the interval ends.
        self._quick_now, self._total_now, self._response_now = Histogram(), Histogram(), Histogram()

    def fold(self) -> None:
        """Move what the lists hold into the histograms."""
        times = self._latencies
        for batch, histogram in (
            (self.quick, self._quick_now),
            (self.once, self._once),
            (self.connect, times.connect),
            (self.tls, times.tls),
            (self.ready, times.ready),
            (self.first_byte, times.first_byte),
            (self.processing, times.processing),
            (self.total, self._total_now),
            (self.response, self._response_now),
            (self.lag, times.lag),
            (self.loop, times.loop),
        ):
            histogram.record(batch)
            batch.clear()

    def end_interval(self, begins: float, ends: float, sent: int, good: int, failed: int) -> Interval:
        """Close an interval of the series: seconds from the start of the run, and what happened in it."""
        self.fold()
        quick, total, response = self._quick_now, self._total_now, self._response_now
        self._begin_interval()
        self._quick.merge(quick)
        self._latencies.total.merge(total)
        self._latencies.response.merge(response)
        if not response.count:  # no rate: what counts is the total
            response.merge(quick)
            response.merge(total)
        interval = Interval.of(begins, ends, sent, good, failed, response)
        self.series.add(interval)
        return interval

    def labelled(self, label: str, total: int | None) -> None:
        """A request with a label; `total` is None if it failed. Those beyond the first 200 share one name."""
        if label not in self._labels:
            if len(self._labels) >= MOST_LABELS:
                label = OTHER_LABELS
            self._labels.setdefault(label, (Histogram(), [0]))
        histogram, failures = self._labels[label]
        if total is None:
            failures[0] += 1
        else:
            histogram.record([total])

    def latencies(self) -> Latencies:
        """The histograms so far; each request is in `first_byte`, `processing` and `total`."""
        self.fold()
        times = Latencies()
        for name, histogram in times.named().items():
            histogram.merge(getattr(self._latencies, name))
        for histogram in (times.first_byte, times.processing, times.total):
            histogram.merge(self._quick)
            histogram.merge(self._quick_now)
        times.total.merge(self._total_now)
        times.response.merge(self._response_now)
        for histogram in (times.first_byte, times.processing):
            histogram.merge(self._once)
        return times

    def labels(self) -> tuple[LabelTimes, ...]:
        """Slowest median first."""
        found = [LabelTimes(label, failed[0], histogram) for label, (histogram, failed) in self._labels.items()]
        return tuple(sorted(found, key=lambda each: -each.total.percentile(50)))
