"""URLs, headers and requests as they are sent; what is refused, and in which words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench.plan import (
    Origin,
    Plan,
    Prepared,
    RequestsFile,
    Route,
    Shape,
    basic,
    connect_request,
    fixed_request,
    parse_header,
    parse_host_port,
    parse_method,
    parse_url,
    refuse_contradictions,
    sendable,
)
from opskit.errors import Misuse


@pytest.mark.parametrize(
    ("text", "origin", "target"),
    [
        ("http://h/", "http://h", b"/"),
        ("http://h", "http://h", b"/"),
        ("h", "http://h", b"/"),
        ("h:8080/a", "http://h:8080", b"/a"),
        ("localhost:8080/go?to=http://x/", "http://localhost:8080", b"/go?to=http://x/"),
        ("http://h?q=1", "http://h", b"/?q=1"),
        ("http://h/search?q=", "http://h", b"/search?q="),
        ("http://h/a?", "http://h", b"/a?"),
        ("http://h/a#top", "http://h", b"/a"),
        ("http://h/a?b#c?d", "http://h", b"/a?b"),
        ("https://h:443/", "https://h", b"/"),
        ("http://h:443/", "http://h:443", b"/"),
        ("HTTP://H.Example/A", "http://h.example", b"/A"),
        ("http://[::1]:8080/x", "http://[::1]:8080", b"/x"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]", b"/"),
        ("http://h//a/../b/./c", "http://h", b"//a/../b/./c"),
        ("http://h/a%2fb%zz", "http://h", b"/a%2fb%zz"),
        ("http://h/a b\tc", "http://h", b"/a%20b%09c"),
        ("http://h/grün?ü", "http://h", b"/gr%C3%BCn?%C3%BC"),
        ("http://grün.example/", "http://xn--grn-ioa.example", b"/"),
        ("http://h/\udcff", "http://h", b"/%FF"),
    ],
)
def test_a_url_is_read_as_it_is_sent(text: str, origin: str, target: bytes) -> None:
    url = parse_url(text)
    assert (str(url.origin), url.target) == (origin, target)


def test_credentials_are_taken_out_of_a_url() -> None:
    url = parse_url("http://me:p%40ss@h/")
    assert url.credentials == "me:p@ss"
    assert str(url) == "http://h/"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ftp://h/", "the scheme ftp is unknown"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("", "names no host"),
        ("http://a b/", "names no host"),
        ("http://a\tb/", "names no host"),
        ("http://h:0/", "port 0 cannot be asked"),
        ("http://h:99999/", "is not a URL: Port out of range"),
        ("http://h:x/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("http://..grün/", "is not a host name"),
    ],
)
def test_what_is_no_url_is_refused_with_a_hint(text: str, says: str) -> None:
    with pytest.raises(Misuse, match=says) as raised:
        parse_url(text)
    assert raised.value.hint


@pytest.mark.parametrize("text", ["http://me:secret@h:0/", "me:secret@h:0/", "ftp://me:secret@h/"])
def test_a_refused_url_does_not_show_its_password(text: str) -> None:
    with pytest.raises(Misuse) as raised:
        parse_url(text)
    assert "secret" not in raised.value.message


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = parse_url(text)
    except Misuse:
        return
    assert sendable(url.target) == url.target
    assert url.target.startswith(b"/")
    assert str(url)


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        (b"plain-._~!$&'()*+,;=:@/?#[]", b"plain-._~!$&'()*+,;=:@/?#[]"),
        (b"a b\x00\x7f\r", b"a%20b%00%7F%0D"),
        ("ß€".encode(), b"%C3%9F%E2%82%AC"),
        (b"\xff\xfe", b"%FF%FE"),
        (b"%41%zz%", b"%41%zz%"),
    ],
)
def test_only_what_may_not_stand_in_a_request_line_is_encoded(raw: bytes, sent: bytes) -> None:
    assert sendable(raw) == sent


def lines_of(prepared: Prepared) -> list[str]:
    head, _, body = prepared.wire.partition(b"\r\n\r\n")
    return [*head.decode().split("\r\n"), *([f"body: {body!r}"] if body else [])]


def test_a_request_is_http_1_1_and_closes_without_keep_alive() -> None:
    request = fixed_request(Shape(user_agent="u"), Route(), parse_url("http://h:81/a?b"))
    assert lines_of(request) == [
        "GET /a?b HTTP/1.1", "Host: h:81", "User-Agent: u", "Accept: */*", "Connection: close",
    ]  # fmt: skip
    assert request.origin == Origin("http", "h", 81)


def test_a_header_asked_for_takes_the_place_of_ours() -> None:
    shape = Shape(
        headers=(("host", "other"), ("ACCEPT", "text/html"), ("User-Agent", "me"), ("X", "1"), ("X", "2")),
        cookies=("a=1", "b=2"),
        credentials="u:p",
        body=b"abc",
        content_type="text/csv",
        keep_alive=True,
        method="PATCH",
    )
    assert lines_of(fixed_request(shape, Route(), parse_url("http://h/"))) == [
        "PATCH / HTTP/1.1", "Connection: keep-alive", "Cookie: a=1; b=2", "Authorization: Basic dTpw",
        "Content-Length: 3", "Content-Type: text/csv",
        "host: other", "ACCEPT: text/html", "User-Agent: me", "X: 1", "X: 2", "body: b'abc'",
    ]  # fmt: skip


def test_an_empty_body_has_a_length() -> None:
    assert "Content-Length: 0" in lines_of(
        fixed_request(Shape(method="POST", body=b""), Route(), parse_url("http://h/"))
    )


def test_a_proxy_is_asked_for_the_whole_url_but_not_through_a_tunnel() -> None:
    route = Route(proxy=("proxy", 3128), proxy_credentials="u:p")
    plain = lines_of(fixed_request(Shape(), route, parse_url("http://h/a")))
    assert plain[0] == "GET http://h/a HTTP/1.1"
    assert plain[-1] == "Proxy-Authorization: Basic dTpw"
    secure = lines_of(fixed_request(Shape(), route, parse_url("https://h/a")))
    assert secure[0] == "GET /a HTTP/1.1"
    assert not any(line.startswith("Proxy") for line in secure)
    assert connect_request(Origin("https", "::1", 443), route) == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    )


def test_credentials_may_hold_any_bytes() -> None:
    assert basic("u:ü") == "Basic dTrDvA=="
    assert basic("u:\udcff") == "Basic dTr/"


@pytest.mark.parametrize(
    ("text", "pair"),
    [("A: b", ("A", "b")), ("A:b", ("A", "b")), ("A:", ("A", "")), ("A:  b: c ", ("A", "b: c"))],
)
def test_a_header_is_a_name_and_a_value(text: str, pair: tuple[str, str]) -> None:
    assert parse_header(text) == pair


@pytest.mark.parametrize("text", ["", "no colon", ": x", "A B: x", "Ä: x", "A: b\r\nC: d", "A: b\0"])
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(Misuse):
        parse_header(text)


@pytest.mark.parametrize("text", ["", "GET /", "GE\nT", "GÄT", "A:B"])
def test_what_is_no_method_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="is no method"):
        parse_method(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [("h:1", ("h", 1)), ("[::1]:2", ("::1", 2)), ("h", ("h", 80)), ("http://h:3/", ("h", 3)), ("::1", None),
     ("h:0", None), ("h:65536", None), ("", None), ("h:x", None), ("a b:1", None)],
)  # fmt: skip
def test_a_host_and_a_port(text: str, found: tuple[str, int] | None) -> None:
    if found:
        assert parse_host_port(text, "-X", default_port=80) == found
    else:
        with pytest.raises(Misuse, match="-X"):
            parse_host_port(text, "-X", default_port=80)


PLAN = Plan(parse_url("http://h/"))
FILE = RequestsFile("f")


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (replace(PLAN, url=None), "no URL and no -R file"),
        (replace(PLAN, number=0), "-n 0: at least one"),
        (replace(PLAN, number=-5), "-n -5: at least one"),
        (replace(PLAN, concurrency=0), "-c 0: at least one"),
        (replace(PLAN, number=5, concurrency=6), "-c 6 at once, but only -n 5"),
        (replace(PLAN, seconds=0.0), "-t and -s need a time above 0"),
        (replace(PLAN, request_limit=0.0), "-t and -s need a time above 0"),
        (replace(PLAN, route=Route(socket_buffer=0)), "-b 0"),
        (replace(PLAN, route=Route(socket_buffer=1 << 40)), "-b 1099511627776"),
        (replace(PLAN, url=None, requests=replace(FILE, format="access-log")), "paths, not hosts"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused_with_a_hint(plan: Plan, says: str) -> None:
    with pytest.raises(Misuse, match=says) as raised:
        refuse_contradictions(plan)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("plan", "once"),
    [
        (PLAN, False),
        (replace(PLAN, requests=FILE, number=None), True),
        (replace(PLAN, requests=FILE, number=10), False),
        (replace(PLAN, requests=FILE, number=None, seconds=1.0), False),
        (replace(PLAN, requests=replace(FILE, order="once"), number=10), True),
    ],
)
def test_a_run_ends_with_the_file_where_nothing_else_would_end_it(plan: Plan, once: bool) -> None:
    refuse_contradictions(plan)
    assert plan.once is once
