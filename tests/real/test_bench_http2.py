"""opskit bench --http2 against nginx: its access log is the judge."""

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from tests import transcripts
from tests.command import opskit
from tests.nginx import Nginx
from tests.proxy import proxy

WORDS = [f"GET /search?q=word{i}" for i in range(97)]


def h2(*args: object) -> tuple[str, ...]:
    return ("bench", "--http2", "--json", *map(str, args))


@pytest.mark.parametrize("streams", [1, 10, 50])
@pytest.mark.parametrize("tls", [False, True], ids=["prior knowledge", "ALPN"])
def test_the_log_holds_as_many_as_were_counted(nginx: Nginx, lines: Path, tls: bool, streams: int) -> None:
    url = nginx.http2_tls_url if tls else nginx.http2_url
    ran = opskit(
        *h2("-n", 3000, "-c", 50, "--streams", streams, "--cacert", nginx.ca, "-R", lines, f"{url}/search?q=")
    )
    assert (ran.code, ran.err) == (0, "")
    assert Counter(nginx.requests(3000)) == Counter((WORDS * 31)[:3000])
    counts = ran.data["requests"]
    assert counts["started"] == counts["good"] == 3000
    assert ran.data["connections"]["opened"] == 50 // streams
    assert ran.data["bytes"]["body"] == 6 * 3000
    assert ran.data["http2"] == {"streams": streams, "goaways": 0, "resets": {}}


def test_one_at_a_time_the_log_holds_the_lines_in_order(nginx: Nginx, lines: Path) -> None:
    assert opskit(*h2("-n", 250, "-R", lines, f"{nginx.http2_url}/search?q=")).code == 0
    assert nginx.requests(250) == (WORDS * 3)[:250]


def test_it_is_HTTP_2_that_is_spoken(nginx: Nginx) -> None:  # noqa: N802 — the protocol's name
    ran = opskit("bench", "--http2", "-v", "2", "-n", "1", f"{nginx.http2_url}/version")
    assert "GET, 1 at a time, HTTP/2 with 1 stream a connection" in ran.out
    assert "INFO: GET /version HTTP/2\n" in ran.err
    assert "Connection" not in ran.err
    assert "9 B bodies" in ran.out  # "HTTP/2.0\n"


@pytest.mark.parametrize(("path", "size"), [("1k", 1024), ("100k", 102_400)])
def test_bodies_come_whole(nginx: Nginx, path: str, size: int) -> None:
    ran = opskit(*h2("-n", 300, "-c", 20, "--streams", 20, "--insecure", f"{nginx.http2_tls_url}/{path}"))
    assert ran.data["requests"]["good"] == 300
    assert ran.data["bytes"]["body"] == 300 * size
    assert ran.data["connections"] == {"opened": 1, "reused": 299} or ran.data["connections"]["opened"] == 1


@pytest.mark.parametrize("flag", ["-p", "-u"])
def test_uploads_are_taken(nginx: Nginx, flag: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"b" * 1_000_000)
    ran = opskit(*h2("-n", 20, "-c", 4, "--streams", 2, flag, body, f"{nginx.http2_url}/upload"))
    assert ran.data["requests"]["good"] == 20
    assert ran.data["status"] == {"200": 20}
    assert ran.data["bytes"]["sent"] > 20_000_000
    method = "POST" if flag == "-p" else "PUT"
    assert Counter(nginx.requests(40))[f"{method} /upload"] == 20


def test_HEAD_404_and_500_are_answers(nginx: Nginx) -> None:  # noqa: N802 — the method's name
    assert opskit(*h2("-i", "-n", 5, f"{nginx.http2_url}/100k")).data["bytes"]["body"] == 0
    ran = opskit(*h2("-n", 5, "--fail-status", f"{nginx.http2_url}/status/500"))
    assert ran.data["failures"] == {"status": 5}
    assert opskit(*h2("-n", 5, f"{nginx.http2_url}/status/404")).data["status"] == {"404": 5}


@pytest.mark.parametrize("streams", [1, 8])
def test_ten_requests_to_a_connection_lose_none(nginx: Nginx, streams: int) -> None:
    url = f"http://127.0.0.1:{nginx.ten_port}/"
    ran = opskit(*h2("-n", 500, "-c", 8, "--streams", streams, url))
    assert ran.data["requests"]["good"] == 500
    assert ran.data["http2"]["goaways"] >= 500 // 10 - 8
    assert len(nginx.requests(500)) == 500


def test_targets_of_their_own_with_labels_over_several_origins(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(
        f'{{"url": "{nginx.http2_url}/search?q=a", "label": "first"}}\n'
        f'{{"url": "{nginx.http2_tls_url}/search?q=b", "method": "POST", "body": {{"x": 1}}}}\n'
        f'{{"url": "http://localhost:{nginx.http2_port}/search?q=c", "method": "HEAD", "label": "first"}}\n'
    )
    ran = opskit(*h2("--insecure", "-n", 60, "-c", 4, "--streams", 2, "-R", path))
    assert ran.data["requests"]["good"] == 60
    asked = {f"{method} /search?q={word}": 20 for method, word in (("GET", "a"), ("POST", "b"), ("HEAD", "c"))}
    assert Counter(nginx.requests(60)) == asked
    assert [(label["label"], label["requests"]) for label in ran.data["labels"]] == [("first", 40)]


def test_a_rate_and_a_clock_hold(nginx: Nginx) -> None:
    ran = opskit(*h2("-t", 1, "--rate", 200, "-c", 10, "--streams", 5, f"{nginx.http2_url}/1k"))
    started = ran.data["requests"]["started"]
    assert started + ran.data["requests"]["unsent"] == 200
    assert len(nginx.requests(started)) == started == ran.data["requests"]["good"]
    assert ran.data["latency_ms"]["response"]["p50"] >= ran.data["latency_ms"]["service"]["p50"]


def test_a_unix_socket_and_a_tunnel_lead_there_too(nginx: Nginx) -> None:
    ran = opskit(
        *h2("--unix-socket", nginx.directory / "socket2", "-n", 20, "-c", 4, "--streams", 2, "http://x/1k")
    )
    assert ran.data["requests"]["good"] == 20
    with proxy() as server:
        way = ("-X", f"{server.host}:{server.port}", "--insecure")
        ran = opskit(*h2(*way, "-n", 20, "-c", 4, "--streams", 4, f"{nginx.http2_tls_url}/1k"))
    assert ran.data["requests"]["good"] == 20
    assert server.seen == [f"CONNECT 127.0.0.1:{nginx.http2_tls_port} HTTP/1.1".encode()]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_without_http2_is_refused_and_not_asked_in_HTTP_1(nginx: Nginx, scheme: str) -> None:  # noqa: N802
    url = nginx.url if scheme == "http" else nginx.tls_url
    ran = opskit("bench", "--http2", "--insecure", "-n", "50", "-c", "2", f"{url}/1k")
    assert ran.code == 3
    assert re.search("does not (offer|speak) HTTP/2", ran.err)
    assert "hint: leave out --http2 to ask it in HTTP/1.1" in ran.err
    assert not [line for line in nginx.requests(0) if "/1k" in line]


def test_a_saved_run_is_shown_again(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    url = f"http://127.0.0.1:{nginx.ten_port}/"
    ran = opskit(*h2("-n", 40, "-c", 4, "--streams", 4, "--save", path, url))
    assert ran.code == 0
    again = opskit("report", str(path), "--json")
    assert again.data == ran.data
    assert "connections ended by GOAWAY; reset: no stream" in opskit("report", str(path)).out


def test_the_documents_example_runs(nginx: Nginx) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (transcripts.ROOT / "docs/bench.md").read_text(), flags=re.DOTALL)
    install, example = next(block for block in blocks if "--http2" in block).splitlines()
    assert install == "pip install 'opskit[http2]'"
    words = shlex.split(example.replace("https://example.test", nginx.http2_tls_url))
    ran = opskit(*words[1:], "--cacert", str(nginx.ca))
    assert ran.code == 0, ran.err
    assert "HTTP/2 with 10 streams a connection" in ran.out


# Bad input


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--streams", "5"), "--streams are what HTTP/2 has"),
        (("--http2", "--streams", "0"), "--streams 0: of -c 1 requests"),
        (("--http2", "--streams", "-3"), "--streams -3: of -c 1 requests"),
        (("--http2", "-n", "10", "-c", "4", "--streams", "5"), "--streams 5: of -c 4 requests, 1 to 4 share"),
        (("--http2", "-X", "127.0.0.1:1"), "--http2 through a proxy (-X) needs an https URL"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(args: tuple[str, ...], message: str) -> None:
    ran = opskit("bench", *args, "http://127.0.0.1:1/")
    assert ran.code == 2
    assert ran.err.startswith(f"error: {message}")
    assert "\nhint: " in ran.err


def test_without_the_extra_the_line_to_type_is_said(tmp_path: Path) -> None:
    (tmp_path / "hpack.py").write_text("raise ModuleNotFoundError('hpack')\n")
    ran = opskit("bench", "--http2", "http://127.0.0.1:1/", env={"PYTHONPATH": str(tmp_path)})
    assert ran.code == 3
    assert ran.err == "error: HTTP/2 needs one more package\nhint: pip install 'opskit[http2]'\n"
