"""When somebody is to be called about a check that is run again and again. Pure: time is handed in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from opskit.smoke.model import Result, Status

LONGEST_REPEAT = 86400.0  # seconds; a reminder a day is kept up for ever


class Call(StrEnum):
    FAIL = "fail"
    OK = "ok"


@dataclass(frozen=True)
class Rules:
    """`confirm` failures in a row make an alarm; it is repeated after `repeat` seconds, then twice that, …"""

    confirm: int = 3
    repeat: float = 600.0


@dataclass(frozen=True)
class Known:
    """What is remembered of a check, over restarts as well. Times are epoch seconds."""

    failures: int = 0  # in a row
    since: float = 0.0  # when the first of them was seen
    calls: int = 0  # about this failure
    called_at: float = 0.0

    @property
    def alarmed(self) -> bool:
        return self.calls > 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Known":
        """Raises ValueError, TypeError, KeyError for anything else."""
        return cls(int(data["failures"]), float(data["since"]), int(data["calls"]), float(data["called_at"]))


def seen(known: Known, result: Result, now: float, rules: Rules) -> tuple[Known, Call | None]:
    """What is known after one more result, and the call that is due.

    The call counts only once `called` has said that it was made; until then it stays due.
    """
    if result.status is Status.SKIP or result.warning:
        return known, None
    if result.status is Status.PASS:
        return (known, Call.OK) if known.alarmed else (Known(), None)
    known = replace(known, failures=known.failures + 1, since=known.since or now)
    return known, Call.FAIL if _due(known, now, rules) else None


def called(known: Known, call: Call, now: float) -> Known:
    """What is known after a call was made."""
    return Known() if call is Call.OK else replace(known, calls=known.calls + 1, called_at=now)


def _due(known: Known, now: float, rules: Rules) -> bool:
    if not known.alarmed:
        return known.failures >= rules.confirm
    pause = min(LONGEST_REPEAT, rules.repeat * 2.0 ** min(known.calls - 1, 30))
    return now - known.called_at >= pause
