"""If-Range and the other conditions: does a changed file stay safe?"""

from email.utils import formatdate, parsedate_to_datetime

from opskit.httprange.cases.base import (
    BASIC,
    FAIL,
    INFO,
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
    worst_of,
)  # fmt: skip
from opskit.httprange.fields import Span, is_strong
from opskit.httprange.inspection import Inspection
from opskit.httprange.results import Finding

OTHER = '"opskit-other"'


def _ranged(run: Inspection, *conditions: tuple[str, str]) -> Finding:
    return ignored(run.range(str(run.middle), *conditions), on_206=FAIL, otherwise=WARN)


@case(
    31,
    "If-Range with the right tag",
    "13.1.5",
    SHOULD,
    BASIC,
    expected="206",
    meaning="Without it every resumed download starts again from the beginning.",
)
def right_tag(run: Inspection) -> Finding:
    if not is_strong(run.facts.etag):
        return Finding(NA, f"no strong ETag ({run.facts.etag or 'none at all'})")
    span: Span = run.middle
    return honoured(run.range(str(span), ("If-Range", run.facts.etag), expect=span), span, on_200=WARN)


@case(
    32,
    "If-Range with another tag",
    "13.1.5, 13.2.2",
    MUST,
    BASIC,
    expected="200 with the whole file",
    meaning="The file has changed since the download began: a 206 joins old and new bytes into garbage.",
)
def other_tag(run: Inspection) -> Finding:
    return _ranged(run, ("If-Range", OTHER))


@case(
    33,
    "If-Range with a weak tag",
    "13.1.5, 8.8.3.2",
    MUST,
    POLITE,
    expected="200 with the whole file",
    meaning="A weak tag says that two files are alike, not that they are the same byte for byte.",
)
def weak_tag(run: Inspection) -> Finding:
    tag = run.facts.etag
    if not tag:
        return Finding(NA, "no ETag")
    got = run.range(str(run.middle), ("If-Range", tag if tag.startswith("W/") else f"W/{tag}"))
    return ignored(got, on_206=WARN, otherwise=WARN)


@case(
    34,
    "If-Range with the right date",
    "13.1.5, 8.8.2.2",
    SHOULD,
    BASIC,
    expected="206",
    meaning="What clients use where there is no ETag, or a weak one.",
)
def right_date(run: Inspection) -> Finding:
    if not run.facts.modified:
        return Finding(NA, "no Last-Modified")
    span: Span = run.middle
    return honoured(run.range(str(span), ("If-Range", run.facts.modified), expect=span), span, on_200=INFO)


@case(
    35,
    "If-Range with another date",
    "13.1.5",
    MUST,
    POLITE,
    expected="200 with the whole file",
    meaning="Only the very same date means the same file; an older copy put back has an earlier one.",
)
def other_date(run: Inspection) -> Finding:
    moment = _seconds(run.facts.modified)
    if moment is None:
        return Finding(NA, "no Last-Modified")
    findings = []
    for label, shift in (("a day later", 86400), ("a day earlier", -86400)):
        date = formatdate(moment + shift, usegmt=True)
        findings.append(labelled(label, _ranged(run, ("If-Range", date))))
    return worst_of(findings)


@case(
    36,
    "If-Range with rubbish",
    "13.1.5",
    MUST,
    POLITE,
    expected="200 with the whole file",
    meaning="What is no validator cannot match.",
)
def rubbish(run: Inspection) -> Finding:
    return _ranged(run, ("If-Range", "foo"))


@case(
    37,
    "If-Range without Range",
    "13.1.5",
    MUST,
    POLITE,
    expected="200 with the whole file",
    meaning="There is nothing that it could be a condition of.",
)
def without_range(run: Inspection) -> Finding:
    return ignored(run.ask(("If-Range", run.facts.etag or OTHER)), on_206=FAIL, otherwise=FAIL)


@case(
    38,
    "Not modified comes first",
    "13.2.2, 14.2",
    MUST,
    BASIC,
    expected="304",
    meaning="A cache that asks whether its copy is still good is sent a piece it has no use for.",
)
def not_modified(run: Inspection) -> Finding:
    if run.facts.etag:
        condition = ("If-None-Match", run.facts.etag)
    elif run.facts.modified:
        condition = ("If-Modified-Since", run.facts.modified)
    else:
        return Finding(NA, "no ETag and no Last-Modified")
    if run.ask(condition).status != 304:
        return Finding(NA, "conditions are not looked at")
    got = run.range(str(run.middle), condition)
    if finding := plain(got):
        return finding
    return Finding(PASS if got.status == 304 else FAIL if got.status == 206 else WARN, str(got))


@case(
    39,
    "A failed condition comes first",
    "13.2.2",
    MUST,
    POLITE,
    expected="412",
    meaning="A client that insists on one version of the file must not get another.",
)
def failed_condition(run: Inspection) -> Finding:
    moment = _seconds(run.facts.modified)
    conditions = [("If-Match", OTHER)] if run.facts.etag else []
    if moment is not None:
        conditions.append(("If-Unmodified-Since", formatdate(moment - 86400, usegmt=True)))
    verdicts = {412: PASS, 200: INFO, 206: WARN}
    findings = []
    for condition in conditions:
        got = run.range(str(run.middle), condition)
        findings.append(labelled(condition[0], plain(got) or Finding(verdicts.get(got.status, INFO), str(got))))
    return worst_of(findings) if findings else Finding(NA, "no ETag and no Last-Modified")


@case(
    41,
    "If-Range comes before 416",
    "13.2.2",
    MUST,
    POLITE,
    expected="200 with the whole file",
    meaning="The file has become shorter: a client that resumes it needs the new one, not an error.",
)
def before_416(run: Inspection) -> Finding:
    got = run.range(f"{run.beyond}-", ("If-Range", OTHER))
    return ignored(got, on_206=FAIL, otherwise=FAIL)


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


CASES = (
    right_tag, other_tag, weak_tag, right_date, other_date, rubbish, without_range, not_modified,
    failed_condition, before_416,
)  # fmt: skip
