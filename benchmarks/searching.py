"""How close `--find-rate` comes to capacities that are known: queues with a fixed service time, on real sockets.

    python -m benchmarks.searching            # about five minutes

Bar: within 5 % of the capacity, which is the number of servers behind the queue, divided by the service time.
"""

import json
import subprocess
import sys
import time
from typing import Any

from benchmarks.comparing import before_others
from tests.queue import queue

# (service time in s, servers, condition)
QUEUES = (
    (0.020, 1, "p99 < 200ms"),
    (0.010, 1, "p99 < 200ms"),
    (0.010, 4, "p99 < 100ms"),
    (0.002, 1, "p95 < 100ms"),
)


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        with queue(float(sys.argv[2]), int(sys.argv[3])) as server:
            print(server.url, flush=True)
            time.sleep(3600)
    before_others()
    print(f"{'service':>10}{'servers':>9}{'capacity':>10}{'found':>10}{'off by':>9}{'steps':>7}   bar 5 %")
    for service, servers, condition in QUEUES:
        search = searched(service, servers, condition)
        capacity, found = servers / service, search["rate"] or 0.0
        print(
            f"{service * 1000:>7g} ms{servers:>9}{capacity:>10.1f}{found:>10.1f}{found / capacity - 1:>+9.1%}"
            f"{len(search['steps']):>7}   {condition}, limit: {search['limit']}",
            flush=True,
        )


def searched(service: float, servers: int, condition: str) -> dict[str, Any]:
    serve = [sys.executable, "-m", "benchmarks.searching", "serve", str(service), str(servers)]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = server.stdout.readline().strip()
        opskit = [sys.executable, "-m", "opskit", "bench", "-kq", "--json", "--find-rate", condition]
        ran = subprocess.run([*opskit, "--step-time", "4s", url], capture_output=True, text=True)
        found: dict[str, Any] = json.loads(ran.stdout)["data"]["search"]
        return found
    finally:
        server.terminate()
        server.communicate()


if __name__ == "__main__":
    main()
