"""The administrative commands, as typed: beside a running server and without one."""

import contextlib
import os
import pty
import sqlite3
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from opskit.pypi import names, ranges
from tests.command import Ran, opskit
from tests.pypi.dists import put_wheel, sdist_bytes, sdist_name, wheel_bytes, wheel_name
from tests.pypi.servers import serving, until


def pypi(directory: Path, *words: str, **more: object) -> Ran:
    return opskit("pypi", *words, "--dir", str(directory), **more)  # type: ignore[arg-type]


def test_add_list_yank_delete_without_a_server(tmp_path: Path) -> None:
    wheel = put_wheel(tmp_path / "dist", "acme-tools")
    directory = tmp_path / "packages"
    assert pypi(directory, "list").code == 2
    added = pypi(directory, "add", str(wheel))
    assert (added.code, added.out) == (0, "acme_tools-1.0-py3-none-any.whl is published\n")
    assert pypi(directory, "add", str(wheel)).out == "acme_tools-1.0-py3-none-any.whl is here already\n"
    assert "acme-tools  1.0     the acme-tools project" in pypi(directory, "list").out
    assert pypi(directory, "yank", "Acme.Tools", "1", "--reason", "broken").code == 0
    assert "yanked: broken" in pypi(directory, "list", "acme-tools").out
    refused = pypi(directory, "delete", "acme-tools", "1.0")
    assert refused.code == 2
    assert "would delete acme_tools-1.0-py3-none-any.whl" in refused.err
    assert (directory / wheel.name).exists()
    assert pypi(directory, "delete", "acme-tools", "1.0", "--yes").code == 0
    assert not (directory / wheel.name).exists()
    put_wheel(tmp_path / "dist", "acme-tools", files={"acme_tools/new.py": b""})
    again = pypi(directory, "add", str(wheel))
    assert again.code == 2
    assert "previously used" in again.err
    words = [entry["what"] for entry in pypi(directory, "log", "--json").data["entries"]]
    assert words == ["upload", "yank", "delete"]


def test_delete_asks_on_a_terminal(tmp_path: Path) -> None:
    put_wheel(tmp_path / "packages")
    for answer, left in (("no\n", True), ("acme-tools\n", False)):
        parent, child = pty.openpty()
        words = [
            sys.executable,
            "-m",
            "opskit",
            "pypi",
            "delete",
            "acme-tools",
            "1.0",
            "--dir",
            str(tmp_path / "packages"),
        ]
        process = subprocess.Popen(words, stdin=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.write(parent, answer.encode())
        process.communicate(timeout=30)
        os.close(parent)
        os.close(child)
        assert (tmp_path / "packages" / wheel_name()).exists() is left


def test_a_running_server_shows_at_once_what_a_command_changed(packages: Path) -> None:
    with serving(packages) as index:
        wheel = put_wheel(packages.parent / "dist", "acme-tools")
        assert index.admin("add", str(wheel)).code == 0
        assert index.filenames("acme-tools") == [wheel.name]
        assert index.admin("yank", "acme-tools", "1.0").code == 0
        assert index.page("acme-tools")["files"][0]["yanked"] is True
        assert index.admin("status", "acme-tools", "archived", "--reason", "done").code == 0
        assert index.page("acme-tools")["project-status"] == {"status": "archived", "reason": "done"}
        refused = index.upload(wheel_name("acme-tools", "2.0"), wheel_bytes("acme-tools", "2.0"))
        assert refused.status_code == 403
        assert index.admin("status", "acme-tools", "quarantined").code == 0
        assert index.page("acme-tools")["files"] == []
        assert index.admin("delete", "acme-tools", "1.0", "--yes").code == 0
        assert index.get("/simple/acme-tools/").status_code == 404


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["yank", "acme-tool", "1.0"], "did you mean acme-tools"),
        (["yank", "acme-tools", "3"], "it has 1.0"),
        (["list", "nothing"], "there is no project nothing"), (["token", "create"], "a token needs a scope"),
        (["token", "create", "--scope", "fly:*"], "'fly' is not an action"),
        (["token", "create", "--scope", "read", "--expires", "soon"], "is not a duration"),
        (["token", "revoke", "0123"], "there is no live token"),
        (["status", "acme-tools", "gone"], "is not a status"),
        (["add", "/no/such.whl"], "cannot read /no/such.whl"), (["add", "/dev/null"], "is empty"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_and_changes_nothing(packages: Path, words: list[str], says: str) -> None:
    put_wheel(packages)
    ran = pypi(packages, *words)
    assert ran.code == 2
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_a_token_is_all_that_stdout_gets(packages: Path) -> None:
    ran = pypi(packages, "token", "create", "--scope", "upload:acme-*", "--expires", "90d")
    assert ran.out.startswith("opk_")
    assert len(ran.out.splitlines()) == 1
    assert ran.err == ""


def test_the_log_is_append_only_and_shows_who_changed_it(packages: Path) -> None:
    wheel = put_wheel(packages.parent / "dist")
    pypi(packages, "add", str(wheel))
    pypi(packages, "yank", "acme-tools", "1.0")
    assert pypi(packages, "log").code == 0
    db = sqlite3.connect(packages / ".opskit" / "index.db")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute("UPDATE audit SET who='nobody'")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute("DELETE FROM audit")
    db.executescript("DROP TRIGGER audit_is_append_only; UPDATE audit SET who='nobody' WHERE id=1;")
    db.close()
    broken = pypi(packages, "log")
    assert broken.code == 1
    assert "entry 1 or one before it was changed" in broken.err


def test_check_says_what_an_upload_would_and_what_a_careful_person_would(tmp_path: Path) -> None:
    good = put_wheel(tmp_path, "good")
    bad = tmp_path / wheel_name("bad")
    bad.write_bytes(b"no archive")
    key = b"-----BEGIN RSA PRIVATE KEY-----\n"
    odd = put_wheel(
        tmp_path, "odd", extra="Classifier: Private :: Do Not Upload\n",
        files={"odd/.env": b"X=1", "odd/native.so": b"x", "odd/key.pem": key},
    )  # fmt: skip
    sdist = tmp_path / sdist_name("src")
    sdist.write_bytes(sdist_bytes("src"))
    ran = opskit("pypi", "check", str(good), str(bad), str(odd), str(sdist))
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == f"good     {good}"
    assert lines[1].startswith(f"error    {bad}: ")
    for word in (
        ".env looks like",
        "Private :: Do Not Upload",
        "runs anywhere, and has odd/native.so",
        "holds a private key",
    ):
        assert any(word in line and line.startswith("warning") for line in lines), word
    assert lines[-1] == f"good     {sdist}"
    assert opskit("pypi", "check", str(odd)).code == 0
    assert opskit("pypi", "check", "--strict", str(odd)).code == 1
    assert opskit("pypi", "check", "/no/such").code == 2
    found = opskit("pypi", "check", "--json", str(odd)).data["files"][0]["findings"]
    assert {f["code"] for f in found} == {"secret", "private", "tags"}


def test_check_warns_of_a_name_that_exists_upstream(packages: Path) -> None:
    put_wheel(packages, "taken")
    with serving(packages) as index:
        until(lambda: index.get("/simple/taken/").status_code == 200)
        wheel = put_wheel(packages.parent / "dist", "taken")
        other = put_wheel(packages.parent / "dist", "mine")
        ran = opskit("pypi", "check", "--upstream", f"{index.url}/simple/", str(wheel), str(other))
        assert "taken exists at" in ran.out
        assert f"good     {other}" in ran.out
    ran = opskit("pypi", "check", "--upstream", "http://127.0.0.1:9/simple/", str(wheel))
    assert ran.code == 3


def test_serve_says_what_to_do_about_a_port_in_use_and_an_unwritable_place(packages: Path) -> None:
    with serving(packages) as index:
        port = index.url.rpartition(":")[2]
        ran = opskit("pypi", "serve", str(packages), "--port", port)
        assert ran.code == 3
        assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ran.err
        assert "--port" in ran.err
    ran = opskit("pypi", "serve", "/proc/nothing", "--port", "0")
    assert ran.code == 3
    assert "cannot make /proc/nothing" in ran.err
    ran = opskit("pypi", "serve", str(packages), "--host", "192.0.2.1", "--insecure-http", "--port", "0")
    assert ran.code == 3


def test_the_first_lines_say_where_what_to_type_and_who_may(tmp_path: Path) -> None:
    with serving(tmp_path / "packages") as index:
        lines = index.log.read_text().splitlines()
        assert lines[0].endswith(f" at {index.url}/")
        told = "\n".join(lines)
        for part in (
            f"pip install --index-url {index.url}/simple/ NAME",
            f"uv pip install --index-url {index.url}/",
            f"uv publish --publish-url {index.url}/legacy/",
            "read      everybody",
            "upload    tokens",
        ):
            assert part in told
        assert all(len(line) <= 80 for line in lines[1:]), "the first names a directory of any length"
        again = index.admin("token", "create", "--scope", "read")
        assert again.out.startswith("opk_")
        assert len(again.out) <= 80


def test_a_table_fits_the_terminal_and_a_pipe_gets_whole_lines(tmp_path: Path) -> None:
    put_wheel(tmp_path / "dist", "a-rather-long-project-name-for-a-package", "2026.11.28")
    assert opskit("pypi", "add", *map(str, (tmp_path / "dist").iterdir()), "--dir", str(tmp_path / "p")).code == 0
    shown = on_terminal(["pypi", "log", "--dir", str(tmp_path / "p")], columns=80)
    assert "a_rather_long" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    piped = opskit("pypi", "log", "--dir", str(tmp_path / "p")).out
    assert "a_rather_long" in piped.splitlines()[1]


def on_terminal(words: list[str], columns: int) -> str:
    """What a command writes on a terminal of this width."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (25, columns))
    process = subprocess.Popen([sys.executable, "-m", "opskit", *words], stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    got = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(master, 65536):
            got += piece
    os.close(master)
    assert process.wait() == 0
    return got.decode().replace("\r\n", "\n")


def test_ctrl_c_ends_a_server_without_a_traceback(packages: Path) -> None:
    with serving(packages) as index:
        index.process.send_signal(2)
        index.process.wait(10)
        time.sleep(0.1)
        assert "Traceback" not in index.log.read_text()


def test_a_missing_extra_names_the_line_to_type(packages: Path) -> None:
    code = (
        "import sys, importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'uvicorn' else real(name, *a)\n"
        "from opskit.cli import run\nsys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "pypi", "serve", str(packages)], capture_output=True, text=True
    )
    assert done.returncode == 3
    assert done.stderr == "error: opskit pypi needs uvicorn\nhint: pip install 'opskit[pypi]'\n"


# Names, file names, ranges: properties


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", fullmatch=True))
def test_normalising_agrees_with_packaging_and_is_idempotent(name: str) -> None:
    assert names.is_project_name(name)
    assert names.normalize(name) == canonicalize_name(name)
    assert names.normalize(names.normalize(name)) == names.normalize(name)
    assert names.matches(name, names.normalize(name))


@given(st.text(max_size=40))
def test_no_text_at_all_breaks_the_reading_of_names(text: str) -> None:
    names.parse_filename(text)
    names.parse_filename(text + "-1.0.tar.gz")
    names.parse_listed(text + ".whl")
    if names.is_safe_filename(text):
        assert "/" not in text
        assert "\\" not in text
        assert text.isprintable()


@given(
    st.from_regex(r"[a-z]([a-z0-9]{0,8})", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True),
)
def test_a_file_name_says_what_it_was_made_of(name: str, version: str) -> None:
    for filename in (f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.tar.gz"):
        parsed = names.parse_filename(filename)
        assert parsed is not None
        assert parsed.project == name
        assert names.same_version(parsed.version, version)


@given(st.text(alphabet="0123456789-,= bytes", max_size=30), st.integers(0, 50))
def test_a_range_never_leaves_the_file(spec: str, size: int) -> None:
    found = ranges.parse("bytes=" + spec, size)
    if isinstance(found, tuple):
        assert all(start >= 0 and length > 0 and start + length <= size for start, length in found)
        assert sum(length for _, length in found) <= size
