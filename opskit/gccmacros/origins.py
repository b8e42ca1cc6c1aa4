"""Where macros come from: the defines and undefs of a `-dD` run, placed by its line markers.

GCC manual, "Preprocessor Output": `# line "file" flags`, flag 1 entering a file, 2 returning to one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from opskit.gccmacros.macros import Macro, parse_define

MARKER = re.compile(r'# (\d+) "((?:[^"\\]|\\.)*)"((?: \d)*)')
UNDEF = re.compile(r"#undef ([\w$]+)")


@dataclass(frozen=True)
class Place:
    """A line of a file; or of `<built-in>` and `<command-line>`, which have no lines."""

    file: str
    line: int

    @property
    def kind(self) -> str:
        if self.file in ("<built-in>",):
            return "built-in"
        return "command-line" if self.file in ("<command-line>", "<command line>") else "file"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.kind == "file" else f"<{self.kind}>"


@dataclass(frozen=True)
class Event:
    """A macro defined at a place, or undefined there (`macro` is None); `chain` is who included the file."""

    name: str
    place: Place
    chain: tuple[Place, ...]
    macro: Macro | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "event": "define" if self.macro else "undef",
            "kind": self.place.kind,
            "file": self.place.file,
            "line": self.place.line if self.place.kind == "file" else None,
            "value": self.macro.value if self.macro else None,
            "included_from": [{"file": place.file, "line": place.line} for place in self.chain],
        }


@dataclass
class _Frame:
    """A file that is being read, and the line of the include that led to it, known when it is left."""

    file: str
    parent: "_Frame | None" = None
    included_at: int = 0

    def chain(self) -> tuple[Place, ...]:
        frame, places = self, []
        while frame.parent:
            places.append(Place(frame.parent.file, frame.included_at))
            frame = frame.parent
        return tuple(places)


@dataclass
class _Reader:
    frame: _Frame = field(default_factory=lambda: _Frame("<built-in>"))
    line: int = 0
    found: list[tuple[str, Place, _Frame, Macro | None]] = field(default_factory=list)

    def read(self, text: str) -> None:
        for row in text.splitlines():
            marker = MARKER.match(row)
            if marker:
                self._move(int(marker[1]), _unquoted(marker[2]), marker[3].split())
                continue
            macro = parse_define(row)
            undef = UNDEF.match(row)
            if macro or undef:
                name = macro.name if macro else undef[1] if undef else ""
                self.found.append((name, Place(self.frame.file, self.line), self.frame, macro))
            self.line += 1

    def _move(self, line: int, file: str, flags: Sequence[str]) -> None:
        if "1" in flags:
            self.frame = _Frame(file, self.frame, self.line)
        elif "2" in flags:
            self._leave_to(file, line)
        else:
            self.frame.file = file
        self.line = line

    def _leave_to(self, file: str, line: int) -> None:
        """Back in `file`, whose `line` follows the include; what was not closed is closed."""
        frame: _Frame | None = self.frame
        while frame and frame.parent:
            child, frame = frame, frame.parent
            if frame.file == file:
                child.included_at = max(line - 1, 0)
                self.frame = frame
                return
        self.frame.file = file


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def read_events(text: str) -> tuple[Event, ...]:
    """Every define and undef of a `-dD` output, in order."""
    reader = _Reader()
    reader.read(text)
    return tuple(Event(name, place, frame.chain(), macro) for name, place, frame, macro in reader.found)


def surviving(events: Sequence[Event]) -> dict[str, Macro]:
    """The macros that are defined when all is done."""
    alive: dict[str, Macro] = {}
    for event in events:
        if event.macro:
            alive[event.name] = event.macro
        else:
            alive.pop(event.name, None)
    return alive
