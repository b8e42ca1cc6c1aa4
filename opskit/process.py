"""The only importer of subprocess: programs run by argument list, in the C locale, with a time limit."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

from opskit.errors import Unable, os_reason
from opskit.units import format_size

T = TypeVar("T")
R = TypeVar("R")


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
    """Starts real programs. `environment` is added to a clean copy of the caller's, in the C locale;
    without `inherit` it is all there is.

    With `own_group` a program gets a process group of its own, so that the time limit and `stop` end what it
    started as well; it can then not ask at the terminal. `most_output` bytes end a program that will not.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        inherit: bool = True,
        own_group: bool = False,
        most_output: int = 256 * 2**20,
    ) -> None:
        outer = {**os.environ, "LC_ALL": "C", "LANGUAGE": ""} if inherit else {}
        self.environment = {**outer, **(environment or {})}
        self.own_group = own_group
        self.most_output = most_output
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None) -> Finished:
        """Run to the end. Raises Unable for a program that is missing, may not run, or takes too long."""
        started = time.monotonic()
        with self._start(argv, stdin) as child:
            self._running.add(child)
            try:
                stdout, stderr = _talk(child, stdin, timeout, self.most_output)
            except BaseException as error:
                self._end(child)
                raise _limit_passed(argv[0], error) from error
            finally:
                self._running.discard(child)
        return Finished(tuple(argv), child.returncode, stdout, stderr, time.monotonic() - started)

    def stop(self) -> None:
        """End every program that is running, from any thread."""
        for child in list(self._running):
            self._end(child)

    def _start(self, argv: Sequence[str], stdin: bytes) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment,
                process_group=0 if self.own_group else None,
            )
        except FileNotFoundError as error:
            raise Unable(f"{argv[0]}: no such program", code="missing_program") from error
        except OSError as error:
            raise Unable(f"{argv[0]} cannot run: {os_reason(error)}", code="program_failed") from error

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            if self.own_group:
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()


class TooMuchOutput(Exception):
    """A program wrote more than it may."""


def _limit_passed(program: str, error: BaseException) -> BaseException:
    """The error to raise for a program that was ended: ours for a limit, else the one that came."""
    if isinstance(error, subprocess.TimeoutExpired):
        return Unable(f"{program} did not end within {error.timeout:g} s", code="program_timeout")
    if isinstance(error, TooMuchOutput):
        return Unable(f"{program} does not stop writing: more than {error}", code="program_output")
    return error


class _Pipes:
    """The three pipes of a running program, fed and read side by side so that none can block another."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes, most: int) -> None:
        self.waiting = selectors.DefaultSelector()
        self.rest = memoryview(stdin)
        self.room = most
        self.most = most
        self.pieces: dict[int, list[bytes]] = {}
        for pipe in (child.stdout, child.stderr):
            assert pipe is not None
            self.pieces[pipe.fileno()] = []
            self.waiting.register(pipe, selectors.EVENT_READ, self._read)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            self.waiting.register(child.stdin, selectors.EVENT_WRITE, self._feed)

    def turn(self, seconds: float | None) -> bool:
        """Move what can be moved within `seconds`; False once every pipe is closed."""
        for key, _ in self.waiting.select(seconds):
            if key.data(key.fd):
                self.waiting.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]  # registered as files above
        return bool(self.waiting.get_map())

    def _read(self, descriptor: int) -> bool:
        piece = os.read(descriptor, 1 << 16)
        self.pieces[descriptor].append(piece)
        self.room -= len(piece)
        if self.room < 0:
            raise TooMuchOutput(format_size(self.most))
        return not piece

    def _feed(self, descriptor: int) -> bool:
        try:
            self.rest = self.rest[os.write(descriptor, self.rest[: 1 << 16]) :]
        except BrokenPipeError:
            return True  # it did not want to read everything; its exit code tells whether that matters
        return not self.rest


def _talk(child: subprocess.Popen[bytes], stdin: bytes, timeout: float | None, most: int) -> tuple[bytes, bytes]:
    """Feed a program and read both its outputs until it ends. Raises TimeoutExpired, TooMuchOutput."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pipes = _Pipes(child, stdin, most)
    with pipes.waiting:
        while pipes.turn(None if deadline is None else max(0.0, deadline - time.monotonic())):
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(child.args, timeout or 0.0)
    child.wait(None if deadline is None else max(0.01, deadline - time.monotonic()))
    stdout, stderr = (b"".join(part) for part in pipes.pieces.values())
    return stdout, stderr


def side_by_side(work: Callable[[T], R], items: Iterable[T], *, workers: int, stop: Callable[[], None]) -> list[R]:
    """`work` on every item, `workers` at a time, the results in order of the items.

    On an error or an interrupt nothing further begins, and `stop` (a runner's) ends what is under way.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise


def become(argv: Sequence[str]) -> NoReturn:
    """Put a program in the place of this process, with its terminal, signals and exit code.

    Raises Unable for one that is missing or may not run.
    """
    sys.stdout.flush()
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 — without a shell is what is wanted
    except FileNotFoundError as error:
        raise Unable(f"{argv[0]}: no such program", code="missing_program") from error
    except OSError as error:
        raise Unable(f"{argv[0]} cannot run: {os_reason(error)}", code="program_failed") from error
