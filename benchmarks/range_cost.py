"""What `opskit range` costs the server it checks, and the machine it runs on.

    python -m benchmarks.range_cost

For each tier and for a short and a very long file: requests, bytes read, seconds of checking (the start of
Python is not counted), and the most memory that was held. Medians of seven runs against `opskit target`.
"""

import json
import statistics
from dataclasses import dataclass

from benchmarks.measure import OPSKIT, spend
from tests.servers import target

RUNS = 7


@dataclass(frozen=True)
class Cost:
    requests: int
    bytes_read: int
    seconds: float
    memory: float  # MiB, the most that was resident


def cost(*args: str) -> Cost:
    """One run, in a process of its own."""
    spent = spend([*OPSKIT, "range", "--json", *args])
    data = json.loads(spent.output)["data"]
    return Cost(data["requests"], data["bytes_read"], data["elapsed_s"], spent.peak / 2**20)


def main() -> None:
    print(f"{'tier':<8}{'file':<8}{'requests':>9}{'KiB read':>10}{'seconds':>9}{'MiB':>6}")
    with target() as running:
        for tier in ("basic", "polite", "full"):
            for size in ("12438", "100GB"):
                costs = [cost("--tier", tier, f"{running.url}/bytes/{size}") for _ in range(RUNS)]
                seconds = statistics.median(one.seconds for one in costs)
                most = max(one.memory for one in costs)
                first = costs[0]
                print(
                    f"{tier:<8}{size:<8}{first.requests:>9}{first.bytes_read / 1024:>10.0f}"
                    f"{seconds:>9.3f}{most:>6.0f}"
                )


if __name__ == "__main__":
    main()
