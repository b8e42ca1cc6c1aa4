"""Who may do what: passwords, tokens, rights, the two ways to log in, the tracker, and forged forms."""

import base64
import hashlib
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import httpx
import pytest
from passlib.hash import apr_md5_crypt, sha512_crypt

from opskit.pypi.login import prefers_form, safe_target
from tests.command import opskit
from tests.pypi.dists import put_wheel, wheel_bytes, wheel_name
from tests.pypi.servers import JSON, Index, serving, until

JSON_ACCEPT = f"{JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
UV_PUBLISH = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"

# What clients really send, and which way to log in each must get.
CLIENTS = {
    "pip 26": ({"user-agent": 'pip/26.3 {"python":"3.11"}', "accept": JSON_ACCEPT}, False),
    "pip 22.1": ({"user-agent": "pip/22.1", "accept": "text/html"}, False),
    "pip 9": ({"user-agent": "pip/9.0.1", "accept": "text/html"}, False),
    "setuptools": ({"user-agent": "setuptools/58 Python-urllib/3.9", "accept": "text/html"}, False),
    "easy_install": ({"user-agent": "Python-urllib/2.7 setuptools/36", "accept": "text/html,*/*"}, False),
    "uv": ({"user-agent": "uv/0.13.9", "accept": f"{JSON}, text/html;q=0.01"}, False),
    "uv publish": ({"user-agent": "uv/0.13.9", "accept": UV_PUBLISH}, False),
    "poetry": ({"user-agent": "poetry/2.5.1 CPython/3.11", "accept": JSON_ACCEPT}, False),
    "pdm": ({"user-agent": "pdm/2.29.4", "accept": f"{JSON}, text/html; q=0.01, */*; q=0.001"}, False),
    "hatch": ({"user-agent": "Hatch/1.18.2", "accept": "*/*"}, False),
    "flit": ({"user-agent": "flit/4.2.0", "accept": "*/*"}, False),
    "twine": ({"user-agent": "twine/7.0.0", "accept": "*/*"}, False),
    "requests": ({"user-agent": "python-requests/2.32", "accept": "*/*"}, False),
    "curl": ({"user-agent": "curl/8.9.1", "accept": "*/*"}, False),
    "wget": ({"user-agent": "Wget/1.24", "accept": "text/html,*/*;q=0.9"}, False),
    "git": ({"user-agent": "git/2.45.0", "accept": "*/*"}, False),
    "devpi mirror": ({"user-agent": "devpi-server/6.20", "accept": "text/html"}, False),
    "Artifactory": ({"user-agent": "Artifactory/7.132", "accept": "text/html"}, False),
    "nothing said": ({}, False),
    "a script": ({"user-agent": "my-script", "accept": "application/json, text/html"}, False),
    "Chrome": (
        {"user-agent": "Mozilla/5.0 Chrome/141", "accept": CHROME, "sec-fetch-mode": "navigate"},
        True,
    ),
    "Firefox": (
        {"user-agent": "Mozilla/5.0 Firefox/145", "accept": FIREFOX, "sec-fetch-mode": "navigate"},
        True,
    ),
    "Safari of old": ({"user-agent": "Mozilla/5.0 Safari/602", "accept": FIREFOX}, True),
    "lynx": ({"user-agent": "Lynx/2.9", "accept": "text/html, text/plain, text/css, */*;q=0.01"}, True),
    "fetch() of a page": ({"user-agent": "Mozilla/5.0", "accept": "*/*", "sec-fetch-mode": "cors"}, False),
    "an image of a page": (
        {"user-agent": "Mozilla/5.0", "accept": CHROME, "sec-fetch-mode": "no-cors"},
        False,
    ),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_each_client_gets_its_own_way_to_log_in(guarded: Index, name: str) -> None:
    headers, form = CLIENTS[name]
    request = guarded.http.build_request("GET", "/simple/acme-tools/")
    for header in ("user-agent", "accept", "accept-encoding"):
        del request.headers[header]
    request.headers.update(headers)
    answer = guarded.http.send(request)
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert ("Basic" in challenge) is not form
    assert ("<form" in answer.text) is form
    assert "Accept" in answer.headers["vary"]


def test_who_wants_basic_can_say_so() -> None:
    assert not prefers_form({b"accept": CHROME.encode(), b"sec-fetch-mode": b"navigate"}, b"auth=basic")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """A server where everything needs a password, of four users in the formats that are safe."""
    place = tmp_path_factory.mktemp("guarded")
    put_wheel(place / "packages")
    put_wheel(place / "packages", "secret-plans")
    users = {
        "ann": bcrypt.hashpw(b"ann's", bcrypt.gensalt(10)).decode().replace("$2b$", "$2y$"),
        "bob": sha512_crypt.using(rounds=5000).hash("bob's"),
        "cyd": apr_md5_crypt.hash("cyd's"),
        "eve": bcrypt.hashpw(b"eve's", bcrypt.gensalt(4)).decode(),
    }
    (place / "htpasswd").write_text("".join(f"{user}:{digest}\n" for user, digest in users.items()))
    with serving(
        place / "packages", "-P", str(place / "htpasswd"), "-a", "list,download,update", "--admin", "ann",
        "--grant", "bob=read:acme-*", "--grant", "bob=upload:acme-*",
    ) as running:  # fmt: skip
        until(lambda: running.http.get("/simple/acme-tools/", auth=("ann", "ann's")).status_code == 200)
        yield running


@pytest.mark.parametrize("user", ["ann", "bob", "cyd"])
def test_every_safe_password_format_works(guarded: Index, user: str) -> None:
    assert guarded.http.get("/simple/acme-tools/", auth=(user, f"{user}'s")).status_code == 200


def test_a_wrong_password_is_401_and_never_becomes_anonymous(guarded: Index) -> None:
    answer = guarded.http.get("/simple/acme-tools/", auth=("ann", "wrong"), headers={"accept": "*/*"})
    assert answer.status_code == 401
    assert "wrong user, password or token" in answer.reason_phrase


def test_rights_hold_per_project_and_a_private_name_is_403(guarded: Index) -> None:
    bob = ("bob", "bob's")
    assert guarded.http.get("/simple/acme-tools/", auth=bob).status_code == 200
    for path in ("/simple/secret-plans/", "/simple/not-there-at-all/", "/project/secret-plans/"):
        assert guarded.http.get(path, auth=bob).status_code == 403
    listed = guarded.http.get("/simple/", auth=bob, headers={"accept": JSON}).json()["projects"]
    assert listed == [{"name": "acme-tools"}]
    url = guarded.http.get("/simple/secret-plans/", auth=("ann", "ann's"), headers={"accept": JSON}).json()
    file = url["files"][0]["url"]
    assert guarded.http.get(f"/simple/x/{file}", auth=bob).status_code == 403
    assert guarded.http.get(f"/simple/x/{file}").status_code == 401
    assert guarded.http.get(f"/simple/x/{file}.metadata", auth=bob).status_code == 403
    assert guarded.http.get("/packages/", auth=bob).status_code == 403


def test_uploads_follow_the_rights(guarded: Index) -> None:
    assert guarded.upload(wheel_name("acme-x"), wheel_bytes("acme-x"), auth=("bob", "bob's")).status_code == 200
    other = guarded.upload(wheel_name("other"), wheel_bytes("other"), auth=("bob", "bob's"))
    assert other.status_code == 403
    assert "bob may not upload other" in other.reason_phrase
    assert guarded.upload(wheel_name("other"), wheel_bytes("other"), auth=("cyd", "cyd's")).status_code == 200


def test_tokens_have_scopes_an_end_and_can_be_revoked(guarded: Index) -> None:
    reader = guarded.make_token("read:acme-*", name="ci")
    writer = guarded.make_token("upload:tok-*", expires="90d")
    assert guarded.http.get("/simple/acme-tools/", auth=("__token__", reader)).status_code == 200
    bearer = {"authorization": f"Bearer {reader}"}
    assert guarded.http.get("/simple/acme-tools/", headers=bearer).status_code == 200
    assert guarded.http.get("/simple/secret-plans/", auth=("x", reader)).status_code == 403
    assert guarded.upload(wheel_name("acme-y"), wheel_bytes("acme-y"), token=reader).status_code == 403
    assert guarded.upload(wheel_name("tok-a"), wheel_bytes("tok-a"), token=writer).status_code == 200
    rows = guarded.admin("token", "list", "--json").data["tokens"]
    row = next(row for row in rows if row["id"] == reader.split("_")[1])
    assert (row["name"], row["rights"], row["live"]) == ("ci", ["list,download:acme-*"], True)
    assert guarded.admin("token", "revoke", row["id"]).code == 0
    assert guarded.http.get("/simple/acme-tools/", headers={**bearer, "accept": "*/*"}).status_code == 401
    assert guarded.admin("token", "revoke", row["id"]).code == 2


def test_an_expired_token_is_refused(guarded: Index) -> None:
    token = guarded.make_token("read", expires="1s")
    time.sleep(1.1)
    assert guarded.http.get("/simple/acme-tools/", auth=("", token), headers={"accept": "*/*"}).status_code == 401


def test_a_token_that_was_used_ends_all_the_same(guarded: Index) -> None:
    token = guarded.make_token("read", expires="2s")
    headers = {"authorization": f"Bearer {token}", "accept": "*/*"}
    assert guarded.http.get("/simple/acme-tools/", headers=headers).status_code == 200
    until(lambda: guarded.http.get("/simple/acme-tools/", headers=headers).status_code == 401)
    assert guarded.http.get("/simple/", headers=headers).status_code == 401


def test_a_token_is_nowhere_in_the_clear(guarded: Index) -> None:
    token = guarded.make_token("read")
    guarded.http.get("/simple/acme-tools/", auth=("", token))
    secret = token.rpartition("_")[2].encode()
    for path in (guarded.directory / ".opskit").iterdir():
        if path.is_file():
            assert secret not in path.read_bytes()
    assert token not in guarded.log.read_text()


def test_guessing_is_slowed_down_and_an_empty_password_is_no_guess(tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text("ann:" + bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode() + "\n")
    put_wheel(tmp_path / "packages")
    with serving(tmp_path / "packages", "-P", str(tmp_path / "htpasswd"), "-a", "list,download,update") as index:
        plain = {"accept": "*/*"}
        for _ in range(30):
            assert index.http.get("/simple/", auth=("ann", ""), headers=plain).status_code == 401
        started = time.monotonic()
        assert index.http.get("/simple/", auth=("ann", "right")).status_code == 200
        assert time.monotonic() - started < 3, "30 failures would make this account wait for 4 s"
        times = []
        for number in range(8):
            started = time.monotonic()
            assert index.http.get("/simple/", auth=("ann", f"guess{number}"), headers=plain).status_code == 401
            times.append(time.monotonic() - started)
        assert min(times[:3]) < max(times) / 2
        assert sum(times) > 1.5
        # Whoever is in already stays in, and the right password is only slow, not locked out.
        assert index.http.get("/simple/", auth=("ann", "right")).status_code == 200
        assert index.http.get("/simple/", auth=("__token__", index.make_token("read"))).status_code == 200


def test_unsafe_password_files_are_refused(tmp_path: Path) -> None:
    sha1 = "{SHA}" + base64.b64encode(hashlib.sha1(b"x").digest()).decode()
    for content, words in [
        ("ann:plain\n", "plain text"), (f"ann:{sha1}\n", "plain text or in a broken format"),
        ("ann\n", "line 1 is not USER:HASH"), ("ann:rl0uE9yl4Jzmk\n", "broken format"),
    ]:  # fmt: skip
        (tmp_path / "bad").write_text(content)
        ran = opskit("pypi", "serve", str(tmp_path / "p"), "-P", str(tmp_path / "bad"), "--port", "0")
        assert ran.code == 2
        assert words in ran.err
        assert "htpasswd -B" in ran.err
    ran = opskit("pypi", "serve", str(tmp_path / "p"), "-P", str(tmp_path / "missing"), "--port", "0")
    assert ran.code == 2
    assert "cannot read the password file" in ran.err


def test_nobody_is_asked_when_the_words_of_pypiserver_say_so(packages: Path) -> None:
    with serving(packages, "-P", ".", "-a", ".") as index:
        assert index.token == ""
        form = {":action": "file_upload"}
        files = {"content": (wheel_name("free"), wheel_bytes("free"))}
        assert index.http.post("/", data=form, files=files).status_code == 200
    assert opskit("pypi", "serve", str(packages), "-P", ".", "--port", "0").code == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--host", "0.0.0.0"], "no TLS"), (["--host", "0.0.0.0"], "no users")],
)
def test_listening_beyond_loopback_needs_tls_and_users(packages: Path, options: list[str], words: str) -> None:
    ran = opskit("pypi", "serve", str(packages), "--port", "0", *options)
    assert ran.code == 2
    assert words in ran.err
    assert "--insecure-http" in ran.err


def test_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is not installed: apt install openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    put_wheel(tmp_path / "packages")
    with serving(tmp_path / "packages", "--tls-cert", str(cert), "--tls-key", str(key)) as index:
        assert index.url.startswith("https://")
        with httpx.Client(verify=ssl.create_default_context(cafile=cert), trust_env=False) as client:
            assert client.get(index.url + "/simple/acme-tools/").status_code == 200
    ran = opskit(
        "pypi", "serve", str(tmp_path / "p"), "--tls-cert", str(key), "--tls-key", str(key), "--port", "0"
    )
    assert ran.code == 3
    assert "PEM files that belong together" in ran.err


@pytest.mark.parametrize("path", ["/simple/not-here/", "/project/not-here/", "/a/b/c", "/files/0/x"])
def test_people_get_an_error_page_and_programs_the_reason(index: Index, path: str) -> None:
    with browser(index) as client:
        page = client.get(path)
        assert page.status_code == 404
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.reason_phrase in page.text
    for accept, kind in [("*/*", "text/plain; charset=utf-8"), (JSON_ACCEPT, "text/plain; charset=utf-8"),
                         ("application/json, */*;q=0.1", "application/json")]:  # fmt: skip
        answer = index.get(path, accept=accept)
        assert (answer.status_code, answer.headers["content-type"]) == (404, kind)
        assert answer.reason_phrase in answer.text
        assert "Accept" in answer.headers["vary"]


# A browser's session


def browser(index: Index) -> httpx.Client:
    headers = {"accept": CHROME, "sec-fetch-mode": "navigate", "user-agent": "Mozilla/5.0"}
    return httpx.Client(base_url=index.url, headers=headers, trust_env=False)


def csrf(answer: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found
    return found[1]


def log_in(client: httpx.Client, user: str, password: str, target: str = "/project/acme-tools/") -> httpx.Response:
    form = client.get("/+login")
    return client.post("/+login", data={"user": user, "password": password, "csrf": csrf(form), "next": target})


def test_a_browser_logs_in_stays_in_and_logs_out(guarded: Index) -> None:
    with browser(guarded) as client:
        assert client.get("/project/acme-tools/").status_code == 401
        answer = log_in(client, "ann", "ann's")
        assert (answer.status_code, answer.headers["location"]) == (303, "/project/acme-tools/")
        cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("opskit_session"))
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        page = client.get("/project/acme-tools/")
        assert page.status_code == 200
        assert "Log out" in page.text
        assert client.post("/+logout", data={"csrf": csrf(page)}).status_code == 303
        assert client.get("/project/acme-tools/").status_code == 401


def test_a_wrong_password_shows_the_form_again_and_says_so(guarded: Index) -> None:
    with browser(guarded) as client:
        answer = log_in(client, "eve", "wrong")
        assert answer.status_code == 401
        assert "wrong user, password or token" in answer.text


def test_a_cookie_that_was_touched_is_nobody(guarded: Index) -> None:
    with browser(guarded) as client:
        log_in(client, "ann", "ann's")
        value = client.cookies["opskit_session"]
        text = bytes.fromhex(value).decode().replace("ann", "cyd").encode().hex()
        for forged in (text, value[:-2] + "00", "zz", "00"):
            client.cookies.clear()
            client.cookies.set("opskit_session", forged)
            assert client.get("/project/acme-tools/").status_code == 401


def test_an_upload_does_not_take_a_cookie(guarded: Index) -> None:
    with browser(guarded) as client:
        log_in(client, "ann", "ann's")
        files = {"content": (wheel_name("cookie"), wheel_bytes("cookie"))}
        answer = client.post("/legacy/", data={":action": "file_upload"}, files=files)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "change", [{"csrf": "1.00"}, {"csrf": ""}, {"headers": {"origin": "https://evil.example"}},
               {"headers": {"sec-fetch-site": "cross-site"}}],
)  # fmt: skip
def test_a_forged_form_is_refused(guarded: Index, change: dict[str, object]) -> None:
    with browser(guarded) as client:
        form = {"user": "ann", "password": "ann's", "csrf": csrf(client.get("/+login")), "next": "/"}
        headers = change.pop("headers", {})
        answer = client.post("/+login", data=form | change, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb", "x"],
)
def test_after_the_log_in_nobody_is_sent_elsewhere(target: str) -> None:
    assert safe_target(target) == "/"
    assert safe_target("/project/x/?q=1") == "/project/x/?q=1"


# The tracker


def slow_upload(index: Index) -> socket.socket:
    host, _, port = index.url.removeprefix("http://").partition(":")
    basic = base64.b64encode(b"cyd:cyd's").decode()
    peer = socket.create_connection((host, int(port)))
    peer.sendall(
        f"POST /legacy/?token=s3cret HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n"
        "Content-Length: 99999\r\n"
        "User-Agent: slow-client\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="content"; filename="s-1.0.tar.gz"\r\n\r\nabc'.encode()
    )
    return peer


def tracked(index: Index, auth: tuple[str, str] = ("ann", "ann's")) -> list[dict[str, object]]:
    answer = index.http.get("/.tracker", auth=auth, headers={"accept": "application/json"})
    assert answer.status_code == 200
    found: list[dict[str, object]] = answer.json()["requests"]
    return found


def test_the_tracker_shows_a_request_in_flight_and_kills_it(guarded: Index) -> None:
    with slow_upload(guarded) as peer:
        until(lambda: tracked(guarded) and tracked(guarded)[0]["user"] == "cyd")
        one = tracked(guarded)[0]
        assert (one["method"], one["agent"], one["phase"]) == ("POST", "slow-client", "reading")
        assert int(str(one["received"])) > 3
        assert "s3cret" not in json.dumps(one)
        assert any("_receive" in line for line in one["stack"])  # type: ignore[attr-defined]
        html = guarded.http.get("/.tracker", auth=("ann", "ann's"), headers={"accept": CHROME})
        assert 'http-equiv="refresh"' in html.text
        assert "slow-client" in html.text
        assert "<details><summary>" in html.text
        held = guarded.http.get("/.tracker?hold", auth=("ann", "ann's"), headers={"accept": CHROME})
        assert "http-equiv" not in held.text
        assert "<details open><summary>" in held.text
        guarded.http.cookies.clear()  # what has no cookies and no origin is no browser
        answer = guarded.http.post("/.tracker/kill", data={"id": one["id"]}, auth=("ann", "ann's"))
        assert answer.status_code == 303
        assert b"503 stopped by an administrator" in peer.recv(4096)
    until(lambda: tracked(guarded) == [])
    assert any(e["what"] == "kill" and e["who"] == "ann" for e in guarded.admin("log", "--json").data["entries"])
    assert not list((guarded.directory / ".opskit" / "incoming").iterdir())


def test_a_server_that_stops_answers_what_it_still_had(tmp_path: Path) -> None:
    with serving(tmp_path / "packages") as index:
        host, _, port = index.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as peer:
            peer.sendall(
                f"POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {index.token}\r\n"
                "Content-Length: 9999\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n--x".encode()
            )
            until(lambda: len(tracked(index, ("", index.token))) == 1)
            index.stop()
            assert peer.recv(200).startswith(b"HTTP/1.1 503 the server is stopping")
        assert "Traceback" not in index.log.read_text()


def test_the_tracker_is_for_administrators(guarded: Index) -> None:
    guarded.http.cookies.clear()
    assert guarded.http.get("/.tracker", headers={"accept": "*/*"}).status_code == 401
    assert guarded.http.get("/.tracker", auth=("cyd", "cyd's")).status_code == 403
    assert guarded.http.post("/.tracker/kill", data={"id": "1-1"}, auth=("cyd", "cyd's")).status_code == 403
    assert guarded.http.post("/.tracker/kill", data={"id": "x"}, auth=("ann", "ann's")).status_code == 400
    forged = {"origin": "https://evil.example"}
    answer = guarded.http.post("/.tracker/kill", data={"id": "1-1"}, auth=("ann", "ann's"), headers=forged)
    assert answer.status_code == 403


def test_the_tracker_sees_all_workers(tmp_path: Path) -> None:
    with serving(tmp_path / "packages", "--workers", "2") as index:
        me = ("__token__", index.token)
        until(lambda: index.http.get("/.tracker?format=json", auth=me).json()["workers"] == 2)
        host, _, port = index.url.removeprefix("http://").partition(":")
        peers = [socket.create_connection((host, int(port))) for _ in range(8)]
        for peer in peers:
            peer.sendall(
                f"POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {index.token}\r\n"
                "Content-Length: 9999\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n--x".encode()
            )
        until(lambda: len(tracked(index, me)) == 8)
        assert len({one["worker"] for one in tracked(index, me)}) == 2
        for one in tracked(index, me):
            assert index.http.post("/.tracker/kill", data={"id": one["id"]}, auth=me).status_code == 303
        for peer in peers:
            assert peer.recv(100).startswith(b"HTTP/1.1 503 stopped")
            peer.close()


def test_a_password_is_not_paid_for_on_every_request(guarded: Index) -> None:
    guarded.http.get("/simple/acme-tools/", auth=("ann", "ann's"))
    started = time.monotonic()
    for _ in range(50):
        assert guarded.http.get("/simple/acme-tools/", auth=("ann", "ann's")).status_code == 200
    assert time.monotonic() - started < 50 * 0.05, "bcrypt of cost 10 alone takes 60 ms"


def test_a_changed_password_file_counts_within_a_second(tmp_path: Path) -> None:
    users = tmp_path / "htpasswd"
    users.write_text("ann:" + bcrypt.hashpw(b"old", bcrypt.gensalt(4)).decode() + "\n")
    with serving(tmp_path / "packages", "-P", str(users), "-a", "list,download,update") as index:
        assert index.http.get("/simple/", auth=("ann", "old")).status_code == 200
        users.write_text("ann:" + bcrypt.hashpw(b"new!", bcrypt.gensalt(4)).decode() + "\n")
        basic = {"accept": "*/*"}
        until(lambda: index.http.get("/simple/", auth=("ann", "old"), headers=basic).status_code == 401, 3)
        assert index.http.get("/simple/", auth=("ann", "new!")).status_code == 200
