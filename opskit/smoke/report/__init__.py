"""What a run has to say: where each form of it goes, and what it comes to."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opskit.console import Stdout, talk
from opskit.errors import Misuse
from opskit.outcome import ExitCode
from opskit.smoke.model import Checks, Report, Status
from opskit.smoke.report.monitoring import UNKNOWN as NAGIOS_UNKNOWN
from opskit.smoke.report.monitoring import nagios_code

if TYPE_CHECKING:
    from opskit.smoke.load import Mistake

__all__ = [
    "NAGIOS_UNKNOWN", "Sinks", "annotate_mistakes", "exit_code", "listing", "mistake_dict", "nagios_code",
    "rendering",
]  # fmt: skip


@dataclass(frozen=True)
class Sinks:
    """The files that were asked for beside the report; `-` is standard output, in place of the report."""

    junit: str = ""
    tap: str = ""
    markdown: str = ""
    prometheus: str = ""
    nagios: bool = False

    @property
    def named(self) -> dict[str, str]:
        names = ("junit", "tap", "markdown", "prometheus")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def require_writable(self) -> None:
        """Refuse what could not be written in the end. Raises Misuse, Unable."""
        from opskit.files import require_writable

        for file in self.named.values():
            if file != "-":
                require_writable(file)
        if list(self.named.values()).count("-") + self.nagios > 1:
            raise Misuse("only one report can go to standard output", hint="give the others the name of a file")

    def write(self, report: Report) -> None:
        """Write every file, and tell GitHub Actions what it wants to know. Raises Unable."""
        from opskit.files import write_lines

        for name, file in self.named.items():
            if file != "-":
                write_lines(file, [_FORMATS[name](report)])
        _tell_github(report)


def _junit(report: Report) -> str:
    from opskit.smoke.report import shared

    return shared.junit(report)


def _tap(report: Report) -> str:
    from opskit.smoke.report import shared

    return shared.tap(report)


def _markdown(report: Report) -> str:
    from opskit.smoke.report import shared

    return shared.markdown(report)


def _prometheus(report: Report) -> str:
    from opskit.smoke.report import monitoring

    return monitoring.prometheus(report, time.time())


_FORMATS: dict[str, Callable[[Report], str]] = {
    "junit": _junit,
    "tap": _tap,
    "markdown": _markdown,
    "prometheus": _prometheus,
}


def rendering(report: Report, sinks: Sinks | None) -> Callable[[Stdout], None]:
    """What goes to standard output."""

    def render(out: Stdout) -> None:
        for name, file in (sinks.named if sinks else {}).items():
            if file == "-":
                out.write(_FORMATS[name](report))
                return
        if sinks is not None and sinks.nagios:
            from opskit.smoke.report import monitoring

            out.write(monitoring.nagios(report))
            return
        from opskit.smoke.report.text import text

        colour = out.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        out.write(text(report, colour=colour, ascii_only=out.plain_ascii))

    return render


def exit_code(report: Report, *, strict: bool) -> int:
    if report.interrupted:
        return ExitCode.INTERRUPTED
    if report.count(Status.FAIL) or (strict and report.warnings):
        return ExitCode.BAD
    return ExitCode.UNABLE if report.count(Status.ERROR) else ExitCode.OK


def listing(checks: Checks) -> tuple[dict[str, Any], str]:
    """What would be run, as data and as lines."""
    from opskit.smoke.secrets import Veil

    veil = Veil(checks.secrets)
    rows: list[dict[str, Any]] = [
        {
            "id": check.id, "target": veil.hide(check.probe.target()), "needs": list(check.common.needs),
            "tags": list(check.common.tags), "file": check.file, "line": check.line,
        }
        for check in checks.checks
    ]  # fmt: skip
    width = max(len(check.id) for check in checks.checks)
    lines = [
        f"{row['id']:<{width}}  {row['target']}" + (f"  after {', '.join(row['needs'])}" if row["needs"] else "")
        for row in rows
    ]
    return {"checks": rows}, "\n".join([*lines, ""])


def mistake_dict(mistake: "Mistake") -> dict[str, Any]:
    return {
        "file": mistake.file,
        "line": mistake.line,
        "column": mistake.column,
        "problem": mistake.problem,
        "hint": mistake.hint,
    }


def annotate_mistakes(mistakes: "Sequence[Mistake]") -> None:
    """Under GitHub Actions, mark the mistakes of a checks file at their lines."""
    from opskit.formats.github import on_runner

    if on_runner():
        from opskit.smoke.report import github

        for line in github.mistake_annotations(mistakes):
            talk(line)


def _tell_github(report: Report) -> None:
    """Annotations go to stderr, where the runner reads them too and stdout stays data."""
    from opskit.formats.github import on_runner

    if not on_runner():
        return
    from opskit.files import append_text
    from opskit.smoke.report import github

    for line in github.annotations(report):
        talk(line)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        append_text(summary, github.summary(_markdown(report)))
