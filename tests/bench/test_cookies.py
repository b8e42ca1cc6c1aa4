"""The cookie jar, by RFC 6265 section 5."""

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench import saved
from opskit.bench.cookies import LONGEST, MOST, Asked, Jar, asked_of, parse, with_cookies
from opskit.bench.plan import Prepared, Route, Shape, fixed_request, parse_url
from opskit.bench.report import text
from tests.bench.runs import PLAIN

NOW = 1_800_000_000.0  # in January 2027
HERE = Asked("www.shop.test", "/dir/page", secure=False)


def jar(*lines: str, asked: Asked = HERE) -> Jar:
    made = Jar()
    for line in lines:
        made.keep(line, asked, NOW)
    return made


def sent(jar: Jar, asked: Asked = HERE, now: float = NOW) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar.matching(asked, now))


def asked(url: str, *headers: tuple[str, str], proxy: bool = False) -> Asked:
    return asked_of(request(url, *headers, proxy=proxy))


def request(url: str, *headers: tuple[str, str], cookies: tuple[str, ...] = (), proxy: bool = False) -> Prepared:
    route = Route(proxy=("proxy", 3128)) if proxy else Route()
    return fixed_request(Shape(headers=headers, cookies=cookies), route, parse_url(url))


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("a=b", ("a", "b")),
        (" a = b ; HttpOnly", ("a", "b")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        ('a="b c"', ("a", '"b c"')),
        ('a={"x": 1}', ("a", '{"x": 1}')),
        ("a=ä; SameSite=Lax", ("a", "ä")),
        ("a", None),
        ("=b", None),
        ("", None),
        ("; Path=/", None),
    ],
)
def test_a_name_and_its_value(line: str, pair: tuple[str, str] | None) -> None:
    found = parse(line, HERE, NOW)
    assert (found and (found.name, found.value)) == pair


@pytest.mark.parametrize(
    ("attributes", "expires"),
    [
        ("", inf),
        ("Max-Age=60", NOW + 60),
        ("max-AGE = 60", NOW + 60),
        ("Max-Age=0", NOW),
        ("Max-Age=-5", NOW - 5),
        ("Max-Age=soon", inf),
        ("Max-Age=6.5", inf),
        ("Max-Age=", inf),
        ("Expires=Fri, 15 Jan 2027 08:00:00 GMT", NOW),
        ("Expires=Fri, 15-Jan-2027 08:00:00 GMT", NOW),
        ("Expires=Friday, 15-Jan-27 08:00:00 GMT", NOW),
        ("Expires=Fri Jan 15 08:00:00 2027", NOW),
        ("Expires=Fri, 15 Jan 2027 08:00:00 +0100", NOW),
        ("Expires=0", inf),
        ("Expires=Fri, 15 Jan 99999 08:00:00 GMT", inf),
        ("Expires=Fri, 99 Foo 2027 08:00:00 GMT", inf),
        ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", NOW + 60),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", NOW + 60),
        ("Max-Age=60; Max-Age=never", NOW + 60),
        ("Max-Age=60; Max-Age=70", NOW + 70),
    ],
)
def test_when_it_expires(attributes: str, expires: float) -> None:
    found = parse(f"a=b; {attributes}", HERE, NOW)
    assert found
    assert found.expires == expires


@pytest.mark.parametrize(
    ("host", "domain", "goes_to"),
    [
        ("www.shop.test", "", {"www.shop.test"}),
        ("www.shop.test", "shop.test", {"www.shop.test", "shop.test", "a.b.shop.test"}),
        ("www.shop.test", ".Shop.Test", {"www.shop.test", "shop.test", "a.b.shop.test"}),
        ("www.shop.test", "www.shop.test", {"www.shop.test"}),
        ("www.shop.test", "deep.www.shop.test", set()),
        ("www.shop.test", "hop.test", set()),
        ("www.shop.test", "test", set()),
        ("www.shop.test", ".", {"www.shop.test"}),
        ("www.shop.test", "evil.test", set()),
        ("localhost", "localhost", {"localhost"}),
        ("localhost", "", {"localhost"}),
        ("10.0.0.1", "", {"10.0.0.1"}),
        ("10.0.0.1", "10.0.0.1", {"10.0.0.1"}),
        ("10.0.0.1", "0.0.1", set()),
        ("[::1]", "", {"[::1]"}),
    ],
)
def test_which_hosts_it_goes_to(host: str, domain: str, goes_to: set[str]) -> None:
    kept = jar(f"a=b; Path=/; Domain={domain}", asked=Asked(host, "/", secure=False))
    everywhere = ["www.shop.test", "shop.test", "a.b.shop.test", "evilshop.test", "x.localhost", "localhost"]
    hosts = [*everywhere, "10.0.0.1", "1.10.0.0.1", "[::1]", "test"]
    assert {each for each in hosts if sent(kept, Asked(each, "/", secure=False))} == goes_to


@pytest.mark.parametrize(
    ("set_at", "path", "goes_to"),
    [
        ("/dir/page", "", {"/dir", "/dir/", "/dir/page"}),
        ("/dir/page", "/", {"/", "/dir", "/dir/", "/dir/page", "/directory", "/x"}),
        ("/dir/page", "/dir", {"/dir", "/dir/", "/dir/page"}),
        ("/dir/page", "/dir/", {"/dir/", "/dir/page"}),
        ("/dir/page", "dir", {"/dir", "/dir/", "/dir/page"}),
        ("/dir/page", "/x", {"/x"}),
        ("/page", "", {"/", "/dir", "/dir/", "/dir/page", "/directory", "/x"}),
        ("*", "", {"/", "/dir", "/dir/", "/dir/page", "/directory", "/x"}),
    ],
)
def test_which_paths_it_goes_to(set_at: str, path: str, goes_to: set[str]) -> None:
    kept = jar(f"a=b; Path={path}", asked=HERE._replace(path=set_at))
    paths = ["/", "/dir", "/dir/", "/dir/page", "/directory", "/x"]
    assert {each for each in paths if sent(kept, HERE._replace(path=each))} == goes_to


def test_a_secure_one_goes_to_https_only() -> None:
    kept = jar("a=b; secure", "c=d")
    assert sent(kept) == "c=d"
    assert sent(kept, HERE._replace(secure=True)) == "a=b; c=d"


def test_longer_paths_come_first_then_older_ones() -> None:
    kept = jar("a=1; Path=/", "b=2; Path=/dir", "c=3; Path=/dir", "a=4; Path=/dir/page", "b=5; Path=/dir")
    assert sent(kept) == "a=4; b=5; c=3; a=1"


def test_it_is_replaced_deleted_and_expires() -> None:
    kept = jar("a=1; Path=/; Max-Age=60", "b=2", "a=3; Path=/; Max-Age=60")
    assert sent(kept, now=NOW + 59) == "b=2; a=3"
    assert sent(kept, now=NOW + 60) == "b=2"
    kept.keep("b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", HERE, NOW)
    kept.keep("none=; Max-Age=0", HERE, NOW)
    assert (sent(kept), len(kept)) == ("a=3", 1)


def test_a_jar_has_bounds() -> None:
    value, attribute = "v" * (LONGEST - 1), "/" + "p" * 1024
    assert sent(jar(f"a={value}", f"b={value}w")) == f"a={value}"
    assert sent(jar(f"a=b; Path={attribute}; Path=/")) == "a=b"
    many = jar(*(f"c{i}={i}" for i in range(MOST + 7)))
    assert [cookie.name for cookie in many.matching(HERE, NOW)] == [f"c{i}" for i in range(7, MOST + 7)]
    many.keep(f"c{MOST}=again", HERE, NOW)
    assert len(many) == MOST


def test_expired_ones_make_room_first() -> None:
    kept = jar(*(f"c{i}={i}" for i in range(MOST - 2)), "x=1; Max-Age=5", "y=1; Max-Age=5")
    kept.keep("new=1", HERE, NOW + 5)
    assert len(kept) == MOST - 1
    assert sent(kept, now=NOW + 5).startswith("c0=0; ")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (asked("http://A.test:81/dir/x?q=/1"), Asked("a.test", "/dir/x", secure=False)),
        (asked("https://a.test/"), Asked("a.test", "/", secure=True)),
        (asked("http://a.test:81/dir/x?q=1", proxy=True), Asked("a.test", "/dir/x", secure=False)),
        (asked("http://a.test/?u=http://b.test/c"), Asked("a.test", "/", secure=False)),
        (asked("http://[::1]:81/x"), Asked("[::1]", "/x", secure=False)),
        (asked("http://10.0.0.1:81/x", ("host", "Shop.test:8080")), Asked("shop.test", "/x", secure=False)),
    ],
)
def test_what_a_request_asks(found: Asked, expected: Asked) -> None:
    assert found == expected


def cookie_lines(wire: bytes) -> list[bytes]:
    return [line for line in wire.split(b"\r\n") if line.lower().startswith(b"cookie:")]


def test_cookies_of_the_request_itself_win() -> None:
    kept = jar("sid=jar", "lang=de", "ä=ö").matching(HERE, NOW)
    wire = with_cookies(request("http://a.test/").wire, kept)
    assert cookie_lines(wire) == ["Cookie: sid=jar; lang=de; ä=ö".encode("latin-1")]
    wire = with_cookies(request("http://a.test/", cookies=("sid=mine", "x=1")).wire, kept)
    assert cookie_lines(wire) == ["Cookie: sid=mine; x=1; lang=de; ä=ö".encode("latin-1")]
    wire = with_cookies(request("http://a.test/", ("cookie", "lang=en;sid=mine")).wire, kept)
    assert cookie_lines(wire) == ["cookie: lang=en;sid=mine; ä=ö".encode("latin-1")]
    wire = with_cookies(request("http://a.test/", ("Cookie", "")).wire, kept)
    assert cookie_lines(wire) == ["Cookie: sid=jar; lang=de; ä=ö".encode("latin-1")]


def test_a_body_stays_as_it_is() -> None:
    body = b"x\r\nCookie: a=b\r\n\r\nHost: c"
    wire = fixed_request(Shape("POST", body=body), Route(), parse_url("http://a.test/")).wire
    dressed = with_cookies(wire, jar("sid=1").matching(HERE, NOW))
    assert dressed == wire.replace(b"\r\n\r\n", b"\r\nCookie: sid=1\r\n\r\n", 1)


@given(st.text(st.characters(exclude_characters="\r\n", max_codepoint=255)))
def test_no_line_of_a_server_breaks_a_request(line: str) -> None:
    wire = request("http://www.shop.test/dir/page").wire
    dressed = with_cookies(wire, jar(line).matching(HERE, NOW))
    head, blank, body = dressed.partition(b"\r\n\r\n")
    assert (blank, body) == (b"\r\n\r\n", b"")
    assert head.count(b"\r\n") - wire.count(b"\r\n") + 2 == len(cookie_lines(dressed))


def test_the_counts_are_shown_and_kept(tmp_path: Path) -> None:
    run, path = replace(PLAIN, cookies={"set": 3, "sent": 1200}), str(tmp_path / "run.json")
    saved.keep([run], path)
    (again,) = saved.load(path)
    assert again.to_dict()["cookies"] == {"set": 3, "sent": 1200}
    shown = "".join(part for line in text.lines(again) for part, _ in line)
    assert "Cookies      set by 3 answers, sent with 1,200 requests" in shown
    assert PLAIN.to_dict()["cookies"] is None
