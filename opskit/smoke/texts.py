"""Tests of texts and of JSON documents: pure, and able to say what was expected and what was there."""

import re
from dataclasses import dataclass
from typing import Any

from opskit.conditions import Condition

_STEP = re.compile(r"\.?(?:([^.\[\]#]+)|\[(-?\d+)\]|(#))")
MISSING = object()


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `actual` says what was there, also when it is as expected."""

    what: str
    good: bool
    expected: str
    actual: str

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "good": self.good, "expected": self.expected, "actual": self.actual}


@dataclass(frozen=True)
class TextTest:
    """What must be true of a text; all that is set must hold."""

    equals: str | None = None
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: "re.Pattern[str] | None" = None

    def findings(self, what: str, text: str | None) -> list[Finding]:
        """A finding for each test; None is a text that is not there at all."""
        shown = "nothing" if text is None else f"“{text}”" if len(text) <= 200 else f"{len(text)} characters"
        body = text or ""
        found = []
        if self.equals is not None:
            good = text is not None and body == self.equals
            found.append(Finding(what, good, f"“{self.equals}”", shown))
        found += [
            Finding(what, text is not None and part in body, f"contains “{part}”", shown) for part in self.contains
        ]
        found += [
            Finding(what, text is not None and part not in body, f"no “{part}”", _around(part, body, shown))
            for part in self.lacks
        ]
        if self.matches is not None:
            good = text is not None and self.matches.search(body) is not None
            found.append(Finding(what, good, f"matches {self.matches.pattern}", shown))
        return found


def _around(part: str, text: str, shown: str) -> str:
    """The line of a text in which something unwanted stands."""
    at = text.find(part)
    if at < 0 or len(text) <= 200:
        return shown
    start = text.rfind("\n", 0, at) + 1
    return f"“{text[max(start, at - 60) : at + len(part) + 60].splitlines()[0]}”"


@dataclass(frozen=True)
class JsonTest:
    """A path into a JSON document and what must be there: one of a value, a limit, or a text test."""

    path: str
    value: Any = MISSING
    limit: Condition | None = None
    text: TextTest | None = None

    @staticmethod
    def readable(path: str) -> bool:
        return bool(re.fullmatch(f"(?:{_STEP.pattern})+", path))

    def findings(self, document: Any, form: str = "json") -> list[Finding]:
        found = look_up(document, self.path)
        what = f"{form} {self.path}"
        shown = "nothing" if found is MISSING else _json(found)
        if self.text is not None:
            text = found if isinstance(found, str) else None if found is MISSING else _json(found)
            return self.text.findings(what, text)
        if self.limit is not None:
            number = isinstance(found, int | float) and not isinstance(found, bool)
            return [Finding(what, number and self.limit.holds(found), str(self.limit), shown)]
        return [Finding(what, _same(found, self.value), _json(self.value), shown)]


def look_up(document: Any, path: str) -> Any:
    """What is at `items[0].name`; `#` is the number of elements. MISSING where there is nothing."""
    for name, index, _ in _STEP.findall(path):
        if name:
            document = document.get(name, MISSING) if isinstance(document, dict) else MISSING
        elif index:
            inside = isinstance(document, list) and -len(document) <= int(index) < len(document)
            document = document[int(index)] if inside else MISSING
        else:
            document = len(document) if isinstance(document, list | dict | str) else MISSING
        if document is MISSING:
            return MISSING
    return document


def _same(found: Any, wanted: Any) -> bool:
    """Equality as JSON has it: true is not 1, and 1.0 is 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str)
