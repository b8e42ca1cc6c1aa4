"""`[bench.name]`: a small load test, with thresholds on what it measures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opskit import conditions
from opskit.conditions import Condition, Kind, equal_to
from opskit.smoke.addresses import URL
from opskit.smoke.fields import Flag, Limit, Text, TextTable, Whole, Wrong, key, required
from opskit.smoke.model import BaseProbe, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene
from opskit.smoke.texts import Finding

if TYPE_CHECKING:
    from opskit.bench.plan import Plan
    from opskit.bench.results import Results

NONE = equal_to(0, Kind.SHARE)
LATENCIES = ("mean", "p50", "p90", "p95", "p99", "max")


@dataclass(frozen=True)
class Check(BaseProbe):
    """So many requests all succeed, and fast enough. It runs alone, after the checks beside which it may not.

    A status of 400 or more is a failed request. On a shared machine in CI a percentile is no promise to your
    users; a generous limit still finds what has become ten times slower.
    """

    TYPE: ClassVar[str] = "bench"
    ALONE: ClassVar[bool] = True
    EXAMPLE: ClassVar[str] = """\
[bench.home]
url         = "http://127.0.0.1:8080/"
requests    = 200
concurrency = 4
failed      = "< 0.1%"
p95         = "< 200ms"
rate        = "> 100/s"
"""

    url: str = required(URL, "What to ask for.")
    requests: int = key(Whole(1, 10_000_000), "How many requests. [100]", 100)
    concurrency: int = key(Whole(1, 10_000), "How many at a time. [1]", 1)
    keep_alive: bool = key(Flag(), "Keep connections; false opens one for each request. [true]", True)
    file: str = key(Text("a file"), "Take the next line for each request, appended to the URL.", "")
    headers: tuple[tuple[str, str], ...] = key(TextTable(), "Header fields to send.", ())
    ca: str | None = key(Text("a file"), "Trust the certificates in this PEM file.")
    insecure: bool = key(Flag(), "Do not verify the certificate.", False)
    failed: Condition = key(Limit(Kind.SHARE), 'Failed requests: 0, `"< 0.1%"`. [0]', NONE)
    rate: Condition | None = key(Limit(Kind.RATE), "Good requests per second.")
    mean: Condition | None = key(Limit(Kind.DURATION), "The mean time of a request.")
    p50: Condition | None = key(Limit(Kind.DURATION), "The time within which half of them ended.")
    p90: Condition | None = key(Limit(Kind.DURATION), "The same for 90 %.")
    p95: Condition | None = key(Limit(Kind.DURATION), "The same for 95 %.")
    p99: Condition | None = key(Limit(Kind.DURATION), "The same for 99 %.")
    max: Condition | None = key(Limit(Kind.DURATION), "The slowest request.")

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        if read.get("concurrency", 1) > read.get("requests", 100):
            wrong((*path, "concurrency"), "more at a time than requests in all")

    def target(self) -> str:
        return self.url

    def look(self, scene: Scene) -> Observation:
        from opskit.bench.run import carry_out

        results, error = carry_out(self._plan(scene))
        if error is not None:
            raise error
        data = results.to_dict()
        return Observation(tuple(self._judged(results)), results.reason, data)

    def _plan(self, scene: Scene) -> "Plan":
        from opskit.bench.plan import Plan, RequestsFile, Shape, Tls, parse_url

        url = parse_url(self.url)
        return Plan(
            url=url,
            requests=RequestsFile(self.file) if self.file else None,
            number=self.requests,
            seconds=scene.left,
            concurrency=self.concurrency,
            request_limit=scene.left,
            shape=Shape(headers=self.headers, keep_alive=self.keep_alive, credentials=url.credentials),
            tls=Tls(verify=not self.insecure, ca_file=self.ca),
            fail_status=True,
        )

    def _judged(self, results: "Results") -> Iterator[Finding]:
        good = results.completed >= self.requests
        yield Finding(
            "requests", good and results.answered > 0, f"{self.requests} carried out",
            f"{results.completed} in {results.seconds:.3g} s, {results.answered} answered",
        )  # fmt: skip
        failed = conditions.describe(results.failed, Kind.SHARE, results.started)
        yield Finding("failed", self.failed.holds(results.failed, results.started), str(self.failed), failed)
        if self.rate is not None:
            shown = conditions.describe(round(results.rate, 1), Kind.RATE)
            yield Finding("rate", results.answered > 0 and self.rate.holds(results.rate), str(self.rate), shown)
        yield from self._latencies(results)

    def _latencies(self, results: "Results") -> Iterator[Finding]:
        """A limit on nothing that was measured does not hold."""
        from opskit.bench.histogram import summarise

        figures = summarise(results.latencies.total)
        for name, value in {**figures.percentiles, "mean": figures.mean, "max": figures.max}.items():
            limit = getattr(self, name) if name in LATENCIES else None
            if limit is not None:
                shown = conditions.describe(value / 1e3, Kind.DURATION) if figures.count else "not one sample"
                yield Finding(name, figures.count > 0 and limit.holds(value / 1e3), str(limit), shown)
