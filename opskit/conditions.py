"""Thresholds, in one grammar for every tool: `< 500ms`, `>= 1, < 5`, `2xx`, `p99 > 250ms`, `failed > 0.1%`.

A condition is one or more bounds, joined by commas, that must all hold. A bound is a comparison and a value
with its unit; a value alone means equality. What units a value may have depends on the `Kind` of what it is
compared with. Nothing here does I/O.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from opskit.errors import Misuse
from opskit.units import format_duration, format_size, parse_duration, parse_size


class Kind(StrEnum):
    """What is measured, and so how its values are written. The base unit of each is in the comment."""

    NUMBER = "number"
    COUNT = "count"  # a whole number
    SHARE = "share"  # a count, or with % its part of a whole
    DURATION = "duration"  # seconds
    SIZE = "size"  # bytes
    RATE = "rate"  # per second
    PERCENT = "percent"  # 0 to 100
    STATUS = "status"  # an HTTP status, or a class of them: 2xx


COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
EXAMPLES: Mapping[Kind, str] = {
    Kind.NUMBER: "< 2.5",
    Kind.COUNT: ">= 1, < 5",
    Kind.SHARE: "< 10 or < 0.1%",
    Kind.DURATION: "< 500ms",
    Kind.SIZE: "< 10MB",
    Kind.RATE: "> 100/s",
    Kind.PERCENT: "< 80%",
    Kind.STATUS: "2xx or < 400",
}
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = r"(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h|d))+"
# How a value of each kind is written; JSON Schemas are made of the same pieces.
_VALUES: Mapping[Kind, str] = {
    Kind.NUMBER: rf"-?{_NUMBER}",
    Kind.COUNT: r"\d+",
    Kind.SHARE: rf"\d+|{_NUMBER}\s?%",
    Kind.DURATION: _DURATION,
    Kind.SIZE: rf"{_NUMBER}\s?(?:[kMGT]B|[KMGT]iB|B)?",
    Kind.RATE: rf"{_NUMBER}(?:/s|/min|/m|/h)?",
    Kind.PERCENT: rf"{_NUMBER}\s?%?",
    Kind.STATUS: r"[1-5]xx|[1-5]\d\d",
}
_PER_SECOND = {"": 1.0, "/s": 1.0, "/m": 60.0, "/min": 60.0, "/h": 3600.0}
_METRIC = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*")
_COMPARISON = re.compile(r"\s*(<=|>=|==|!=|<|>|=|)\s*")
_WORD = re.compile(r"[^,<>=!]*")


class BadCondition(Misuse):
    """A condition that cannot be read; `text` is the whole of it and `at` the offset of the mistake."""

    def __init__(self, message: str, *, text: str, at: int, hint: str = "") -> None:
        super().__init__(f"{message} (in '{text}', at character {at + 1})", hint=hint, code="bad_condition")
        self.problem = message
        self.text = text
        self.at = at


@dataclass(frozen=True)
class Bound:
    """One comparison. `limit` is in the base unit of its kind; `percent` means a share of the whole.

    `last` is the end of a class of statuses: 2xx is 200 to 299.
    """

    comparison: str
    limit: float
    percent: bool = False
    last: float | None = None

    def holds(self, value: float, whole: float | None = None) -> bool:
        if self.percent:
            if not whole:
                return False
            value = value / whole * 100
        if self.last is None:
            return COMPARISONS[self.comparison](value, self.limit)
        inside = self.limit <= value <= self.last
        return inside if self.comparison in ("=", "==") else not inside


@dataclass(frozen=True)
class Condition:
    """What must hold of a value. `any_of` holds alternatives; within one, every bound must hold."""

    kind: Kind
    any_of: tuple[tuple[Bound, ...], ...]
    text: str

    def holds(self, value: float, whole: float | None = None) -> bool:
        """Whether it holds; `whole` is what a percentage of a SHARE is taken of, and without one fails."""
        return any(all(bound.holds(value, whole) for bound in bounds) for bounds in self.any_of)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class MetricCondition:
    """A condition on a named metric: `p99 > 250ms`."""

    metric: str
    condition: Condition
    text: str

    def __str__(self) -> str:
        return self.text


def parse(text: str, kind: Kind) -> Condition:
    """Read `< 500ms` or `>= 1, < 5`. Raises BadCondition."""
    return _condition(text, kind, 0)


def parse_metric(text: str, metrics: Mapping[str, Kind]) -> MetricCondition:
    """Read `p99 > 250ms`, where `metrics` names what is known; a name `status.*` stands for a family.

    Raises BadCondition, with a suggestion for a name that is not known.
    """
    match = _METRIC.match(text)
    if match is None:
        raise BadCondition(
            "no metric to compare", text=text, at=0, hint=f"write METRIC > VALUE; metrics: {_names(metrics)}"
        )
    name, at = match[1], match.start(1)
    kind = _kind_of(name, metrics)
    if kind is None:
        close = get_close_matches(name, metrics, n=1)
        known = f"did you mean {close[0]}? " if close else ""
        raise BadCondition(f"unknown metric '{name}'", text=text, at=at, hint=f"{known}metrics: {_names(metrics)}")
    if match.end() >= len(text) or text[match.end()] not in "<>=!":
        raise BadCondition(
            f"'{name}' is compared with nothing",
            text=text,
            at=match.end(),
            hint=f"for instance: {name} {EXAMPLES[kind]}",
        )
    return MetricCondition(name, _condition(text, kind, match.end()), text.strip())


def equal_to(value: float, kind: Kind) -> Condition:
    """The condition that a bare number stands for."""
    return Condition(kind, ((Bound("=", value),),), f"{value:g}")


def any_of(conditions: Sequence[Condition]) -> Condition:
    """The condition that holds where one of several (of one kind) does."""
    alternatives = tuple(bounds for condition in conditions for bounds in condition.any_of)
    return Condition(conditions[0].kind, alternatives, " or ".join(c.text for c in conditions))


def pattern(kind: Kind) -> str:
    """The regular expression (of the subset that JSON Schema shares) for a condition of a kind."""
    bound = rf"\s*(?:<=|>=|==|!=|<|>|=)?\s*(?:{_VALUES[kind]})\s*"
    return f"^{bound}(?:,{bound})*$"


def describe(value: float, kind: Kind, whole: float | None = None) -> str:
    """A measured value as it would be written in a condition of its kind."""
    if kind is Kind.DURATION:
        return "-" + format_duration(-value) if value < 0 else format_duration(value)
    if kind is Kind.SIZE:
        return format_size(value)
    if kind is Kind.SHARE and whole:
        return f"{value:g} ({value / whole:.2%})"
    return f"{value:.6g}" + {Kind.PERCENT: "%", Kind.RATE: "/s"}.get(kind, "")


def _condition(text: str, kind: Kind, start: int) -> Condition:
    bounds, at = [], start
    while True:
        bound, at = _bound(text, kind, at)
        bounds.append(bound)
        if at >= len(text):
            return Condition(kind, (tuple(bounds),), text[start:].strip())
        if text[at] != ",":
            raise BadCondition(
                f"'{text[at:].strip()}' is one comparison too many",
                text=text,
                at=at,
                hint="join two bounds by a comma: >= 1, < 5",
            )
        at += 1


def _bound(text: str, kind: Kind, at: int) -> tuple[Bound, int]:
    comparison = _COMPARISON.match(text, at)
    assert comparison is not None  # it matches the empty string
    word = _WORD.match(text, comparison.end())
    assert word is not None
    value = word[0].strip()
    if not value:
        raise BadCondition(
            "a value is missing", text=text, at=comparison.end(), hint=f"for instance: {EXAMPLES[kind]}"
        )
    try:
        return _value(value, kind, comparison[1] or "="), word.end()
    except Misuse as error:
        raise BadCondition(error.message, text=text, at=comparison.end(), hint=error.hint) from None


def _value(word: str, kind: Kind, comparison: str) -> Bound:
    if kind is Kind.DURATION:
        return Bound(comparison, parse_duration(word))
    if kind is Kind.SIZE:
        return Bound(comparison, parse_size(word))
    if re.fullmatch(_VALUES[kind], word) is None:
        raise Misuse(f"'{word}' is not a {kind.value}", hint=_unit_hint(word, kind))
    if kind is Kind.STATUS and word.endswith("xx"):
        if comparison not in ("=", "==", "!="):
            raise Misuse(
                f"{comparison} {word}: a class of statuses has no order", hint="write 2xx, != 5xx, or < 400"
            )
        return Bound(comparison, int(word[0]) * 100, last=int(word[0]) * 100 + 99)
    if kind is Kind.RATE:
        number, slash, per = word.partition("/")
        return Bound(comparison, float(number) / _PER_SECOND[slash + per])
    return Bound(comparison, float(word.rstrip("% ")), percent=kind is Kind.SHARE and word.endswith("%"))


def _unit_hint(word: str, kind: Kind) -> str:
    if kind is Kind.COUNT and word.endswith("%"):
        return "this one is a count: write it without %"
    return f"for instance: {EXAMPLES[kind]}"


def _kind_of(name: str, metrics: Mapping[str, Kind]) -> Kind | None:
    family = f"{name.partition('.')[0]}.*"
    return metrics.get(name) or (metrics.get(family) if "." in name.rstrip(".") else None)


def _names(metrics: Mapping[str, Kind]) -> str:
    return ", ".join(metrics)
