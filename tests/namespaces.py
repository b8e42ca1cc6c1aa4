"""Network namespaces: hosts of the tests' own on one machine, with limits and addresses of their own."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.programs import need


@contextmanager
def namespace(name: str, **sysctls: str) -> Iterator[str]:
    """A namespace whose loopback is up. `sysctls` are names under net.ipv4. Yields its unique name."""
    need("ip")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    unique = f"opskit-{name}-{os.getpid()}"
    ip("netns", "add", unique)
    try:
        ip("-n", unique, "link", "set", "lo", "up")
        for key, value in sysctls.items():
            within(unique, "sh", "-c", f"echo '{value}' > /proc/sys/net/ipv4/{key}")
        yield unique
    finally:
        ip("netns", "delete", unique)


def join(hub: str, others: Sequence[str], network: str = "10.77.0") -> list[str]:
    """Connect namespaces by a bridge in `hub`, network.1; returns the addresses of the others, from .2 on.

    All of it lies in the namespaces, and goes with them.
    """
    ip("-n", hub, "link", "add", "bridge", "type", "bridge")
    ip("-n", hub, "address", "add", f"{network}.1/24", "dev", "bridge")
    ip("-n", hub, "link", "set", "bridge", "up")
    addresses = [f"{network}.{number}" for number, _ in enumerate(others, 2)]
    for number, (name, address) in enumerate(zip(others, addresses, strict=True)):
        ip("-n", hub, "link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", hub, "link", "set", f"to{number}", "master", "bridge", "up")
        ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
    return addresses


def ip(*args: str) -> None:
    subprocess.run([need("ip"), *args], check=True, capture_output=True)


def within(name: str, *command: str) -> None:
    subprocess.run(inside(name, *command), check=True, capture_output=True)


def inside(name: str, *command: str) -> list[str]:
    """The command line that runs `command` in a namespace."""
    return [need("ip"), "netns", "exec", name, *command]
