"""Uploads: what is taken, what is refused and with which words, and that nothing is ever half there."""

import hashlib
import io
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pypi.dists import (
    metadata,
    put_wheel,
    sdist_bytes,
    sdist_name,
    tar_bytes,
    wheel_bytes,
    wheel_name,
    zip_bytes,
)
from tests.pypi.servers import Index, serving, start, until


def left_behind(index: Index) -> list[str]:
    """What lies in the directory for uploads under way; an idle server has none."""
    incoming = index.directory / ".opskit" / "incoming"
    return sorted(path.name for path in incoming.iterdir()) if incoming.is_dir() else []


def refused(answer: httpx.Response, reason: str, status: int = 400) -> None:
    assert answer.status_code == status
    assert reason in answer.text
    assert reason in answer.reason_phrase, "twine shows the reason phrase only"


def test_an_upload_is_there_when_it_is_answered(index: Index) -> None:
    body = wheel_bytes("first", "1.0", extra="Requires-Python: >=3.9\n")
    answer = index.upload(wheel_name("first"), body)
    assert (answer.status_code, answer.text) == (200, "first-1.0-py3-none-any.whl is published\n")
    file = index.page("first")["files"][0]
    assert file["requires-python"] == ">=3.9"
    assert index.get("/simple/first/" + file["url"]).content == body
    assert (index.directory / wheel_name("first")).read_bytes() == body
    assert left_behind(index) == []


def test_the_same_bytes_again_are_fine_and_others_are_not(index: Index) -> None:
    body = wheel_bytes("again", "1.0")
    assert index.upload(wheel_name("again"), body).status_code == 200
    assert index.upload(wheel_name("again"), body).status_code == 200
    other = wheel_bytes("again", "1.0", files={"again/x.py": b"x"})
    refused(index.upload(wheel_name("again"), other), "File already exists")
    assert (index.directory / wheel_name("again")).read_bytes() == body


def test_another_spelling_of_the_same_file_is_the_same_file(index: Index) -> None:
    assert index.upload("spell_ing-1.0.tar.gz", sdist_bytes("spell-ing")).status_code == 200
    other = tar_bytes({"Spell.Ing-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: Spell.Ing\nVersion: 1.0\n\n"})
    refused(index.upload("Spell.Ing-1.0.tar.gz", other, name="Spell.Ing"), "File already exists")


@pytest.mark.parametrize("digest", ["md5_digest", "sha256_digest", "blake2_256_digest"])
def test_a_wrong_digest_is_refused(index: Index, digest: str) -> None:
    answer = index.upload(wheel_name("digest"), wheel_bytes("digest"), more={digest: "0" * 64})
    refused(answer, f"{digest} does not match")


def test_all_right_digests_are_taken(index: Index) -> None:
    body = wheel_bytes("digests")
    blake = hashlib.blake2b(body, digest_size=32).hexdigest()
    md5 = hashlib.md5(body).hexdigest()
    assert index.upload(wheel_name("digests"), body, md5_digest=md5, blake2_256_digest=blake).status_code == 200


def bomb() -> bytes:
    return wheel_bytes("bad", "1.0", files={"bad/zeros.bin": b"\0" * (65 * 2**20)})


def wide() -> bytes:
    """A directory of 17 MB, whose reading alone would take ten times that."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for number in range(270):
            entry = zipfile.ZipInfo(f"bad/{number}")
            entry.comment = b"x" * 65_000
            file.writestr(entry, b"")
    return out.getvalue()


def long_record() -> bytes:
    rows = "".join(f"bad/{number},sha256=,0\n" for number in range(450_000)).encode()
    info = "bad-1.0.dist-info"
    head = {f"{info}/METADATA": metadata("bad", "1.0").encode(), f"{info}/WHEEL": b"Wheel-Version: 1.0\n"}
    return zip_bytes({**head, f"{info}/RECORD": rows})


def zip_with(name: str) -> bytes:
    return wheel_bytes("bad", "1.0", files={name: b"x"})


def two_directories(body: bytes) -> bytes:
    return b"PK" + body[2:] + body


BAD = {
    "text": (wheel_name("bad"), b"this is no archive", "not a readable archive"),
    "empty": (wheel_name("bad"), b"", "the file is empty"),
    "cut": (wheel_name("bad"), wheel_bytes("bad")[:-40], "not a readable archive"),
    "bomb": (wheel_name("bad"), bomb(), "decompression bomb"),
    "directory": (wheel_name("bad"), wide(), "its directory is larger than"),
    "long RECORD": (wheel_name("bad"), long_record(), "its RECORD is larger than 8 MiB"),
    "traversal": (wheel_name("bad"), zip_with("../../etc/passwd"), "would leave the directory"),
    "absolute": (wheel_name("bad"), zip_with("/etc/passwd"), "would leave the directory"),
    "backslash": (wheel_name("bad"), zip_with("bad\\x.py"), "would leave the directory"),
    "other name": (
        wheel_name("bad"),
        wheel_bytes("bad", "1.0", told=("good", "1.0")),
        "its metadata says good",
    ),
    "other version": (
        wheel_name("bad"),
        wheel_bytes("bad", "1.0", told=("bad", "2.0")),
        "its metadata says 2.0",
    ),
    "other dist-info": (wheel_name("bad"), wheel_bytes("good", "1.0"), "is not of bad 1.0"),
    "no RECORD": (wheel_name("bad"), wheel_bytes("bad", record=False), "it has no bad-1.0.dist-info/RECORD"),
    "wrong RECORD": (
        wheel_name("bad"),
        zip_bytes(
            {
                "bad/__init__.py": b"evil",
                "bad-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n",
                "bad-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\n",
                "bad-1.0.dist-info/RECORD": b"bad/__init__.py,sha256=AAAA,4\n",
            }
        ),
        "RECORD",
    ),
    "wrong tag": (wheel_name("bad", tag="py3-none-linux_x86_64"), wheel_bytes("bad"), "its WHEEL says"),
    "junk before": (wheel_name("bad"), b"#!/bin/sh\n" + wheel_bytes("bad"), "does not begin with"),
    "tar traversal": ("bad-1.0.tar.gz", tar_bytes({"bad-1.0/PKG-INFO": b"", "../x": b""}), "would leave"),
    "two tops": (
        "bad-1.0.tar.gz",
        tar_bytes({"bad-1.0/PKG-INFO": b"", "other/x": b""}),
        "exactly one directory",
    ),
    "no PKG-INFO": ("bad-1.0.tar.gz", tar_bytes({"bad-1.0/x": b""}), "no PKG-INFO"),
    "wrong suffix": ("bad-1.0.exe", b"MZ", "is neither a wheel"),
    "no version": ("bad.whl", wheel_bytes("bad"), "does not say a project and a version"),
    "path": ("../bad-1.0.tar.gz", sdist_bytes("bad"), "is not a file name"),
    "windows path": ("..\\bad-1.0.tar.gz", sdist_bytes("bad"), "is not a file name"),
    "hidden": (".bad-1.0.tar.gz", sdist_bytes("bad"), "is not a file name"),
    "space": ("bad 1.0.tar.gz", sdist_bytes("bad"), "is not a file name"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_with_its_reason(index: Index, what: str) -> None:
    filename, body, reason = BAD[what]
    before = {path.name for path in index.directory.iterdir()}
    refused(index.upload(filename, body, name="bad", version="1.0"), reason)
    assert {path.name for path in index.directory.iterdir()} == before
    assert index.get("/simple/bad/").status_code == 404
    assert left_behind(index) == []


def test_a_control_character_in_the_name_is_refused(index: Index) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n'
        b'--x\r\nContent-Disposition: form-data; name="content"; filename="bad\x01-1.0.tar.gz"\r\n\r\n'
        + sdist_bytes("bad") + b"\r\n--x--\r\n"
    )  # fmt: skip
    answer = index.http.post(
        "/legacy/", content=body, headers={"content-type": "multipart/form-data; boundary=x"},
        auth=("__token__", index.token),
    )  # fmt: skip
    refused(answer, "is not a file name")


def test_the_form_must_agree_with_the_file(index: Index) -> None:
    refused(index.upload(wheel_name("agree"), wheel_bytes("agree"), name="other"), "the form says other")
    refused(index.upload(wheel_name("agree"), wheel_bytes("agree"), version="3"), "the form says version 3")


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({":action": "submit"}, 410, "gone"), ({":action": "doc_upload"}, 410, "gone"),
        ({":action": "nonsense"}, 400, "Unsupported ':action' field"),
        ({"name": "x"}, 400, "Missing ':action' field"),
        ({":action": "file_upload"}, 400, "Missing 'content'"),
    ],
)  # fmt: skip
def test_a_form_without_a_file(index: Index, fields: dict[str, str], status: int, reason: str) -> None:
    parts = {key: (None, value) for key, value in fields.items()}
    answer = index.http.post("/legacy/", files=parts, auth=("__token__", index.token))
    refused(answer, reason, status)


def test_what_is_no_form_at_all_is_400(index: Index) -> None:
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 300):
        answer = index.http.post(
            "/legacy/", content=b"{}", headers={"content-type": kind}, auth=("__token__", index.token)
        )
        assert answer.status_code == 400


def test_a_client_that_prefers_json_gets_json(index: Index) -> None:
    accept = {"accept": "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"}
    answer = index.upload("bad-1.0.exe", b"MZ", headers=accept)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["code"].startswith("400 ")
    assert "neither a wheel" in answer.json()["message"]


def test_the_simple_address_says_where_uploads_go(index: Index) -> None:
    answer = index.http.post("/simple/", auth=("__token__", index.token))
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_both_addresses_take_uploads(index: Index) -> None:
    body = sdist_bytes("rooted")
    answer = index.http.post(
        "/", data={":action": "file_upload", "name": "rooted", "version": "1.0"},
        files={"content": (sdist_name("rooted"), body)}, auth=("__token__", index.token),
    )  # fmt: skip
    assert answer.status_code == 200
    assert index.filenames("rooted") == [sdist_name("rooted")]


def test_the_field_order_does_not_matter(index: Index) -> None:
    body = sdist_bytes("order")
    content = (
        b'--x\r\nContent-Disposition: form-data; name="content"; filename="order-1.0.tar.gz"\r\n\r\n' + body
        + b'\r\n--x\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n'
        + b'--x\r\nContent-Disposition: form-data; name="sha256_digest"\r\n\r\n'
        + hashlib.sha256(body).hexdigest().encode() + b"\r\n--x--\r\n"
    )  # fmt: skip
    answer = index.http.post(
        "/legacy/", content=content, headers={"content-type": "multipart/form-data; boundary=x"},
        auth=("__token__", index.token),
    )  # fmt: skip
    assert answer.status_code == 200, answer.text


def test_too_large_a_file_is_413(packages: Path) -> None:
    with serving(packages, "--max-upload", "10kB") as index:
        big = wheel_bytes("big", files={"big/x.bin": random.Random(1).randbytes(20_000)})
        refused(index.upload(wheel_name("big"), big), "larger than 10000 bytes", 413)
        assert index.upload(wheel_name("small"), wheel_bytes("small")).status_code == 200


# Fuzzing: no 500, nothing left behind

FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@FUZZ
@given(content=st.binary(max_size=400), kind=st.sampled_from(["x", "--", "a b"]))
def test_any_bytes_as_a_form(index: Index, content: bytes, kind: str) -> None:
    marked = content.replace(b"|", b"\r\n--" + kind.encode())
    answer = index.http.post(
        "/legacy/", content=marked, headers={"content-type": f'multipart/form-data; boundary="{kind}"'},
        auth=("__token__", index.token),
    )  # fmt: skip
    assert answer.status_code in (400, 413)
    assert left_behind(index) == []


@FUZZ
@given(data=st.data())
def test_a_damaged_archive_is_taken_whole_or_refused(index: Index, data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([wheel_bytes("fuzz"), sdist_bytes("fuzz")])))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    name = wheel_name("fuzz") if whole[:2] == b"PK" else sdist_name("fuzz")
    answer = index.upload(name, bytes(whole))
    assert answer.status_code in (200, 400), answer.text
    assert left_behind(index) == []
    if answer.status_code == 200:
        assert (index.directory / name).read_bytes() == bytes(whole)


def test_a_zip_whose_names_differ_inside_is_refused(index: Index) -> None:
    body = bytearray(wheel_bytes("framing"))
    body[30:37] = b"evil123"  # the local header of the first member; the directory still says another
    refused(index.upload(wheel_name("framing"), bytes(body)), "another name in its local header")


def test_a_zip_member_that_overlaps_is_refused(index: Index) -> None:
    out = io.BytesIO(wheel_bytes("overlap"))
    with zipfile.ZipFile(out) as file:
        first = file.infolist()[0]
        directory = file.start_dir
    body = bytearray(out.getvalue())
    second = body.index(b"PK\x01\x02", directory + 4)
    body[second + 42 : second + 46] = struct.pack("<I", first.header_offset)
    answer = index.upload(wheel_name("overlap"), bytes(body))
    assert answer.status_code == 400


# Crashes, crowds, a full disk


def send_slowly(index: Index, body: bytes, stop: threading.Event) -> None:
    """An upload that is still under way when the server dies."""
    host, _, port = index.url.removeprefix("http://").partition(":")
    head = (
        f"POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {index.token}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body) + 1000}\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="content"; filename="half-1.0.tar.gz"\r\n\r\n'
    )
    with socket.create_connection((host, int(port))) as peer:
        try:
            peer.sendall(head.encode())
            for start_ in range(0, len(body), 1000):
                peer.sendall(body[start_ : start_ + 1000])
                if stop.wait(0.005):
                    return
        except OSError:
            return


def test_a_killed_server_keeps_all_that_it_answered_and_nothing_half(packages: Path) -> None:
    """kill -9 during uploads, four times; then every answered file is there and whole."""
    answered: dict[str, bytes] = {}
    token = ""
    for turn in range(4):
        index = start(packages)
        token = index.token or token
        index.token = token
        stop = threading.Event()
        slow = threading.Thread(target=send_slowly, args=(index, os.urandom(200_000), stop))
        slow.start()

        def many(number: int, index: Index = index, turn: int = turn) -> None:
            for step in range(40):
                name = f"crash{turn}x{number}"
                body = wheel_bytes(name, f"1.{step}", files={f"{name}/r.bin": os.urandom(2000)})
                try:
                    if index.upload(wheel_name(name, f"1.{step}"), body).status_code == 200:
                        answered[wheel_name(name, f"1.{step}")] = body
                except httpx.TransportError:
                    return

        with ThreadPoolExecutor(4) as crowd:
            list_ = [crowd.submit(many, number) for number in range(4)]
            time.sleep(0.4 + 0.1 * turn)
            os.killpg(index.process.pid, signal.SIGKILL)
            for one in list_:
                one.result()
        stop.set()
        slow.join()
        index.process.wait()
        index.http.close()
    assert len(answered) > 10
    with serving(packages) as index:
        until(lambda: index.get("/simple/crash0x0/").status_code == 200)
        for filename, body in answered.items():
            assert (packages / filename).read_bytes() == body
            project = filename.split("-")[0]
            file = next(f for f in index.page(project)["files"] if f["filename"] == filename)
            assert file["hashes"]["sha256"] == hashlib.sha256(body).hexdigest()
        for project in {filename.split("-")[0] for filename in answered}:
            for file in index.page(project)["files"]:
                body = index.get(f"/simple/{project}/{file['url']}").content
                assert hashlib.sha256(body).hexdigest() == file["hashes"]["sha256"]
        assert index.get("/simple/half/").status_code == 404


def test_32_uploads_and_200_readers_while_a_worker_dies(packages: Path) -> None:
    put_wheel(packages, "steady", "1.0")
    with serving(packages, "--workers", "2") as index:
        until(lambda: index.get("/simple/steady/").status_code == 200)
        wrong: list[str] = []
        answered: dict[str, bytes] = {}
        over = threading.Event()

        def read(number: int) -> None:
            with httpx.Client(base_url=index.url, trust_env=False, timeout=30) as client:
                while not over.is_set():
                    try:
                        page = client.get(
                            f"/simple/crowd{number % 32}/",
                            headers={"accept": "application/vnd.pypi.simple.v1+json"},
                        )
                        for file in page.json()["files"] if page.status_code == 200 else []:
                            body = client.get(f"/simple/x/{file['url']}").content
                            if hashlib.sha256(body).hexdigest() != file["hashes"]["sha256"]:
                                wrong.append(file["filename"])
                    except httpx.TransportError:
                        pass  # this connection was to the worker that died

        def write(number: int) -> None:
            name = f"crowd{number}"
            body = wheel_bytes(name, "1.0", files={f"{name}/r.bin": os.urandom(100_000)})
            for _ in range(20):
                try:
                    with httpx.Client(base_url=index.url, trust_env=False, timeout=60) as client:
                        mine = Index(index.url, index.directory, index.token, index.process, index.log, client)
                        if mine.upload(wheel_name(name), body).status_code == 200:
                            answered[wheel_name(name)] = body
                            return
                except httpx.TransportError:
                    time.sleep(0.1)

        def kill_one() -> None:
            time.sleep(0.5)
            pid = index.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            workers = [c for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
            os.kill(int(workers[0]), signal.SIGKILL)

        with ThreadPoolExecutor(240) as crowd:
            readers = [crowd.submit(read, number) for number in range(200)]
            killer = crowd.submit(kill_one)
            writers = [crowd.submit(write, number) for number in range(32)]
            killer.result()
            for one in writers:
                one.result()
            over.set()
            for one in readers:
                one.result()
        assert wrong == []
        assert len(answered) == 32
        for filename, body in answered.items():
            project = filename.split("-")[0]
            until(lambda project=project: index.get(f"/simple/{project}/").status_code == 200)
            assert index.get(f"/simple/{project}/{index.page(project)['files'][0]['url']}").content == body


def test_a_full_disk_is_507_and_changes_nothing(tmp_path: Path) -> None:
    """A file system of a few megabytes, which needs the right to mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "opskit-test", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here: " + mounted.stderr.decode())
    try:
        with serving(place / "packages") as index:
            assert index.upload(wheel_name("fits"), wheel_bytes("fits")).status_code == 200
            big = wheel_bytes("full", files={"full/x.bin": os.urandom(8 * 2**20)})
            refused(index.upload(wheel_name("full"), big), "no space left", 507)

            def chunks(body: bytes) -> object:
                form = b'--x\r\nContent-Disposition: form-data; name="content"; filename="f-1.0.tar.gz"\r\n\r\n'
                yield form
                for at in range(0, len(body), 65536):
                    yield body[at : at + 65536]
                yield b"\r\n--x--\r\n"

            late = index.http.post(  # without a length the disk is full only on the way
                "/legacy/", content=chunks(big),  # type: ignore[arg-type]
                headers={"content-type": "multipart/form-data; boundary=x"}, auth=("__token__", index.token),
            )  # fmt: skip
            refused(late, "no space left", 507)
            assert left_behind(index) == []
            assert index.filenames("fits") == [wheel_name("fits")]
            assert index.get("/simple/full/").status_code == 404
            assert index.upload(wheel_name("fits2"), wheel_bytes("fits2")).status_code == 200
    finally:
        subprocess.run(["umount", str(place)], check=True)
