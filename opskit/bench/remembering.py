"""The engine that sends back the cookies it is given (`--cookies`); without that option it is not there.

Each of the `concurrency` places is a visitor with a jar. A jar is with one request at a time, then with the next
that begins; those that wait take turns, so that the first requests of a run are those of as many visitors.
"""

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from opskit.bench.connection import Connection
from opskit.bench.cookies import Jar, asked_of, with_cookies
from opskit.bench.following import Following
from opskit.bench.plan import Instead, Plan, Prepared
from opskit.bench.redirects import Hop
from opskit.bench.results import Failure
from opskit.bench.wire import Head


class Visit(Instead):
    """A request with the cookies from the jar of the visitor who makes it."""

    jar: Jar


class Remembering(Following):
    """Keeps cookies, through redirects too where those are followed."""

    def __init__(self, plan: Plan, requests: Iterator[Prepared], *args: Any, **kwargs: Any) -> None:
        super().__init__(plan, map(self._visit, requests), *args, **kwargs)
        self._free = deque(Jar() for _ in range(plan.concurrency))

    def _visit(self, request: Prepared) -> Visit:
        jar = self._free.popleft()
        visit = Visit(self._wire(request, jar), request.origin, request.head_request, request.label)
        visit.first, visit.jar = request, jar
        return visit

    def _complete(self, connection: Connection, now: int, closed: int) -> None:
        head = connection.reader.head
        assert head is not None
        if head.set_cookies:
            self._keep(head, connection.request)
        super()._complete(connection, now, closed)

    def _complete_last(self, connection: Connection, now: int, closed: int) -> None:
        self._free.append(_jar_of(connection.request))
        super()._complete_last(connection, now, closed)

    def _count_failure(
        self, request: Prepared, failure: Failure, words: str, connection: Connection | None = None
    ) -> None:
        self._free.append(_jar_of(request))
        super()._count_failure(request, failure, words, connection)

    def _dressed(self, bare: Prepared, after: Prepared) -> Prepared:
        return bare._replace(wire=self._wire(bare, _jar_of(after)))

    def _keep(self, head: Head, request: Prepared | None) -> None:
        assert request is not None
        self.counts.cookies_set += 1
        asked, jar, now = asked_of(request), _jar_of(request), time.time()
        for each in head.set_cookies:
            jar.keep(each.decode("latin-1"), asked, now)

    def _wire(self, request: Prepared, jar: Jar) -> bytes:
        cookies = jar.matching(asked_of(request), time.time()) if jar else ()
        if not cookies:
            return request.wire
        self.counts.cookies_sent += 1
        return with_cookies(request.wire, cookies)


def _jar_of(request: Prepared | None) -> Jar:
    visit = request.first if isinstance(request, Hop) else request
    assert isinstance(visit, Visit)
    return visit.jar
