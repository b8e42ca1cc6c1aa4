"""What pypiserver's own tests ask of it, asked of us: its routes run on our store."""

import json
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypiserver.backend import Backend

from opskit.pypi.legacy import guess, make_backend
from opskit.pypi.store import Store
from tests.pypi.dists import put_wheel, sdist_bytes
from tests.pypi.servers import Index, serving, until


def put(index: Index, *names: str) -> None:
    """Empty files, as pypiserver's tests make them; wait until they are known."""
    for name in names:
        (index.directory / name).write_bytes(b"")
    until(lambda: all(index.get(f"/packages/{name}").status_code == 200 for name in names))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(tmp_path_factory.mktemp("legacy") / "packages") as running:
        yield running


def links(index: Index, path: str) -> list[str]:
    import re

    return re.findall(r'<a href="([^"]+)"', index.get(path, accept="text/html").text)


def test_the_root_counts_the_files(tmp_path: Path) -> None:
    with serving(tmp_path / "packages") as index:
        assert "0 files" in index.get("/").text
        put(index, "Twisted-11.0.0.tar.bz2")
        assert "1 project, 1 file" in index.get("/").text


def test_the_root_names_its_own_host_and_escapes(index: Index) -> None:
    page = index.get("/?<alert>Red</alert>", host="systemexit.example")
    assert "http://systemexit.example/" in page.text
    assert "<alert>" not in page.text


def test_an_unknown_package_to_remove_is_404_and_escaped(index: Index) -> None:
    form = {":action": "remove_pkg", "name": "<alert>Red</alert>", "version": "1.1.1"}
    answer = index.http.post("/", data=form, auth=("__token__", index.token))
    assert answer.status_code == 404
    assert "<alert>" not in answer.text


@pytest.mark.parametrize("path", ["/packages", "/simple", "/simple/foobar"])
def test_addresses_without_their_slash_are_led_on(index: Index, path: str) -> None:
    answer = index.get(path)
    assert 300 <= answer.status_code < 400
    assert answer.headers["location"].endswith(path.rpartition("/")[2] + "/")


def test_health_and_favicon(index: Index) -> None:
    assert (index.get("/health").status_code, index.get("/health").text) == (200, "Ok")
    assert index.get("/favicon.ico").status_code == 404


def test_no_public_index_steps_in_for_a_missing_project(index: Index) -> None:
    assert index.get("/simple/pypiserver/").status_code == 404


def test_no_dotfiles_in_the_listing(index: Index) -> None:
    (index.directory / ".dot-1.0.zip").write_bytes(b"secret")
    put(index, "seen-1.0.zip")
    assert index.get("/packages/.dot-1.0.zip").status_code == 404
    assert "dot-1.0" not in index.get("/packages/").text
    assert "dot" not in index.get("/simple/").text


def test_a_project_lists_only_its_own_files(index: Index) -> None:
    put(index, "foobar-1.0.zip", "foobar-1.1.zip", "foobarbaz-1.1.zip", "foobar.baz-1.1.zip")
    assert len(links(index, "/simple/foobar/")) == 2
    assert {"foobar/", "foobarbaz/", "foobar-baz/"} <= set(links(index, "/simple/"))


def test_case_and_separators_are_one_project(index: Index) -> None:
    put(index, "FooCase-1.0.zip", "FooCase-1.1.zip", "foo-dash-1.0.tar.gz", "foo_dash-1.0-py2.7.egg")
    assert len(links(index, "/simple/foocase/")) == 2
    assert len(links(index, "/simple/foo-dash/")) == 2
    assert links(index, "/simple/").count("foo-dash/") == 1


def test_the_packages_listing_has_every_file_with_its_hash(index: Index) -> None:
    (index.directory / "sub").mkdir(exist_ok=True)
    put(index, "sub/nested-1.0.zip")
    found = [link for link in links(index, "/packages/") if "nested" in link]
    assert len(found) == 1
    path, _, digest = found[0].partition("#")
    assert path.endswith("/packages/sub/nested-1.0.zip") or path == "sub/nested-1.0.zip"
    assert digest.startswith("sha256=")
    assert index.get("/packages/sub/nested-1.0.zip").content == b""


def test_x_forwarded_host_is_believed_from_nobody(index: Index) -> None:
    put(index, "forward-1.0.zip")
    answer = index.get("/forward/json", x_forwarded_host="evil.example/priv")
    assert "evil.example" not in answer.text


def test_json_info(index: Index) -> None:
    put(index, "info-1.0.zip", "info-1.1.zip", "info-1.1-linux.zip", "infoX-1.1.zip")
    found = index.get("/info/json").json()
    assert found["info"] == {"version": "1.1"}
    assert {version: len(files) for version, files in found["releases"].items()} == {"1.0": 1, "1.1": 2}
    assert index.get("/not-there/json").status_code == 404


@pytest.mark.parametrize(
    ("package", "normalized"),
    [("FooBar", "foobar"), ("Foo.Bar", "foo-bar"), ("foo_bar", "foo-bar"), ("foo--_.bar", "foo-bar")],
)
def test_json_info_redirects_to_the_normalised_name(index: Index, package: str, normalized: str) -> None:
    answer = index.get(f"/{package}/json")
    assert 300 <= answer.status_code < 400
    assert answer.headers["location"].endswith(f"/{normalized}/json")


def test_a_bare_project_name_leads_to_its_page(index: Index) -> None:
    answer = index.get("/info/")
    assert 300 <= answer.status_code < 400
    assert answer.headers["location"].endswith("/simple/info/")


def test_the_search_of_old(index: Index) -> None:
    put(index, "searchme-1.0.zip")
    call = xmlrpc.client.dumps(({"name": "searchme"},), "search").replace("<name>name</name>", "")
    call = "<xml><methodName>search</methodName><string>searchme</string></xml>"
    answer = index.http.post("/RPC2", content=call, headers={"content-type": "text/xml"})
    assert answer.status_code == 200
    (found,), method = xmlrpc.client.loads(answer.text)
    assert method == "search"
    assert [(hit["name"], hit["version"]) for hit in found] == [("searchme", "1.0")]  # type: ignore[union-attr,index,call-overload]
    evil = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    assert index.http.post("/RPC2", content=evil).status_code == 400


def test_remove_pkg_needs_the_right_and_leaves_a_tombstone(index: Index) -> None:
    (index.directory / "removeme-1.0.tar.gz").write_bytes(sdist_bytes("removeme"))
    until(lambda: index.get("/simple/removeme/").status_code == 200)
    form = {":action": "remove_pkg", "name": "removeme", "version": "1.0"}
    reader = index.make_token("read", "upload")
    assert index.http.post("/", data=form, auth=("", reader)).status_code == 403
    answer = index.http.post("/", data=form, auth=("__token__", index.token))
    assert answer.status_code == 200
    until(lambda: index.get("/simple/removeme/").status_code == 404)
    assert not (index.directory / "removeme-1.0.tar.gz").exists()
    entry = index.admin("log", "--json").data["entries"][-1]
    assert (entry["what"], entry["who"]) == ("delete", f"token {index.token.split('_')[1]}")
    assert entry["from"] == "127.0.0.1"
    other = index.upload("removeme-1.0.tar.gz", sdist_bytes("removeme", extra="Keywords: other\n"))
    assert "previously used" in other.reason_phrase
    assert index.upload("removeme-1.0.tar.gz", sdist_bytes("removeme")).status_code == 200


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("pytz-2011b.zip", ("pytz", "2011b")), ("Twisted-11.0.0.tar.bz2", ("Twisted", "11.0.0")),
        ("Flask-Login-0.1.tgz", ("Flask-Login", "0.1")),
        ("greenlet-0.3.4-py3.2-win-amd64.egg", ("greenlet", "0.3.4")),
        ("mptcpanalyzer-0.3.1-py3.egg", ("mptcpanalyzer", "0.3.1")), ("abc.txt", None),
    ],
)  # fmt: skip
def test_names_of_old_are_read_as_pypiserver_reads_them(filename: str, expected: tuple[str, str] | None) -> None:
    found = guess(filename)
    assert (found[:1] if found and expected else found) == (expected[:1] if expected else None)


def test_the_store_is_a_backend_of_pypiserver(packages: Path) -> None:
    """The class is pypiserver's own, and every method of it answers from the store."""
    from opskit.pypi.legacy import make_wsgi
    from opskit.pypi.plan import Settings
    from opskit.pypi.scan import Scanner

    put_wheel(packages, "acme-tools")
    store = Store(packages)
    Scanner(store).full()
    app = make_wsgi(Settings(packages), store)
    backend = make_backend(store, app._pypiserver_config)  # type: ignore[attr-defined]
    assert isinstance(backend, Backend)
    (package,) = backend.get_all_packages()
    assert (package.pkgname, package.version) == ("acme-tools", "1.0")
    assert [p.fn for p in backend.find_project_packages("Acme.Tools")] == [package.fn]
    assert [p.fn for p in backend.find_version("acme-tools", "1.0")] == [package.fn]
    assert list(backend.get_projects()) == ["acme-tools"]
    assert backend.package_count() == 1
    assert backend.exists("acme_tools-1.0-py3-none-any.whl")
    assert not backend.exists("other-1.0.tar.gz")
    assert backend.digest(package).startswith("sha256=")
    backend.remove_package(package)
    assert not Path(package.fn).exists()
    assert json.dumps(list(backend.get_projects())) == "[]"
    store.close()
