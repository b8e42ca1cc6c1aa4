"""Whether the figures of opskit bench can be believed: rates kept, stalls shown, processes that add up.

Run it with `make bench`, or `python -m benchmarks.believed [ROUNDS]`. The target is benchmarks/echo.py, which
costs next to nothing. It stands on core 0 and the client on core 1, but for the processes, which take both.
"""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.load import free_port
from benchmarks.measure import CLIENT_CORE, OPSKIT, need, ratio_row, running, spend


def bench(port: int, *args: str, core: int | None = CLIENT_CORE) -> tuple[Any, float]:
    """The `data` of one run, and the CPU seconds of all its processes."""
    spent = spend([*OPSKIT, "bench", "-k", "--json", *args, f"http://127.0.0.1:{port}/"], core=core)
    return json.loads(spent.output)["data"], spent.cpu


def rate_kept(rounds: int) -> list[str]:
    """At half of what it can do: how far from their moments requests begin, and how many there are."""
    port, errors, kept = free_port(), [], []
    with running([sys.executable, "-m", "benchmarks.echo", str(port)]):
        time.sleep(0.5)
        most = bench(port, "-t", "3s", "-c", "50")[0]["rate"]
        asked = int(most / 2)
        for _ in range(rounds):
            data = bench(port, "-t", "5s", "-c", "50", "--rate", str(asked))[0]
            errors.append(data["latency_ms"]["lag"]["mean"])
            kept.append(data["requests"]["started"] / (5 * asked))
    name = f"--rate {asked:,} of {most:,.0f}/s"
    return [
        f"{f'{name}: mean start error':<58} {statistics.median(errors):5.3f} ms   bar <= 1 ms",
        ratio_row(f"{name}: requests begun of those due", kept, [1.0] * rounds, "0.99 to 1.01"),
    ]


def stall_shown(rounds: int) -> str:
    """A server that stalls 1 s in 10. Of all requests a tenth come in a stall, evenly: p99 waits 0.9 s."""
    seen = []
    for _ in range(rounds):
        port = free_port()
        with running([sys.executable, "-m", "benchmarks.echo", str(port), "1", "10"]):
            time.sleep(0.5)
            data = bench(port, "-t", "20s", "-c", "500", "--rate", "200")[0]
        seen.append(data["latency_ms"]["response"]["p99"] / 900)
    return ratio_row("a stall of 1 s in 10: p99 against the computed 900 ms", seen, [1.0] * rounds, "0.95 to 1.05")


def processes(rounds: int) -> list[str]:
    """Two processes against one. Here they share two cores with the target, so that the rate cannot double; what
    can be seen is whether a request costs the same CPU time, which is what doubles the rate where cores are free.
    """
    port, count = free_port(), 300_000
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(running([sys.executable, "-m", "benchmarks.echo", str(port)], core=None))
        time.sleep(0.5)
        for _ in range(rounds):
            for number in (1, 2):
                data, cpu = bench(port, f"-n{count}", "-c50", "--processes", str(number), core=None)
                rates[number].append(data["rate"])
                costs[number].append(cpu / count)
    doubled = [2 * each for each in costs[1]]
    return [
        ratio_row("--processes 2: rate against 1, with the target on the same cores", rates[2], rates[1], "none"),
        ratio_row("--processes 2: rate against 1 if cores were free, by CPU time", doubled, costs[2], ">= 1.8"),
    ]


def rows(rounds: int) -> Sequence[str]:
    return [*rate_kept(rounds), stall_shown(max(1, rounds // 2)), *processes(rounds)]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    need("taskset")
    print("\n".join(rows(rounds)))


if __name__ == "__main__":
    main()
