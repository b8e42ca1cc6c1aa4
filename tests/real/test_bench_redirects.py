"""--redirects against servers: what they are asked, what is counted, what never leaves its origin."""

import json
import ssl
import time
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.command import opskit
from tests.scripted import OK, Peer, Script, scripted


def redirect(location: str, status: int = 302, then: str = "") -> bytes:
    return f"HTTP/1.1 {status} Over There\r\nLocation: {location}\r\n{then}Content-Length: 4\r\n\r\nhere".encode()


def recording(asked: list[bytes], answer: dict[bytes, bytes]) -> Script:
    """Answers each target, and notes every request."""

    def script(peer: Peer) -> None:
        for request in peer.requests():
            asked.append(request)
            peer.send(answer.get(request.split(b" ")[1], OK))
            if b"Connection: close" in request:
                return

    return script


@pytest.mark.parametrize("keep", [("-k",), ()])
@pytest.mark.parametrize("pace", [(), ("--rate", "300")])
def test_a_request_and_its_hops_are_one(keep: tuple[str, ...], pace: tuple[str, ...]) -> None:
    asked: list[bytes] = []
    with scripted(recording(asked, {b"/": redirect("/two"), b"/two": redirect("three", 308)})) as server:
        to = ("bench", "--json", *keep, *pace, "-n", "30", "-c", "3", server.url)
        ran = opskit(*to, "--redirects", "2", "--check", "body ~ ^ok$")
    assert (ran.code, ran.data["failures"], ran.data["status"]) == (0, {}, {"200": 30}), ran.err
    assert ran.data["requests"]["redirected"] == 60
    assert len(asked) == 90
    assert ran.data["bytes"]["body"] == 30 * (4 + 4 + 2)
    if keep and not pace:  # a schedule may do with fewer connections
        assert ran.data["connections"] == {"opened": 3, "reused": 87}


def test_without_the_option_a_redirect_is_an_answer() -> None:
    asked: list[bytes] = []
    with scripted(recording(asked, {b"/": redirect("/two")})) as server:
        ran = opskit("bench", "--json", "-k", "-n", "5", server.url)
    assert (ran.data["status"], ran.data["requests"]["redirected"], len(asked)) == ({"302": 5}, 0, 5)


def test_a_redirect_without_a_location_is_an_answer() -> None:
    with scripted(recording([], {b"/": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"})) as server:
        ran = opskit("bench", "--json", "-k", "-n", "5", "--redirects", "3", server.url)
    assert (ran.data["status"], ran.data["failures"]) == ({"302": 5}, {})


@pytest.mark.parametrize("pace", [(), ("--rate", "50")])
def test_the_total_time_is_that_of_the_whole_way(pace: tuple[str, ...]) -> None:
    def script(peer: Peer) -> None:
        for request in peer.requests():
            time.sleep(0.05)
            peer.send(OK if b" /end " in request else redirect("/end"))

    with scripted(script) as server:
        ran = opskit("bench", "--json", "-k", "-n", "4", *pace, "--redirects", "1", server.url)
    assert ran.data["latency_ms"]["total"]["min"] >= 100
    assert 50 <= ran.data["latency_ms"]["first_byte"]["min"] < 100


@pytest.mark.parametrize(
    ("location", "words"),
    [("/", "more than 4 redirects (--redirects)"), ("gopher://x/", "redirect to where nothing can be asked")],
)
def test_too_many_and_nowhere_have_a_name(location: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "failures.har"
    with scripted(recording([], {b"/": redirect(location)})) as server:
        ran = opskit(
            "bench", "--json", "-k", "-n", "6", "-r", "--redirects", "4", "--save-failures", str(path), server.url
        )
    assert ran.data["failures"] == {"redirect": 6}
    assert words in ran.err + json.dumps(ran.json["errors"])
    first = json.loads(path.read_text())["log"]["entries"][0]
    assert (first["response"]["status"], first["response"]["redirectURL"]) == (302, location)


def test_secrets_stay_where_they_belong_and_come_back() -> None:
    """From here to there and back: another origin sees neither password nor cookie."""
    here_asked: list[bytes] = []
    there_asked: list[bytes] = []
    here_answers: dict[bytes, bytes] = {}
    there_answers: dict[bytes, bytes] = {}
    with (
        scripted(recording(here_asked, here_answers)) as here,
        scripted(recording(there_asked, there_answers)) as there,
    ):
        here_answers[b"/"] = redirect(f"{there.url}x", 307)
        ran = opskit(
            "bench",
            "--json",
            "-k",
            "-n",
            "6",
            "-c",
            "2",
            "-A",
            "me:secret",
            "-C",
            "sid=1",
            "--redirects",
            "1",
            here.url,
        )
    assert (ran.data["status"], ran.data["requests"]["good"]) == ({"200": 6}, 6)
    assert len(here_asked) == len(there_asked) == 6
    assert all(b"Authorization: " in each and b"Cookie: sid=1" in each for each in here_asked)
    assert not any(b"Authorization" in each or b"Cookie" in each for each in there_asked)


def test_from_https_to_http_and_back(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Authority(tmp_path).sign("server", "subjectAltName=IP:127.0.0.1"))
    plain_answers: dict[bytes, bytes] = {}
    safe_answers: dict[bytes, bytes] = {}
    with (
        scripted(recording([], plain_answers)) as plain,
        scripted(recording([], safe_answers), tls=context) as safe,
    ):
        plain_answers[b"/"] = redirect(f"https://127.0.0.1:{safe.port}/safe")
        safe_answers[b"/"] = redirect(f"{plain.url}plain")
        options = ("bench", "--json", "-k", "-n", "4", "--insecure", "--redirects", "1")
        up = opskit(*options, plain.url)
        down = opskit(*options, f"https://127.0.0.1:{safe.port}/")
    for ran in (up, down):
        assert (ran.data["status"], ran.data["requests"]["redirected"]) == ({"200": 4}, 4), ran.err


def test_a_script_is_shown_the_last_answer_once(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.py"
    hooks.write_text("def response(r):\n    print('shown', r.i, r.status, r.text)\n")
    with scripted(recording([], {b"/": redirect("/two")})) as server:
        ran = opskit("bench", "-q", "-k", "-n", "3", "--redirects", "2", "--script", str(hooks), server.url)
    assert ran.err.splitlines() == [f"shown {i} 200 ok" for i in range(3)]


def test_a_hop_whose_connection_was_closed_is_asked_again() -> None:
    """The server closes after each answer without saying so: a kept connection turns out to be gone."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(OK if b" /end " in request else redirect("/end"))

    with scripted(script) as server:
        ran = opskit("bench", "--json", "-k", "-n", "20", "-c", "2", "--redirects", "1", server.url)
    assert (ran.data["status"], ran.data["failures"]) == ({"200": 20}, {}), ran.err


def test_a_negative_number_is_refused() -> None:
    ran = opskit("bench", "--redirects", "-1", "http://127.0.0.1/")
    assert (ran.code, "--redirects -1" in ran.err) == (2, True)
