"""From a conversation in the clear to TLS, as each protocol has it."""

import socket
import struct

PROTOCOLS = ("smtp", "imap", "pop3", "ftp", "ldap", "postgres")
MOST_LINE = 4096
# ExtendedRequest with the StartTLS OID 1.3.6.1.4.1.1466.20037 (RFC 4511 section 4.14), message 1.
_LDAP_REQUEST = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
_POSTGRES_REQUEST = struct.pack("!ii", 8, 80877103)  # SSLRequest


class Refused(Exception):
    """The server does not go over to TLS; the words are its own where it had any."""


def start(protocol: str, sock: socket.socket) -> None:
    """Leave the socket where the handshake begins. Raises Refused, OSError."""
    if protocol == "postgres":
        sock.sendall(_POSTGRES_REQUEST)
        if (said := sock.recv(1)) != b"S":
            raise Refused("the server has no TLS" if said == b"N" else f"it answered {said!r}")
    elif protocol == "ldap":
        _ldap(sock)
    else:
        _lines(protocol, sock)


def _ldap(sock: socket.socket) -> None:
    """The result code of the ExtendedResponse is the first ENUMERATED of one byte in it."""
    sock.sendall(_LDAP_REQUEST)
    said = sock.recv(MOST_LINE)
    place = said.find(b"\x0a\x01")
    if place < 0 or said[place + 2 : place + 3] != b"\x00":
        raise Refused("the server answered with an error" if place >= 0 else f"it answered {said[:40]!r}")


def _lines(protocol: str, sock: socket.socket) -> None:
    """Greeting, request, consent: RFC 3207 (SMTP), 3501 (IMAP), 2595 (POP3), 4217 (FTP)."""
    greeting = _answer(sock, protocol)
    if not greeting.startswith(("220", "* OK", "+OK")):
        raise Refused(f"it greets with {greeting!r}")
    if protocol == "smtp":
        sock.sendall(b"EHLO opskit\r\n")
        _answer(sock, protocol)
    request, consent = {
        "smtp": (b"STARTTLS\r\n", "220"),
        "imap": (b"a1 STARTTLS\r\n", "a1 OK"),
        "pop3": (b"STLS\r\n", "+OK"),
        "ftp": (b"AUTH TLS\r\n", "234"),
    }[protocol]
    sock.sendall(request)
    said = _answer(sock, protocol)
    if not said.startswith(consent):
        raise Refused(f"it answers {said!r}")


def _answer(sock: socket.socket, protocol: str) -> str:
    """The last line of an answer; `250-` announces that more follow, as `* ` does after a request to IMAP."""
    while True:
        line = _line(sock)
        more = line[3:4] == "-" if protocol in ("smtp", "ftp") else False
        if not more:
            return line


def _line(sock: socket.socket) -> str:
    """One line, byte by byte: what follows it may belong to the handshake."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte or len(line) > MOST_LINE:
            raise Refused(f"it said {bytes(line[:80])!r} and no more" if line else "it said nothing")
        line += byte
    return line.decode("latin-1").rstrip()
