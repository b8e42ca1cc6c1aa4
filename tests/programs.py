"""Real programs for tests: found, or the reason for a skip; in CI a missing one is a failure."""

import os
import shutil
import socket
import time
from pathlib import Path

import pytest

DEBIAN_PACKAGE = {
    "nginx": "nginx-light",
    "ab": "apache2-utils",
    "wrk": "wrk",
    "curl": "curl",
    "named": "bind9",
    "xmllint": "libxml2-utils",
    "sshd": "openssh-server",
    "prove": "perl",
    "ps": "procps",
    "ip": "iproute2",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf",
    "powerpc64le-linux-gnu-gcc": "gcc-powerpc64le-linux-gnu",
    "riscv64-linux-gnu-gcc": "gcc-riscv64-linux-gnu",
    "s390x-linux-gnu-gcc": "gcc-s390x-linux-gnu",
    "mips64el-linux-gnuabi64-gcc": "gcc-mips64el-linux-gnuabi64",
    "avr-gcc": "gcc-avr",
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "zfs-fuse": "zfs-fuse",
}


def need(program: str) -> str:
    """The path of a program, or a skip that says how to get it (never in CI)."""
    found = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if found:
        return found
    reason = f"{program} is not installed: apt install {DEBIAN_PACKAGE.get(program, program)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago, for servers that cannot pick one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(port: int, log: Path | None = None, seconds: float = 10) -> None:
    """Return when something accepts connections on 127.0.0.1:port; fail with the server's log otherwise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"nothing listens on port {port}\n{log.read_text() if log and log.exists() else ''}")
