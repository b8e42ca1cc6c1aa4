"""From a file to the bytes of each request: the i-th request is the i-th line, in each format and order."""

import json
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opskit.bench import lines
from opskit.bench.plan import Plan, Prepared, RequestsFile, Shape, parse_url, sendable
from opskit.bench.requests import Tally, format_of, request_stream
from opskit.errors import Misuse

BASE = "http://h/s?q="


def plan_of(path: Path | str, base: str | None = BASE, *, number: int | None = None, **file: Any) -> Plan:
    requests = RequestsFile(str(path), **file)
    return Plan(parse_url(base) if base else None, requests, number=number, shape=Shape(user_agent="u"))


def target(request: Prepared) -> bytes:
    method, found, version = request.wire.partition(b"\r\n")[0].split(b" ")
    assert version == b"HTTP/1.1"
    assert method
    return found


def targets(plan: Plan, most: int = 10_000, tally: Tally | None = None) -> list[bytes]:
    return [target(request) for request in islice(request_stream(plan, tally or Tally()), most)]


def field(request: Prepared, name: str) -> str | None:
    head = request.wire.partition(b"\r\n\r\n")[0].decode()
    found = [line for line in head.split("\r\n") if line.lower().startswith(name.lower() + ":")]
    assert len(found) <= 1
    return found[0].partition(": ")[2] if found else None


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(data: bytes, name: str = "requests.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"a\nb\nc\n", [b"a", b"b", b"c"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\xef\xbb\xbfa\nb\n", [b"a", b"b"]),
        (b"# one\na\n\n  \t\nb\n#two\n", [b"a", b"b"]),
        (b"\n\na", [b"a"]),
        (b"a#b\n #c\n", [b"a#b", b"%20#c"]),
        (b"%41&x=%zz+y\n", [b"%41&x=%zz+y"]),
        (b"a b\n a\n a \n", [b"a%20b", b"%20a", b"%20a%20"]),
        ("grün\n日本\n".encode(), [b"gr%C3%BCn", b"%E6%97%A5%E6%9C%AC"]),
        (b"\xff\xfe\n", [b"%FF%FE"]),
        (b"a\x01\x7f\tb\n", [b"a%01%7F%09b"]),
        (b"a\r\r\nb\rc\n", [b"a", b"b%0Dc"]),
    ],
)
def test_a_line_is_appended_byte_for_byte(file: Write, data: bytes, sent: list[bytes]) -> None:
    assert targets(plan_of(file(data))) == [b"/s?q=" + line for line in sent]


LINES = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\0", b"0")), max_size=30)


def usable(data: bytes) -> list[bytes]:
    found = (line.rstrip(b"\r\n") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    return [line for line in found if line.strip() and not line.startswith(b"#")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=LINES, size=st.integers(40, 80), order=st.sampled_from(["sequential", "random"]))
def test_any_file_read_in_small_pieces_is_its_lines(
    tmp_path: Path, found: list[bytes], size: int, order: str
) -> None:
    data = b"\n".join(found)
    path = tmp_path / "any"
    path.write_bytes(data)
    expected = [b"/s?q=" + sendable(line) for line in usable(data)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK", size)
        patch.setattr(lines, "_BLOCK", 7)
        patch.setattr(lines, "_BLOCKS_MIXED", 2)
        plan = plan_of(path, order=order)
        if not expected:
            with pytest.raises(Misuse, match="holds no request"):
                request_stream(plan, Tally())
        else:
            sent = targets(plan)
            assert Counter(sent) == Counter(expected)
            assert order == "random" or sent == expected


def test_the_file_begins_again_when_it_ends(file: Write) -> None:
    tally = Tally()
    sent = targets(plan_of(file(b"a\nb b\nc\n"), number=8), 8, tally)
    assert sent == [b"/s?q=" + line for line in (b"a", b"b%20b", b"c", b"a", b"b%20b", b"c", b"a", b"b%20b")]
    assert tally.to_dict(started=8) == {"lines": 3, "encoded": 1, "skipped": 0, "wrapped": 2}


def test_once_ends_with_the_file(file: Write) -> None:
    tally = Tally()
    assert len(targets(plan_of(file(b"a\nb\n"), number=8, order="once"), tally=tally)) == 2
    assert tally.wrapped == 0


def test_a_wrap_right_at_the_end_is_not_counted_before_it_happens(file: Write) -> None:
    tally = Tally()
    targets(plan_of(file(b"a\nb\n"), number=2), 2, tally)
    assert tally.wrapped == 0


def test_random_order_takes_every_line_once_in_each_pass(file: Write) -> None:
    data = [b"%05d" % number for number in range(30_000)]
    plan = plan_of(file(b"\n".join(data)), number=60_000, order="random", seed=7)
    sent = targets(plan, 60_000)
    first, second = sent[:30_000], sent[30_000:]
    everything = [b"/s?q=" + line for line in data]
    assert first != everything
    assert sorted(first) == everything
    assert sorted(second) == everything
    assert second != first


def test_a_seed_repeats_the_order_and_another_does_not(file: Write) -> None:
    path = file(b"\n".join(b"%d" % number for number in range(200)))
    one, again, other = (targets(plan_of(path, order="random", seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_random_order_mixes_lines_from_far_apart(file: Write) -> None:
    path = file(b"\n".join(b"%06d" % number for number in range(200_000)))  # 1.4 MB, 22 blocks
    sent = [int(found[5:]) for found in targets(plan_of(path, order="random", seed=3), 1000)]
    assert max(sent) - min(sent) > 100_000


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError("a pipe")

    class Stdin:
        buffer = BufferedReader(Pipe(data))

    monkeypatch.setattr(sys, "stdin", Stdin)


def test_a_pipe_is_read_once_and_remembered_for_the_next_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"a\n\nb\nc")
    tally = Tally()
    assert targets(plan_of("-", number=7), 7, tally) == [b"/s?q=" + line for line in (b"a", b"b", b"c") * 2] + [
        b"/s?q=a"
    ]
    assert (tally.usable, tally.wrapped) == (3, 2)  # fmt: skip


def test_a_pipe_can_be_shuffled(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"\n".join(b"%d" % number for number in range(500)))
    sent = targets(plan_of("-", order="random", seed=1))
    assert len(set(sent)) == 500
    assert sent != sorted(sent)


@pytest.mark.parametrize("order", ["sequential", "random", "once"])
@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only\n# comments\n", b"\xef\xbb\xbf", b"\r\n"])
def test_a_file_without_requests_is_refused(file: Write, data: bytes, order: str) -> None:
    with pytest.raises(Misuse, match="holds no request"):
        request_stream(plan_of(file(data), order=order), Tally())


def test_an_empty_pipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"")
    with pytest.raises(Misuse, match="standard input holds no request"):
        request_stream(plan_of("-"), Tally())


def test_a_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Misuse, match="standard input is closed"):
        request_stream(plan_of("-"), Tally())


@pytest.mark.parametrize("order", ["sequential", "random"])
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x7fELF\0\0\0\1", "looks binary: it holds a NUL byte"),
        (b"a\nb\n" + b"x" * (1 << 20) + b"yy\nc\n", "a line is longer than 1 MiB"),
        (b"x" * (3 << 20), "a line is longer than 1 MiB"),
    ],
    ids=["binary", "a long line", "one long line"],
)
def test_what_is_no_text_file_is_refused_before_anything_is_sent(
    file: Write, data: bytes, says: str, order: str
) -> None:
    with pytest.raises(Misuse, match=says):
        request_stream(plan_of(file(data), order=order), Tally())


def test_a_line_of_one_mebibyte_is_sent(file: Write) -> None:
    for order in ("sequential", "random"):
        sent = targets(plan_of(file(b"a\n" + b"x" * (1 << 20) + b"\r\nb\n"), order=order))
        assert sorted(map(len, sent)) == [6, 6, 5 + (1 << 20)]


def test_a_missing_file_a_directory_and_a_ramp_delay_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="no such file"):
        request_stream(plan_of(tmp_path / "none"), Tally())
    with pytest.raises(Misuse, match="is a directory"):
        request_stream(plan_of(tmp_path), Tally())
    with pytest.raises(Misuse) as raised:
        request_stream(plan_of("250"), Tally())
    assert "ramp delay" in raised.value.hint


@pytest.mark.parametrize("order", ["sequential", "random"])
def test_a_large_file_starts_at_once_in_constant_memory(tmp_path: Path, order: str) -> None:
    path = tmp_path / "large"
    block = b"".join(b"%07d\n" % number for number in range(8192))
    with path.open("wb") as large:
        for _ in range(1024):
            large.write(block)
    assert path.stat().st_size == 64 << 20
    tracemalloc.start()
    try:
        assert len(targets(plan_of(path, order=order, seed=1), 10)) == 10
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20


# Whole URLs


def test_whole_urls_go_to_their_hosts(file: Write) -> None:
    path = file(b"http://a/1\nhttps://b:8443/2?x y\nhttp://[::1]:81\nhttp://me:pw@a/3\nhttp://a/4\n")
    found = list(request_stream(plan_of(path, base=None), tally := Tally()))
    assert [(str(r.origin), target(r), field(r, "Host")) for r in found] == [
        ("http://a", b"/1", "a"), ("https://b:8443", b"/2?x%20y", "b:8443"), ("http://[::1]:81", b"/", "[::1]:81"),
        ("http://a", b"/3", "a"), ("http://a", b"/4", "a"),
    ]  # fmt: skip
    assert [field(r, "Authorization") for r in found] == [None, None, None, "Basic bWU6cHc=", None]
    assert found[0].origin is found[3].origin is found[4].origin
    assert tally.encoded == 1


def test_a_whole_url_is_sent_the_same_whether_its_host_was_seen_before(file: Write) -> None:
    urls = [
        b"http://a/x",
        b"http://A:80/x?y#z",
        b"http://a/#",
        b"http://a?q",
        b"https://a/x",
        b"http://a:80/[]",
    ] * 2
    found = list(request_stream(plan_of(file(b"\n".join(urls)), base=None), Tally()))
    assert found[:6] == found[6:]
    assert [(str(r.origin), target(r)) for r in found[:6]] == [
        ("http://a", b"/x"), ("http://a", b"/x?y"), ("http://a", b"/"), ("http://a", b"/?q"), ("https://a", b"/x"),
        ("http://a", b"/[]"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"/path", "requests.txt:3: '/path' is not a whole URL"),
        (b"/go?to=http://x/", "requests.txt:3: '/go.*' is not a whole URL"),
        (b"gopher://x/", "requests.txt:3: 'gopher://x/': the scheme gopher is unknown"),
        (b"http://:80/", "requests.txt:3: .* names no host"),
    ],
)
def test_a_line_that_is_no_whole_url_is_named(file: Write, line: bytes, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        request_stream(plan_of(file(b"# c\nhttp://a/\n" + line + b"\n"), base=None), Tally())


def test_a_bad_line_far_down_ends_the_run_when_its_turn_comes(file: Write) -> None:
    stream = request_stream(plan_of(file(b"http://a/\n" * 30_000 + b"oops\n"), base=None), Tally())
    assert {target(request) for request in islice(stream, 30_000)} == {b"/"}
    with pytest.raises(Misuse, match=r"requests.txt:30001: 'oops'"):
        next(stream)


# JSON lines


def jsonl(file: Write, *entries: object) -> Path:
    return file("".join(json.dumps(entry) + "\n" for entry in entries).encode(), "r.jsonl")


def test_each_json_line_has_its_own_method_headers_body_and_label(file: Write) -> None:
    path = jsonl(
        file,
        {"url": "a b"},
        {"method": "post", "body": "grün", "label": "text"},
        {"method": "PUT", "url": "x", "body": {"k": [1, "ü"]}, "headers": {"X-A": "1", "user-agent": "mine"}},
        {"url": "https://me:pw@other/path"},
        {"url": "&to=http://x/", "body": [1]},
    )
    plan = plan_of(path, format="jsonl")
    found = list(request_stream(plan, tally := Tally()))
    assert [request.wire.split(b" ")[0] for request in found] == [b"GET", b"POST", b"PUT", b"GET", b"GET"]
    assert [target(request) for request in found] == [
        b"/s?q=a%20b", b"/s?q=", b"/s?q=x", b"/path", b"/s?q=&to=http://x/",
    ]  # fmt: skip
    assert [request.wire.partition(b"\r\n\r\n")[2] for request in found] == [
        b"", "grün".encode(), b'{"k": [1, "\\u00fc"]}', b"", b"[1]",
    ]  # fmt: skip
    assert [field(request, "Content-Length") for request in found] == [None, "5", "20", None, "3"]
    assert [field(request, "Content-Type") for request in found] == [
        None, "text/plain", "application/json", None, "application/json",
    ]  # fmt: skip
    assert (field(found[2], "X-A"), field(found[2], "User-Agent")) == ("1", "mine")
    assert (str(found[3].origin), field(found[3], "Authorization")) == ("https://other", "Basic bWU6cHc=")
    assert [request.label for request in found] == [None, "text", None, None, None]
    assert tally.encoded == 1


@pytest.mark.parametrize(
    ("line", "place", "says"),
    [
        (b"{", "2:2", "not JSON: Expecting property name"),
        (b'{"url": }', "2:9", "not JSON: Expecting value"),
        (b'{"url": "x"} y', "2:14", "not JSON: Extra data"),
        (b'["x"]', "2:1", "expected an object such as"),
        (b'{"url": 5}', "2:2", "'url' must be a string"),
        (b'{"a": 1, "method": null}', "2:2", "unknown key 'a'; expected one of method, url, headers, body, label"),
        (b'{"url": "", "method": "GE T"}', "2:13", "'GE T' is no method"),
        (b'{"headers": ["x"]}', "2:2", "'headers' must be an object of strings"),
        (b'{"headers": {"X": 1}}', "2:2", "'headers' must be an object of strings"),
        (b'{"headers": {"X Y": "1"}}', "2:2", "is not a header"),
        (b'{"headers": {"X": "1\\r\\nZ: 2"}}', "2:2", "holds a line break"),
        (b'{"body": 5}', "2:2", "'body' must be a string, or JSON to send"),
        (b'{"url": "ftp://x/"}', "2:2", "the scheme ftp is unknown"),
        (b'{"url": "\xff"}', "2:10", "not UTF-8"),
        (b'{"body": [' + b"9" * 5000 + b"]}", "2:1", "cannot be read"),
        (b'{"body": ' + b"[" * 100_000, "2:1", "cannot be read"),
    ],
    ids=lambda value: value[:30].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_bad_json_line_is_named_with_its_column_and_what_was_expected(
    file: Write, line: bytes, place: str, says: str
) -> None:
    path = file(b'{"url": "good"}\n' + line + b"\n", "r.jsonl")
    with pytest.raises(Misuse) as raised:
        request_stream(plan_of(path, format="jsonl"), Tally())
    assert f"r.jsonl:{place}: " in raised.value.message
    assert says in raised.value.message
    assert "the line is: " in raised.value.hint


def test_json_lines_without_a_base_url_need_whole_urls(file: Write) -> None:
    with pytest.raises(Misuse, match=r"r.jsonl:1:1: 'url' must be a whole URL"):
        request_stream(plan_of(jsonl(file, {"method": "GET"}), base=None, format="jsonl"), Tally())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b'{"url":', b'"a"', b"}", b"[", b"null", b'{"body":', b"1e999"]),
            st.binary(max_size=8),
        ),
        max_size=6,
    )
)
def test_any_json_line_is_a_request_or_refused(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "any.jsonl"
    path.write_bytes(b'{"url": "good"}\n' + b"".join(parts).replace(b"\n", b" "))
    try:
        sent = targets(plan_of(path, format="jsonl"))
    except Misuse as refused:
        refusal = refused.message
        assert "any.jsonl" in refusal
    else:
        assert sent[0] == b"/s?q=good"


@pytest.mark.parametrize(
    ("name", "form"), [("a.jsonl", "jsonl"), ("A.NDJSON", "jsonl"), ("a.json", "lines"), ("-", "lines")]
)
def test_the_name_says_the_format(name: str, form: str) -> None:
    assert format_of(name) == form


# Access logs

COMMON = b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "%s" 200 2326\n'
COMBINED = COMMON.rstrip(b"\n") + b' "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"\n'


@pytest.mark.parametrize("form", [COMMON, COMBINED], ids=["common", "combined"])
def test_an_access_log_is_replayed_with_its_paths(file: Write, form: bytes) -> None:
    path = file(
        form % b"GET /a.gif?x=1 HTTP/1.0"
        + form % b"HEAD /h HTTP/1.1"
        + form % b'GET /q?a=\\x22b\\x22&c=\\"d\\\\ HTTP/2.0'
        + form % b"GET /with space HTTP/1.1"
        + form % b"POST /form HTTP/1.1"
        + form % b"\\x16\\x03\\x01"
        + form % b"-"
        + form % b"OPTIONS * HTTP/1.1"
        + form % b"GET http://other/ HTTP/1.1"
        + b"not a log line\n"
        + form % b"GET /old"
    )
    found = list(request_stream(plan_of(path, "http://h:81/", format="access-log"), tally := Tally()))
    assert [(request.wire.split(b" ")[0], target(request)) for request in found] == [
        (b"GET", b"/a.gif?x=1"), (b"HEAD", b"/h"), (b"GET", b'/q?a="b"&c="d\\'), (b"GET", b"/with%20space"),
        (b"GET", b"/old"),
    ]  # fmt: skip
    assert [request.head_request for request in found] == [False, True, False, False, False]
    assert {field(request, "Host") for request in found} == {"h:81"}
    assert (tally.usable, tally.skipped, tally.encoded) == (11, 6, 1)


def test_methods_of_a_log_do_not_spoil_each_other(file: Write) -> None:
    path = file(COMMON % b"HEAD /h HTTP/1.1" + COMMON % b"GET /g HTTP/1.1")
    found = list(request_stream(plan_of(path, "http://h/", format="access-log"), Tally()))
    assert [request.wire.split(b"\r\n")[:2] for request in found] == [
        [b"HEAD /h HTTP/1.1", b"Host: h"], [b"GET /g HTTP/1.1", b"Host: h"],
    ]  # fmt: skip


def test_a_log_is_replayed_below_the_path_of_the_url(file: Write) -> None:
    path = file(COMMON % b"GET /a HTTP/1.1")
    assert targets(plan_of(path, "http://h/app/", format="access-log")) == [b"/app/a"]


def test_a_log_of_nothing_that_can_be_asked_again_is_refused(file: Write) -> None:
    with pytest.raises(Misuse, match="holds no request"):
        request_stream(plan_of(file(COMMON % b"POST / HTTP/1.1"), format="access-log"), Tally())
