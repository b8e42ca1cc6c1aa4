"""Reports for people: one URL from its verdict down, several side by side, the list of cases."""

from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap

from opskit import redact
from opskit.console import Stdout
from opskit.httprange import cases
from opskit.httprange.cases.base import Case
from opskit.httprange.invariants import INVARIANTS, Invariant
from opskit.httprange.profiles import PROFILES
from opskit.httprange.results import NO, UNKNOWN, YES, CaseResult, ProfileResult, Report, Verdict
from opskit.units import format_duration, format_size

MARKS = {YES: "✓", NO: "✗", UNKNOWN: "?"}
WORDS = {YES: "yes", NO: "NO", UNKNOWN: "?"}
STYLES = {
    Verdict.FAIL: "bold red", Verdict.WARN: "yellow", Verdict.INCONCLUSIVE: "magenta",
    Verdict.PASS: "green", Verdict.INFO: "cyan", Verdict.NA: "dim",
}  # fmt: skip
SHOWN = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WARN)
INDENT = " " * 11


def safe_for(profiles: Sequence[ProfileResult], ascii_only: bool, *, only: Sequence[str] = ()) -> str:
    """`Safe for: resume ✗ (case 32: If-Range is ignored) · video ✓ · …`."""
    marks = WORDS if ascii_only else MARKS
    asked = [profile for profile in profiles if not only or profile.name in only]
    because = {profile.reasons[:1] for profile in asked if profile.verdict == NO}
    if len(asked) > 1 and len(because) == 1 and all(profile.verdict == NO for profile in asked):
        return f"Safe for: nobody ({', '.join(because.pop())})"
    words = []
    for profile in asked:
        why = f" ({profile.reasons[0]})" if profile.verdict == NO and profile.reasons else ""
        words.append(f"{profile.name} {marks[profile.verdict]}{why}")
    return "Safe for: " + (" - " if ascii_only else " · ").join(words)


def show(report: Report, out: Stdout, *, verbose: bool = False, profiles: Sequence[str] = ()) -> None:
    """One URL: safe for whom, what is wrong, what is right, safe for whom."""
    console, width = out.rich, out.rich.width
    line = "\n".join(
        wrap(safe_for(report.profiles, out.plain_ascii, only=profiles), width, subsequent_indent="  ")
    )
    console.print(line, style="bold", soft_wrap=True)
    console.print(
        "\n".join(wrap(_head(report, out.plain_ascii), width, subsequent_indent="  ")) + "\n", soft_wrap=True
    )
    results = sorted(report.results, key=lambda result: list(STYLES).index(result.verdict))
    wanted = {case for name in profiles for need in PROFILES[name].needs for case in need.cases}
    rows = [r for r in results if verbose or (r.verdict in SHOWN and (not wanted or r.id in wanted))]
    hints: dict[str, str] = {}
    for result in rows:
        _row(result, out, hints)
    _others([result for result in results if result not in rows], out)
    for name, reasons in _problems(report, profiles):
        console.print(f"\nprofile {name}:", style="bold")
        for reason in reasons:
            console.print("\n".join(wrap(f"- {reason}", width, subsequent_indent="  ")), soft_wrap=True)
    if report.note:
        console.print("\n" + "\n".join(wrap(f"note: {report.note}", width)), style="bold", soft_wrap=True)
    console.print(f"\n{_summary(report)}", soft_wrap=True)
    console.print(line, style="bold", soft_wrap=True)


def _head(report: Report, ascii_only: bool) -> str:
    facts = report.facts
    length = "length unknown" if facts["length"] is None else f"{facts['length']} bytes"
    words = [redact.url(report.final_url), report.address, length, facts["server"] or "no Server header"]
    words += [f"HTTP/{facts['http_version']}", f"tier {report.tier.value}"]
    return (" - " if ascii_only else " · ").join(str(word) for word in words if word)


def _row(result: CaseResult, out: Stdout, hints: dict[str, str]) -> None:
    """One case in full; a hint that an earlier row gave is not given again."""
    console, width = out.rich, out.rich.width
    verdict = "waived" if result.waived and result.verdict is Verdict.FAIL else result.verdict.value
    verdict = "?" if result.verdict is Verdict.INCONCLUSIVE else verdict
    console.print(f"{verdict:<6}", style=STYLES[result.verdict], end=" ")
    console.print(f"{result.id:>3} {result.title}", style="bold", end="")
    console.print(f"  [{result.level.value}, {result.section}]", style="dim", soft_wrap=True)
    lines = [f"got      {result.got}"]
    if result.verdict in SHOWN:
        if result.sent:
            more = f" (and {len(result.sent) - 1} more)" if len(result.sent) > 1 else ""
            lines.insert(0, f"sent     {result.sent[0]}{more}")
        lines.append(f"expected {result.expected}")
        lines.append(f"means    {result.meaning}")
        first = hints.setdefault(result.hint, result.id)
        hint = result.hint if first == result.id else f"as for {first}"
        lines += [f"hint     {hint}"] if result.hint else []
        lines += [f"waived   {result.waived}"] if result.waived else []
    for line in lines:
        text = wrap(line, width - len(INDENT), subsequent_indent=" " * 9, break_long_words=True)
        console.print("\n".join(INDENT + part for part in text), soft_wrap=True)


def _others(results: Sequence[CaseResult], out: Stdout) -> None:
    """The verdicts that need no words, one line each."""
    for verdict, style in STYLES.items():
        ids = [result.id for result in results if result.verdict is verdict]
        if ids:
            label = "?" if verdict is Verdict.INCONCLUSIVE else verdict.value
            text = wrap(f"{len(ids):>3}: {' '.join(ids)}", out.rich.width - len(INDENT), drop_whitespace=True)
            out.rich.print(f"{label:<6}", style=style, end=" ")
            out.rich.print(("\n" + INDENT + " ").join(text), soft_wrap=True)


def _problems(report: Report, asked: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(p.name, p.reasons) for p in report.profiles if p.name in asked and p.reasons]


def _summary(report: Report) -> str:
    counts = report.count()
    failed = len(report.failures)
    warnings = f"{counts['WARN']} warning{'' if counts['WARN'] == 1 else 's'}"
    words = f"{failed} failed, {warnings}, {counts['PASS']} passed"
    read, taken = format_size(report.bytes_read), format_duration(report.seconds)
    return f"{words}; {report.requests} requests, {read} read, {taken}"


def matrix(reports: Sequence[Report], out: Stdout) -> None:
    """Several URLs side by side: only cases on which something is wrong or they differ."""
    from rich.table import Table

    labels = [f"{chr(ord('A') + n)}" for n in range(len(reports))]
    for label, report in zip(labels, reports, strict=True):
        address = f" at {report.address}" if report.address else ""
        out.rich.print(f"{label}: {redact.url(report.url)}{address}", style="bold", soft_wrap=True)
        text = wrap(safe_for(report.profiles, out.plain_ascii), out.rich.width - 3)
        out.rich.print("\n".join("   " + line for line in text) + "\n", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("case", justify="right")
    table.add_column("", overflow="fold")
    for label in labels:
        table.add_column(label)
    for name in ("length", "etag", "last_modified", "server"):
        told = [str(report.facts[name] or "-") for report in reports]
        if len(set(told)) > 1:
            table.add_row("", name.replace("_", " "), *told)
    alike = []
    for case_id, title in _all_cases(reports):
        row = [report.result(case_id) for report in reports]
        verdicts = {result.verdict for result in row if result} - {Verdict.NA}
        if len(verdicts) <= 1 and not verdicts & set(SHOWN):
            alike.append(case_id)
            continue
        table.add_row(case_id, title, *(_cell(result) for result in row))
    out.rich.print(table)
    if alike:
        text = wrap(f"the same and fine, or not asked: {' '.join(alike)}", out.rich.width)
        out.rich.print("\n" + "\n".join(text), soft_wrap=True)
    for label, report in zip(labels, reports, strict=True):
        out.rich.print(f"{label}: {_summary(report)}", soft_wrap=True)


def _all_cases(reports: Sequence[Report]) -> list[tuple[str, str]]:
    found = {result.id: result.title for report in reports for result in report.results}
    known = [*cases.by_id(), *(rule.id for rule in INVARIANTS)]
    return [(case_id, found[case_id]) for case_id in known if case_id in found]


def _cell(result: CaseResult | None) -> str:
    if result is None:
        return "-"
    return "?" if result.verdict is Verdict.INCONCLUSIVE else result.verdict.value


def list_cases(out: Stdout) -> None:
    """Every case, by tier."""
    every = sorted(cases.by_id().values(), key=lambda case: list(cases.TIERS).index(case.tier))
    for tier, group in groupby(every, key=lambda case: case.tier):
        out.rich.print(f"{tier.value}: {cases.TIERS[tier]}", style="bold", soft_wrap=True)
        for case in group:
            out.rich.print(_line(case), soft_wrap=True)
    out.rich.print("on every answer", style="bold")
    for rule in INVARIANTS:
        out.rich.print(_line(rule), soft_wrap=True)
    out.rich.print("profiles", style="bold")
    for profile in PROFILES.values():
        out.rich.print(f"  {profile.name:<10}  {profile.who}", soft_wrap=True)


def _line(case: Case | Invariant) -> str:
    return f"  {case.id:>3}  {case.title:<46}  {case.level.value}"


def explain(case_id: str, out: Stdout) -> None:
    """One case, or one profile, in full."""
    if case_id in PROFILES:
        _explain_profile(case_id, out)
        return
    rules = {rule.id: rule for rule in INVARIANTS}
    found: Case | Invariant = rules[case_id] if case_id in rules else cases.by_id()[case_id]
    tier = found.tier.value if isinstance(found, Case) else "every answer"
    out.rich.print(f"{found.id}: {found.title}", style="bold", soft_wrap=True)
    for label, text in (
        ("asked", tier), ("level", f"{found.level.value}, RFC 9110 section {found.section}"),
        ("good", found.expected), ("means", found.meaning),
    ):  # fmt: skip
        lines = wrap(text, out.rich.width - 9)
        out.rich.print(f"  {label:<6} " + ("\n" + " " * 9).join(lines), soft_wrap=True)
    needed = [p.name for p in PROFILES.values() if any(case_id in need.cases for need in p.needs)]
    if needed:
        lines = wrap(f"by {', '.join(needed)}", out.rich.width - 9)
        out.rich.print("  needed " + ("\n" + " " * 9).join(lines), soft_wrap=True)


def _explain_profile(name: str, out: Stdout) -> None:
    profile = PROFILES[name]
    out.rich.print(f"{name}: {profile.who}", style="bold", soft_wrap=True)
    out.rich.print("  not safe when:")
    for need in profile.needs:
        out.rich.print(f"  {' or '.join(need.cases):>7}  {need.why}", soft_wrap=True)
