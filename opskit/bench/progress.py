"""What a run says while it lasts, on stderr: a live view on a terminal, ab's lines elsewhere."""

from opskit import redact
from opskit.bench.live import Live
from opskit.bench.plan import Plan, Prepared
from opskit.bench.series import Interval
from opskit.bench.wire import Head
from opskit.console import LiveBlock, talk

_EVERY_WITHOUT_END = 10_000  # requests between two lines when no one knows how many there will be


class Lines:
    """ab's `Completed N requests`, every tenth of the run but at least every 100; none below 150 requests."""

    def __init__(self, planned: int | None) -> None:
        self._every = max(planned // 10, 100) if planned else _EVERY_WITHOUT_END
        self._shown = planned is None or planned > 150
        self._next = self._every

    def tick(self, ended: int, failed: int, seconds: float) -> None:
        while self._shown and ended >= self._next:
            talk(f"Completed {self._next} requests")
            self._next += self._every

    def interval(self, interval: Interval) -> None: ...

    def done(self, ended: int) -> None:
        self.tick(ended, 0, 0)
        if self._shown:
            talk(f"Finished {ended} requests")


class Silent:
    """`-q`."""

    def tick(self, ended: int, failed: int, seconds: float) -> None: ...

    def interval(self, interval: Interval) -> None: ...

    def done(self, ended: int) -> None: ...


def progress(plan: Plan, *, quiet: bool) -> Live | Lines | Silent:
    if quiet:
        return Silent()
    return Live(plan) if LiveBlock.possible() else Lines(plan.number)


def live(plan: Plan, *, quiet: bool) -> Live | Silent:
    """For one of many runs, which has a line of its own when it ends: nothing in a pipe meanwhile."""
    return Silent() if quiet or not LiveBlock.possible() else Live(plan)


class VerboseTrace:
    """`-v`: 2 shows requests, heads and statuses that are not 2xx; 3 shows every status. On stderr."""

    def __init__(self, level: int) -> None:
        self._level = level

    def sent(self, request: Prepared) -> None:
        first, *fields = request.wire.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        talk("\n      ".join([f"INFO: {method} {redact.target(target)} {version}", *map(_redacted, fields)]))

    def answered(self, head: Head, length: int) -> None:
        talk(f"LOG: answer received: {head.status}, {length} bytes, server {head.server or 'not named'}")
        if self._level >= 3:
            talk(f"LOG: Response code = {head.status}")
        if not 200 <= head.status < 300:
            talk(f"WARNING: Response code not 2xx ({head.status})")


def _redacted(line: str) -> str:
    name, colon, value = line.partition(": ")
    return f"{name}: {redact.header_value(name, value)}" if colon else line
