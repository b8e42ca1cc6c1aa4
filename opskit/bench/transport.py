"""The way to a server: names resolved, sockets opened without waiting, TLS around them."""

import errno
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opskit.bench.plan import Origin, Plan, Tls
from opskit.bench.results import Failure
from opskit.errors import Misuse, Unable, os_reason

if TYPE_CHECKING:
    import ssl

    from opskit.bench.resumption import Sessions

_NO_NAGLE = sys.maxsize
_ONE_SEGMENT = 1400  # bytes; what is larger is sent as several segments, which Nagle would hold back

# What is tried again on its own: the call would have had to wait.
_WOULD_WAIT: tuple[type[OSError], ...] = (BlockingIOError,)


@dataclass(frozen=True)
class Address:
    """One resolved address: the family, and what `connect` takes."""

    family: int
    at: Any


class WrongFamily(socket.gaierror):
    """A name with addresses, none of which those of `-B` can connect to."""


class Dialer:
    """Opens the sockets of one run. Names are resolved once; the first address that answers is kept."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._addresses: dict[Origin, list[Address]] = {}
        self._unresolved: dict[Origin, socket.gaierror] = {}
        # Plain ints: the socket module's enums cost more than the system calls they name.
        self._kind = int(socket.SOCK_STREAM) | int(getattr(socket, "SOCK_NONBLOCK", 0))
        self._buffer = plan.route.socket_buffer
        self._own_segment = 0 if plan.shape.keep_alive else _ONE_SEGMENT
        self._locals: dict[int, Iterator[Address]] = {}  # by family: whose turn it is
        self._context: ssl.SSLContext | None = None
        self.sessions: Sessions | None = None
        self.would_wait = _WOULD_WAIT
        self.tls_errors: tuple[type[OSError], ...] = ()

    def prepare(self, origin: Origin | None) -> None:
        """Resolve and load what is known before the run, so that a mistake is said before the first request.

        `origin` is the only one, or None where each request names its own. Raises Misuse for files and
        options, Unable for a name that does not resolve.
        """
        self._locals = _in_turn([_local_address(text) for text in self._plan.route.local_addresses])
        if self._plan.tls != Tls() or (origin is not None and origin.scheme == "https"):
            self._load_tls()
        if origin is None:
            return
        try:
            self.addresses(origin)
        except socket.gaierror as error:
            hint = "check the spelling, or give the address with --connect-to HOST:PORT"
            if isinstance(error, WrongFamily):
                hint = "IPv4 and IPv6 each need a -B address of their own kind"
            raise Unable(self._unresolved_words(origin, error), hint=hint, code="resolve") from error

    def addresses(self, origin: Origin) -> list[Address]:
        """Where to connect for an origin, best first. Raises socket.gaierror, each time the same."""
        known = self._addresses.get(origin)
        if known is not None:
            return known
        if origin in self._unresolved:
            raise self._unresolved[origin]
        try:
            found = self._addresses[origin] = self._resolve(origin)
        except socket.gaierror as error:
            # The whole run waits while a name is looked up, so a bad one is looked up once.
            self._unresolved[origin] = error
            raise
        return found

    def host(self, origin: Origin) -> str:
        """The name that is looked up for an origin."""
        return self._dialled(origin)[0]

    def place(self, origin: Origin) -> str:
        """What is dialled for an origin, in words."""
        if self._plan.route.unix_socket is not None:
            return self._plan.route.unix_socket
        if self._plan.route.proxy is not None:
            return f"the proxy {':'.join(map(str, self._plan.route.proxy))}"
        host, port = self._dialled(origin)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _resolve(self, origin: Origin) -> list[Address]:
        if self._plan.route.unix_socket is not None:
            self._own_segment = _NO_NAGLE  # a unix socket has none
            return [Address(int(socket.AF_UNIX), self._plan.route.unix_socket)]
        host, port = self._dialled(origin)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # an empty label, or one above 63 characters
            raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
        addresses = [Address(int(family), at) for family, _, _, _, at in found]
        if self._locals:
            addresses = [address for address in addresses if address.family in self._locals]
            if not addresses:
                raise WrongFamily(socket.EAI_ADDRFAMILY, "no address of a family that -B has")
        return list(dict.fromkeys(addresses))

    def _dialled(self, origin: Origin) -> tuple[str, int]:
        route = self._plan.route
        return route.proxy or route.connect_to or (origin.host, origin.port)

    def give_up_on(self, origin: Origin, address: Address) -> bool:
        """An address refused: use the next one from now on. False when there is no other."""
        known = self._addresses[origin]
        if known[0] != address:
            return True  # another connection has moved on already
        if len(known) == 1:
            return False
        known.pop(0)
        return True

    def why_not(self, origin: Origin, error: OSError) -> tuple[Failure, str]:
        """The name under which a failure to connect is counted, and its words."""
        place = self.place(origin)
        if isinstance(error, socket.gaierror):
            return Failure.RESOLVE, self._unresolved_words(origin, error)
        if error.errno in _LOCAL_SHORTAGE:
            return Failure.LOCAL, os_reason(error)
        if error.errno == errno.ECONNREFUSED:
            return Failure.REFUSED, f"{place} refused the connection"
        if error.errno in (errno.ECONNRESET, errno.EPIPE):
            return Failure.RESET, f"{place} reset the connection"
        return Failure.UNREACHABLE, f"{place}: {os_reason(error)}"

    def _unresolved_words(self, origin: Origin, error: socket.gaierror) -> str:
        says = "has" if isinstance(error, WrongFamily) else "does not resolve:"
        return f"{self.host(origin)} {says} {os_reason(error)}"

    def tunnels(self, origin: Origin) -> bool:
        return self._plan.route.proxy is not None and origin.scheme == "https"

    def dial(self, address: Address, request_size: int) -> tuple[Any, int]:
        """A non-blocking socket on its way to `address`, and what connect said (0 or an errno).

        It is the C-level socket type: a connection per request opens thousands of them a second.
        Raises OSError.
        """
        sock = socket.SocketType(address.family, self._kind)
        try:
            sock.setblocking(False)  # no system call where SOCK_NONBLOCK has done it
            if request_size > self._own_segment:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            if self._locals:
                _bind(sock, next(self._locals[address.family]))
            return sock, sock.connect_ex(address.at)
        except BaseException:
            sock.close()
            raise

    def count_anew(self) -> None:
        """What came before was the warm-up."""
        if self.sessions is not None:
            self.sessions.resumed = 0

    def wrap(self, sock: Any, origin: Origin) -> "ssl.SSLSocket":
        """TLS around a connected socket; its handshake is still to be driven."""
        if self._context is None:
            self._load_tls()
        assert self._context is not None
        if self._own_segment != _NO_NAGLE:
            # The end of the handshake and the request may be two small segments in a row, which Nagle would hold
            # back until the first is acknowledged.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = origin.host if self._plan.tls.server_name else None
        if self.sessions is not None:
            return self.sessions.wrap(sock, origin, name)
        return self._context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)

    def _load_tls(self) -> None:
        import ssl

        self._context = tls_context(self._plan.tls)
        if self._plan.streams is not None:
            self._context.set_alpn_protocols(["h2"])  # nothing else: a server without it says so
        self.would_wait = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
        self.tls_errors = (ssl.SSLError,)
        if self._plan.tls.resume:
            from opskit.bench.resumption import Sessions

            self.sessions = Sessions(self._context)


def _bind(sock: Any, local: Address) -> None:
    # The port is chosen at connect, so that one address serves more connections: ip(7).
    without_port = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24 if os.uname().sysname == "Linux" else None)
    if without_port is not None:
        sock.setsockopt(socket.IPPROTO_IP, without_port, 1)
    sock.bind(local.at)


def _in_turn(addresses: list[Address]) -> dict[int, Iterator[Address]]:
    families = {address.family for address in addresses}
    return {family: cycle([each for each in addresses if each.family == family]) for family in families}


def _local_address(text: str) -> Address:
    try:
        family, _, _, _, at = socket.getaddrinfo(text, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:
            probe.bind(at)
    except OSError as error:
        raise Misuse(
            f"-B {text}: not an address of this machine: {os_reason(error)}", hint="`ip addr` lists them"
        ) from error
    return Address(int(family), at)


def tls_context(tls: Tls) -> "ssl.SSLContext":
    """The TLS settings of a run. Raises Misuse for a file or a word that OpenSSL refuses."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.verify and tls.server_name
    context.verify_mode = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
    if tls.verify:
        _or_misuse(
            lambda: context.load_verify_locations(tls.ca_file) if tls.ca_file else context.load_default_certs(),
            f"--cacert {tls.ca_file}",
            "give a PEM file with the certificates to trust",
        )
    if tls.certificate is not None:
        _load_certificate(context, tls.certificate, tls.key)
    if tls.ciphers is not None:
        ciphers = tls.ciphers
        _or_misuse(lambda: context.set_ciphers(ciphers), f"-Z {ciphers}", "`openssl ciphers` lists the names")
    if tls.lowest is not None:
        context.minimum_version = ssl.TLSVersion[tls.lowest]
    if tls.highest is not None:
        context.maximum_version = ssl.TLSVersion[tls.highest]
        if context.minimum_version > context.maximum_version:  # the system's lowest, which nobody has asked for
            context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_alpn_protocols(list(tls.alpn))
    return context


def _load_certificate(context: "ssl.SSLContext", certificate: str, key: str | None) -> None:
    if key is not None:  # OpenSSL would not say which of two files it could not read
        _or_misuse(lambda: Path(key).open("rb").close(), f"--key {key}", "give the PEM file with the key")
    _or_misuse(
        # An empty password keeps OpenSSL from asking for one on the terminal.
        lambda: context.load_cert_chain(certificate, key, password=""),
        f"-E {certificate}" + (f" --key {key}" if key else ""),
        "give one PEM file with the certificate chain and its unencrypted key, or the key with --key",
        "no certificate with its unencrypted key can be read",
    )


def _or_misuse(load: Callable[[], None], option: str, hint: str, otherwise: str = "OpenSSL refuses it") -> None:
    """Raise Misuse in OpenSSL's words, or in others where it has none."""
    import ssl

    try:
        load()
    except ssl.SSLError as error:
        # OpenSSL does not always give a reason; the first argument is a number then, or Python's own words.
        said = getattr(error, "reason", None) or error.args[0]
        reason = otherwise if isinstance(said, int) else said
        raise Misuse(f"{option}: {reason}", hint=hint) from error
    except OSError as error:
        raise Misuse(f"{option}: {os_reason(error)}", hint=hint) from error


def tls_reason(error: OSError) -> str:
    """OpenSSL's words for a failed handshake, without its file names and line numbers."""
    message = getattr(error, "verify_message", "") or getattr(error, "reason", "") or os_reason(error)
    return _SOURCE_LINE.sub("", str(message)).replace("_", " ").lower()


_SOURCE_LINE = re.compile(r" \(_ssl\.c:\d+\)")


# Errors of this machine, not of the server: no ports, descriptors or memory left.
_LOCAL_SHORTAGE = (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def raise_descriptor_limit(needed: int) -> None:
    """Make room for `needed` descriptors by raising the soft limit. Raises Unable when the hard one is lower."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise Unable(
            f"{needed} descriptors are needed, but this process may open {hard}",
            hint=f"use -c {max(1, hard - SPARE_DESCRIPTORS)} or less, or raise the limit: ulimit -Hn {needed}",
            code="descriptor_limit",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


SPARE_DESCRIPTORS = 64  # stdio, the request file, output files, the poller, and connections being closed
