"""A certificate authority and its certificates, made by openssl, and servers that use them."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.programs import need


@dataclass(frozen=True)
class Certificate:
    """A PEM file with the chain and the key; `ca` is what it is trusted by."""

    pem: Path
    ca: Path


class Authority:
    """Signs certificates with chosen dates, as no real one would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.openssl = need("openssl")
        directory.mkdir()
        (directory / "index.txt").touch()
        (directory / "ca.conf").write_text(
            "[ca]\ndefault_ca=d\n[d]\n"
            f"dir={directory}\ndatabase={directory}/index.txt\nnew_certs_dir={directory}\nrand_serial=yes\n"
            "default_md=sha256\npolicy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        self.ca = directory / "ca.pem"
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
            "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.pem",
        )  # fmt: skip

    def _openssl(self, *words: str) -> None:
        subprocess.run([self.openssl, *words], cwd=self.directory, check=True, capture_output=True)

    def certificate(self, name: str, *, host: str = "localhost", days: float = 90) -> Certificate:
        """Signed, for a host, ending `days` from now; negative has ended already."""
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}",
            "-addext", f"subjectAltName=DNS:{host}", "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        now = datetime.now(UTC)
        start, end = (f"{now + timedelta(days=day):%Y%m%d%H%M%SZ}" for day in (-400, days))
        self._openssl(
            "ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr",
            "-out", f"{name}.crt", "-startdate", start, "-enddate", end, "-notext",
        )  # fmt: skip
        return self._bundle(name)

    def self_signed(self, name: str) -> Certificate:
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{name}.key",
            "-out", f"{name}.crt",
        )  # fmt: skip
        return self._bundle(name)

    def _bundle(self, name: str) -> Certificate:
        pem = self.directory / f"{name}.pem"
        pem.write_text((self.directory / f"{name}.crt").read_text() + (self.directory / f"{name}.key").read_text())
        return Certificate(pem, self.ca)


Talk = Callable[[socket.socket], None]


@contextmanager
def listening(serve: Talk) -> Iterator[int]:
    """A TCP server on 127.0.0.1 that hands each connection to `serve` and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def accept() -> None:
        while not ended.is_set():
            with suppress(OSError, ssl.SSLError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def silent(sock: socket.socket) -> None:
    """Reads until the other side gives up, and says nothing."""
    while sock.recv(1000):
        pass


@contextmanager
def tls_server(certificate: Certificate, before: Talk = lambda sock: None) -> Iterator[int]:
    """A server that shakes hands, after what `before` says in the clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.pem)

    def serve(sock: socket.socket) -> None:
        before(sock)
        with context.wrap_socket(sock, server_side=True) as wrapped:
            wrapped.recv(1)

    with listening(serve) as port:
        yield port
