"""What looks at the answers of a run more closely than the engine does; without such a wish it is not there."""

from collections import Counter

from opskit.bench.checks import Answer, Check, Checks
from opskit.bench.connection import Connection
from opskit.bench.exchanges import FailingExchanges
from opskit.bench.keeping import KeepingReader
from opskit.bench.plan import Prepared
from opskit.bench.results import MEANING, Failure
from opskit.bench.wire import Head, ResponseReader, head_lines


class Inspection:
    """Checks answers and keeps failing exchanges, as far as either was asked for."""

    def __init__(
        self, checks: Checks | None, failing: FailingExchanges | None, *, seed: int | None = None
    ) -> None:
        self.checks = checks
        self.failing = failing
        self.checked = 0
        self.failed_checks: Counter[str] = Counter()
        self._chance = checks.chance(seed) if checks else lambda: False

    def reader(self, memories: tuple[dict[bytes, Head], dict[bytes, Head]]) -> ResponseReader:
        """The reader for a connection: one that keeps bytes only where somebody will look at them."""
        if self.failing is not None:
            return KeepingReader(memories, lambda: True)
        if self.checks is not None and self.checks.need_bytes:
            return KeepingReader(memories, self._chance)
        return ResponseReader(memories)

    def judge(self, connection: Connection, head: Head, failure: Failure | None, now: int) -> Failure | None:
        """A whole answer is in; `failure` is why the engine thinks it bad, what is returned is the last word."""
        broken = self._check(connection, head)
        if broken and failure is None:
            failure = Failure.CHECK
        if failure is not None and self.failing is not None:
            request = connection.request
            assert request is not None
            words = "; ".join(map(str, broken)) or MEANING[failure]
            self.failing.add(request, connection, now, failure, words, kind=words)
        return failure

    def failed(
        self, request: Prepared, failure: Failure, words: str, connection: Connection | None, now: int
    ) -> None:
        """A request has ended without a whole answer."""
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
        if isinstance(reader, KeepingReader) and self.failing is None:
            return reader.kept
        return self._chance()


def _answer(reader: ResponseReader, head: Head) -> Answer:
    if isinstance(reader, KeepingReader):
        return Answer(head.status, reader.body_size, head_lines(reader.kept_head)[1], reader.kept_body())
    return Answer(head.status, reader.body_size)
