"""Doing a plan: apply, resume, undo. Every step is written to the journal before it runs, and a survey, not
the journal, says whether it is done."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from opskit.errors import OpskitError, StoppedPartWay, Unable
from opskit.zfs import bootfiles
from opskit.zfs.conditions import holds, sentence
from opskit.zfs.facts import Facts
from opskit.zfs.journal import Journal
from opskit.zfs.machine import Machine
from opskit.zfs.platforms import Platform
from opskit.zfs.steps import Action, Condition, Plan, Step

FRESH = 5.0  # seconds that a survey may be old when a step writes
PATIENCE = 120  # looks at a wait that does not move before it is called stuck
LOOK_EVERY = 1.0


class Progress(Protocol):
    def step(self, name: str, state: str) -> None: ...
    def waiting(self, text: str) -> None: ...


class Interrupted(StoppedPartWay):
    """A person stopped it between two steps."""


@dataclass
class Doer:
    """One run over a plan. `stop` is asked between steps; a step that runs is always let finish."""

    machine: Machine
    platform: Platform
    journal: Journal
    plan: Plan
    progress: Progress
    stop: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    _facts: Facts | None = None
    _taken: float = 0.0

    def facts(self) -> Facts:
        """A survey that is fresh enough to write on."""
        if self._facts is None or self.clock() - self._taken > FRESH:
            self._facts, self._taken = self.platform.survey(self.machine), self.clock()
        return self._facts

    def forget(self) -> None:
        self._facts = None

    def judge(self, conditions: Sequence[Condition]) -> bool | None:
        """True when all hold; None when something is there that is neither before nor after."""
        kept = self.journal.kept()
        answers = [holds(condition, self.facts(), kept) for condition in conditions]
        return None if None in answers else all(answers)

    def do(self, until: str = "") -> None:
        """Every step that is not done yet, in order. Raises StoppedPartWay, or the error that stopped it."""
        if self.journal.state != "open":
            self.journal.note("begin")
        for step in self.plan.steps:
            self._between()
            self._do_step(step)
            if step.name == until:
                return
        self.journal.note("done")

    def changed(self) -> bool:
        """Whether anything beyond our own backups is different from before."""
        steps = [step for step in self.plan.steps if step.do[0].kind != "keep"]
        return any(self._begun(step) for step in steps)

    def _do_step(self, step: Step) -> None:
        if self.journal.running == step.name:
            self._wait_while_busy(step)
        state = self._step_done(step)
        if state:
            self.progress.step(step.name, "is done")
            return
        if state is None:
            raise self._ambiguous(step)
        for condition in step.needs:
            if not holds(condition, self.facts(), self.journal.kept()) and not self._excused(step, condition):
                raise self._failed(step, f"it is not so that {sentence(condition)}")
        self.journal.note("running", step.name)
        self.progress.step(step.name, "runs")
        self._act_all(step, step.do)
        self._wait(step)
        if not self.judge(step.done):
            missing = next((c for c in step.done if not holds(c, self.facts(), self.journal.kept())), step.done[0])
            raise self._failed(step, f"it ran, but it is not so that {sentence(missing)}")
        self.journal.note("step-done", step.name)
        self.progress.step(step.name, "done")

    def _step_done(self, step: Step) -> bool | None:
        """Clearing is over once something was made on the device: it has a signature of its own by then."""
        if step.name.startswith("clear-") and self._later_done(step):
            return True
        return self.judge(step.done)

    def _later_done(self, step: Step) -> bool:
        """Whether a step that writes to the same device has been done already."""
        later = self.plan.steps[self.plan.steps.index(step) + 1 :]
        return any(set(step.devices) & set(other.devices) and self.judge(other.done) for other in later)

    def _excused(self, step: Step, condition: Condition) -> bool:
        """A step that was begun may have taken away its own precondition."""
        return self.journal.running == step.name and condition.kind in ("room",)

    def _act_all(self, step: Step, actions: Sequence[Action]) -> None:
        try:
            for action in actions:
                self._act(action)
        except OpskitError as error:
            self.forget()
            self._after_failure(step, error)
        finally:
            self.forget()

    def _after_failure(self, step: Step, error: OpskitError) -> None:
        """A command that failed may have done its work; only then the step goes on."""
        if self.judge(step.done) is not True:
            raise self._failed(step, error.message) from error

    def _act(self, action: Action) -> None:
        args = action.args
        if action.kind == "run":
            done = self.machine.run(args)
            if done.code != 0:
                said = (done.error_text or done.text).strip().splitlines()
                raise Unable(f"`{' '.join(args)}` failed ({done.code}): {said[-1] if said else 'it said nothing'}")
        elif action.kind == "keep":
            self.journal.keep(args[0], self.machine.ends(self._path(args[0]), int(args[1])))
        elif action.kind == "put-back":
            self._put_back(args[0], int(args[1]))
        elif action.kind == "write":
            self.machine.replace(*args)
        elif action.kind == "delete":
            self.machine.remove(args[0])
        else:
            self._edit(action)

    def _edit(self, action: Action) -> None:
        edits: dict[str, Callable[..., str]] = {
            "comment-out": bootfiles.commented_out,
            "uncomment": bootfiles.uncommented,
            "append": bootfiles.appended,
            "drop": bootfiles.dropped,
        }
        path, *rest = action.args
        before = self.machine.read(path)
        after = edits[action.kind](before or "", *rest)
        if after == (before or ""):
            return
        if not after:
            self.machine.remove(path)  # it was made by our first line
        else:
            self.machine.replace(path, after)

    def _path(self, word: str) -> str:
        found = self.facts().slice_named(word)
        return found.path if found else word

    def _put_back(self, word: str, size: int) -> None:
        if word not in self.journal.kept():
            return
        found = self.facts().slice_named(word)
        busy = {"pool", "swap", "array", "mounted", "held", "dump"}
        if found is None or any(use.kind in busy for use in found.uses):
            return
        self.machine.put_ends(found.path, size, self.journal.ends(word))
        self.journal.forget(word)

    def _wait(self, step: Step) -> None:
        """Look until what the step waits for is there; only a standstill is an error, never slowness."""
        still, before = 0, ""
        while step.waits and not self.judge(step.waits):
            now = self._busy_text()
            still = 0 if now and now != before else still + 1
            if still > PATIENCE:
                raise self._failed(step, f"it waits, and it does not come that {sentence(step.waits[0])}")
            self.progress.waiting(f"{step.name}: {now or 'waiting'}")
            before = now
            self.machine.sleep(LOOK_EVERY)
            self.forget()

    def _wait_while_busy(self, step: Step) -> None:
        while step.waits and self._busy_text() and not self.judge(step.waits):
            self.progress.waiting(f"{step.name}: {self._busy_text()}")
            self.machine.sleep(LOOK_EVERY)
            self.forget()

    def _busy_text(self) -> str:
        facts, name = self.facts(), self.plan.wish.pool
        pool, array = facts.pool(name), facts.array(name)
        if pool and pool.scan == "resilvering":
            return f"resilvering {pool.progress}"
        return f"copying {array.syncing}" if array and array.syncing else ""

    def undo(self, to: str = "") -> None:
        """Every step that is done, taken back in reverse order, down to but without the step `to`."""
        self.journal.note("undo")
        for step in reversed(self.plan.steps):
            if step.name == to:
                return
            self._between()
            self._undo_step(step)
        self.journal.note("undone")

    def _undo_step(self, step: Step) -> None:
        if not step.undo or not self._begun(step):
            return
        for condition in step.undo_needs:
            if not holds(condition, self.facts(), self.journal.kept()):
                raise self._failed(step, f"it cannot be undone, because it is not so that {sentence(condition)}")
        self.journal.note("undoing", step.name)
        self.progress.step(step.name, "is undone")
        try:
            for action in step.undo:
                self._act(action)
        except OpskitError as error:
            self.forget()
            if self._begun(step):
                raise self._failed(step, error.message) from error
        self.forget()

    def _begun(self, step: Step) -> bool:
        """Whether any of what a step does is there. Keeping is judged by what was kept."""
        kept = self.journal.kept()
        facts = self.facts()
        signs = [c for c in step.done if c.kind in _SIGNS] or list(step.done)
        if step.name == "mirror":
            return any(_joined(facts, device) for device in step.devices)
        answers = [holds(condition, facts, kept) for condition in signs]
        if None in answers and step.name.startswith("create"):
            return False  # something of that name that is not ours
        return any(answers)

    def _between(self) -> None:
        if self.stop():
            raise Interrupted("stopped between two steps, as asked", hint=self._way_on())

    def _way_on(self) -> str:
        return (
            "go on with `opskit zfs swap-mirror resume`, or take everything back with "
            "`opskit zfs swap-mirror undo`"
        )

    def _failed(self, step: Step, why: str) -> OpskitError:
        self.journal.note("failed", step.name, why=why)
        return StoppedPartWay(f"the step {step.name} failed: {why}", hint=self._way_on(), code="step_failed")

    def _ambiguous(self, step: Step) -> OpskitError:
        forward = "; ".join(" ".join(a.args) for a in step.do if a.kind == "run")
        back = "; ".join(" ".join(a.args) for a in step.undo if a.kind == "run")
        return StoppedPartWay(
            f"the step {step.name} is neither done nor undone: what stands there is not what the plan made",
            hint=f"by hand, either `{forward or 'nothing'}` or `{back or 'nothing'}`; then resume or undo",
            code="ambiguous",
        )


def _joined(facts: Facts, word: str) -> bool:
    found = facts.slice_named(word)
    return found is not None and any(use.kind in ("pool", "array") for use in found.uses)


_SIGNS = {"pool", "volume", "array", "swap-on", "swap-off", "line", "no-line", "file", "kept", "sides"}
