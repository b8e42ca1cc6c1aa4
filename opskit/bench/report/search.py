"""A search for the highest rate: the answer, the curve behind it, and what each step says of itself."""

from collections.abc import Iterator
from typing import Any

from opskit.bench.compare.search import End, Held
from opskit.bench.compare.stepping import Found, Step, doubts
from opskit.bench.histogram import summarise
from opskit.bench.report.text import Line, milliseconds
from opskit.bench.thresholds import judged
from opskit.bench.verdict import Doubt
from opskit.units import format_duration

_WORDS = {
    Held.YES: ("holds", "green"),
    Held.NO: ("fails", "red"),
    Held.CLIENT: ("CLIENT-BOUND", "bold yellow"),
}
_SHOWN = {Doubt.CLIENT_BOUND, Doubt.PORTS, Doubt.PARTIAL, Doubt.ERRORS}


def lines(found: Found, url: str) -> Iterator[Line]:
    search = found.search
    yield [("opskit bench  ", "dim"), (url, "bold")]
    times = f"{format_duration(search.settle)} to settle, {format_duration(search.step)} measured"
    yield [(f"the highest rate at which {conditions(found)}; {times}", "dim")]
    yield []
    yield [(f"{'rate, 1/s':>9}{'answered':>10}{'p50, ms':>9}{'p99, ms':>9}{'failed':>7}", "dim")]
    for step in sorted(found.steps, key=lambda each: each.rate):
        yield row(step)
    yield []
    yield _answer(found)
    if found.end is End.CLIENT:
        yield [("  because    ", "dim"), (found.steps[-1].why, "")]
    for note in found.notes:
        yield [("  doubtful   ", "yellow"), (note, "")]


def row(step: Step) -> Line:
    """A line of the curve; also what is said while a search lasts."""
    times = summarise(judged(step.results)).percentiles
    word, style = _WORDS[step.held]
    others = ", ".join(each.doubt.value for each in doubts(step) if each.doubt in _SHOWN)
    return [
        (f"{_rate(step.rate):>9}", "bold"),
        (f"{step.answered:>10,.1f}", ""),
        (f"{milliseconds(times['p50']):>9}{milliseconds(times['p99']):>9}", ""),
        (f"{step.results.failed:>7,}  ", "red" if step.results.failed else ""),
        (word, style),
        (f": {step.why}" if step.why else f"; {others}" if others else "", ""),
    ]


def _rate(rate: float) -> str:
    return f"{rate:,.4g}" if rate < 9999 else f"{rate:,.0f}"


def conditions(found: Found) -> str:
    return " and ".join(map(str, found.search.conditions))


def _answer(found: Found) -> Line:
    rate = f"{_rate(found.rate)}/s" if found.rate else ""
    return [(rate, "bold green"), (" " * bool(rate) + says(found), "bold" if rate else "bold red")]


def says(found: Found) -> str:
    """What follows the rate, or stands alone where there is none."""
    bounds, last = found.search.bounds, found.steps[-1] if found.steps else None
    if found.end is End.INTERRUPTED:
        failed = f"; {_rate(found.failed)}/s failed" if found.failed else ""
        return ("held" if found.rate else "no rate has held yet") + f"{failed}; interrupted, it is not the answer"
    if found.end is End.CLIENT:
        assert last is not None
        start = "holds, but" if found.rate else "nothing is known of the server:"
        return f"{start} {_rate(last.rate)}/s was too much for this client: the server may do more"
    return {
        End.SERVER: f"is the highest rate that holds; {_rate(found.failed or 0)}/s does not",
        End.MAXIMUM: f"holds, and no higher rate was asked for: --max-rate {_rate(bounds.highest)}",
        End.LOWEST: f"not even {_rate(bounds.lowest)}/s holds",
    }[found.end]


def to_dict(found: Found, url: str) -> dict[str, Any]:
    """The `data` of the envelope. `rate` is None where none held; `limit` is what ended the search."""
    search = found.search
    return {
        "url": url,
        "search": {
            "conditions": [str(each) for each in search.conditions],
            "rate": found.rate,
            "failed_rate": found.failed,
            "limit": found.end.value,
            "precision": search.bounds.precision,
            "settle_s": search.settle,
            "step_s": search.step,
            "steps": [_step_dict(step) for step in found.steps],
            "notes": list(found.notes),
        },
    }


def _step_dict(step: Step) -> dict[str, Any]:
    """One step, in the order in which they were tried."""
    results = step.results
    return {
        "rate": step.rate,
        "holds": step.held is Held.YES,
        "held": step.held.value,
        "why": step.why,
        "answered": step.answered,
        "concurrency": results.run.concurrency,
        "latency_ms": summarise(judged(results)).to_dict(),
        "requests": {
            "started": results.started, "good": results.good, "failed": results.failed, "unsent": results.unsent
        },
        "cpu_share": results.cpu_share,
        "verdict": [each.to_dict() for each in doubts(step)],
    }  # fmt: skip
