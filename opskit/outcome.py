"""What a command hands back: its exit code, its data, and the way to show it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from opskit import __version__

if TYPE_CHECKING:
    from opskit.console import Stdout


class ExitCode(IntEnum):
    """The exit codes that every command shares."""

    OK = 0  # done and good
    BAD = 1  # the thing tested is bad: a failed check, a crossed threshold, a difference
    USAGE = 2  # the call or the input file is wrong; nothing was done
    UNABLE = 3  # it could not be done: unreachable, no permission, a missing program
    PARTIAL = 4  # stopped part-way; what is left is said
    BUG = 70  # a fault of opskit's own
    INTERRUPTED = 130  # Ctrl-C


STATUS: Mapping[int, str] = {
    ExitCode.OK: "ok",
    ExitCode.BAD: "failed",
    ExitCode.PARTIAL: "partial",
    ExitCode.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True)
class ErrorNote:
    """One failure: a stable `code` for programs, a `message` and a `hint` for people."""

    code: str
    message: str
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "hint": self.hint}


@dataclass(frozen=True)
class Outcome:
    """The result of one command, shown either by `render` or as a JSON envelope.

    `command` is what was typed after `opskit`; `schema` names the shape of `data`, as in "bench/1".
    An `exit_code` is an ExitCode, or for a command that documents its own, an int.
    """

    command: str
    schema: str
    data: Mapping[str, Any]
    render: "Callable[[Stdout], None]"
    exit_code: int = ExitCode.OK
    errors: tuple[ErrorNote, ...] = ()
    as_json: bool = False

    def envelope(self) -> dict[str, Any]:
        return envelope(self.command, self.schema, self.exit_code, self.data, self.errors)


def envelope(
    command: str,
    schema: str,
    exit_code: int,
    data: Mapping[str, Any],
    errors: tuple[ErrorNote, ...],
    status: str = "",
) -> dict[str, Any]:
    """The JSON document of every command, successful or not; `status` where the exit code is a tool's own."""
    return {
        "opskit": __version__,
        "schema": schema,
        "command": command,
        "status": status or STATUS.get(exit_code, "error"),
        "data": dict(data),
        "errors": [note.to_dict() for note in errors],
    }
