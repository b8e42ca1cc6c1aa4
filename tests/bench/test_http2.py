"""HTTP/2 against servers that misbehave, or only do what few do; the h2 library judges what they hear."""

import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, PingAckReceived, RequestReceived, StreamReset, WindowUpdated
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from opskit.bench import conductor
from opskit.bench.http2 import frames
from opskit.bench.http2 import session as http2session
from opskit.bench.plan import Plan, Schedule, Shape, parse_url
from opskit.bench.poller import EpollPoller, SelectorPoller
from opskit.bench.results import Results
from opskit.bench.run import carry_out
from opskit.bench.schedule import parse_rate
from tests.bench.running import bench
from tests.command import opskit
from tests.scripted import OK, Peer, answers, scripted
from tests.scripted_http2 import Http2Peer, Judge, SettingCodes, answer_all, http2


@pytest.fixture(autouse=True, params=[EpollPoller, SelectorPoller])
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "best_poller", request.param)


@pytest.fixture
def judge() -> Any:
    """Nothing that the client did may have been against the rules."""
    judge = Judge()
    yield judge
    assert judge.faults == []


def ask(url: str | None, streams: int = 1, **plan: Any) -> Results:
    return bench(url, streams=streams, keep_alive=True, **plan)


def test_every_request_is_answered_once_and_shares_connections(judge: Judge) -> None:
    with http2(answer_all, judge) as server:
        results = ask(server.url, number=200, concurrency=20, streams=5)
    assert (results.good, results.failures, results.body) == (200, {}, 400)
    assert server.connections == results.opened == 4
    assert max(peer.most_open for peer in judge.peers) == 5
    assert results.run.streams == 5
    assert results.http2 is not None
    assert results.http2.to_dict() == {"goaways": 0, "resets": {}}


def test_what_the_server_hears_is_what_was_asked(judge: Judge, tmp_path: Path) -> None:
    heard: list[tuple[dict[str, str], bytes]] = []

    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            heard.append((request.fields, request.body))
            peer.answer(request.stream)

    file = tmp_path / "requests.jsonl"
    long = "x" * 20_000
    file.write_text(
        '{"url": "a?b", "label": "one"}\n'
        '{"url": "c", "method": "PUT", "body": "text", "headers": {"X-Y": "z", "TE": "trailers, deflate"}}\n'
        f'{{"url": "{long}", "headers": {{"Host": "other.test", "Cookie": "{long}"}}}}\n'
        '{"url": "a?b", "label": "one"}\n'
    )
    with http2(script, judge) as server:
        results = ask(server.url, requests=str(file), number=None)
    assert (results.good, results.failures) == (4, {})
    own = {
        ":scheme": "http",
        ":authority": f"127.0.0.1:{server.port}",
        "user-agent": "opskit-bench",
        "accept": "*/*",
    }
    get, put, other, again = (fields for fields, _ in heard)
    assert get == again == {":method": "GET", ":path": "/a?b", **own}
    sized = {"content-length": "4", "content-type": "text/plain", "x-y": "z"}
    assert put == {":method": "PUT", ":path": "/c", **own, **sized}
    assert other == {":method": "GET", ":path": f"/{long}", **own, ":authority": "other.test", "cookie": long}
    assert [body for _, body in heard] == [b"", b"text", b"", b""]
    assert [(label.label, label.total.count) for label in results.labels] == [("one", 2)]


# Answers of every kind


def whole(peer: Http2Peer, stream: int, kind: str) -> int:
    """Send a good answer; the length of its body."""
    h2 = peer.h2
    if kind == "1xx first":
        h2.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        h2.send_headers(stream, [(":status", "100")])
        peer.flush()
        time.sleep(0.01)
    if kind == "no length":
        h2.send_headers(stream, [(":status", "200"), ("server", "a server")])
        h2.send_data(stream, b"abc")
        h2.send_data(stream, b"", end_stream=True)
        return 3
    if kind == "trailers":
        h2.send_headers(stream, [(":status", "200"), ("content-length", "3")])
        h2.send_data(stream, b"abc")
        h2.send_headers(stream, [("x-checksum", "1")], end_stream=True)
        return 3
    if kind == "padded":
        h2.send_headers(stream, [(":status", "200"), ("content-length", "5")])
        h2.send_data(stream, b"abc", pad_length=200)
        h2.send_data(stream, b"de", pad_length=0, end_stream=True)
        return 5
    if kind in ("204", "304"):
        peer.answer(stream, b"", int(kind), [("content-length", "7")] if kind == "304" else [])
        return 0
    if kind == "a head of many frames":
        peer.answer(stream, b"abc", fields=[("x-long", "y" * 12_000), ("x-more", "z" * 12_000)])
        return 3
    body = b"x" * (3_000_000 if kind == "large" else 2)
    peer.answer(stream, body, 404 if kind == "404" else 200)
    return len(body)


KINDS = (
    "usual", "1xx first", "no length", "trailers", "padded", "204", "304", "404", "a head of many frames", "large",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_good(kind: str, judge: Judge) -> None:
    lengths: list[int] = []

    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            lengths.append(whole(peer, request.stream, kind))
            peer.flush()

    with http2(script, judge) as server:
        results = ask(server.url, number=6, concurrency=2, streams=2)
    assert (results.good, results.failures) == (6, {})
    assert results.body == sum(lengths)


@pytest.mark.parametrize("kind", ["usual", "trailers", "padded", "a head of many frames", "1xx first"])
def test_an_answer_is_good_however_its_bytes_are_cut(
    kind: str, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opskit.bench.http2.engine.READ_SIZE", 7)

    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            whole(peer, request.stream, kind)
            peer.flush()

    with http2(script, judge) as server:
        assert ask(server.url, number=2).good == 2


def test_the_answer_to_a_HEAD_has_a_length_and_no_body(judge: Judge) -> None:  # noqa: N802 — the method's name
    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            peer.h2.send_headers(request.stream, [(":status", "200"), ("content-length", "9")], end_stream=True)
            peer.flush()

    with http2(script, judge) as server:
        assert ask(server.url, number=3, method="HEAD").good == 3


# What the server asks of its client


@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_of_streams_is_kept_with_more_connections(limit: int, judge: Judge) -> None:
    with http2(answer_all, judge, {SettingCodes.MAX_CONCURRENT_STREAMS: limit}) as server:
        results = ask(server.url, number=100, concurrency=10, streams=10)
    assert (results.good, results.failures) == (100, {})
    assert max(peer.most_open for peer in judge.peers) <= limit


def test_a_limit_that_is_raised_later_is_used(judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        waiting: list[int] = []
        for request in peer.requests():
            if not waiting and not peer.h2.local_settings.max_concurrent_streams > 1:
                peer.answer(request.stream)
                peer.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 4})
                continue
            peer.answer(request.stream)

    with http2(script, judge, {SettingCodes.MAX_CONCURRENT_STREAMS: 1}) as server:
        assert ask(server.url, number=60, concurrency=4, streams=4).good == 60


def test_a_limit_of_no_streams_is_waited_for_until_the_requests_limit(judge: Judge) -> None:
    with http2(answer_all, judge, {SettingCodes.MAX_CONCURRENT_STREAMS: 0}) as server:
        results = ask(server.url, number=3, concurrency=3, streams=3, request_limit=0.4)
    assert results.failures == {"wait_timeout": 3}


@pytest.mark.parametrize("window", [1, 1000, 65_535])
def test_an_upload_keeps_to_the_servers_windows(window: int, judge: Judge) -> None:
    body = bytes(range(256)) * (1 if window == 1 else 2000)
    heard: list[bytes] = []

    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            heard.append(request.body)
            peer.answer(request.stream)

    with http2(script, judge, {SettingCodes.INITIAL_WINDOW_SIZE: window}) as server:
        results = ask(server.url, number=4, concurrency=4, streams=2, method="POST", body=body)
    assert (results.good, results.failures) == (4, {})
    assert heard == [body] * 4


def test_a_window_that_shrinks_and_opens_while_a_body_is_under_way(judge: Judge) -> None:
    body = b"z" * 300_000

    def script(peer: Http2Peer) -> None:
        taken = 0
        for event in peer.hear():
            if isinstance(event, RequestReceived):
                for size in (10, 200_000, 0, 70_000):
                    peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})
            if isinstance(event, DataReceived):
                taken += len(event.data or b"")
                peer.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                if taken == len(body):
                    peer.answer(event.stream_id or 0)

    with http2(script, judge, {SettingCodes.INITIAL_WINDOW_SIZE: 5}) as server:
        results = ask(server.url, method="POST", body=body)
    assert (results.good, results.failures) == (1, {})


def test_larger_frames_are_used_where_the_server_takes_them(judge: Judge) -> None:
    sizes: list[int] = []

    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, DataReceived):
                sizes.append(len(event.data or b""))
                peer.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                if sum(sizes) == 200_000:
                    peer.answer(event.stream_id or 0)

    settings: dict[SettingCodes | int, int] = {
        SettingCodes.MAX_FRAME_SIZE: 30_000,
        SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000,
    }
    with http2(script, judge, settings) as server:
        assert ask(server.url, method="POST", body=b"z" * 200_000).good == 1
    assert max(sizes) == 30_000


@pytest.mark.parametrize("size", [0, 60, 4096, 65_536])
def test_the_servers_field_table_is_kept_to(size: int, judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            if request.path == "/7":
                peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 30})
            peer.answer(request.stream)

    with http2(script, judge, {SettingCodes.HEADER_TABLE_SIZE: size}) as server:
        lines = "\n".join(map(str, range(20)))
        assert ask_lines(server.url, lines, concurrency=2, streams=2).good == 20


def ask_lines(url: str, lines: str, **plan: Any) -> Results:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(lines)
        file.flush()
        return ask(url, requests=file.name, number=None, **plan)


def test_a_ping_is_answered(judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            peer.h2.ping(b"12345678")
            peer.flush()
            for event in peer.hear():
                if isinstance(event, PingAckReceived):
                    break
            peer.answer(request.stream)

    with http2(script, judge) as server:
        assert ask(server.url, number=3).good == 3


def test_a_long_answer_opens_its_windows_again(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2session, "_CREDIT", 100_000)
    opened = []

    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, WindowUpdated):
                opened.append(event.delta or 0)
            elif isinstance(event, RequestReceived):
                peer.answer(event.stream_id or 0, b"x" * 1_000_000)

    with http2(script, judge) as server:
        assert ask(server.url, number=3).good == 3
    assert sum(opened[1:]) > 1_800_000  # after the first, which opens the connection's window for all of the run


# Requests that are turned away


def test_what_a_GOAWAY_leaves_out_is_asked_again_and_the_rest_waited_for(judge: Judge) -> None:  # noqa: N802
    def script(peer: Http2Peer) -> None:
        """Takes three requests and answers them after it has said so; goes when the client does."""
        streams = []
        for event in peer.hear():
            if isinstance(event, RequestReceived):
                streams.append(event.stream_id or 0)
            if len(streams) == 3:
                peer.raw(GoAwayFrame(last_stream_id=streams[-1]).serialize())
                for stream in streams:
                    peer.answer(stream)
                break
        peer.peer.wait_for_close()

    with http2(script, judge) as server:
        results = ask(server.url, number=30, concurrency=10, streams=10)
    assert (results.good, results.failures) == (30, {})
    assert server.connections >= 10
    assert results.resent > 0
    assert results.http2 is not None
    assert results.http2.goaways == 10


def test_a_server_that_only_says_GOAWAY_is_a_failure(judge: Judge) -> None:  # noqa: N802 — the frame's name
    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, RequestReceived):
                peer.raw(GoAwayFrame(last_stream_id=0, error_code=ErrorCodes.ENHANCE_YOUR_CALM).serialize())
                return

    with http2(script, judge) as server:
        results = ask(server.url, number=3)
    assert results.failures == {"goaway": 3}
    assert results.reason == "the server sent GOAWAY: ENHANCE_YOUR_CALM"
    assert results.resent == 3


def test_a_GOAWAY_while_nothing_is_asked_ends_the_connection_alone(judge: Judge) -> None:  # noqa: N802
    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            peer.answer(request.stream)
            peer.raw(GoAwayFrame(last_stream_id=request.stream).serialize())
            return

    with http2(script, judge) as server:
        results = ask(server.url, number=10)
    assert (results.good, results.failures) == (10, {})
    assert results.opened == server.connections == 10


@pytest.mark.parametrize("code", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.CANCEL, ErrorCodes.NO_ERROR, 0x99])
def test_a_stream_that_is_reset_is_a_failure_by_its_code(code: int, judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            if request.stream % 4 == 1:
                peer.h2.reset_stream(request.stream, code)
                peer.flush()
            else:
                peer.answer(request.stream)

    with http2(script, judge) as server:
        results = ask(server.url, number=10)
    name = ErrorCodes(code).name if code < 0x99 else "error code 0x99"
    assert results.failures == {"stream_reset": 5}
    assert results.http2 is not None
    assert results.http2.resets == {name: 5}
    assert results.reason == f"the server reset the stream: {name}"
    assert results.opened == 1


@pytest.mark.parametrize(
    "args",
    [["--check", "status=200"], ["--redirects", "2"], ["--save-failures", "/dev/null"], ["--script", "SCRIPT"]],
)
def test_what_does_not_reach_http2_is_refused(args: list[str], tmp_path: Path) -> None:
    script = tmp_path / "hooks.py"
    script.write_text("def response(r):\n    pass\n")
    args = [str(script) if each == "SCRIPT" else each for each in args]
    ran = opskit("bench", "--http2", *args, "http://127.0.0.1:1/")
    assert (ran.code, "is not there for --http2" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("refusals", [1, 99])
def test_a_refused_stream_is_tried_once_more(refusals: int, judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        refused: Counter[str] = Counter()
        for request in peer.requests():
            refused[request.path] += 1
            if refused[request.path] <= refusals:
                peer.h2.reset_stream(request.stream, ErrorCodes.REFUSED_STREAM)
                peer.flush()
            else:
                peer.answer(request.stream)

    with http2(script, judge) as server:
        results = ask_lines(server.url, "a\nb\nc\n")
    assert results.resent == 3
    assert results.failures == ({} if refusals == 1 else {"stream_reset": 3})
    assert results.http2 is not None
    assert results.http2.resets == ({} if refusals == 1 else {"REFUSED_STREAM": 3})


def test_numbers_for_streams_run_out_and_another_connection_follows(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "LAST_STREAM", 9)
    with http2(answer_all, judge) as server:
        results = ask(server.url, number=23, concurrency=3, streams=3)
    assert (results.good, results.failures) == (23, {})
    assert server.connections >= 5


def test_a_request_out_of_time_is_cancelled_and_its_connection_lives(judge: Judge) -> None:
    cancelled = []

    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, StreamReset):
                cancelled.append(event.error_code)
            elif isinstance(event, RequestReceived) and event.stream_id != 1:
                peer.answer(event.stream_id or 0)

    with http2(script, judge) as server:
        results = ask(server.url, number=5, concurrency=2, streams=2, request_limit=0.3)
        deadline = time.monotonic() + 10
        while not cancelled and time.monotonic() < deadline:
            time.sleep(0.01)
    assert results.failures == {"wait_timeout": 1}
    assert (results.good, results.opened, results.lower_bounds) == (4, 1, 1)
    assert cancelled == [ErrorCodes.CANCEL]


def test_an_answer_before_the_end_of_its_request_is_good(judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, RequestReceived):
                peer.answer(event.stream_id or 0)

    with http2(script, judge, {SettingCodes.INITIAL_WINDOW_SIZE: 10}) as server:
        results = ask(server.url, number=3, method="POST", body=b"z" * 100_000)
    assert (results.good, results.opened) == (3, 1)


# Servers that break the rules

STATUS_200 = b"\x88"
LENGTH_9 = b"\x0f\x0d\x019"  # content-length: 9, not indexed


def headers(stream: int, block: bytes, *flags: str) -> bytes:
    frame = HeadersFrame(stream, block, flags=[*flags])
    return bytes(frame.serialize())


def made(frame: Frame) -> bytes:
    return bytes(frame.serialize())


ENDED = ("END_HEADERS", "END_STREAM")
BROKEN = {
    "a body too short": (headers(1, STATUS_200 + LENGTH_9, *ENDED), "truncated", "0 bytes, where 9 were"),
    "a body too long": (
        headers(1, STATUS_200 + b"\x0f\x0d\x011", "END_HEADERS") + made(DataFrame(1, b"abc", flags=["END_STREAM"])),
        "extra_bytes", "3 bytes, where 1 were",
    ),
    "a body after a 204": (
        headers(1, b"\x89", "END_HEADERS") + made(DataFrame(1, b"abc", flags=["END_STREAM"])), "extra_bytes", "",
    ),
    "a body before its head": (made(DataFrame(1, b"abc")), "bad_framing", "before its head"),
    "no status": (headers(1, LENGTH_9, *ENDED), "bad_framing", "no status"),
    "a status that is none": (headers(1, b"\x08\x03abc", *ENDED), "bad_framing", ":status abc"),
    "a 101": (headers(1, b"\x08\x03101", "END_HEADERS"), "bad_framing", "101"),
    "a 103 that is the end": (headers(1, b"\x08\x03103", *ENDED), "bad_framing", "103"),
    "two heads": (2 * headers(1, STATUS_200, "END_HEADERS"), "bad_framing", "second head"),
    "a trailer that goes on": (
        headers(1, STATUS_200, "END_HEADERS") + headers(1, LENGTH_9, "END_HEADERS"), "bad_framing", "trailer",
    ),
    "a name in capitals": (headers(1, STATUS_200 + b"\x00\x01X\x01y", *ENDED), "bad_framing", "field name b'X'"),
    "a Connection field": (
        headers(1, STATUS_200 + b"\x00\x0aconnection\x05close", *ENDED), "bad_framing", "connection",
    ),
    "a length that is none": (headers(1, STATUS_200 + b"\x0f\x0d\x01x", *ENDED), "bad_framing", "content-length: x"),
    "a block that is none": (headers(1, b"\xff\xff\xff\xff\xff\xff", *ENDED), "bad_framing", "cannot be read"),
    "a block from a table it has not": (headers(1, b"\xbe", *ENDED), "bad_framing", "cannot be read"),
    "a frame too large": (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", "bad_framing", "16,385 bytes"),
    "a stream never begun": (headers(7, STATUS_200, *ENDED), "bad_framing", "stream 7"),
    "a stream of the server's own": (headers(2, STATUS_200, *ENDED), "bad_framing", "stream 2"),
    "a pushed answer": (made(PushPromiseFrame(1, 2, b"", flags=["END_HEADERS"])), "bad_framing", "PUSH_PROMISE"),
    "another frame inside a block": (
        headers(1, STATUS_200) + made(DataFrame(1, b"a")), "bad_framing", "interrupted",
    ),
    "a CONTINUATION alone": (made(ContinuationFrame(1, b"", flags=["END_HEADERS"])), "bad_framing", "CONTINUATION"),
    "a block without end": (headers(1, STATUS_200) + 5000 * made(ContinuationFrame(1, b"")), "bad_framing", "no end"),
    "a window beyond all bounds": (made(WindowUpdateFrame(0, 2**31 - 1)), "bad_framing", "WINDOW_UPDATE"),
    "a WINDOW_UPDATE of 0": (b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + bytes(4), "bad_framing", "WINDOW_UPDATE"),
    "a WINDOW_UPDATE of 0 for a stream": (
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x01" + bytes(4), "bad_framing", "WINDOW_UPDATE",
    ),
    "a first window too large": (made(SettingsFrame(0, {4: 2**31})), "bad_framing", "INITIAL_WINDOW_SIZE"),
    "a frame size too small": (made(SettingsFrame(0, {5: 100})), "bad_framing", "MAX_FRAME_SIZE"),
    "SETTINGS of half a setting": (b"\x00\x00\x05\x04\x00\x00\x00\x00\x00" + bytes(5), "bad_framing", "SETTINGS"),
    "a RST_STREAM cut short": (b"\x00\x00\x03\x03\x00\x00\x00\x00\x01" + bytes(3), "bad_framing", "RST_STREAM"),
    "a PING cut short": (b"\x00\x00\x03\x06\x00\x00\x00\x00\x00" + bytes(3), "bad_framing", "PING"),
    "a GOAWAY cut short": (b"\x00\x00\x03\x07\x00\x00\x00\x00\x00" + bytes(3), "bad_framing", "GOAWAY"),
    "padding beyond its frame": (b"\x00\x00\x01\x00\x08\x00\x00\x00\x01\x05", "bad_framing", "padding"),
    "the connection closed": (b"", "closed", "without an answer"),
    "the connection closed in an answer": (headers(1, STATUS_200, "END_HEADERS"), "truncated", "inside the answer"),
    "half a frame": (b"\x00\x00\x10\x00\x00\x00\x00", "closed", "without an answer"),
    "reset of a stream never begun": (made(RstStreamFrame(9)), "bad_framing", "stream 9"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_server_that_breaks_a_rule_is_named(name: str) -> None:
    data, failure, words = BROKEN[name]

    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, RequestReceived):
                peer.raw(data)
                return

    with http2(script, Judge()) as server:
        results = ask(server.url)
    assert results.failures == {failure: 1}
    assert words in results.reason


def test_frames_of_unknown_kinds_and_for_streams_that_are_over_are_passed_over(judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        for request in peer.requests():
            peer.raw(
                b"\x00\x00\x03\xfa\x00\x00\x00\x00\x01abc" + b"\x00\x00\x05\x02\x00\x00\x00\x00\x01" + bytes(5)
            )
            peer.answer(request.stream)
            peer.raw(made(WindowUpdateFrame(request.stream, 5)) + made(RstStreamFrame(request.stream, 0)))

    with http2(script, judge) as server:
        results = ask(server.url, number=20, concurrency=2, streams=2)
    assert (results.good, results.opened) == (20, 1)


@pytest.mark.parametrize(
    ("data", "began"), [(OK, "HTTP/1.1 200 OK"), (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"), (b"\0" * 50, "SETTINGS")]
)
def test_a_server_without_http2_is_told_by_how_it_began(data: bytes, began: str) -> None:
    def script(peer: Peer) -> None:
        peer.send(data)
        peer.wait_for_close()

    with scripted(script) as server:
        results = ask(server.url, number=3)
    assert results.failures == {"no_http2": 3}
    assert began in results.reason


def test_a_server_that_closes_at_once_is_closed() -> None:
    with scripted(answers(b"")) as server:
        assert ask(server.url, number=2).failures == {"closed": 2}


def test_a_server_that_says_nothing_runs_into_the_limit() -> None:
    with scripted(Peer.wait_for_close) as server:
        results = ask(server.url, number=2, concurrency=2, streams=2, request_limit=0.3)
    assert results.failures == {"connect_timeout": 2}


def test_a_reset_connection_is_a_reset(judge: Judge) -> None:
    def script(peer: Http2Peer) -> None:
        for _ in peer.requests():
            peer.peer.reset()
            return

    with http2(script, judge) as server:
        assert ask(server.url, number=2).failures == {"reset": 2}


def test_a_port_that_refuses_is_refused() -> None:
    with scripted(answers(b"")) as server:
        url = server.url
    assert ask(url, number=4, concurrency=4, streams=2).failures == {"refused": 4}


def test_a_flood_of_pings_that_reads_no_answers_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2session, "_MOST_REPLIES", 2000)

    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, RequestReceived):
                peer.peer.send(200 * (b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)))
                peer.peer.wait_for_close()

    with http2(script, Judge()) as server:
        results = ask(server.url)
    assert results.failures == {"bad_framing": 1}
    assert "replies" in results.reason


# The run around it


def test_a_rate_is_kept_with_streams(judge: Judge) -> None:
    with http2(answer_all, judge) as server:
        results = ask(
            server.url, number=60, concurrency=12, streams=4, schedule=Schedule(parse_rate("200")), seconds=10
        )
    assert results.good == 60
    assert results.latencies.response.count == results.latencies.lag.count == results.latencies.total.count == 60
    assert results.opened <= 3


def test_rows_and_first_answer_are_as_with_other_connections(judge: Judge) -> None:
    with http2(answer_all, judge) as server:
        results = ask(server.url, number=30, concurrency=3, streams=3, fail_status=True, fail_length=True)
    assert results.first is not None
    assert results.first.length == 2
    times = results.latencies
    assert times.first_byte.count == times.processing.count == times.total.count == 30
    assert times.connect.count == results.opened == 1


def test_interrupting_counts_what_is_in_flight_as_cut_off(judge: Judge) -> None:
    asked = threading.Event()

    def script(peer: Http2Peer) -> None:
        for event in peer.hear():
            if isinstance(event, RequestReceived):
                asked.set()

    @contextmanager
    def interrupts(stop: Any) -> Any:
        def when_asked() -> None:
            asked.wait(10)
            stop()

        thread = threading.Thread(target=when_asked)
        thread.start()
        yield
        thread.join()

    with http2(script, judge) as server:
        plan = Plan(url=parse_url(server.url), number=8, concurrency=8, streams=4, shape=Shape(keep_alive=True))
        results, error = carry_out(plan, interrupts=interrupts)
    assert error is None
    assert results.failures == {"cut_off": 8}
