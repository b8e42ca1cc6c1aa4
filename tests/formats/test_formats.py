"""The writers: what other programs read is what was put in."""

import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from opskit.formats.checks import Check, State, Suite
from opskit.formats.junit import junit
from opskit.formats.markdown import table
from opskit.formats.tap import tap

SUITE = Suite(
    "one & two",
    (
        Check("good", "g", State.PASSED, seconds=0.25),
        Check("good but", "g", State.PASSED, note="a <warning>"),
        Check("bad # 1", "g", State.FAILED, "got 'x' \"y\"", "line one\nline two", seconds=0.5),
        Check("broken", "g", State.BROKEN, "no answer"),
        Check("left out", "g", State.SKIPPED, "does not\napply"),
    ),
)


def test_junit_counts_and_keeps_words() -> None:
    suite = ElementTree.fromstring(junit([SUITE]).partition("\n")[2])[0]
    assert suite.attrib == {
        "name": "one & two", "tests": "5", "failures": "1", "errors": "1", "skipped": "1", "time": "0.750",
    }  # fmt: skip
    failure = suite[2].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("got 'x' \"y\"", "line one\nline two")
    assert [child.tag for case in suite for child in case] == ["system-out", "failure", "error", "skipped"]


@given(st.text(), st.text())
def test_junit_is_xml_whatever_is_in_it(name: str, detail: str) -> None:
    document = junit([Suite(name, (Check(name, name, State.FAILED, detail, detail, detail),))])
    assert ElementTree.fromstring(document.encode(errors="replace")).tag == "testsuites"


def test_tap_says_ok_and_not_ok() -> None:
    assert tap([SUITE]).splitlines() == [
        "TAP version 13",
        "1..5",
        "ok 1 - good",
        "ok 2 - good but",
        "# a <warning>",
        "not ok 3 - bad \\# 1",
        "  ---",
        "  message: 'got ''x'' \"y\"'",
        "  severity: fail",
        "  duration_s: 0.500",
        "  detail: |",
        "    line one",
        "    line two",
        "  ...",
        "not ok 4 - broken",
        "  ---",
        "  message: 'no answer'",
        "  severity: error",
        "  duration_s: 0.000",
        "  ...",
        "ok 5 - left out # SKIP does not apply",
    ]


def test_tap_of_several_suites_names_them() -> None:
    assert "ok 1 - one & two: good" in tap([SUITE, SUITE])


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_cell_stays_a_cell(cells: list[str]) -> None:
    row = table(["h"] * len(cells), [cells]).split("\n")[2]
    assert row.replace("\\|", "").count("|") == len(cells) + 1
