"""opskit bench beside ab, wrk and hey, against nginx on one core with the client on the other.

Run it with `make bench`, or `python -m benchmarks.load [ROUNDS]`. Each round runs the clients one after the
other; what is printed are medians of the ratios within rounds, because rates on a shared machine drift.
"""

import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import OPSKIT, Spent, need, ratio_row, running, spend, terminal, write_numbers

SECONDS = "2"  # a run of wrk and hey; the others get a number of requests that takes about as long


@dataclass(frozen=True)
class Site:
    """The nginx under test, and the files the clients use."""

    http: str
    https: str
    lines: Path
    certificate: Path


@dataclass
class Rates:
    """Requests per second and CPU seconds per request of one client, a figure a round."""

    rate: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, spent: Spent, pattern: str, requests: int | None) -> None:
        match = re.search(pattern, spent.output)
        if match is None or re.search(r"Failed requests:\s+[1-9]|Non-2xx|Socket errors", spent.output):
            sys.exit(f"no clean run:\n{spent.output}")
        rate = float(match[1])
        self.rate.append(rate)
        self.cpu.append(spent.cpu / (requests or rate * float(SECONDS)))


AB_RATE = r"Requests per second:\s+([\d.]+)"
WRK_RATE = r"Requests/sec:\s+([\d.]+)"


def opskit(*args: str) -> Callable[[], Spent]:
    return lambda: spend([*OPSKIT, "bench", "-q", "--format", "ab", *args])


def ab(*args: str) -> Callable[[], Spent]:
    return lambda: spend(["ab", "-q", *args])


def wrk(*args: str) -> Callable[[], Spent]:
    return lambda: spend(["wrk", "-t1", f"-d{SECONDS}", *args])


def hey(*args: str) -> Callable[[], Spent]:
    return lambda: spend(["hey", "-z", f"{SECONDS}s", "-cpus", "1", *args])


Client = tuple[str, Callable[[], Spent], str, int | None]  # name, run, pattern of its rate, requests if known


def measure(title: str, clients: Sequence[Client], rounds: int) -> dict[str, Rates]:
    """Run the clients in turn, `rounds` times, after one run each that does not count."""
    print(f"\n{title}", flush=True)
    found = {name: Rates() for name, *_ in clients}
    for round_ in range(rounds + 1):
        for name, run, pattern, requests in clients:
            spent = run()
            if round_:
                found[name].add(spent, pattern, requests)
    for name, rates in found.items():
        cpu = statistics.median(rates.cpu) * 1e6
        print(f"  {name:<8} {statistics.median(rates.rate):9,.0f} requests/s   {cpu:6.1f} µs of CPU a request")
    return found


def keep_alive(site: Site, rounds: int) -> list[str]:
    url, count = f"{site.http}/1k.bin", 300_000  # so many that starting an interpreter weighs little
    clients: list[Client] = [
        ("opskit", opskit("-k", f"-n{count}", "-c50", "-R", str(site.lines), f"{url}?q="), AB_RATE, count),
        ("ab", ab("-k", f"-n{count}", "-c50", url), AB_RATE, count),
        ("wrk", wrk("-c50", url), WRK_RATE, None),
        ("hey", hey("-c", "50", url), WRK_RATE, None),
    ]
    found = measure("keep-alive, 1 KiB, c=50; opskit takes 100 000 lines, the others one URL", clients, rounds)
    return [
        ratio_row("keep-alive: requests/s against ab", found["opskit"].rate, found["ab"].rate, ">= 1.0"),
        ratio_row("keep-alive: requests/s against wrk", found["opskit"].rate, found["wrk"].rate, "none"),
        ratio_row("keep-alive: requests/s against hey", found["opskit"].rate, found["hey"].rate, "none"),
        ratio_row("keep-alive: CPU a request against wrk", found["opskit"].cpu, found["wrk"].cpu, "<= 1.3"),
    ]


def live_view(site: Site, rounds: int) -> list[str]:
    """The same run on a terminal, with the live view and without."""
    count = 300_000
    args = ["bench", "--format", "ab", "-k", f"-n{count}", "-c50", "-R", str(site.lines), f"{site.http}/1k.bin?q="]
    with terminal() as shown:
        clients: list[Client] = [
            ("with", lambda: spend(["env", "TERM=xterm", *OPSKIT, *args], stderr=shown), AB_RATE, count),
            ("without", lambda: spend(["env", "TERM=xterm", *OPSKIT, *args, "-q"], stderr=shown), AB_RATE, count),
        ]
        found = measure("keep-alive on a terminal, with the live view and without", clients, rounds)
    return [
        ratio_row("live view: requests/s against without", found["with"].rate, found["without"].rate, ">= 0.99"),
        ratio_row("live view: CPU a request against without", found["with"].cpu, found["without"].cpu, "<= 1.01"),
    ]


def against_ab(title: str, args: Sequence[str], extra: Sequence[str], url: str, count: int, rounds: int) -> str:
    common = [*args, f"-n{count}", "-c50"]
    clients: list[Client] = [
        ("opskit", opskit(*common, *extra, url), AB_RATE, count),
        ("ab", ab(*common, url), AB_RATE, count),
    ]
    found = measure(title, clients, rounds)
    return ratio_row(f"{title}: requests/s against ab", found["opskit"].rate, found["ab"].rate, ">= 0.9")


def memory_of_many(site: Site) -> str:
    spent = spend([*OPSKIT, "bench", "-qk", "-n2000000", "-c50", "-R", str(site.lines), f"{site.http}/1k.bin?q="])
    return f"{'peak memory, 2 000 000 requests':<58} {spent.peak / 1e6:5.0f} MB   bar <= 80 MB"


def large_file(directory: Path) -> list[str]:
    """A 1 GiB -R file: memory, and the time from the start of the process to the first request at a server."""
    path = directory / "large.txt"
    line = b"query=" + b"x" * 57 + b"\n"
    with path.open("wb") as file:
        for _ in range(1024):
            file.write(line * (2**20 // len(line)))
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    arrived: list[float] = []
    threading.Thread(target=_answer_first, args=(listener, arrived), daemon=True).start()
    waits, peaks = [], []
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/?q="
    for _ in range(5):
        started = time.perf_counter()
        spent = spend([*OPSKIT, "bench", "-q", "-k", "-n20000", "-c1", "-R", str(path), url])
        waits.append(arrived.pop(0) - started)
        peaks.append(spent.peak)
    path.unlink()
    return [
        f"{'1 GiB -R file: process start to first request':<58} {statistics.median(waits):5.2f} s    bar <= 0.5 s",
        f"{'1 GiB -R file: peak memory':<58} {max(peaks) / 1e6:5.0f} MB   bar <= 80 MB",
    ]


def _answer_first(listener: socket.socket, arrived: list[float]) -> None:
    """Answer everything; note when each connection's first request came."""
    while True:
        connection = listener.accept()[0]
        first = True
        while connection.recv(65536):
            if first:
                arrived.append(time.perf_counter())
                first = False
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def start_up(rounds: int) -> str:
    ours, theirs = [], []
    for _ in range(rounds * 4):
        ours.append(spend([*OPSKIT, "--help"]).wall)
        theirs.append(spend([sys.executable, "-c", "import typer"]).wall)
    return ratio_row("opskit --help, whole process, against `import typer`", ours, theirs, "<= 1.5")


NGINX = """
worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; open_file_cache max=100;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{
    listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl backlog=4096;
    ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem; root {dir}/www;
  }}
}}
"""


def prepare(directory: Path) -> tuple[Site, Path]:
    """nginx's configuration, certificate and files; the 100 000 lines."""
    (directory / "www").mkdir()
    directory.chmod(0o755)
    (directory / "www/1k.bin").write_bytes(b"k" * 1024)
    (directory / "www/100k.bin").write_bytes(b"K" * 102_400)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory / "key.pem",
         "-out", directory / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    http, https = free_port(), free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX.format(dir=directory, http=http, https=https))
    lines = directory / "requests.txt"
    write_numbers(lines, 100_000)
    site = Site(f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", lines, directory / "cert.pem")
    return site, configuration


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    need("nginx", "ab", "wrk", "hey", "openssl", "taskset")
    with tempfile.TemporaryDirectory() as name:
        site, configuration = prepare(Path(name))
        with running(["nginx", "-c", str(configuration)]):
            time.sleep(0.5)
            rows = keep_alive(site, rounds)
            rows += live_view(site, rounds)
            lines = ["-R", str(site.lines)]
            rows.append(against_ab("connection per request", [], lines, f"{site.http}/1k.bin?q=", 20_000, rounds))
            trusted = [*lines, "--cacert", str(site.certificate)]
            rows.append(against_ab("https keep-alive", ["-k"], trusted, f"{site.https}/1k.bin?q=", 50_000, rounds))
            rows.append(
                against_ab("100 KiB bodies, keep-alive", ["-k"], lines, f"{site.http}/100k.bin?q=", 30_000, rounds)
            )
            rows.append(memory_of_many(site))
        rows += large_file(Path(name))
    rows.append(start_up(rounds))
    print(f"\nMedians of {rounds} interleaved rounds (lowest to highest):")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
