"""How the macros of two or more compilers differ, name by name."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opskit.gccmacros.categories import CATEGORIES, categorise
from opskit.gccmacros.macros import Choice, Macro

KINDS = ("added", "removed", "changed")


@dataclass(frozen=True)
class Side:
    """One of the things compared: what it is called, and its macros."""

    label: str
    macros: tuple[Macro, ...]

    def by_name(self) -> dict[str, Macro]:
        return {macro.name: macro for macro in self.macros}


@dataclass(frozen=True)
class Row:
    """A macro that is not the same on all sides: what each has, None where it is not defined.

    Seen from the first side: `added` where it has none, `removed` where another has none, else `changed`.
    """

    name: str
    macros: tuple[Macro | None, ...]

    @property
    def kind(self) -> str:
        if self.macros[0] is None:
            return "added"
        return "removed" if None in self.macros[1:] else "changed"

    @property
    def category(self) -> str:
        return categorise(self.name)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "change": self.kind,
            "category": self.category,
            "values": [None if macro is None else macro.value for macro in self.macros],
            "params": [None if macro is None else macro.params for macro in self.macros],
        }


def compare(sides: Sequence[Side], choice: Choice, only: str = "") -> tuple[Row, ...]:
    """The rows that differ, by category, then name; of one `kind` if `only` says so."""
    tables: list[Mapping[str, Macro]] = [side.by_name() for side in sides]
    place = {name: index for index, name in enumerate(CATEGORIES)}
    names = sorted({name for table in tables for name in table}, key=lambda n: (place[categorise(n)], n))
    rows = (Row(name, tuple(table.get(name) for table in tables)) for name in names)
    return tuple(
        row
        for row in rows
        if any(macro != row.macros[0] for macro in row.macros)
        and any(choice.takes(macro) for macro in row.macros if macro)
        and only in ("", row.kind)
    )


def unified(sides: Sequence[Side], choice: Choice) -> str:
    """The sorted dumps as unified diffs: every side against the first."""
    texts = [sorted(macro.line + "\n" for macro in choice.of(side.macros)) for side in sides]
    return "".join(
        line
        for side, text in zip(sides[1:], texts[1:], strict=True)
        for line in difflib.unified_diff(texts[0], text, sides[0].label, side.label)
    )
