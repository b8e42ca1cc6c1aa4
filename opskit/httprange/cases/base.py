"""What a case is, and the judgements that many of them share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opskit.httprange import fields
from opskit.httprange.exchange import Got
from opskit.httprange.fields import Malformed, Span
from opskit.httprange.inspection import Inspection
from opskit.httprange.results import Finding, Level, Tier, Verdict

PASS, FAIL, WARN, INFO, NA = Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.INFO, Verdict.NA
BASIC, POLITE, FULL = Tier.BASIC, Tier.POLITE, Tier.FULL
MUST, SHOULD, MAY, CLIENT, SECURITY = Level.MUST, Level.SHOULD, Level.MAY, Level.CLIENT, Level.SECURITY

Check = Callable[[Inspection], Finding]


@dataclass(frozen=True)
class Case:
    """One question to the server. `needs_ranges` leaves it out where no range at all is answered."""

    id: str
    title: str
    section: str
    level: Level
    tier: Tier
    expected: str
    meaning: str
    check: Check
    needs_ranges: bool = True


def case(
    number: int, title: str, section: str, level: Level, tier: Tier, *, expected: str, meaning: str,
    needs_ranges: bool = True,
) -> Callable[[Check], Case]:  # fmt: skip
    """Make a case of the function that asks and judges."""

    def made(check: Check) -> Case:
        return Case(str(number), title, section, level, tier, expected, meaning, check, needs_ranges)

    return made


def plain(got: Got) -> Finding | None:
    """The finding for an answer that another rule already judges; None to go on and judge it here."""
    if got.broken:
        return Finding(NA, f"{got}: judged by {', '.join(got.broken)}")
    if got.status == 206 and got.is_multipart:
        return Finding(NA, f"{got}: judged by 24")
    if got.status == 429:
        return Finding(Verdict.INCONCLUSIVE, "429: the server asks for fewer requests")
    return None


def span_of(got: Got) -> Span | None:
    try:
        return fields.content_range(got.header("content-range") or "").span
    except Malformed:
        return None


def honoured(got: Got, span: Span, *, on_200: Verdict = NA) -> Finding:
    """A range that exists was asked for: 206 with it, or with less of it (which I4 reports)."""
    if finding := plain(got):
        return finding
    if got.status == 206:
        sent = span_of(got)
        if sent is not None and sent.within(span):
            return Finding(PASS, str(got))
        return Finding(FAIL, f"{span} was asked for, {sent} was sent")
    if got.status == 200:
        return Finding(on_200, f"{got}: Range is ignored")
    return Finding(FAIL, str(got))


def ignored(got: Got, *, on_206: Verdict, otherwise: Verdict) -> Finding:
    """Range does not count here: the whole file is the answer."""
    if finding := plain(got):
        return finding
    if got.status == 200:
        return Finding(PASS, str(got))
    return Finding(on_206 if got.status == 206 else otherwise, str(got))


def refused(got: Got, *, on_206: Verdict) -> Finding:
    """There is nothing valid to send: 416, 400 and ignoring it are all allowed."""
    if got.status == 206:
        return Finding(on_206, str(got))
    if finding := plain(got):
        return finding
    return Finding(PASS if got.status in (200, 400, 416) else WARN, str(got))


_WEIGHT = (FAIL, Verdict.INCONCLUSIVE, WARN, INFO, PASS, NA)


def worst_of(findings: Sequence[Finding]) -> Finding:
    """Of several answers the one that matters; of equals the first."""
    return min(findings, key=lambda finding: _WEIGHT.index(finding.verdict))


def labelled(label: str, finding: Finding) -> Finding:
    return Finding(finding.verdict, f"{label}: {finding.got}")
