"""A server of known speed: every request is served for a fixed time, by so many servers with one queue."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.scripted import OK, Peer, Scripted, scripted


@contextmanager
def queue(service: float, servers: int = 1) -> Iterator[Scripted]:
    """Serves each request for `service` seconds, `servers` at a time: its capacity is servers / service.

    The end of each is set by the clock and the one before it, so that a sleep which lasts too long costs nothing.
    """
    free = [0.0] * servers  # when each server has done what it has taken
    lock = threading.Lock()

    def serve(peer: Peer) -> None:
        for _ in peer.requests():
            with lock:
                first = min(range(servers), key=free.__getitem__)
                free[first] = done = max(free[first], time.monotonic()) + service
            time.sleep(max(0.0, done - time.monotonic()))
            peer.send(OK)

    with scripted(serve) as server:
        yield server
