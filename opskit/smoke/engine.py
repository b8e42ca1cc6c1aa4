"""Runs checks: needs first, independent ones side by side, some alone, each until it passes or its time ends."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from queue import SimpleQueue

from opskit.errors import OpskitError
from opskit.smoke.model import Attempt, CannotTell, Check, Checks, Observation, Report, Result, Status
from opskit.smoke.scene import Scene, Tools, Unmet
from opskit.smoke.secrets import Veil
from opskit.smoke.texts import Finding
from opskit.units import format_duration

NOTHING = Observation(())
MOST_THREADS = 32
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between tries, doubling
EXCERPT_LINES, EXCERPT_CHARS = 20, 2000


@dataclass(frozen=True)
class Progress:
    """What is told while checks run; both are called in the thread that runs the engine."""

    began: Callable[[Check], None] = lambda check: None
    ended: Callable[[Result], None] = lambda result: None


class Engine:
    """One run. `stop` may be called from a signal handler: nothing more begins, and what was done is reported."""

    def __init__(self, checks: Checks, *, fail_fast: bool = False, progress: Progress | None = None) -> None:
        self.checks = checks.checks
        self.veil = Veil(checks.secrets)
        self.fail_fast = fail_fast
        self.progress = progress or Progress()
        self.tools = Tools()
        self.results: dict[str, Result] = {}
        self.stopping = threading.Event()
        self.why_stopped = ""
        self._todo: SimpleQueue[Check | None] = SimpleQueue()
        self._done: SimpleQueue[Result | None] = SimpleQueue()

    def stop(self, why: str = "interrupted") -> None:
        self.why_stopped = self.why_stopped or why
        self.stopping.set()
        self._done.put(None)

    def run(self) -> Report:
        begun = time.monotonic()
        threads = min(MOST_THREADS, len(self.checks))
        for _ in range(threads):
            # Not a pool of the standard library: that waits at exit for what hangs.
            threading.Thread(target=self._work, daemon=True).start()
        try:
            self._go_through()
        finally:
            for _ in range(threads):
                self._todo.put(None)
            self.tools.close()
        for check in self.checks:
            if check.id not in self.results:
                self._keep(_skipped(check, self.why_stopped))
        ordered = tuple(self.results[check.id] for check in self.checks)
        return Report(ordered, time.monotonic() - begun, self.why_stopped == "interrupted")

    def _go_through(self) -> None:
        """Hand out what is ready. What must be alone waits until nothing else runs or can begin."""
        by_id = {check.id: check for check in self.checks}
        order = TopologicalSorter({name: [n for n in c.common.needs if n in by_id] for name, c in by_id.items()})
        order.prepare()
        running, alone = 0, list[Check]()
        while order.is_active() and not self.stopping.is_set():
            for name in order.get_ready():
                check = by_id[name]
                if reason := self._hindrance(check):
                    self._keep(_skipped(check, reason))
                    order.done(name)
                elif check.probe.ALONE:
                    alone.append(check)
                else:
                    self._hand_out(check)
                    running += 1
            if not running and alone:
                self._hand_out(alone.pop(0))
                running = 1
            if running:
                result = self._done.get()
                if result is None:
                    return
                running -= 1
                self._keep(result)
                order.done(result.check.id)

    def _hand_out(self, check: Check) -> None:
        self.progress.began(check)
        self._todo.put(check)

    def _hindrance(self, check: Check) -> str:
        """Why a check is not run, or nothing."""
        if check.common.skip:
            return check.common.skip
        for need in check.common.needs:
            result = self.results.get(need)
            if result is None:
                return f"{need} was not chosen"
            if result.status is not Status.PASS:
                return f"{need} {'was skipped' if result.status is Status.SKIP else 'did not pass'}"
        return ""

    def _keep(self, result: Result) -> None:
        self.results[result.check.id] = result
        self.progress.ended(result)
        bad = result.status in (Status.FAIL, Status.ERROR) and not result.warning
        if self.fail_fast and bad and not self.stopping.is_set():
            self.stop(f"{result.check.id} did not pass, and --fail-fast was given")

    def _work(self) -> None:
        while (check := self._todo.get()) is not None:
            self._done.put(self._result(check))

    def _result(self, check: Check) -> Result:
        """Every try of one check, and what the last of them saw."""
        started_at, begun = time.time(), time.monotonic()
        deadline = begun + (check.common.wait or 0.0)
        attempts: list[Attempt] = []
        for pause in pauses(check.common.every):
            started = time.monotonic()
            rest = max(deadline - started, 0.05) if check.common.wait else check.common.timeout
            seen = _tried(check, Scene(self.tools, min(check.common.timeout, rest)))
            attempts.append(
                Attempt(started - begun, time.monotonic() - started, seen.status, self.veil.hide(seen.message))
            )
            rest = deadline - time.monotonic()
            if seen.status is Status.PASS or seen.lasting or rest <= 0 or self.stopping.wait(min(pause, rest)):
                break
        return _result_of(check, seen, tuple(attempts), started_at, time.monotonic() - begun, self.veil)


def pauses(every: float | None) -> Iterator[float]:
    """Seconds between tries: what was asked for, or doubling with some jitter, so as not to hammer."""
    import random

    pause = FIRST_PAUSE
    while True:
        yield every if every else pause * random.uniform(0.8, 1.2)
        pause = min(LONGEST_PAUSE, pause * 2)


@dataclass(frozen=True)
class _Seen:
    """What one try saw."""

    status: Status
    message: str
    observation: Observation = NOTHING
    lasting: bool = False
    hint: str = ""


def _tried(check: Check, scene: Scene) -> _Seen:
    begun = time.monotonic()
    try:
        observation = check.probe.look(scene)
    except Unmet as unmet:
        finding = Finding("service", False, unmet.expected, unmet.actual)
        return _Seen(Status.FAIL, _words([finding]), Observation((finding,), unmet.excerpt))
    except CannotTell as error:
        return _Seen(Status.ERROR, error.message, lasting=error.lasting, hint=error.hint)
    except OpskitError as error:
        return _Seen(Status.ERROR, error.message, lasting=True, hint=error.hint)
    except Exception as error:  # a fault of one check must not lose the report of the others
        words = f"a fault in opskit: {type(error).__name__}: {error}"
        return _Seen(Status.ERROR, words, lasting=True, hint="please report it, as CONTRIBUTING.md says")
    observation = _with_within(check, observation, time.monotonic() - begun)
    bad = [finding for finding in observation.findings if not finding.good]
    return _Seen(Status.FAIL if bad else Status.PASS, _words(bad), observation)


def _with_within(check: Check, observation: Observation, seconds: float) -> Observation:
    limit = check.common.within
    if limit is None:
        return observation
    finding = Finding("time", seconds <= limit, f"within {format_duration(limit)}", format_duration(seconds))
    return replace(observation, findings=(*observation.findings, finding))


def _words(bad: Sequence[Finding]) -> str:
    """The first failure in one line, and how many more there are."""
    if not bad:
        return ""
    first = bad[0]
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"{first.what}: expected {first.expected}, got {first.actual}{more}"


def _skipped(check: Check, reason: str) -> Result:
    return Result(check, Status.SKIP, reason or "not run", started_at=time.time())


def _result_of(
    check: Check, seen: _Seen, attempts: tuple[Attempt, ...], started_at: float, seconds: float, veil: Veil
) -> Result:
    observation = veil.hide_all(seen.observation)
    message = veil.hide(seen.message)
    if seen.status is Status.PASS and len(attempts) > 1:
        message = f"passed after {format_duration(seconds)}, {len(attempts)} tries"
    elif seen.status is not Status.PASS and check.common.wait and not seen.lasting:
        message += f" (after {format_duration(seconds)}, {len(attempts)} tries)"
    return Result(
        check, seen.status, message, veil.hide(check.probe.target()),
        veil.hide(check.common.hint or seen.hint) if seen.status is not Status.PASS else "",
        observation.findings,
        excerpt(observation.excerpt) if seen.status is not Status.PASS else "",
        observation.data, started_at, seconds, attempts,
    )  # fmt: skip


def excerpt(text: str) -> str:
    """The start of a text, fit for a report: whole lines, nothing that moves a terminal's cursor."""
    lines = text[: EXCERPT_CHARS * 2].strip("\n").splitlines()[:EXCERPT_LINES]
    clean = "\n".join("".join(c if c.isprintable() or c == "\t" else "·" for c in line) for line in lines)
    return clean[:EXCERPT_CHARS] + ("…" if len(clean) < len(text.strip("\n")) else "")
