"""The target as it runs: a real process, the standard library's client, and bare sockets."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path

import pytest

from tests.command import opskit
from tests.servers import Running, target


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with target() as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection(*server.address, timeout=10)) as connection:
        yield connection


def ask(client: HTTPConnection, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    client.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = client.getresponse()
    return response.status, response.read()


def raw(server: Running, sent: bytes) -> bytes:
    """Everything that comes back until the server ends the connection."""
    with socket.create_connection(server.address, timeout=10) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_first_page_lists_the_others(client: HTTPConnection) -> None:
    status, body = ask(client, "/")
    assert status == 200
    for path in ("/search", "/bytes/N", "/status/N", "/delay/MS", "/chunked/N", "/drip", "/close", "/echo"):
        assert path.encode() in body


def test_search_depends_on_the_words_alone(client: HTTPConnection) -> None:
    tea, again, coffee = (ask(client, f"/search?q={word}")[1] for word in ("tea", "tea", "coffee"))
    assert tea == again != coffee
    found = json.loads(tea)
    assert found["query"] == "tea"
    assert len(found["results"]) >= 1
    assert json.loads(ask(client, "/search")[1])["results"] == []


def test_one_connection_answers_many(client: HTTPConnection) -> None:
    client.connect()
    first = client.sock
    for _ in range(20):
        assert ask(client, "/bytes/10", Range="bytes=3-5")[0] == 206
    assert client.sock is first


def test_a_range_is_cut_from_the_whole(client: HTTPConnection) -> None:
    whole = ask(client, "/bytes/250kB")[1]
    status, part = ask(client, "/bytes/250kB", Range="bytes=99990-200010")
    assert (len(whole), status) == (250_000, 206)
    assert part == whole[99_990:200_011]


def test_head_has_the_fields_and_no_body(client: HTTPConnection) -> None:
    client.request("HEAD", "/bytes/1GiB", headers={"Range": "bytes=0-4"})
    response = client.getresponse()
    assert (response.status, response.headers["Content-Length"], response.read()) == (200, str(2**30), b"")
    assert ask(client, "/status/204", "HEAD") == (204, b"")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/status/503", 503, b"503"),
        ("/status/204", 204, b""),
        ("/status/99", 400, b"from 200 to 599"),
        ("/status/", 400, b"whole number"),
        ("/delay/x", 400, b"whole number"),
        ("/bytes/", 400, b"is not a size"),
        ("/bytes/-1", 400, b"is not a size"),
        ("/bytes/10QB", 400, b"is not a size"),
        ("/bytes/9999999TB", 400, b"more than"),
        ("/drip?bytes=no", 400, b"whole number"),
        ("/nothing/here", 404, b"/ lists"),
        ("/%ff%00", 404, b"/ lists"),
    ],
)
def test_paths_that_take_a_number_say_which(client: HTTPConnection, path: str, status: int, words: bytes) -> None:
    got, body = ask(client, path)
    assert got == status
    assert words in body


def test_a_method_that_a_page_does_not_take(client: HTTPConnection) -> None:
    assert ask(client, "/bytes/10", "DELETE")[0] == 405
    client.request("OPTIONS", "/bytes/10")
    response = client.getresponse()
    assert (response.status, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


def test_delay_waits(client: HTTPConnection) -> None:
    started = time.monotonic()
    assert ask(client, "/delay/150")[0] == 200
    assert time.monotonic() - started >= 0.15


def test_chunked_has_no_length(client: HTTPConnection) -> None:
    client.request("GET", "/chunked/300000")
    response = client.getresponse()
    assert response.headers["Content-Length"] is None
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert len(response.read()) == 300_000


def test_drip_comes_byte_by_byte(server: Running) -> None:
    with socket.create_connection(server.address, timeout=10) as connection:
        connection.sendall(b"GET /drip?bytes=3&ms=60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        arrivals = list(iter(lambda: connection.recv(65536), b""))
    assert len(arrivals) >= 3
    assert b"".join(arrivals).endswith(b"\r\n\r\n000")


def test_close_ends_without_an_answer(client: HTTPConnection) -> None:
    with pytest.raises(RemoteDisconnected):
        ask(client, "/close")


def test_echo_says_what_it_read(client: HTTPConnection) -> None:
    client.request("PUT", "/echo?x=1", body=iter([b"one ", b"two"]), headers={"X-A": "b"})
    seen = json.loads(client.getresponse().read())
    assert (seen["method"], seen["target"], seen["body"]) == ("PUT", "/echo?x=1", "one two")
    assert ["x-a", "b"] in seen["headers"]


def test_a_body_nobody_asked_for_is_read_and_dropped(client: HTTPConnection) -> None:
    client.request("POST", "/search?q=tea", body=b"x" * 3_000_000)
    assert client.getresponse().read().startswith(b'{"query": "tea"')
    client.request("POST", "/echo", body=b"x" * 3_000_000)
    response = client.getresponse()
    assert (response.status, response.read()) == (413, b"the body is too long to be echoed\n")
    assert ask(client, "/status/200")[0] == 200


def test_a_body_that_waits_for_a_go_ahead_gets_it(server: Running) -> None:
    with socket.create_connection(server.address, timeout=10) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hi")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'"body": "hi"' in answer


@pytest.mark.parametrize(
    ("sent", "first"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nConnection: close\r\n\r\n", b"HTTP/1.1 417 "),
        (b"hello\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 600_000, b"HTTP/1.1 431 "),
    ],
    ids=["no host", "two hosts", "expectation", "not http", "long head"],
)
def test_what_http_forbids_is_refused_in_words(server: Running, sent: bytes, first: bytes) -> None:
    sent = sent.replace(b"HTTP/1.1\r\n\r\n", b"HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert raw(server, sent).startswith(first)


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    paths = ["/delay/30", "/status/201", "/bytes/200000", *["/status/202"] * 200, "/status/203"]
    sent = b"".join(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() for path in paths)
    got = raw(server, sent + b"GET /status/410 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    statuses = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 201, 200, *[202] * 200, 203, 410]


def test_http_1_0_closes_unless_it_is_asked_to_stay(server: Running) -> None:
    once = raw(server, b"GET /bytes/20 HTTP/1.0\r\n\r\n")
    assert b"Connection: close" in once
    stay = b"GET /bytes/20 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    twice = raw(server, stay + b"GET /bytes/20 HTTP/1.0\r\n\r\n")
    assert twice.count(b"HTTP/1.1 200 OK") == 2
    assert b"Connection: keep-alive" in twice


def test_http_1_0_gets_no_chunks(server: Running) -> None:
    answer = raw(server, b"GET /chunked/40 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert len(body) == 40


def resident(pid: int) -> int:
    """The most memory a process ever held, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_huge_body_costs_no_memory(client: HTTPConnection, server: Running) -> None:
    ask(client, "/bytes/1MB")
    before = resident(server.process.pid)
    client.request("GET", "/bytes/100GB", headers={"Range": "bytes=99000000000-99199999999"})
    response = client.getresponse()
    digest = hashlib.sha256()
    while part := response.read(1 << 20):
        digest.update(part)
    assert response.status == 206
    assert resident(server.process.pid) - before < 4096


def test_a_client_that_does_not_read_costs_no_memory(server: Running) -> None:
    before = resident(server.process.pid)
    with socket.create_connection(server.address, timeout=10) as connection:
        connection.sendall(b"GET /bytes/1GB HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        time.sleep(0.3)
        assert resident(server.process.pid) - before < 4096


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly(number: signal.Signals, code: int) -> None:
    with target() as running, socket.create_connection(running.address, timeout=10) as connection:
        connection.sendall(b"GET /delay/60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
        running.process.send_signal(number)
        out, err = running.process.communicate(timeout=5)
    assert running.process.returncode == code
    assert (out, err) == ("", "requests answered: 1, connections: 1\n")


def test_a_port_that_is_taken(server: Running) -> None:
    ran = opskit("target", "--port", str(server.address[1]))
    assert ran.code == 3
    assert ran.err == (
        f"error: port {server.address[1]} on 127.0.0.1 is in use\nhint: choose another with --port, or 0 for any\n"
    )


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--port", "70000"], 2, "70000 is not a port"),
        (["--port", "-1"], 2, "-1 is not a port"),
        (["--port", "http"], 2, "'http'"),
        (["--host", "no.such.host.invalid", "--port", "0"], 3, "cannot listen on 'no.such.host.invalid'"),
        (["--host", "192.0.2.1", "--port", "0"], 3, "no address of this machine"),
        (["--host", "a" * 300, "--port", "0"], 3, "not a host name"),
    ],
)
def test_a_place_that_cannot_be_listened_on(args: list[str], code: int, words: str) -> None:
    ran = opskit("target", *args)
    assert ran.code == code
    assert words in ran.err
    assert ran.err.count("\n") == 2
    assert ran.out == ""


def test_a_port_for_root_alone() -> None:
    """As nobody, in a process of its own: the suite may run as root."""
    code = (
        "import os, sys\n"
        "from opskit.cli import run\n"
        "import opskit.target.cli, opskit.target.pages, opskit.target.server, encodings.idna\n"
        "os.geteuid() == 0 and os.setuid(65534)\n"
        "sys.exit(run(['target', '--port', '81']))\n"
    )
    lowest = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if lowest.exists() and int(lowest.read_text()) <= 81:
        pytest.skip("this machine lets everyone have port 81")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 3
    assert done.stderr.startswith("error: port 81 on 127.0.0.1 is for root alone\nhint: ")


def test_listening_to_everyone_is_said() -> None:
    with target("--host", "0.0.0.0") as running:
        running.process.send_signal(signal.SIGTERM)
        _, err = running.process.communicate(timeout=5)
    assert "warning: everyone who can reach 0.0.0.0 can use this server" in err


def test_a_fault_that_does_not_exist_lists_those_that_do() -> None:
    ran = opskit("target", "--range-defect", "no-such-fault")
    assert ran.code == 2
    assert ran.err.startswith("error: there is no fault 'no-such-fault'\nhint: the faults are no-ar, ")


def test_a_fault_on_request() -> None:
    with target("--range-defect", "suffix-as-prefix") as running:
        assert b"Content-Range: bytes 0-4/100" in raw(
            running, b"GET /bytes/100 HTTP/1.1\r\nHost: x\r\nRange: bytes=-5\r\nConnection: close\r\n\r\n"
        )


def test_a_redirect_leads_to_the_bytes(client: HTTPConnection) -> None:
    client.request("GET", "/redirect/bytes/40", headers={"Range": "bytes=0-4"})
    response = client.getresponse()
    assert (response.status, response.headers["Location"], response.read()) == (302, "/bytes/40", b"")


def test_the_whole_can_be_asked_for(client: HTTPConnection) -> None:
    assert ask(client, "/bytes/40?whole", Range="bytes=0-4")[0] == 200
