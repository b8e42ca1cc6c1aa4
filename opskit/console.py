"""The only maker of consoles: who may print where, in which width, with which colours.

stdout is data and stderr is talk. `Stdout` is handed to a report; `talk`, `warn` and `hint` go to stderr.
"""

import os
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from opskit.outcome import ErrorNote

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 80  # what a person's terminal has at least; a pipe has no width of its own

Pieces = Sequence[tuple[str, str]]  # a line as (text, style): the style is a word of STYLES, or ""
STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}  # ECMA-48, SGR


class Stdout:
    """Standard output for a report: plain text, bytes, or rich where a report asks for it."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    @property
    def width(self) -> int | None:
        """The columns of the terminal; None in a pipe, where lines may be of any length."""
        return (os.get_terminal_size(sys.stdout.fileno()).columns or None) if self.is_terminal else None

    @property
    def buffer(self) -> BinaryIO:
        return sys.stdout.buffer

    @property
    def is_terminal(self) -> bool:
        return sys.stdout.isatty()

    @property
    def plain_ascii(self) -> bool:
        """Whether the locale cannot show block characters and the like."""
        return not (sys.stdout.encoding or "").lower().startswith("utf")

    @cached_property
    def rich(self) -> "Console":
        """The rich console: colours on a terminal only, never markup read from data."""
        from rich.console import Console

        class Patient(Console):
            def on_broken_pipe(self) -> None:
                """Not rich's own exit: `opskit.cli` knows that a reader who goes away is no error."""
                raise BrokenPipeError

        return Patient(
            width=None if self.is_terminal else PIPE_WIDTH,
            markup=False,
            highlight=False,
            emoji=False,
            soft_wrap=False,
        )


def replace_closed_streams() -> None:
    """Stand in for a standard stream that the caller closed (`>&-`): Python then has None in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 — for the whole process


def tolerate_narrow_encodings() -> None:
    """Print `?` for what a non-UTF-8 locale cannot show, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def say(text: str) -> None:
    """A line of data that someone may be waiting for, such as the URL of a server; on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def talk(text: str) -> None:
    """A line for the person, on stderr. Nobody there to read it, or no room for it, is no reason to stop work."""
    if LiveBlock.on_screen is not None:
        LiveBlock.on_screen.clear()
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 — the one place that prints
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def warn(text: str, hint: str = "") -> None:
    talk(f"warning: {text}")
    if hint:
        talk(f"hint: {hint}")


def show_error(note: ErrorNote) -> None:
    """The error form of every command: what happened, then what to do."""
    talk(f"error: {note.message}")
    if note.hint:
        talk(f"hint: {note.hint}")


class LiveLine:
    """One line on stderr that is drawn over itself; silent unless stderr is a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.shown = not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def update(self, text: str) -> None:
        if self.shown:
            sys.stderr.write(f"\r\x1b[K{text[: self._width()]}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    @staticmethod
    def _width() -> int:
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns - 1
        except OSError:
            return PIPE_WIDTH - 1


class LiveBlock:
    """A few lines on stderr, drawn over themselves; what `talk` says meanwhile stands above them.

    Only for a terminal that can move its cursor: `possible` tells. One that takes nothing at the moment, because
    it is slow or was held with Ctrl-S, is passed over, so that drawing never holds the work up.
    """

    on_screen: "LiveBlock | None" = None  # the one that is drawn now

    def __init__(self) -> None:
        self._descriptor = sys.stderr.fileno()
        self._plain = bool(os.environ.get("NO_COLOR"))
        self._encoding = sys.stderr.encoding or "ascii"
        self._lengths: list[int] = []  # of the lines on the screen

    @staticmethod
    def possible() -> bool:
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    @property
    def plain_ascii(self) -> bool:
        """Whether the locale cannot show block characters and the like."""
        return not self._encoding.lower().startswith("utf")

    def size(self) -> os.terminal_size:
        """Columns and rows; 80 × 24 where the terminal does not know, as on a serial line."""
        try:
            size = os.get_terminal_size(self._descriptor)
        except OSError:
            size = os.terminal_size((0, 0))
        return size if all(size) else os.terminal_size((PIPE_WIDTH, 24))

    def draw(self, lines: Sequence[Pieces]) -> None:
        """Show these lines in place of those before; what does not fit into the terminal is cut off."""
        from select import select

        if not select((), (self._descriptor,), (), 0)[1]:
            return
        columns, rows = self.size()
        fitting = [_cut(line, columns - 1) for line in lines[: rows - 1]]
        text = self._upwards(columns) + "".join(f"{self._styled(line)}\x1b[K\n" for line in fitting)
        self._lengths = [sum(len(piece) for piece, _ in line) for line in fitting]
        LiveBlock.on_screen = self
        self._write(text + "\x1b[J")

    def clear(self) -> None:
        """Leave the terminal as it was before."""
        LiveBlock.on_screen = None
        if self._lengths:
            text = self._upwards(self.size().columns)
            self._lengths = []
            self._write(text + "\x1b[J")

    def _upwards(self, columns: int) -> str:
        """To the first line on the screen. What became too long as the terminal shrank takes several rows now."""
        rows = sum(max(1, -(-length // max(1, columns))) for length in self._lengths)
        return f"\r\x1b[{rows}A" if rows else "\r"

    def _styled(self, line: Pieces) -> str:
        if self._plain:
            return "".join(piece for piece, _ in line)
        return "".join(f"\x1b[{STYLES[style]}m{piece}\x1b[m" if style else piece for piece, style in line)

    def _write(self, text: str) -> None:
        # Past sys.stderr, whose buffer a signal's handler may be writing to at the same time.
        try:
            os.write(self._descriptor, text.encode(self._encoding, "replace"))
        except OSError:
            self._lengths = []


def _cut(line: Pieces, width: int) -> Pieces:
    cut = []
    for piece, style in line:
        cut.append((piece[: max(0, width)], style))
        width -= len(piece)
    return [each for each in cut if each[0]]
