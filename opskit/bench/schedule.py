"""The open model: when each request should start, whatever became of those before it.

A rate in stages becomes a count of arrivals over time; its inverse gives the moment of each arrival.
"""

import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from opskit.errors import Misuse
from opskit.units import parse_duration

_STAGE = re.compile(r"(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?(/s|/m|/min|/h)?(?:@(\w[\w.]*))?")
_PER = {None: 1.0, "/s": 1.0, "/m": 60.0, "/min": 60.0, "/h": 3600.0}
_HINT = "write --rate 500, --rate 100,500@30s,1000@1m (from 30 s, from 1 min), or --rate 100..1000@1m (a ramp)"


@dataclass(frozen=True)
class Segment:
    """A stretch of the schedule: from `begins` to `ends` (seconds), the rate goes evenly `rate` → `last_rate`."""

    begins: float
    ends: float
    rate: float
    last_rate: float

    def arrivals(self) -> float:
        """How many requests start in it."""
        if math.isinf(self.ends):
            return math.inf
        return (self.rate + self.last_rate) / 2 * (self.ends - self.begins)

    def moment(self, arrivals: float) -> float:
        """When so many have started since it began: the inverse of the integral of the rate, in seconds."""
        if self.rate == self.last_rate:
            return self.begins + arrivals / self.rate
        slope = (self.last_rate - self.rate) / (self.ends - self.begins)
        return self.begins + (math.sqrt(self.rate**2 + 2 * slope * arrivals) - self.rate) / slope

    def __str__(self) -> str:
        rate = f"{self.rate:g}/s" if self.rate == self.last_rate else f"{self.rate:g} to {self.last_rate:g}/s"
        return f"{rate} from {self.begins:g} s" if self.begins else rate


def parse_rate(text: str) -> tuple[Segment, ...]:
    """Read `500`, `100,500@30s,1000@1m` (each from its time on), `100..1000@1m` (a ramp up to its time).

    Raises Misuse.
    """
    segments: list[Segment] = []
    now = rate = 0.0
    for index, word in enumerate(text.split(",")):
        first, last, at = _stage(word, text)
        if at is None:
            if index or last is not None:
                raise Misuse(f"--rate {text}: '{word}' says no time", hint=_HINT)
            rate = first
            continue
        if index == 0 and last is None:
            raise Misuse(f"--rate {text}: the first stage begins at once and takes no time", hint=_HINT)
        if at <= now:
            raise Misuse(f"--rate {text}: the stages are out of order at '{word}'", hint=_HINT)
        segments.append(Segment(now, at, rate, rate) if last is None else Segment(now, at, first, last))
        now, rate = at, first if last is None else last
    return (*segments, Segment(now, math.inf, rate, rate))


def _stage(word: str, text: str) -> tuple[float, float | None, float | None]:
    """(rate, rate at the end of a ramp, time) of one stage, per second and in seconds."""
    match = _STAGE.fullmatch(word.strip())
    try:
        if match is None:
            raise ValueError
        per = _PER[match[3]]
        first, last = float(match[1]) / per, float(match[2]) / per if match[2] else None
    except ValueError:
        raise Misuse(f"--rate {text}: '{word}' is not a rate", hint=_HINT) from None
    if first <= 0 or (last is not None and last <= 0):
        raise Misuse(f"--rate {text}: a rate must be more than 0", hint=_HINT)
    return first, last, parse_duration(match[4]) if match[4] else None


def due_times(segments: tuple[Segment, ...], *, poisson: bool = False, seed: int | None = None) -> Iterator[int]:
    """The moments at which requests are due, in ns from the start; endless.

    Even arrivals come one whole step of the count apart; a Poisson process has exponential steps.
    """
    chance = random.Random(seed)
    segment_at = 0.0  # arrivals before the segment
    count = 0.0
    for segment in segments:
        end = segment_at + segment.arrivals()
        while count < end:
            yield int(segment.moment(count - segment_at) * 1e9)
            count += chance.expovariate(1.0) if poisson else 1.0
        segment_at = end
