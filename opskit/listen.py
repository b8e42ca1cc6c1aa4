"""Sockets to listen on, and what a person is told when there can be none."""

import errno
import ipaddress
import socket

from opskit.errors import Misuse, OpskitError, Unable, os_reason

BACKLOG = 1024  # a load test opens its connections all at once


def listening_socket(host: str, port: int) -> socket.socket:
    """A TCP socket that listens on `host`, a name or an address; port 0 takes any free one.

    Raises Misuse for a port that cannot exist, Unable for one that cannot be had.
    """
    if not 0 <= port <= 65535:
        raise Misuse(f"{port} is not a port", hint="ports go from 1 to 65535; 0 takes any free one")
    family, address = _resolve(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(error, host, port) from error
    listener.setblocking(False)
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(listener: socket.socket, path: str = "/") -> str:
    """The http URL of a listening socket: `http://127.0.0.1:8080/`."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"


def _resolve(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "not a host name"
        raise Unable(
            f"cannot listen on '{host}': {reason}", hint="give an address of this machine", code="listen"
        ) from error
    return found[0][0], found[0][4]


def _refusal(error: OSError, host: str, port: int) -> OpskitError:
    place = f"port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        return Unable(f"{place} is in use", hint="choose another with --port, or 0 for any", code="listen")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unable(f"{place} is for root alone", hint="choose one from 1024 up with --port", code="listen")
    if error.errno == errno.EADDRNOTAVAIL:
        return Unable(
            f"cannot listen on {host}: it is no address of this machine",
            hint="0.0.0.0 listens on all of them",
            code="listen",
        )
    return Unable(f"cannot listen on {place}: {os_reason(error)}", code="listen")
