"""The errors of opskit. Each says what happened and what to do; only `opskit.cli` catches them all.

OpskitError                exit code
├── Misuse                 2   the call or an input file is wrong; nothing was done
├── Unable                 3   it could not be done here and now
└── StoppedPartWay         4   it began and could not end
"""

from opskit.outcome import ErrorNote, ExitCode


class OpskitError(Exception):
    """A failure that a person can act on.

    `message` says what happened, with the name of the thing; `hint` says what to do next;
    `code` is the stable word for programs that read the JSON envelope.
    """

    exit_code: int = ExitCode.UNABLE
    status: str = ""  # in the JSON envelope: what the exit code says, unless a class knows better

    def __init__(self, message: str, *, hint: str = "", code: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or type(self).code_word()
        if exit_code is not None:
            self.exit_code = exit_code

    @classmethod
    def code_word(cls) -> str:
        """The class name in snake case: `StoppedPartWay` → `stopped_part_way`."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")

    def note(self) -> ErrorNote:
        return ErrorNote(self.code, self.message, self.hint)


class Misuse(OpskitError):
    """The call or an input file is wrong; nothing was done."""

    exit_code = ExitCode.USAGE


class Unable(OpskitError):
    """It could not be done: unreachable, no permission, a missing program."""

    exit_code = ExitCode.UNABLE


class StoppedPartWay(OpskitError):
    """It began and could not end; the message says what is left."""

    exit_code = ExitCode.PARTIAL


def os_reason(error: OSError) -> str:
    """The system's own words for an OSError, without the errno number: `Permission denied`."""
    return error.strerror or str(error) or type(error).__name__
