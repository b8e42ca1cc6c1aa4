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
    # A # would begin a directive, and a line is a line.
    title = " ".join(name.split()).replace("#", "\\#")
    skip = f" # SKIP {' '.join(check.message.split())}" if check.state is State.SKIPPED else ""
    yield f"{ok} {number} - {title}{skip}"
    words = check.detail or check.message if check.state in (State.FAILED, State.BROKEN) else check.note
    yield from (f"# {line}" for line in words.splitlines())
