"""The real clients, their normal commands: publish, publish again, install, wrong token, yanked, resumed."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypi_simple import ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY, PyPISimple

from tests.pypi.dists import put_wheel, sdist_bytes, sdist_name, wheel_bytes, wheel_name
from tests.pypi.servers import Index, serving, until
from tests.pypi.tools import clean_environment, tool

PROJECT = """
[build-system]
requires = []
build-backend = "none"
[project]
name = "{name}"
version = "1.0"
description = "published by a test"
requires-python = ">=3.8"
authors = [{{name = "Ann", email = "ann@example.com"}}]
"""


def run(words: list[str], home: Path, cwd: Path | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, cwd=cwd, env=clean_environment(home, **env)
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    directory = tmp_path_factory.mktemp("clients") / "packages"
    put_wheel(directory, "base-lib", "1.0")
    put_wheel(directory, "base-lib", "1.1")
    put_wheel(directory, "needs-base", "1.0", extra="Requires-Dist: base-lib>=1.0\n")
    put_wheel(directory, "future", "1.0")
    put_wheel(directory, "future", "2.0", extra="Requires-Python: >=9\n")
    with serving(directory) as running:
        until(lambda: running.get("/simple/future/").status_code == 200)
        yield running


def built(place: Path, name: str, change: bytes = b"") -> Path:
    """A project directory with its built files, as every publishing client wants to find them."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "dist").mkdir(exist_ok=True)
    (place / "pyproject.toml").write_text(PROJECT.format(name=name))
    module = name.replace("-", "_")
    (place / module).mkdir(exist_ok=True)
    (place / module / "__init__.py").write_text('"""A test."""\n__version__ = "1.0"\n')
    (place / "dist" / wheel_name(name)).write_bytes(
        wheel_bytes(name, files={f"{module}/x.py": b"x = 1\n" + change})
    )
    (place / "dist" / sdist_name(name)).write_bytes(sdist_bytes(name))
    return place


def publish(client: str, index: Index, place: Path, token: str) -> "subprocess.CompletedProcess[str]":
    """The client's own command line for a private index."""
    bin_ = tool(client)
    url, home = f"{index.url}/legacy/", place / "home"
    home.mkdir(exist_ok=True)
    files = sorted(map(str, (place / "dist").iterdir()))
    if client.startswith("twine"):
        words = [str(bin_ / "twine"), "upload", "--non-interactive", "--repository-url", url]
        return run([*words, "-u", "__token__", "-p", token, *files], home, place)
    if client == "uv":
        return run([str(bin_ / "uv"), "publish", "--publish-url", url, "--token", token, *files], home, place)
    if client == "poetry":
        env = {"POETRY_REPOSITORIES_OURS_URL": url, "POETRY_HTTP_BASIC_OURS_USERNAME": "__token__",
               "POETRY_HTTP_BASIC_OURS_PASSWORD": token}  # fmt: skip
        return run([str(bin_ / "poetry"), "publish", "-r", "ours", "-n"], home, place, **env)
    if client == "hatch":
        words = [
            str(bin_ / "hatch"),
            "--no-interactive",
            "publish",
            "-r",
            url,
            "-u",
            "__token__",
            "-a",
            token,
            "-n",
        ]
        return run(words, home, place)
    if client == "pdm":
        words = [str(bin_ / "pdm"), "publish", "--no-build", "-r", url, "-u", "__token__", "-P", token]
        return run(words, home, place)
    return flit_publish(bin_, url, home, place, token)


def flit_publish(bin_: Path, url: str, home: Path, place: Path, token: str) -> "subprocess.CompletedProcess[str]":
    """flit builds by itself, from its own kind of project."""
    text = (place / "pyproject.toml").read_text()
    (place / "pyproject.toml").write_text(
        text.replace("requires = []", 'requires = ["flit_core >=3.11,<5"]').replace(
            '"none"', '"flit_core.buildapi"'
        )
    )
    env = {
        "FLIT_INDEX_URL": url,
        "FLIT_USERNAME": "__token__",
        "FLIT_PASSWORD": token,
        "SOURCE_DATE_EPOCH": "1700000000",
    }
    return run([str(bin_ / "flit"), "publish", "--no-use-vcs"], home, place, **env)


PUBLISHERS = ["twine5", "twine", "uv", "poetry", "hatch", "flit", "pdm"]


@pytest.mark.parametrize("client", PUBLISHERS)
def test_publish_and_publish_again(index: Index, tmp_path: Path, client: str) -> None:
    name = f"by-{client}"
    place = built(tmp_path / name, name)
    first = publish(client, index, place, index.token)
    assert first.returncode == 0, first.stdout + first.stderr
    assert sorted(index.filenames(name)) == sorted([wheel_name(name), sdist_name(name)])
    again = publish(client, index, place, index.token)
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize("client", PUBLISHERS)
def test_other_bytes_under_the_same_name_are_refused_in_words(index: Index, tmp_path: Path, client: str) -> None:
    name = f"twice-{client}"
    place = built(tmp_path / name, name)
    taken = wheel_bytes(name, files={"other.py": b"y = 2\n"})
    assert index.upload(wheel_name(name), taken).status_code == 200
    done = publish(client, index, place, index.token)
    said = done.stdout + done.stderr
    if client == "hatch":  # it looks the name up first and leaves out what is there
        assert done.returncode == 0, said
    else:
        assert done.returncode != 0, said
        assert "already exists" in said.replace("\n", " ")
    assert (index.directory / wheel_name(name)).read_bytes() == taken


@pytest.mark.parametrize("client", ["twine5", "twine", "uv", "poetry", "pdm"])
def test_why_a_file_is_refused_is_shown_by_the_client(index: Index, tmp_path: Path, client: str) -> None:
    """In the status line or in the body, in plain text or in JSON: each client shows one of them."""
    name = f"broken-{client}"
    place = built(tmp_path / name, name)
    (place / "dist" / sdist_name(name)).unlink()
    (place / "dist" / wheel_name(name)).write_bytes(wheel_bytes(name, files={"x.so": b"y"}, record=False))
    done = publish(client, index, place, index.token)
    assert done.returncode != 0
    assert "it has no" in " ".join((done.stdout + done.stderr).split())
    assert index.get(f"/simple/{name}/").status_code == 404


@pytest.mark.parametrize("client", PUBLISHERS)
def test_a_wrong_token_and_a_reading_one_publish_nothing(tmp_path: Path, client: str) -> None:
    place = built(tmp_path / "none", "none")
    with serving(tmp_path / "packages") as index:  # its own: wrong tokens slow their address down
        for token in (index.make_token("read"), "opk_000000000000_" + "0" * 64):
            done = publish(client, index, place, token)
            assert done.returncode != 0, done.stdout + done.stderr
        assert index.get("/simple/none/").status_code == 404


def install(
    client: str, index: Index, place: Path, *words: str, url: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Install into a directory of its own; nothing but this index is asked."""
    home = place / "home"
    home.mkdir(parents=True, exist_ok=True)
    url = url or f"{index.url}/simple/"
    if client == "uv":
        head = [str(tool("uv") / "uv"), "pip", "install", "--python", sys.executable, "--default-index", url]
    else:
        head = [str(tool(client) / "python"), "-m", "pip", "install", "--no-input", "--index-url", url]
    return run([*head, "--target", str(place / "site"), *words], home)


def installed(place: Path) -> set[str]:
    return {path.name.removesuffix(".dist-info") for path in (place / "site").glob("*.dist-info")}


INSTALLERS = ["pip22", "pip23", "pip", "uv"]


@pytest.mark.parametrize("client", INSTALLERS)
def test_install_with_a_dependency(index: Index, tmp_path: Path, client: str) -> None:
    done = install(client, index, tmp_path, "needs-base")
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(tmp_path) == {"needs_base-1.0", "base_lib-1.1"}


@pytest.mark.parametrize("client", INSTALLERS)
def test_requires_python_is_obeyed(index: Index, tmp_path: Path, client: str) -> None:
    done = install(client, index, tmp_path, "future")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"future-1.0"}


@pytest.mark.parametrize("client", INSTALLERS)
def test_a_yanked_version_is_left_out_unless_it_is_named(index: Index, tmp_path: Path, client: str) -> None:
    name = f"yank-{client}"
    for version in ("1.0", "1.1"):
        assert index.upload(wheel_name(name, version), wheel_bytes(name, version)).status_code == 200
    assert index.admin("yank", name, "1.1", "--reason", "loses data").code == 0
    assert install(client, index, tmp_path / "a", name).returncode == 0
    assert installed(tmp_path / "a") == {f"{name.replace('-', '_')}-1.0"}
    named = install(client, index, tmp_path / "b", f"{name}==1.1")
    assert named.returncode == 0, named.stderr
    assert "loses data" in named.stdout + named.stderr
    assert index.admin("unyank", name, "1.1").code == 0
    assert (
        install(
            client, index, tmp_path / "c", "--no-cache-dir" if client != "uv" else "--refresh", name
        ).returncode
        == 0
    )
    assert installed(tmp_path / "c") == {f"{name.replace('-', '_')}-1.1"}


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_an_upload_is_seen_at_once_by_a_client_that_has_the_page(
    index: Index, tmp_path: Path, client: str
) -> None:
    name = f"fresh-{client}"
    index.upload(wheel_name(name), wheel_bytes(name))
    assert install(client, index, tmp_path, name).returncode == 0
    index.upload(wheel_name(name, "2.0"), wheel_bytes(name, "2.0"))
    assert install(client, index, tmp_path, "--upgrade", name).returncode == 0
    assert f"fresh_{client}-2.0" in installed(tmp_path)


@pytest.mark.parametrize("client", INSTALLERS)
def test_a_guarded_index_with_a_token_in_the_address(tmp_path: Path, client: str) -> None:
    put_wheel(tmp_path / "packages")
    with serving(tmp_path / "packages", "-a", "list,download,update") as guarded:
        token = guarded.make_token("read")
        until(lambda: guarded.http.get("/simple/acme-tools/", auth=("", token)).status_code == 200)
        url = guarded.url.replace("http://", f"http://__token__:{token}@") + "/simple/"
        done = install(client, guarded, tmp_path / "good", "acme-tools", url=url)
        assert done.returncode == 0, done.stderr
        assert install(client, guarded, tmp_path / "bad", "acme-tools").returncode != 0


def breaking_relay(target: int, after: int) -> tuple[int, list[str]]:
    """A TCP relay that cuts the first long answer off; what the clients asked of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[str] = []
    broken = threading.Event()

    def pump(source: socket.socket, sink: socket.socket, limit: bool) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                if not limit:
                    asked.append(data.decode("latin-1"))
                passed += len(data)
                if limit and passed > after and not broken.is_set():
                    broken.set()
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", target))
            threading.Thread(target=pump, args=(peer, server, False), daemon=True).start()
            threading.Thread(target=pump, args=(server, peer, True), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1], asked


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the relay's sockets end with it
def test_pip_resumes_a_broken_download(index: Index, tmp_path: Path) -> None:
    body = wheel_bytes("large", files={"large/x.bin": os.urandom(3_000_000)})
    assert index.upload(wheel_name("large"), body).status_code == 200
    port, asked = breaking_relay(int(index.url.rpartition(":")[2]), 1_000_000)
    done = install(
        "pip", index, tmp_path, "--resume-retries", "3", "large", url=f"http://127.0.0.1:{port}/simple/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert any("Range: bytes=" in text and "If-Range" in text for text in asked)
    assert installed(tmp_path) == {"large-1.0"}


def test_every_page_parses_to_equal_objects_in_html_and_json(index: Index) -> None:
    with PyPISimple(f"{index.url}/simple/") as client:
        assert (
            client.get_index_page(accept=ACCEPT_HTML_ONLY).projects
            == client.get_index_page(accept=ACCEPT_JSON_ONLY).projects
        )
        for project in client.get_index_page().projects:
            html = client.get_project_page(project, accept=ACCEPT_HTML_ONLY)
            page = client.get_project_page(project, accept=ACCEPT_JSON_ONLY)
            assert page.repository_version == html.repository_version == "1.4"
            assert len(page.packages) == len(html.packages) > 0
            for one, other in zip(page.packages, html.packages, strict=True):
                for field in ("filename", "project", "version", "package_type", "digests", "requires_python",
                              "is_yanked", "yanked_reason", "has_metadata", "metadata_digests"):  # fmt: skip
                    assert getattr(one, field) == getattr(other, field), field
                assert one.url == other.url.partition("#")[0]
                assert one.size is not None
                assert one.upload_time is not None
                if one.has_metadata:
                    assert client.get_package_metadata_bytes(one, verify=True)
