"""The request that follows a redirect, by RFC 9110 section 15.4."""

import pytest

from opskit.bench.plan import Prepared, Route, Shape, fixed_request, parse_url
from opskit.bench.redirects import BadRedirect, next_request

SHAPE = Shape(
    method="POST", headers=(("X-A", "ä"), ("Content-Encoding", "gzip")), cookies=("sid=1",),
    credentials="me:secret", body=b"a\r\n\r\nb",
)  # fmt: skip


def asked(
    method: str = "POST", url: str = "http://a.test:81/dir/page?q=1", route: Route | None = None
) -> Prepared:
    body = None if method in ("GET", "HEAD") else SHAPE.body
    shape = Shape(method, SHAPE.headers, SHAPE.cookies, SHAPE.credentials, body)
    return fixed_request(shape, route or Route(), parse_url(url))


def followed(
    status: int, location: str, request: Prepared | None = None, route: Route | None = None
) -> tuple[str, dict[str, str], bytes, Prepared]:
    request = next_request(request or asked(), status, location, route or Route())
    head, _, body = request.wire.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body, request


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"), (302, "DELETE", "DELETE"), (303, "PUT", "GET"), (303, "HEAD", "HEAD"),
        (301, "HEAD", "HEAD"), (308, "GET", "GET"),
    ],
)  # fmt: skip
def test_the_method_changes_as_the_rfc_has_it(status: int, method: str, becomes: str) -> None:
    first, fields, body, request = followed(status, "/new", asked(method))
    assert first == f"{becomes} /new HTTP/1.1"
    assert request.head_request is (becomes == "HEAD")
    if becomes == method:
        assert body == (b"" if method in ("GET", "HEAD") else SHAPE.body)
    else:
        assert body == b""
        assert not {"Content-Length", "Content-Type", "Content-Encoding"} & set(fields)
    assert fields["X-A"] == "ä"


@pytest.mark.parametrize(
    ("location", "target", "host"),
    [
        ("/new?x", "/new?x", "a.test:81"),
        ("other", "/dir/other", "a.test:81"),
        ("?q=2", "/dir/page?q=2", "a.test:81"),
        ("../up#part", "/up", "a.test:81"),
        ("//b.test/x", "/x", "b.test"),
        ("http://A.test:81/same", "/same", "a.test:81"),
        ("https://a.test:81/x", "/x", "a.test:81"),
        ("http://[::1]:8080", "/", "[::1]:8080"),
        ("/with space/ä", "/with%20space/%C3%A4", "a.test:81"),
    ],
)
def test_where_it_leads(location: str, target: str, host: str) -> None:
    first, fields, _, _ = followed(302, location)
    assert (first, fields["Host"]) == (f"GET {target} HTTP/1.1", host)


@pytest.mark.parametrize(
    ("location", "other"),
    [
        ("/new", False), ("http://a.test:81/", False), ("http://a.test/", True), ("https://a.test:81/", True),
        ("http://sub.a.test:81/", True), ("http://x:y@b.test/", True),
    ],
)  # fmt: skip
def test_secrets_never_reach_another_origin(location: str, other: bool) -> None:
    _, fields, _, request = followed(307, location)
    assert ("Authorization" in fields, "Cookie" in fields) == (not other, not other)
    assert b"secret" not in request.wire


def test_a_host_of_ones_own_stays_at_home() -> None:
    shape = Shape(headers=(("host", "virtual.test"),))
    request = fixed_request(shape, Route(), parse_url("http://a.test/"))
    assert followed(302, "/x", request)[1]["host"] == "virtual.test"
    assert followed(302, "http://b.test/x", request)[1]["host"] == "b.test"


def test_a_proxy_is_asked_for_the_whole_url_and_keeps_its_password() -> None:
    route = Route(proxy=("proxy", 3128), proxy_credentials="p:q")
    first, fields, _, _ = followed(302, "http://b.test/x", asked(route=route), route)
    assert first == "GET http://b.test/x HTTP/1.1"
    assert "Proxy-Authorization" in fields
    first, fields, _, _ = followed(302, "https://b.test/x", asked(route=route), route)
    assert first == "GET /x HTTP/1.1"
    assert "Proxy-Authorization" not in fields  # what goes through the tunnel is the server's to read


@pytest.mark.parametrize(
    "location", ["ftp://a.test/", "mailto:5", "http://a.test:99999/", "javascript:x", "http://[::1/"]
)
def test_what_leads_nowhere_is_said(location: str) -> None:
    with pytest.raises(BadRedirect, match="nothing can be asked"):
        followed(302, location)
