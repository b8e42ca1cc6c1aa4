"""Several ranges in one request: multipart/byteranges, its form, and what it can cost."""

from opskit.httprange import fields
from opskit.httprange.cases.base import (
    BASIC,
    FAIL,
    FULL,
    INFO,
    MUST,
    NA,
    PASS,
    POLITE,
    SECURITY,
    SHOULD,
    WARN,
    case,
    labelled,
    plain,
    span_of,
    worst_of,
)  # fmt: skip
from opskit.httprange.exchange import Got
from opskit.httprange.fields import Malformed, Part, Span
from opskit.httprange.inspection import Inspection
from opskit.httprange.results import Finding

LARGEST_ANSWER = 1.5  # times the file: what parts may cost beside their bytes
HEADERS_OF_A_PART = 200  # bytes, about
MANY_PARTS = 99


def _parts(got: Got) -> list[Part]:
    try:
        return fields.parts(got.body, fields.boundary(got.header("content-type") or ""))
    except Malformed:
        return []


def _spans(found: list[Part]) -> list[Span]:
    return [part.range.span for part in found if part.range.span]


def _covered(span: Span, spans: list[Span]) -> bool:
    return any(span.within(other) for other in spans)


@case(
    20,
    "Two ranges",
    "14.2, 15.3.7.2",
    SHOULD,
    BASIC,
    expected="206 multipart/byteranges with both",
    meaning="zsync and PDF viewers ask for several places at once; others can do without.",
)
def two_ranges(run: Inspection) -> Finding:
    if run.two is None:
        return Finding(NA, "too short for two ranges")
    first, second = run.two
    got = run.range(f"{first},{second}")
    if got.status == 206 and got.is_multipart:
        return _judged(got, [first, second])
    if finding := plain(got):
        return finding
    if got.status == 206:
        sent = span_of(got)
        if sent is not None and first.within(sent) and second.within(sent):
            return Finding(PASS, f"{got}: both in one")
        return Finding(INFO, f"{got}: only one of the two")
    return Finding(INFO if got.status == 200 else WARN, str(got))


def _judged(got: Got, asked: list[Span]) -> Finding:
    if got.header("content-range") is not None:
        return Finding(FAIL, "multipart with a Content-Range of its own")
    found = _parts(got)
    if not found:
        return Finding(NA, f"{got}: judged by 25")
    missing = [str(span) for span in asked if not _covered(span, _spans(found))]
    if missing:
        return Finding(WARN, f"{', '.join(missing)} is missing")
    if any("content-type" not in part.headers for part in found):
        return Finding(WARN, "parts without Content-Type, which the 200 has")
    return Finding(PASS, f"{got}, {len(found)} parts")


@case(
    21,
    "Two ranges, the later first",
    "15.3.7.2",
    SHOULD,
    POLITE,
    expected="parts in the order of asking",
    meaning="The order of asking is the order of need.",
)
def descending(run: Inspection) -> Finding:
    if run.two is None:
        return Finding(NA, "too short for two ranges")
    first, second = run.two
    got = run.range(f"{second},{first}")
    spans = _spans(_parts(got)) if got.status == 206 and got.is_multipart else []
    if len(spans) != 2:
        return Finding(NA, f"{got}: not in two parts")
    return Finding(PASS if spans[0].first > spans[1].first else INFO, f"parts {spans[0]}, {spans[1]}")


@case(
    22,
    "Ranges that touch or overlap",
    "15.3.7.2",
    MUST,
    POLITE,
    expected="all the bytes, joined or not",
    meaning="They may be joined; what comes must still be complete.",
)
def touching(run: Inspection) -> Finding:
    if run.length < 20:
        return Finding(NA, "too short for two ranges")
    findings = []
    for asked in ([Span(0, 9), Span(5, 14)], [Span(0, 4), Span(5, 9)]):
        got = run.range(",".join(map(str, asked)))
        label = " and ".join(map(str, asked))
        if got.status == 206 and got.is_multipart:
            findings.append(labelled(label, _judged(got, asked)))
        else:
            findings.append(labelled(label, plain(got) or Finding(PASS, str(got))))
    worst = worst_of(findings)
    # What is wrong with multipart as such is found by 20; here only bytes that are missing count.
    return worst if worst.verdict is not WARN or "missing" in worst.got else Finding(PASS, worst.got)


@case(
    23,
    "One range exists, one does not",
    "14.1.1",
    SHOULD,
    POLITE,
    expected="206 with the one",
    meaning="A set can be satisfied if one of its ranges can.",
)
def one_exists(run: Inspection) -> Finding:
    got = run.range(f"0-4,{run.beyond}-")
    if got.status == 206 and got.is_multipart:
        return Finding(PASS if Span(0, 4) in _spans(_parts(got)) else NA, str(got))
    if finding := plain(got):
        return finding
    if got.status == 206:
        sent = span_of(got)
        return Finding(PASS if sent is not None and sent.within(Span(0, 4)) else FAIL, str(got))
    return Finding(NA if got.status == 200 or not _several(run) else WARN, str(got))


def _several(run: Inspection) -> bool:
    """Whether two ranges were answered with 206 at all."""
    return any(e.got.status == 206 for e in run.answers(["20", "21"]))


@case(
    25,
    "The form of multipart",
    "14.6",
    MUST,
    BASIC,
    expected="CR LF, every part with its place, a final boundary",
    meaning="Readers of multipart are strict; one wrong line and the answer is lost.",
)
def framing(run: Inspection) -> Finding:
    answers = [e.got for e in run.answers() if e.got.status == 206 and e.got.is_multipart and not e.got.cut]
    answers = [got for got in answers if not got.broken]
    if not answers:
        return Finding(NA, "there is no multipart answer")
    for got in answers:
        kind = got.header("content-type") or ""
        if got.truncated:
            return Finding(FAIL, f"Content-Length {got.length}, {len(got.body)} bytes came")
        try:
            fields.parts(got.body, fields.boundary(kind))
        except Malformed as error:
            return Finding(FAIL, str(error))
        if fields.is_quoted(kind):
            return Finding(WARN, "the boundary is in quotes, which some clients take as part of it")
    return Finding(PASS, f"{len(answers)} answers are well formed")


@case(
    26,
    "Many ranges",
    "14.2, 17.15",
    SECURITY,
    FULL,
    expected="not much more than the file itself",
    meaning="One small request that makes the server send the file many times over brings it down.",
)
def many(run: Inspection) -> Finding:
    step = max(2, run.length // 200)
    sets = {
        "50 times 0-": ",".join(["0-"] * 50),
        "100 single bytes": ",".join(f"{n}-{n}" for n in range(0, 200, 2)),
        "30 unordered": ",".join(f"{n * step}-{n * step + 1}" for n in (*range(15, 30), *range(15))),
    }
    findings = []
    for label, spec in sets.items():
        got = run.dare(("Range", f"bytes={spec}"))
        findings.append(labelled(label, _cost(got, run.length, spec.count(",") + 1)))
    return worst_of(findings)


def _cost(got: Got, length: int, asked: int) -> Finding:
    """Small parts cost mostly headers, which is no harm; the same bytes again and again are."""
    size = max(got.length or 0, len(got.body))
    if got.status == 206 and size > LARGEST_ANSWER * length + asked * HEADERS_OF_A_PART:
        return Finding(FAIL, f"{size} bytes for a file of {length}")
    if got.status == 206 and got.body.count(b"\n--") >= MANY_PARTS:
        return Finding(WARN, f"all {asked} ranges were answered")
    return Finding(PASS, str(got))


FIRST = (two_ranges, descending, touching, one_exists)
AFTERWARDS = (framing,)
HUGE = (many,)
