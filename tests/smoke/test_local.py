"""The checks of this machine: programs, processes, ports, files, swap, pools, compilers."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opskit.smoke.checks import probe_type
from opskit.smoke.engine import Engine
from opskit.smoke.load import load
from opskit.smoke.model import Result, Status
from tests.programs import free_port, need
from tests.smoke.smoking import one, run

ROOT = os.getuid() == 0


def command(tmp_path: Path, keys: str) -> Result:
    return one(f"[command.x]\n{keys}", tmp_path)


@pytest.mark.parametrize(
    ("good", "bad", "what"),
    [
        ('run = ["true"]', 'run = ["false"]', "exit code"),
        ('run = "exit 3"\nexit = [0, 3]', 'run = "exit 3"\nexit = "< 3"', "exit code"),
        ('run = "echo hello"\nstdout = "hell"', 'run = "echo hello"\nstdout = { equals = "hello" }', "stdout"),
        ('run = "echo oops >&2"\nstderr = "oops"', 'run = "echo oops >&2"\nstderr = { lacks = "oops" }', "stderr"),
        (
            "run = ['echo', '{\"n\": 3}']\njson = { n = 3 }",
            "run = ['echo', '{\"n\": 3}']\njson = { n = 4 }",
            "json n",
        ),
        ('run = "echo $A"\nenv = { A = "b" }\nstdout = "b"', 'run = "echo $A"\nstdout = "b"', "stdout"),
        ('run = ["cat"]\nstdin = "abc"\nstdout = "abc"', 'run = "kill -9 $$"', "exit code"),
    ],
)
def test_commands(tmp_path: Path, good: str, bad: str, what: str) -> None:
    assert command(tmp_path, good).status is Status.PASS
    failed = command(tmp_path, bad)
    assert failed.status is Status.FAIL
    assert failed.failed_findings[0].what == what


def test_a_failed_command_shows_its_errors(tmp_path: Path) -> None:
    result = command(tmp_path, 'run = "echo no database >&2; exit 1"')
    assert result.excerpt == "no database"


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    mark = f"{time.monotonic_ns()}"
    result = command(tmp_path, f'run = "sleep 300 # {mark}\\ntrue"\ntimeout = "300ms"')
    assert result.status is Status.FAIL
    assert "within 0.3 s" in result.message
    assert mark not in subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True).stdout


def test_a_missing_program_cannot_be_told_and_is_not_waited_for(tmp_path: Path) -> None:
    for line in ('run = ["no-such-program"]', 'run = "no-such-program"'):
        result = command(tmp_path, f'{line}\nwait = "30s"')
        assert result.status is Status.ERROR
        assert "no-such-program" in result.message
        assert len(result.attempts) == 1


def test_a_process_is_found_and_judged(tmp_path: Path) -> None:
    mark = f"sleeper{time.monotonic_ns()}"
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", mark])
    pidfile = tmp_path / "pid"
    pidfile.write_text(f"{sleeper.pid}\n")
    me = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    try:
        good = f'[process.x]\ncmdline = "{mark}"\ncount = 1\nuser = "{me}"\nrss = "< 1GB"\nage = "< 1h"\nfds = "> 0"\nthreads = 1'
        passed = one(good, tmp_path)
        assert passed.status is Status.PASS, passed.message
        assert passed.data["pids"] == [sleeper.pid]
        assert one(f'[process.x]\npidfile = "{pidfile}"', tmp_path).status is Status.PASS
        for wrong in ('rss = "> 1TiB"', 'user = "nobody"', "count = 2", 'age = "> 1d"'):
            assert one(f'[process.x]\ncmdline = "{mark}"\n{wrong}', tmp_path).status is Status.FAIL, wrong
    finally:
        sleeper.kill()
        sleeper.wait()
    gone = one(f'[process.x]\ncmdline = "{mark}"', tmp_path)
    assert gone.status is Status.FAIL
    assert one(f'[process.x]\npidfile = "{pidfile}"', tmp_path).status is Status.FAIL
    assert one(f'[process.x]\npidfile = "{tmp_path}/none"', tmp_path).status is Status.FAIL
    pidfile.write_text("rubbish")
    assert one(f'[process.x]\npidfile = "{pidfile}"', tmp_path).status is Status.ERROR


def test_without_ps_a_process_cannot_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = one('[process.x]\nname = "init"', tmp_path)
    assert result.status is Status.ERROR
    assert "ps" in result.message


@pytest.mark.skipif(sys.platform != "linux", reason="owners are known on Linux")
def test_a_port_is_looked_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        assert one(f'[port.x]\nport = {port}\non = "127.0.0.1"\nowner = "{name}"', tmp_path).status is Status.PASS
        assert one(f'[port.x]\nport = {port}\non = "0.0.0.0"', tmp_path).status is Status.FAIL
        assert one(f'[port.x]\nport = {port}\nowner = "nginx"', tmp_path).status is Status.FAIL
        assert one(f"[port.x]\nport = {port}\nclosed = true", tmp_path).status is Status.FAIL
    assert one(f"[port.x]\nport = {port}", tmp_path).status is Status.FAIL
    assert one(f"[port.x]\nport = {port}\nclosed = true", tmp_path).status is Status.PASS


@pytest.mark.skipif(sys.platform != "linux", reason="as /proc has it")
def test_a_udp_port_and_an_ipv6_address(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("::1", 0))
        text = f'[port.x]\nport = {bound.getsockname()[1]}\nprotocol = "udp"\non = "::1"'
        assert one(text, tmp_path).status is Status.PASS
    assert one(text, tmp_path).status is Status.FAIL


NETSTAT = """
Active Internet connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)
tcp4       0      0  127.0.0.1.5432         *.*                    LISTEN
tcp4       0      0  10.0.0.2.5432          10.0.0.9.40000         ESTABLISHED
tcp6       0      0  *.443                  *.*                    LISTEN
udp4       0      0  *.53                   *.*
"""


def test_the_netstat_of_other_systems_is_read() -> None:
    from opskit.smoke.checks.port import _netstat_lines

    assert [each.address for each in _netstat_lines(NETSTAT, "tcp", 5432)] == ["127.0.0.1"]
    assert [each.address for each in _netstat_lines(NETSTAT, "tcp", 443)] == ["0.0.0.0"]
    assert [each.address for each in _netstat_lines(NETSTAT, "udp", 53)] == ["0.0.0.0"]
    assert list(_netstat_lines(NETSTAT, "tcp", 53)) == []


@pytest.mark.parametrize(
    ("good", "bad", "what"),
    [
        ('kind = "file"', 'kind = "directory"', "kind"),
        ('mode = "0640"', 'mode = "644"', "mode"),
        ('size = "< 1kB"', 'size = "> 1kB"', "size"),
        ('age = "< 1h"', 'age = "> 1h"', "age"),
        ('contains = "debug = false"', 'contains = { lacks = "debug" }', "content"),
        ("toml = { debug = false }", "toml = { debug = true }", "toml debug"),
        ('free = "> 1B"', 'free = "> 1000TiB"', "free"),
        (f'owner = "{os.getuid()}"', 'owner = "no-such-user"', "owner"),
        (f'group = "{os.getgid()}"', 'group = "no-such-group"', "group"),
        ("", "exists = false", "file"),
        (
            'sha256 = "24b2d04a4fe3bc6c8e6a7a1ba8b3c3d4a5ed0e2f0d5f0d0a0000000000000000"',
            f'sha256 = "{"0" * 64}"',
            "sha256",
        ),
    ],
)
def test_files(tmp_path: Path, good: str, bad: str, what: str) -> None:
    import hashlib

    file = tmp_path / "app.toml"
    file.write_text("debug = false\n")
    file.chmod(0o640)
    if good.startswith("sha256"):
        good = f'sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}"'
    assert one(f'[file.x]\npath = "{file}"\n{good}', tmp_path).status is Status.PASS
    failed = one(f'[file.x]\npath = "{file}"\n{bad}', tmp_path)
    assert failed.status is Status.FAIL
    assert failed.failed_findings[0].what == what


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert one(f'[file.x]\npath = "{tmp_path}/none"', tmp_path).status is Status.FAIL
    assert one(f'[file.x]\npath = "{tmp_path}/none"\nexists = false', tmp_path).status is Status.PASS
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    assert one(f'[file.x]\npath = "{link}"', tmp_path).status is Status.FAIL
    assert one(f'[file.x]\npath = "{link}"\nkind = "link"', tmp_path).status is Status.PASS


def test_a_file_that_cannot_be_read_is_no_verdict(tmp_path: Path) -> None:
    result = one(f'[file.x]\npath = "{tmp_path}"\ncontains = "x"', tmp_path)
    assert result.status is Status.ERROR
    assert "directory" in result.message.lower()
    too_long = one(f'[file.x]\npath = "/{"x" * 5000}"', tmp_path)
    assert too_long.status is Status.ERROR


@pytest.mark.skipif(sys.platform != "linux", reason="as /proc has it")
def test_swap_is_what_the_kernel_says(tmp_path: Path) -> None:
    rows = [line.split() for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    total = sum(int(row[-3]) for row in rows) * 1024
    there = one("[swap.x]\ntotal = '>= 0'", tmp_path)
    assert there.data["total_bytes"] == total
    assert there.status is (Status.PASS if total else Status.FAIL)
    assert one("[swap.x]\noff = true", tmp_path).status is (Status.FAIL if total else Status.PASS)
    assert one('[swap.x]\non = "/no/such/device"', tmp_path).status is Status.FAIL


def test_swap_that_is_there_passes_and_a_broken_table_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opskit.smoke.checks import swap

    areas = [swap.Area("/dev/zd0", 4 * 2**30, 2**30), swap.Area("/dev/sda2", 2**30, 0)]
    monkeypatch.setattr(swap, "_areas", lambda: areas)
    text = '[swap.x]\ntotal = ">= 4GiB"\nused = "< 50%"\nfree = "> 1GiB"\non = "/dev/zd0"'
    assert one(text, tmp_path).status is Status.PASS
    assert one('[swap.x]\nused = "< 10%"', tmp_path).status is Status.FAIL


@pytest.mark.skipif(sys.platform != "linux", reason="as /proc has it")
def test_a_table_of_swap_that_cannot_be_read_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> str:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "checks.toml"
    file.write_text("[swap.x]\n")
    checks, _ = load([str(file)], {})
    monkeypatch.setattr(Path, "read_text", refuse)
    result = Engine(checks).run().results[0]
    assert result.status is Status.ERROR
    assert "Permission denied" in result.message


STATUS_OF_POOL = """\
  pool: tank
 state: {state}
  scan: scrub repaired 0B in 00:01:02 with 0 errors on Sun Nov  8 00:25:03 2026
config:

\tNAME        STATE     READ WRITE CKSUM
\ttank        {state}       0     0     0
\t  mirror-0  {state}       0     0     0
\t    sda     ONLINE       0     0     {errors}
\t    sdb     {state}       0     0     0

errors: No known data errors
"""


def fake_zpool(tmp_path: Path, state: str, errors: int = 0, capacity: int = 42) -> str:
    """A `zpool` that prints what the real one printed; there is no ZFS module in a test machine."""
    directory = tmp_path / "bin"
    directory.mkdir(exist_ok=True)
    (tmp_path / "status.txt").write_text(STATUS_OF_POOL.format(state=state, errors=errors))
    program = directory / "zpool"
    program.write_text(
        "#!/bin/sh\n"
        'for pool; do :; done\n[ "$pool" = tank ] || { echo "cannot open \'$pool\': no such pool" >&2; exit 1; }\n'
        f'[ "$1" = status ] && exec cat {tmp_path}/status.txt\nprintf "{capacity}\\t5000000000\\n"\n'
    )
    program.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_pools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[zpool.x]\npool = "tank"\ncapacity = "< 80%"\nfree = "> 1GB"\n'
    monkeypatch.setenv("PATH", fake_zpool(tmp_path, "ONLINE"))
    passed = one(text, tmp_path)
    assert passed.status is Status.PASS, passed.message
    missing = one(text.replace("tank", "pond"), tmp_path)
    assert missing.status is Status.FAIL
    assert "no such pool" in missing.message
    monkeypatch.setenv("PATH", fake_zpool(tmp_path, "DEGRADED"))
    assert one(text, tmp_path).failed_findings[0].actual == "DEGRADED"
    assert one(text + 'state = ["ONLINE", "DEGRADED"]', tmp_path).status is Status.PASS
    monkeypatch.setenv("PATH", fake_zpool(tmp_path, "ONLINE", errors=3))
    assert "sda has 3 errors" in one(text, tmp_path).message
    monkeypatch.setenv("PATH", fake_zpool(tmp_path, "ONLINE", capacity=93))
    assert one(text, tmp_path).failed_findings[0].what == "capacity"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert one(text, tmp_path).status is Status.ERROR


def test_macros(tmp_path: Path) -> None:
    need("gcc")
    head = '[macro.x]\ncompiler = "gcc"\n'
    assert one(head + 'macro = "__CHAR_BIT__"\nequals = "8"', tmp_path).status is Status.PASS
    assert one(head + 'macro = "NO_SUCH_MACRO"\nundefined = true', tmp_path).status is Status.PASS
    assert one(head + 'macro = "__CHAR_BIT__"\nequals = "9"', tmp_path).status is Status.FAIL
    assert one(head + 'macro = "NO_SUCH_MACRO"', tmp_path).status is Status.FAIL
    assert one(head + 'macro = "MINE"\nflags = "-DMINE=7"\nequals = "7"', tmp_path).status is Status.PASS
    absent = one('[macro.x]\ncompiler = "no-such-cc"\nmacro = "A"', tmp_path)
    assert absent.status is Status.ERROR


def test_the_names_of_the_types_are_the_files(tmp_path: Path) -> None:
    from opskit.smoke import checks

    directory = Path(str(checks.__file__)).parent
    assert {file.stem for file in directory.glob("*.py")} - {"__init__"} == set(checks.TYPES)
    assert all(name == probe_type(name).TYPE for name in checks.TYPES)


def test_one_fault_does_not_lose_the_other_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, scene: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(probe_type("swap"), "look", broken)
    report = run(f'[swap.x]\n[tcp.y]\naddress = "127.0.0.1:{free_port()}"\nrefused = true', tmp_path)
    assert [result.status for result in report.results] == [Status.ERROR, Status.PASS]
    assert "a fault in opskit" in report.results[0].message
