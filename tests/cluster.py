"""Schedulers and workers of Dask for tests, started as a person starts them, ended afterwards."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.programs import free_port


@dataclass(frozen=True)
class Started:
    """A program of Dask and what it has logged."""

    process: "subprocess.Popen[bytes]"
    log: Path
    address: str = ""  # of a scheduler


@contextmanager
def scheduler(
    directory: Path, *, host: str = "127.0.0.1", port: int | None = None, prefix: Sequence[str] = ()
) -> Iterator[Started]:
    """`dask scheduler`; `prefix` is what runs it elsewhere, in a namespace for instance."""
    port = port or free_port()
    args = ["scheduler", "--host", host, "--port", str(port), "--no-dashboard", "--dashboard-address", f"{host}:0"]
    log = directory / "scheduler.log"
    with _dask(log, args, prefix, {}, until="Scheduler at") as process:
        yield Started(process, log, f"tcp://{host}:{port}")


@contextmanager
def worker(
    directory: Path,
    name: str,
    address: str,
    *,
    host: str = "127.0.0.1",
    prefix: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    python: Sequence[str] = (sys.executable,),
) -> Iterator[Started]:
    """`dask worker` without a nanny: what is killed stays dead."""
    args = ["worker", address, "--host", host, "--name", name, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    args += ["--dashboard-address", f"{host}:0", "--memory-limit", "0", "--local-directory", str(directory)]
    log = directory / f"{name}.log"
    with _dask(log, args, prefix, env or {}, until="Registered to", python=python) as process:
        yield Started(process, log)


@contextmanager
def _dask(
    log: Path,
    args: Sequence[str],
    prefix: Sequence[str],
    env: Mapping[str, str],
    *,
    until: str,
    python: Sequence[str] = (sys.executable,),
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, *python, "-m", "dask", *args],
            stdout=output, stderr=output, cwd=log.parent, env={**os.environ, **env},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while until not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{args[0]} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()
