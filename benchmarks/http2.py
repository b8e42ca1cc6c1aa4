"""opskit bench --http2 beside h2load, against nginx on one core with the client on the other.

Run it with `python -m benchmarks.http2 [ROUNDS]`. h2load's -c are connections and its -m streams; opskit's -c are
the requests of all connections together.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.load import Client, Site, measure, opskit, prepare
from benchmarks.measure import Spent, need, ratio_row, running, spend

H2LOAD_RATE = r"finished in [\d.]+m?s, ([\d.]+) req/s"
AB_RATE = r"Requests per second:\s+([\d.]+)"
# (requests in all, connections, streams on each, what is asked for, over TLS). None has a single stream, because
# nginx 1.22 then holds the end of each answer back for 40 ms, whoever asks.
SHAPES = [
    (60_000, 5, 10, "1k.bin", False),
    (60_000, 1, 50, "1k.bin", False),
    (50_000, 5, 10, "1k.bin", True),
    (10_000, 5, 10, "100k.bin", False),
]


def h2load(count: int, connections: int, streams: int, url: str) -> Spent:
    spent = spend(["h2load", f"-n{count}", f"-c{connections}", f"-m{streams}", url])
    if f"requests: {count} total, {count} started, {count} done, {count} succeeded" not in spent.output:
        sys.exit(f"no clean run:\n{spent.output}")
    return spent


def beside_h2load(site: Site, shape: tuple[int, int, int, str, bool], rounds: int) -> list[str]:
    count, connections, streams, path, tls = shape
    url = f"{site.https if tls else site.http}/{path}"
    ours = ["--http2", f"-n{count}", f"-c{connections * streams}", "--streams", str(streams)]
    lines = ["--cacert", str(site.certificate), "-R", str(site.lines), f"{url}?q="]
    clients: list[Client] = [
        ("opskit", opskit(*ours, *lines), AB_RATE, count),
        ("h2load", lambda: h2load(count, connections, streams, url), H2LOAD_RATE, count),
    ]
    title = f"{'https' if tls else 'http'} {path}, {connections} × {streams}"
    found = measure(title, clients, rounds)
    return [
        ratio_row(f"{title}: requests/s against h2load", found["opskit"].rate, found["h2load"].rate, "none"),
        ratio_row(f"{title}: CPU a request against h2load", found["opskit"].cpu, found["h2load"].cpu, "none"),
    ]


def in_http2(configuration: Path) -> None:
    """The same nginx with HTTP/2, and without tcp_nopush, which holds small answers of HTTP/2 back for 40 ms."""
    text = configuration.read_text().replace(" tcp_nopush on;", "")
    configuration.write_text(text.replace("backlog=4096", "http2 backlog=4096"))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    need("nginx", "h2load", "openssl", "taskset")
    rows: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        site, configuration = prepare(Path(name))
        in_http2(configuration)
        with running(["nginx", "-c", str(configuration)]):
            time.sleep(0.5)
            for shape in SHAPES:
                rows += beside_h2load(site, shape, rounds)
    print(f"\nMedians of {rounds} interleaved rounds (lowest to highest):")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
