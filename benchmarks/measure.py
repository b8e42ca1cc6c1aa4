"""What every benchmark here needs: a program pinned to a core, timed and weighed by the kernel."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, CLIENT_CORE = 0, 1
OPSKIT = [sys.executable, "-m", "opskit"]


@dataclass(frozen=True)
class Spent:
    """One program's life: its output, wall seconds, CPU seconds (user and system), peak memory in bytes."""

    output: str
    wall: float
    cpu: float
    peak: int


def need(*programs: str) -> None:
    missing = [program for program in programs if not shutil.which(program, path=_path())]
    if missing:
        packages = "nginx-light apache2-utils wrk hey nghttp2-client"
        sys.exit(f"this benchmark needs {', '.join(missing)}: apt install {packages}")


def _path() -> str:
    return os.environ["PATH"] + ":/usr/sbin:/sbin"


@contextmanager
def terminal() -> Iterator[int]:
    """A terminal of 80 columns to write to; whatever comes is taken at once, and thrown away."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    try:
        yield theirs
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)


def _drain(descriptor: int) -> None:
    with suppress(OSError):  # EIO: the other end was closed
        while os.read(descriptor, 65536):
            pass


def spend(
    argv: Sequence[str],
    *,
    core: int | None = CLIENT_CORE,
    check: bool = True,
    stderr: int = subprocess.STDOUT,
) -> Spent:
    """Run a program on one core and ask the kernel what it took."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(_pinned(argv, core), stdout=output, stderr=stderr, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if check and process.returncode:
        sys.exit(f"{' '.join(argv)} ended with {process.returncode}:\n{text}")
    return Spent(text, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _pinned(argv: Sequence[str], core: int | None) -> list[str]:
    return list(argv) if core is None else ["taskset", "-c", str(core), *argv]


@contextmanager
def running(argv: Sequence[str], *, core: int | None = SERVER_CORE) -> Iterator["subprocess.Popen[bytes]"]:
    """A server for the length of a block."""
    process = subprocess.Popen(_pinned(argv, core), env={**os.environ, "PATH": _path()})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def ratio_row(name: str, ours: Sequence[float], theirs: Sequence[float], bar: str) -> str:
    """A line of the result: the median of the ratios of runs that stood side by side, and their spread."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    return f"{name:<58} {middle:5.2f}  ({low:.2f} to {high:.2f})   bar {bar}"


def write_numbers(path: Path, count: int, width: int = 0) -> None:
    """A request file of `count` different lines."""
    with path.open("w") as file:
        for number in range(count):
            file.write(f"query{number:0{width}}\n")
