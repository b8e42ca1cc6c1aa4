"""How a run ends: Ctrl-C, limits of the machine, files and pipes that cannot take the result, bad input."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from opskit.cli import run
from tests.command import Ran, opskit
from tests.nginx import Nginx
from tests.programs import free_port
from tests.scripted import OK, Peer, Scripted, answers, scripted


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(answers(OK, then="keep")) as running:
        yield running


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The front door without a process of its own, for the many calls that end before any work."""

    def call(*args: str) -> Ran:
        code = run(args)
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return call


def started(*args: str, **how: Any) -> "subprocess.Popen[str]":
    """`opskit bench`, running."""
    return subprocess.Popen(
        [sys.executable, "-m", "opskit", "bench", *args],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how},
    )


# Ctrl-C


def wait_for(server: Scripted, connections: int = 1) -> None:
    deadline = time.monotonic() + 10
    while server.connections < connections and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_ctrl_c_ends_the_run_and_reports_what_was_done(
    server: Scripted, form: tuple[str, ...], tmp_path: Path
) -> None:
    saved = tmp_path / "run.json"
    process = started("-t", "60", "-c", "3", "-k", "--save", str(saved), *form, server.url)
    wait_for(server, 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "stopping; Ctrl-C again stops at once" in err
    assert "Traceback" not in err
    if form:
        document = json.loads(out)
        assert document["status"] == "interrupted"
        counts = document["data"]["requests"]
        assert counts["good"] + counts["failed"] == counts["started"] > 10
        assert document["data"]["failures"].keys() <= {"cut_off"}
    else:
        assert "good requests/s" in out
    assert opskit("report", "--json", str(saved)).data["stop"] == "interrupted"


def test_ctrl_c_while_nothing_answers() -> None:
    """In the middle of connecting, and of waiting: what was in flight is cut off, in a moment."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as deaf:
        process = started("--json", "-n", "10", "-c", "10", f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        out, _ = process.communicate(timeout=10)
    assert time.monotonic() - begun < 2
    assert process.returncode == 130
    assert json.loads(out)["data"]["failures"] == {"cut_off": 10}


def test_a_second_ctrl_c_stops_at_once() -> None:
    code = (
        "import time\n"
        "from opskit.interrupts import stop_on_interrupt\n"
        "with stop_on_interrupt(lambda: print('asked to stop', flush=True)):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(30)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    for word in ("begun\n", "asked to stop\n"):
        assert process.stdout.readline() == word
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err


# A pipe that brings its lines when it likes


def test_a_slow_pipe_feeds_a_run_and_ctrl_c_still_reports(server: Scripted) -> None:
    process = started("--json", "-c", "3", "-R", "-", server.url, stdin=subprocess.PIPE)
    assert process.stdin
    for word in ("one", "two", "three"):
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
        time.sleep(0.1)
    wait_for(server, 3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    counts = json.loads(out)["data"]["requests"]
    assert (counts["started"], counts["good"]) == (3, 3)


@pytest.mark.parametrize(("limit", "stop"), [(("-t", "0.5"), "time"), (("-n", "2"), "finished")])
def test_a_pipe_that_stays_open_does_not_hold_the_run_up(
    server: Scripted, limit: tuple[str, str], stop: str
) -> None:
    process = started("--json", *limit, "-k", "-R", "-", server.url, stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write("one\ntwo\n")
    process.stdin.flush()
    process.wait(10)
    out = process.stdout.read() if process.stdout else ""
    process.communicate()
    data = json.loads(out)["data"]
    assert (data["stop"], data["requests"]["good"]) == (stop, 2)


def test_an_answer_is_timed_rightly_while_the_pipe_has_nothing() -> None:
    def script(peer: Peer) -> None:
        for _ in peer.requests():
            time.sleep(0.05)
            peer.send(OK)

    with scripted(script) as slow:
        process = started("--json", "-c", "2", "-k", "-R", "-", slow.url, stdin=subprocess.PIPE)
        assert process.stdin
        process.stdin.write("one\n")
        process.stdin.flush()
        time.sleep(1)
        out, _ = process.communicate("two\n", timeout=10)
    data = json.loads(out)["data"]
    assert data["requests"]["good"] == 2
    assert data["latency_ms"]["total"]["max"] < 300


# Limits of the machine


def with_descriptors(soft: int, hard: int, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "opskit", "bench", *args],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )


def test_the_soft_descriptor_limit_is_raised(nginx: Nginx) -> None:
    done = with_descriptors(64, 1024, "--json", "-k", "-n", "600", "-c", "300", f"{nginx.url}/1k")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["requests"]["good"] == 600


def test_the_hard_descriptor_limit_is_said_with_the_number_that_fits(nginx: Nginx) -> None:
    done = with_descriptors(64, 256, "-n", "600", "-c", "300", f"{nginx.url}/1k")
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "error: 364 descriptors are needed, but this process may open 256",
        "hint: use -c 192 or less, or raise the limit: ulimit -Hn 364",
    ]
    fits = with_descriptors(64, 256, "--json", "-n", "600", "-c", "192", f"{nginx.url}/1k")
    assert json.loads(fits.stdout)["data"]["requests"]["good"] == 600


def peak_memory(*args: str, stdin: Any = None) -> tuple[float, Any]:
    """The largest resident size of one run in MiB, and its JSON `data`."""
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-m', 'opskit', 'bench', '--json', *sys.argv[1:]],"
        " capture_output=True, text=True)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024\n"
        "print(json.dumps({'peak': peak, 'code': done.returncode, 'err': done.stderr, 'run': done.stdout}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True, stdin=stdin
    )
    told = json.loads(done.stdout)
    assert told["code"] == 0, told["err"]
    return told["peak"], json.loads(told["run"])["data"]


def test_memory_does_not_grow_with_the_run(nginx: Nginx) -> None:
    peak, data = peak_memory("-k", "-n", "100000", "-c", "50", f"{nginx.url}/search")
    assert data["requests"]["good"] == 100_000
    assert peak < 60


def test_memory_does_not_grow_with_failures(nginx: Nginx) -> None:
    peak, data = peak_memory("-r", "-n", "15000", "-c", "50", "-q", "--fail-status", f"{nginx.url}/status/404")
    assert data["failures"] == {"status": 15_000}
    assert peak < 60


def test_memory_does_not_grow_with_the_file(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    block = b"".join(b"word%d-%s\n" % (i, b"x" * 80) for i in range(10_000))
    with path.open("wb") as file:
        while file.tell() < 200 << 20:
            file.write(block)
    begun = time.monotonic()
    peak, data = peak_memory("-k", "-n", "3000", "-c", "20", "-R", str(path), f"{nginx.url}/search?q=")
    assert data["requests"]["good"] == 3000
    assert peak < 60
    assert time.monotonic() - begun < 10, "the file is not read to its end before the run"
    with path.open("rb") as pipe:
        peak, data = peak_memory("-k", "-n", "3000", "-R", "-", f"{nginx.url}/search?q=", stdin=pipe)
    assert peak < 60


def test_labels_beyond_two_hundred_share_a_name(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        "".join(f'{{"url": "/search?q={i}", "label": "page {i}"}}\n' for i in range(3000)).replace(
            '"/search', f'"{nginx.url}/search'
        )
    )
    peak, data = peak_memory("-k", "-c", "10", "-R", str(path))
    assert len(data["labels"]) == 201
    others = next(each for each in data["labels"] if each["label"] == "(other labels)")
    assert others["requests"] == 2800
    assert peak < 80


# Output that cannot be taken


@pytest.mark.parametrize("option", ["-e", "-g", "--save"])
def test_a_full_disk_for_a_file_is_said(server: Scripted, option: str) -> None:
    ran = opskit("bench", "-n", "20", option, "/dev/full", server.url)
    assert ran.code == 3
    assert "error: cannot write /dev/full: No space left on device" in ran.err
    assert "Traceback" not in ran.err


def test_a_full_disk_for_standard_output_is_said(server: Scripted) -> None:
    for form in ((), ("--json",), ("--format", "ab")):
        with open("/dev/full", "w") as full:
            process = started(*form, server.url, stdout=full)
            _, err = process.communicate(timeout=10)
        assert process.returncode == 3
        assert "error: cannot write to standard output: No space left on device" in err
        assert "Traceback" not in err


@pytest.mark.parametrize("option", ["-e", "-g", "--save"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no/such/file", "there is no directory no/such"),
        (".", "it is a directory"),
        ("x" * 300, "File name too long"),
        ("loop/file", "circle"),
    ],
)
def test_an_output_file_that_cannot_be_made_is_refused_before_the_run(
    server: Scripted,
    here: Callable[..., Ran],
    option: str,
    path: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    ran = here("bench", option, path, server.url)
    assert ran.code == 3
    assert ran.err.startswith(f"error: cannot write {path}: ")
    assert reason in ran.err
    assert ran.out == ""
    assert server.connections == 0


def test_an_output_file_is_whole_or_as_it_was(server: Scripted, tmp_path: Path) -> None:
    """kill -9 in the middle of a run: neither half a file nor a temporary one."""
    kept = tmp_path / "run.json"
    kept.write_text("the run before\n")
    kept.chmod(0o640)
    process = started("-t", "30", "-k", "--save", str(kept), "-g", str(tmp_path / "rows"), server.url)
    wait_for(server)
    process.kill()
    process.communicate(timeout=10)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert kept.read_text() == "the run before\n"
    assert opskit("bench", "--save", str(kept), server.url).code == 0
    assert json.loads(kept.read_text())["schema"] == "bench-run/1"
    assert kept.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("form", [(), ("--json",), ("--format", "ab"), ("--format", "html")])
def test_a_reader_that_goes_away_is_no_error(server: Scripted, form: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = started("-n", "5", *form, server.url, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", ">&-", ">&- 2>&-", "<&-"])
def test_a_stream_that_is_closed_or_full_does_not_stop_the_run(server: Scripted, streams: str) -> None:
    command = f'"{sys.executable}" -m opskit bench -n 300 -k {server.url} {streams}'
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr + done.stdout
    assert ">&-" in streams or "300 good" in done.stdout


def test_a_locale_without_utf8_can_show_every_report(server: Scripted, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("é\n")
    for form in ((), ("--json",), ("--format", "ab")):
        ran = opskit(
            "bench", *form, "-R", str(lines), server.url,
            env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"},
        )  # fmt: skip
        assert ran.code == 0, ran.err


# Bad input: one message, what to do next, the exit code, and not one connection


def bad_inputs() -> dict[str, tuple[tuple[str, ...], int, str]]:
    return {
        "no url and no file": ((), 2, "no URL and no -R file"),
        "unknown scheme": (("ftp://127.0.0.1/",), 2, "the scheme ftp is unknown"),
        "no host": (("http:///path",), 2, "names no host"),
        "a bad port": (("http://127.0.0.1:99999/",), 2, "is not a URL"),
        "a name that does not resolve": (("http://name.invalid/",), 3, "name.invalid does not resolve"),
        "a name that can be none": (("http://" + "a" * 64 + "/",), 3, "does not resolve: not a host name"),
        "a missing file": (("-R", "missing", "URL"), 2, "-R missing: there is no such file"),
        "an empty file": (("-R", "empty", "URL"), 2, "empty holds no request"),
        "all comments": (("-R", "comments", "URL"), 2, "comments holds no request"),
        "a directory": (("-R", ".", "URL"), 2, "-R . is a directory"),
        "binary": (("-R", "binary", "URL"), 2, "binary looks binary"),
        "no whole urls": (("-R", "words",), 2, "words:1: 'one' is not a whole URL"),
        "bad json": (("-R", "bad.jsonl", "URL"), 2, "bad.jsonl:2:9: not JSON"),
        "a wrong type": (("-R", "type.jsonl", "URL"), 2, "type.jsonl:1:2: 'method' must be a string"),
        "ramp delay": (("-R", "100", "URL"), 2, "-R 100: there is no such file"),
        "-n 0": (("-n", "0", "URL"), 2, "-n 0: at least one request"),
        "-c 0": (("-c", "0", "URL"), 2, "-c 0: at least one at a time"),
        "-c above -n": (("-n", "2", "-c", "3", "URL"), 2, "-c 3 at once, but only -n 2"),
        "not a number": (("-n", "many", "URL"), 2, "many"),
        "not a duration": (("-t", "soon", "URL"), 2, "'soon' is not a duration"),
        "no header": (("-H", "nonsense", "URL"), 2, "-H 'nonsense' is not a header"),
        "an unknown format": (("--format", "pdf", "URL"), 2, "--format pdf: unknown"),
        "an unknown tls": (("-f", "SSL9", "URL"), 2, "-f SSL9: unknown"),
        "a body that is missing": (("-p", "missing", "URL"), 2, "missing: No such file"),
        "two methods": (("-p", "words", "-i", "URL"), 2, "exclude each other"),
        "two ways": (("-X", "h:1", "--unix-socket", "s", "URL"), 2, "exclude each other"),
        "a proxy without port": (("--connect-to", "host", "URL"), 2, "--connect-to host: not a host and port"),
        "bad ciphers": (("-Z", "NONSENSE", "https://127.0.0.1/"), 2, "-Z NONSENSE: "),
    }  # fmt: skip


@pytest.mark.parametrize("name", bad_inputs())
def test_bad_input_is_refused_with_a_way_out(
    server: Scripted, here: Callable[..., Ran], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file, content in {
        "empty": b"",
        "comments": b"# one\n\n  \n#two",
        "binary": bytes(range(256)),
        "words": b"one\ntwo\n",
        "bad.jsonl": b'{"url": "/"}\n{"url": oops}\n',
        "type.jsonl": b'{"method": 3}\n',
    }.items():
        Path(file).write_bytes(content)
    args, code, message = bad_inputs()[name]
    ran = here("bench", "--save", "run.json", *(server.url if arg == "URL" else arg for arg in args))
    assert ran.code == code
    error, hint = ran.err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")
    assert ran.out == ""
    assert not Path("run.json").exists()
    assert server.connections == 0


def test_a_closed_port_is_said_with_the_address() -> None:
    port = free_port()
    ran = opskit("bench", "--json", f"http://127.0.0.1:{port}/")
    assert ran.code == 3
    assert f"127.0.0.1:{port} refused the connection" in ran.err
    assert ran.json["status"] == "error"
    assert ran.json["errors"][0]["code"] == "no_answer"
    assert ran.data["failures"] == {"refused": 1}


def test_a_bad_line_further_down_ends_the_run_part_way(server: Scripted) -> None:
    """In a pipe, which cannot be judged before the run."""
    ran = opskit(
        "bench", "--json", "-k", "-c", "10", "--requests-format", "jsonl", "-R", "-", server.url,
        stdin='{"url": "a"}\n' * 500 + "oops\n",
    )  # fmt: skip
    assert ran.code == 4
    assert ran.json["status"] == "partial"
    assert "standard input:501:1: not JSON" in ran.err
    assert ran.data["requests"]["good"] == ran.data["requests"]["started"] == 500
