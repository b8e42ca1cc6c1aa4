"""The only importer of subprocess: programs run by argument list, in the C locale, with a time limit."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from opskit.errors import Unable, os_reason


@dataclass(frozen=True)
class Finished:
    """A program that ended: its exit code (negative for a signal), its raw output, its time in seconds."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def error_text(self) -> str:
        return self.stderr.decode(errors="replace")


class Runner(Protocol):
    """What an engine is handed to start programs with; tests hand it a simulated host."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None) -> Finished: ...


class SystemRunner:
    """Starts real programs. `environment` is added to a clean copy of the caller's, in the C locale."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "", **(environment or {})}

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None) -> Finished:
        """Run to the end. Raises Unable for a program that is missing, may not run, or takes too long."""
        started = time.monotonic()
        try:
            done = subprocess.run(
                list(argv),
                input=stdin,
                capture_output=True,
                timeout=timeout,
                env=self.environment,
                check=False,
            )
        except FileNotFoundError as error:
            raise Unable(f"{argv[0]}: no such program", code="missing_program") from error
        except subprocess.TimeoutExpired as error:
            raise Unable(f"{argv[0]} did not end within {timeout:g} s", code="program_timeout") from error
        except OSError as error:
            raise Unable(f"{argv[0]} cannot run: {os_reason(error)}", code="program_failed") from error
        return Finished(tuple(argv), done.returncode, done.stdout, done.stderr, time.monotonic() - started)
