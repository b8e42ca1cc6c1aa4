"""What a person sees of a run on a terminal while it lasts: how fast, how slow, how wrong, how long still."""

from collections import deque
from collections.abc import Iterator, Sequence

from opskit.bench.plan import Plan
from opskit.bench.series import Interval, Second
from opskit.console import LiveBlock, Pieces
from opskit.units import format_duration

FRAME = 0.25  # seconds from one drawing to the next, at the least
RECENT = 1.0  # seconds of which the rate of the moment is the mean

_NAME, _FIGURE, _NOTE = 8, 11, 26  # columns
_BESIDE = _NAME + _FIGURE + 2  # columns before a history
_WIDEST = 100  # columns; longer lines are no easier to read
_LEAST_HISTORY = 12  # columns below which the note gives way to the sparkline

_NOT_COUNTED = "not counted"
_BLOCKS, _ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-:=+*#"


class Live:
    """The lines of a run on a terminal, drawn over themselves a few times a second."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._block = LiveBlock()
        self._warming = plan.warmup > 0
        self._begin(0.0)

    def _begin(self, at: float) -> None:
        self._begun = at
        self._seen: deque[tuple[float, int]] = deque([(0.0, 0)])  # (seconds, good), as drawn
        self._ended = self._failed = 0
        self._seconds: deque[Second] = deque(maxlen=_room(_WIDEST))

    def tick(self, ended: int, failed: int, seconds: float) -> None:
        if ended < self._ended or seconds < self._begun:  # the warm-up is over: all is counted anew
            self._warming = False
            self._begin(min(seconds, self._begun + seconds))
        self._ended, self._failed = ended, failed
        now = seconds - self._begun
        if now - self._seen[-1][0] >= FRAME:
            self._seen.append((now, ended - failed))
            while len(self._seen) > 2 and now - self._seen[1][0] >= RECENT:
                self._seen.popleft()
            size = self._block.size()
            lines = list(self._lines(now, min(size.columns - 1, _WIDEST)))
            self._block.draw(lines if size.lines > len(lines) else lines[-1:])

    def interval(self, interval: Interval) -> None:
        self._seconds.append(interval.second())

    def done(self, ended: int) -> None:
        self._block.clear()

    def _lines(self, now: float, width: int) -> Iterator[Pieces]:
        (since, before), (_, good) = self._seen[0], self._seen[-1]
        rate = (good - before) / (now - since)
        rates = [second.good / second.seconds for second in self._seconds]
        yield self._row("rate", f"{rate:,.0f}/s", "green", rates, f"mean {good / now:,.0f}/s", width)
        yield self._latency(width)
        yield self._failures(width)
        yield self._progress(now, rate, width)

    def _latency(self, width: int) -> Pieces:
        last = self._seconds[-1] if self._seconds else None
        history = [second.p99 for second in self._seconds]
        if last is None or not last.max:
            return self._row("p99", "-", "", history, "", width)
        note = f"p50 {self._time(last.p50)}, max {self._time(last.max)}"
        return self._row("p99", self._time(last.p99), "cyan", history, note, width)

    def _failures(self, width: int) -> Pieces:
        of = f"of {self._ended:,}"
        if not self._failed:
            return self._row("failed", "0", "", (), of, width)
        note = f"{self._failed / self._ended:.1%} {of}"
        return self._row(
            "failed", f"{self._failed:,}", "red", [second.failed for second in self._seconds], note, width
        )

    def _row(self, name: str, figure: str, style: str, history: Sequence[float], note: str, width: int) -> Pieces:
        """A line with a history. Where there is no room for both, it loses the note."""
        room = _room(width)
        if room < _LEAST_HISTORY:
            room, note = max(0, width - _BESIDE), ""
        spark = sparkline(history[-room:] if room else (), ascii_only=self._block.plain_ascii)
        return [*_head(name, figure, style), (f"{spark:<{room}}  ", style), (note, "dim")]

    def _progress(self, now: float, rate: float, width: int) -> Pieces:
        """The line on time. Where there is no room for both, it loses the bar."""
        share, left = self._how_far(now, rate)
        style = "yellow" if self._warming else "green"
        remaining = f"{_clock(left)} left" if left is not None else ""
        note = ", ".join(filter(None, (_NOT_COUNTED if self._warming else _clock(now), remaining)))
        if share is None:
            return [*_head("time", _clock(now), ""), (remaining, "dim")]
        head = _head("warm-up" if self._warming else "done", f"{min(share, 1.0):.0%}", style)
        room = _room(width)
        if room < _LEAST_HISTORY:
            return [*head, (note, "")]
        done, rest = ("=", "-") if self._block.plain_ascii else ("━", "─")
        filled = round(min(share, 1.0) * room)
        return [*head, (done * filled, style), (rest * (room - filled), "dim"), (f"  {note}", "dim")]

    def _how_far(self, now: float, rate: float) -> tuple[float | None, float | None]:
        """What share of the run is over, and how many seconds are left: each None if no one knows."""
        plan = self._plan
        if self._warming:
            return now / plan.warmup, max(0.0, plan.warmup - now)
        shares, left = [], []
        if plan.number:
            shares.append(self._ended / plan.number)
            ending = rate + self._failed / now
            left += [(plan.number - self._ended) / ending] if ending else []
        if plan.seconds:
            shares.append(now / plan.seconds)
            left.append(plan.seconds - now)
        return max(shares, default=None), max(0.0, min(left)) if left else None

    def _time(self, nanoseconds: float) -> str:
        text = format_duration(nanoseconds / 1e9)
        return text.replace("µ", "u") if self._block.plain_ascii else text


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """A character for each value, as high as it is beside the largest; a blank for 0."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    most = max(values, default=0)
    return "".join(blocks[min(7, int(value / most * 8))] if value > 0 else " " for value in values)


def _room(width: int) -> int:
    """The columns for a history between what stands before and after it."""
    return width - _BESIDE - 2 - _NOTE


def _head(name: str, figure: str, style: str) -> Pieces:
    return ((f"{name:<{_NAME}}", "dim"), (f"{figure:>{_FIGURE}}  ", style))


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else format_duration(seconds)
