"""A report for people: one line for each check, and for what is not good everything that says why."""

from collections.abc import Callable, Iterator

from opskit.smoke.model import Report, Result, Status
from opskit.units import format_duration

Paint = Callable[[str, str], str]
MARKS = {Status.PASS: "✓", Status.FAIL: "✗", Status.ERROR: "!", Status.SKIP: "-"}
ASCII_MARKS = {Status.PASS: "ok", Status.FAIL: "FAIL", Status.ERROR: "ERROR", Status.SKIP: "skip"}
COLOURS = {Status.PASS: "32", Status.FAIL: "31", Status.ERROR: "35", Status.SKIP: "2"}
LONGEST_VALUE = 300
LONGEST_TARGET = 40


def text(report: Report, *, colour: bool = False, ascii_only: bool = False) -> str:
    """The whole report. `colour` writes ANSI codes; `ascii_only` is for locales that have no more."""
    paint: Paint = (lambda words, code: f"\x1b[{code}m{words}\x1b[0m") if colour else (lambda words, code: words)
    marks = ASCII_MARKS if ascii_only else MARKS
    width = max((len(result.check.id) for result in report.results), default=0)
    targets = min(LONGEST_TARGET, max((len(result.target) for result in report.results), default=0))
    lines = []
    for result in report.results:
        colour_code = "33" if result.warning else COLOURS[result.status]
        mark = paint(f"{marks[result.status]:<{max(map(len, marks.values()))}}", colour_code)
        lines.append(f"{mark} {result.check.id:<{width}}  {_first_line(result, targets)}".rstrip())
        lines += [f"  {line}".rstrip() for line in _why(result, paint)]
    return "\n".join([*lines, "", _summary(report, paint), ""])


def _first_line(result: Result, targets: int) -> str:
    if result.status is Status.SKIP:
        return f"skipped: {result.message}"
    target = _short(result.target, LONGEST_TARGET)
    warning = "  warning only" if result.warning else ""
    note = f"  {result.message}" if result.status is Status.PASS and result.message else ""
    return f"{target:<{targets}}  {format_duration(result.seconds):>8}{warning}{note}"


def _why(result: Result, paint: Paint) -> Iterator[str]:
    if result.status in (Status.PASS, Status.SKIP):
        return
    if result.status is Status.ERROR:
        yield f"  could not be evaluated: {result.message}"
    for finding in result.failed_findings:
        yield f"  {finding.what}"
        yield f"    expected  {_short(finding.expected)}"
        yield f"    got       {_short(finding.actual)}"
    if len(result.attempts) > 1:
        yield f"  tried {len(result.attempts)} times in {format_duration(result.seconds)}"
    yield from (paint(f"  | {line}", "2") for line in result.excerpt.splitlines())
    if result.hint:
        yield f"  hint: {result.hint}"
    yield paint(f"  at {result.check.file}:{result.check.line}", "2")


def _short(words: str, most: int = LONGEST_VALUE) -> str:
    words = " ".join(words.split())
    return words if len(words) <= most else words[: most - 1] + "…"


def _summary(report: Report, paint: Paint) -> str:
    found = report.summary()
    parts = [f"{found['passed']} passed"]
    parts += [paint(f"{found['failed']} failed", "31")] if found["failed"] else []
    parts += [paint(f"{found['errors']} could not be evaluated", "35")] if found["errors"] else []
    parts += [paint(f"{found['warnings']} with a warning", "33")] if found["warnings"] else []
    parts += [f"{found['skipped']} skipped"] if found["skipped"] else []
    noun = "check" if found["checks"] == 1 else "checks"
    ending = ", interrupted" if report.interrupted else ""
    return f"{found['checks']} {noun}: {', '.join(parts)} in {format_duration(report.seconds)}{ending}"
