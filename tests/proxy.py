"""A small HTTP proxy: absolute-form requests are forwarded, CONNECT opens a tunnel."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.scripted import Peer, Scripted, scripted


@contextmanager
def proxy(*, credentials: str = "", allow_connect: bool = True) -> Iterator[Scripted]:
    """Notes the first line of each request in `seen`. With `credentials`, others get 407 and a page."""
    wanted = b"Basic " + base64.b64encode(credentials.encode())

    def script(peer: Peer) -> None:
        for request in peer.requests():
            server.seen.append(request.split(b"\r\n")[0])
            method, target, _ = request.split(b"\r\n")[0].split(b" ")
            if credentials and b"Proxy-Authorization: " + wanted not in request:
                peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nwho?")
            elif method != b"CONNECT":
                _forward(peer, request, target.decode())
            elif allow_connect:
                host, _, port = target.decode().rpartition(":")
                _tunnel(peer, host.strip("[]"), int(port))
                return
            else:
                peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                return

    with scripted(script) as server:
        yield server


def _forward(peer: Peer, request: bytes, target: str) -> None:
    parts = urlsplit(target)
    assert parts.hostname
    path = target.partition(parts.netloc)[2]
    with socket.create_connection((parts.hostname, parts.port or 80)) as upstream:
        upstream.sendall(request.replace(target.encode(), path.encode(), 1).replace(b"keep-alive", b"close"))
        while data := upstream.recv(65536):
            peer.send(data.replace(b"Connection: close", b"Connection: keep-alive"))


def _tunnel(peer: Peer, host: str, port: int) -> None:
    with socket.create_connection((host, port)) as upstream:
        peer.send(b"HTTP/1.1 200 Connection established\r\nX-Proxy: test\r\n\r\n")
        back = threading.Thread(target=_pump, args=(upstream, peer.sock), daemon=True)
        back.start()
        _pump(peer.sock, upstream)
        back.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
