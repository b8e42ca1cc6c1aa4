"""The engine that follows redirects (`--redirects`); without that option it is not there.

A request and all that it is led to count as one: one answer, the last, and one total time.
"""

from typing import Any

from opskit.bench.answers.keeping import KeepingReader
from opskit.bench.connection import Connection
from opskit.bench.engine import Engine
from opskit.bench.plan import Prepared
from opskit.bench.redirects import FOLLOWED, BadRedirect, Hop, bare_of, hops_of, next_request
from opskit.bench.results import Failure
from opskit.bench.wire import head_lines


class Following(Engine):
    """Follows up to `plan.redirects` redirects for each request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._inspector is None and self.plan.redirects:
            self._new_reader = lambda memories: KeepingReader(memories, lambda: True)

    def _complete(self, connection: Connection, now: int, closed: int) -> None:
        head = connection.reader.head
        assert head is not None
        location = _location(connection) if self.plan.redirects and head.status in FOLLOWED else None
        if location is None:
            self._complete_last(connection, now, closed)
            return
        try:
            hop = self._hop(connection, head.status, location, now)
        except BadRedirect as error:
            self.fail(connection, Failure.REDIRECT, str(error))
            return
        self.counts.redirected += 1
        self.counts.body += connection.reader.body_size
        self._follow(connection, hop, now, closed)

    def _complete_last(self, connection: Connection, now: int, closed: int) -> None:
        """What is in is the answer to the request that was asked for."""
        if isinstance(connection.request, Hop):
            connection.first_at = connection.first_at or now  # its parts are not the usual ones
        super()._complete(connection, now, closed)

    def _hop(self, connection: Connection, status: int, location: str, now: int) -> Hop:
        request = connection.request
        assert request is not None
        hops = hops_of(request)
        if hops == self.plan.redirects:
            raise BadRedirect(f"more than {hops} redirects (--redirects)")
        bare = next_request(bare_of(request), status, location, self.plan.route)
        hop = Hop(*self._dressed(bare, request))
        hop.bare, hop.hops, hop.sent_at = bare, hops + 1, now
        before = request if isinstance(request, Hop) else None
        hop.first = before.first if before else request
        hop.taken_at = before.taken_at if before else connection.taken_at
        return hop

    def _dressed(self, bare: Prepared, after: Prepared) -> Prepared:
        """A request with what belongs to the visitor who sent `after`."""
        return bare

    def _follow(self, connection: Connection, hop: Hop, now: int, closed: int) -> None:
        begun, head = connection.begun, connection.reader.head
        assert head is not None
        if head.keep_alive and self._keep_alive and not closed and connection.rest is None:
            connection.answered = True
            if hop.origin is connection.origin:
                self._reuse(connection, hop, begun)
                return
            self._park(connection)
        else:
            self._leave(connection, now, closed)
        self._hold(0, hop, begun)

    def _record_parts(self, connection: Connection, begun: int, now: int) -> None:
        """The first byte is that of the last answer; the total is that of the whole way."""
        request = connection.request
        if not isinstance(request, Hop):
            super()._record_parts(connection, begun, now)
            return
        sent_at = max(connection.ready_at, request.sent_at)
        self.recorder.first_byte.append(connection.first_at - sent_at)
        self.recorder.processing.append(now - sent_at)
        self.recorder.total.append(now - (request.taken_at if self._paced else begun))


def _location(connection: Connection) -> str | None:
    reader = connection.reader
    assert isinstance(reader, KeepingReader)
    fields = head_lines(reader.kept_head)[1]
    return next((value for name, value in fields if name.lower() == "location" and value), None)
