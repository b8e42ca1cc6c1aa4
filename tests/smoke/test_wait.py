"""`opskit wait`: many kinds of services, a command at the end, and every way that it can go wrong."""

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.command import opskit
from tests.programs import free_port
from tests.servers import target


def test_it_waits_for_all_and_becomes_the_command(tmp_path: Path) -> None:
    flag, unix = tmp_path / "a flag", tmp_path / "app.sock"
    threading.Timer(0.7, flag.touch).start()
    with target() as server, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(unix))
        listener.listen()
        host = server.url.removeprefix("http://")
        ran = opskit(
            "wait", server.url, f"tcp://{host}", host, f"unix://{unix}", f"file://{str(flag).replace(' ', '%20')}",
            "-t", "20s", "--", "sh", "-c", "echo $0 -- $1; exit 7", "--json", "--every",
        )  # fmt: skip
    assert ran.code == 7
    assert ran.out == "--json -- --every\n"


def test_without_a_command_it_says_what_is_up() -> None:
    with target() as server:
        ran = opskit("wait", server.url, "--json")
    assert ran.code == 0
    assert ran.json["command"] == "wait"
    assert ran.data["checks"][0]["status"] == "pass"


def test_a_service_that_does_not_come_up_is_1_and_the_command_is_not_run(tmp_path: Path) -> None:
    begun = time.monotonic()
    ran = opskit("wait", f"localhost:{free_port()}", "-t", "500ms", "--", "touch", str(tmp_path / "ran"))
    assert ran.code == 1
    assert time.monotonic() - begun < 5
    assert "connection refused" in ran.out
    assert not (tmp_path / "ran").exists()


def test_a_server_that_answers_errors_is_not_up() -> None:
    with target() as server:
        ran = opskit("wait", f"{server.url}/status/503", "-t", "400ms")
    assert ran.code == 1
    assert "503" in ran.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nonsense",), 2, "is no address"),
        (("ftp://host/",), 2, "is nothing to wait for"),
        (("http://",), 2, "is no URL"),
        (("tcp://host",), 2, "is no address"),
        (("unix://relative",), 2, "is nothing to wait for"),
        (("host:1", "-t", "soon"), 2, "not a duration"),
        (("host:1", "-t", "0"), 2, "no time to wait"),
        (("host:1", "--"), 2, "no command after --"),
        ((), 2, "missing argument"),
        (("no-such-host.invalid:80", "-t", "300ms"), 3, ""),
    ],
)
def test_what_is_wrong(words: tuple[str, ...], code: int, message: str) -> None:
    ran = opskit("wait", *words)
    assert ran.code == code
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_a_command_that_is_not_there() -> None:
    with target() as server:
        ran = opskit("wait", server.url, "--", "no-such-program")
    assert ran.code == 3
    assert ran.err.startswith("error: no-such-program: no such program")


@pytest.mark.parametrize("tool", ["smoke", "wait"])
def test_ctrl_c_reports_and_is_130(tool: str, tmp_path: Path) -> None:
    file = tmp_path / "checks.toml"
    file.write_text(f'[tcp.x]\naddress = "127.0.0.1:{free_port()}"\nwait = "60s"\n')
    words = [str(file)] if tool == "smoke" else [f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "opskit", tool, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "interrupted" in out
    assert "Traceback" not in err
