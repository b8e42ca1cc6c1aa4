"""The checker, checked: every fault is found by its case, and by no case that it does not concern.

A table of faults and verdicts. Whatever else is not as it is on the correct server is a fault of the checker.
"""

import pytest

from opskit.httprange import cases
from opskit.httprange.invariants import INVARIANTS
from opskit.httprange.profiles import PROFILES
from opskit.httprange.results import NO, YES, Report, Tier
from opskit.target.defects import DEFECTS
from tests.httprange.inspecting import assert_serves_ranges, inspect, serving, verdicts
from tests.servers import target

FOUND_BY: dict[str, dict[str, str]] = {
    "no-ar": {"2": "WARN"},
    # Where no range is answered, only 4 says so; the other cases do not apply.
    "ar-lies": {"2": "WARN", "4": "FAIL"},
    "ignore-range": {"2": "INFO", "4": "FAIL"},
    "http10-only": {"2": "INFO", "4": "FAIL", "44": "WARN"},
    "range-as-200-with-cr": {"2": "WARN", "4": "FAIL", "I7": "WARN"},
    "no-cr": {"I1": "FAIL"},
    "cr-off-by-one": {"I2": "FAIL"},
    "cr-no-unit": {"I1": "FAIL"},
    "cr-star": {"I8": "WARN"},
    "cl-full-length": {"I2": "FAIL"},
    "body-from-zero": {"I3": "FAIL"},
    "body-plus-one": {"I2": "FAIL"},
    "truncated": {"I2": "FAIL"},
    "empty-206": {"I2": "FAIL"},
    "subset-206": {"I4": "WARN"},
    "chunked-206": {"49": "WARN"},
    "missing-validators-206": {"I5": "FAIL"},
    "first-byte-416": {"3": "FAIL"},
    "open-range-416": {"5": "FAIL"},
    # An enormous end is over the end too.
    "clamp-416": {"8": "FAIL", "9": "WARN"},
    "suffix-as-prefix": {"6": "FAIL"},
    "suffix-200": {"6": "WARN"},
    "suffix-too-long-416": {"7": "FAIL"},
    # Its Content-Range contradicts itself.
    "suffix-zero-206": {"11": "FAIL", "I1": "FAIL"},
    "beyond-206": {"10": "FAIL"},
    "int64-416": {"9": "WARN"},
    "empty-file-206": {"12": "FAIL"},
    "unit-honoured": {"14": "FAIL"},
    "unit-400": {"14": "WARN"},
    "unit-case-sensitive": {"13": "WARN"},
    "invalid-206": {"15": "WARN"},
    "invalid-500": {"I11": "FAIL"},
    "invalid-crash": {"I11": "FAIL"},
    "reversed-206": {"16": "FAIL"},
    "partly-invalid-206": {"17": "WARN"},
    "comma-416": {"18": "WARN"},
    "space-416": {"19": "WARN"},
    "one-unsat-kills-all": {"23": "WARN"},
    "multi-for-single": {"24": "FAIL"},
    "multi-top-cr": {"20": "FAIL"},
    "multi-lf-only": {"25": "FAIL"},
    "multi-no-part-ct": {"20": "WARN"},
    "multi-quoted-boundary": {"25": "WARN"},
    "multi-cl-wrong": {"25": "FAIL"},
    "multi-first-only": {"20": "INFO"},
    "overlap-lost": {"22": "WARN"},
    "multi-sorted": {"21": "INFO"},
    "multi-amplify": {"26": "FAIL"},
    "head-206": {"27": "WARN"},
    "head-body": {"27": "FAIL"},
    "head-405": {"50": "WARN"},
    "content-range-honoured": {"29": "FAIL"},
    # One fault of five faces: no tag, date or rubbish in If-Range is looked at, before 416 neither.
    "ifrange-ignored": {"32": "FAIL", "33": "WARN", "35": "FAIL", "36": "FAIL", "41": "FAIL"},
    "ifrange-weak-ok": {"33": "WARN"},
    "ifrange-date-le": {"35": "FAIL"},
    "ifrange-drops-range": {"31": "WARN", "34": "INFO"},
    "ifrange-alone-206": {"37": "FAIL"},
    "inm-ignored": {"38": "FAIL"},
    "im-ignored": {"39": "WARN"},
    "416-before-ifrange": {"41": "FAIL"},
    "416-no-cr": {"I10": "WARN"},
    "416-wrong-length": {"I10": "FAIL"},
    "gzip-slice": {"I9": "FAIL"},
    "gzip-same-etag": {"43": "FAIL"},
    "etag-per-connection": {"47": "FAIL"},
    "changes-mid-run": {"I12": "INCONCLUSIVE"},
    "options-206": {"28": "FAIL"},
    "missing-206": {"40": "WARN"},
    "cors-hidden": {"48": "WARN"},
    "slow-hang": {"I11": "FAIL"},
    "redirect-drops-range": {"51": "FAIL"},
}
# Cases that no fault above is for, and why that is no hole.
NEVER_ALONE = {
    "1": "a server that fails it is not checked at all",
    "30": "asked with --unsafe-methods only; it has a test below",
    "42": "a slice of nothing is I9; a real server in test_servers.py passes it",
    "45": "undefined by the standard: it informs",
    "46": "wrong pieces are wrong bytes, which I3 reports first",
    "I6": "informs; every server does it",
}
BAD = ("FAIL", "WARN", "INFO", "INCONCLUSIVE")


def full(base: str, path: str = "/bytes/2000", timeout: float = 20.0) -> Report:
    return inspect(base + path, Tier.FULL, timeout=timeout, empty_url=f"{base}/bytes/0")


@pytest.fixture(scope="module")
def correct() -> dict[str, str]:
    with serving() as base:
        return verdicts(full(base, "/redirect/bytes/2000"))


def differences(report: Report, correct: dict[str, str]) -> dict[str, str]:
    return {
        case: verdict
        for case, verdict in verdicts(report).items()
        if verdict in BAD and correct.get(case) != verdict
    }


def test_the_correct_server_passes_everything(correct: dict[str, str]) -> None:
    assert {case: verdict for case, verdict in correct.items() if verdict not in ("PASS", "N/A")} == {
        "45": "INFO", "I6": "INFO",
    }  # fmt: skip
    # What does not apply: PUT is not asked, and nothing is compressed.
    assert {case for case, verdict in correct.items() if verdict == "N/A"} == {"30", "43"}


@pytest.mark.parametrize("name", [name for name in DEFECTS if name != "invalid-crash"])
def test_a_fault_is_found_by_its_case_alone(name: str, correct: dict[str, str]) -> None:
    with serving(name) as base:
        path = "/redirect/bytes/2000" if name == "redirect-drops-range" else "/bytes/2000"
        report = full(base, path, 2.0 if name == "slow-hang" else 20.0)
    assert differences(report, correct) == FOUND_BY[name], {r.id: r.got for r in report.results}


def test_a_server_that_dies_is_a_failure_and_the_end(correct: dict[str, str]) -> None:
    with target("--range-defect", "invalid-crash") as running:
        report = full(running.url)
    assert differences(report, correct) == FOUND_BY["invalid-crash"]
    assert report.note == "the server is gone since case 15"
    assert report.result("27") is None


def test_the_table_is_complete() -> None:
    assert set(FOUND_BY) == set(DEFECTS)
    caught = {case for found in FOUND_BY.values() for case in found}
    every = {*cases.by_id(), *(rule.id for rule in INVARIANTS)}
    assert every - caught == set(NEVER_ALONE)


@pytest.mark.parametrize("length", [1, 2, 7, 20, 21, 100, 399, 65_536, 65_537, 10**6, 10**11])
def test_the_correct_server_passes_at_any_length(length: int) -> None:
    with serving() as base:
        report = inspect(f"{base}/bytes/{length}", Tier.FULL)
    bad = {r.id: r.got for r in report.results if r.verdict.value in ("FAIL", "WARN", "INCONCLUSIVE")}
    assert bad == {}
    assert report.bytes_read <= 4 << 20
    assert {profile.verdict for profile in report.profiles} == {YES}


def test_the_target_serves_every_client() -> None:
    with target() as running:
        assert_serves_ranges(f"{running.url}/bytes/100kB", *PROFILES)


def test_put_of_a_part_is_asked_only_when_it_may_be() -> None:
    with serving() as base:
        report = inspect(f"{base}/bytes/2000", unsafe_methods=True)
    result = report.result("30")
    assert result is not None
    assert (result.verdict.value, result.got) == ("PASS", "405")


@pytest.mark.parametrize(
    ("defect", "profile", "reason"),
    [
        ("ifrange-ignored", "resume", "case 32: If-Range is ignored"),
        ("ifrange-drops-range", "resume", "case 31: If-Range never gets a 206"),
        ("etag-per-connection", "parallel", "case 47: connections disagree on the ETag"),
        ("cr-star", "video", "case I8: the length is not told"),
        ("no-ar", "pip", "case 2: no Accept-Ranges"),
        ("no-ar", "uv", "case 2: no Accept-Ranges"),
        ("clamp-416", "cog", "case 8: ranges over the end fail"),
        ("suffix-200", "parquet", "case 6: the last bytes cannot be asked for"),
        ("suffix-as-prefix", "zarr", "case 6: the last bytes cannot be asked for"),
        ("416-no-cr", "pmtiles", "case I10: 416 without the length"),
        ("multi-first-only", "zsync", "case 20: several ranges are not answered"),
        ("chunked-206", "cdn-origin", "case 49: a 206 has no Content-Length"),
        ("ignore-range", "video", "case 4: Range is ignored"),
    ],
)
def test_a_fault_makes_a_client_unsafe(defect: str, profile: str, reason: str) -> None:
    with serving(defect) as base:
        report = inspect(f"{base}/bytes/2000")
    judged = {p.name: p for p in report.profiles}
    assert judged[profile].verdict == NO
    assert judged[profile].reasons[0] == reason


def test_a_fault_that_a_client_does_not_meet_leaves_it_safe() -> None:
    with serving("multi-first-only") as base:
        report = inspect(f"{base}/bytes/2000")
    assert [p.name for p in report.profiles if p.verdict != YES] == ["zsync"]
