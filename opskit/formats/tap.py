"""The Test Anything Protocol, version 13, as prove and its like read it."""

from collections.abc import Iterator, Sequence

from opskit.formats.checks import Check, State, Suite


def tap(suites: Sequence[Suite]) -> str:
    """One stream over all suites."""
    checks = [(suite.name, check) for suite in suites for check in suite.checks]
    lines = ["TAP version 13", f"1..{len(checks)}"]
    for number, (suite, check) in enumerate(checks, 1):
        lines += _lines(number, f"{suite}: {check.name}" if len(suites) > 1 else check.name, check)
    return "\n".join([*lines, ""])


def _lines(number: int, name: str, check: Check) -> Iterator[str]:
    ok = "ok" if check.state in (State.PASSED, State.SKIPPED) else "not ok"
    # A # would begin a directive, a backslash an escape, and a line is a line.
    title = " ".join(name.split()).replace("\\", "\\\\").replace("#", "\\#")
    skip = f" # SKIP {' '.join(check.message.split())}" if check.state is State.SKIPPED else ""
    yield f"{ok} {number} - {title}{skip}"
    if check.state in (State.FAILED, State.BROKEN):
        yield from _diagnosis(check)
    else:
        yield from (f"# {line}" for line in check.note.splitlines())


def _diagnosis(check: Check) -> Iterator[str]:
    """The YAML block of TAP 13."""
    yield "  ---"
    yield f"  message: {_quoted(check.message)}"
    yield f"  severity: {'fail' if check.state is State.FAILED else 'error'}"
    yield f"  duration_s: {check.seconds:.3f}"
    lines = [_printable(line) for line in check.detail.splitlines() if line.strip()]
    if lines:
        yield "  detail: |"
        yield from (f"    {line}" for line in [lines[0].lstrip(), *lines[1:]])
    yield "  ..."


def _quoted(text: str) -> str:
    """A single-quoted YAML scalar: prove's small reader takes whatever stands in it."""
    return "'" + _printable(text).replace("'", "''") + "'"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
