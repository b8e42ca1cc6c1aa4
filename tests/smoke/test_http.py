"""`[http.*]`, `[range.*]` and `[bench.*]` against nginx."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from opskit.smoke.model import Status
from tests.programs import free_port
from tests.smoke.certificates import Authority, listening
from tests.smoke.nginx import Nginx, nginx
from tests.smoke.smoking import one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx(tmp_path_factory.mktemp("nginx")) as running:
        yield running


INDEX = "<html><title>Books</title><body>Welcome to the shop</body></html>\n"


@pytest.mark.parametrize(
    ("path", "good", "bad", "what"),
    [
        ("/", "status = 200", "status = [404, 410]", "status"),
        ("/", 'status = "2xx"', 'status = "!= 2xx"', "status"),
        ("/broken", "status = 503", "", "status"),
        ("/", 'header = { content-type = { matches = "^text/html" } }', 'header = { x-none = "a" }', "header x-none"),
        ("/", 'body = "Welcome"', 'body = { lacks = "shop" }', "body"),
        ("/", 'body = { matches = "Wel.*shop", contains = ["Books", "shop"] }', 'body = ["Welcome", "Goodbye"]', "body"),
        ("/api", 'json = { "items[0].name" = "Dune" }', 'json = { "items[0].name" = "Emma" }', "json items[0].name"),
        ("/api", 'json = { "items.#" = "> 0", "ok" = true }', 'json = { "items[0].n" = "> 3" }', "json items[0].n"),
        ("/", 'json = { "x" = 1 }', None, "json"),
        ("/", 'size = "< 1kB"', "size = 10", "size"),
        ("/", f'sha256 = "{hashlib.sha256(INDEX.encode()).hexdigest()}"', f'sha256 = "{"0" * 64}"', "sha256"),
        ("/", 'version = "1.1"', 'version = "1.0"', "version"),
        ("/old", 'redirect = { matches = "/$" }', 'redirect = "https://elsewhere.example/"', "redirect"),
        ("/old", 'follow = true\nbody = "Welcome"', "", "status"),
        ("/method", 'data = "x"\nbody = { equals = "POST" }', 'method = "PUT"\nbody = { equals = "POST" }', "body"),
        ("/", 'within = "5s"', 'within = "1ns"', "time"),
    ],
)  # fmt: skip
def test_each_assertion_can_pass_and_fail(
    server: Nginx, tmp_path: Path, path: str, good: str, bad: str | None, what: str
) -> None:
    head = f'[http.x]\nurl = "{server.url}{path}"\n'
    if bad is None:
        bad = good
    else:
        passed = one(head + good, tmp_path)
        assert passed.status is Status.PASS, passed.message
    failed = one(head + bad, tmp_path)
    assert failed.status is Status.FAIL
    assert what in [finding.what for finding in failed.failed_findings]


def test_a_failure_shows_the_start_of_the_body(server: Nginx, tmp_path: Path) -> None:
    result = one(f'[http.x]\nurl = "{server.url}/broken"', tmp_path)
    assert result.excerpt == "upstream is down"
    assert result.message == "status: expected 2xx, got 503 Service Temporarily Unavailable"


def test_what_is_sent_arrives(server: Nginx, tmp_path: Path) -> None:
    text = f'[http.x]\nurl = "{server.url}/echo?a=b"\nheaders = {{ x-token = "abc" }}\nbody = {{ contains = ["x=abc", "q=a=b"] }}'
    assert one(text, tmp_path).status is Status.PASS


def test_basic_authentication(server: Nginx, tmp_path: Path) -> None:
    text = f'[http.x]\nurl = "{server.url}/secret"\nauth = "ann:%s"'
    assert one(text % "s3cret-word", tmp_path).status is Status.PASS
    refused = one(text % "wrong-word", tmp_path)
    assert refused.status is Status.FAIL
    assert "wrong-word" not in str(refused.to_dict())


def test_a_loop_of_redirects_ends(server: Nginx, tmp_path: Path) -> None:
    result = one(f'[http.x]\nurl = "{server.url}/loop"\nfollow = true', tmp_path)
    assert result.status is Status.FAIL
    assert "more than 10 redirects" in result.message


def test_a_server_elsewhere_by_resolve(server: Nginx, tmp_path: Path) -> None:
    text = f'[http.x]\nurl = "http://shop.example/"\nresolve = "127.0.0.1:{server.port}"\nbody = "Welcome"'
    assert one(text, tmp_path).status is Status.PASS


def test_certificates_are_verified_unless_told_otherwise(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate = authority.certificate("web")
    with nginx(tmp_path / "nginx", certificate) as secure:
        head = f'[http.x]\nurl = "{secure.url}/"\nresolve = "127.0.0.1:{secure.port}"\n'
        refused = one(head, tmp_path)
        assert refused.status is Status.FAIL
        assert "certificate verify failed" in refused.message
        assert one(head + f'ca = "{certificate.ca}"', tmp_path).status is Status.PASS
        assert one(head + "insecure = true", tmp_path).status is Status.PASS


def test_nobody_there_is_a_failure_and_no_such_name_cannot_be_told(tmp_path: Path) -> None:
    closed = one(f'[http.x]\nurl = "http://127.0.0.1:{free_port()}/"', tmp_path)
    assert closed.status is Status.FAIL
    assert "refused" in closed.message.lower()
    unknown = one('[http.x]\nurl = "http://no-such-host.invalid/"', tmp_path)
    assert unknown.status is Status.ERROR


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"]
)
def test_what_is_no_whole_answer_is_a_failure(tmp_path: Path, said: bytes) -> None:
    with listening(lambda sock: sock.sendall(said) if sock.recv(10000) else None) as port:
        result = one(f'[http.x]\nurl = "http://127.0.0.1:{port}/"', tmp_path)
    assert result.status is Status.FAIL


def test_an_answer_that_drips_is_cut_off_by_the_timeout(tmp_path: Path) -> None:
    import socket
    import time

    def drip(sock: socket.socket) -> None:
        sock.recv(10000)
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(40):
            sock.sendall(b"x")
            time.sleep(0.05)

    with listening(drip) as port:
        result = one(f'[http.x]\nurl = "http://127.0.0.1:{port}/"\ntimeout = "400ms"', tmp_path)
    assert result.status is Status.FAIL
    assert result.seconds < 2


def test_range_passes_where_ranges_work_and_fails_where_not(server: Nginx, tmp_path: Path) -> None:
    good = one(f'[range.x]\nurl = "{server.url}/movie.bin"\nprofile = "resume"', tmp_path)
    assert good.status is Status.PASS, good.message
    bad = one(f'[range.x]\nurl = "{server.url}/norange/movie.bin"\nprofile = "resume"', tmp_path)
    assert bad.status is Status.FAIL, bad.message
    missing = one(f'[range.x]\nurl = "{server.url}/nothing"', tmp_path)
    assert missing.status is Status.FAIL
    assert "404" in missing.message
    nobody = one(f'[range.x]\nurl = "http://127.0.0.1:{free_port()}/x"', tmp_path)
    assert nobody.status is Status.FAIL


def test_bench_compares_what_it_measured(server: Nginx, tmp_path: Path) -> None:
    head = f'[bench.x]\nurl = "{server.url}/"\nrequests = 40\nconcurrency = 4\n'
    good = one(head + 'p95 = "< 5s"\nrate = "> 1/s"\nmax = "< 10s"', tmp_path)
    assert good.status is Status.PASS, good.message
    assert good.data["requests"]["good"] == 40
    slow = one(head + 'p50 = "< 1ns"', tmp_path)
    assert [finding.what for finding in slow.failed_findings] == ["p50"]
    broken = one(head.replace(server.url + "/", server.url + "/broken"), tmp_path)
    assert broken.failed_findings[0].what == "failed"
    assert "40 (100.00%)" in broken.message


def test_bench_without_one_sample_does_not_pass(tmp_path: Path) -> None:
    text = f'[bench.x]\nurl = "http://127.0.0.1:{free_port()}/"\nrequests = 5\nfailed = "<= 100%"\np95 = "< 10s"'
    result = one(text, tmp_path)
    assert result.status is not Status.PASS


def test_bench_says_when_its_time_was_too_short(server: Nginx, tmp_path: Path) -> None:
    result = one(f'[bench.x]\nurl = "{server.url}/"\nrequests = 10000000\ntimeout = "300ms"', tmp_path)
    assert result.status is Status.FAIL
    assert result.failed_findings[0].what == "requests"
