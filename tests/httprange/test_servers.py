"""Servers of the world, as they come: what is wrong with each is found, and nothing else is said to be.

The Python ones have the versions that the `dev` group pins, nginx is Debian's, the others are npm's. Where a
newer version behaves differently, change its row here and say which version does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opskit.httprange.results import Report, Tier
from tests.httprange import real
from tests.httprange.inspecting import failures, inspect, verdicts

# 27 (HEAD with Range gives 206) is everybody's, so it is not in the rows.
NEARLY_ALL = {"27": "WARN"}
NO_IF_RANGE = {"32": "FAIL", "33": "WARN", "35": "FAIL", "36": "FAIL", "41": "FAIL"}

FOUND: dict[str, dict[str, str]] = {
    "nginx": {"9": "WARN", "17": "WARN", "18": "WARN", "26": "WARN"},
    "starlette": {"14": "WARN", "17": "WARN", "23": "WARN", "26": "WARN", "39": "WARN"},
    "flask": {
        "7": "FAIL", "14": "WARN", "20": "WARN", "33": "WARN", "35": "FAIL", "38": "FAIL", "39": "WARN",
    },
    "aiohttp": {"11": "FAIL", "14": "WARN", "20": "WARN", **NO_IF_RANGE},
    "whitenoise": {
        "2": "WARN", "3": "FAIL", "6": "FAIL", "11": "FAIL", "13": "WARN", "39": "WARN", "48": "WARN",
        **NO_IF_RANGE,
    },
    # No ETag, so no weak one. 500 for nonsense is I11's, the impossible Content-Range of -0 is I1's.
    "cherrypy": {
        "11": "FAIL", "12": "FAIL", "14": "FAIL", "26": "FAIL", "32": "FAIL", "35": "FAIL", "36": "FAIL",
        "41": "FAIL", "I1": "FAIL", "I11": "FAIL",
    },
    "tornado": {"13": "WARN", "15": "WARN", "39": "WARN", **NO_IF_RANGE},
    "bottle": {"13": "FAIL", "14": "WARN", "17": "WARN", "39": "WARN", "I10": "WARN", **NO_IF_RANGE},
    # Also in HTTP/1.0, whatever it is asked in.
    "http.server": {"4": "FAIL", "44": "WARN"},
    # Bare send looks at no method; frameworks do that for it.
    "send": {"7": "FAIL", "13": "WARN", "17": "WARN", "28": "FAIL", "33": "WARN", "35": "FAIL"},
    "http-server": {
        "6": "FAIL", "7": "FAIL", "13": "FAIL", "14": "WARN", "15": "WARN", "17": "WARN", "18": "WARN",
        "38": "FAIL", "39": "WARN", "I10": "WARN", **NO_IF_RANGE,
    },
    # No Last-Modified, so no dates.
    "serve-handler": {
        "7": "FAIL", "13": "FAIL", "14": "WARN", "15": "WARN", "17": "WARN", "28": "FAIL", "32": "FAIL",
        "33": "WARN", "36": "FAIL", "38": "FAIL", "39": "WARN", "41": "FAIL",
    },
}  # fmt: skip


@contextmanager
def started(name: str, root: Path) -> Iterator[str]:
    if name == "nginx":
        server = real.nginx(root)
    elif name in real.NODE:
        server = real.node_server(name, root)
    else:
        server = real.python_server(name, root)
    with server as url:
        yield url


def told(report: Report) -> dict[str, str]:
    return {case: word for case, word in verdicts(report).items() if word in ("FAIL", "WARN", "INCONCLUSIVE")}


@pytest.mark.parametrize("name", FOUND)
def test_what_is_wrong_with_a_server_is_found(name: str, tmp_path: Path) -> None:
    with started(name, tmp_path) as url:
        report = inspect(f"{url}/file.bin", Tier.FULL, timeout=20, empty_url=f"{url}/empty.bin")
    found = {case: word for case, word in told(report).items() if NEARLY_ALL.get(case) != word}
    assert found == FOUND[name], {r.id: r.got for r in report.results if r.id in found}
    assert report.requests <= 90


def test_an_empty_file_is_said_to_be_one(tmp_path: Path) -> None:
    with real.python_server("cherrypy", tmp_path) as url:
        report = inspect(f"{url}/empty.bin")
    assert "12" in failures(report)
    assert report.note.startswith("the file is empty")
    assert {profile.verdict for profile in report.profiles} <= {"unknown", "no"}


def test_the_safe_nginx_is_safe_for_all(tmp_path: Path) -> None:
    with real.nginx(tmp_path) as url:
        report = inspect(f"{url}/file.bin")
    assert failures(report) == {}
    assert [p.name for p in report.profiles if p.verdict != "yes"] == []


def test_nginx_that_compresses_mixes_nothing(tmp_path: Path) -> None:
    compressing = "gzip on; gzip_types *; gzip_min_length 10;"
    with real.nginx(tmp_path, server=compressing) as url:
        report = inspect(f"{url}/file.bin")
    seen = verdicts(report)
    assert (seen["42"], seen["43"], seen["I9"]) == ("PASS", "PASS", "PASS")


def test_nginx_with_ranges_switched_off(tmp_path: Path) -> None:
    with real.nginx(tmp_path, server="max_ranges 0;") as url:
        report = inspect(f"{url}/file.bin")
    assert set(failures(report)) == {"4"}
    result = report.result("4")
    assert result is not None
    assert "max_ranges is not 0" in result.hint
    assert {profile.verdict for profile in report.profiles} == {"no"}


def test_redirects_are_followed_and_checked(tmp_path: Path) -> None:
    hops = "location = /old { return 301 /older; } location = /older { return 302 /file.bin; }"
    with real.nginx(tmp_path, server=hops) as url:
        report = inspect(f"{url}/old")
    assert report.final_url == f"{url}/file.bin"
    assert verdicts(report)["51"] == "PASS"
    assert report.facts["redirects"] == [f"{url}/old", f"{url}/older"]
