"""`opskit smoke --every`: rounds of checks, calls to commands when something breaks or is good again."""

import json
import shlex
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from opskit import console
from opskit.errors import Misuse, OpskitError, os_reason
from opskit.files import require_writable, write_lines
from opskit.interrupts import stop_on_interrupt
from opskit.outcome import ExitCode
from opskit.process import SystemRunner
from opskit.smoke.alarm import Call, Known, Rules, called, seen
from opskit.smoke.engine import Engine
from opskit.smoke.model import Checks, Report, Result
from opskit.units import format_duration, parse_duration

if TYPE_CHECKING:
    from opskit.smoke.report import Sinks

SCHEMA = "smoke-state/1"
CALL_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Watch:
    """How it is kept up: seconds between the starts of two rounds, whom to call, where to remember."""

    every: float
    commands: Mapping[Call, tuple[str, ...]] = field(default_factory=dict)
    rules: Rules = Rules()  # noqa: RUF009 — frozen
    state: str = ""
    rounds: int = 0  # 0 for no end


def plan(every: str, on_fail: str, on_ok: str, confirm: int, repeat: str, state: str, rounds: int) -> Watch | None:
    """None where one round is all. Raises Misuse, Unable."""
    if not every:
        if on_fail or on_ok or state or rounds:
            raise Misuse("--on-fail, --on-ok, --state and --rounds belong to --every", hint="add --every 1m")
        return None
    commands = {Call.FAIL: _command(on_fail, "--on-fail"), Call.OK: _command(on_ok, "--on-ok")}
    seconds, pause = parse_duration(every, bare="s"), parse_duration(repeat, bare="s")
    if seconds <= 0 or pause <= 0:
        raise Misuse("--every and --repeat need a time", hint="--every 1m --repeat 10m")
    if state:
        require_writable(state)
    return Watch(
        seconds, {call: argv for call, argv in commands.items() if argv}, Rules(confirm, pause), state, rounds
    )


def _command(text: str, option: str) -> tuple[str, ...]:
    """Words as a shell splits them; no shell reads them, and nothing of a check's answer gets among them."""
    try:
        argv = tuple(shlex.split(text))
    except ValueError as error:
        raise Misuse(f"{option} {text}: {str(error).lower()}", hint="quote it as for a shell") from error
    if argv and shutil.which(argv[0]) is None:
        raise Misuse(f"{option}: there is no program {argv[0]}", hint="give its path")
    return argv


def keep_checking(checks: Checks, watch: Watch, sinks: "Sinks", *, quiet: bool) -> int:
    """Round after round, until Ctrl-C or the last round. Returns the exit code of the last."""
    from opskit.smoke.report import exit_code

    book = _Book(watch, quiet)
    stopping = threading.Event()
    done = 0
    while True:
        begun = time.monotonic()
        engine = Engine(checks)

        def stop(engine: Engine = engine) -> None:
            stopping.set()
            engine.stop()

        with stop_on_interrupt(stop):
            report = engine.run()
            if not report.interrupted:
                book.enter(report)
                sinks.write(report)
                done += 1
            if stopping.is_set() or done == watch.rounds:
                break
            stopping.wait(max(0.0, begun + watch.every - time.monotonic()))
        if stopping.is_set():
            break
    return ExitCode.INTERRUPTED if stopping.is_set() else exit_code(report, strict=False)


class _Book:
    """What is known of each check, kept in a file; and the calls that follow from it."""

    def __init__(self, watch: Watch, quiet: bool) -> None:
        self.watch = watch
        self.quiet = quiet
        self.known = _read(watch.state) if watch.state else {}
        self.runner = SystemRunner(own_group=True)

    def enter(self, report: Report) -> None:
        now = time.time()
        for result in report.results:
            known, call = seen(self.known.get(result.check.id, Known()), result, now, self.watch.rules)
            if call is not None and self._call(call, result, known):
                known = called(known, call, now)
            self.known[result.check.id] = known
        if self.watch.state:
            document = {"schema": SCHEMA, "checks": {name: each.to_dict() for name, each in self.known.items()}}
            write_lines(self.watch.state, [json.dumps(document, indent=2), "\n"])
        if not self.quiet:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            found = report.summary()
            console.say(
                f"{stamp}  {found['passed']} passed, {found['failed']} failed, {found['errors']} not evaluated, "
                f"{found['skipped']} skipped in {format_duration(report.seconds)}"
            )

    def _call(self, call: Call, result: Result, known: Known) -> bool:
        """Make a call; False where it could not be made, so that it is tried again."""
        console.say(f"{call.value}: {result.check.id}  {result.message}".rstrip())
        argv = self.watch.commands.get(call)
        if argv is None:
            return True
        told = {
            "OPSKIT_CHECK": result.check.id,
            "OPSKIT_STATUS": result.status.value,
            "OPSKIT_MESSAGE": result.message,
            "OPSKIT_TARGET": result.target,
            "OPSKIT_HINT": result.hint,
            "OPSKIT_SINCE": str(int(known.since)),
            "OPSKIT_CALLS": str(known.calls + 1),
        }
        words = [f"{name}={value}" for name, value in told.items()]
        try:
            document = json.dumps(result.to_dict()).encode()
            done = self.runner.run(["/usr/bin/env", *words, *argv], stdin=document, timeout=CALL_TIMEOUT)
        except OpskitError as error:
            console.warn(f"cannot call {argv[0]}: {error.message}", hint="it is tried again in the next round")
            return False
        if done.code != 0:
            complaint = (done.error_text.strip().splitlines() or [""])[-1]
            console.warn(
                f"{argv[0]} ended with {done.code} {complaint}".rstrip(),
                hint="it is tried again in the next round",
            )
        return done.code == 0


def _read(name: str) -> dict[str, Known]:
    """What was known before a restart; nothing where there is no file yet. Raises Misuse."""
    if not Path(name).exists():
        return {}
    try:
        document = json.loads(Path(name).read_text())
        if document["schema"] != SCHEMA:
            raise ValueError(document["schema"])
        return {check: Known.from_dict(data) for check, data in document["checks"].items()}
    except OSError as error:
        raise Misuse(f"cannot read {name}: {os_reason(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Misuse(
            f"{name} is not a state that opskit smoke wrote", hint="remove it, or name another"
        ) from error
