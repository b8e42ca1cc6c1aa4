"""Network namespaces: hosts of the tests' own on one machine, with limits and addresses of their own."""

import os
import subprocess
from collections.abc import Iterator
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


def ip(*args: str) -> None:
    subprocess.run([need("ip"), *args], check=True, capture_output=True)


def within(name: str, *command: str) -> None:
    subprocess.run(inside(name, *command), check=True, capture_output=True)


def inside(name: str, *command: str) -> list[str]:
    """The command line that runs `command` in a namespace."""
    return [need("ip"), "netns", "exec", name, *command]
