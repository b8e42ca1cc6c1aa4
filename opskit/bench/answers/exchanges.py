"""Failing exchanges, kept while a run lasts: a few of each kind, so that one kind leaves room for others."""

import time
from collections import Counter
from dataclasses import dataclass

from opskit.bench.answers.keeping import KeepingReader
from opskit.bench.connection import Connection
from opskit.bench.plan import Prepared

MOST_KEPT = 20
MOST_OF_A_KIND = 5


@dataclass(frozen=True)
class Phases:
    """Where the time of one request went, in ns; None for what it had no part of."""

    blocked: int = 0  # until a socket was opened or taken for it
    connect: int | None = None  # opening that socket, without TLS
    tls: int | None = None
    wait: int = 0  # from when it was sent to the first bytes of the answer
    receive: int = 0


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it. `began_at` is in epoch seconds; `body_size` that of the whole body."""

    request: Prepared
    began_at: float
    phases: Phases
    head: bytes
    body: bytes
    body_size: int
    failure: str
    words: str


class FailingExchanges:
    """The first 20 that fail, and the first 5 of each kind."""

    def __init__(self) -> None:
        self.kept: list[Exchange] = []
        self._kinds: Counter[str] = Counter()
        self._epoch = time.time() - time.monotonic_ns() / 1e9

    def clear(self) -> None:
        """Forget those kept so far."""
        self.kept.clear()
        self._kinds.clear()

    def add(
        self, request: Prepared, connection: Connection | None, now: int, failure: str, words: str, kind: str
    ) -> None:
        """Keep an exchange that has failed, at `now`, if there is room for its kind."""
        if len(self.kept) >= MOST_KEPT or self._kinds[kind] >= MOST_OF_A_KIND:
            return
        self._kinds[kind] += 1
        began = connection.begun if connection else now
        reader = connection.reader if connection else None
        head, body = (reader.kept_head, reader.kept_body()) if isinstance(reader, KeepingReader) else (b"", b"")
        size = reader.body_size if reader and reader.head else len(body)
        phases = phases_of(connection, now) if connection else Phases()
        self.kept.append(Exchange(request, self._epoch + began / 1e9, phases, head, body, size, failure, words))


def phases_of(connection: Connection, now: int) -> Phases:
    """The times of the request that is on a connection."""
    taken_at = max(connection.begun, connection.taken_at)
    blocked, first_at = taken_at - connection.begun, connection.first_at or now
    if connection.answered:
        return Phases(blocked, None, None, first_at - taken_at, now - first_at)
    connected_at, ready_at = connection.connected_at or now, connection.ready_at or now
    return Phases(
        blocked,
        connected_at - taken_at,
        ready_at - connected_at if connection.tls else None,
        first_at - ready_at if connection.ready_at else 0,
        now - first_at if connection.ready_at else 0,
    )
