"""What a run says while it lasts, on stderr: a line drawn over itself, or ab's lines in a pipe."""

import sys

from opskit import redact
from opskit.bench.plan import Prepared
from opskit.bench.series import Interval
from opskit.bench.wire import Head
from opskit.console import LiveLine, talk

_EVERY_WITHOUT_END = 10_000  # requests between two lines when no one knows how many there will be


class Live:
    """One line on a terminal: how many of how many, how fast, how many failed."""

    def __init__(self, planned: int | None) -> None:
        self._planned = planned
        self._line = LiveLine()
        self._last = (0.0, 0)

    def tick(self, ended: int, failed: int, seconds: float) -> None:
        since, before = self._last
        if seconds - since < 0.5:
            return
        rate = (ended - before) / (seconds - since)
        self._last = (seconds, ended)
        of = f" of {self._planned:,}" if self._planned else ""
        bad = f" · {failed:,} failed" if failed else ""
        left = ""
        if self._planned and rate:
            left = f" · {max(0.0, (self._planned - ended) / rate):.0f} s left"
        self._line.update(f"{ended:,}{of} requests · {rate:,.0f}/s{bad} · {seconds:.0f} s{left}")

    def interval(self, interval: Interval) -> None: ...

    def done(self, ended: int) -> None:
        self._line.clear()


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


def progress(planned: int | None, *, quiet: bool) -> Live | Lines | Silent:
    if quiet:
        return Silent()
    return Live(planned) if sys.stderr.isatty() else Lines(planned)


def live(planned: int | None, *, quiet: bool) -> Live | Silent:
    """For one of many runs, which has a line of its own when it ends: nothing in a pipe meanwhile."""
    return Silent() if quiet or not sys.stderr.isatty() else Live(planned)


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
