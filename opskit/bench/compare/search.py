"""The highest rate that still holds: measured steps in, the next rate to try out. Nothing here does I/O.

The rate doubles until a step fails, then halves the gap on a logarithmic scale until the highest that held and the
lowest that failed lie no further apart than the precision. A step that fails is tried once more, unless it failed
by far: on a shared machine one hiccup is no verdict on a server.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Held(StrEnum):
    """What became of a step."""

    YES = "yes"
    NO = "no"
    CLIENT = "client"  # it failed, or was about to, because of the client: it says nothing of the server


class End(StrEnum):
    """What set the limit of a search."""

    SERVER = "server"  # a higher rate failed
    CLIENT = "client"  # a higher rate was beyond the client
    MAXIMUM = "maximum"  # nothing failed up to the highest rate asked for
    LOWEST = "lowest"  # not even the lowest rate held
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Bounds:
    """Where to search, in requests per second; `precision` is a share."""

    lowest: float
    highest: float
    precision: float


@dataclass(frozen=True)
class Trial:
    """One step as the search sees it. `clearly` says that a failure needs no second look."""

    rate: float
    held: Held
    clearly: bool = False


def next_rate(bounds: Bounds, trials: Sequence[Trial]) -> float | End:
    """The rate to try after these trials, or what ended the search."""
    if not trials:
        return bounds.lowest
    last = trials[-1]
    if last.held is not Held.YES and not _confirmed(trials):
        return last.rate
    if last.held is Held.CLIENT:
        return End.CLIENT
    held, failed = highest_held(trials), _lowest_failed(trials)
    if held is None:
        return End.LOWEST
    if failed is None:
        return End.MAXIMUM if held >= bounds.highest else min(held * 2, bounds.highest)
    if failed <= held * (1 + bounds.precision):
        return End.SERVER
    middle = _readable(math.sqrt(held * failed))
    return middle if held < middle < failed else End.SERVER


def highest_held(trials: Sequence[Trial]) -> float | None:
    return max((trial.rate for trial in trials if trial.held is Held.YES), default=None)


def _lowest_failed(trials: Sequence[Trial]) -> float | None:
    """Of those above the highest that held: one that a second look did not confirm is none."""
    held = highest_held(trials) or 0.0
    return min((trial.rate for trial in trials if trial.held is Held.NO and trial.rate > held), default=None)


def _confirmed(trials: Sequence[Trial]) -> bool:
    """Whether the last failure was clear, or the second at its rate."""
    last = trials[-1]
    return last.clearly or sum(each.rate == last.rate and each.held is not Held.YES for each in trials) > 1


def _readable(rate: float) -> float:
    """To four digits, which is finer than any precision that can be measured."""
    return float(f"{rate:.4g}")
