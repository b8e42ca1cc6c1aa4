"""`[index.*]` against `opskit pypi serve`, with a public index that tries to slip in a package of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from opskit.smoke.model import Status
from tests.programs import free_port
from tests.pypi.dists import put_wheel
from tests.pypi.servers import Index, serving
from tests.smoke.smoking import one

ANYBODY = ("-P", ".", "-a", ".")


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, Index]]:
    """Ours, which fetches other names from the public one, and the public one with a false acme-tools 99."""
    root = tmp_path_factory.mktemp("indexes")
    for directory, name, version in (("public", "acme-tools", "99.0"), ("public", "left-pad", "1.0"),
                                     ("ours", "acme-tools", "1.5"), ("ours", "acme-web", "2.0")):  # fmt: skip
        (root / directory).mkdir(exist_ok=True)
        put_wheel(root / directory, name, version)
    with (
        serving(root / "public", *ANYBODY) as public,
        serving(root / "ours", *ANYBODY, "--upstream", f"{public.url}/simple/", "--private", "acme-*") as ours,
    ):
        yield ours, public


def check(tmp_path: Path, index: Index, keys: str) -> str:
    return f'[index.x]\nindex = "{index.url}/simple/"\ntimeout = "60s"\n{keys}\n'


def test_what_is_ours_comes_from_us(indexes: tuple[Index, Index], tmp_path: Path) -> None:
    ours, _ = indexes
    text = check(tmp_path, ours, f'require = ["acme-tools >= 1.4", "acme-web"]\nfrom = "{ours.url}/"')
    result = one(text, tmp_path)
    assert result.status is Status.PASS, result.message
    assert sorted(f"{file['name']} {file['version']}" for file in result.data["files"]) == [
        "acme-tools 1.5",
        "acme-web 2.0",
    ]


def test_a_version_that_is_not_there_fails_with_pips_words(indexes: tuple[Index, Index], tmp_path: Path) -> None:
    result = one(check(tmp_path, indexes[0], 'require = "acme-tools >= 2"'), tmp_path)
    assert result.status is Status.FAIL
    assert "No matching distribution found for acme-tools>=2" in result.message


def test_dependency_confusion_is_caught_by_origin_and_by_name(
    indexes: tuple[Index, Index], tmp_path: Path
) -> None:
    ours, public = indexes
    extra = f'require = "acme-tools"\nextra-index = "{public.url}/simple/"\nfrom = "{ours.url}/"'
    slipped = one(check(tmp_path, ours, extra), tmp_path)
    assert slipped.status is Status.FAIL
    assert slipped.failed_findings[0].what == "origin of acme-tools"
    assert public.url in slipped.failed_findings[0].actual
    taken = one(check(tmp_path, ours, f'require = "acme-tools"\nnot-on = "{public.url}/simple/"'), tmp_path)
    assert taken.status is Status.FAIL
    assert taken.failed_findings[0].what.startswith("acme-tools on ")
    free = one(check(tmp_path, ours, f'require = "acme-web"\nnot-on = "{public.url}/simple/"'), tmp_path)
    assert free.status is Status.PASS, free.message


def test_a_package_from_upstream_is_served_by_us(indexes: tuple[Index, Index], tmp_path: Path) -> None:
    ours, _ = indexes
    result = one(check(tmp_path, ours, f'require = "left-pad"\nfrom = "{ours.url}/"'), tmp_path)
    assert result.status is Status.PASS, result.message


def test_an_index_that_is_down_fails_and_an_unknown_public_one_is_no_verdict(
    indexes: tuple[Index, Index], tmp_path: Path
) -> None:
    down = one(f'[index.x]\nindex = "http://127.0.0.1:{free_port()}/simple/"\nrequire = "acme-tools"', tmp_path)
    assert down.status is Status.FAIL
    keys = f'require = "acme-web"\nnot-on = "http://127.0.0.1:{free_port()}/simple/"'
    unknown = one(check(tmp_path, indexes[0], keys), tmp_path)
    assert unknown.status is Status.ERROR
