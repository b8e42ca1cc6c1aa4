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
from opskit.bench.keeping import KeepingReader
from opskit.bench.plan import Instead, Plan, Prepared
from opskit.bench.redirects import Hop, bare_of
from opskit.bench.results import Failure
from opskit.bench.wire import head_lines


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
        visit = Visit(*self._with_cookies(request, jar))
        visit.first, visit.jar = request, jar
        return visit

    def _complete(self, connection: Connection, now: int, closed: int) -> None:
        lines = _set_cookies(connection)
        if lines:
            self._keep(lines, connection)
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
        return self._with_cookies(bare, _jar_of(after))

    def _keep(self, lines: list[str], connection: Connection) -> None:
        request, now = connection.request, time.time()
        assert request is not None
        self.counts.cookies_set += 1
        asked, jar = asked_of(bare_of(request)), _jar_of(request)
        for line in lines:
            jar.keep(line, asked, now)

    def _with_cookies(self, request: Prepared, jar: Jar) -> Prepared:
        cookies = jar.matching(asked_of(request), time.time())
        if not cookies:
            return request
        self.counts.cookies_sent += 1
        return request._replace(wire=with_cookies(request.wire, cookies))


def _jar_of(request: Prepared | None) -> Jar:
    visit = request.first if isinstance(request, Hop) else request
    assert isinstance(visit, Visit)
    return visit.jar


def _set_cookies(connection: Connection) -> list[str]:
    reader = connection.reader
    assert isinstance(reader, KeepingReader)
    if b"set-cookie" not in reader.kept_head.lower():
        return []
    return [value for name, value in head_lines(reader.kept_head)[1] if name.lower() == "set-cookie"]
