"""The parts of a run that several carried out at the same time, added up to one: exactly, nothing is averaged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from opskit.bench.histogram import Histogram
from opskit.bench.plan import Plan
from opskit.bench.requests import Tally
from opskit.bench.results import Http2Facts, LabelTimes, Latencies, Results, Stop, Together
from opskit.bench.series import Series
from opskit.errors import OpskitError

Key = TypeVar("Key")

# How the parts ended, gravest first: it is how the whole ended.
_GRAVEST = (Stop.INTERRUPTED, Stop.BAD_REQUEST, Stop.SCRIPT, Stop.DEAD, Stop.TIME, Stop.FINISHED)


@dataclass(frozen=True)
class Part:
    """What one of them measured. `begun` is in ns on a clock that all parts share."""

    results: Results
    series: Series
    begun: int
    tally: Tally
    error: OpskitError | None = None

    @property
    def ended(self) -> int:
        return self.begun + int(self.results.seconds * 1e9)


def merged(plan: Plan, parts: Sequence[Part], lost: int = 0) -> Part:
    """The run of `plan` from its parts, one at least. `lost` are those that brought nothing."""
    each = [part.results for part in parts]
    first, begun = each[0], min(part.begun for part in parts)
    series = Series()
    for part in parts:
        series.merge(part.series)
    started, tally = sum(r.started for r in each), _tally([part.tally for part in parts])
    results = replace(
        first,
        run=replace(first.run, concurrency=plan.concurrency, started_at=min(r.run.started_at for r in each)),
        stop=next(stop for stop in _GRAVEST if any(r.stop is stop for r in each)),
        planned=_sum_of_known([r.planned for r in each]),
        **{name: sum(getattr(r, name) for r in each) for name in _SUMMED},
        failures=dict(_added(r.failures for r in each).most_common()),
        status=dict(sorted(_added(r.status for r in each).items())),
        seconds=(max(part.ended for part in parts) - begun) / 1e9,
        cpu_share=max(r.cpu_share for r in each),
        latencies=_latencies([r.latencies for r in each]),
        first=next((r.first for r in each if r.first), None),
        tls=next((r.tls for r in each if r.tls), None),
        http2=_http2([r.http2 for r in each if r.http2]),
        requests_file=tally.to_dict(started) if plan.requests else None,
        labels=_labels([label for r in each for label in r.labels]),
        checks=dict(_added(r.checks or {} for r in each)) if first.checks is not None else None,
        cookies=dict(_added(r.cookies or {} for r in each)) if first.cookies is not None else None,
        series=series.seconds(),
        warmup=replace(first.warmup, requests=sum(r.warmup.requests for r in each if r.warmup))
        if first.warmup
        else None,
        together=_together(parts, lost),
        reason=next((r.reason for r in each if r.reason), ""),
    )
    return Part(results, series, begun, tally, next((part.error for part in parts if part.error), None))


_SUMMED = (
    "started", "received", "body", "sent", "opened", "reused", "kept", "resent", "unsent", "lower_bounds",
    "redirected", "resumed", "checked",
)  # fmt: skip


def _together(parts: Sequence[Part], lost: int) -> Together:
    """The stretch in which all were at it: merging rates of different times would make one up."""
    begins, ends = max(part.begun for part in parts), min(part.ended for part in parts)
    good = sum(part.series.good_between((begins - part.begun) / 1e9, (ends - part.begun) / 1e9) for part in parts)
    spread = (begins - min(part.begun for part in parts)) / 1e9
    return Together(len(parts) + lost, lost, max(0.0, (ends - begins) / 1e9), good, spread)


def _http2(parts: Sequence[Http2Facts]) -> Http2Facts | None:
    if not parts:
        return None
    resets = _added(part.resets for part in parts)
    return Http2Facts(sum(part.goaways for part in parts), dict(resets.most_common()))


def _sum_of_known(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _added(counts: Iterable[Mapping[Key, int]]) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for each in counts:
        total.update(each)
    return total


def _latencies(parts: Sequence[Latencies]) -> Latencies:
    whole = Latencies()
    for name, histogram in whole.named().items():
        for part in parts:
            histogram.merge(getattr(part, name))
    return whole


def _labels(labels: Sequence[LabelTimes]) -> tuple[LabelTimes, ...]:
    """Slowest median first."""
    failed: Counter[str] = Counter()
    times: dict[str, Histogram] = {}
    for each in labels:
        failed[each.label] += each.failed
        times.setdefault(each.label, Histogram()).merge(each.total)
    found = [LabelTimes(label, failed[label], total) for label, total in times.items()]
    return tuple(sorted(found, key=lambda each: -each.total.percentile(50)))


def _tally(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        usable=next((tally.usable for tally in tallies if tally.usable is not None), None),
        encoded=sum(tally.encoded for tally in tallies),
        # All of an access log has to be read to know which of its lines are one's own.
        skipped=max(tally.skipped for tally in tallies),
        wrapped=max(tally.wrapped for tally in tallies),
    )
