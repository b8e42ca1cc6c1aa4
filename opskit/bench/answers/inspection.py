"""What looks at the answers of a run more closely than the engine does; without such a wish it is not there."""

from collections import Counter
from collections.abc import Callable

from opskit.bench.answers.exchanges import FailingExchanges
from opskit.bench.answers.keeping import KeepingReader
from opskit.bench.checks import Answer, Check
from opskit.bench.connection import Connection
from opskit.bench.hooks import Response
from opskit.bench.plan import Plan, Prepared
from opskit.bench.results import MEANING, Failure
from opskit.bench.script import Script
from opskit.bench.wire import Head, ResponseReader, head_lines


class Inspection:
    """Checks answers, keeps failing exchanges, and shows both to a script, as far as each was asked for."""

    def __init__(
        self,
        plan: Plan,
        failing: FailingExchanges | None,
        script: Script | None,
    ) -> None:
        checks = plan.checks
        self.script = script
        self.checks = checks
        self._keeps_all = failing is not None or script is not None or plan.redirects > 0
        self.failing = failing
        self.checked = 0
        self.failed_checks: Counter[str] = Counter()
        self._chance = checks.chance(plan.seed) if checks else lambda: False

    def begin(self) -> None:
        """What counts begins now: what came before was the warm-up."""
        self.checked = 0
        self.failed_checks.clear()
        if self.failing is not None:
            self.failing.clear()

    def reader(self, memories: tuple[dict[bytes, Head], dict[bytes, Head]]) -> ResponseReader:
        """The reader for a connection: one that keeps bytes only where somebody will look at them."""
        if self._keeps_all:
            return KeepingReader(memories, lambda: True)
        if self.checks is not None and self.checks.need_bytes:
            return KeepingReader(memories, self._chance)
        return ResponseReader(memories)

    def judge(self, connection: Connection, head: Head, failure: Failure | None, now: int) -> Failure | None:
        """A whole answer is in; `failure` is why the engine thinks it bad, what is returned is the last word."""
        broken = self._check(connection, head)
        if broken and failure is None:
            failure = Failure.CHECK
        request = connection.request
        assert request is not None
        if self.script is not None:
            self.script.answered(request, _response(connection, head, failure, now))
        if failure is not None and self.failing is not None:
            words = "; ".join(map(str, broken)) or MEANING[failure]
            self.failing.add(request, connection, now, failure, words, kind=words)
        return failure

    def failed(
        self, request: Prepared, failure: Failure, words: str, connection: Connection | None, now: int
    ) -> None:
        """A request has ended without a whole answer."""
        if self.script is not None:
            seconds = (now - connection.begun) / 1e9 if connection else 0.0
            label = request.label
            self.script.answered(request, lambda i: Response(i, 0, {}, b"", seconds, label, failure.value))
        if self.failing is not None:
            self.failing.add(request, connection, now, failure, words, kind=failure)

    def _check(self, connection: Connection, head: Head) -> list[Check]:
        if self.checks is None or not self._chosen(connection.reader):
            return []
        self.checked += 1
        broken = self.checks.failing(_answer(connection.reader, head))
        self.failed_checks.update(map(str, broken))
        return broken

    def _chosen(self, reader: ResponseReader) -> bool:
        """A reader that keeps only a sample has drawn already."""
        if isinstance(reader, KeepingReader) and not self._keeps_all:
            return reader.kept
        return self._chance()


def _answer(reader: ResponseReader, head: Head) -> Answer:
    if isinstance(reader, KeepingReader):
        return Answer(head.status, reader.body_size, head_lines(reader.kept_head)[1], reader.kept_body())
    return Answer(head.status, reader.body_size)


def _response(connection: Connection, head: Head, failure: Failure | None, now: int) -> Callable[[int], Response]:
    """What a script is shown of an answer, made when it is shown."""
    reader, request = connection.reader, connection.request
    assert isinstance(reader, KeepingReader)
    assert request is not None
    status, seconds, label = head.status, (now - connection.begun) / 1e9, request.label
    raw, body, name = reader.kept_head, reader.kept_body(), failure.value if failure else None
    return lambda i: Response(i, status, _by_name(raw), body, seconds, label, name)


def _by_name(raw: bytes) -> dict[str, str]:
    """The fields of a head by their names in lower case; those of one name joined (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in head_lines(raw)[1]:
        name = name.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
