"""--script: requests from a person's functions, answers shown to them, and everything they can do wrong."""

import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Ran, opskit
from tests.nginx import Nginx
from tests.programs import free_port
from tests.scripted import OK, Peer, scripted
from tests.servers import Running, target

FINE = "def request(i):\n    return '/search'\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with target() as running:
        yield running


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    return tmp_path / "hooks.py"


def run(hooks: Path, text: str, *args: str) -> Ran:
    hooks.write_text(text)
    return opskit("bench", "--script", str(hooks), *args)


def test_requests_end_with_none(nginx: Nginx, hooks: Path) -> None:
    text = "def request(i):\n    return f'/search?q={i}' if i < 250 else None\n"
    ran = run(hooks, text, "--json", "-k", "-c", "7", nginx.url)
    assert (ran.code, ran.data["requests"]["good"], ran.data["stop"]) == (0, 250, "finished")
    assert ran.data["requests"]["planned"] in (None, 250)
    assert sorted(nginx.requests(250)) == sorted(f"GET /search?q={i}" for i in range(250))
    assert ran.data["script"]["requests"] == 250
    assert ran.data["script"]["seconds"] > 0


@pytest.mark.parametrize("end", [("-n", "120"), ("-n", "120", "--rate", "400"), ("-n", "120", "-t", "30")])
def test_no_more_requests_are_made_than_asked_for(nginx: Nginx, hooks: Path, end: tuple[str, ...]) -> None:
    text = "import sys\ndef request(i):\n    print(i, file=sys.stderr)\n    return '/search'\n"
    ran = run(hooks, text, "--json", "-q", "-k", "-c", "3", *end, f"{nginx.url}/")
    assert (ran.code, ran.data["requests"]["good"]) == (0, 120)
    assert ran.err.split() == [str(i) for i in range(120)]
    assert len(nginx.requests(120)) == 120


def test_signed_requests_of_every_kind(hooks: Path) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        for request in peer.requests():
            seen.append(request)
            peer.send(OK)

    text = """
import hashlib, hmac
def request(i):
    if i == 4:
        return None
    body = [b"\\xff\\x00", "text", {"a": 1}, None][i]
    made = {"method": "put", "url": f"p?{i}", "label": f"n{i}",
            "headers": {"X-Signature": hmac.new(b"key", b"%d" % i, hashlib.sha256).hexdigest()}}
    return made if body is None else {**made, "body": body}
"""
    with scripted(script) as server:
        ran = run(hooks, text, "--json", "-k", server.url)
    assert ran.code == 0, ran.err
    for i, (request, body) in enumerate(zip(seen, [b"\xff\x00", b"text", b'{"a": 1}', b""], strict=True)):
        assert request.startswith(b"PUT /p?%d HTTP/1.1\r\n" % i)
        assert hmac.new(b"key", b"%d" % i, hashlib.sha256).hexdigest().encode() in request
        assert request.endswith(b"\r\n\r\n" + body)
    assert {each["label"] for each in ran.data["labels"]} == {"n0", "n1", "n2", "n3"}


CHAIN = """
AHEAD = 0
token = "first"
def request(i):
    return f"/{token}" if i < 40 else None
def response(r):
    global token
    token = r.json()["next"]
"""


@pytest.mark.parametrize("pace", [(), ("--rate", "200")])
def test_each_request_may_depend_on_the_answer_before(hooks: Path, pace: tuple[str, ...]) -> None:
    asked: list[bytes] = []

    def script(peer: Peer) -> None:
        for request in peer.requests():
            asked.append(request.split(b" ")[1])
            body = b'{"next": "token-%d"}' % len(asked)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with scripted(script) as server:
        ran = run(hooks, CHAIN, "--json", "-k", *pace, server.url)
    assert (ran.code, ran.data["requests"]["good"]) == (0, 40), ran.err
    assert asked == [b"/first", *(b"/token-%d" % i for i in range(1, 40))]


def test_every_answer_is_shown_once_with_what_it_was(server: Running, hooks: Path) -> None:
    text = """
import atexit, json
from pathlib import Path
seen = {}
def request(i):
    return {"url": ["/bytes/300000", "/status/404"][i % 2], "label": "ab"[i % 2]} if i < 60 else None
def response(r):
    assert r.i not in seen
    assert 0 < r.seconds < 30
    seen[r.i] = (r.status, len(r.body), r.label, r.failure, r.headers["server"])
atexit.register(lambda: Path(__file__).with_suffix(".seen").write_text(json.dumps(seen)))
"""
    ran = run(hooks, text, "--json", "-k", "-c", "4", "--fail-status", server.url)
    assert (ran.code, ran.data["script"]["responses"]) == (0, 60), ran.err
    seen = json.loads(hooks.with_suffix(".seen").read_text())
    assert [seen[str(i)] for i in range(60)] == 30 * [
        [200, 262_144, "a", None, "opskit-target"],
        [404, 4, "b", "status", "opskit-target"],
    ]


def test_what_a_script_prints_is_no_part_of_the_report(server: Running, hooks: Path) -> None:
    text = "print('loaded')\ndef request(i):\n    print('made')\ndef response(r):\n    print('shown')\n"
    ran = run(
        hooks, text.replace("print('made')", "print('made'); return '/' if i < 3 else None"), "--json", server.url
    )
    assert ran.json["status"] == "ok"
    assert [ran.err.count(word) for word in ("loaded", "made", "shown")] == [1, 4, 3]


def test_answers_alone_to_lines_of_a_file_and_a_pipe(server: Running, hooks: Path, tmp_path: Path) -> None:
    hooks.write_text("def response(r):\n    print('shown', r.i, r.json()['query'])\n")
    lines = tmp_path / "lines"
    lines.write_text("zero\none\ntwo\n")
    for file, stdin in ((str(lines), ""), ("-", lines.read_text())):
        to = ("bench", "-q", "-k", "--script", str(hooks), "-R", file, f"{server.url}/search?q=")
        ran = opskit(*to, stdin=stdin)
        assert ran.code == 0, ran.err
        assert sorted(ran.err.split("\n")) == ["", "shown 0 zero", "shown 1 one", "shown 2 two"]


def test_requests_without_an_answer_are_shown_too(hooks: Path) -> None:
    text = "def response(r):\n    print(r.i, r.status, r.failure, r.body)\n"
    ran = run(hooks, text, "-q", "-n", "2", f"http://127.0.0.1:{free_port()}/")
    assert ran.code == 3
    assert "0 0 refused b''\n1 0 refused b''\n" in ran.err


def test_a_slow_script_is_slow_but_loses_nothing(nginx: Nginx, hooks: Path) -> None:
    text = "import time\n" + FINE.replace("return", "time.sleep(0.002); return")
    text += "def response(r):\n    time.sleep(0.002)\n"
    ran = run(hooks, text, "--json", "-k", "-c", "20", "-n", "200", nginx.url)
    assert (ran.data["requests"]["good"], ran.data["script"]["responses"]) == (200, 200)
    assert ran.data["script"]["seconds"] > 0.6


# What can be wrong with it


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("def request(i:\n", "hooks.py:1: SyntaxError", "def request(i:"),
        ("import nothing_of_that_name\n", "hooks.py:1: ModuleNotFoundError", "import nothing_of_that_name"),
        ("def f():\n    return {}['key']\nf()\n", "hooks.py:2: KeyError: 'key'", "return {}['key']"),
        ("raise SystemExit('bye')\n", "hooks.py:1: SystemExit: bye", ""),
        ("x = 1\n", "defines neither request nor response", "def request(i)"),
        ("request = 7\n", "request is int", "def request(i):"),
        ("async def request(i):\n    return '/'\n", "request is an async function", "def request(i):"),
        ("def request():\n    return '/'\n", "request does not take one argument", "def request(i):"),
        (FINE + "def response(r, more):\n    pass\n", "response does not take one argument", "def response(r):"),
        (FINE + "AHEAD = -1\n", "AHEAD is -1", "a number from 0"),
        (FINE + "AHEAD = 'all'\n", "AHEAD is 'all'", "a number from 0"),
        ("def request(i):\n    return 1 / i\n", "hooks.py:2: request(0) raised ZeroDivisionError", "return 1 / i"),
        ("def request(i):\n    return None\n", "request(0) returned None", "None ends the run"),
        ("def request(i):\n    return 7\n", "request(0) returned int", '{"url": "/path"}'),
        ("def request(i):\n    return {'uri': '/'}\n", "unknown key 'uri'; expected one of", "{'uri': '/'}"),
        ("def request(i):\n    return {'headers': {'A': 1}}\n", "'headers' must be a dict of str", ""),
        ("def request(i):\n    return {'headers': {'A': 'b\\r\\nC: d'}}\n", "holds a line break", ""),
        ("def request(i):\n    return {'body': 7}\n", "'body' must be a str, bytes", ""),
        ("def request(i):\n    return {'url': 'ftp://x/'}\n", "scheme ftp is unknown", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_before_the_run(
    nginx: Nginx, hooks: Path, text: str, message: str, hint: str
) -> None:
    ran = run(hooks, text, nginx.url)
    assert ran.code == 2
    assert message in ran.err
    assert hint in ran.err
    assert "Traceback" not in ran.err
    assert nginx.requests(0) == []


def test_a_file_that_is_not_there_and_one_that_clashes(hooks: Path, tmp_path: Path) -> None:
    assert "No such file" in opskit("bench", "--script", str(hooks), "http://127.0.0.1/").err
    lines = tmp_path / "lines"
    lines.write_text("a\n")
    ran = run(hooks, FINE, "-R", str(lines), "http://127.0.0.1/")
    assert (ran.code, "has a request(i), and -R names requests too" in ran.err) == (2, True)


def test_a_url_without_a_host_needs_the_command_lines(hooks: Path) -> None:
    ran = run(hooks, FINE)
    assert (ran.code, "must be a whole URL" in ran.err) == (2, True)


@pytest.mark.parametrize("ahead", [0, 1, 100])
def test_a_request_that_raises_ends_the_run_where_its_turn_is(nginx: Nginx, hooks: Path, ahead: int) -> None:
    text = f"AHEAD = {ahead}\n" + FINE.replace(
        "    return", "    if i == 17: raise ValueError('no key')\n    return"
    )
    ran = run(hooks, text, "--json", "-k", "-n", "1000", "-c", "2", nginx.url)
    assert (ran.code, ran.json["status"], ran.data["stop"]) == (4, "partial", "script")
    assert ran.data["requests"]["good"] == 17
    assert f"{hooks}:3: request(17) raised ValueError: no key" in ran.json["errors"][0]["message"]
    assert "raise ValueError('no key')" in ran.json["errors"][0]["hint"]
    assert len(nginx.requests(17)) == 17


@pytest.mark.parametrize("pace", [(), ("--rate", "500")])
def test_a_response_that_raises_ends_the_run(nginx: Nginx, hooks: Path, pace: tuple[str, ...]) -> None:
    text = FINE + "def response(r):\n    if r.i == 5:\n        r.json()\n"
    ran = run(hooks, text, "-k", "-t", "30", "-c", "2", *pace, nginx.url)
    assert ran.code == 4
    assert f"{hooks}:5: response(r) for request 5 raised JSONDecodeError" in ran.err
    assert "(the script failed)" in ran.out
    assert "PARTIAL" in ran.out
    assert "Traceback" not in ran.err


def test_the_last_answer_counts_too(nginx: Nginx, hooks: Path) -> None:
    text = "def response(r):\n    if r.i == 9:\n        raise LookupError\n"
    ran = run(hooks, text, "-k", "-n", "10", f"{nginx.url}/search")
    assert (ran.code, "response(r) for request 9 raised LookupError" in ran.err) == (4, True)


def test_a_pipe_that_pauses_ends_no_run_with_a_rate(nginx: Nginx) -> None:
    """The same waiting for requests, without a script."""
    args = ("bench", "-q", "--json", "-k", "-R", "-", "--rate", "100", f"{nginx.url}/")
    process = subprocess.Popen(
        [sys.executable, "-m", "opskit", *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write("search?1\n")
    process.stdin.flush()
    assert nginx.requests(1) == ["GET /search?1"]
    time.sleep(0.3)
    out, _ = process.communicate("search?2\nsearch?3\n", timeout=30)
    assert nginx.requests(3) == ["GET /search?1", "GET /search?2", "GET /search?3"]
    assert '"good": 3' in out
