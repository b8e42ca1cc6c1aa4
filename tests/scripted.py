"""Servers that do what a test tells them, byte by byte, on real sockets."""

import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """The server's end of one connection. `number` counts connections from 0."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._buffer = b""

    def request(self) -> bytes:
        """One whole request, body included; empty when the client has closed."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return b""
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        size = int(length[1]) if length else 0
        while len(rest) < size:
            if not (more := self._more()):
                return b""
            rest += more
        self._buffer = rest[size:]
        return head + b"\r\n\r\n" + rest[:size]

    def _more(self) -> bytes:
        data = self.sock.recv(65536)
        self._buffer += data
        return data

    def requests(self) -> Iterator[bytes]:
        while request := self.request():
            yield request

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes) -> None:
        """Every byte in a segment of its own, as far as the kernel allows."""
        with suppress(OSError):  # unix sockets have no such option
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(0.0002)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_close(self) -> None:
        self.sock.settimeout(10)
        while self.sock.recv(65536):
            pass


Script = Callable[[Peer], None]


@dataclass
class Scripted:
    """A running server: where it listens, and what it has seen."""

    host: str
    port: int
    connections: int = 0
    seen: list[bytes] = field(default_factory=list)  # request lines, where the script notes them

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/"


@contextmanager
def scripted(
    script: Script, *, listener: socket.socket | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Scripted]:
    """A thread for each connection runs `script` and then closes it. Scripts end when their client goes away."""
    listener = listener or socket.create_server(("127.0.0.1", 0), backlog=512)
    name = listener.getsockname()
    server = Scripted(name[0], name[1]) if isinstance(name, tuple) else Scripted("localhost", 80)
    threads: list[threading.Thread] = []
    open_sockets: set[socket.socket] = set()

    def serve(sock: socket.socket, number: int) -> None:
        with suppress(OSError, ValueError):
            ends = tls.wrap_socket(sock, server_side=True) if tls else sock
            open_sockets.add(ends)
            with ends:
                script(Peer(ends, number))
        sock.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                thread = threading.Thread(target=serve, args=(sock, server.connections), daemon=True)
                server.connections += 1
                open_sockets.add(sock)
                threads.append(thread)
                thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        listener.close()
        accepting.join(5)
        for sock in list(open_sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        for sock in list(open_sockets):
            sock.close()


def answers(data: bytes, *, then: str = "close") -> Script:
    """Each request is answered with the same bytes; `then` is close, keep, reset or wait (for the client)."""

    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(data)
            if then == "reset":
                peer.reset()
            if then == "wait":
                peer.wait_for_close()
            if then != "keep":
                return

    return script
