"""The only maker of consoles: who may print where, in which width, with which colours.

stdout is data and stderr is talk. `Stdout` is handed to a report; `talk`, `warn` and `hint` go to stderr.
"""

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from opskit.outcome import ErrorNote

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 80  # what a person's terminal has at least; a pipe has no width of its own


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
