"""What is no valid Range, or looks unusual and is."""

from opskit.httprange.cases.base import (
    FAIL,
    FULL,
    INFO,
    MAY,
    MUST,
    NA,
    PASS,
    POLITE,
    SHOULD,
    WARN,
    case,
    honoured,
    ignored,
    labelled,
    plain,
    refused,
    worst_of,
)  # fmt: skip
from opskit.httprange.exchange import Got
from opskit.httprange.fields import Span
from opskit.httprange.inspection import Inspection
from opskit.httprange.results import Finding, Verdict


def _nonsense(run: Inspection, *values: str, on_206: Verdict = WARN) -> Finding:
    return worst_of([labelled(value, refused(run.dare(("Range", value)), on_206=on_206)) for value in values])


@case(
    13,
    "BYTES in capitals",
    "14.1",
    MUST,
    POLITE,
    expected="the same as bytes",
    meaning="Names of range units are the same in any case.",
)
def capitals(run: Inspection) -> Finding:
    span = Span(0, min(4, run.length - 1))
    return honoured(run.ask(("Range", f"BYTES={span}"), expect=span), span, on_200=WARN)


@case(
    14,
    "A unit nobody knows",
    "14.2",
    MUST,
    POLITE,
    expected="200: it is ignored",
    meaning="An error here locks out clients that offer a newer unit; bytes in answer are simply wrong.",
)
def unknown_unit(run: Inspection) -> Finding:
    return ignored(run.dare(("Range", "opskit-unit=0-4")), on_206=FAIL, otherwise=WARN)


@case(
    15,
    "What is no range",
    "14.2",
    MAY,
    POLITE,
    expected="200, 416 or 400",
    meaning="Ignoring or refusing is fine; a server error means that anyone can provoke one.",
)
def no_range(run: Inspection) -> Finding:
    return _nonsense(run, "bytes=", "bytes=abc", "bytes=5", "bytes=0--4", "5-", "bytes: 0-4")


@case(
    16,
    "The end before the beginning",
    "14.1.1",
    MUST,
    POLITE,
    expected="200, 416 or 400",
    meaning="It is invalid. 5-4 is its own trap: it killed servers by a length of zero.",
)
def reversed_range(run: Inspection) -> Finding:
    return _nonsense(run, "bytes=50-4", "bytes=5-4", on_206=FAIL)


@case(
    17,
    "A set with one invalid range",
    "14.1.1",
    MAY,
    POLITE,
    expected="200, 416 or 400",
    meaning="One invalid range makes the whole set invalid.",
)
def partly_invalid(run: Inspection) -> Finding:
    return _nonsense(run, "bytes=0-4,foo", "bytes=1-4,5-2")


def _like_two(got: Got) -> Finding:
    """As two ranges: 206 of any form, or ignored as a whole."""
    if got.status == 206:
        return Finding(PASS, str(got))
    return plain(got) or Finding(PASS if got.status == 200 else WARN, str(got))


@case(
    18,
    "Commas too many",
    "5.6.1.2",
    MUST,
    POLITE,
    expected="like two ranges",
    meaning="Empty elements of a list are to be read over.",
)
def commas(run: Inspection) -> Finding:
    if not _answers_two(run):
        return Finding(NA, "two ranges are not answered either")
    return _like_two(run.range(",0-4,,10-14,"))


@case(
    19,
    "Spaces around the commas",
    "5.6.1, 14.1.2",
    SHOULD,
    POLITE,
    expected="206",
    meaning="The standard's own example has one.",
)
def spaces(run: Inspection) -> Finding:
    if not _answers_two(run):
        return Finding(NA, "two ranges are not answered either")
    got = run.range("0-4 , 10-14")
    if got.status == 200:
        return Finding(INFO, str(got))
    return _like_two(got)


def _answers_two(run: Inspection) -> bool:
    return any(e.got.status == 206 for e in run.answers(["20", "21", "22"]))


@case(
    45,
    "Two Range lines",
    "5.3",
    MAY,
    FULL,
    expected="400, 200 or either",
    meaning="Undefined. What matters is that a proxy and the server behind it agree.",
)
def two_lines(run: Inspection) -> Finding:
    got = run.dare(("Range", "bytes=0-4"), ("Range", "bytes=10-14"))
    return Finding(INFO, str(got))


CASES = (capitals, unknown_unit, no_range, reversed_range, partly_invalid, commas, spaces)
HUGE = (two_lines,)
