"""JUnit XML, as Jenkins, GitLab and GitHub's viewers read it."""

import re
from collections.abc import Sequence

from opskit.formats.checks import Check, State, Suite

# What XML 1.0 cannot hold at all (section 2.2).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {State.FAILED: "failure", State.BROKEN: "error", State.SKIPPED: "skipped"}


def junit(suites: Sequence[Suite]) -> str:
    """One document with a testsuite for each suite."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for suite in suites:
        lines.append(
            f"  <testsuite name={_quoted(suite.name)} tests='{len(suite.checks)}'"
            f" failures='{suite.count(State.FAILED)}' errors='{suite.count(State.BROKEN)}'"
            f" skipped='{suite.count(State.SKIPPED)}' time='{suite.seconds:.3f}'>"
        )
        lines += [_case(check) for check in suite.checks]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _case(check: Check) -> str:
    names = f"classname={_quoted(check.group)} name={_quoted(check.name)}"
    start = f"    <testcase {names} time='{check.seconds:.3f}'"
    inside = []
    if check.state in _ELEMENTS:
        element = _ELEMENTS[check.state]
        inside.append(f"<{element} message={_quoted(check.message)}>{_text(check.detail)}</{element}>")
    if check.note:
        inside.append(f"<system-out>{_text(check.note)}</system-out>")
    return f"{start}>{''.join(inside)}</testcase>" if inside else f"{start}/>"


def _text(text: str) -> str:
    from xml.sax.saxutils import escape  # which loads a client for URLs: not for whoever writes no file

    return escape(_FORBIDDEN.sub("?", text))


def _quoted(text: str) -> str:
    from xml.sax.saxutils import quoteattr

    return quoteattr(_FORBIDDEN.sub("?", text))
