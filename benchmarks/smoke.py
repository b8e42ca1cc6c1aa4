"""The speed of `opskit smoke`, measured beside the monitoring plugins where they do the same.

    python -m benchmarks.smoke

Bars: 100 http checks against loopback within 1 s, one tcp check within 0.4 s for the whole process, the first
check of a file of 2 000 begun within twice the time of a file of one, 80 MB of memory at most.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 7


def timed(command: Sequence[str]) -> tuple[float, str]:
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    return time.perf_counter() - begun, done.stdout


def median(command: Sequence[str]) -> float:
    return statistics.median(timed(command)[0] for _ in range(ROUNDS))


def smoke(*words: str) -> list[str]:
    return [sys.executable, "-m", "opskit", "smoke", *words]


def written(directory: Path, name: str, text: str) -> str:
    (directory / name).write_text(text)
    return str(directory / name)


def first_begin(file: str) -> float:
    """Seconds from the start of the process until the first check begins."""
    begun = time.time()
    done = subprocess.run(smoke(file, "--json", "--fail-fast"), capture_output=True, text=True)
    starts = [check["started_at"] for check in json.loads(done.stdout)["data"]["checks"] if check["attempts"]]
    return float(min(starts)) - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        server = subprocess.Popen(
            [sys.executable, "-m", "opskit", "target", "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout
            url = server.stdout.readline().strip().rstrip("/")
            measure(directory, url)
        finally:
            server.terminate()
            server.communicate()


def measure(directory: Path, url: str) -> None:
    address = url.removeprefix("http://")
    tcp = written(directory, "tcp.toml", f'[tcp.x]\naddress = "{address}"\n')
    http = written(
        directory,
        "http.toml",
        "".join(f'[http.c{i}]\nurl = "{url}/bytes/{i}"\nstatus = 200\n' for i in range(100)),
    )
    one = written(directory, "one.toml", f'[tcp.x]\naddress = "{address}"\nrefused = true\n')
    many = written(
        directory,
        "many.toml",
        "".join(f'[tcp.c{i}]\naddress = "{address}"\nrefused = true\nhint = "number {i}"\n' for i in range(2000)),
    )
    print(f"one tcp check, whole process        {median(smoke(tcp)):.3f} s   (bar 0.4)")
    if plugin := shutil.which("check_tcp", path="/usr/lib/nagios/plugins"):
        host, port = address.split(":")
        print(f"  check_tcp                         {median([plugin, '-H', host, '-p', port]):.3f} s")
    print(f"100 http checks, whole process      {median(smoke(http)):.3f} s")
    runs = [json.loads(timed(smoke(http, "--json"))[1])["data"]["duration_s"] for _ in range(ROUNDS)]
    print(f"100 http checks, the run alone      {statistics.median(runs):.3f} s   (bar 1)")
    pairs = [(first_begin(one), first_begin(many)) for _ in range(ROUNDS)]
    ratio = statistics.median(second / first for first, second in pairs)
    late = statistics.median(many for _, many in pairs)
    print(f"until the first check, 1 check      {statistics.median(early for early, _ in pairs):.3f} s")
    print(f"until the first check, 2000 checks  {late:.3f} s   ×{ratio:.2f} (bar 2)")
    for what, file in (("100 http", http), ("2000 tcp", many)):
        print(f"memory at most, {what:<20}{peak(smoke(file)):.0f} MB   (bar 80)")


def peak(command: Sequence[str]) -> float:
    """The resident memory of one process at its largest, in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    assert isinstance(usage, resource.struct_rusage)
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
