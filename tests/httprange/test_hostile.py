"""Servers that are slow, rude, broken or change: a verdict in time, never a traceback."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from opskit.errors import Unable
from tests.httprange.inspecting import failures, inspect, serving, typed
from tests.programs import free_port

LINES = b"".join(b"%019d\n" % n for n in range(0, 2000, 20))
WHOLE = b'HTTP/1.1 200 OK\r\nContent-Length: 2000\r\nAccept-Ranges: bytes\r\nETag: "a"\r\n\r\n' + LINES
HEAD = WHOLE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

Answer = Callable[[socket.socket, bytes], None]


@contextmanager
def scripted(answer: Answer) -> Iterator[str]:
    """A server that does to every request what `answer` does, each on a connection of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            request = b""
            try:
                while b"\r\n\r\n" not in request and (data := connection.recv(65536)):
                    request += data
                if request:
                    answer(connection, request)
            except OSError:
                pass

    def loop() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/file"
    finally:
        ended.set()
        thread.join()
        listener.close()


def good(connection: socket.socket, request: bytes) -> None:
    connection.sendall(HEAD if request.startswith(b"HEAD") else WHOLE)


def on_ranges(rude: Answer) -> Answer:
    """Fine until there is a Range."""

    def answer(connection: socket.socket, request: bytes) -> None:
        (rude if b"range:" in request.lower() else good)(connection, request)

    return answer


def drops(connection: socket.socket, request: bytes) -> None:
    return


def garbage(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"\x16\x03\x01 what is this\r\n\r\n\xff\xfe")


def never(connection: socket.socket, request: bytes) -> None:
    time.sleep(4)


def drips_headers(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 206 Partial Content\r\n")
    for n in range(60):
        connection.sendall(b"X-%d: y\r\n" % n)
        time.sleep(0.1)


def drips_body(connection: socket.socket, request: bytes) -> None:
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1999/2000\r\nContent-Length: 2000\r\n\r\n"
    connection.sendall(head)
    for _ in range(60):
        connection.sendall(b"0")
        time.sleep(0.1)


def endless_headers(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300_000)


def odd_headers(connection: socket.socket, request: bytes) -> None:
    connection.sendall(
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: \xff\xfe\r\nContent-Range: bytes 0-0/1\r\n"
        b"Content-Length: 1\r\nETag: \xe4\r\n\r\n0"
    )


@pytest.mark.parametrize("rude", [drops, garbage, never, drips_headers, drips_body, endless_headers, odd_headers])
def test_a_rude_answer_to_a_range_is_a_failure_in_time(rude: Answer) -> None:
    started = time.monotonic()
    with scripted(on_ranges(rude)) as url:
        report = inspect(url, timeout=2.0)
    assert failures(report)
    assert {"I11", "I1", "I2"} & set(failures(report))
    assert time.monotonic() - started < 30
    assert report.requests < 90


@pytest.mark.parametrize(
    ("rude", "words"),
    [
        (drops, "the connection ended without an answer"),
        (garbage, "does not speak HTTP"),
        (never, "no answer in time"),
        (drips_headers, "no answer in time"),
        (endless_headers, "does not speak HTTP"),
    ],
)
def test_a_rude_answer_to_everything_cannot_be_checked(rude: Answer, words: str) -> None:
    with scripted(rude) as url, pytest.raises(Unable) as refusal:
        inspect(url, timeout=2.0)
    assert words in refusal.value.message
    assert refusal.value.hint


def test_no_one_listens() -> None:
    with pytest.raises(Unable) as refusal:
        inspect(f"http://127.0.0.1:{free_port()}/file")
    assert "Connection refused" in refusal.value.message or "no connection" in refusal.value.message


def test_a_redirect_loop() -> None:
    def around(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n")

    with scripted(around) as url, pytest.raises(Unable) as refusal:
        inspect(url)
    assert refusal.value.message == f"{url} redirects in a loop"


@pytest.mark.parametrize("there", [b"ftp://example.org/x", b"http://[::1", b"\xff\xff", b"http://exa mple/"])
def test_a_redirect_to_nowhere_is_no_traceback(there: bytes) -> None:
    def away(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + there + b"\r\nContent-Length: 0\r\n\r\n")

    with scripted(away) as url, pytest.raises(Unable):
        inspect(url, timeout=2)


@pytest.mark.parametrize("status", [204, 401, 403, 404, 500])
def test_anything_but_200_cannot_be_checked(status: int) -> None:
    with serving() as base:
        ran = typed("range", f"{base}/status/{status}")
    assert ran.code == 3
    assert ran.err.startswith(f"error: {base}/status/{status} answers {status} to a plain GET")
    assert ran.out == ""


def test_a_file_of_100_gb_costs_4_mib_at_most() -> None:
    with serving() as base:
        ran = typed("range", "--tier", "full", "--json", f"{base}/bytes/100GB")
    assert ran.code == 0
    assert ran.data["bytes_read"] <= 4 << 20
    assert ran.data["requests"] <= 90


def test_no_more_is_read_than_may_be() -> None:
    with serving() as base:
        ran = typed("range", "--max-bytes", "200kB", "--json", f"{base}/bytes/100GB")
    assert ran.data["bytes_read"] <= 200_000 + (1 << 16)
    assert "as much was read as --max-bytes allows" in ran.data["note"]


def test_a_file_that_grows_is_inconclusive() -> None:
    requests = iter(range(10_000))

    def growing(connection: socket.socket, request: bytes) -> None:
        size = 2000 + 20 * (next(requests) // 10)
        head = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "%d"\r\n\r\n' % (size, size)
        connection.sendall(head if request.startswith(b"HEAD") else head + b"x" * size)

    with scripted(growing) as url:
        ran = typed("range", "--json", url)
    assert ran.code == 4
    assert ran.json["status"] == "partial"
    assert {r["id"]: r["verdict"] for r in ran.data["results"]}["I12"] == "INCONCLUSIVE"


def test_bytes_that_differ_from_what_was_sent_before_are_found_beyond_the_sample() -> None:
    """The start of a file is known from the first answer; the rest only from ranges that overlap."""
    with serving("body-from-zero") as base:
        report = inspect(f"{base}/bytes/10MB")
    assert "I3" in failures(report)
