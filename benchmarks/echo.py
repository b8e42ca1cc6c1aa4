"""A server that costs next to nothing: the same answer to whatever comes, from one epoll loop.

`python -m benchmarks.echo PORT [STALL EVERY]` listens with SO_REUSEPORT, so that several share a port; with a
stall it sleeps STALL seconds at the end of every EVERY seconds, counted from its first connection.
"""

import select
import socket
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(port: int, stall: float = 0.0, every: float = 0.0) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    stalls_at = float("inf")
    while True:
        for descriptor, _ in epoll.poll(0.005 if stall else None):
            if time.monotonic() >= stalls_at:
                time.sleep(stall)
                stalls_at += every
            if descriptor == listener.fileno():
                client = listener.accept()[0]
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                epoll.register(client.fileno(), select.EPOLLIN)
                if stall and stalls_at == float("inf"):
                    stalls_at = time.monotonic() + every - stall
                continue
            client = clients[descriptor]
            try:
                asked = client.recv(65536)
                if asked:
                    client.send(ANSWER)
                    continue
            except OSError:
                pass
            epoll.unregister(descriptor)
            clients.pop(descriptor).close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), *map(float, sys.argv[2:4]))
