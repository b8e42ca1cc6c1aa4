"""GitHub Actions: annotations at the line of the failing check, and the mistakes of a faulty file at theirs.

Ten annotations of a kind are shown for each step.
"""

from collections.abc import Sequence

from opskit.formats.github import command
from opskit.smoke.load import Mistake
from opskit.smoke.model import Report, Result, Status

MOST_SHOWN = 10
MOST_SUMMARY = 1024 * 1024  # bytes for each step


def annotations(report: Report) -> list[str]:
    bad = [r for r in report.results if r.status in (Status.FAIL, Status.ERROR)]
    errors = [_of_result("error", result) for result in bad if not result.warning]
    warnings = [_of_result("warning", result) for result in bad if result.warning]
    return [*_limited("error", errors), *_limited("warning", warnings)]


def mistake_annotations(mistakes: Sequence[Mistake]) -> list[str]:
    lines = []
    for mistake in mistakes:
        place = {"file": mistake.file, "line": mistake.line or 1, "col": mistake.column or 1}
        words = f"{mistake.problem}\n{mistake.hint}".strip()
        lines.append(command("error", {**place, "title": "faulty checks file"}, words))
    return _limited("error", lines)


def summary(markdown: str) -> str:
    """What may be appended to a step's summary."""
    raw = markdown.encode()
    if len(raw) < MOST_SUMMARY:
        return markdown
    return raw[: MOST_SUMMARY - 200].decode(errors="ignore") + "\n\n… the summary was cut here\n"


def _of_result(kind: str, result: Result) -> str:
    words = result.message + (f"\nhint: {result.hint}" if result.hint else "")
    place = {"file": result.check.file, "line": result.check.line, "title": result.check.id}
    return command(kind, place, words)


def _limited(kind: str, lines: list[str]) -> list[str]:
    if len(lines) <= MOST_SHOWN:
        return lines
    more = command(
        kind, {"title": "opskit smoke"}, f"and {len(lines) - MOST_SHOWN + 1} more; the log has them all"
    )
    return [*lines[: MOST_SHOWN - 1], more]
