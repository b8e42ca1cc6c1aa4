"""Lines for monitoring: the plugin interface of Nagios and its kin, and Prometheus' text format."""

from opskit.smoke.model import Report, Result, Status

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def nagios_code(report: Report) -> int:
    """The exit code of the plugin interface: critical before unknown before warning."""
    if report.count(Status.FAIL):
        return CRITICAL
    if report.count(Status.ERROR) or report.interrupted:
        return UNKNOWN
    return WARNING if report.warnings else OK


def nagios(report: Report) -> str:
    """One line with performance data, then a line for each check that is not good."""
    bad = [result for result in report.results if result.status in (Status.FAIL, Status.ERROR)]
    total = len(report.results)
    words = f"{len(bad)} of {total} not good: {', '.join(result.check.id for result in bad)}" if bad \
        else f"{report.count(Status.PASS)} of {total} passed"  # fmt: skip
    data = " ".join(_performance(result) for result in report.results if result.status is not Status.SKIP)
    first = f"SMOKE {WORDS[nagios_code(report)]} - {_plain(words)} | {data}"
    return "\n".join([first, *(f"{result.check.id}: {_plain(result.message)}" for result in bad), ""])


def _performance(result: Result) -> str:
    """'label'=value[unit];[warn];[crit];[min]."""
    limit = result.check.common.within
    return f"'{result.check.id}'={result.seconds:.6f}s;;{limit if limit is not None else ''};0"


def _plain(text: str) -> str:
    """A pipe would begin the performance data, and a line is a line."""
    return " ".join(text.replace("|", "/").split())


def prometheus(report: Report, now: float) -> str:
    """Metrics for a textfile collector or a push gateway. `now` is in epoch seconds."""
    lines = [
        "# HELP opskit_smoke_success Whether the check passed.",
        "# TYPE opskit_smoke_success gauge",
        *(f"opskit_smoke_success{_labels(r)} {int(r.status is Status.PASS)}" for r in _told(report)),
        "# HELP opskit_smoke_duration_seconds How long the check took, waiting included.",
        "# TYPE opskit_smoke_duration_seconds gauge",
        *(f"opskit_smoke_duration_seconds{_labels(r)} {r.seconds:.6f}" for r in _told(report)),
        "# HELP opskit_smoke_checks Checks by what they came to.",
        "# TYPE opskit_smoke_checks gauge",
        *(f'opskit_smoke_checks{{status="{status.value}"}} {_count(report, status)}' for status in Status),
        "# HELP opskit_smoke_last_run_timestamp_seconds When the run ended.",
        "# TYPE opskit_smoke_last_run_timestamp_seconds gauge",
        f"opskit_smoke_last_run_timestamp_seconds {now:.3f}",
        "",
    ]
    return "\n".join(lines)


def _told(report: Report) -> list[Result]:
    """A check that was skipped has no value, as a metric that is not known has none."""
    return [result for result in report.results if result.status is not Status.SKIP]


def _count(report: Report, status: Status) -> int:
    return sum(result.status is status for result in report.results)


def _labels(result: Result) -> str:
    pairs = {"check": result.check.id, "type": result.check.type, "severity": result.check.common.severity}
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
