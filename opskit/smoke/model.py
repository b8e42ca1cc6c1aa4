"""What a check is, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from opskit.errors import Unable
from opskit.smoke.fields import Choice, Duration, Field, Schema, Text, Texts, Wrong, key
from opskit.smoke.positions import Path
from opskit.smoke.texts import Finding

if TYPE_CHECKING:
    from opskit.smoke.scene import Scene


class Status(StrEnum):
    """What a check came to."""

    PASS = "pass"  # noqa: S105 — a verdict, not a password
    FAIL = "fail"  # what was asked is not as it should be
    ERROR = "error"  # it could not be told
    SKIP = "skip"


class CannotTell(Unable):
    """A check that could not be evaluated. `lasting` says that waiting will not help."""

    def __init__(self, message: str, *, hint: str = "", lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting


@dataclass(frozen=True)
class Observation:
    """What one try of a check saw. `excerpt` is the text behind it: the start of a body, of stderr."""

    findings: tuple[Finding, ...]
    excerpt: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return all(finding.good for finding in self.findings)


class Probe(Protocol):
    """A type of check: a frozen dataclass whose fields are its keys, with one method that looks."""

    TYPE: ClassVar[str]
    EXAMPLE: ClassVar[str]
    ALONE: ClassVar[bool]  # nothing else may run beside it

    def target(self) -> str: ...
    def look(self, scene: "Scene") -> Observation:
        """Look once. Raises CannotTell."""
        ...


class BaseProbe:
    """What most types of checks have in common."""

    TYPE: ClassVar[str]
    EXAMPLE: ClassVar[str]
    ALONE: ClassVar[bool] = False

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        """Say what no single key shows to be wrong."""


class SkipReason:
    """`true`, or the reason in words."""

    words = "true, or the reason"

    def read(self, value: Any, path: Path, wrong: Wrong) -> str:
        if isinstance(value, bool):
            return "skip = true" if value else ""
        return Text().read(value, path, wrong)

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "boolean"}, {"type": "string"}]}


@dataclass(frozen=True)
class Common:
    """The keys that every check may have."""

    needs: tuple[str, ...] = key(Texts(), "Run only after these checks have passed: `tcp.db`.", ())
    wait: float | None = key(Duration(), "Try again until it passes, for so long.")
    every: float | None = key(Duration(), "Time between two tries. [0.1s, doubling up to 2s]")
    timeout: float = key(Duration(), "The longest that one try may take. [10s]", 10.0)
    within: float | None = key(Duration(), "Fail when it takes longer, though all else is good.")
    severity: str = key(Choice(("error", "warning")), "A warning does not fail the run.", "error")
    skip: str = key(SkipReason(), "Do not run it.", "")
    hint: str = key(Text(), "What to do when it fails; printed then.", "")
    tags: tuple[str, ...] = key(Texts(), "Words to choose it by, with --tag.", ())


@dataclass(frozen=True)
class Check:
    """One check of a file. `id` is its type and name, as in `http.home`."""

    id: str
    probe: Probe
    common: Common
    file: str
    line: int

    @property
    def type(self) -> str:
        return self.probe.TYPE


@dataclass(frozen=True)
class Checks:
    """Everything that was read: the checks in the order of the files, and what must never be shown."""

    checks: tuple[Check, ...]
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Attempt:
    """One try: seconds since the first began, how long it took, what it came to."""

    started: float
    seconds: float
    status: Status
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "started_s": round(self.started, 6),
            "duration_s": round(self.seconds, 6),
            "status": self.status.value,
            "message": self.message,
        }


@dataclass(frozen=True)
class Result:
    """What became of a check. `message` is one line; nothing in here holds a secret any more."""

    check: Check
    status: Status
    message: str
    target: str = ""
    hint: str = ""
    findings: tuple[Finding, ...] = ()
    excerpt: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    started_at: float = 0.0  # epoch seconds
    seconds: float = 0.0  # of all tries with the waits between them
    attempts: tuple[Attempt, ...] = ()

    @property
    def warning(self) -> bool:
        """A failure of a check that must not fail the run."""
        return self.status in (Status.FAIL, Status.ERROR) and self.check.common.severity == "warning"

    @property
    def failed_findings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.good)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.check.id,
            "type": self.check.type,
            "status": self.status.value,
            "severity": self.check.common.severity,
            "message": self.message,
            "target": self.target,
            "file": self.check.file,
            "line": self.check.line,
            "started_at": round(self.started_at, 3),
            "duration_s": round(self.seconds, 6),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "findings": [finding.to_dict() for finding in self.findings],
            "excerpt": self.excerpt,
            "hint": self.hint,
            "data": dict(self.data),
        }


@dataclass(frozen=True)
class Report:
    """A whole run, in the order of the files."""

    results: tuple[Result, ...]
    seconds: float
    interrupted: bool = False

    def count(self, status: Status, *, warning: bool = False) -> int:
        return sum(result.status is status and result.warning is warning for result in self.results)

    @property
    def warnings(self) -> int:
        return sum(result.warning for result in self.results)

    def summary(self) -> dict[str, int]:
        return {
            "checks": len(self.results),
            "passed": self.count(Status.PASS),
            "failed": self.count(Status.FAIL),
            "errors": self.count(Status.ERROR),
            "skipped": self.count(Status.SKIP),
            "warnings": self.warnings,
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "summary": self.summary(),
            "duration_s": round(self.seconds, 6),
            "interrupted": self.interrupted,
            "checks": [result.to_dict() for result in self.results],
        }


_KEYS: dict[type, dict[str, Field]] = {}  # by class: a file may have thousands of checks of few types


def keys_of(kind: type) -> dict[str, Field]:
    """The keys of a check type (or of Common), as they are written in a file: `not-on` for `not_on`."""
    if kind not in _KEYS:
        _KEYS[kind] = {
            written(each.name): each.metadata["field"] for each in fields(kind) if "field" in each.metadata
        }
    return _KEYS[kind]


def written(name: str) -> str:
    """A field's name as a key of the file."""
    return name.strip("_").replace("_", "-")
