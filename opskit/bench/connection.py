"""One socket of a run, and the request on it."""

from typing import TYPE_CHECKING, Any

from opskit.bench.plan import Prepared
from opskit.bench.transport import Address
from opskit.bench.wire import ResponseReader

if TYPE_CHECKING:
    from collections.abc import Callable


class Connection:
    """One socket and the request on it. Times are ns; 0 means not yet."""

    __slots__ = (
        "address",
        "answered",
        "begun",
        "connected_at",
        "descriptor",
        "first_at",
        "handler",
        "origin",
        "reader",
        "ready_at",
        "recv",
        "request",
        "rest",
        "send",
        "sock",
        "taken_at",
        "tls",
    )  # fmt: skip

    def __init__(self, reader: ResponseReader) -> None:
        self.reader = reader
        self.rest: memoryview | None = None
        self.handler: Callable[[Connection, int], None]

    def begin(self, request: Prepared, begun: int, address: Address, sock: Any, taken_at: int) -> None:
        """Take a new socket for a request, at `taken_at`.

        `begun` is when that was begun first, on whichever connection; with a schedule, when it was due.
        """
        self.request: Prepared | None = request
        self.origin = request.origin
        self.begun = begun
        self.address = address
        self.taken_at = taken_at
        self.connected_at = self.ready_at = self.first_at = 0
        self.answered = False  # whether this socket has brought a whole answer
        self.tls = False
        self.descriptor: int = sock.fileno()  # a socket that TLS has taken over no longer knows its own
        self.use(sock)

    def use(self, sock: Any) -> None:
        self.sock = sock
        self.recv: Callable[[int], bytes] = sock.recv
        self.send: Callable[[bytes | bytearray | memoryview], int] = sock.send
