"""Macros as data: the lines of a dump read, named, counted and chosen."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from opskit.errors import Misuse
from opskit.gccmacros.categories import CATEGORIES, categorise

DEFINE = re.compile(r"#\s*define\s+([^\W\d][\w$]*|\$[\w$]*)(\([^)]*\))?(?:\s(.*))?")
LINE_MARKER = re.compile(r"#(?:line)?\s*\d+\s+\"")


@dataclass(frozen=True)
class Macro:
    """One macro as the compiler printed it: `params` is None for an object-like one, without parentheses."""

    name: str
    value: str
    params: str | None = None
    dynamic: bool = False

    @property
    def head(self) -> str:
        """The name as it stands in a definition: `__INT64_C(c)`."""
        return self.name if self.params is None else f"{self.name}({self.params})"

    @property
    def line(self) -> str:
        """The line of a dump as gcc and clang print it; for a dynamic macro, a comment in its place."""
        if self.dynamic:
            return f"/* dynamic: {self.name} */"
        return f"#define {self.head} {self.value}"

    @property
    def category(self) -> str:
        return "dynamic" if self.dynamic else categorise(self.name)

    def to_dict(self) -> dict[str, Any]:
        parameters = [part.strip() for part in (self.params or "").split(",") if part.strip()]
        return {
            "name": self.name,
            "params": None if self.params is None else parameters,
            "variadic": bool(parameters) and parameters[-1].endswith("..."),
            "value": self.value,
            "category": self.category,
            "dynamic": self.dynamic,
        }


def parse_define(line: str) -> Macro | None:
    """The macro of one `#define` line, or None for any other line."""
    match = DEFINE.fullmatch(line)
    if match is None:
        return None
    return Macro(match[1], (match[3] or "").strip(), match[2][1:-1].strip() if match[2] else None)


def parse_dump(text: str) -> tuple[tuple[Macro, ...], tuple[str, ...]]:
    """The macros of a dump in the compiler's order, and the lines that are none (line markers left out)."""
    found: dict[str, Macro] = {}
    rubbish: list[str] = []
    for line in text.splitlines():
        macro = parse_define(line)
        if macro:
            found[macro.name] = macro
        elif line.strip() and not LINE_MARKER.match(line):
            rubbish.append(line)
    return tuple(found.values()), tuple(rubbish)


@dataclass(frozen=True)
class Choice:
    """Which macros a person wants to see; an empty Choice takes all."""

    pattern: re.Pattern[str] | None = None
    category: str = ""
    function_like: bool = False

    def __bool__(self) -> bool:
        return bool(self.pattern or self.category or self.function_like)

    def takes(self, macro: Macro) -> bool:
        return (
            (self.pattern is None or bool(self.pattern.search(macro.name)))
            and (not self.category or macro.category == self.category)
            and (not self.function_like or macro.params is not None)
        )

    def of(self, macros: Iterable[Macro]) -> tuple[Macro, ...]:
        return tuple(macro for macro in macros if self.takes(macro))


def parse_choice(grep: str = "", category: str = "", *, function_like: bool = False) -> Choice:
    """A Choice from options. Raises Misuse for a broken pattern or a category that there is not."""
    return Choice(compile_pattern(grep) if grep else None, find_category(category), function_like)


def compile_pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise Misuse(
            f"'{text}' is not a regular expression: {error}", hint="quote special characters with \\"
        ) from error


def find_category(word: str) -> str:
    """The category that a word names, in full or by its beginning. Raises Misuse."""
    names = [*CATEGORIES, "dynamic"]
    if not word or word in names:
        return word
    matches = [name for name in names if name.startswith(word.lower())]
    if len(matches) != 1:
        raise Misuse(f"there is no category '{word}'", hint=f"categories: {', '.join(names)}")
    return matches[0]


def parse_name(text: str) -> tuple[str, str | None]:
    """`NAME` or `NAME=VALUE`. Raises Misuse for what cannot be a macro's name."""
    name, equals, value = text.partition("=")
    if not re.fullmatch(r"(?!\d)[\w$]+", name):
        raise Misuse(f"'{name}' cannot be the name of a macro", hint="a name has letters, digits, _ and $")
    return name, value if equals else None


def sort_macros(macros: Sequence[Macro]) -> list[Macro]:
    """By category in the order of the table of categories, then by name."""
    place = {name: index for index, name in enumerate([*CATEGORIES, "dynamic"])}
    return sorted(macros, key=lambda macro: (place[macro.category], macro.name))
