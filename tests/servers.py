"""Servers for tests: started as a person starts them, on a free port, ended afterwards."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest


@dataclass(frozen=True)
class Running:
    """A started `opskit` server and its URL, without the slash at the end."""

    process: "subprocess.Popen[str]"
    url: str

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port


@contextmanager
def target(*args: str) -> Iterator[Running]:
    """`opskit target` on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "opskit", "target", "--port", "0", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        if not url:
            pytest.fail(f"opskit target did not start: {process.communicate()[1]}")
        yield Running(process, url.rstrip("/"))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
