"""What a hostile reader, uploader, or directory can try, against a real server."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import httpx
import pytest

from opskit.pypi import server
from opskit.pypi.description import describe
from tests.command import opskit
from tests.programs import need
from tests.pypi.dists import metadata, put_wheel, sdist_bytes, wheel_bytes, wheel_name
from tests.pypi.servers import JSON, Index, serving, until
from tests.pypi.test_access import browser, log_in


def raw(index: Index, request: bytes, *, seconds: float = 10) -> bytes:
    """Bytes to the server, and all that comes back until it closes or falls silent."""
    host, _, port = index.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as peer:
        peer.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = peer.recv(65536)
            if not piece:
                break
            got += piece
        return got


def ask(index: Index, path: str, headers: str = "") -> bytes:
    return raw(index, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode("latin-1"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    place = tmp_path_factory.mktemp("hostile")
    put_wheel(place / "packages")
    (place / "secret.txt").write_text("the secret of this test")
    with serving(place / "packages") as running:
        yield running


@pytest.mark.parametrize(
    "start", ["/packages/", "/files/", "/files/0/", "/simple/", "/project/", "/+static/", "/"]
)
@pytest.mark.parametrize(
    "way", ["../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "..%5csecret.txt", ".opskit/index.db",
            "../.opskit/index.db", "%2e%2e%2f.opskit%2findex.db", "....//secret.txt", "/etc/passwd",
            "..%00/secret.txt"],
)  # fmt: skip
def test_no_way_leads_out_of_the_directory(hostile: Index, start: str, way: str) -> None:
    answer = ask(hostile, start + way)
    status = int(answer.split()[1])
    assert status in (301, 303, 400, 404), answer[:300]
    assert b"the secret" not in answer
    assert b"SQLite" not in answer


@pytest.mark.parametrize(
    "path", ["/simple/a%0d%0aX-Evil:%201/", "/a%0d%0aX-Evil:%201/", "/simple/%0d%0aX-Evil:1", "/%0aX-Evil:1",
             "/files/0/%0d%0aX-Evil:1", "/packages/%0d%0aX-Evil:1", "/project/%0d%0aX-Evil:1/",
             "/+login?next=/%0d%0aX-Evil:1"],
)  # fmt: skip
def test_no_header_can_be_smuggled_into_an_answer(hostile: Index, path: str) -> None:
    head = ask(hostile, path).split(b"\r\n\r\n")[0].lower()
    assert not re.search(rb"\n\s*x-evil", head), head


@pytest.mark.parametrize("name", ["ünïcode", "пакет", "acme‑tools", "ａcme", "a b", "a%00", "-x", "x\u202e", "K"])
def test_a_name_that_is_none_is_404_and_no_file_of_it_is_taken(hostile: Index, name: str) -> None:
    answer = hostile.get("/simple/" + name + "/", accept="*/*")
    assert answer.status_code == (301 if name == "K" else 404)
    if name != "K":
        refused = hostile.upload(f"{name}-1.0.tar.gz", sdist_bytes())
        assert refused.status_code == 400


def send_without_end(index: Index) -> None:
    host, _, port = index.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as peer:
        peer.sendall(b"GET /simple/ HTTP/1.1\r\nHost: x\r\n")
        for _ in range(10_000):
            peer.sendall(b"X-Big: " + b"x" * 8000 + b"\r\n")


def test_a_head_without_end_is_431(hostile: Index) -> None:
    answer = ask(hostile, "/simple/acme-tools/", "X-Big: " + "x" * (server._HEAD_LIMIT + 70_000) + "\r\n")
    assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 200")), answer[:80]
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_without_end(hostile)
    assert hostile.get("/health").status_code == 200


def test_a_head_that_never_ends_is_timed_out(packages: Path) -> None:
    """The real protocol in a server of its own, with a shorter patience."""
    put_wheel(packages)
    code = (
        "from opskit.pypi import server; server._HEAD_WITHIN_S = 1.0;"
        "from opskit.cli import main; import sys; sys.exit(main())"
    )
    import sys

    log = packages.parent / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "pypi", "serve", str(packages), "--port", "0"], stdout=out, stderr=out
        )
    try:
        until(lambda: re.search(r" at http://127\.0\.0\.1:\d+/\n", log.read_text()), 20)
        port = int(re.findall(r":(\d+)/\n", log.read_text())[0])
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200)
        for start in (b"", b"GET /simple/ HTTP/1.1\r\nHost: x\r\nX-Slow: "):
            with socket.create_connection(("127.0.0.1", port), timeout=15) as peer:
                peer.sendall(start)
                assert peer.recv(100).startswith(b"HTTP/1.1 408")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(3):  # an honest connection that rests in between lives on
                assert client.get("/simple/acme-tools/").status_code == 200
                time.sleep(0.7)
    finally:
        process.terminate()
        process.wait()


def test_a_body_without_end_is_not_taken(hostile: Index) -> None:
    for path in ("/RPC2", "/acme-tools/", "/+login"):
        answer = hostile.http.post(path, content=b"x" * 2_000_000)
        assert answer.status_code in (413, 405), (path, answer.status_code)


def test_two_lengths_are_refused(hostile: Index) -> None:
    body = b"0\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
    answer = raw(
        hostile,
        b"POST /simple/acme-tools/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        + body,
    )
    assert answer.startswith(b"HTTP/1.1 400")


def test_symbolic_links_in_circles_are_not_followed(packages: Path) -> None:
    put_wheel(packages)
    (packages / "a").symlink_to(packages)
    (packages / "b").symlink_to("..")
    (packages / "elsewhere-1.0.tar.gz").symlink_to("/etc/passwd")
    (packages / "gone-1.0.tar.gz").symlink_to("nowhere")
    with serving(packages) as index:
        assert [p["name"] for p in index.get("/simple/", accept=JSON).json()["projects"]] == [
            "acme-tools", "elsewhere"
        ]  # fmt: skip
        assert len(index.page("acme-tools")["files"]) == 1


def test_names_in_the_directory_that_no_encoding_has_are_passed_by(packages: Path) -> None:
    put_wheel(packages)
    for name in (b"foo-1.0\xff.tar.gz", b"\xe9-1.0.tar.gz", b"foo-1.0\n.tar.gz", b"<b>-1.0.tar.gz", b"-1.0.whl"):
        (Path(os.fsdecode(os.fsencode(packages) + b"/" + name))).write_bytes(b"x")
    with serving(packages) as index:
        assert index.filenames("acme-tools") == [wheel_name()]
        put_wheel(packages, "later")
        until(lambda: index.get("/simple/later/").status_code == 200)


EVIL = """\
# Title <script>alert(1)</script>

[click](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) <javascript:alert(1)>
[vb](VBScript:x) [sp]( java\tscript:alert(1)) [ent](&#106;avascript:alert(1)) [ok](https://example.org/)

<img src=x onerror=alert(1)> ![pixel](https://tracker.example/p.gif)
<iframe src="https://evil.example"></iframe>

"><script>alert(1)</script> `code` naïve Grüße 日本語
"""
EVIL_RST = """\
Title
=====
.. raw:: html

   <script>alert(1)</script>

.. include:: /etc/passwd
.. image:: https://tracker.example/p.gif
   :target: javascript:alert(1)
.. _bad: javascript:alert(1)

`click <javascript:alert(1)>`_ bad_ `ok <https://example.org/>`_ naïve Grüße

.. csv-table::
   :file: /etc/passwd
"""


@pytest.mark.parametrize(
    ("kind", "text"), [("text/markdown", EVIL), ("text/x-rst", EVIL_RST), ("text/plain", EVIL)]
)
def test_a_description_cannot_do_anything(kind: str, text: str) -> None:
    raw_ = metadata("x", "1", f"Description-Content-Type: {kind}\n", text).encode()
    html = describe(raw_).html
    assert "Grüße" in html
    tags = re.findall(r"<\s*([a-zA-Z0-9]+)([^>]*)>", html)
    assert not {tag.lower() for tag, _ in tags} & {"script", "iframe", "img", "object", "embed", "style", "form"}
    for _, attributes in tags:
        assert not re.search(r"\bon\w+\s*=", attributes)
        assert not re.search(r"(href|src)\s*=\s*[\"']?\s*(javascript|data|vbscript)", attributes, re.IGNORECASE)
    assert "root:" not in html
    if kind != "text/plain":
        assert 'href="https://example.org/"' in html


def test_metadata_is_shown_as_text_and_its_links_lead_nowhere_bad(hostile: Index) -> None:
    extra = (
        'Summary: <script>alert("summary")</script>\nAuthor: <b>Änn</b>\nLicense: </h1><script>x</script>\n'
        'Requires-Dist: x<script>\nHome-page: javascript:alert(1)\nProject-URL: <i>, https://example.org/"><script>\n'
        "Project-URL: data, data:text/html,x\nProject-URL: fine, https://example.org/fine\n"
        "Description-Content-Type: text/markdown\n"
    )
    body = wheel_bytes("evil-meta", extra=extra, description=EVIL)
    assert hostile.upload(wheel_name("evil-meta"), body).status_code == 200
    for path in (
        "/project/evil-meta/",
        "/",
        "/search?q=%3Cscript%3Ealert(1)",
        "/packages/",
        "/project/%3Cscript%3E/",
    ):
        answer = hostile.get(path, accept="text/html", user_agent="Mozilla/5.0")
        assert answer.status_code in (200, 404)
        assert "<script" not in answer.text.lower()
        assert "javascript:" not in re.sub(r">[^<]*<", "><", answer.text).lower()
    page = hostile.get("/project/evil-meta/").text
    assert "Änn" in page
    assert "https://example.org/fine" in page


def test_a_browser_runs_nothing_of_it_and_asks_nobody_else(hostile: Index, tmp_path: Path) -> None:
    body = wheel_bytes("evil-page", extra="Description-Content-Type: text/markdown\n", description=EVIL)
    assert hostile.upload(wheel_name("evil-page"), body).status_code == 200
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0"]  # fmt: skip
    words = [need("chromium"), *flags, "--dump-dom", f"{hostile.url}/project/evil-page/"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert "Grüße" in ran.stdout
    assert "<script" not in ran.stdout
    assert "Refused to" not in ran.stderr, "the page holds what its own policy must stop"


def test_a_cookie_ends_with_the_password_it_was_opened_with(tmp_path: Path) -> None:
    users = tmp_path / "htpasswd"

    def set_password(word: bytes) -> None:
        users.write_text("ann:" + bcrypt.hashpw(word, bcrypt.gensalt(4)).decode() + "\n")

    set_password(b"old")
    put_wheel(tmp_path / "packages")
    with serving(tmp_path / "packages", "-P", str(users), "-a", "list,download,update") as index:
        client, by_token = browser(index), browser(index)
        with client, by_token:
            log_in(client, "ann", "old")
            assert client.get("/project/acme-tools/").status_code == 200
            token = index.make_token("read")
            log_in(by_token, "", token)
            assert by_token.get("/project/acme-tools/").status_code == 200
            set_password(b"new")
            until(lambda: client.get("/project/acme-tools/").status_code == 401, 5)
            assert index.admin("token", "revoke", token.split("_")[1]).code == 0
            assert by_token.get("/project/acme-tools/").status_code == 401


def test_only_a_trusted_proxy_says_who_asks_and_by_which_scheme(tmp_path: Path) -> None:
    forwarded = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "accept": "text/html"}
    for options, address, scheme in [([], "127.0.0.1", "http"),
                                     (["--trusted-proxy", "127.0.0.1"], "203.0.113.7", "https")]:  # fmt: skip
        with serving(tmp_path / f"packages{len(options)}", *options) as index:
            body = wheel_bytes("proxied")
            assert index.upload(wheel_name("proxied"), body, headers=forwarded).status_code == 200
            entry = next(e for e in index.admin("log", "--json").data["entries"] if e["what"] == "upload")
            assert entry["from"] == address
            page = index.http.get("/", headers=forwarded | {"host": "pkgs.example"})
            assert f"{scheme}://pkgs.example/simple/" in page.text
    ran = opskit("pypi", "serve", str(tmp_path / "p"), "--trusted-proxy", "nonsense", "--port", "0")
    assert ran.code == 2
    assert "not an address or network" in ran.err


ODD_HOSTS = ["[", "a b", "x:abc", "<script>", 'a"b', "", "x/../y", "\xe9", "[::1]:80"]


@pytest.mark.parametrize("host", ODD_HOSTS)
def test_no_host_header_upsets_a_page(hostile: Index, host: str) -> None:
    for path in ("/", "/project/acme-tools/", "/+login", "/simple/", "/a/b/c"):
        answer = raw(
            hostile,
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nUser-Agent: Mozilla/5.0\r\n"
            "Connection: close\r\n\r\n".encode("latin-1"),
        )  # fmt: skip
        assert answer[:12] in (b"HTTP/1.1 200", b"HTTP/1.1 404"), answer[:200]
        assert b"<script" not in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x00\x01garbage\r\n\r\n", 400), (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404), (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PUT /simple/x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        (b"DELETE /project/acme-tools/ HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\r\nCookie: opskit_session=\xff; a\r\n\r\n", 401),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: opskit_session=zz7c; opskit_csrf=<x>\r\n\r\n", 200),
        (b"GET /search?q=%ff%00&page=99999999999999 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /+login?next=%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /simple/?format=%ff HTTP/1.1\r\nHost: x\r\n\r\n", 406),
    ],
)  # fmt: skip
def test_an_odd_request_gets_its_own_status(hostile: Index, request_: bytes, status: int) -> None:
    assert int(raw(hostile, request_).split()[1]) == status


def test_a_form_of_another_site_changes_nothing(hostile: Index) -> None:
    """Every form, each time with a right nonce, but from elsewhere."""
    with browser(hostile) as client:
        token = re.search(r'name="csrf" value="([^"]+)"', client.get("/+login").text)
        assert token
        for path in ("/+login", "/+logout", "/.tracker/kill"):
            for header in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
                form = {"csrf": token[1], "user": "", "password": hostile.token, "id": "1-1"}
                auth = httpx.BasicAuth("", hostile.token)
                answer = client.post(path, data=form, headers=header, auth=auth)
                assert answer.status_code == 403, (path, header)
                assert "opskit_session" not in answer.headers.get("set-cookie", "")
        parts = {"content": (wheel_name("forged"), wheel_bytes("forged"))}
        assert log_in(client, "", hostile.token, "/").status_code == 303
        answer = client.post("/legacy/", data={":action": "file_upload"}, files=parts)
        assert answer.status_code == 401, "a cookie is no authorization of an upload"
