"""Servers that misbehave in each way there is a name for, over real sockets and through both pollers."""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

from opskit.bench import conductor
from opskit.bench.plan import Route
from opskit.bench.poller import EpollPoller, SelectorPoller
from opskit.bench.results import Results
from tests.bench.running import bench
from tests.scripted import OK, Peer, Script, answers, scripted


@pytest.fixture(autouse=True, params=[EpollPoller, SelectorPoller])
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "best_poller", request.param)


class LinesRun(Protocol):
    def __call__(self, url: str | None, lines: list[str], **plan: Any) -> Results: ...


@pytest.fixture
def bench_lines(tmp_path: Path) -> LinesRun:
    """`bench` with a file of these lines, each asked once."""

    def run(url: str | None, lines: list[str], **plan: Any) -> Results:
        path = tmp_path / "requests.txt"
        path.write_text("\n".join(lines))
        return bench(url, requests=str(path), number=None, **plan)

    return run


def head(*lines: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", *lines, "", "")).encode()


CHUNKED = head("Transfer-Encoding: chunked") + b"3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"

# What a server answers before it closes, and the length of the body that is found in it.
GOOD = {
    "content-length": (OK, 2),
    "no body": (head("Content-Length: 0"), 0),
    "until the connection closes": (head() + b"all of this", 11),
    "chunked, extensions and trailer": (CHUNKED, 5),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 0),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 0),
    "1xx first": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 2),
    "lone line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 2),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", 5),
}


@pytest.mark.parametrize("drip", [False, True], ids=["at once", "drip"])
@pytest.mark.parametrize("name", GOOD)
def test_an_answer_is_good(name: str, drip: bool) -> None:
    data, length = GOOD[name]

    def script(peer: Peer) -> None:
        peer.request()
        (peer.drip if drip else peer.send)(data)

    with scripted(script) as server:
        results = bench(server.url, number=3)
    assert (results.good, results.failures) == (3, {})
    assert results.body == 3 * length
    assert results.received == 3 * len(data)


BAD = {
    "nothing": (b"", "closed"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", "truncated"),
    "half a body": (head("Content-Length: 10") + b"half", "truncated"),
    "half a chunk": (head("Transfer-Encoding: chunked") + b"ff\r\nhalf", "truncated"),
    "chunks without an end": (head("Transfer-Encoding: chunked") + b"1\r\na\r\n", "truncated"),
    "only 100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n", "truncated"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", "bad_framing"),
    "a bad status line": (b"HTTP/1.1 abc OK\r\n\r\n", "bad_framing"),
    "two lengths": (head("Content-Length: 1", "Content-Length: 2") + b"ab", "bad_framing"),
    "a negative length": (head("Content-Length: -1"), "bad_framing"),
    "length and chunked": (head("Content-Length: 1", "Transfer-Encoding: chunked") + b"0\r\n\r\n", "bad_framing"),
    "a bad chunk size": (head("Transfer-Encoding: chunked") + b"zz\r\n", "bad_framing"),
    "extra bytes": (OK + b"more", "extra_bytes"),
    "two answers": (OK + OK, "extra_bytes"),
    "extra bytes after chunks": (CHUNKED + b"more", "extra_bytes"),
    "a body after 204": (b"HTTP/1.1 204 No Content\r\n\r\nbody", "extra_bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_failure_has_a_name(name: str) -> None:
    data, failure = BAD[name]
    with scripted(answers(data)) as server:
        results = bench(server.url, number=3)
    assert results.failures == {failure: 3}
    assert results.reason


def test_a_body_after_a_HEAD_is_extra_bytes() -> None:  # noqa: N802 — the method's name
    with scripted(answers(OK)) as server:
        assert bench(server.url, method="HEAD").failures == {"extra_bytes": 1}


def test_an_endless_head_is_refused() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        for _ in range(2000):
            peer.send(b"X: " + b"y" * 400 + b"\r\n")

    with scripted(script) as server:
        assert bench(server.url).failures == {"bad_framing": 1}


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n", head("Content-Length: 9") + b"half"])
def test_a_reset_is_named(before: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(before)
        time.sleep(0.02)  # so that the bytes are read before the reset discards them
        peer.reset()

    with scripted(script) as server:
        assert bench(server.url).failures == {"reset": 1}


def test_a_closed_port_is_refused() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        port = gone.getsockname()[1]
    results = bench(f"http://127.0.0.1:{port}/")
    assert results.failures == {"refused": 1}
    assert f"127.0.0.1:{port} refused the connection" in results.reason


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue is full: a connection to it is neither made nor refused."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def test_a_connection_that_is_not_made_times_out() -> None:
    with full_backlog() as port:
        results = bench(f"http://127.0.0.1:{port}/", number=2, concurrency=2, request_limit=0.1)
    assert results.failures == {"connect_timeout": 2}
    assert results.lower_bounds == 2
    assert results.latencies.total.lowest >= 100_000_000


@pytest.mark.parametrize(
    ("sent", "failure"),
    [(b"", "wait_timeout"), (b"HTTP/1.1 200", "read_timeout"), (head("Content-Length: 9") + b"x", "read_timeout")],
)
def test_a_server_that_stalls_times_out(sent: bytes, failure: str) -> None:
    with scripted(answers(sent, then="wait")) as server:
        results = bench(server.url, number=4, concurrency=2, request_limit=0.1)
    assert results.failures == {failure: 4}
    assert results.lower_bounds == 4


def test_the_limit_is_for_each_request_however_busy_the_others_are(bench_lines: LinesRun) -> None:
    def script(peer: Peer) -> None:
        for request in peer.requests():
            if b"stuck" in request:
                peer.wait_for_close()
                return
            peer.send(OK)
            time.sleep(0.001)

    with scripted(script) as server:
        lines = ["stuck"] + ["fast"] * 500
        results = bench_lines(server.url, lines, concurrency=3, keep_alive=True, request_limit=0.2)
    assert results.failures == {"wait_timeout": 1}
    assert results.good == 500


def test_a_drip_that_never_ends_is_cut_at_the_limit() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(head("Content-Length: 1000000"))
        while True:
            peer.send(b"x")
            time.sleep(0.01)

    with scripted(script) as server:
        results = bench(server.url, request_limit=0.2)
    assert results.failures == {"read_timeout": 1}
    assert results.seconds < 1


# Connections that are kept


@pytest.mark.parametrize("says_so", [True, False], ids=["with Connection: close", "without a word"])
@pytest.mark.parametrize("after", [1, 3])
def test_a_server_that_closes_after_some_requests_costs_a_connection_and_no_failure(
    says_so: bool, after: int
) -> None:
    def script(peer: Peer) -> None:
        for left, _ in zip(range(after, 0, -1), peer.requests(), strict=False):
            last = left == 1 and says_so
            peer.send(head("Content-Length: 2", "ConnecTion: foo , cLose" if last else "X: y") + b"ok")
            if left == 1:
                return

    with scripted(script) as server:
        results = bench(server.url, number=30, concurrency=2, keep_alive=True)
    assert (results.good, results.failures) == (30, {})
    assert results.opened == server.connections
    assert 30 / after <= results.opened <= 30 / after + 2
    assert results.opened + results.reused == 30
    if says_so:
        assert results.resent == 0


def test_a_server_that_closes_late_has_the_request_sent_again() -> None:
    """It closes when the second request arrives, so that the client cannot have known."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.request()

    with scripted(script) as server:
        results = bench(server.url, number=10, keep_alive=True)
    assert (results.good, results.failures, results.resent) == (10, {}, 9)
    assert (results.opened, results.reused) == (10, 0)


def test_HTTP_1_0_keeps_a_connection_only_when_it_says_so() -> None:  # noqa: N802
    kept = b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok"
    with scripted(answers(kept, then="keep")) as server:
        assert bench(server.url, number=10, keep_alive=True).opened == 1
    with scripted(answers(kept.replace(b"Connection", b"Xonnection"), then="keep")) as server:
        assert bench(server.url, number=10, keep_alive=True).opened == 10


def test_bytes_on_an_idle_connection_are_no_answer(bench_lines: LinesRun) -> None:
    """A server may say 408, or repeat the end of its chunks, before it closes a connection nobody uses."""

    def script(peer: Peer) -> None:
        for request in peer.requests():
            if b"slow" in request:
                time.sleep(0.3)
            peer.send(CHUNKED)
            if b"quick" in request:
                time.sleep(0.05)
                peer.send(b"0\r\n\r\n")

    with scripted(script) as server:
        results = bench_lines(server.url, ["slow", "quick"], concurrency=2, keep_alive=True)
    assert (results.good, results.failures) == (2, {})


# Requests with bodies


def test_an_answer_before_the_whole_body_was_sent_counts() -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        time.sleep(0.05)

    with scripted(script) as server:
        results = bench(server.url, number=4, concurrency=2, method="POST", body=bytes(8 << 20), keep_alive=True)
    assert results.status.get(413, 0) + sum(results.failures.values()) == 4
    assert set(results.failures) <= {"reset"}
    assert results.status.get(413, 0) >= 3


def test_an_early_answer_that_keeps_the_connection_does_not_mix_up_the_next() -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(OK)
        time.sleep(0.3)  # and read no further: were the rest taken, the connection could be kept

    with scripted(script) as server:
        started = time.process_time()
        results = bench(server.url, number=3, method="POST", body=bytes(8 << 20), keep_alive=True)
    assert (results.good, results.opened) == (3, 3), results.failures
    assert time.process_time() - started < 1, "nothing may spin while the rest of a body cannot be sent"


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n", b"HTTP/1.1 200 OK\r\nConte"])
def test_a_break_while_the_body_is_sent_is_one_failure(answer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(answer)
        time.sleep(0.01)
        peer.reset()

    with scripted(script) as server:
        results = bench(server.url, number=6, concurrency=2, method="POST", body=bytes(8 << 20))
    assert sum(results.failures.values()) == 6


def test_a_large_body_arrives_whole() -> None:
    body = random.Random(1).randbytes(3 << 20)

    def script(peer: Peer) -> None:
        for request in peer.requests():
            same = request.partition(b"\r\n\r\n")[2] == body
            peer.send(OK if same else b"HTTP/1.1 500 Not It\r\nContent-Length: 0\r\n\r\n")

    with scripted(script) as server:
        results = bench(server.url, number=5, method="PUT", body=body, keep_alive=True)
    assert results.status == {200: 5}
    assert results.sent > 5 * len(body)


def test_a_large_answer_is_counted_to_the_byte() -> None:
    size = 5_000_003
    with scripted(answers(head(f"Content-Length: {size}") + bytes(size), then="keep")) as server:
        results = bench(server.url, number=4, keep_alive=True)
    assert (results.good, results.body, results.opened) == (4, 4 * size, 1)


# Stopping


def test_a_dead_server_is_not_hammered() -> None:
    with scripted(answers(b"")) as server:
        results = bench(server.url, number=1000, concurrency=3)
        assert (results.stop, results.failures) == ("dead", {"closed": results.started})
        assert 30 <= results.started <= 33
        assert server.connections == results.started
        went_on = bench(server.url, number=100, concurrency=3, keep_going=True)
    assert (went_on.stop, went_on.started) == ("finished", 100)


def test_one_answer_is_enough_to_go_on() -> None:
    def script(peer: Peer) -> None:
        if peer.request() and peer.number == 5:
            peer.send(OK)

    with scripted(script) as server:
        results = bench(server.url, number=200, concurrency=2)
    assert (results.stop, results.good, results.failures) == ("finished", 1, {"closed": 199})


def test_after_a_failure_to_connect_there_is_a_pause() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        port = gone.getsockname()[1]
    results = bench(f"http://127.0.0.1:{port}/", number=None, seconds=0.5, concurrency=2, keep_going=True)
    assert results.stop == "time"
    assert 2 <= results.started <= 100


def test_in_flight_requests_are_waited_for_when_the_time_is_up() -> None:
    def script(peer: Peer) -> None:
        for _ in peer.requests():
            time.sleep(0.3)
            peer.send(OK)

    with scripted(script) as server:
        results = bench(server.url, number=None, seconds=0.1, concurrency=4, keep_alive=True)
    assert (results.stop, results.good, results.failures) == ("time", 4, {})
    assert results.seconds < 1


def test_what_outlasts_the_limit_after_the_end_is_cut_off_and_kept_in_the_latencies() -> None:
    with scripted(answers(b"", then="wait")) as server:
        results = bench(server.url, number=None, seconds=0.1, concurrency=3, request_limit=0.3)
    assert (results.stop, results.failures) == ("time", {"cut_off": 3})
    assert results.latencies.total.count == results.lower_bounds == 3
    assert results.completed == 0


@pytest.mark.parametrize(("number", "seconds", "stop"), [(20, 5.0, "finished"), (10**6, 0.2, "time")])
def test_n_and_t_end_the_run_whichever_comes_first(number: int, seconds: float, stop: str) -> None:
    with scripted(answers(OK, then="keep")) as server:
        results = bench(server.url, number=number, seconds=seconds, keep_alive=True)
    assert results.stop == stop
    assert results.seconds < 1


# Several hosts


def test_more_hosts_than_connections(bench_lines: LinesRun) -> None:
    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(OK)

    with scripted(script) as a, scripted(script) as b, scripted(script) as c, scripted(script) as d:
        servers = (a, b, c, d)
        lines = [random.Random(i).choice(servers).url for i in range(300)]
        results = bench_lines(None, lines, concurrency=2, keep_alive=True)
    assert (results.good, results.failures) == (300, {})
    assert results.opened + results.reused == 300
    assert results.opened == sum(server.connections for server in servers)
    assert results.reused > 0


def test_one_dead_host_among_others_fails_alone(bench_lines: LinesRun) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        dead = f"http://127.0.0.1:{gone.getsockname()[1]}/"
    with scripted(answers(OK, then="keep")) as alive:
        lines = [alive.url, dead, alive.url, alive.url, dead, alive.url] * 5
        results = bench_lines(None, lines, concurrency=3, keep_alive=True)
    assert (results.good, results.failures) == (20, {"refused": 10})
    assert results.latencies.connect.count == results.opened


# Unix sockets


def unix_listener(path: Path, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(backlog)
    return listener


def test_a_unix_socket_with_a_full_queue_is_tried_until_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "s"

    def script(peer: Peer) -> None:
        for _ in peer.requests():
            time.sleep(0.002)
            peer.send(OK)
            return

    with scripted(script, listener=unix_listener(path, 0)):
        results = bench("http://localhost/", number=60, concurrency=20, route=Route(unix_socket=str(path)))
    assert (results.good, results.failures) == (60, {})


def test_a_unix_socket_whose_queue_stays_full_is_a_connect_timeout(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(unix_listener(path, 0)):
        route = Route(unix_socket=str(path))
        results = bench("http://localhost/", number=6, concurrency=3, route=route, request_limit=0.2)
    assert sum(results.failures.values()) == 6
    assert results.failures["connect_timeout"] >= 4


def test_a_request_that_waits_for_a_full_queue_is_waited_for_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s"

    with closing(unix_listener(path, 0)) as listener:
        accepting = threading.Timer(0.3, _answer_all, (listener,))
        accepting.start()
        route = Route(unix_socket=str(path))
        results = bench("http://localhost/", number=None, seconds=0.1, concurrency=4, route=route)
        accepting.join()
    assert (results.stop, results.good, results.failures) == ("time", 4, {})


def _answer_all(listener: socket.socket) -> None:
    listener.settimeout(0.3)
    with suppress(TimeoutError):
        while True:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(OK)


# Whatever happens


def _behaviours() -> dict[str, tuple[Script, str | None]]:
    def wait(peer: Peer) -> None:
        peer.wait_for_close()

    def half(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 2")
        peer.wait_for_close()

    def send(data: bytes) -> Script:
        return lambda peer: peer.send(data)

    return {
        "good": (send(OK), None),
        "chunked": (send(CHUNKED), None),
        "drip": (lambda peer: peer.drip(OK), None),
        "bye": (send(head("Connection: close", "Content-Length: 2") + b"ok"), None),
        "until-close": (send(head("Connection: close") + b"ok"), None),
        "interim": (send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), None),
        "closed": (send(b""), "closed"),
        "truncated": (send(head("Content-Length: 9") + b"x"), "truncated"),
        "garbage": (send(b"garbage\r\n\r\n"), "bad_framing"),
        "extra": (send(OK + b"xx"), "extra_bytes"),
        "reset": (lambda peer: peer.reset(), "reset"),
        "stuck": (wait, "wait_timeout"),
        "half": (half, "read_timeout"),
    }


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("keep_alive", [True, False])
def test_every_request_is_counted_once_under_the_right_name(
    bench_lines: LinesRun, seed: int, keep_alive: bool
) -> None:
    behaviours = _behaviours()
    stays = {"good", "chunked", "drip", "interim"}
    chosen = (
        2 * ["stuck", "half"]
        + 10 * [name for name in behaviours if name not in ("stuck", "half")]
        + 100 * ["good"]
    )
    random.Random(seed).shuffle(chosen)

    def script(peer: Peer) -> None:
        for request in peer.requests():
            name = request.split(b" ")[1][1:].decode()
            behaviours[name][0](peer)
            if name not in stays:
                return

    with scripted(script) as server:
        results = bench_lines(server.url, chosen, concurrency=12, keep_alive=keep_alive, request_limit=0.8)
    expected = Counter(failure for name in chosen if (failure := behaviours[name][1]))
    assert dict(results.failures) == dict(expected)
    assert results.good == len(chosen) - expected.total()
