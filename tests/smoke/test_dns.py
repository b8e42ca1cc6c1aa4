"""`[dns.*]` against bind9 on loopback."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from opskit.smoke.model import Result, Status
from tests.programs import free_port, need
from tests.smoke.smoking import one

ZONE = """\
$TTL 300
@     IN SOA ns.shop.test. admin.shop.test. ( {serial} 3600 600 86400 60 )
      IN NS  ns.shop.test.
ns    IN A   127.0.0.1
www   IN A   192.0.2.10
www   IN A   192.0.2.11
mail  IN MX  10 mx.shop.test.
text  IN TXT "v=spf1 -all"
alias IN CNAME www.shop.test.
"""


@dataclass(frozen=True)
class Server:
    address: str


def start(directory: Path, serial: int) -> tuple["subprocess.Popen[bytes]", str]:
    named = need("named")
    port = free_port()
    directory.mkdir()
    (directory / "zone").write_text(ZONE.format(serial=serial))
    (directory / "named.conf").write_text(
        f'options {{ directory "{directory}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; '
        f'pid-file "{directory}/pid"; session-keyfile "{directory}/key"; recursion no; dnssec-validation no; }};\n'
        f'controls {{ }};\nzone "shop.test" {{ type primary; file "{directory}/zone"; }};\n'
        f'zone "broken.test" {{ type primary; file "{directory}/no-such-file"; }};\n'
    )
    command = [named, "-g", "-n", "1", "-c", str(directory / "named.conf")]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 15
    while b"running" not in (directory / "log").read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail((directory / "log").read_text())
        time.sleep(0.05)
    return process, f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two servers of one zone, of which the second is behind."""
    root = tmp_path_factory.mktemp("dns")
    running = [start(root / "first", 2026112301), start(root / "second", 2026112300)]
    yield running[0][1], running[1][1]
    for process, _ in running:
        process.terminate()
        process.wait(10)


def ask(tmp_path: Path, server: str, keys: str) -> Result:
    return one(f'[dns.x]\nserver = "{server}"\n{keys}', tmp_path)


@pytest.mark.parametrize(
    ("good", "bad", "what"),
    [
        ('name = "www.shop.test"', 'name = "none.shop.test"', "record"),
        (
            'name = "www.shop.test"\nanswers = ["192.0.2.11", "192.0.2.10"]',
            'name = "www.shop.test"\nanswers = "192.0.2.10"',
            "answers",
        ),
        ('name = "www.shop.test"\ncontains = "192.0.2.10"', 'name = "www.shop.test"\ncontains = "192.0.2.9"', "answers"),
        (
            'name = "mail.shop.test"\ntype = "MX"\nanswers = "10 mx.shop.test"',
            'name = "www.shop.test"\ntype = "MX"',
            "record",
        ),
        ('name = "text.shop.test"\ntype = "TXT"\nanswers = "v=spf1 -all"', 'name = "text.shop.test"\ntype = "A"', "record"),
        ('name = "www.shop.test"\nttl = "<= 5m"', 'name = "www.shop.test"\nttl = "> 1h"', "ttl"),
        ('name = "none.shop.test"\nexists = false', 'name = "www.shop.test"\nexists = false', "record"),
    ],
)  # fmt: skip
def test_answers(servers: tuple[str, str], tmp_path: Path, good: str, bad: str, what: str) -> None:
    passed = ask(tmp_path, servers[0], good)
    assert passed.status is Status.PASS, passed.message
    failed = ask(tmp_path, servers[0], bad)
    assert failed.status is Status.FAIL, failed.message
    assert failed.failed_findings[0].what == what


def test_servers_agree_on_records_and_not_on_serials(servers: tuple[str, str], tmp_path: Path) -> None:
    both = f'agree = ["{servers[0]}", "{servers[1]}"]'
    assert one(f'[dns.x]\nname = "www.shop.test"\n{both}', tmp_path).status is Status.PASS
    behind = one(f'[dns.x]\nname = "shop.test"\ntype = "SOA"\nserial-agree = true\n{both}', tmp_path)
    assert behind.status is Status.FAIL
    assert "expected 2026112301, got 2026112300" in behind.message


def test_a_server_that_fails_fails(servers: tuple[str, str], tmp_path: Path) -> None:
    result = ask(tmp_path, servers[0], 'name = "www.broken.test"')
    assert result.status is Status.FAIL
    assert "SERVFAIL" in result.message


def test_no_server_or_one_that_refuses_is_no_verdict(servers: tuple[str, str], tmp_path: Path) -> None:
    dead = ask(tmp_path, f"127.0.0.1:{free_port()}", 'name = "www.shop.test"\ntimeout = "500ms"')
    assert dead.status is Status.ERROR
    refused = ask(tmp_path, servers[0], 'name = "www.example.org"')
    assert refused.status is Status.ERROR
    assert "REFUSED" in refused.message
