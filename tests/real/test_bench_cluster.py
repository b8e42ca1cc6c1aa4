"""One run by the workers of a real scheduler: on loopback, on hosts of their own, started here and over SSH."""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from opskit.bench.cluster import scheduler as link
from tests.cluster import Started, scheduler, worker
from tests.command import opskit
from tests.namespaces import inside, join, namespace
from tests.nginx import Nginx
from tests.programs import free_port, need
from tests.scripted import OK, answers, scripted

PATIENCE = 120  # seconds for a command whose workers have to be started on a busy machine
SITE = sysconfig.get_paths()["purelib"]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def lone(room: Path) -> Iterator[Started]:
    """A scheduler without workers."""
    (room / "lone").mkdir()
    with scheduler(room / "lone") as started:
        yield started


@pytest.fixture(scope="module")
def crew(room: Path) -> Iterator[tuple[str, list[Path]]]:
    """The address of a scheduler with two workers, and the logs of all three."""
    with scheduler(room) as started, ExitStack() as stack:
        workers = [stack.enter_context(worker(room, name, started.address)) for name in ("one", "two")]
        yield started.address, [started.log, *(each.log for each in workers)]


def test_every_line_is_asked_as_often_as_by_one_process(
    crew: tuple[str, list[Path]], nginx: Nginx, lines: Path
) -> None:
    ran = opskit(
        "bench", "-kq", "-n970", "-c7", "--cluster", crew[0], "-R", str(lines), "--json", f"{nginx.url}/search?q=",
        timeout=PATIENCE,
    )  # fmt: skip
    assert ran.err == ""
    data = ran.data
    assert data["requests"]["good"] == 970
    assert (data["together"]["parts"], data["together"]["lost"], data["together"]["machines"]) == (2, 0, True)
    assert 0 < data["together"]["clocks"] < 20
    assert data["concurrency"] == 7
    assert data["requests_file"] == {"lines": 97, "encoded": 0, "skipped": 0, "wrapped": 9}
    asked = nginx.requests(970)
    assert len(asked) == 970
    assert {asked.count(each) for each in set(asked)} == {10}


def test_a_file_larger_than_what_may_wait_is_streamed_in_order(
    crew: tuple[str, list[Path]], nginx: Nginx, tmp_path: Path
) -> None:
    path = tmp_path / "many.txt"
    path.write_text("".join(f"{number:06d}\n" for number in range(150_000)))
    data = opskit(
        "bench", "-kq", "-t3s", "-c8", "--cluster", crew[0], "-R", str(path), "--json", f"{nginx.url}/search?q=",
        timeout=PATIENCE,
    ).data  # fmt: skip
    started = data["requests"]["started"]
    asked = sorted(int(line[-6:]) for line in nginx.requests(started - 8))
    assert started > 100
    for parity in (0, 1):  # each worker its own lines, from the first on
        own = [number for number in asked if number % 2 == parity]
        missing = set(range(parity, own[-1], 2)) - set(own)
        assert len(missing) <= 8  # cut off by the end


def test_the_log_of_real_traffic_goes_to_workers_without_what_else_stands_in_it(
    crew: tuple[str, list[Path]], nginx: Nginx
) -> None:
    data = opskit(
        "bench", "-kq", "-c4", "-n40", "--cluster", crew[0], "-R", "examples/access.log", "--requests-format",
        "access-log", "--json", nginx.url, timeout=PATIENCE,
    ).data  # fmt: skip
    by_one = opskit(
        "bench", "-kq", "-c4", "-n40", "-R", "examples/access.log", "--requests-format", "access-log", "--json",
        nginx.url,
    ).data  # fmt: skip
    assert data["requests"] == by_one["requests"]
    assert data["status"] == by_one["status"]
    asked = nginx.requests(80)
    assert sorted(asked[:40]) == sorted(asked[40:])


def test_a_rate_is_that_of_all_workers_together_and_both_begin_at_once(crew: tuple[str, list[Path]]) -> None:
    with scripted(answers(OK, then="keep")) as server:
        data = opskit(
            "bench", "-kq", "-t2s", "-c20", "--rate", "100", "--cluster", crew[0], "--json", server.url,
            timeout=PATIENCE,
        ).data  # fmt: skip
    assert data["requests"]["started"] + data["requests"]["unsent"] == 200
    assert data["together"]["spread"] < 1
    assert data["latency_ms"]["response"]["p50"] > 0


def test_certificates_and_bodies_go_along_and_secrets_stay_out_of_the_logs(
    crew: tuple[str, list[Path]], nginx: Nginx, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_text("card=4929-secret-body")
    requests = tmp_path / "requests"
    requests.write_text("?token=secret-line\n")
    ran = opskit(
        "bench", "-kq", "-n40", "-c4", "--cluster", crew[0], "--cacert", str(nginx.ca),
        "-E", str(nginx.directory / "client.pem"), "-A", "me:secret-password", "-H", "X-Key: secret-header",
        "-p", str(body), "-R", str(requests), "--json", f"https://127.0.0.1:{nginx.mutual_port}/",
        timeout=PATIENCE,
    )  # fmt: skip
    assert ran.data["requests"]["good"] == 40, ran.err
    assert ran.data["tls"]["protocol"].startswith("TLS")
    logged = "".join(log.read_text() for log in crew[1])
    assert "secret" not in logged
    assert "BEGIN" not in logged


def test_what_a_worker_refuses_is_said_once(crew: tuple[str, list[Path]]) -> None:
    ran = opskit("bench", "-n4", "-c2", "--cluster", crew[0], "http://no-such-host.invalid/", timeout=PATIENCE)
    assert ran.code == 3
    assert ran.err.startswith("error: no-such-host.invalid does not resolve")
    assert len(ran.err.splitlines()) == 2


def test_a_bad_line_further_down_ends_the_run_and_is_named(
    crew: tuple[str, list[Path]], nginx: Nginx, tmp_path: Path
) -> None:
    path = tmp_path / "late.jsonl"
    path.write_text('{"url": "/search"}\n' * 3000 + '{"nonsense": 1}\n')
    ran = opskit("bench", "-kq", "-c4", "--cluster", crew[0], "-R", str(path), nginx.url, timeout=PATIENCE)
    assert ran.code == 4
    assert "late.jsonl:3001:2: unknown key 'nonsense'" in ran.err


def test_ctrl_c_stops_all_workers_and_reports_what_was_done(crew: tuple[str, list[Path]], nginx: Nginx) -> None:
    log = nginx.directory / "access.log"
    with running("-t120s", "-c4", "--cluster", crew[0], "--rate", "100", f"{nginx.url}/search") as run:
        wait_for(lambda: log.stat().st_size > 1000)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=PATIENCE)
    asked = log.stat().st_size
    time.sleep(1)
    assert log.stat().st_size == asked  # nobody goes on
    assert run.returncode == 130, err
    assert "(interrupted)" in out
    assert "2 workers" in out


def test_fewer_requests_at_a_time_than_workers_are_refused(crew: tuple[str, list[Path]]) -> None:
    ran = opskit("bench", "-n4", "--cluster", crew[0], "http://127.0.0.1:1/", timeout=PATIENCE)
    assert ran.code == 2
    assert "--cluster with 2 workers, but only -c 1" in ran.err


# On this machine


def test_workers_that_are_started_here_listen_on_loopback_only_and_are_gone_afterwards() -> None:
    with (
        scripted(answers(OK, then="keep")) as server,
        running("-t120s", "-c2", "--cluster", "local:2", server.url) as run,
    ):
        wait_for(lambda: server.connections >= 2)
        family = group(run.pid)
        listening = {address for pid in family for address in listeners(pid)}
        # As a terminal does it: to all at once.
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130, err
    assert "2 workers" in out
    assert err.strip() == "stopping; Ctrl-C again stops at once"
    assert len(family) >= 3
    assert {address for address, _ in listening} == {"127.0.0.1"}
    assert 8787 not in {port for _, port in listening}  # the dashboard's
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))


# What does not answer


def test_no_scheduler_is_said_at_once() -> None:
    ran = opskit("bench", "-c2", "-n4", "--cluster", f"tcp://127.0.0.1:{free_port()}", "http://127.0.0.1:1/")
    assert ran.code == 3
    assert "error: no scheduler at tcp://127.0.0.1:" in ran.err
    assert "Connection refused" in ran.err
    assert len(ran.err.splitlines()) == 2


def test_an_address_that_swallows_everything_is_given_up() -> None:
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)  # and nobody accepts: when the queue is full, the kernel drops what knocks
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        ran = opskit("bench", "-c2", "-n4", "--cluster", f"tcp://127.0.0.1:{port}", "http://127.0.0.1:1/")
    assert ran.code == 3
    assert f"no scheduler at tcp://127.0.0.1:{port}: no answer within 4 s" in ran.err


def test_something_else_than_a_scheduler_is_called_so(nginx: Nginx) -> None:
    ran = opskit("bench", "-c2", "-n4", "--cluster", f"tcp://127.0.0.1:{nginx.port}", "http://127.0.0.1:1/")
    assert ran.code == 3
    assert "does not answer as a scheduler of Dask does" in ran.err
    assert len(ran.err.splitlines()) == 2


def test_a_scheduler_without_workers_is_said(lone: Started) -> None:
    ran = opskit("bench", "-c2", "-n4", "--cluster", lone.address, "--json", "http://127.0.0.1:1/")
    assert ran.code == 3
    assert f"the scheduler at {lone.address} has no workers" in ran.err
    assert f"dask worker {lone.address}" in ran.err
    assert [error["code"] for error in ran.json["errors"]] == ["no_workers"]


def test_all_of_it_takes_less_than_ten_seconds_of_waiting() -> None:
    assert link.CONNECTED_WITHIN < link.REACHED_WITHIN < 10


def other_opskit(directory: Path) -> dict[str, str]:
    (directory / "opskit").mkdir()
    (directory / "opskit" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    return {"PYTHONPATH": str(directory)}


def other_dask(directory: Path) -> dict[str, str]:
    info = directory / "dask-2020.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dask\nVersion: 2020.1\n")
    return {"PYTHONPATH": str(directory)}


def no_opskit(directory: Path) -> dict[str, str]:
    return {"PYTHONPATH": SITE}  # with -S: what is installed there, but nothing that a .pth file leads to


@pytest.mark.parametrize(
    ("environment", "flags", "says"),
    [
        (other_opskit, [], "have opskit 0.0.1, and this machine opskit "),
        (no_opskit, ["-S"], "have no opskit, and this machine opskit "),
        (other_dask, [], "have dask 2020.1, and this machine dask "),
    ],
    ids=["another opskit", "no opskit", "another Dask"],
)
def test_a_worker_that_does_not_match_is_named(
    lone: Started, tmp_path: Path, environment: object, flags: list[str], says: str
) -> None:
    assert callable(environment)
    python = [sys.executable, *flags]
    with worker(tmp_path, "odd", lone.address, env=environment(tmp_path), python=python):
        ran = opskit("bench", "-c2", "-n4", "--cluster", lone.address, "http://127.0.0.1:1/")
    assert ran.code == 3
    assert f"error: 1 of 1 workers (tcp://127.0.0.1:{ran.err.partition('127.0.0.1:')[2][:5]}) {says}" in ran.err
    assert "pip install 'opskit[cluster]==" in ran.err
    assert len(ran.err.splitlines()) == 2


# What cannot be done


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--cluster", "nonsense"], "not a place where workers are"),
        (["--cluster", "local:0"], "not a place where workers are"),
        (["--cluster", "tcp://host"], "not a place where workers are"),
        (["--cluster", "ssh:/no/such/file"], "No such file"),
        (["--cluster", "local:2", "--processes", "2"], "exclude each other"),
        (["--cluster", "local:2", "-g", "/dev/null"], "need one process"),
        (["--cluster", "local:2", "-v", "2"], "need one process"),
        (["--cluster", "local:2", "-B", "127.0.0.1"], "-B does not go with --cluster"),
        (["--cluster", "local:2", "--unix-socket", "/run/x"], "--unix-socket does not go with --cluster"),
        (["--cluster", "local:2", "-R", "-"], "is a pipe"),
        (["--cluster", "local:2", "-R", "/no/such/file"], "there is no such file"),
        (["--cluster", "local:2", "-E", "/no/such/file"], "No such file"),
    ],
)
def test_what_no_cluster_can_do_is_refused_before_anything_starts(args: list[str], says: str) -> None:
    ran = opskit("bench", "-c2", "-n9", *args, "http://127.0.0.1:1/")
    assert (ran.code, says in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no host in it"),
        ("# none\n\n", "no host in it"),
        ("a\n-oProxyCommand=x\n", ":2: '-oProxyCommand=x' is no host"),
    ],
)
def test_a_bad_file_of_hosts_is_refused(tmp_path: Path, text: str, says: str) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(text)
    ran = opskit("bench", "-c2", "-n9", "--cluster", f"ssh:{hosts}", "http://127.0.0.1:1/")
    assert (ran.code, says in ran.err) == (2, True), ran.err


def test_a_missing_extra_is_the_line_to_type() -> None:
    code = "import sys; sys.modules['distributed'] = None\nfrom opskit.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, "bench", "-c2", "-n9", "--cluster", "local:2", "http://127.0.0.1:1/"],
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (
        3, "error: --cluster needs distributed\nhint: pip install 'opskit[cluster]'\n"
    )  # fmt: skip


# Hosts of their own


@contextmanager
def hosts(*names: str) -> Iterator[list[str]]:
    """Namespaces connected to the first of them; yields their names."""
    with ExitStack() as stack:
        yield [stack.enter_context(namespace(name)) for name in names]


def test_a_worker_that_is_killed_half_way_leaves_the_figures_of_the_others(tmp_path: Path) -> None:
    with hosts("hub", "one", "two", "site") as (hub, one, two, site), ExitStack() as stack:
        at_one, at_two, at_site = join(hub, [one, two, site])
        at_hub = at_one.rpartition(".")[0] + ".1"
        stack.enter_context(served(inside(site, sys.executable, "-m", "opskit", "target", "--host", at_site)))
        dask = stack.enter_context(scheduler(tmp_path, host=at_hub, port=8786, prefix=inside(hub)))
        workers = [
            stack.enter_context(worker(tmp_path, name, dask.address, host=address, prefix=inside(space)))
            for name, address, space in (("one", at_one, one), ("two", at_two, two))
        ]
        lines = tmp_path / "lines"
        lines.write_text("".join(f"{number}\n" for number in range(1000)))
        command = inside(
            hub, sys.executable, "-m", "opskit", "bench", "-kq", "-c6", "--rate", "100", "-R", str(lines)
        )
        command += ["--cluster", dask.address, "--json", f"http://{at_site}:8080/search?q="]

        whole = json.loads(subprocess.run([*command, "-t2s"], capture_output=True, check=True).stdout)["data"]
        assert whole["requests"]["good"] + whole["requests"]["unsent"] == 200
        assert whole["together"]["lost"] == 0

        run = subprocess.Popen([*command, "-t8s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: connected(workers[1].process.pid, 8080))
        time.sleep(1)
        workers[1].process.kill()
        out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 4, err
    data = json.loads(out)["data"]
    assert (data["together"]["parts"], data["together"]["lost"]) == (2, 1)
    assert [each["doubt"] for each in data["verdict"]["findings"]].count("PARTIAL") == 1
    # The share of the one that lives is whole: every second moment of 100/s for 8 s, and every second line.
    assert data["requests"]["started"] + data["requests"]["unsent"] == 400
    assert "Traceback" not in err


def test_hosts_are_reached_over_ssh(tmp_path: Path) -> None:
    sshd, keygen = need("sshd"), need("ssh-keygen")
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "authorized").write_bytes((tmp_path / "user.pub").read_bytes())
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text(
        f"Host worker\n  HostName 127.0.0.1\n  Port 2222\n  IdentityFile {tmp_path}/user\n"
    )
    key = (tmp_path / "host.pub").read_text()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:2222,worker,[worker]:2222,127.0.0.1 {key}")
    (tmp_path / "hosts").write_text(f"# two on the same\nworker {sys.executable}\nworker\n")
    with hosts("ssh") as (space,), ExitStack() as stack:
        Path("/run/sshd").mkdir(exist_ok=True)
        command = inside(
            space, sshd, "-D", "-e", "-f", "/dev/null", "-p", "2222", "-h", str(tmp_path / "host"), "-o",
            f"AuthorizedKeysFile={tmp_path}/authorized", "-o", "StrictModes=no", "-o", "UsePAM=no", "-o",
            "ListenAddress=127.0.0.1", "-o", "PidFile=none",
        )  # fmt: skip
        daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        stack.callback(daemon.wait)
        stack.callback(daemon.kill)
        stack.enter_context(served(inside(space, sys.executable, "-m", "opskit", "target")))
        ran = subprocess.run(
            inside(
                space, sys.executable, "-m", "opskit", "bench", "-kq", "-n200", "-c4", "--cluster",
                f"ssh:{tmp_path}/hosts", "--json", "http://127.0.0.1:8080/",
            ),
            capture_output=True, text=True, env={**os.environ, "HOME": str(home)}, timeout=PATIENCE,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    data = json.loads(ran.stdout)["data"]
    assert data["requests"]["good"] == 200
    assert (data["together"]["parts"], data["together"]["lost"]) == (2, 0)
    assert ran.stderr == ""


@contextmanager
def served(command: list[str]) -> Iterator[None]:
    """A server that says its URL when it listens."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith(b"http://")
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def running(*args: str) -> Iterator["subprocess.Popen[str]"]:
    """`opskit bench`, in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "opskit", "bench", "-kq", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for(what: object, seconds: float = PATIENCE) -> None:
    assert callable(what)
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group(leader: int) -> list[int]:
    """The processes of a process group: proc(5)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[2]) == leader:
                found.append(int(path.parent.name))
    return found


def connections(pid: int, state: str) -> Iterator[tuple[tuple[str, int], int]]:
    """((local address, local port), remote port) of a process's TCP sockets in one state: proc(5)."""
    links = (path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir())
    inodes = {str(link)[8:-1] for link in links if str(link).startswith("socket:")}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == state and words[9] in inodes:
            host, port = words[1].split(":")
            address = socket.inet_ntoa(int(host, 16).to_bytes(4, sys.byteorder))
            yield (address, int(port, 16)), int(words[2].split(":")[1], 16)


def listeners(pid: int) -> set[tuple[str, int]]:
    return {local for local, _ in connections(pid, "0A")}


def connected(pid: int, port: int) -> bool:
    return any(remote == port for _, remote in connections(pid, "01"))
