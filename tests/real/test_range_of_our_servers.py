"""The toolkit's Range checker finds no fault in what the toolkit itself serves."""

from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.httprange.inspecting import assert_serves_ranges
from tests.pypi.dists import wheel_bytes, wheel_name
from tests.pypi.servers import serving
from tests.servers import target


def test_the_index_serves_ranges_to_pip_and_uv(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    with serving(packages) as index:
        uploaded = index.upload(wheel_name(), wheel_bytes())
        assert uploaded.status_code == 200, uploaded.text
        file = index.page("acme-tools")["files"][0]
        assert file["filename"] == wheel_name()
        assert_serves_ranges(urljoin(f"{index.url}/simple/acme-tools/", file["url"]), "pip", "uv")


@pytest.mark.parametrize("size", [1, 12438, 5_000_000])
def test_the_target_serves_ranges_to_everyone(size: int) -> None:
    with target() as running:
        assert_serves_ranges(f"{running.url}/bytes/{size}", "resume", "parallel", "video", "cdn-origin")
