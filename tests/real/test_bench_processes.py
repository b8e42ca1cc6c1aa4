"""One run by several processes, against real servers: nothing lost, nothing counted twice, whatever dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import opskit
from tests.nginx import Nginx
from tests.scripted import OK, Peer, answers, scripted


def children(pid: int) -> list[int]:
    """The processes that a process has started: proc(5)."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def started(*args: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "opskit", "bench", "-kq", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_children(process: "subprocess.Popen[str]", count: int) -> list[int]:
    deadline = time.monotonic() + 20
    while len(found := children(process.pid)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(found) == count
    return found


def wait_until_asked(server: object, connections: int) -> None:
    deadline = time.monotonic() + 20
    while server.connections < connections and time.monotonic() < deadline:  # type: ignore[attr-defined]
        time.sleep(0.02)
    time.sleep(0.3)


def test_every_line_is_asked_as_often_as_by_one_process(nginx: Nginx, lines: Path) -> None:
    data = opskit(
        "bench", "-k", "-n", "970", "-c", "7", "--processes", "3", "-R", str(lines), "--json",
        f"{nginx.url}/search?q=",
    ).data  # fmt: skip
    assert data["requests"]["good"] == 970
    assert (data["together"]["parts"], data["together"]["lost"]) == (3, 0)
    assert data["concurrency"] == 7
    assert data["requests_file"]["lines"] == 97
    asked = nginx.requests(970)
    assert len(asked) == 970
    assert {asked.count(each) for each in set(asked)} == {10}


def test_a_rate_is_that_of_all_processes_together() -> None:
    with scripted(answers(OK, then="keep")) as server:
        data = opskit(
            "bench", "-k", "-t", "1s", "-c", "10", "--rate", "200", "--processes", "2", "--json", server.url
        ).data
    assert data["requests"]["started"] + data["requests"]["unsent"] == 200
    assert data["latency_ms"]["response"]["p50"] > 0


def test_a_process_that_is_killed_leaves_the_figures_of_the_others() -> None:
    with scripted(answers(OK, then="keep")) as server:
        run = started("-t", "3s", "-c", "2", "--processes", "2", "--rate", "100", server.url)
        victim = wait_for_children(run, 2)[0]
        wait_until_asked(server, 2)
        os.kill(victim, signal.SIGKILL)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 4, err
    assert "150 good" in out
    assert "PARTIAL" in out
    assert "1 of 2 parts of the run were lost" in out
    assert "Traceback" not in err


def test_all_processes_killed_is_said_in_one_line() -> None:
    with scripted(answers(OK, then="keep")) as server:
        run = started("-t", "5s", "-c", "2", "--processes", "2", server.url)
        for pid in wait_for_children(run, 2):
            os.kill(pid, signal.SIGKILL)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 3
    assert err.startswith("error: every process of the run died\nhint: ")
    assert out == ""


def test_ctrl_c_stops_all_and_reports_what_was_done() -> None:
    with scripted(answers(OK, then="keep")) as server:
        run = started("-t", "60s", "-c", "4", "--processes", "2", server.url)
        pids = wait_for_children(run, 2)
        wait_until_asked(server, 4)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "(interrupted)" in out
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_processes_end_with_the_one_who_started_them() -> None:
    with scripted(answers(OK, then="keep")) as server:
        run = started("-t", "60s", "-c", "2", "--processes", "2", server.url)
        pids = wait_for_children(run, 2)
        wait_until_asked(server, 2)
        run.kill()
        run.communicate(timeout=60)
        deadline = time.monotonic() + 20
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_bad_line_is_refused_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"url": "/"}\n{"nonsense": 1}\n')
    ran = opskit("bench", "-n4", "-c2", "--processes", "2", "-R", str(path), "http://127.0.0.1:1/")
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert len(ran.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--processes", "0"], "not a number of processes"),
        (["--processes", "many"], "not a number of processes"),
        (["--processes", "4", "-c2", "-n9"], "only -c 2"),
        (["--processes", "2", "-c2", "-n9", "-R", "-"], "is a pipe"),
        (["--processes", "2", "-c2", "-n9", "-g", "/dev/null"], "need one process"),
    ],
)
def test_what_cannot_be_shared_is_refused(args: list[str], says: str) -> None:
    ran = opskit("bench", *args, "http://127.0.0.1:1/")
    assert (ran.code, says in ran.err) == (2, True), ran.err


def test_auto_is_no_more_than_there_are_requests_at_a_time() -> None:
    def slow(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(OK)

    with scripted(slow) as server:
        data = opskit("bench", "-k", "-n20", "-c1", "--processes", "auto", "--json", server.url).data
    assert data["requests"]["good"] == 20
    assert data["together"] is None
