"""A checks file → checks, or every mistake in it with its place. Nothing is asked of the network here."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, ClassVar

from opskit.errors import os_reason
from opskit.smoke.checks import TYPES, probe_type
from opskit.smoke.fields import Field, Wrong, suggestion
from opskit.smoke.model import Check, Checks, Common, Observation, Probe, keys_of, written
from opskit.smoke.positions import Path, Place, Positions, positions
from opskit.smoke.variables import Variables

if TYPE_CHECKING:
    from opskit.smoke.scene import Scene

MOST_BYTES = 4 * 2**20  # a checks file is written by people
NAME = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"^[ \t]*\[[ \t]*([A-Za-z0-9_-]+)[ \t]*\.[ \t]*([A-Za-z0-9_-]+)[ \t]*\]", re.MULTILINE)
_SECRET_LINE = re.compile(r"(?i)token|secret|passw|key|auth|credential|cookie")
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"?|'[^']*'?")


@dataclass(frozen=True)
class Mistake:
    """One mistake, with the line that it stands on. Lines and columns count from 1; line 0 is the whole file."""

    file: str
    problem: str
    hint: str = ""
    line: int = 0
    column: int = 0
    length: int = 1
    text: str = ""

    def __str__(self) -> str:
        """The form of compilers: the problem, the place, the line and a mark under the mistake."""
        if not self.line:
            return f"{self.file}: {self.problem}"
        gutter = " " * len(str(self.line))
        shown = self.text.expandtabs(1)[: self.column + 100]
        marks = "^" * max(1, min(self.length, len(shown) - self.column + 1))
        return (
            f"{self.problem}\n{gutter}--> {self.file}:{self.line}:{self.column}\n"
            f"{self.line} | {shown}\n{gutter} | {' ' * (self.column - 1)}{marks}"
        )


@dataclass
class Source:
    """One file: its text, its data, the mistakes found in it so far."""

    name: str
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    @cached_property
    def positions(self) -> Positions:
        return positions(self.text)

    @cached_property
    def headers(self) -> dict[tuple[str, str], int]:
        """The line of each plain `[type.name]`: cheaper than every key's place, and most files need no more.

        Empty where a string of many lines could hold what looks like one.
        """
        found: dict[tuple[str, str], int] = {}
        if '"""' in self.text or "'''" in self.text:
            return found
        line, at = 1, 0
        for match in _HEADER.finditer(self.text):
            line, at = line + self.text.count("\n", at, match.start()), match.start()
            found.setdefault((match[1], match[2]), line)
        return found

    def line_of(self, kind: str, name: str) -> int:
        if (kind, name) in self.headers:
            return self.headers[kind, name]
        return self.positions.line_column(self.positions.nearest((kind, name)).key)[0]

    def wrong(self, path: Path, problem: str, hint: str = "", *, at: int | None = None, key: bool = False) -> None:
        """Keep a mistake about a key or its value; `at` is an offset inside a string value."""
        place = self.positions.nearest(path)
        exact = path in self.positions.places
        offset, length = (place.key, place.key_end - place.key) if key or not exact else self._value(place)
        if at is not None and self.text[offset : offset + 1] in ('"', "'") and offset + at + 1 < len(self.text):
            offset, length = offset + 1 + at, max(1, length - at - 2)
        self._keep(offset, length, problem, hint)

    def _keep(self, offset: int, length: int, problem: str, hint: str) -> None:
        line, column = self.positions.line_column(offset)
        text = _veiled(self.positions.line_text(line))
        self.mistakes.append(Mistake(self.name, problem, hint, line, column, max(1, length), text))

    def _value(self, place: Place) -> tuple[int, int]:
        rest = self.text[place.value :].split("\n", 1)[0]
        match = re.match(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|\[[^\]]*\]|\{[^}]*\}|[^\s,\]}#]+", rest)
        return place.value, len(match[0]) if match else 1


def _veiled(line: str) -> str:
    """A line to show: what is written down under a name that is a secret's stays hidden, columns kept."""
    name = line.split("=", 1)[0].strip()
    if name == "secret" or not _SECRET_LINE.search(name):
        return line
    return _STRING.sub(lambda match: match[0] if "{" in match[0] else "*" * len(match[0]), line)


def load(names: Sequence[str], environment: Mapping[str, str]) -> tuple[Checks, list[Mistake]]:
    """Read files into checks. Where there are mistakes, the checks must not be run."""
    sources = [_read(name) for name in names]
    secrets: set[str] = set()
    checks: list[Check] = []
    seen: dict[str, Check] = {}
    for source in sources:
        variables = Variables(environment, secret_names=_secret_names(source))
        for check in _Decoder(source, variables).checks():
            if check.id in seen:
                first = seen[check.id]
                kind, _, name = check.id.partition(".")
                source.wrong((kind, name), f"{check.id} is already in {first.file}, line {first.line}", key=True)
            seen.setdefault(check.id, check)
            checks.append(check)
        secrets |= variables.secrets
    _refuse_needs(sources, checks)
    mistakes = [
        mistake for source in sources for mistake in sorted(source.mistakes, key=lambda m: (m.line, m.column))
    ]
    if not checks and not mistakes:
        hint = 'for instance: [http.home] and below it url = "http://127.0.0.1:8080/"'
        mistakes = [Mistake(", ".join(names), "there is no check in it", hint)]
    return Checks(tuple(checks), frozenset(filter(None, secrets))), mistakes


def _read(name: str) -> Source:
    source = Source(name)
    try:
        if FilePath(name).is_file() and FilePath(name).stat().st_size > MOST_BYTES:
            size = FilePath(name).stat().st_size
            source.mistakes.append(
                Mistake(name, f"{size} bytes are too many for a checks file", "the most is 4 MiB")
            )
            return source
        raw = FilePath(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        source.mistakes.append(Mistake(name, reason, "give the name of a checks file"))
        return source
    try:
        source.text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        source.data = tomllib.loads(source.text)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        source.mistakes.append(Mistake(name, f"line {line} is not UTF-8", "save the file as UTF-8"))
    except (ValueError, RecursionError) as error:
        source.mistakes.append(_syntax_mistake(source, error))
    return source


def _syntax_mistake(source: Source, error: Exception) -> Mistake:
    """tomllib says the place only in words, before Python 3.14."""
    if isinstance(error, RecursionError):
        return Mistake(source.name, "brackets are nested too deeply")
    words, _, place = str(error).rpartition(" (at ")
    match = re.fullmatch(r"line (\d+), column (\d+)\)", place)
    lines = source.text.split("\n")
    line, column = (int(match[1]), int(match[2])) if match else (len(lines), len(lines[-1]) + 1)
    problem = f"not TOML: {(words or str(error))[:1].lower()}{(words or str(error))[1:]}"
    text = lines[line - 1] if line <= len(lines) else ""
    return Mistake(source.name, problem, _syntax_hint(text, problem), line, column, 1, _veiled(text))


def _syntax_hint(line: str, problem: str) -> str:
    if "cannot declare" in problem or "cannot overwrite" in problem:
        return "each check and each key may be there once"
    value = line.partition("=")[2].strip()
    return 'a text needs quotes: key = "value"' if value and value[0] not in "\"'[{0123456789tf" else ""


def _secret_names(source: Source) -> frozenset[str]:
    value = source.data.get("secret", [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        source.wrong(("secret",), "secret must be a list of names of variables", 'secret = ["pin"]')
        return frozenset()
    known = source.data.get("vars")
    for index, name in enumerate(value):
        if not isinstance(known, dict) or name not in known:
            source.wrong(("secret", index), f'unknown variable "{name}"', "it names a key of [vars]")
    return frozenset(value)


TOP = ("vars", "secret", "defaults")


class _Decoder:
    """The tables of one file, read into checks."""

    def __init__(self, source: Source, variables: Variables) -> None:
        self.source = source
        self.variables = variables
        variables.define(source.data.get("vars", {}), source.wrong)
        self.defaults = self._defaults()

    def checks(self) -> list[Check]:
        found = []
        for kind, tables in self.source.data.items():
            if kind in TOP:
                continue
            if kind not in TYPES:
                self.source.wrong(
                    (kind,), f'unknown type of check "{kind}"', suggestion(kind, [*TYPES, *TOP]), key=True
                )
            elif not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
                self.source.wrong((kind,), f"a check needs a name: [{kind}.name]", key=True)
            else:
                found += [self._check(kind, name, table) for name, table in tables.items()]
        return sorted(found, key=lambda check: check.line)

    def _defaults(self) -> dict[str, Any]:
        table = self.source.data.get("defaults", {})
        if not isinstance(table, dict):
            self.source.wrong(("defaults",), "[defaults] must be a table", key=True)
            return {}
        return self._read_keys(table, ("defaults",), keys_of(Common), "[defaults]")

    def _check(self, kind: str, name: str, table: Mapping[str, Any]) -> Check:
        path: Path = (kind, name)
        before = len(self.source.mistakes)
        if not NAME.fullmatch(name):
            self.source.wrong(path, f'"{name}" is not a name', "letters, digits, - and _", key=True)
        probe_class = probe_type(kind)
        own, common = keys_of(probe_class), keys_of(Common)
        read = self._read_keys(table, path, {**own, **common}, f"a check of type {kind}")
        missing = [key for key, each in own.items() if each.required and key not in table]
        for key in missing:
            self.source.wrong(path, f'{kind}.{name} has no "{key}"', own[key].help, key=True)
        if not missing and len(self.source.mistakes) == before:
            probe_class.refuse(read, path, self.source.wrong)
        line = self.source.line_of(kind, name)
        faulty = len(self.source.mistakes) > before
        probe: Probe = _Faulty() if faulty else _made(probe_class, read, own)
        for secret in getattr(probe, "secrets", lambda: ())():
            self.variables.secrets.add(secret)
        return Check(
            f"{kind}.{name}", probe, _made(Common, {**self.defaults, **read}, common), self.source.name, line
        )

    def _read_keys(
        self, table: Mapping[str, Any], path: Path, known: Mapping[str, Field], what: str
    ) -> dict[str, Any]:
        read = {}
        for key, value in table.items():
            if key not in known:
                hint = suggestion(key, list(known))
                self.source.wrong((*path, key), f'unknown key "{key}" in {what}', hint, key=True)
                continue
            before = len(self.source.mistakes)
            filled = self.variables.fill_all(value, (*path, key), self.source.wrong)
            wrong = self.source.wrong if filled == value else _without_offsets(self.source.wrong)
            result = (
                known[key].reader.read(filled, (*path, key), wrong)
                if len(self.source.mistakes) == before
                else None
            )
            if len(self.source.mistakes) == before:
                read[key] = result
        return read


def _without_offsets(wrong: Wrong) -> Wrong:
    """For a value with variables filled in: an offset in it is none in the file."""

    def keep(path: Path, problem: str, hint: str = "", *, at: int | None = None, key: bool = False) -> None:
        wrong(path, problem, hint, key=key)

    return keep


def _made(kind: type, read: Mapping[str, Any], known: Mapping[str, Field]) -> Any:
    names = _attributes(kind)
    return kind(**{names[key]: value for key, value in read.items() if key in known})


@cache
def _attributes(kind: type) -> dict[str, str]:
    """The attribute behind each key: `not_on` for `not-on`."""
    return {written(each.name): each.name for each in fields(kind)}


class _Faulty:
    """Stands in for a check with a mistake, which is never run."""

    TYPE: ClassVar[str] = "faulty"
    EXAMPLE: ClassVar[str] = ""
    ALONE: ClassVar[bool] = False

    def target(self) -> str:
        return ""

    def look(self, scene: "Scene") -> Observation:
        raise AssertionError("a faulty check was run")


def _refuse_needs(sources: Sequence[Source], checks: Sequence[Check]) -> None:
    """A need that is no check, and needs that go round in a circle."""
    ids = {check.id: None for check in checks}
    by_file = {source.name: source for source in sources}
    for check in checks:
        kind, _, name = check.id.partition(".")
        for index, need in enumerate(check.common.needs):
            if need not in ids:
                path: Path = (kind, name, "needs", index)
                by_file[check.file].wrong(path, f'unknown check "{need}"', suggestion(need, list(ids)))
    for circle in _circles({check.id: check.common.needs for check in checks}):
        first = next(check for check in checks if check.id == circle[0])
        kind, _, name = first.id.partition(".")
        words = " needs ".join([*circle, circle[0]])
        by_file[first.file].wrong((kind, name, "needs"), f"needs go round in a circle: {words}", key=True)


def _circles(needs: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    import graphlib

    graph = {each: [need for need in wanted if need in needs] for each, wanted in needs.items()}
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            circle = list(reversed(error.args[1][1:]))
            start = min(range(len(circle)), key=lambda i: list(needs).index(circle[i]))
            circle = circle[start:] + circle[:start]
            yield circle
            graph[circle[0]] = []
        else:
            return
