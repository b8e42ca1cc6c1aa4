"""--cookies against servers: each place is a visitor, whatever else is asked for; and curl as a second opinion."""

import json
import re
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.command import opskit
from tests.nginx import Nginx
from tests.programs import need
from tests.scripted import OK, Peer, Script, answers, scripted

SET = b"HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok"


def cookies_of(request: bytes) -> set[str]:
    lines = re.findall(rb"(?i)\r\ncookie: ([^\r]*)", request)
    assert len(lines) <= 1
    return set(lines[0].decode().split("; ")) if lines else set()


def sessions(asked: list[bytes], extra: bytes = b"", together: int = 1) -> Script:
    """Whoever comes without a session gets one, when so many are there."""
    given, all_there = iter(range(10**9)), threading.Barrier(together)

    def script(peer: Peer) -> None:
        for request in peer.requests():
            asked.append(request)
            new = b""
            if b"sid=" not in request:
                all_there.wait(20)
                new = b"Set-Cookie: sid=%d; Path=/; HttpOnly\r\n" % next(given)
            time.sleep(0.002)  # or one visitor could be through before another has read its first answer
            peer.send(SET % (extra + new))
            if b"Connection: close" in request:
                return

    return script


def visits(asked: list[bytes]) -> Counter[str]:
    """How often each session came back; "" counts those who had none."""
    return Counter("".join(cookies_of(each)) for each in asked)


@pytest.mark.parametrize("keep", [("-k",), ()])
@pytest.mark.parametrize("pace", [(), ("--rate", "300")])
def test_each_place_is_a_visitor(keep: tuple[str, ...], pace: tuple[str, ...]) -> None:
    asked: list[bytes] = []
    with scripted(sessions(asked, together=4)) as server:
        ran = opskit("bench", "--json", *keep, *pace, "-n", "60", "-c", "4", "--cookies", server.url)
    assert (ran.code, ran.data["failures"], ran.data["status"]) == (0, {}, {"200": 60}), ran.err
    assert ran.data["cookies"] == {"set": 4, "sent": 56}
    found = visits(asked)
    assert (set(found), found[""]) == ({"", "sid=0", "sid=1", "sid=2", "sid=3"}, 4)
    if keep and not pace:  # a visitor stays on one connection
        assert ran.data["connections"] == {"opened": 4, "reused": 56}


def test_without_the_option_nothing_is_kept() -> None:
    asked: list[bytes] = []
    with scripted(sessions(asked)) as server:
        ran = opskit("bench", "--json", "-k", "-n", "10", "-c", "2", server.url)
    assert (ran.data["cookies"], visits(asked)) == (None, {"": 10})


def test_nginx_knows_its_visitors_again(nginx: Nginx) -> None:
    options = ("bench", "--json", "-k", "-n", "200", "-c", "5", "--cookies")
    ran = opskit(*options, "--check", r"body ~ ^([0-9a-f]{32})?\n$", f"{nginx.url}/session")
    assert (ran.data["failures"], ran.data["cookies"]) == ({}, {"set": 5, "sent": 195})
    again = opskit(*options, "--check", r"body ~ ^[0-9a-f]{32}\n$", f"{nginx.url}/session")
    assert again.data["failures"] == {"check": 5}  # a run begins with empty jars
    secure = opskit(*options, "--insecure", f"{nginx.tls_url}/session")
    assert secure.data["cookies"] == {"set": 5, "sent": 195}


def test_a_login_that_redirects(nginx: Nginx) -> None:
    ran = opskit(
        "bench", "--json", "-k", "-n", "50", "-c", "3", "--cookies", "--redirects", "1",
        "--check", r"body ~ ^[0-9a-f]{32}\n$", f"{nginx.url}/login",
    )  # fmt: skip
    assert (ran.data["failures"], ran.data["status"]) == ({}, {"200": 50}), ran.err
    assert ran.data["requests"]["redirected"] == 50
    assert ran.data["cookies"] == {"set": 50, "sent": 50 + 47}


def test_jars_outlive_the_warm_up(nginx: Nginx) -> None:
    ran = opskit(
        "bench", "--json", "-k", "-n", "20", "-c", "2", "--warmup", "200ms", "--cookies", f"{nginx.url}/session"
    )
    assert ran.data["cookies"] == {"set": 0, "sent": 20}


def test_processes_have_visitors_of_their_own(nginx: Nginx) -> None:
    ran = opskit(
        "bench", "--json", "-k", "-n", "90", "-c", "5", "--processes", "2", "--cookies", f"{nginx.url}/session"
    )
    assert (ran.data["failures"], ran.data["cookies"]) == ({}, {"set": 5, "sent": 85}), ran.err


@pytest.mark.parametrize("pace", [(), ("--rate", "200")])
def test_the_first_requests_of_a_file_are_those_of_as_many_visitors(tmp_path: Path, pace: tuple[str, ...]) -> None:
    path, asked = tmp_path / "requests.jsonl", list[bytes]()
    logins = [json.dumps({"url": f"/login/{i}", "method": "POST", "body": f"user={i}"}) for i in range(4)]
    path.write_text("\n".join([*logins, *[json.dumps({"url": "/work"})] * 40]) + "\n")
    with scripted(sessions(asked)) as server:
        ran = opskit("bench", "--json", "-c", "4", *pace, "-R", str(path), "--cookies", server.url)
    assert ran.data["status"] == {"200": 44}, ran.err
    without = {each.split(b" ")[1] for each in asked if not cookies_of(each)}
    assert without == {b"/login/%d" % i for i in range(4)}


def test_a_visitor_survives_a_failure() -> None:
    """What is cut short gives its jar back; a reset connection is no new visitor."""
    asked: list[bytes] = []
    usual = sessions(asked)

    def script(peer: Peer) -> None:
        if peer.number % 3 == 2:
            peer.request()
            peer.reset()
        else:
            usual(peer)

    with scripted(script) as server:
        ran = opskit("bench", "--json", "-n", "60", "-c", "2", "--cookies", server.url)
    assert ran.data["failures"] == {"reset": 20}, ran.err
    assert visits(asked)[""] == ran.data["cookies"]["set"] == 2


def test_a_server_that_is_not_there_ends_as_without_the_option() -> None:
    ran = opskit("bench", "-q", "-n", "100", "-c", "3", "--cookies", "http://127.0.0.1:1/")
    assert (ran.code, "refused" in ran.err, "Traceback" in ran.err) == (3, True, False)


def test_cookies_named_by_the_request_win(tmp_path: Path) -> None:
    asked: list[bytes] = []
    hooks = tmp_path / "hooks.py"
    hooks.write_text(
        "AHEAD = 0\n"
        "def request(i):\n"
        "    own = {'headers': {'Cookie': f'sid=own{i}'}} if i > 2 else {}\n"
        "    return {'url': '/', **own} if i < 6 else None\n"
        "def response(r):\n"
        "    print(r.i, r.status)\n"
    )
    with scripted(sessions(asked, b"Set-Cookie: lang=de\r\n")) as server:
        ran = opskit("bench", "--json", "-k", "--cookies", "--script", str(hooks), "-C", "x=1", server.url)
    assert ran.data["status"] == {"200": 6}, ran.err
    assert [cookies_of(each) for each in asked] == [
        {"x=1"}, *[{"x=1", "sid=0", "lang=de"}] * 2, *[{f"sid=own{i}", "lang=de"} for i in (3, 4, 5)],
    ]  # fmt: skip
    assert ran.err.split() == [word for i in range(6) for word in (str(i), "200")]


def test_a_script_that_logs_in_is_shown_the_answers_to_its_own_requests(nginx: Nginx, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.py"
    hooks.write_text(
        "def request(i):\n    return {'url': '/login', 'label': 'login'} if i < 9 else None\n"
        "def response(r):\n    print(r.i, r.status, len(r.text), r.label)\n"
    )
    ran = opskit(
        "bench", "--json", "-k", "-c", "3", "--cookies", "--redirects", "2", "--script", str(hooks), nginx.url
    )
    assert ran.data["cookies"] == {"set": 9, "sent": 9 + 6}, ran.err
    assert sorted(ran.err.splitlines()) == [f"{i} 200 33 login" for i in range(9)]
    assert ran.data["labels"][0]["requests"] == 9


def test_redirects_to_elsewhere_take_the_cookies_of_there() -> None:
    """From here to there and back: each host gets what it has set, and -C goes where it was meant to go."""
    here_asked, there_asked = list[bytes](), list[bytes]()

    def answering(asked: list[bytes], name: bytes, location: list[str]) -> Script:
        def script(peer: Peer) -> None:
            for request in peer.requests():
                asked.append(request)
                if b" /end " in request:
                    peer.send(OK)
                else:
                    field = b"Set-Cookie: %s=1; Path=/\r\n" % name
                    peer.send(
                        b"HTTP/1.1 302 Found\r\nLocation: %s\r\n%sContent-Length: 0\r\n\r\n"
                        % (location[0].encode(), field)
                    )

        return script

    to_there, to_here = [""], [""]
    with (
        scripted(answering(here_asked, b"here", to_there)) as here,
        scripted(answering(there_asked, b"there", to_here)) as there,
    ):
        to_there[0], to_here[0] = f"http://localhost:{there.port}/", f"{here.url}end"
        ran = opskit("bench", "--json", "-k", "-n", "2", "-C", "mine=1", "--cookies", "--redirects", "2", here.url)
    assert ran.data["status"] == {"200": 2}, ran.err
    assert [cookies_of(each) for each in here_asked] == [
        {"mine=1"}, {"here=1"}, {"mine=1", "here=1"}, {"here=1"},
    ]  # fmt: skip
    assert [cookies_of(each) for each in there_asked] == [set(), {"there=1"}]


def test_cookies_are_shown_nowhere(tmp_path: Path) -> None:
    har, run = tmp_path / "failures.har", tmp_path / "run.json"
    with scripted(answers(SET % b"Set-Cookie: sid=s3cret\r\n", then="keep")) as server:
        ran = opskit(
            "bench", "-k", "-n", "4", "-v", "3", "--cookies", "--check", "status=500", "--save-failures", str(har),
            "--save", str(run), server.url,
        )  # fmt: skip
    assert ran.err.count("Cookie: ***") == 3
    assert "Cookies      set by 4 answers, sent with 3 requests" in ran.out
    for shown in (ran.out, ran.err, har.read_text(), run.read_text()):
        assert "s3cret" not in shown
    assert '"name": "sid"' in har.read_text()


def test_http2_has_no_jar() -> None:
    ran = opskit("bench", "--http2", "--cookies", "http://127.0.0.1/")
    assert (ran.code, "--cookies is not there for --http2" in ran.err) == (2, True)


# Without what curl does in its own way: Path=/a/ is /a to it, and a Path that begins with no slash is /.
LINES = [
    "plain=1", "root=2; Path=/", "other=3; Path=/other", "half=5; Path=/a/b", "empty=; Path=/",
    "domain=7; Domain=shop.test; Path=/", "dot=8; Domain=.shop.test; Path=/",
    "self=9; Domain=www.shop.test; Path=/", "foreign=10; Domain=evil.test; Path=/",
    "top=11; Domain=test; Path=/", "deep=12; Domain=a.www.shop.test; Path=/", "secure=13; Secure; Path=/",
    "gone=14; Max-Age=0; Path=/", "stays=15; max-age=600; Path=/", "equals=a=b; Path=/",
    "old=16; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
    "later=17; Expires=Wed, 09-Jun-2032 10:18:14 GMT", "odd=18; Expires=whenever; Path=/",
    'quoted="a b"; Path=/', "spaced = 19 ; Path = / ", "root=20; Path=/; HttpOnly; SameSite=Lax",
]  # fmt: skip
PATHS = ["/a/b/set", "/a/b/x", "/a/b", "/a/", "/a", "/", "/other/y", "/a/bcd", "/a/b/x?q=/z"]


def test_curl_sends_the_same_cookies(tmp_path: Path) -> None:
    curl, asked = need("curl"), list[bytes]()

    def script(peer: Peer) -> None:
        for request in peer.requests():
            asked.append(request)
            lines = LINES if b"/set " in request and b"www.shop" in request else []
            peer.send(SET % "".join(f"Set-Cookie: {line}\r\n" for line in lines).encode())

    hosts = ("www.shop.test", "shop.test", "a.www.shop.test", "evil.test")
    urls = [f"http://{host}{path}" for host in hosts for path in PATHS]
    file = tmp_path / "urls.txt"
    file.write_text("\n".join(urls) + "\n")
    with scripted(script) as server:
        to = f"127.0.0.1:{server.port}"
        done = subprocess.run(
            [curl, "-s", "-b", "", "--connect-to", f"::{to}", *urls], capture_output=True, timeout=60
        )
        assert done.stdout == b"ok" * len(urls), done.stderr
        theirs, asked[:] = asked[:], []
        ran = opskit("bench", "--json", "-k", "--cookies", "--connect-to", to, "-R", str(file))
    assert ran.data["status"] == {"200": len(urls)}, ran.err
    assert [cookies_of(each) for each in asked] == [cookies_of(each) for each in theirs]
    assert len(cookies_of(theirs[1])) > 12
