"""opskit bench against nginx: its access log is the judge, and ab the second opinion."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.command import opskit
from tests.nginx import Nginx
from tests.programs import need

WORDS = [f"GET /search?q=word{i}" for i in range(97)]


@pytest.mark.parametrize("keep", [(), ("-k",)], ids=["a connection each", "keep-alive"])
def test_one_at_a_time_the_log_holds_the_lines_in_order_and_again_from_the_top(
    nginx: Nginx, lines: Path, keep: tuple[str, ...]
) -> None:
    ran = opskit("bench", "--json", "-n", "250", *keep, "-R", str(lines), f"{nginx.url}/search?q=")
    assert (ran.code, ran.err) == (0, "")
    assert nginx.requests(250) == (WORDS * 3)[:250]
    assert ran.data["requests_file"] == {"lines": 97, "encoded": 0, "skipped": 0, "wrapped": 2}
    assert ran.data["connections"] == ({"opened": 1, "reused": 249} if keep else {"opened": 250, "reused": 0})


@pytest.mark.parametrize("keep", [(), ("-k",)], ids=["a connection each", "keep-alive"])
def test_fifty_at_a_time_the_log_holds_as_many_as_were_counted(
    nginx: Nginx, lines: Path, keep: tuple[str, ...]
) -> None:
    ran = opskit("bench", "--json", "-n", "5000", "-c", "50", *keep, "-R", str(lines), f"{nginx.url}/search?q=")
    assert ran.code == 0
    counts = ran.data["requests"]
    assert counts["planned"] == counts["started"] == counts["completed"] == counts["good"] == 5000
    asked = Counter(nginx.requests(5000))
    assert asked.total() == 5000
    assert asked == Counter((WORDS * 60)[:5000])


def test_the_clock_ends_a_run_and_the_log_still_agrees(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "-t", "0.5", "-c", "10", "-k", f"{nginx.url}/1k")
    counts = ran.data["requests"]
    assert counts["started"] == counts["good"] == len(nginx.requests(counts["started"]))
    assert ran.data["stop"] == "time"
    assert 0.5 <= ran.data["seconds"] < 1.5


def test_every_line_once_without_n(nginx: Nginx, lines: Path) -> None:
    ran = opskit("bench", "--json", "-R", str(lines), f"{nginx.url}/search?q=")
    assert ran.data["requests"]["planned"] == 97
    assert nginx.requests(97) == WORDS


def test_lines_that_are_whole_urls(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text(
        f"{nginx.url}/search?q=a b\nhttp://localhost:{nginx.port}/search?q=é\r\n{nginx.url}/search?q=%20\n"
    )
    ran = opskit("bench", "--json", "-R", str(path))
    assert ran.data["requests"]["good"] == 3
    assert nginx.requests(3) == [f"GET /search?q={word}" for word in ("a%20b", "%C3%A9", "%20")]
    assert ran.data["requests_file"]["encoded"] == 2


def test_lines_from_a_pipe(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "-n", "5", "-R", "-", f"{nginx.url}/search?q=", stdin="one\ntwo\n")
    assert ran.data["requests"]["good"] == 5
    assert nginx.requests(5) == [f"GET /search?q={word}" for word in ("one", "two", "one", "two", "one")]


def test_methods_and_bodies_of_their_own(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(
        '{"url": "a", "label": "first"}\n'
        '{"method": "post", "url": "b", "body": {"x": 1}, "headers": {"X-Y": "z"}}\n'
        '{"method": "HEAD", "url": "c", "label": "first"}\n'
    )
    ran = opskit("bench", "--json", "-k", "-R", str(path), f"{nginx.url}/search?q=")
    assert ran.data["requests"]["good"] == 3
    assert nginx.requests(3) == ["GET /search?q=a", "POST /search?q=b", "HEAD /search?q=c"]
    assert [(each["label"], each["requests"]) for each in ran.data["labels"]] == [("first", 2)]


def test_its_own_access_log_is_replayed(nginx: Nginx, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(
        "".join(f'127.0.0.1 - - [23/Nov/2026:10:00:00 +0000] "GET /search?q={i} HTTP/1.1" 200 6\n' for i in "abc")
    )
    ran = opskit("bench", "--json", "--requests-format", "access-log", "-R", str(log), nginx.url)
    assert ran.data["requests"]["good"] == 3
    assert nginx.requests(3) == [f"GET /search?q={i}" for i in "abc"]


def test_a_server_that_closes_after_ten_requests_costs_connections_only(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "-k", "-n", "1000", "-c", "7", f"{nginx.url}/ten/1k")
    assert ran.data["failures"] == {}
    assert ran.data["requests"]["good"] == len(nginx.requests(1000)) == 1000
    assert 100 <= ran.data["connections"]["opened"] <= 107
    assert sum(ran.data["connections"].values()) == 1000


def test_statuses_are_counted_beside_the_failures(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "paths.txt"
    path.write_text("search\nstatus/404\nstatus/500\nsearch\n")
    ran = opskit("bench", "--json", "-R", str(path), f"{nginx.url}/")
    assert (ran.code, ran.data["failures"]) == (0, {})
    assert ran.data["status"] == {"200": 2, "404": 1, "500": 1}
    assert ran.data["requests"]["non_2xx"] == 2
    strict = opskit("bench", "--json", "--fail-status", "-R", str(path), f"{nginx.url}/")
    assert strict.data["failures"] == {"status": 2}
    assert strict.data["requests"]["good"] == 2


AB_FIGURES = (
    "Server Software", "Server Hostname", "Server Port", "Document Path", "Document Length", "Concurrency Level",
    "Complete requests", "Failed requests", "Non-2xx responses", "Keep-Alive requests", "Total transferred",
    "HTML transferred", "SSL/TLS Protocol",
)  # fmt: skip


def ab_figures(text: str) -> dict[str, str]:
    """As a script made for ab reads its report: by label."""
    found = dict(re.findall(r"^([A-Z][\w /-]+):\s+(.*)$", text, re.MULTILINE))
    return {name: found[name] for name in AB_FIGURES if name in found}


@pytest.mark.parametrize("path", ["/1k", "/100k", "/status/404", "/search"])
@pytest.mark.parametrize("keep", [(), ("-k",)], ids=["a connection each", "keep-alive"])
def test_ab_and_opskit_agree(nginx: Nginx, path: str, keep: tuple[str, ...]) -> None:
    ab = subprocess.run(
        [need("ab"), "-q", "-n", "200", "-c", "10", *keep, nginx.url + path], capture_output=True, text=True
    )
    mine = opskit("bench", "-q", "--format", "ab", "-n", "200", "-c", "10", *keep, nginx.url + path)
    assert ab_figures(mine.out) == ab_figures(ab.stdout)


def test_ab_and_opskit_agree_over_tls(nginx: Nginx) -> None:
    ab = subprocess.run(
        [need("ab"), "-q", "-n", "50", "-c", "5", f"{nginx.tls_url}/1k"], capture_output=True, text=True
    )
    mine = opskit(
        "bench", "-q", "--format", "ab", "-n", "50", "-c", "5", "--cacert", str(nginx.ca), f"{nginx.tls_url}/1k"
    )
    assert mine.code == 0
    assert ab_figures(mine.out) == ab_figures(ab.stdout)


def test_a_body_is_posted(nginx: Nginx, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"q=1" * 1000)
    ran = opskit(
        "bench", "--json", "-p", str(body), "-T", "application/x-www-form-urlencoded", f"{nginx.url}/search"
    )
    assert ran.data["status"] == {"200": 1}
    assert nginx.requests(1) == ["POST /search"]
    assert ran.data["bytes"]["sent"] > 3000


def test_HEAD_brings_no_body(nginx: Nginx) -> None:  # noqa: N802 — the method's name
    ran = opskit("bench", "--json", "-k", "-i", "-n", "10", f"{nginx.url}/100k")
    assert ran.data["requests"]["good"] == 10
    assert ran.data["bytes"]["body"] == 0
    assert set(nginx.requests(10)) == {"HEAD /100k"}
