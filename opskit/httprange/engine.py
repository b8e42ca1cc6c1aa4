"""Carries a plan out against one URL: first facts, then cases in order, then what they come to."""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from opskit import redact
from opskit.errors import Unable, os_reason
from opskit.httprange import clients, fields, profiles
from opskit.httprange.cases import IN_ORDER, SUPPORT, by_id
from opskit.httprange.cases.base import Case
from opskit.httprange.cases.codings import compared, identity
from opskit.httprange.exchange import SAMPLE, Ask, Exchange, Got
from opskit.httprange.fields import Malformed
from opskit.httprange.hints import hint
from opskit.httprange.inspection import Facts, Inspection, NoAnswer
from opskit.httprange.invariants import INVARIANTS, Violation
from opskit.httprange.plan import Plan
from opskit.httprange.results import NO, UNKNOWN, CaseResult, Finding, Report, Tier, Verdict, worst
from opskit.httprange.web import Access, Exhausted, Web

MOST_HOPS = 10
MOST_NAMED = 6  # cases that a report names for one broken rule
MOST_TIMEOUTS = 2  # a server that hangs on everything would cost a timeout for each case
EMPTY = "the file is empty: only what can be asked of nothing was asked (case 12)"
EVERY_ID = (*(case.id for case in IN_ORDER), *(rule.id for rule in INVARIANTS))
REDIRECTS = (301, 302, 303, 307, 308)
# Played in every polite run, because the file itself says which client it is for.
OF_SUFFIX = {"whl": ("pip",), "zip": ("pip",), "mp4": ("video",), "m4v": ("video",), "mov": ("video",)}

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Inspected:
    """A report, and the exchanges behind it for transcripts."""

    report: Report
    exchanges: tuple[Exchange, ...]


def addresses(url: str) -> list[str]:
    """Every IP address of the URL's host. Raises Unable for a name that nobody knows."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "it is no name of a host"
        raise Unable(
            f"cannot find {parts.hostname}: {reason}", hint="check the name", code="unreachable"
        ) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def default_tier(url: str, proxy: str) -> Tier:
    """Polite where only we can be annoyed, basic for everybody else's servers."""
    if proxy:
        return Tier.BASIC
    private = all(ipaddress.ip_address(a.partition("%")[0]).is_private for a in addresses(url))
    return Tier.POLITE if private else Tier.BASIC


def inspect(plan: Plan, url: str, access: Access, progress: Progress) -> Inspected:
    """Everything about one URL. Raises Unable when there is no whole file to begin with."""
    tier = plan.tier or default_tier(url, access.proxy)
    web = Web(url, access)
    started = time.monotonic()
    try:
        facts = _facts(web, url)
        run = Inspection(web, facts, unsafe_methods=plan.unsafe_methods, empty_url=plan.empty_url)
        course = _Course(plan, url, run, tier, progress)
        course.go()
        problems = course.clients()
        if not course.stopped:
            course.close()
        results = _results(course)
        report = Report(
            url, web.url, access.address, tier, _described(run), results,
            tuple(profiles.judge(
                {result.id: result for result in results}, problems, empty=facts.length == 0,
                left_out=[case for case in EVERY_ID if not course.wants(case)],
            )),
            web.requests, web.bytes_read, time.monotonic() - started,
            course.stopped or (EMPTY if run.facts.length == 0 else ""), course.interrupted,
        )  # fmt: skip
        return Inspected(report, tuple(run.exchanges))
    finally:
        web.close()


def _facts(web: Web, url: str) -> Facts:
    """The resource at the end of the redirects, as GET and HEAD see it."""
    hops: list[str] = []
    while True:
        whole = web.ask(Ask(read=SAMPLE))
        _refuse_fault(whole, web)
        if whole.status not in REDIRECTS or not whole.header("location"):
            break
        hops.append(web.url)
        web.url = urljoin(web.url, whole.header("location") or "")
        if web.url in hops or len(hops) > MOST_HOPS:
            raise Unable(
                f"{redact.url(url)} redirects in a loop", hint="give the URL of the file itself", code="loop"
            )
        if urlsplit(web.url).scheme not in ("http", "https"):
            raise Unable(
                f"{redact.url(url)} redirects to {redact.url(web.url)}, which is not HTTP", code="redirect"
            )
    _refuse_status(whole, url)
    head = web.ask(Ask("HEAD"))
    length = whole.length if not whole.header("content-encoding") or whole.length else None
    if length is None and not whole.cut and not whole.truncated:
        length = len(whole.body)
    if length is None and head.status == 200:
        length = head.length
    return Facts(head, whole, length, (*hops, web.url) if hops else ())


def _refuse_fault(got: Got, web: Web) -> None:
    host = urlsplit(web.url).netloc.rpartition("@")[2]
    if got.fault.startswith("what came is not HTTP"):
        raise Unable(
            f"what answers at {host} does not speak HTTP", hint="check the port, and http or https",
            code="not_http",
        )  # fmt: skip
    if got.fault:
        raise Unable(
            f"cannot check {host}: {got.fault}", hint="is it running, and reachable from here?",
            code="unreachable",
        )  # fmt: skip


def _refuse_status(got: Got, url: str) -> None:
    if got.status == 200:
        return
    hints = {
        401: "give a name and password: --user NAME, or a header: -H @FILE",
        403: "it may want a header or a login: -H @FILE, --user NAME",
        404: "check the path",
        405: "this URL does not answer GET",
    }
    raise Unable(
        f"{redact.url(url)} answers {got.status} to a plain GET; only a 200 can be checked",
        hint=hints.get(got.status, "give the URL of a file"), code="not_200",
    )  # fmt: skip


class _Course:
    """The run itself: which cases are asked, what they found, and why it ended early if it did."""

    def __init__(self, plan: Plan, url: str, run: Inspection, tier: Tier, progress: Progress) -> None:
        self.plan = plan
        self.url = url
        self.run = run
        self.tier = tier
        self.progress = progress
        self.findings: dict[str, tuple[Case, Finding, float]] = {}
        self.stopped = ""
        self.interrupted = False

    def wants(self, case_id: str) -> bool:
        return case_id not in self.plan.skip and (not self.plan.only or case_id in self.plan.only)

    def go(self) -> None:
        try:
            self._ask_all()
        except KeyboardInterrupt:
            self.stopped, self.interrupted = "interrupted: the cases that are missing were not asked", True

    def _ask_all(self) -> None:
        for case in IN_ORDER:
            if self.stopped:
                return
            if self.tier.includes(case.tier) and self.wants(case.id):
                self.progress(f"{case.id}: {case.title}")
                started = time.monotonic()
                finding = self._finding(case)
                self.findings[case.id] = (case, finding, time.monotonic() - started)
                self._adopt_length()

    def _finding(self, case: Case) -> Finding:
        run = self.run
        run.case = case.id
        if case.needs_ranges and run.facts.length == 0:
            return Finding(Verdict.NA, "the file is empty")
        if case.needs_ranges and case.id not in SUPPORT and not self.plan.only and not self._supported:
            return Finding(Verdict.NA, "ranges are not answered")
        if case.needs_ranges and run.facts.length is None and case.id not in ("3", "4"):
            return Finding(Verdict.NA, "the length of the file is not known")
        try:
            return case.check(run)
        except NoAnswer as silence:
            self._look_after(case)
            return Finding(Verdict.NA, f"{silence}: judged by I11")
        except Exhausted:
            self.stopped = f"as much was read as --max-bytes allows ({run.web.access.max_bytes} bytes)"
            return Finding(Verdict.NA, "nothing more may be read")

    @property
    def _supported(self) -> bool:
        return any(exchange.got.status == 206 for exchange in self.run.answers())

    def _adopt_length(self) -> None:
        """A 206 tells the length even where the 200 is chunked."""
        if self.run.facts.length is not None:
            return
        for exchange in self.run.answers():
            try:
                total = fields.content_range(exchange.got.header("content-range") or "").total
            except Malformed:
                continue
            if exchange.got.status == 206 and total is not None:
                self.run.facts = replace(self.run.facts, length=total)
                self.run.known.length = total

    def _look_after(self, case: Case) -> None:
        """After silence: is anybody still there?"""
        if self.run.timeouts >= MOST_TIMEOUTS:
            self.stopped = f"the server was silent {MOST_TIMEOUTS} times"
            return
        for pause in (0.0, 0.2, 0.5):
            time.sleep(pause)
            got = self.run.web.ask(Ask("HEAD", fresh=True))
            if not got.fault:
                return
        self.stopped = f"the server is gone since case {case.id}"
        self.run.blame("I11", Verdict.FAIL, f"it died: {got.fault}")

    def clients(self) -> dict[str, tuple[str, ...]]:
        """Play the clients that are asked for, or that this kind of file is for."""
        names: Sequence[str] = self.plan.profiles
        if not names and self.tier is not Tier.BASIC and not self.plan.only:
            suffix = self.run.web.url.partition("?")[0].rpartition(".")[2].lower()
            names = OF_SUFFIX.get(suffix, ())
        if self.stopped or not self._supported or not self.run.facts.length:
            return {}
        played = {}
        for name in names:
            self.progress(f"playing {name}")
            played[name] = clients.play(name, self.run)
        return played

    def close(self) -> None:
        """Is it still the file that it was? (I12)"""
        run = self.run
        run.case = "I12"
        before = run.facts.head if run.facts.head.status == 200 else run.facts.whole
        ask = Ask("HEAD" if before is run.facts.head else "GET", read=1)
        try:
            after = run.record(ask)
            if identity(after) == identity(before):
                return
            pair = [run.record(replace(ask, fresh=True)) for _ in range(2)]
        except (NoAnswer, Exhausted):
            return
        if compared(pair).verdict is Verdict.PASS:
            words = f"{' '.join(identity(before))} became {' '.join(identity(after))}"
            run.blame("I12", Verdict.INCONCLUSIVE, words)


def _results(course: _Course) -> tuple[CaseResult, ...]:
    run, plan = course.run, course.plan
    server = " ".join(filter(None, (run.facts.whole.header(name) for name in ("server", "x-ms-version"))))
    results = [
        CaseResult(
            case.id, case.title, case.section, case.level, finding.verdict, case.expected, finding.got,
            case.meaning, "", tuple(dict.fromkeys(str(e.ask) for e in run.answers([case.id]))), "", seconds,
        )
        for case, finding, seconds in course.findings.values()
    ]  # fmt: skip
    results += _kept_rules(run.violations, course)
    changed = any(violation.rule == "I12" for violation in run.violations)
    known = plan.known.get(redact.url(course.url), frozenset())
    results = [
        replace(_final(r, plan, known, changed), hint=hint(r.id, r.verdict, r.got, server, run.web.url))
        for r in results
    ]
    return tuple(sorted(results, key=_place))


def _kept_rules(violations: Sequence[Violation], course: _Course) -> list[CaseResult]:
    """One result for each invariant, with the cases in which it was broken."""
    found = []
    for rule in INVARIANTS:
        broken = [violation for violation in violations if violation.rule == rule.id]
        if not course.wants(rule.id):
            continue
        verdict = worst(v.verdict for v in broken) if broken else Verdict.PASS
        first = next((v for v in broken if v.verdict is verdict), None)
        where = tuple(dict.fromkeys(v.case for v in broken if v.verdict is verdict))
        got = f"{first.words} (case {_shortened(where)})" if first else "kept by every answer"
        found.append(
            CaseResult(
                rule.id, rule.title, rule.section, rule.level, verdict, rule.expected, got, rule.meaning,
                broken_in=where,
            )
        )  # fmt: skip
    return found


def _shortened(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - MOST_NAMED} more" if len(cases) > MOST_NAMED else ""
    return ", ".join(cases[:MOST_NAMED]) + more


def _final(result: CaseResult, plan: Plan, known: frozenset[str], changed: bool) -> CaseResult:
    """A result as it counts: strict, inconclusive, waived."""
    verdict = result.verdict
    if plan.strict and verdict is Verdict.WARN:
        verdict = Verdict.FAIL
    if changed and verdict in (Verdict.FAIL, Verdict.WARN) and result.id != "I11":
        verdict = Verdict.INCONCLUSIVE
    waived = plan.waivers.get(result.id, "")
    if verdict is Verdict.FAIL and not waived and result.id in known:
        waived = "known from the baseline"
    return replace(result, verdict=verdict, waived=waived)


def _place(result: CaseResult) -> tuple[int, int]:
    """Cases by number, then invariants by number."""
    number = result.id.removeprefix("I")
    return (int(result.id.startswith("I")), int(number))


def _described(run: Inspection) -> dict[str, object]:
    """The facts that the head of a report shows."""
    facts = run.facts
    return {
        "status": facts.whole.status,
        "length": facts.length,
        "etag": facts.etag,
        "etag_strong": fields.is_strong(facts.etag),
        "last_modified": facts.modified,
        "accept_ranges": facts.whole.header("accept-ranges"),
        "content_type": facts.whole.header("content-type"),
        "server": facts.whole.header("server"),
        "http_version": facts.whole.version,
        "redirects": [redact.url(hop) for hop in facts.redirects[:-1]],
    }


def agreed(inspected: Sequence[Inspected]) -> list[Inspected]:
    """The same, with 47 failed where the addresses of one name do not offer the same file."""
    seen: dict[str, set[tuple[str, ...]]] = {}
    for one in inspected:
        seen.setdefault(one.report.url, set()).add(_offered(one.report))
    return [
        replace(one, report=_at_odds(one.report)) if len(seen[one.report.url]) > 1 else one for one in inspected
    ]


def _offered(report: Report) -> tuple[str, ...]:
    return tuple(str(report.facts[name]) for name in ("etag", "last_modified", "length"))


def _at_odds(report: Report) -> Report:
    case = by_id()["47"]
    got = f"{report.address} offers {' '.join(filter(None, _offered(report)))}, another address does not"
    failed = CaseResult(
        case.id, case.title, case.section, case.level, Verdict.FAIL, case.expected, got, case.meaning,
        hint(case.id, Verdict.FAIL, got, "", report.url),
    )  # fmt: skip
    others = [result for result in report.results if result.id != case.id]
    results = tuple(sorted((*others, failed), key=_place))
    judged = profiles.judge({result.id: result for result in results}, {}, empty=report.facts["length"] == 0)
    return replace(report, results=results, profiles=tuple(judged))


def exit_verdict(reports: Sequence[Report], asked: Sequence[str]) -> Verdict:
    """What a run comes to: by the profiles that were asked for, or by every failure."""
    if asked:
        states = [p.verdict for report in reports for p in report.profiles if p.name in asked]
        if NO in states:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if UNKNOWN in states else Verdict.PASS
    if any(report.failures for report in reports):
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if any(report.changed for report in reports) else Verdict.PASS
