"""A report as others read it: checks for JUnit and TAP, a page of Markdown, transcripts."""

from collections.abc import Sequence

from opskit import redact
from opskit.formats.checks import Check, State, Suite
from opskit.formats.markdown import table
from opskit.httprange.report import safe_for
from opskit.httprange.results import CaseResult, Report, Verdict

STATES = {
    Verdict.FAIL: State.FAILED, Verdict.INCONCLUSIVE: State.BROKEN, Verdict.NA: State.SKIPPED,
}  # fmt: skip


def suites(reports: Sequence[Report]) -> list[Suite]:
    """One suite for each URL."""
    return [Suite(_name(report), tuple(_check(result) for result in report.results)) for report in reports]


def _name(report: Report) -> str:
    at = f" at {report.address}" if report.address else ""
    return f"opskit range {redact.url(report.url)}{at}"


def _check(result: CaseResult) -> Check:
    state = State.PASSED if result.waived else STATES.get(result.verdict, State.PASSED)
    words = [f"got: {result.got}", f"expected: {result.expected}", f"means: {result.meaning}"]
    words += [f"sent: {line}" for line in result.sent]
    words += [f"hint: {result.hint}"] if result.hint else []
    note = ""
    if result.waived:
        note = f"waived: {result.waived}; got {result.got}"
    elif result.verdict is Verdict.WARN:
        note = "warning: " + "\n".join(words)
    name = f"{result.id} {result.title}"
    return Check(name, f"range.{result.level.value}", state, result.got, "\n".join(words), note, result.seconds)


def markdown(reports: Sequence[Report]) -> str:
    """A heading, the line that counts, and a table of what is not simply good, for each URL."""
    pages = []
    for report in reports:
        rows = [
            (r.verdict.value, r.id, r.title, r.section, r.got, r.hint)
            for r in report.results
            if r.verdict not in (Verdict.PASS, Verdict.NA)
        ]
        pages += [f"## {_name(report)}\n", safe_for(report.profiles, ascii_only=False) + "\n"]
        if rows:
            pages.append(table(("verdict", "id", "case", "section", "got", "hint"), rows))
        passed = sum(r.verdict is Verdict.PASS for r in report.results)
        pages.append(f"{passed} cases passed; {report.requests} requests.\n")
    return "\n".join(pages)
