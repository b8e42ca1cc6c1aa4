"""From files to a report: what is chosen of them, and a line of progress while it runs."""

import os
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from opskit.console import LiveLine
from opskit.errors import Misuse
from opskit.interrupts import stop_on_interrupt
from opskit.smoke.engine import Engine, Progress
from opskit.smoke.fields import suggestion
from opskit.smoke.load import Mistake, load
from opskit.smoke.model import Check, Checks, Report, Result, Status


def load_files(
    names: Sequence[str], only: Sequence[str], skip: Sequence[str], tags: Sequence[str], *, no_command: bool
) -> tuple[Checks, list[Mistake]]:
    """The chosen checks of files, or their mistakes. Raises Misuse for a choice that leaves nothing."""
    checks, mistakes = load(names, os.environ)
    if mistakes:
        return checks, mistakes
    chosen = choose(checks.checks, only, skip, tags)
    if no_command and (first := next((check for check in chosen if check.type == "command"), None)):
        raise Misuse(f"{first.id} starts a program, and --no-command was given", hint=f"--skip {first.id}")
    return replace(checks, checks=chosen), []


def choose(
    checks: Sequence[Check], only: Sequence[str], skip: Sequence[str], tags: Sequence[str]
) -> tuple[Check, ...]:
    """Those that are asked for, and everything that they need. Raises Misuse."""
    ids = [check.id for check in checks]
    known_tags = sorted({tag for check in checks for tag in check.common.tags})
    for option, patterns in (("--only", only), ("--skip", skip)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in ids):
                raise Misuse(f"{option} {pattern}: there is no such check", hint=suggestion(pattern, ids))
    for tag in tags:
        if tag not in known_tags:
            raise Misuse(f"--tag {tag}: no check has it", hint=suggestion(tag, known_tags) if known_tags else "")
    wanted = {
        check.id
        for check in checks
        if (not only or any(fnmatchcase(check.id, pattern) for pattern in only))
        and (not tags or set(tags) & set(check.common.tags))
    }
    wanted = _with_needs(wanted, {check.id: check.common.needs for check in checks})
    wanted -= {name for name in ids for pattern in skip if fnmatchcase(name, pattern)}
    if not wanted:
        raise Misuse("no check is left to run", hint="--list shows what there is")
    return tuple(check for check in checks if check.id in wanted)


def _with_needs(wanted: set[str], needs: dict[str, tuple[str, ...]]) -> set[str]:
    found, todo = set[str](), list(wanted)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs[name]
    return found


def run(checks: Checks, *, fail_fast: bool = False, quiet: bool = False) -> Report:
    """Run them, with a live line on a terminal; Ctrl-C ends early with a report of what was done."""
    line = _Line(len(checks.checks), quiet=quiet)
    engine = Engine(checks, fail_fast=fail_fast, progress=Progress(line.began, line.ended))
    try:
        with stop_on_interrupt(engine.stop):
            return engine.run()
    finally:
        line.live.clear()


class _Line:
    """`3 of 12 done, 1 bad; waiting for tcp.db, http.home`."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.live = LiveLine(quiet=quiet)
        self.total = total
        self.done = self.bad = 0
        self.running: list[str] = []

    def began(self, check: Check) -> None:
        self.running.append(check.id)
        self._show()

    def ended(self, result: Result) -> None:
        self.done += 1
        self.bad += result.status in (Status.FAIL, Status.ERROR)
        if result.check.id in self.running:
            self.running.remove(result.check.id)
        self._show()

    def _show(self) -> None:
        if self.live.shown:
            bad = f", {self.bad} bad" if self.bad else ""
            waiting = f"; waiting for {', '.join(self.running)}" if self.running else ""
            self.live.update(f"{self.done} of {self.total} done{bad}{waiting}")
