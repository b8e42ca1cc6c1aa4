"""The engine run inside the test, against real sockets."""

from dataclasses import replace
from typing import Any

from opskit.bench.plan import Plan, RequestsFile, Route, Shape, Tls, parse_url
from opskit.bench.requests import format_of
from opskit.bench.results import Results
from opskit.bench.run import carry_out


def bench(
    url: str | None,
    *,
    number: int | None = 1,
    concurrency: int = 1,
    keep_alive: bool = False,
    method: str = "GET",
    body: bytes | None = None,
    requests: str | None = None,
    route: Route | None = None,
    tls: Tls | None = None,
    **others: Any,
) -> Results:
    """Carry out one plan and check what holds for every run: each request is counted exactly once."""
    results, error = carry_out(
        replace(
            Plan(
                url=parse_url(url) if url else None,
                number=number,
                concurrency=concurrency,
                shape=Shape(method=method, body=body, keep_alive=keep_alive),
                requests=RequestsFile(requests, format_of(requests)) if requests else None,
                route=route or Route(),
                tls=tls or Tls(),
                request_limit=5,
            ),
            **others,
        )
    )
    assert error is None
    assert_counted_once(results)
    return results


def assert_counted_once(results: Results) -> None:
    """What holds for every run, however it went: no request is lost and none is counted twice."""
    judged = {"status", "length", "check"}
    unanswered = sum(count for name, count in results.failures.items() if name not in judged)
    assert results.good >= 0
    assert results.answered + unanswered == results.started
    assert results.latencies.total.count == results.answered + results.lower_bounds
    assert results.latencies.first_byte.count == results.latencies.processing.count == results.answered
    if results.stop == "finished" and results.planned is not None:
        assert results.started == results.planned
