"""What the checker found: verdicts, cases, profiles, one report for each URL."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opskit import redact


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 — a verdict
    FAIL = "FAIL"
    WARN = "WARN"
    INFO = "INFO"
    NA = "N/A"
    INCONCLUSIVE = "INCONCLUSIVE"


class Level(StrEnum):
    """How the standard, or who else, asks for it."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    CLIENT = "client-compatibility"
    SECURITY = "security"


class Tier(StrEnum):
    """How much is dared: well-formed requests, invalid ones one at a time, or what can hurt a server."""

    BASIC = "basic"
    POLITE = "polite"
    FULL = "full"

    def includes(self, other: "Tier") -> bool:
        order = list(Tier)
        return order.index(other) <= order.index(self)


@dataclass(frozen=True)
class Finding:
    """What one look at the server came to; `got` is one sentence about the answer."""

    verdict: Verdict
    got: str


@dataclass(frozen=True)
class CaseResult:
    """One case, judged. `waived` is the reason why a failure does not count.

    `broken_in` names, for a rule that holds for every answer, the cases whose answers broke it.
    """

    id: str
    title: str
    section: str
    level: Level
    verdict: Verdict
    expected: str
    got: str
    meaning: str
    hint: str = ""
    sent: tuple[str, ...] = ()
    waived: str = ""
    seconds: float = 0.0
    broken_in: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return self.verdict is Verdict.FAIL and not self.waived

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "section": self.section,
            "level": self.level.value,
            "verdict": self.verdict.value,
            "expected": self.expected,
            "sent": list(self.sent),
            "got": self.got,
            "meaning": self.meaning,
            "hint": self.hint,
            "waived": self.waived,
            "broken_in": list(self.broken_in),
            "ms": round(self.seconds * 1e3, 3),
        }


@dataclass(frozen=True)
class ProfileResult:
    """Whether one kind of client is safe here: yes, no or unknown, and why not."""

    name: str
    verdict: str
    reasons: tuple[str, ...] = ()


YES, NO, UNKNOWN = "yes", "no", "unknown"


@dataclass(frozen=True)
class Report:
    """Everything about one URL. `facts` are the strings that the head of a report shows."""

    url: str
    final_url: str
    address: str
    tier: Tier
    facts: dict[str, Any]
    results: tuple[CaseResult, ...]
    profiles: tuple[ProfileResult, ...]
    requests: int
    bytes_read: int
    seconds: float
    note: str = ""
    interrupted: bool = False

    @property
    def changed(self) -> bool:
        return any(result.verdict is Verdict.INCONCLUSIVE for result in self.results)

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        return tuple(result for result in self.results if result.failed)

    def count(self) -> dict[str, int]:
        return {verdict.value: sum(r.verdict is verdict for r in self.results) for verdict in Verdict}

    def result(self, case_id: str) -> CaseResult | None:
        return next((result for result in self.results if result.id == case_id), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "url": redact.url(self.url),
            "final_url": redact.url(self.final_url),
            "address": self.address,
            "tier": self.tier.value,
            "facts": self.facts,
            "results": [result.to_dict() for result in self.results],
            "profiles": {profile.name: profile.verdict for profile in self.profiles},
            "profile_reasons": {profile.name: list(profile.reasons) for profile in self.profiles},
            "summary": self.count(),
            "requests": self.requests,
            "bytes_read": self.bytes_read,
            "elapsed_s": round(self.seconds, 3),
            "note": self.note,
        }


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """FAIL before INCONCLUSIVE before WARN before INFO before PASS; N/A for none."""
    found = set(verdicts)
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.INFO, Verdict.PASS)
    return next((verdict for verdict in order if verdict in found), Verdict.NA)
