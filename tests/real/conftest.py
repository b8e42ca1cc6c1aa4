"""Servers that the tests of this directory share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginx import Nginx, running_nginx


@pytest.fixture(scope="session")
def nginx_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def nginx(nginx_process: Nginx) -> Nginx:
    """nginx with an empty access log."""
    nginx_process.forget()
    return nginx_process


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A file of requests, each line another."""
    path = tmp_path / "requests.txt"
    path.write_text("# words\n\n" + "\n".join(f"word{i}" for i in range(97)) + "\n")
    return path
