"""The index behind this one: another real server, a lying one, and none at all."""

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from opskit.pypi import foreign
from opskit.pypi.plan import UpstreamRules
from tests.command import opskit
from tests.pypi.dists import put_wheel, sdist_bytes, sdist_name, wheel_bytes, wheel_name
from tests.pypi.servers import JSON, Index, serving, start, until
from tests.pypi.test_clients import install, installed
from tests.pypi.test_read import scan_held_up


class Public:
    """A small static index that counts what is asked of it, and can lie."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.chunk_delay = 0.0
        self.hold: threading.Event | None = None  # what the last piece of a body waits for
        self.ranges = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if handler.path in self.pages:
            kind, body = self.pages[handler.path]
            self.send(handler, 200, body, kind)
        elif handler.path in self.files:
            self.send_file(handler, self.files[handler.path])
        else:
            self.send(handler, 404, b"no", "text/plain")

    def send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, **more: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for key, value in more.items():
            handler.send_header(key.replace("_", "-"), value)
        handler.end_headers()
        for at in range(0, len(body), 100_000):
            if self.hold and at + 100_000 >= len(body):
                self.hold.wait(60)
            handler.wfile.write(body[at : at + 100_000])
            time.sleep(self.chunk_delay)

    def send_file(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        wanted = handler.headers.get("Range", "")
        if not wanted or not self.ranges:
            self.send(handler, 200, body, "application/octet-stream")
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(body) - int(last))
        end = int(last) + 1 if first and last else len(body)
        total = f"bytes {start}-{min(end, len(body)) - 1}/{len(body)}"
        self.send(handler, 206, body[start:end], "application/octet-stream", Content_Range=total)

    def publish(
        self,
        project: str,
        *files: tuple[str, bytes],
        age_days: float = 30,
        more: dict[str, Any] | None = None,
    ) -> None:
        """A project page in JSON; `more` goes into every file's entry."""
        entries = []
        for filename, body in files:
            self.files[f"/f/{filename}"] = body
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - age_days * 86400))
            entries.append(
                {"filename": filename, "url": f"/f/{filename}", "size": len(body), "upload-time": when,
                 "hashes": {"sha256": hashlib.sha256(body).hexdigest()}, **(more or {})}
            )  # fmt: skip
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": entries}
        self.pages[f"/simple/{project}/"] = (JSON, json.dumps(page).encode())

    def count(self, part: str) -> int:
        return sum(part in path for path in self.asked)


@pytest.fixture
def public() -> Iterator[Public]:
    server = Public()
    yield server
    server.server.shutdown()
    server.server.server_close()
    server.thread.join()


def fetch(index: Index, project: str, number: int = 0) -> bytes:
    answer = index.get(f"/simple/{project}/{index.page(project)['files'][number]['url']}")
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_page_and_a_file_come_through_and_are_kept(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower", "1.0", files={"flower/x.bin": bytes(range(256)) * 2000})
    public.publish("flower", (wheel_name("flower"), body), more={"requires-python": ">=3.8", "yanked": "a reason"})
    with serving(packages, "--upstream", public.url) as index:
        file = index.page("flower")["files"][0]
        assert (file["requires-python"], file["yanked"], file["size"]) == (">=3.8", "a reason", len(body))
        assert fetch(index, "flower") == body
        assert fetch(index, "flower") == body
        assert index.get(f"/simple/flower/{file['url']}", range="bytes=5-9").content == body[5:10]
        assert public.count("/f/flower") == 1
        assert public.count("/simple/flower/") == 1
        assert index.get("/simple/nothing/").status_code == 404
        assert index.get("/project/flower/").status_code == 200


def test_what_was_fetched_is_served_when_upstream_is_gone(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower")
    public.publish("flower", (wheel_name("flower"), body))
    with serving(packages, "--upstream", public.url) as index:
        assert fetch(index, "flower") == body
    asked = len(public.asked)
    with serving(packages, "--upstream", public.url, "--offline") as index:
        assert fetch(index, "flower") == body
        answer = index.get("/simple/other/")
        assert (answer.status_code, "--offline" in answer.text) == (404, True)
    assert len(public.asked) == asked
    with serving(packages, "--upstream", "http://127.0.0.1:9/simple/") as index:
        answer = index.get("/simple/other/")
        assert answer.status_code == 502
        assert "cannot be asked" in answer.reason_phrase


def test_one_fetch_however_many_ask(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower", files={"flower/x.bin": hashlib.sha512(b"x").digest() * 20_000})
    public.publish("flower", (wheel_name("flower"), body))
    public.chunk_delay = 0.02
    with serving(packages, "--upstream", public.url) as index:
        url = f"/simple/flower/{index.page('flower')['files'][0]['url']}"
        got: list[bytes] = []
        threads = [threading.Thread(target=lambda: got.append(index.get(url).content)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [body] * 12
        assert public.count("/f/flower") == 1


def test_metadata_is_fetched_once_however_many_ask(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower")
    public.publish("flower", (wheel_name("flower"), body), more={"core-metadata": True})
    public.files[f"/f/{wheel_name('flower')}.metadata"] = b"Metadata-Version: 2.1\nName: flower\nVersion: 1.0\n"
    public.chunk_delay = 0.3
    with serving(packages, "--upstream", public.url) as index, ThreadPoolExecutor(12) as pool:
        url = f"/simple/flower/{index.page('flower')['files'][0]['url']}.metadata"
        got = {answer.content for answer in pool.map(index.get, [url] * 12)}
        assert got == {public.files[f"/f/{wheel_name('flower')}.metadata"]}
        assert public.count(".metadata") == 1


def test_a_range_follows_the_file_that_still_arrives(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower", files={"flower/x.bin": os.urandom(3_000_000)})
    public.publish("flower", (wheel_name("flower"), body))
    with serving(packages, "--upstream", public.url) as index:
        url = f"/simple/flower/{index.page('flower')['files'][0]['url']}"
        public.hold = threading.Event()
        with index.http.stream("GET", url, headers={"range": "bytes=1000-"}) as answer:
            assert (answer.status_code, answer.headers["content-length"]) == (206, str(len(body) - 1000))
            got = b""
            for piece in answer.iter_raw():
                got += piece
                if len(got) > 2_000_000:  # so much has come although upstream still holds its end back
                    public.hold.set()
        assert got == body[1000:]
        assert public.hold.is_set()
        head = index.http.head(url)
        assert (head.headers["content-length"], head.headers["etag"]) == (str(len(body)), answer.headers["etag"])
        assert head.headers["last-modified"] == answer.headers["last-modified"]
        assert public.count("/f/") == 1


def test_a_second_worker_follows_the_fetch_of_the_first(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower", files={"flower/x.bin": os.urandom(3_000_000)})
    public.publish("flower", (wheel_name("flower"), body))
    with serving(packages, "--upstream", public.url, "--workers", "2") as index:
        url = f"{index.url}/simple/flower/{index.page('flower')['files'][0]['url']}"
        hold = public.hold = threading.Event()
        everybody = threading.Barrier(16, action=hold.set, timeout=50)

        def read(_: int) -> bytes:
            got, met = b"", False
            with httpx.stream("GET", url, timeout=90, trust_env=False) as answer:
                for piece in answer.iter_raw():
                    got += piece
                    if not met and len(got) > 1_000_000:
                        met = True
                        everybody.wait()  # broken if one of them has to wait for the whole file
            return got

        with ThreadPoolExecutor(16) as pool:  # so many connections that each worker gets some
            assert set(pool.map(read, range(16))) == {body}
        assert public.count("/f/") == 1


def test_a_fetch_whose_worker_is_killed_is_done_by_another(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower", files={"flower/x.bin": os.urandom(3_000_000)})
    public.publish("flower", (wheel_name("flower"), body))
    with serving(packages, "--upstream", public.url) as one, serving(packages, "--upstream", public.url) as other:
        url = f"/simple/flower/{one.page('flower')['files'][0]['url']}"
        public.chunk_delay = 0.2
        with one.http.stream("GET", url) as answer:
            next(answer.iter_raw())
            one.process.kill()
            one.process.wait()
        public.chunk_delay = 0
        assert other.get(url).content == body
        assert not list(packages.rglob(".part"))


def test_the_cache_keeps_its_size_and_what_was_used_last(packages: Path, public: Public) -> None:
    for name in ("a", "b", "c", "d"):
        body = wheel_bytes(name, files={f"{name}/x.bin": os.urandom(1_000_000)})
        public.publish(name, (wheel_name(name), body))
    with serving(packages, "--upstream", public.url, "--cache-size", "3.5MiB") as index:
        for name in ("a", "b", "c"):
            fetch(index, name)
        fetch(index, "a")  # b is now the one that was not used for longest
        fetch(index, "d")
        kept = {path.name[0] for path in (packages / ".opskit" / "cache").rglob("*.whl")}
        assert kept == {"a", "c", "d"}
        before = public.count("/f/")
        fetch(index, "b")
        assert public.count("/f/") == before + 1


def test_other_bytes_than_promised_never_arrive_complete(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower", files={"flower/x.bin": bytes(400_000)})
    public.publish("flower", (wheel_name("flower"), body))
    public.files["/f/" + wheel_name("flower")] = body[:-1] + b"!"
    with serving(packages, "--upstream", public.url) as index:
        url = f"/simple/flower/{index.page('flower')['files'][0]['url']}"
        with contextlib.suppress(httpx.RemoteProtocolError):  # broken off before its last byte, or refused
            assert index.get(url).status_code == 502
        assert not list(packages.rglob("flower*.whl"))
        with contextlib.suppress(httpx.RemoteProtocolError):  # nor is a piece of it complete
            assert index.get(url, range="bytes=0-5").status_code == 502


def test_core_metadata_is_made_for_wheels_that_lack_it(packages: Path, public: Public) -> None:
    body = wheel_bytes(
        "flower", files={"flower/x.bin": hashlib.sha512(b"y").digest() * 9_000}, extra="Requires-Dist: a\n"
    )
    public.publish("flower", (wheel_name("flower"), body), (sdist_name("flower"), sdist_bytes("flower")))
    for ranges in (True, False):
        public.ranges = ranges
        with serving(packages / str(ranges), "--upstream", public.url) as index:
            files = {file["filename"]: file for file in index.page("flower")["files"]}
            assert files[wheel_name("flower")]["core-metadata"] is True
            assert "core-metadata" not in files[sdist_name("flower")]
            url = f"/simple/flower/{files[wheel_name('flower')]['url']}"
            if not ranges:
                assert index.get(url).status_code == 200
            answer = index.get(url + ".metadata")
            assert b"Requires-Dist: a" in answer.content
            assert index.get(url + ".metadata", if_none_match=answer.headers["etag"]).status_code == 304


@pytest.mark.parametrize(("told", "passed"), [("https://up.example/p", True), ("http://up.example/p", False)])
def test_the_provenance_of_upstream_is_passed_on(
    packages: Path, public: Public, told: str, *, passed: bool
) -> None:
    public.publish("flower", (wheel_name("flower"), wheel_bytes("flower")), more={"provenance": told})
    with (
        serving(packages, "--upstream", public.url) as index,
        serving(packages.parent / "behind", "--upstream", f"{index.url}/simple/") as behind,
    ):
        for one in (index, behind):
            assert one.page("flower")["files"][0].get("provenance") == (told if passed else None)
            html = one.get("/simple/flower/", accept="text/html").text
            assert (f'data-provenance="{told}"' in html) is passed
    public.pages["/simple/flower/"] = (
        "text/html",
        (f'<a href="/f/x#sha256={"0" * 64}" data-provenance="{told}">{wheel_name("flower")}</a>').encode(),
    )
    page = foreign.parse(public.pages["/simple/flower/"][1], "text/html", public.url)
    assert page.files[0].provenance == (told if passed else None)


def test_html_upstream_is_understood(packages: Path, public: Public) -> None:
    body = wheel_bytes("flower")
    public.files["/f/" + wheel_name("flower")] = body
    digest = hashlib.sha256(body).hexdigest()
    anchor = (
        f'<a href="../../f/{wheel_name("flower")}#sha256={digest}" data-requires-python="&gt;=3.8"'
        ' data-yanked="why &amp; so">x</a>'
    )
    public.pages["/simple/flower/"] = ("text/html", anchor.encode())
    with serving(packages, "--upstream", public.url) as index:
        file = index.page("flower")["files"][0]
        assert (file["requires-python"], file["yanked"]) == (">=3.8", "why & so")
        assert fetch(index, "flower") == body


def test_one_of_us_behind_one_of_us(tmp_path: Path) -> None:
    put_wheel(tmp_path / "a", "flower")
    with serving(tmp_path / "a") as behind:
        until(lambda: behind.get("/simple/flower/").status_code == 200)
        with serving(tmp_path / "b", "--upstream", f"{behind.url}/simple/") as index:
            before, after = behind.page("flower"), index.page("flower")
            assert after["files"][0] == before["files"][0]
            assert fetch(index, "flower") == fetch(behind, "flower")


# Dependency confusion


def test_the_attack_never_arrives(packages: Path, public: Public) -> None:
    """The public index has our private names with higher versions; it is never even asked."""
    put_wheel(packages, "acme-tools", "1.0")
    evil = wheel_bytes("acme-tools", "99.0")
    for spelling in ("acme-tools", "acme_tools", "Acme.Tools", "acme-secret"):
        public.publish(spelling, (wheel_name("acme-tools", "99.0"), evil))
    with serving(packages, "--upstream", public.url, "--private", "acme-*") as index:
        until(lambda: index.get("/simple/acme-tools/").status_code == 200)
        for spelling in ("acme-tools", "acme_tools", "Acme.Tools"):
            answer = index.http.get(f"/simple/{spelling}/", headers={"accept": JSON}, follow_redirects=True)
            assert [file["filename"] for file in answer.json()["files"]] == [wheel_name("acme-tools")]
        reserved = index.get("/simple/acme-secret/")
        assert reserved.status_code == 404
        assert "private" in reserved.reason_phrase
        digest = hashlib.sha256(evil).hexdigest()
        assert index.get(f"/files/{digest}/{wheel_name('acme-tools', '99.0')}").status_code == 404
    assert public.asked == []


@pytest.mark.parametrize("client", ["pip22", "pip", "uv"])
def test_the_attack_never_reaches_a_real_client(
    packages: Path, public: Public, tmp_path: Path, client: str
) -> None:
    """Installing by name alone, also in the first moments of a server that has not read its files yet."""
    put_wheel(packages, "acme-tools", "1.0")
    public.publish("acme-tools", (wheel_name("acme-tools", "99.0"), wheel_bytes("acme-tools", "99.0")))
    public.publish("flower", (wheel_name("flower"), wheel_bytes("flower", extra="Requires-Dist: acme-tools\n")))
    with ThreadPoolExecutor() as pool:
        with scan_held_up(packages):
            index = start(packages, "--upstream", public.url)
            going = pool.submit(install, client, index, tmp_path / "early", "acme-tools")
            time.sleep(2)
        assert going.result().returncode == 0, going.result().stderr
        assert installed(tmp_path / "early") == {"acme_tools-1.0"}
    done = install(client, index, tmp_path / "late", "flower", "--upgrade")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "late") == {"acme_tools-1.0", "flower-1.0"}
    index.http.close()
    index.stop()
    assert not [path for path in public.asked if "acme" in path]


def test_a_name_that_becomes_ours_is_closed_at_once(packages: Path, public: Public) -> None:
    theirs = wheel_bytes("flower", "9.0")
    public.publish("flower", (wheel_name("flower", "9.0"), theirs))
    with serving(packages, "--upstream", public.url) as index:
        url = f"/simple/flower/{index.page('flower')['files'][0]['url']}"
        assert index.get(url).status_code == 200
        index.upload(wheel_name("flower"), wheel_bytes("flower"))
        assert index.filenames("flower") == [wheel_name("flower")]
        assert index.get(url).status_code == 403


def test_merge_opens_one_name_and_ours_wins(packages: Path, public: Public) -> None:
    ours = put_wheel(packages, "flower", "1.0").read_bytes()
    public.publish(
        "flower", (wheel_name("flower", "1.0"), wheel_bytes("flower", "1.0", files={"evil.py": b""})),
        (wheel_name("flower", "2.0"), wheel_bytes("flower", "2.0")),
    )  # fmt: skip
    with serving(packages, "--upstream", public.url, "--merge", "flower") as index:
        until(lambda: len(index.filenames("flower")) == 2)
        assert index.filenames("flower") == [wheel_name("flower", "1.0"), wheel_name("flower", "2.0")]
        assert fetch(index, "flower", 0) == ours
        assert fetch(index, "flower", 1) == wheel_bytes("flower", "2.0")


def test_rules_hide_with_their_reason(packages: Path, public: Public) -> None:
    public.publish("young", (wheel_name("young"), wheel_bytes("young")), age_days=1)
    public.publish("trusted", (wheel_name("trusted"), wheel_bytes("trusted")), age_days=1)
    public.publish("old", (wheel_name("old"), wheel_bytes("old")))
    public.publish("banned", (wheel_name("banned"), wheel_bytes("banned")))
    rules = ["--min-age", "7d", "--min-age-except", "trusted", "--deny", "ban*"]
    with serving(packages, "--upstream", public.url, *rules) as index:
        page = index.page("young")
        assert page["files"] == []
        assert page["_hidden"] == [{"filename": wheel_name("young"), "reason": "it is younger than 7 days"}]
        assert "younger than" in index.get("/project/young/").text
        assert "younger than" in index.get("/simple/young/").text
        digest = hashlib.sha256(wheel_bytes("young")).hexdigest()
        assert index.get(f"/files/{digest}/{wheel_name('young')}").status_code == 403
        assert index.filenames("old") == [wheel_name("old")]
        assert index.filenames("trusted") == [wheel_name("trusted")]
        banned = index.get("/simple/banned/")
        assert banned.status_code == 403
        assert "--deny ban*" in banned.reason_phrase
        assert "younger than" in index.log.read_text()
    with serving(packages, "--upstream", public.url, "--allow", "old") as index:
        assert index.filenames("old") == [wheel_name("old")]
        assert index.get("/simple/young/").status_code == 403


def test_bytes_that_change_upstream_are_refused(packages: Path, public: Public) -> None:
    public.publish("flower", (wheel_name("flower"), wheel_bytes("flower")))
    with serving(packages, "--upstream", public.url) as index:
        assert index.filenames("flower") == [wheel_name("flower")]
    public.publish("flower", (wheel_name("flower"), wheel_bytes("flower", files={"new.py": b""})))
    import sqlite3

    with sqlite3.connect(packages / ".opskit" / "index.db") as db:
        db.execute("UPDATE upstream_page SET fetched=0")
    db.close()
    with serving(packages, "--upstream", public.url) as index:
        assert index.page("flower")["files"] == []
        assert "changed upstream" in index.page("flower")["_hidden"][0]["reason"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"meta":{"api-version":"2.0"}}', b"\xff\xfe", b"<a href='http://[::'>"],
)
@pytest.mark.parametrize("kind", [JSON, "text/html"])
def test_a_broken_page_is_no_500(packages: Path, public: Public, body: bytes, kind: str) -> None:
    public.pages["/simple/flower/"] = (kind, body)
    with serving(packages, "--upstream", public.url) as index:
        assert index.get("/simple/flower/", accept=JSON).status_code in (200, 404, 502)


def test_the_rules_compare_normalised_names() -> None:
    rules = UpstreamRules(private=("Acme.*",), merge=("open_one",))
    assert "private" in foreign.decide(rules, "acme-x", here=False)
    assert foreign.decide(rules, "open-one", here=True) == ""
    assert "exists here" in foreign.decide(rules, "flower", here=True)
    assert foreign.decide(rules, "flower", here=False) == ""


def test_what_is_no_address_of_an_index_is_refused(packages: Path) -> None:
    ran = opskit("pypi", "serve", str(packages), "--port", "0", "--upstream", "not-a-url")
    assert ran.code == 2
    assert "'not-a-url' is not the URL of an index" in ran.err


def test_without_the_option_nothing_is_asked(packages: Path) -> None:
    with serving(packages) as index:
        assert index.get("/simple/flower/").status_code == 404
