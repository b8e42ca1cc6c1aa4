"""Between the command line and the work: consent, the choice of a journal, signals, and how a run ends."""

import signal
import types
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opskit import console
from opskit.errors import Misuse, OpskitError, StoppedPartWay, Unable
from opskit.zfs import checks, planner
from opskit.zfs.doing import Doer, Progress
from opskit.zfs.facts import Facts
from opskit.zfs.identity import differences, identity
from opskit.zfs.journal import PLACE, Journal, journals, locked, newest_open, prune
from opskit.zfs.machine import Machine, ThisMachine
from opskit.zfs.platforms import Platform, here
from opskit.zfs.steps import Plan, Wish

ROLLED_BACK = 1
FACTS_CHANGED = 7


@dataclass
class Desk:
    """A machine, its platform, and where journals are kept. Tests hand in a simulated machine."""

    machine: Machine
    platform: Platform
    place: Path = PLACE

    @classmethod
    def open(cls) -> "Desk":
        machine = ThisMachine()
        return cls(machine, here(machine))

    def survey(self, named: Collection[str] = ()) -> Facts:
        return self.platform.survey(self.machine, named)

    def plan(self, wish: Wish) -> Plan:
        return planner.plan(self.survey(wish.devices), wish, self.platform)

    def journal(self, plan_id: str = "") -> Journal:
        """The journal of a plan, or the newest one that is open. Raises Misuse when there is none."""
        found = newest_open(self.place) if not plan_id else None
        if plan_id:
            found = next((j for j in journals(self.place) if j.directory.name == plan_id), None)
        if found is None:
            known = ", ".join(f"{j.directory.name} ({j.state})" for j in journals(self.place))
            raise Misuse(
                f"no plan {plan_id} is known here" if plan_id else "no plan stands half-done here",
                hint=f"known: {known}" if known else "`plan` makes one, `apply` begins it",
            )
        return found

    def apply(self, made: Plan, progress: Progress, *, until: str = "", rollback: bool = False) -> str:
        """Do a plan whose facts must still hold. Returns "done", "already" or "until"; raises otherwise."""
        if until and made.step(until) is None:
            raise Misuse(
                f"the plan has no step '{until}'", hint=f"its steps: {', '.join(s.name for s in made.steps)}"
            )
        with locked(self.place):
            known = next((j for j in journals(self.place) if j.directory.name == made.id), None)
            if known and known.state == "done":
                return self._already(known, made, progress)
            if known and known.state == "open":
                raise StoppedPartWay(
                    f"the plan {made.id} was begun before",
                    hint="go on with `resume`, or take it back with `undo`",
                )
            if (other := newest_open(self.place)) is not None:
                raise Unable(
                    f"the plan {other.directory.name} stands half-done", hint="`resume` or `undo` it first"
                )
            self.check_unchanged(made)
            journal = Journal.open(self.place, made)
            prune(self.place, made.id)
            return self._run(self.doer(journal, made, progress), until, rollback)

    def check_unchanged(self, made: Plan) -> None:
        """Facts are taken again, and must give the same plan. Raises with exit code 7."""
        now = self.survey(made.wish.devices)
        checks.check_host(now)
        if identity(now, made.wish) != made.id:
            what = "; ".join(differences(made.facts, now, made.wish))
            raise OpskitError(
                f"the host is not as it was when the plan was made: {what}",
                hint="nothing was changed; make the plan again and read it again",
                code="facts_changed",
                exit_code=FACTS_CHANGED,
            )
        if planner.plan(now, made.wish, self.platform).steps != made.steps:
            raise Misuse("this plan is of another version of opskit", hint="make it again")

    def _already(self, journal: Journal, made: Plan, progress: Progress) -> str:
        doer = self.doer(journal, made, progress)
        if all(doer.judge(step.done) for step in made.steps if not step.name.startswith("clear-")):
            return "already"
        raise OpskitError(
            f"the plan {made.id} was done, and the host was changed since",
            hint="`status` tells how it is",
            code="facts_changed",
            exit_code=FACTS_CHANGED,
        )

    def resume(self, plan_id: str, progress: Progress, *, until: str = "") -> str:
        self.journal(plan_id)  # refuse before a lock is made
        with locked(self.place):
            journal = self.journal(plan_id)
            if journal.state != "open":
                return {"done": "already", "undone": "undone"}.get(journal.state, "already")
            made = journal.plan()
            return self._run(self.doer(journal, made, progress), until, rollback=False)

    def undo(self, plan_id: str, progress: Progress, to: str = "") -> str:
        """Take a plan back; the newest half-done one, else the newest done one."""
        self._to_undo(plan_id)  # refuse before a lock is made
        with locked(self.place):
            journal = self._to_undo(plan_id)
            if journal.state == "undone":
                return "already"
            made = journal.plan()
            if to and made.step(to) is None:
                raise Misuse(
                    f"the plan has no step '{to}'", hint=f"its steps: {', '.join(s.name for s in made.steps)}"
                )
            if not all(
                step.undo for step in made.steps if step.name in ("replace", "destroy-pool", "destroy-array")
            ):
                raise Misuse(
                    f"a {made.wish.verb} cannot be taken back: what was there is gone",
                    hint="`resume` ends it",
                )
            with stopping() as stop:
                self.doer(journal, made, progress, stop).undo(to)
            return "to" if to else "undone"

    def _to_undo(self, plan_id: str) -> Journal:
        if plan_id:
            return self.journal(plan_id)
        candidates = [
            newest_open(self.place),
            *(j for j in journals(self.place) if j.state in ("done", "undone")),
        ]
        found = next((journal for journal in candidates if journal), None)
        return found or self.journal()

    def _run(self, doer: Doer, until: str, rollback: bool) -> str:
        with stopping() as stop:
            doer.stop = stop
            try:
                doer.do(until)
            except OpskitError as error:
                self._after(doer, error, rollback)
                raise
        return "until" if until and doer.journal.state == "open" else "done"

    @staticmethod
    def _after(doer: Doer, error: OpskitError, rollback: bool) -> None:
        """A run that changed nothing, or that is rolled back as asked, ends with exit code 1."""
        doer.forget()
        doer.stop = lambda: False
        try:
            changed = doer.changed()
        except OpskitError:
            return  # what cannot be looked at is not touched either
        if changed and not rollback:
            return
        words = "everything was taken back" if changed else "nothing was changed"
        doer.undo()
        error.exit_code = ROLLED_BACK
        error.message, error.hint = f"{error.message}; {words}", "mend what it says, then plan again"

    def doer(
        self, journal: Journal, made: Plan, progress: Progress, stop: Callable[[], bool] = lambda: False
    ) -> Doer:
        return Doer(self.machine, self.platform, journal, made, progress, stop)


class Talker:
    """Says on stderr what is going on; a waiting line is drawn over itself."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.line = console.LiveLine(quiet=quiet)

    def step(self, name: str, state: str) -> None:
        self.line.clear()
        if not self.quiet and state != "runs":
            console.talk(f"{name}: {state}")
        if state == "runs":
            self.line.update(f"{name} …")

    def waiting(self, text: str) -> None:
        self.line.update(text)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM asks to stop after the step that runs; the second stops at once."""
    asked: list[int] = []

    def handler(number: int, _frame: types.FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        console.talk("stopping after the step that runs; once more stops at once")

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def require_consent(made: Plan, confirmed: str, yes: bool, ask: Callable[[str], str]) -> None:
    """The names of the devices that will be written, typed by a person or given with --yes --confirm.

    Raises Misuse."""
    names = [device.rpartition("/")[2] for device in made.devices]
    hint = f"read the plan, then add: --yes --confirm {','.join(names)}"
    typed = confirmed if confirmed else ("" if yes else ask(f"Type {','.join(names)} to go on: "))
    given = [name.strip().rpartition("/")[2] for name in typed.split(",") if name.strip()]
    if sorted(given) != sorted(names):
        what = f"'{typed}' does not name" if typed else "nobody named"
        raise Misuse(f"{what} the devices that will be written ({', '.join(names)}); nothing was done", hint=hint)
    if confirmed and not yes:
        raise Misuse("--confirm goes with --yes", hint=hint)
