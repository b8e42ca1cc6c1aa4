"""A kept run says in every format what the run itself said; a damaged one is refused."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opskit.bench import saved
from opskit.bench.report import ab, text
from opskit.bench.results import MEANING, Ports, Results, Together, to_saved
from opskit.bench.verdict import findings
from opskit.errors import Misuse
from tests.bench.runs import LABELLED, PLAIN, RUNS
from tests.command import opskit
from tests.servers import target

FORMATS: dict[str, Callable[[Results], Iterator[object]]] = {
    "text": lambda run: iter(text.lines(run)),
    "ab": ab.text,
    "html": ab.page,
    "csv": ab.csv,
    "json": lambda run: iter([run.to_dict()]),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_kept_run_is_shown_as_the_run_itself(tmp_path: Path, run: Results, form: str) -> None:
    path = str(tmp_path / "run.json")
    saved.keep([run], path)
    (again,) = saved.load(path)
    assert list(FORMATS[form](again)) == list(FORMATS[form](run))
    assert again.latencies == run.latencies


def test_report_prints_what_bench_printed(tmp_path: Path) -> None:
    path = str(tmp_path / "run.json")
    with target() as server:
        direct = opskit("bench", "-n", "20", "-c", "2", "--format", "ab", "--save", path, f"{server.url}/bytes/9")
    assert direct.code == 0
    assert opskit("report", path, "--format", "ab").out == direct.out
    short = opskit("report", path, "--format", "ab", "-d", "-S").out
    assert "Percentage" not in short
    assert "              min   avg   max" in short
    assert opskit("report", path, "--json").data["requests"]["good"] == 20
    assert "20 good" in opskit("report", path).out
    assert opskit("report", path, "--format", "csv").out.startswith("Percentage served,Time in ms\n0,")
    assert "<table" in opskit("report", path, "--format", "html").out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not JSON"),
        (b"\x00\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "is not a saved run"),
        (b"{}", "its schema is None"),
        (b'{"schema": "bench-run/9"}', "its schema is bench-run/9"),
        (b'{"schema": "bench-run/2"}', "is damaged: KeyError 'runs'"),
        (b'{"schema": "bench-run/2", "runs": []}', "it holds no run"),
        (b'{"schema": "bench-run/2", "runs": [1]}', "is damaged: TypeError"),
        (b'{"schema": "bench-run/1"}', "is damaged: KeyError"),
    ],
)
def test_what_is_no_saved_run_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(Misuse, match=says) as raised:
        saved.load(str(path))
    assert "--save" in raised.value.hint


def test_a_missing_run_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(Misuse, match=str(path)):
            saved.load(str(path))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*path, key)
        yield from leaves(child, (*path, key))


DOCUMENT = {"schema": saved.SCHEMA, **to_saved(LABELLED)}
JUNK = st.sampled_from([None, "", "x", -1, 0, 3, 1.5, 10**30, float("nan"), True, [], {}, [1], {"a": 1}])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from(list(leaves(DOCUMENT))), st.one_of(JUNK, st.just("remove")))
def test_any_damage_is_refused_or_can_be_shown(tmp_path: Path, place: tuple[Any, ...], junk: Any) -> None:
    damaged = json.loads(json.dumps(DOCUMENT))
    parent = damaged
    for key in place[:-1]:
        parent = parent[key]
    if junk == "remove":
        del parent[place[-1]]
    else:
        parent[place[-1]] = junk
    path = tmp_path / "run.json"
    path.write_text(json.dumps(damaged))
    try:
        (run,) = saved.load(str(path))
    except Misuse:
        return
    for show in FORMATS.values():
        assert list(show(run))


def test_a_kept_run_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with target() as server:
        url = f"{server.url.replace('://', '://me:hidden-1@')}/bytes/1?token=hidden-2"
        ran = opskit("bench", "-H", "X-Api-Key: hidden-3", "-C", "s=hidden-4", "--save", str(path), "--json", url)
    assert ran.code == 0
    assert "hidden" not in path.read_text() + ran.out + ran.err


def test_the_report_fits_eighty_columns() -> None:
    for run in RUNS.values():
        for line in text.lines(run):
            assert len("".join(piece for piece, _ in line)) <= 80


def test_no_word_about_a_failure_is_cut() -> None:
    run = replace(PLAIN, started=10_000_000, failures=dict.fromkeys(MEANING, 1_000_000))
    assert all(len("".join(piece for piece, _ in line)) <= 80 for line in text.lines(run))


def test_no_word_of_a_verdict_is_cut() -> None:
    ports = Ports(100_000, 28_232, 60)
    run = replace(PLAIN, failures={"local": 3}, ports=ports, together=Together(3, 1, 1.0, 5.0))
    page = " ".join("".join(piece for piece, _ in line).strip() for line in text.lines(run))
    assert all(each.evidence in page for each in findings(run))
    assert all(len("".join(piece for piece, _ in line)) <= 80 for line in text.lines(run))


def test_the_report_names_what_is_in_it() -> None:
    page = "\n".join("".join(piece for piece, _ in line) for line in text.lines(PLAIN))
    assert "80 good requests/s" in page
    assert "10 good, 0 failed" in page


def test_a_run_that_the_first_version_kept_is_still_read() -> None:
    (run,) = saved.load(str(Path(__file__).with_name("golden") / "first-run.json"))
    assert (run.good, run.run.keep_alive, run.redirected, run.series) == (50, True, 0, ())
    for show in FORMATS.values():
        assert list(show(run))
