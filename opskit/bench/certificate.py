"""What ab prints of a TLS connection; Python's ssl module tells all but the size of the server's key."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opskit.bench.results import TlsFacts

if TYPE_CHECKING:
    import ssl

# Curves of RFC 5480 and RFC 8410 as DER object identifiers, with the bits that OpenSSL reports.
_CURVE_BITS = {
    bytes.fromhex("2a8648ce3d030107"): 256,
    bytes.fromhex("2b81040022"): 384,
    bytes.fromhex("2b81040023"): 521,
    bytes.fromhex("2b6570"): 256,  # Ed25519
    bytes.fromhex("2b6571"): 456,  # Ed448
}
_RSA = bytes.fromhex("2a864886f70d010101")


def tls_facts(sock: "ssl.SSLSocket") -> TlsFacts:
    cipher, protocol, cipher_bits = sock.cipher() or ("", "", 0)
    certificate = sock.getpeercert(binary_form=True)
    return TlsFacts(
        protocol=sock.version() or protocol,
        cipher=cipher,
        key_bits=key_bits(certificate) if certificate else 0,
        cipher_bits=cipher_bits,
        server_name=sock.server_hostname if isinstance(sock.server_hostname, str) else None,
        alpn=sock.selected_alpn_protocol(),
    )


def key_bits(certificate: bytes) -> int:
    """The size of the public key in a DER certificate; 0 for a kind that is not known here.

    Certificate ::= SEQUENCE { tbs SEQUENCE { [0] version, serial, signature, issuer, validity, subject,
    subjectPublicKeyInfo, … } … } (RFC 5280 section 4.1).
    """
    try:
        fields = [value for tag, value in _members(_first(_first(certificate))) if tag != 0xA0]
        algorithm, key = (value for _, value in _members(fields[5]))
        identifiers = [value for tag, value in _members(algorithm) if tag == 0x06]
        if identifiers[0] == _RSA:
            modulus = next(_members(_first(key[1:])))[1]
            return int.from_bytes(modulus, "big").bit_length()
        return next((_CURVE_BITS[each] for each in reversed(identifiers) if each in _CURVE_BITS), 0)
    except (IndexError, ValueError, StopIteration):
        return 0


def _first(der: bytes) -> bytes:
    return next(_members(der))[1]


def _members(der: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, value) of the DER elements that stand side by side."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(der[at : at + octets], "big")
            at += octets
        yield tag, der[at : at + length]
        at += length
