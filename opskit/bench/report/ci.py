"""A run for pipelines: JUnit XML with a case for each threshold, and GitHub's annotations."""

from collections.abc import Sequence

from opskit.bench.results import Results
from opskit.bench.thresholds import Crossed
from opskit.bench.verdict import findings, is_valid
from opskit.conditions import MetricCondition
from opskit.formats.checks import Check, State, Suite
from opskit.formats.github import command
from opskit.formats.junit import junit

_TITLE = "opskit bench"


def junit_lines(results: Results, thresholds: Sequence[MetricCondition], crossed: Sequence[Crossed]) -> list[str]:
    """A case for the run itself, which is broken if nothing answered, and one for each threshold."""
    bad = {each.condition.text: each for each in crossed}
    checks = [_run(results)]
    for threshold in thresholds:
        found = bad.get(threshold.text)
        state = State.FAILED if found else State.PASSED
        checks.append(Check(f"not {threshold.text}", _group(results), state, str(found) if found else ""))
    return [junit([Suite(_TITLE, tuple(checks))])]


def annotations(results: Results, crossed: Sequence[Crossed]) -> list[str]:
    """An error for each threshold that was crossed, a warning for each doubt about the run."""
    lines = [command("error", {"title": _TITLE}, str(each)) for each in crossed]
    if not is_valid(found := findings(results)):
        words = [f"{each.doubt.value}: {each.evidence}" for each in found]
        lines.append(command("warning", {"title": f"{_TITLE}: doubtful run"}, "\n".join(words)))
    return lines


def _run(results: Results) -> Check:
    found = findings(results)
    words = [f"{each.doubt.value}: {each.evidence}" for each in found]
    return Check(
        name="the run",
        group=_group(results),
        state=State.PASSED if results.answered else State.BROKEN,
        message="" if results.answered else f"nothing answered: {results.reason}",
        note="\n".join(["VALID" if is_valid(found) else "doubtful", *words]),
        seconds=results.seconds,
    )


def _group(results: Results) -> str:
    return f"bench {results.run.url or results.run.requests_file}"
