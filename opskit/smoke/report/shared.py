"""A run as the data of the shared writers of JUnit, TAP and Markdown."""

from collections.abc import Iterable

from opskit.formats import junit as junit_format
from opskit.formats import markdown as markdown_format
from opskit.formats import tap as tap_format
from opskit.formats.checks import Check, State, Suite
from opskit.smoke.model import Report, Result, Status
from opskit.units import format_duration

STATES = {
    Status.PASS: State.PASSED,
    Status.FAIL: State.FAILED,
    Status.ERROR: State.BROKEN,
    Status.SKIP: State.SKIPPED,
}


def junit(report: Report) -> str:
    return junit_format.junit(_suites(report, full_names=False))


def tap(report: Report) -> str:
    return tap_format.tap([Suite("smoke", tuple(_check(result, full_name=True) for result in report.results))])


def markdown(report: Report) -> str:
    """A table of all checks, and below it why the bad ones are bad; for a job's summary."""
    found = report.summary()
    bad = [result for result in report.results if result.status in (Status.FAIL, Status.ERROR)]
    counts = ", ".join(f"{number} {word}" for word, number in found.items() if number and word != "checks")
    rows = [
        [_mark(result), result.check.id, result.target, format_duration(result.seconds), result.message]
        for result in report.results
    ]
    parts = [
        f"### opskit smoke: {found['checks']} checks ({counts}) in {format_duration(report.seconds)}\n",
        markdown_format.table(["", "Check", "Target", "Time", ""], rows),
        *(f"#### {result.check.id}\n\n{_fenced(details(result))}" for result in bad),
    ]
    return "\n".join(parts)


def details(result: Result) -> str:
    """Everything that says why: for formats that have one text for it."""
    lines = [result.message]
    for finding in result.failed_findings[1:]:  # the first is the message
        lines += [f"{finding.what}: expected {finding.expected}", f"{finding.what}: got {finding.actual}"]
    lines += [f"| {line}" for line in result.excerpt.splitlines()]
    lines += [f"hint: {result.hint}"] if result.hint else []
    lines += [f"at {result.check.file}:{result.check.line}"] if result.check.file else []
    return "\n".join(lines)


def _suites(report: Report, *, full_names: bool) -> list[Suite]:
    files = dict.fromkeys(result.check.file for result in report.results)
    return [
        Suite(name, tuple(_check(r, full_name=full_names) for r in report.results if r.check.file == name))
        for name in files
    ]


def _check(result: Result, *, full_name: bool) -> Check:
    bad = result.status in (Status.FAIL, Status.ERROR)
    state = STATES[result.status]
    note = result.message if result.status is Status.PASS else ""
    if result.warning:
        state, note = State.PASSED, f"warning: {details(result)}"
    name = result.check.id.partition(".")[2]
    return Check(
        name=result.check.id if full_name else name,
        group=f"smoke.{result.check.type}",
        state=state,
        message=result.message,
        detail=details(result) if bad else "",
        note=note,
        seconds=result.seconds,
    )


def _mark(result: Result) -> str:
    marks = {Status.PASS: "✅", Status.FAIL: "❌", Status.ERROR: "💥", Status.SKIP: "⏭️"}
    return "⚠️" if result.warning else marks[result.status]


def _fenced(text: str) -> str:
    """A code block that the text cannot end."""
    ticks = "`" * max(3, 1 + max((len(run) for run in _runs_of_ticks(text)), default=0))
    return f"{ticks}text\n{text}\n{ticks}\n"


def _runs_of_ticks(text: str) -> Iterable[str]:
    import re

    return re.findall("`+", text)
