"""What a run says about itself: VALID, or why its figures are not to be trusted, with the evidence."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from opskit.bench.results import Failure, Results, Stop
from opskit.listen import is_loopback

BUSY = 0.9  # share of one core from which the client is as likely the limit as the server
LATE = 10.0  # ms behind the schedule that make a start late
FEW_LATE = 0.01  # share of late or unsent starts that is borne
FEW_LATE_WAKES = 0.05  # share of the loop's own wake-ups that may be late,
MANY_LATE_WAKES = 3  # if it is not but one or two
SHORTEST = 1.0  # seconds
FEWEST = 1000  # answers: p99 then rests on ten of them
FEW_FAILED = 0.01


class Doubt(StrEnum):
    CLIENT_BOUND = "CLIENT-BOUND"
    SHORT = "SHORT"
    ERRORS = "ERRORS"
    PORTS = "PORTS"
    PARTIAL = "PARTIAL"
    LOOPBACK_SHARED = "LOOPBACK-SHARED"  # information; it leaves a run valid


@dataclass(frozen=True)
class Finding:
    """One doubt and the figures behind it."""

    doubt: Doubt
    evidence: str

    def to_dict(self) -> dict[str, str]:
        return {key: str(value) for key, value in asdict(self).items()}


def findings(results: Results) -> list[Finding]:
    """Every doubt about a run, gravest first."""
    return [Finding(doubt, evidence) for doubt, evidence in _doubts(results)]


def to_dict(results: Results) -> dict[str, object]:
    found = findings(results)
    return {"valid": is_valid(found), "findings": [each.to_dict() for each in found]}


def is_valid(found: list[Finding]) -> bool:
    return all(each.doubt is Doubt.LOOPBACK_SHARED for each in found)


def _doubts(results: Results) -> Iterator[tuple[Doubt, str]]:
    cut = results.failures.get(Failure.CUT_OFF, 0)
    if results.together and results.together.lost:
        lost, parts = results.together.lost, results.together.parts
        yield Doubt.PARTIAL, f"{lost} of {parts} parts of the run were lost; the figures are those of the rest"
    if results.stop in (Stop.INTERRUPTED, Stop.DEAD, Stop.BAD_REQUEST):
        yield Doubt.PARTIAL, f"ended after {results.started:,} requests: {_ENDS[results.stop]}"
    elif cut:
        yield Doubt.PARTIAL, f"{cut:,} requests were in flight when the run ended"
    if results.failed > FEW_FAILED * results.started:
        share = results.failed / results.started
        yield Doubt.ERRORS, f"{share:.1%} failed; the figures are those of the rest"
    yield from _client(results)
    yield from _ports(results)
    if results.seconds < SHORTEST:
        yield Doubt.SHORT, f"{results.seconds:.2f} s: too short to settle; -t 10s is a good start"
    elif results.answered < FEWEST:
        yield Doubt.SHORT, f"{results.answered:,} answers: p99 rests on {results.answered // 100} of them"
    if is_loopback(results.run.host):
        yield Doubt.LOOPBACK_SHARED, "client and server share this machine's cores"


_ENDS = {
    Stop.INTERRUPTED: "Ctrl-C",
    Stop.DEAD: "nothing answered",
    Stop.BAD_REQUEST: "a bad line in the file",
}


def _ports(results: Results) -> Iterator[tuple[Doubt, str]]:
    """A run that has ended by itself without lack of a port has shown that there were enough."""
    missing, ports = results.failures.get(Failure.LOCAL, 0), results.ports
    if missing:
        why = f": {ports.evidence()}" if ports and ports.short else ""
        yield Doubt.PORTS, f"no port or descriptor was left {missing:,} times{why}"
    elif ports and ports.short and results.stop is Stop.INTERRUPTED:
        yield Doubt.PORTS, f"the whole run could have taken {ports.evidence()}"


def _client(results: Results) -> Iterator[tuple[Doubt, str]]:
    """Was it the client that set the limit?"""
    if results.paced:
        late = results.latencies.lag.above(int(LATE * 1e6)) + results.unsent
        due = results.latencies.lag.count + results.unsent
        if late > FEW_LATE * due:
            yield (
                Doubt.CLIENT_BOUND,
                f"{late:,} of {due:,} began over {LATE:g} ms late or never (-c, --rate)",
            )
    elif results.cpu_share >= BUSY:
        yield (
            Doubt.CLIENT_BOUND,
            f"opskit used {results.cpu_share:.0%} of a core: the server may do more (--processes)",
        )
    wakes = results.latencies.loop
    late_wakes = wakes.above(int(LATE * 1e6))
    if late_wakes >= MANY_LATE_WAKES and late_wakes > FEW_LATE_WAKES * wakes.count:
        yield (
            Doubt.CLIENT_BOUND,
            f"opskit itself woke over {LATE:g} ms late {late_wakes:,} of {wakes.count:,} times: a busy machine?",
        )
