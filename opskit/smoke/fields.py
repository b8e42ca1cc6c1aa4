"""What the keys of a check may hold: each kind of value reads itself from TOML and describes itself as schema.

A reader is handed `wrong`, which keeps a mistake and lets the reading go on, so that every mistake of a file
is found at once. What it returns after a mistake is never used.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from opskit import conditions
from opskit.conditions import BadCondition, Condition, Kind
from opskit.errors import Misuse
from opskit.smoke.positions import Path
from opskit.smoke.texts import JsonTest, TextTest
from opskit.units import parse_duration, parse_size

Schema = dict[str, Any]
TABLE_HINT = "write a table: { name = value }"


class Wrong(Protocol):
    """Keeps one mistake: where, what, and what to do. `at` is an offset inside a string value."""

    def __call__(
        self, path: Path, problem: str, hint: str = "", *, at: int | None = None, key: bool = False
    ) -> None: ...


class Reader(Protocol):
    """One kind of value."""

    @property
    def words(self) -> str:
        """How the documents name it."""
        ...

    def read(self, value: Any, path: Path, wrong: Wrong) -> Any: ...
    def schema(self) -> Schema: ...


@dataclass(frozen=True)
class Field:
    """A key of a check: how it is read, what it means, and whether it must be there."""

    reader: Reader
    help: str
    required: bool = False


def key(reader: Reader, help: str, default: Any = None) -> Any:  # noqa: A002 — the word that typer uses too
    """A key that may be left out, as a dataclass field."""
    return field(default=default, metadata={"field": Field(reader, help)})


def required(reader: Reader, help: str) -> Any:  # noqa: A002
    """A key that must be there, as a dataclass field."""
    return field(metadata={"field": Field(reader, help, required=True)})


def _kind_word(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


def _expected(value: Any, what: str, path: Path, wrong: Wrong, hint: str = "") -> None:
    wrong(path, f"this must be {what}, not {_kind_word(value)}", hint)


@dataclass(frozen=True)
class Text:
    """A string that is not empty. `check` may refuse it, by raising Misuse."""

    words: str = "text"
    check: Callable[[str], object] | None = None
    pattern: str = ""

    def read(self, value: Any, path: Path, wrong: Wrong) -> str:
        if not isinstance(value, str):
            _expected(value, "a string", path, wrong)
        elif not value.strip():
            wrong(path, "this is empty")
        elif self.check is not None:
            _tried(lambda: self.check(value) if self.check else None, path, wrong)
        return value  # type: ignore[no-any-return]

    def schema(self) -> Schema:
        return {"type": "string", **({"pattern": self.pattern} if self.pattern else {})}


@dataclass(frozen=True)
class Flag:
    words: str = "true or false"

    def read(self, value: Any, path: Path, wrong: Wrong) -> bool:
        if not isinstance(value, bool):
            _expected(value, "true or false", path, wrong)
        return bool(value)

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Whole:
    """A whole number in a range."""

    least: int = 0
    most: int = 2**31
    words: str = "a whole number"

    def read(self, value: Any, path: Path, wrong: Wrong) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            _expected(value, "a whole number", path, wrong)
        elif not self.least <= value <= self.most:
            wrong(path, f"{value} is not from {self.least} to {self.most}")
        return value  # type: ignore[no-any-return]

    def schema(self) -> Schema:
        return {"type": "integer"}


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    choices: tuple[str, ...]

    @property
    def words(self) -> str:
        return " | ".join(self.choices)

    def read(self, value: Any, path: Path, wrong: Wrong) -> str:
        if not isinstance(value, str):
            _expected(value, "a string", path, wrong)
        elif value not in self.choices:
            wrong(path, f'unknown value "{value}"', suggestion(value, self.choices))
        return value  # type: ignore[no-any-return]

    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True)
class Duration:
    """Seconds, written with a unit."""

    words: str = "a duration"

    def read(self, value: Any, path: Path, wrong: Wrong) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            wrong(path, f"{value} has no unit", f'write "{value}s" or "{value}ms"')
        elif not isinstance(value, str):
            _expected(value, 'a duration such as "30s"', path, wrong)
        else:
            seconds = _tried(lambda: parse_duration(value), path, wrong)
            return float(seconds or 0.0)
        return 0.0

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^\s*(\d+(\.\d+)?(ns|us|ms|s|m|h|d))+\s*$"}


@dataclass(frozen=True)
class Size:
    """Bytes."""

    words: str = "a size"

    def read(self, value: Any, path: Path, wrong: Wrong) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if not isinstance(value, str):
            _expected(value, 'a size such as "10MB"', path, wrong)
            return 0
        return _tried(lambda: parse_size(value), path, wrong) or 0

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}


@dataclass(frozen=True)
class Texts:
    """One string, or a list of them; read as a tuple."""

    words: str = "text, or a list of texts"
    check: Callable[[str], object] | None = None
    choices: tuple[str, ...] = ()

    def read(self, value: Any, path: Path, wrong: Wrong) -> tuple[str, ...]:
        one = Choice(self.choices) if self.choices else Text(check=self.check)
        if not isinstance(value, list):
            return (one.read(value, path, wrong),)
        if not value:
            wrong(path, "this list is empty")
        return tuple(one.read(item, (*path, index), wrong) for index, item in enumerate(value))

    def schema(self) -> Schema:
        item: Schema = {"type": "string", **({"enum": list(self.choices)} if self.choices else {})}
        return {"anyOf": [item, {"type": "array", "items": item}]}


@dataclass(frozen=True)
class TextTable:
    """`{ name = "text" }`, read as pairs."""

    words: str = "{ name = text }"

    def read(self, value: Any, path: Path, wrong: Wrong) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, dict):
            _expected(value, "a table", path, wrong, TABLE_HINT)
            return ()
        for name, text in value.items():
            if not isinstance(text, str):
                _expected(text, "a string", (*path, name), wrong)
        return tuple((name, str(text)) for name, text in value.items())

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": {"type": "string"}}


@dataclass(frozen=True)
class Limit:
    """A condition on a number: a value alone, a list of alternatives, or comparisons in a string."""

    kind: Kind

    @property
    def words(self) -> str:
        example = conditions.EXAMPLES[self.kind].split(" or ")[0]
        return f'a limit: "{example}"'

    def read(self, value: Any, path: Path, wrong: Wrong) -> Condition | None:
        if not isinstance(value, list):
            return self._one(value, path, wrong)
        if not value:
            wrong(path, "this list is empty: nothing would be tested")
        read = [self._one(item, (*path, index), wrong) for index, item in enumerate(value)]
        good = [condition for condition in read if condition is not None]
        return conditions.any_of(good) if good else None

    def _one(self, value: Any, path: Path, wrong: Wrong) -> Condition | None:
        if isinstance(value, str):
            try:
                return conditions.parse(value, self.kind)
            except BadCondition as error:
                wrong(path, error.problem, error.hint, at=error.at)
                return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            _expected(value, self.words, path, wrong)
        elif self.kind is Kind.DURATION:
            wrong(path, f"{value} has no unit", f'write "{value}s", or a limit: "< {value}s"')
        elif not isinstance(value, int) and self.kind in (Kind.COUNT, Kind.SHARE, Kind.STATUS, Kind.SIZE):
            wrong(path, f"{value} is not a whole number")
        elif self.kind is Kind.STATUS and not 100 <= value <= 599:
            wrong(path, f"{value} is no status", 'from 100 to 599, or a class of them: "2xx"')
        elif value < 0 and self.kind is not Kind.NUMBER:
            wrong(path, f"{value} is less than nothing")
        else:
            return conditions.equal_to(value, self.kind)
        return None

    def schema(self) -> Schema:
        string = {"type": "string", "pattern": conditions.pattern(self.kind)}
        number = {"type": "number" if self.kind in (Kind.NUMBER, Kind.RATE, Kind.PERCENT) else "integer"}
        one: list[Schema] = [string] if self.kind is Kind.DURATION else [number, string]
        return {"anyOf": [*one, {"type": "array", "items": {"anyOf": one}}]}


MATCHERS = ("equals", "contains", "lacks", "matches")


@dataclass(frozen=True)
class TextMatch:
    """A test of a text: a string is equal, a list is all contained, a table names its tests."""

    words: str = "a text test"
    bare_contains: bool = False  # a string alone is contained, where a text is long: a body, an output

    def read(self, value: Any, path: Path, wrong: Wrong) -> TextTest | None:
        if isinstance(value, str):
            return TextTest(contains=(value,)) if self.bare_contains and value else TextTest(equals=value)
        if isinstance(value, list):
            return TextTest(contains=Texts().read(value, path, wrong))
        if not isinstance(value, dict):
            _expected(value, "a string, a list or a table", path, wrong, f"a table may have {', '.join(MATCHERS)}")
            return None
        if not value:
            wrong(path, "this tests nothing", f"give one of {', '.join(MATCHERS)}")
        for name in value:
            if name not in MATCHERS:
                wrong((*path, name), f'unknown test "{name}"', suggestion(name, MATCHERS), key=True)
        return self._table(value, path, wrong)

    def _table(self, value: Mapping[str, Any], path: Path, wrong: Wrong) -> TextTest:
        equals = value.get("equals")
        if equals is not None and not isinstance(equals, str):
            _expected(equals, "a string", (*path, "equals"), wrong)
        matches = value.get("matches")
        return TextTest(
            equals=equals,
            contains=Texts().read(value["contains"], (*path, "contains"), wrong) if "contains" in value else (),
            lacks=Texts().read(value["lacks"], (*path, "lacks"), wrong) if "lacks" in value else (),
            matches=_pattern(matches, (*path, "matches"), wrong) if matches is not None else None,
        )

    def schema(self) -> Schema:
        return {"$ref": "#/definitions/text-test"}

    @staticmethod
    def definition() -> Schema:
        texts = Texts().schema()
        table = {"equals": {"type": "string"}, "contains": texts, "lacks": texts, "matches": {"type": "string"}}
        return {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": False, "properties": table},
            ]
        }


@dataclass(frozen=True)
class Pattern:
    """A regular expression, searched for."""

    words: str = "a regular expression"

    def read(self, value: Any, path: Path, wrong: Wrong) -> "re.Pattern[str] | None":
        return _pattern(value, path, wrong)

    def schema(self) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True)
class TextTests:
    """`{ name = text test }`, such as header fields."""

    words: str = "{ name = text test }"

    def read(self, value: Any, path: Path, wrong: Wrong) -> tuple[tuple[str, TextTest], ...]:
        if not isinstance(value, dict):
            _expected(value, "a table", path, wrong, TABLE_HINT)
            return ()
        if not value:
            wrong(path, "this tests nothing", TABLE_HINT)
        read = [(name, TextMatch().read(test, (*path, name), wrong)) for name, test in value.items()]
        return tuple((name, test) for name, test in read if test is not None)

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": TextMatch().schema()}


@dataclass(frozen=True)
class JsonTests:
    """`{ "items[0].name" = "Dune", "items.#" = "> 3" }`: paths into a JSON document, and what is there."""

    words: str = "{ path = value }"

    def read(self, value: Any, path: Path, wrong: Wrong) -> tuple[JsonTest, ...]:
        if not isinstance(value, dict):
            _expected(value, "a table", path, wrong, 'for instance: { "items[0].name" = "Dune" }')
            return ()
        if not value:
            wrong(path, "this tests nothing", 'for instance: { "items.#" = "> 3" }')
        read = [self._one(name, test, (*path, name), wrong) for name, test in value.items()]
        return tuple(test for test in read if test is not None)

    def _one(self, name: str, value: Any, path: Path, wrong: Wrong) -> JsonTest | None:
        if not JsonTest.readable(name):
            wrong(path, f'"{name}" is not a path', 'write names and indexes: "items[0].name", "items.#"', key=True)
            return None
        if isinstance(value, str) and value.lstrip()[:1] in ("<", ">"):
            limit = Limit(Kind.NUMBER).read(value, path, wrong)
            return JsonTest(name, limit=limit) if limit else None
        if isinstance(value, dict):
            text = TextMatch().read(value, path, wrong)
            return JsonTest(name, text=text) if text else None
        if not isinstance(value, str | int | float | bool | list):
            _expected(value, "a string, a number, true, false or a list", path, wrong)
            return None
        return JsonTest(name, value=value)

    def schema(self) -> Schema:
        scalar = [{"type": kind} for kind in ("string", "number", "boolean", "array")]
        return {
            "type": "object",
            "additionalProperties": {"anyOf": [*scalar, {"$ref": "#/definitions/text-test"}]},
        }


def suggestion(word: str, known: "tuple[str, ...] | list[str]") -> str:
    """`did you mean "status"?`, or what there is to choose from."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(known)}"


def _tried(work: Callable[[], Any], path: Path, wrong: Wrong) -> Any:
    try:
        return work()
    except Misuse as error:
        wrong(path, error.message, error.hint)
        return None


def _pattern(value: Any, path: Path, wrong: Wrong) -> "re.Pattern[str] | None":
    if not isinstance(value, str) or not value:
        _expected(value, "a regular expression", path, wrong)
        return None
    try:
        return re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        wrong(path, f"not a regular expression: {error}", "in a literal string, '…', a backslash needs no other")
        return None
