"""Ports: what a run needs, computed before it starts, and what happens where there are too few."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from opskit.bench import ports as module
from opskit.bench.plan import Plan, Route, Schedule, Shape, parse_url
from opskit.bench.ports import ports_of
from opskit.bench.results import Failure, Ports, Stop
from opskit.bench.schedule import parse_rate
from opskit.bench.verdict import Doubt, findings
from opskit.errors import Unable
from tests.bench.test_verdict import CLEAN
from tests.command import Ran
from tests.namespaces import inside, namespace

URL = parse_url("http://192.0.2.1/")


@pytest.fixture(autouse=True)
def _linux_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_range", lambda: (32768, 60999))
    monkeypatch.setattr(module, "_reuses_time_wait", lambda plan: False)


@pytest.mark.parametrize(
    ("plan", "needed"),
    [
        (Plan(URL, number=10**6, concurrency=50, shape=Shape(keep_alive=True)), 50),
        (Plan(URL, number=10**5), 10**5),
        (Plan(URL, number=None, seconds=60), None),  # nobody knows how fast the server is
        (Plan(URL, number=None, seconds=600, schedule=Schedule(parse_rate("500"))), 30_000),
        (Plan(URL, number=None, seconds=10, schedule=Schedule(parse_rate("10..2000@1m"))), 20_000),
        (Plan(URL, number=1000, schedule=Schedule(parse_rate("5000"))), 1000),
    ],
)
def test_what_a_run_may_need_within_time_wait(plan: Plan, needed: int | None) -> None:
    found = ports_of(plan)
    assert found == Ports(needed, 28232, 60)
    assert found.short is (needed is not None and needed > 28232)


def test_a_port_that_may_be_taken_again_is_needed_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_reuses_time_wait", lambda plan: True)
    found = ports_of(Plan(URL, number=None, seconds=600, schedule=Schedule(parse_rate("500"))))
    assert found == Ports(500, 28232, 1)


def test_a_unix_socket_takes_no_port() -> None:
    assert ports_of(Plan(URL, route=Route(unix_socket="/run/x"))) is None


def test_each_address_to_connect_from_has_ports_of_its_own() -> None:
    found = ports_of(Plan(URL, number=10**5, route=Route(local_addresses=("192.0.2.8", "192.0.2.9"))))
    assert found == Ports(10**5, 2 * 28232, 60)


def test_more_at_a_time_than_there_are_ports_is_refused() -> None:
    with pytest.raises(Unable, match=r"-c 30000 needs as many ports") as refused:
        ports_of(Plan(URL, number=10**6, concurrency=30_000))
    assert "ip_local_port_range" in refused.value.hint


def test_the_verdict_keeps_to_what_was_seen() -> None:
    short = Ports(100_000, 28_232, 60)
    assert findings(replace(CLEAN, ports=short)) == []  # it ended, and no port was missing
    (_, cut) = findings(replace(CLEAN, ports=short, stop=Stop.INTERRUPTED))
    assert (cut.doubt, "100,000 ports" in cut.evidence) == (Doubt.PORTS, True)
    (ran_out,) = findings(replace(CLEAN, ports=short, failures={Failure.LOCAL: 3}))
    assert "3 times: up to 100,000 ports for one server within 60 s" in ran_out.evidence


# For real: a host with ten ports, anew for each test, and a server that leaves closing to its clients.

_LEAVES_CLOSING = """
import socket, threading
def serve(sock):
    while sock.recv(65536):
        sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
listener = socket.create_server(("127.0.0.1", 8080))
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def ten_ports() -> Iterator[str]:
    with namespace("ports", ip_local_port_range="40000 40009", tcp_tw_reuse="0") as name:
        server = subprocess.Popen(
            inside(name, sys.executable, "-c", _LEAVES_CLOSING), stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield name
        finally:
            server.kill()
            server.communicate()


def bench(name: str, *args: str) -> Ran:
    command = inside(name, sys.executable, "-m", "opskit", "bench", *args, "http://127.0.0.1:8080/")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return Ran(done.returncode, done.stdout, done.stderr)


def test_a_run_that_has_no_ports_left_says_so_beforehand_and_afterwards(ten_ports: str) -> None:
    ran = bench(ten_ports, "-q", "-n", "60", "-c", "4")
    assert ran.err.startswith("warning: this run may run out of ports: up to 60 ports")
    assert "PORTS" in ran.out
    assert "this machine has 10" in " ".join(ran.out.split())


def test_kept_connections_need_no_more_ports_than_there_are(ten_ports: str) -> None:
    ran = bench(ten_ports, "-k", "-n", "60", "-c", "2", "--json")
    data: Any = ran.data
    assert data["requests"]["good"] == 60
    assert (data["ports"]["needed"], data["ports"]["available"]) == (2, 10)
    assert "PORTS" not in {each["doubt"] for each in data["verdict"]["findings"]}


def test_more_connections_than_ports_are_refused_before_the_first(ten_ports: str) -> None:
    ran = bench(ten_ports, "-k", "-n", "60", "-c", "20")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: -c 20 needs as many ports, and this machine has 10 to one server\nhint: ")
