"""One empty server per test module is enough for most: each test uses its own project names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pypi.servers import Index, serving


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(tmp_path_factory.mktemp("index") / "packages") as running:
        yield running


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    directory = tmp_path / "packages"
    directory.mkdir()
    return directory
