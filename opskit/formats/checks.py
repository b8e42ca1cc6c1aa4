"""The data that the writers take: named checks in suites."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    PASSED = "passed"
    FAILED = "failed"  # the thing tested is bad
    BROKEN = "broken"  # it could not be told
    SKIPPED = "skipped"  # it does not apply


@dataclass(frozen=True)
class Check:
    """One check. `message` is one line, `detail` any number; `note` is said even when it passed."""

    name: str
    group: str
    state: State
    message: str = ""
    detail: str = ""
    note: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Suite:
    name: str
    checks: tuple[Check, ...]

    def count(self, state: State) -> int:
        return sum(check.state is state for check in self.checks)

    @property
    def seconds(self) -> float:
        return sum(check.seconds for check in self.checks)
