"""What a check is handed to look with: its time limit, connections, programs."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from opskit.errors import os_reason
from opskit.smoke.model import CannotTell

if TYPE_CHECKING:
    import ssl

    from opskit.process import SystemRunner

MOST_TEXT = 256 * 1024  # bytes of a body or an output that are kept for tests of texts


class Unmet(Exception):
    """The service is not there, or not as it must be: a failure in words, before anything could be compared."""

    def __init__(self, expected: str, actual: str, excerpt: str = "") -> None:
        super().__init__(actual)
        self.expected = expected
        self.actual = actual
        self.excerpt = excerpt


class Tools:
    """What all checks of a run share. Closing ends the programs that still run."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
        self._lock = threading.Lock()

    @cached_property
    def runner(self) -> "SystemRunner":
        from opskit.process import SystemRunner

        return SystemRunner(own_group=True, most_output=16 * 2**20)

    def tls_context(
        self, ca: str | None = None, *, verify: bool = True, certificate: str | None = None
    ) -> "ssl.SSLContext":
        """A client's TLS context; reading the system's certificates costs time, so each is made once."""
        import ssl

        with self._lock:
            key = (ca, verify, certificate)
            if key not in self._contexts:
                try:
                    context = ssl.create_default_context(cafile=ca)
                    if certificate:
                        context.load_cert_chain(certificate)
                except OSError as error:  # an SSLError is one too
                    place = certificate or ca
                    raise CannotTell(f"cannot read {place}: {os_reason(error)}", lasting=True) from error
                if not verify:
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
                self._contexts[key] = context
            return self._contexts[key]

    def close(self) -> None:
        if "runner" in self.__dict__:
            self.runner.stop()


@dataclass(frozen=True)
class Scene:
    """One try of one check. `timeout` in seconds holds for all of it."""

    tools: Tools
    timeout: float
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that remain. Raises Unmet when none do."""
        rest = self.begun + self.timeout - time.monotonic()
        if rest <= 0:
            raise self.late()
        return rest

    def late(self) -> Unmet:
        return Unmet(f"an answer within {self.timeout:g} s", "none in time")


Address = tuple[str, int] | str  # host and port, or the path of a unix socket


def shown(address: Address) -> str:
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolved(address: tuple[str, int]) -> list[tuple[int, tuple[object, ...]]]:
    """Every (family, socket address) of a host. Raises CannotTell for a name that nobody knows."""
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        words = os_reason(error) if isinstance(error, OSError) else "not a host name"
        raise CannotTell(f"cannot find {address[0]}: {words}", hint="check the name") from error
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]


@contextmanager
def connected(scene: Scene, address: Address) -> Iterator[socket.socket]:
    """A connection to the first address of a host that takes one. Raises Unmet, CannotTell."""
    with connection_errors(shown(address), scene):
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(scene.left)
            with sock:
                sock.connect(address)
                yield sock
            return
        with first_connection(scene, resolved(address)) as sock:
            yield sock


def first_connection(scene: Scene, places: list[tuple[int, tuple[object, ...]]]) -> socket.socket:
    error: OSError = OSError("no address")
    for family, place in places:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(scene.left)
        try:
            sock.connect(place)
        except OSError as failed:
            sock.close()
            error = failed
        else:
            return sock
    raise error


@contextmanager
def connection_errors(place: str, scene: Scene) -> Iterator[None]:
    """Turn what sockets raise into a failure of the service, in words."""
    try:
        yield
    except TimeoutError:
        raise scene.late() from None
    except PermissionError as error:
        raise CannotTell(f"cannot connect to {place}: {os_reason(error)}", lasting=True) from error
    except OSError as error:
        words = {ConnectionRefusedError: "connection refused", FileNotFoundError: "no such socket"}
        actual = words.get(type(error), os_reason(error))
        raise Unmet(f"a connection to {place}", actual[:1].lower() + actual[1:]) from None


def read_upto(sock: socket.socket, scene: Scene, most: int = MOST_TEXT) -> Iterator[bytes]:
    """What arrives, piece by piece, until the other side closes, the time is over or it is enough."""
    with suppress(TimeoutError):
        while most > 0:
            sock.settimeout(scene.left)
            piece = sock.recv(min(65536, most))
            if not piece:
                return
            most -= len(piece)
            yield piece
