"""What a request costs in a worker of a cluster beside opskit alone, and what the scheduler spends on a worker.

Run it with `python -m benchmarks.cluster [ROUNDS]`. The target is benchmarks/echo.py, which costs next to nothing;
two workers and the scheduler share the machine with it, so that CPU time is compared, not rates.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load import free_port
from benchmarks.measure import OPSKIT, ratio_row, running, spend, write_numbers

REQUESTS = 300_000
DASK = [sys.executable, "-m", "dask"]
QUIET = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--host", "127.0.0.1"]


def cpu_of(pid: int) -> float:
    """User and system seconds of a process so far: proc(5)."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def bench(*args: str) -> tuple[Any, float]:
    """The `data` of one run, and the CPU seconds of the process that was called."""
    spent = spend([*OPSKIT, "bench", "-kq", "--json", *args], core=None)
    return json.loads(spent.output)["data"], spent.cpu


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "error"
    echo, port = free_port(), free_port()
    url, cluster = f"http://127.0.0.1:{echo}/search?q=", ["--cluster", f"tcp://127.0.0.1:{port}"]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lines = directory / "lines"
        write_numbers(lines, REQUESTS)
        stack.enter_context(running([sys.executable, "-m", "benchmarks.echo", str(echo)], core=None))
        dask = stack.enter_context(running([*DASK, "scheduler", "--port", str(port), *QUIET], core=None))
        worker = [*DASK, "worker", cluster[1], "--no-nanny", "--nthreads", "1", "--memory-limit", "0", *QUIET]
        worker += ["--local-directory", str(directory)]
        workers = [stack.enter_context(running(worker, core=None)) for _ in range(2)]
        time.sleep(20)  # for the workers to be there
        alone: list[float] = []
        shared: list[float] = []
        fed_alone: list[float] = []
        fed: list[float] = []
        for _ in range(rounds):
            for found, place, file in (
                (alone, [], []),
                (fed_alone, [], ["-R", str(lines)]),
                (shared, cluster, []),
                (fed, cluster, ["-R", str(lines)]),
            ):
                before = sum(cpu_of(each.pid) for each in workers)
                _, own = bench(f"-n{REQUESTS}", "-c50", *place, *file, url)
                spent = sum(cpu_of(each.pid) for each in workers) - before if place else own
                found.append(spent / REQUESTS * 1e6)
        print(f"{'CPU time of a request, alone':<58} {statistics.median(alone):5.1f} µs")
        print(f"{'CPU time of a request, in a worker':<58} {statistics.median(shared):5.1f} µs")
        print(ratio_row("a request in a worker: CPU time against alone", shared, alone, "none"))
        print(ratio_row("the same with lines of -R sent to it", fed, fed_alone, "none"))
        before, started = cpu_of(dask.pid), time.monotonic()
        bench("-t30s", "-c4", "--rate", "1000", *cluster, url)
        share = (cpu_of(dask.pid) - before) / (time.monotonic() - started) / len(workers)
        print(f"{'the scheduler, for each worker: share of a core':<58} {share:5.1%}")


if __name__ == "__main__":
    main()
