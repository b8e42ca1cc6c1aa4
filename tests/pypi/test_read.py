"""The read side over real HTTP: negotiation, validators, ranges, files by hand, legacy routes."""

import fcntl
import gzip
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from tests.pypi.dists import put_wheel, sdist_bytes, sdist_name, wheel_bytes, wheel_name
from tests.pypi.servers import JSON, Index, serving, start, until

HTML_V1 = "application/vnd.pypi.simple.v1+html"
PIP = f"{JSON}, {HTML_V1}; q=0.1, text/html; q=0.01"
TEXT = "text/html; charset=utf-8"
UV = f"{JSON}, {HTML_V1};q=0.2, text/html;q=0.01"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    directory = tmp_path_factory.mktemp("read") / "packages"
    put_wheel(directory, "alpha", "1.0", extra="Requires-Python: >=3.8, <4\n")
    put_wheel(directory, "alpha", "1.1")
    (directory / sdist_name("alpha", "1.1")).write_bytes(sdist_bytes("alpha", "1.1"))
    put_wheel(directory / "sub", "beta", "2.0", files={"beta/big.bin": bytes(range(256)) * 400})
    with serving(directory) as running:
        yield running


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (PIP, JSON), (UV, JSON), ("text/html", TEXT), ("*/*", TEXT),
        (HTML_V1, HTML_V1), ("application/vnd.pypi.simple.latest+json", JSON),
        (f"{JSON};q=0.1, text/html", TEXT),
        (f"{JSON};q=0, */*", TEXT),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/simple/", "/simple/alpha/"])
def test_a_page_comes_in_the_form_that_is_asked_for(index: Index, path: str, accept: str, kind: str) -> None:
    answer = index.get(path, accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    assert "Accept" in answer.headers["vary"]
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("accept", ["application/vnd.pypi.simple.v2+json", "image/png", "text/html;q=0"])
def test_what_nobody_offers_is_406(index: Index, accept: str) -> None:
    assert index.get("/simple/alpha/", accept=accept).status_code == 406


def test_the_form_can_be_asked_for_in_the_address(index: Index) -> None:
    assert index.get(f"/simple/alpha/?format={JSON}", accept="text/html").headers["content-type"] == JSON
    assert index.get("/simple/alpha/?format=image/png").status_code == 406


def test_the_json_says_all_that_api_1_4_has(index: Index) -> None:
    page = index.page("alpha")
    assert page["meta"] == {"api-version": "1.4"}
    assert page["versions"] == ["1.0", "1.1"]
    file = page["files"][0]
    body = (index.directory / wheel_name("alpha")).read_bytes()
    assert file["hashes"] == {"sha256": hashlib.sha256(body).hexdigest()}
    assert file["size"] == len(body)
    assert file["requires-python"] == ">=3.8, <4"
    assert file["upload-time"].endswith("Z")
    assert file["yanked"] is False
    answer = index.get("/simple/alpha/" + file["url"] + ".metadata")
    assert hashlib.sha256(answer.content).hexdigest() == file["core-metadata"]["sha256"]
    assert b"Name: alpha" in answer.content


def test_every_wheel_has_core_metadata_and_no_sdist_claims_it(index: Index) -> None:
    for file in index.page("alpha")["files"] + index.page("beta")["files"]:
        assert ("core-metadata" in file) == file["filename"].endswith(".whl")


def test_html_and_json_list_the_same_files(index: Index) -> None:
    html = index.get("/simple/alpha/", accept="text/html").text
    for file in index.page("alpha")["files"]:
        assert f"{file['url']}#sha256={file['hashes']['sha256']}" in html
    assert 'data-requires-python="&gt;=3.8, &lt;4"' in html
    assert '<meta name="pypi:repository-version" content="1.4">' in html


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ("/simple/Alpha/", "../alpha/"), ("/simple/alpha", "alpha/"), ("/simple/AL.pha", "al-pha/"),
        ("/simple/a__b.-c/", "../a-b-c/"), ("/simple", "simple/"),
    ],
)  # fmt: skip
def test_other_spellings_lead_to_the_one_address(index: Index, asked: str, place: str) -> None:
    answer = index.get(asked)
    assert answer.status_code == 301
    assert answer.headers["location"] == place


@pytest.mark.parametrize(
    "path", ["/simple/nothing/", "/simple/a%0ab/", "/simple/%2e%2e/", "/simple/alpha/x/", "/files/00/x.whl"]
)
def test_what_is_not_there_is_404(index: Index, path: str) -> None:
    assert index.get(path).status_code == 404


def test_a_validator_saves_the_body_in_every_coding(index: Index) -> None:
    tags = set()
    for coding in ("identity", "gzip", "zstd"):
        whole = index.get("/simple/alpha/", accept=JSON, accept_encoding=coding)
        tags.add(whole.headers["etag"])
        again = index.get(
            "/simple/alpha/", accept=JSON, accept_encoding=coding, if_none_match=whole.headers["etag"]
        )
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == whole.headers["etag"]
    assert len(tags) == 3
    assert not any(tag.startswith("W/") for tag in tags)


def test_codings_unpack_to_the_same_page(index: Index) -> None:
    bodies = {}
    for coding in ("identity", "gzip", "zstd"):
        request = index.http.build_request(
            "GET", "/simple/alpha/", headers={"accept": JSON, "accept-encoding": coding}
        )
        answer = index.http.send(request, stream=True)
        assert answer.headers.get("content-encoding", "identity") == coding
        bodies[coding] = b"".join(answer.iter_raw())
    assert gzip.decompress(bodies["gzip"]) == bodies["identity"]
    assert zstandard.ZstdDecompressor().decompress(bodies["zstd"]) == bodies["identity"]
    json.loads(bodies["identity"])


def test_head_says_what_get_would(index: Index) -> None:
    for path in (
        "/simple/",
        "/simple/alpha/",
        "/simple/alpha/" + index.page("alpha")["files"][0]["url"],
        "/project/alpha/",
    ):
        head, get = index.http.head(path), index.get(path)
        assert head.status_code == get.status_code == 200
        assert head.content == b""
        drop = {"date", "content-encoding"}
        assert {k: v for k, v in head.headers.items() if k not in drop} == {
            k: v for k, v in get.headers.items() if k not in drop
        }


def file_url(index: Index, project: str = "beta") -> str:
    return f"/simple/x/{index.page(project)['files'][0]['url']}"


def test_a_file_is_immutable_and_has_a_strong_validator(index: Index) -> None:
    url = file_url(index)
    whole = index.get(url)
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["accept-ranges"] == "bytes"
    assert index.get(url, if_none_match=whole.headers["etag"]).status_code == 304
    assert index.get(url, if_modified_since=whole.headers["last-modified"]).status_code == 304
    assert index.get(url, if_match='"other"').status_code == 412
    assert index.get(url, if_match=whole.headers["etag"]).status_code == 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)), ("bytes=10-20", (10, 21)), ("bytes=5-", (5, None)), ("bytes=-7", (-7, None)),
        ("bytes=-999999999", (0, None)), ("bytes=3-99999999999999999999999999999", (3, None)),
        ("BYTES=0-4", (0, 5)), ("bytes= 1-2 ,", (1, 3)),
    ],
)  # fmt: skip
def test_one_range(index: Index, header: str, expected: tuple[int, int | None]) -> None:
    whole = index.get(file_url(index)).content
    answer = index.get(file_url(index), range=header)
    assert answer.status_code == 206
    assert answer.content == whole[slice(*expected)]
    first = expected[0] if expected[0] >= 0 else len(whole) + expected[0]
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"


@pytest.mark.parametrize(
    "header",
    ["bytes=", "bytes=abc", "bytes=5", "bytes=5-4", "bytes=0-4,foo", "other=0-4", "5-", "bytes=0-,0-,0-",
     "bytes=" + ",".join(f"{n}-{n}" for n in range(50))],
)  # fmt: skip
def test_a_range_that_means_nothing_is_ignored(index: Index, header: str) -> None:
    assert index.get(file_url(index), range=header).status_code == 200


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0", "bytes=99999999-,99999998-"])
def test_a_range_beyond_the_end_is_416(index: Index, header: str) -> None:
    answer = index.get(file_url(index), range=header)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(index.get(file_url(index)).content)}"


def test_several_ranges_come_as_multipart(index: Index) -> None:
    whole = index.get(file_url(index)).content
    answer = index.get(file_url(index), range="bytes=20-24,0-4")
    assert answer.status_code == 206
    assert "content-range" not in answer.headers
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    assert answer.content.endswith(b"\r\n--" + boundary + b"--\r\n")
    parts = [part.partition(b"\r\n\r\n") for part in answer.content.split(b"--" + boundary)[1:-1]]
    assert [body.removesuffix(b"\r\n") for _, _, body in parts] == [whole[20:25], whole[:5]]
    assert b"bytes 20-24/%d" % len(whole) in parts[0][0]
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_if_range_decides_whether_a_range_counts(index: Index) -> None:
    url = file_url(index)
    whole = index.get(url)
    for value in (whole.headers["etag"], whole.headers["last-modified"]):
        assert index.get(url, range="bytes=0-4", if_range=value).status_code == 206
    for value in ('"other"', "W/" + whole.headers["etag"], "Mon, 01 Jan 2035 00:00:00 GMT", "foo"):
        assert index.get(url, range="bytes=0-4", if_range=value).status_code == 200
    assert index.get(url, range="bytes=99999999-", if_range='"other"').status_code == 200
    assert index.get(url, range="bytes=0-4", if_none_match=whole.headers["etag"]).status_code == 304


def test_head_and_other_methods_take_no_range(index: Index) -> None:
    head = index.http.head(file_url(index), headers={"range": "bytes=0-4"})
    assert head.status_code == 200
    assert int(head.headers["content-length"]) == len(index.get(file_url(index)).content)
    refused = index.http.post(file_url(index))
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]


# Files that come and go by hand


def test_a_file_dropped_in_shows_and_one_removed_goes_within_two_seconds(index: Index) -> None:
    path = put_wheel(index.directory / "later", "gamma", "1.0")
    assert until(lambda: index.get("/simple/gamma/").status_code == 200, 2.5) < 2
    assert "gamma" in index.get("/simple/").text
    url = file_url(index, "gamma")
    path.unlink()
    assert until(lambda: index.get("/simple/gamma/").status_code == 404, 2.5) < 2
    assert index.get(url).status_code == 404
    assert "gamma" not in index.get("/simple/").text


def test_a_file_that_is_replaced_gets_another_address(index: Index) -> None:
    path = put_wheel(index.directory, "delta", "1.0")
    until(lambda: index.get("/simple/delta/").status_code == 200)
    before = file_url(index, "delta")
    path.write_bytes(wheel_bytes("delta", "1.0", files={"delta/new.py": b"y = 2\n"}))
    until(lambda: file_url(index, "delta") != before, 3)
    assert index.get(before).status_code == 404
    assert index.get(file_url(index, "delta")).content == path.read_bytes()


def test_a_directory_that_is_removed_takes_its_files_along(index: Index) -> None:
    put_wheel(index.directory / "deep" / "er", "epsilon", "1.0")
    until(lambda: index.get("/simple/epsilon/").status_code == 200)
    shutil.rmtree(index.directory / "deep")
    until(lambda: index.get("/simple/epsilon/").status_code == 404, 3)


def test_hidden_files_and_directories_are_not_served(index: Index) -> None:
    put_wheel(index.directory / ".hidden", "zeta", "1.0")
    (index.directory / ".zeta-1.0.tar.gz").write_bytes(sdist_bytes("zeta"))
    put_wheel(index.directory, "zeta-seen", "1.0")
    until(lambda: index.get("/simple/zeta-seen/").status_code == 200)
    assert index.get("/simple/zeta/").status_code == 404
    assert index.get("/packages/.hidden/" + wheel_name("zeta")).status_code == 404
    assert index.get("/packages/.zeta-1.0.tar.gz").status_code == 404


def test_the_database_is_not_served(index: Index) -> None:
    assert index.get("/packages/.opskit/index.db").status_code == 404
    assert index.get("/packages/../packages/.opskit/index.db").status_code == 404


def test_a_start_after_a_lost_database_reads_the_files_again(packages: Path) -> None:
    put_wheel(packages)
    with serving(packages) as first:
        until(lambda: first.get("/simple/acme-tools/").status_code == 200)
        before = first.page("acme-tools")
    shutil.rmtree(packages / ".opskit")
    with serving(packages) as second:
        until(lambda: second.get("/simple/acme-tools/").status_code == 200)
        assert second.page("acme-tools") == before


def test_a_server_that_can_send_files_itself_is_let(packages: Path) -> None:
    """The `http.response.pathsend` extension of ASGI; uvicorn has none, others do."""
    import asyncio

    from opskit.pypi.send import IMMUTABLE, send_file

    path = put_wheel(packages)
    said: list[dict[str, object]] = []

    async def send(message: object) -> None:
        said.append(dict(message))  # type: ignore[call-overload]

    scope = {"method": "GET", "headers": [], "extensions": {"http.response.pathsend": {}}}
    asyncio.run(send_file(scope, send, path, path.stat().st_size, '"x"', 0, IMMUTABLE))
    assert [message["type"] for message in said] == ["http.response.start", "http.response.pathsend"]
    assert said[1]["path"] == str(path)


# The first seconds


@contextmanager
def scan_held_up(directory: Path) -> Iterator[None]:
    """Somebody else holds the scan's lock, as an administrative command on a large directory does."""
    (directory / ".opskit").mkdir(mode=0o700)
    with (directory / ".opskit" / "scan.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_what_was_not_read_yet_is_waited_for(packages: Path) -> None:
    put_wheel(packages)
    with ThreadPoolExecutor() as pool:
        with scan_held_up(packages):
            index = start(packages)
            asked = [pool.submit(index.get, path) for path in EVERY_ADDRESS]
            time.sleep(0.5)
            assert not any(one.done() for one in asked)
        assert [one.result().status_code for one in asked] == [200] * len(asked)
    index.http.close()
    index.stop()


EVERY_ADDRESS = ("/simple/acme-tools/", "/simple/", f"/packages/{wheel_name()}", "/packages/",
                 "/acme-tools/json", "/project/acme-tools/", "/")  # fmt: skip


def test_a_long_first_scan_is_503_and_says_when_to_ask_again(packages: Path) -> None:
    put_wheel(packages)
    with scan_held_up(packages), serving(packages) as index, ThreadPoolExecutor() as pool:
        for answer in pool.map(index.get, EVERY_ADDRESS):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "still reads its directory" in answer.reason_phrase


def test_a_first_scan_shows_projects_whole_or_not_at_all() -> None:
    from opskit.pypi import scan

    paths = [f"x/pkg{n % 700}-1.{n // 700}.tar.gz" for n in range(2100)]
    batches = list(scan._batches(paths))
    assert sorted(path for batch in batches for path in batch) == sorted(paths)
    assert [len(batch) for batch in batches] == [1002, 1002, 96]
    homes = [{path.partition("-")[0] for path in batch} for batch in batches]
    assert all(not one & other for one in homes for other in homes if one is not other)
