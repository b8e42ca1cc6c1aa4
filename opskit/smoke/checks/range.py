"""`[range.name]`: a server really does Range requests, so that video seeks and downloads resume."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opskit.errors import Unable
from opskit.smoke.addresses import URL
from opskit.smoke.fields import Choice, Flag, Text, Texts, TextTable, Wrong, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene, Unmet
from opskit.smoke.texts import Finding

if TYPE_CHECKING:
    from opskit.httprange.results import Report

TIERS = ("basic", "polite", "full")


@dataclass(frozen=True)
class Check(BaseProbe):
    """A file can be had in parts. With profiles, it is safe for these clients, as `opskit range` judges."""

    TYPE: ClassVar[str] = "range"
    EXAMPLE: ClassVar[str] = """\
[range.video]
url     = "http://127.0.0.1:8080/intro.mp4"
profile = ["video", "resume"]
"""

    url: str = required(URL, "A file.")
    profile: tuple[str, ...] = key(Texts(), "Clients that it must be safe for: video, resume, pip …", ())
    tier: str = key(Choice(TIERS), "How much to dare. [polite here, basic elsewhere]", "")
    only: tuple[str, ...] = key(Texts(), "Only these cases: `opskit range --list-cases`.", ())
    waive: tuple[tuple[str, str], ...] = key(TextTable("{ case = reason }"), "Failures that are accepted.", ())
    strict: bool = key(Flag(), "Take warnings for failures.", False)
    headers: tuple[tuple[str, str], ...] = key(TextTable(), "Header fields to send.", ())
    ca: str | None = key(Text("a file"), "Trust the certificates in this PEM file.")
    insecure: bool = key(Flag(), "Do not verify the certificate.", False)

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        from opskit.httprange import cases
        from opskit.httprange.invariants import INVARIANTS
        from opskit.httprange.profiles import PROFILES
        from opskit.smoke.fields import suggestion

        ids = [*cases.by_id(), *(rule.id for rule in INVARIANTS)]
        for field, known, what in (("profile", [*PROFILES], "client"), ("only", ids, "case")):
            for name in read.get(field, ()):
                if name not in known:
                    wrong((*path, field), f'unknown {what} "{name}"', suggestion(name, known))
        for name, _ in read.get("waive", ()):
            if name not in ids:
                wrong((*path, "waive", name), f'unknown case "{name}"', suggestion(name, ids), key=True)

    def target(self) -> str:
        return self.url

    def look(self, scene: Scene) -> Observation:
        from opskit.httprange.engine import inspect
        from opskit.httprange.plan import Plan
        from opskit.httprange.results import Tier
        from opskit.httprange.web import Access

        plan = Plan(
            (self.url,), Tier(self.tier) if self.tier else None, self.profile, self.strict,
            only=frozenset(self.only), waivers=dict(self.waive),
        )  # fmt: skip
        access = Access(min(scene.left, 10.0), self.headers, self.insecure, self.ca or "")
        try:
            report = inspect(plan, self.url, access, lambda words: None).report
        except Unable as error:
            raise _judged_unable(error) from error
        return Observation(
            tuple(self._judged(report)), data={"verdicts": {r.id: r.verdict.value for r in report.results}}
        )

    def _judged(self, report: "Report") -> Iterator[Finding]:
        from opskit.httprange.results import NO, UNKNOWN, Verdict

        if self.profile:
            for profile in report.profiles:
                if profile.name in self.profile:
                    if profile.verdict == UNKNOWN:
                        raise CannotTell(f"{profile.name}: {'; '.join(profile.reasons) or 'not told'}")
                    why = "; ".join(profile.reasons)
                    yield Finding(f"for {profile.name}", profile.verdict != NO, "safe", why or "safe")
            return
        judged = [result for result in report.results if result.verdict is not Verdict.NA]
        parts = any(result.verdict is Verdict.PASS for result in judged if not result.id.startswith("I"))
        yield Finding("ranges", parts, "answered in parts", "so" if parts else "nothing could be judged")
        for result in judged:
            if result.verdict is Verdict.INCONCLUSIVE:
                raise CannotTell(f"case {result.id}: {result.got}")
            if result.failed:
                yield Finding(f"case {result.id}, {result.title}", False, result.expected, result.got)


def _judged_unable(error: Unable) -> Exception:
    """Nobody there or no such file is the service's failure; anything else is no verdict."""
    if error.code in ("unreachable", "not_200", "not_http", "loop", "redirect"):
        return Unmet("a file that can be had", error.message)
    return CannotTell(error.message, hint=error.hint)
