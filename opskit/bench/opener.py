"""From a socket on its way to a connection that takes requests: TCP, then a proxy's tunnel, then TLS."""

import os
import socket
from collections.abc import Callable
from typing import Protocol

from opskit.bench.certificate import tls_facts
from opskit.bench.connection import Connection
from opskit.bench.plan import Prepared, Route, connect_request
from opskit.bench.poller import HANGUP, READ, WRITE, Poller
from opskit.bench.recorder import Counts
from opskit.bench.results import Failure, TlsFacts
from opskit.bench.transport import Dialer, tls_reason
from opskit.bench.wire import BadFraming, ExtraBytes
from opskit.errors import os_reason

_ENOUGH = 16 * 1024  # bytes of a proxy's answer read at once


class Owner(Protocol):
    """The engine, as far as an opener needs it."""

    counts: Counts
    tls: TlsFacts | None

    def ready(self, connection: Connection, now: int) -> None: ...
    def send_first(self, connection: Connection) -> None: ...
    def send_rest(self, connection: Connection, rest: memoryview) -> None: ...
    def not_connected(self, connection: Connection, error: OSError) -> None: ...
    def fail(self, connection: Connection, failure: Failure, words: str) -> None: ...


class Opener:
    """Brings connections up, without ever waiting for one of them."""

    def __init__(
        self, owner: Owner, dialer: Dialer, poller: Poller, clock: Callable[[], int], route: Route
    ) -> None:
        self._owner = owner
        self._dialer = dialer
        self._poller = poller
        self._clock = clock
        self._route = route

    def greet(self, connection: Connection, request: Prepared) -> None:
        """Watch a new connection. On loopback it is often up already, and takes its request at once."""
        descriptor = connection.descriptor
        if connection.origin.scheme == "http":
            connected_at = self._clock()
            connection.reader.start(head_request=request.head_request)
            try:
                sent = connection.send(request.wire)
            except BlockingIOError:
                pass
            except OSError as error:
                self._poller.watch(descriptor, READ | HANGUP)
                self._owner.not_connected(connection, error)
                return
            else:
                self._poller.watch(descriptor, READ | HANGUP)
                connection.connected_at = connected_at
                self._owner.ready(connection, connected_at)
                self._owner.counts.sent += sent
                if sent < len(request.wire):
                    self._owner.send_rest(connection, memoryview(request.wire)[sent:])
                return
        connection.handler = self._on_connected
        self._poller.watch(descriptor, WRITE)

    def _on_connected(self, connection: Connection, mask: int) -> None:
        code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._owner.not_connected(connection, OSError(code, os.strerror(code)))
            return
        connection.connected_at = self._clock()
        if self._dialer.tunnels(connection.origin):
            self._open_tunnel(connection)
        elif connection.origin.scheme == "https":
            self._start_tls(connection)
        else:
            self._poller.change(connection.descriptor, READ | HANGUP)
            self._owner.ready(connection, connection.connected_at)
            self._owner.send_first(connection)

    def _open_tunnel(self, connection: Connection) -> None:
        wire = connect_request(connection.origin, self._route)
        try:
            sent = connection.send(wire)
        except OSError as error:
            self._owner.fail(connection, Failure.PROXY, os_reason(error))
            return
        self._owner.counts.sent += sent
        connection.handler = self._on_tunnel
        connection.reader.start(head_request=True)  # a 2xx to CONNECT has no body: RFC 9110 section 9.3.6
        self._poller.change(connection.descriptor, READ | HANGUP)

    def _on_tunnel(self, connection: Connection, mask: int) -> None:
        try:
            data = connection.recv(_ENOUGH)
            self._owner.counts.received += len(data)
            done = connection.reader.feed(data) if data else False
        except self._dialer.would_wait:
            return
        except ExtraBytes:
            done = True  # the page of a refusal
        except BadFraming as error:
            self._owner.fail(connection, Failure.PROXY, f"the proxy's answer to CONNECT: {error}")
            return
        except OSError as error:
            self._owner.fail(connection, Failure.PROXY, f"the proxy: {os_reason(error)}")
            return
        head = connection.reader.head
        if done and head is not None and 200 <= head.status < 300:
            connection.connected_at = self._clock()
            self._start_tls(connection)
        elif done and head is not None:
            self._owner.fail(connection, Failure.PROXY, f"the proxy answered CONNECT with {head.status}")
        elif not data:
            self._owner.fail(connection, Failure.PROXY, "the proxy closed the connection")

    def _start_tls(self, connection: Connection) -> None:
        try:
            connection.use(self._dialer.wrap(connection.sock, connection.origin))
        except (OSError, ValueError) as error:
            self._owner.fail(connection, Failure.TLS, str(error))
            return
        connection.tls = True
        connection.handler = self._on_handshake
        self._on_handshake(connection, 0)

    def _on_handshake(self, connection: Connection, mask: int) -> None:
        descriptor = connection.descriptor
        try:
            connection.sock.do_handshake()
        except self._dialer.would_wait as error:
            self._poller.change(descriptor, WRITE if "Write" in type(error).__name__ else READ)
            return
        except OSError as error:
            self._owner.fail(connection, Failure.TLS, tls_reason(error))
            return
        if self._owner.tls is None:
            self._owner.tls = tls_facts(connection.sock)
        self._poller.change(descriptor, READ | HANGUP)
        self._owner.ready(connection, self._clock())
        self._owner.send_first(connection)
