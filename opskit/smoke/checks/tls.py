"""`[tls.name]`: a certificate chain that is good, and for how long."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opskit.conditions import Condition, Kind
from opskit.smoke.addresses import HOST_PORT, parse_host_port
from opskit.smoke.fields import Choice, Flag, Limit, Text, TextMatch, Texts, Wrong, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene, Unmet, connection_errors, first_connection, resolved, shown
from opskit.smoke.starttls import PROTOCOLS, Refused, start
from opskit.smoke.texts import Finding, TextTest

if TYPE_CHECKING:
    import ssl

VERSIONS = ("1.0", "1.1", "1.2", "1.3")


@dataclass(frozen=True)
class Certificate:
    """One certificate of a chain; `not_after` in epoch seconds."""

    subject: str
    issuer: str
    not_after: float
    names: tuple[str, ...]
    fingerprint: str  # SHA-256 of the DER form, in hex


@dataclass(frozen=True)
class Shaken:
    """What a handshake showed: the version, the chain, and why the chain is not trusted, if so."""

    version: str
    chain: tuple[Certificate, ...]
    distrust: str = ""


@dataclass(frozen=True)
class Check(BaseProbe):
    """The certificate is trusted and is for this host. `left` is of the first in the chain that will end.

    Every address of the name is asked, so that one server with an old certificate shows.
    """

    TYPE: ClassVar[str] = "tls"
    EXAMPLE: ClassVar[str] = """\
[tls.site]
address  = "example.org:443"
left     = "> 21d"
severity = "warning"

[tls.mail]
address  = "mail.example.org:587"
starttls = "smtp"
"""

    address: str = required(HOST_PORT, "`host:port`.")
    host: str = key(Text("a name"), "The name to ask for and to verify, where it is not the address's.", "")
    left: Condition | None = key(Limit(Kind.DURATION), 'How long every certificate is still good: `"> 21d"`.')
    version: str = key(Choice(VERSIONS), "The TLS version that is agreed on.", "")
    san: tuple[str, ...] = key(Texts(), "Names that the certificate must have.", ())
    issuer: TextTest | None = key(TextMatch(bare_contains=True), "What the issuer's name must contain.")
    fingerprint: str = key(Text("64 hex digits"), "SHA-256 of the certificate; colons may be in it.", "")
    starttls: str = key(Choice(PROTOCOLS), "Begin in the clear, as this protocol does.", "")
    addresses: str = key(Choice(("all", "any")), "Which addresses of the name are asked. [all]", "all")
    ca: str | None = key(Text("a file"), "Trust the certificates in this PEM file.")
    self_signed: bool = key(Flag(), "Do not ask whether it is trusted, only for the rest.", False)

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        digits = read.get("fingerprint", "0" * 64).replace(":", "")
        if len(digits) != 64 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
            wrong((*path, "fingerprint"), "a SHA-256 has 64 hex digits")

    def target(self) -> str:
        return self.address

    def look(self, scene: Scene) -> Observation:
        address = parse_host_port(self.address)
        places = resolved(address)
        several = self.addresses == "all" and len(places) > 1
        findings: list[Finding] = []
        data: list[dict[str, Any]] = []
        for place in places if several else [None]:
            where = f" of {place[1][0]}" if place else ""
            seen = self._handshake(scene, address, [place] if place else places)
            findings += self._judged(seen, where)
            data.append(_data(seen))
        return Observation(tuple(findings), data={"handshakes": data})

    def _handshake(
        self, scene: Scene, address: tuple[str, int], places: list[tuple[int, tuple[object, ...]]]
    ) -> Shaken:
        """Verified; where that fails a second time without, to see what is there. Raises Unmet, CannotTell."""
        import ssl

        try:
            return self._shake(
                scene, address, places, scene.tools.tls_context(self.ca, verify=not self.self_signed)
            )
        except ssl.SSLCertVerificationError as error:
            distrust = _plain(error.verify_message)
        seen = self._shake(scene, address, places, scene.tools.tls_context(self.ca, verify=False))
        return Shaken(seen.version, seen.chain, distrust)

    def _shake(
        self, scene: Scene, address: tuple[str, int], places: list[tuple[int, tuple[object, ...]]],
        context: "ssl.SSLContext",
    ) -> Shaken:  # fmt: skip
        import ssl

        name = self.host or address[0]
        with connection_errors(shown(address), scene):
            sock = first_connection(scene, places)
        with sock:
            try:
                sock.settimeout(scene.left)
                if self.starttls:
                    start(self.starttls, sock)
                with context.wrap_socket(sock, server_hostname=name) as wrapped:
                    return Shaken((wrapped.version() or "").removeprefix("TLSv"), _chain(wrapped))
            except ssl.SSLCertVerificationError:
                raise
            except TimeoutError:
                raise scene.late() from None
            except Refused as error:
                raise Unmet(f"STARTTLS as in {self.starttls}", str(error)) from None
            except (OSError, ValueError) as error:
                words = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
                raise Unmet("a TLS handshake", _plain(str(words))) from None

    def _judged(self, seen: Shaken, where: str) -> Iterator[Finding]:
        leaf = seen.chain[0]
        if not self.self_signed:
            yield Finding(
                f"certificate{where}", not seen.distrust, "trusted, for this host", seen.distrust or "so"
            )
        left = min(certificate.not_after for certificate in seen.chain) - time.time()
        if self.left is not None:
            first = min(seen.chain, key=lambda certificate: certificate.not_after)
            words = f"{days(left)} ({first.subject})"
            yield Finding(f"left{where}", self.left.holds(left), str(self.left), words)
        elif self.self_signed:
            yield Finding(f"end{where}", left > 0, "to come", days(left))
        if self.version:
            yield Finding(
                f"version{where}", self.version == _minor(seen.version), self.version, _minor(seen.version)
            )
        for name in self.san:
            yield Finding(f"names{where}", name in leaf.names, name, ", ".join(leaf.names) or "none")
        if self.issuer is not None:
            yield from self.issuer.findings(f"issuer{where}", leaf.issuer)
        if self.fingerprint:
            wanted = self.fingerprint.replace(":", "").lower()
            yield Finding(f"fingerprint{where}", leaf.fingerprint == wanted, wanted, leaf.fingerprint)


def days(seconds: float) -> str:
    """`89 days`, `5 hours`, `ended 3 days ago`."""
    span = abs(seconds)
    words = f"{span / 86400:.0f} days" if span >= 2 * 86400 else f"{span / 3600:.1f} hours"
    return words if seconds > 0 else f"ended {words} ago"


def _minor(version: str) -> str:
    return version if "." in version else f"{version}.0"


def _plain(words: str) -> str:
    return words[:1].lower() + words[1:].replace("_", " ").lower() if words.isupper() else words


def _chain(sock: "ssl.SSLSocket") -> tuple[Certificate, ...]:
    """Every certificate that the server sent, trusted or not.

    Only Python 3.13 has this as a method of the socket, and none has a reader of what it gives: the object
    below both has been there since 3.10.
    """
    import ssl

    try:
        sent = sock._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
        return tuple(_certificate(each.get_info(), each.public_bytes(2)) for each in sent)
    except AttributeError:
        der, info = sock.getpeercert(binary_form=True), sock.getpeercert()
        if not der or not info:
            raise CannotTell("this Python cannot read a chain that is not trusted", lasting=True) from None
        assert isinstance(info, dict)
        return (_certificate(info, ssl.DER_cert_to_PEM_cert(der).encode()),)


def _certificate(info: Mapping[str, Any], encoded: str | bytes) -> Certificate:
    import ssl

    der = encoded if isinstance(encoded, bytes) else ssl.PEM_cert_to_DER_cert(encoded)
    return Certificate(
        subject=_name(info.get("subject", ())),
        issuer=_name(info.get("issuer", ())),
        not_after=ssl.cert_time_to_seconds(info["notAfter"]),
        names=tuple(value for _, value in info.get("subjectAltName", ())),
        fingerprint=hashlib.sha256(der).hexdigest(),
    )


def _name(parts: Any) -> str:
    """A distinguished name: its common name, or everything that it has."""
    pairs = [pair for part in parts for pair in part]
    common = [value for key, value in pairs if key == "commonName"]
    return common[0] if common else ", ".join(f"{key}={value}" for key, value in pairs)


def _data(seen: Shaken) -> dict[str, Any]:
    return {
        "version": seen.version,
        "trusted": not seen.distrust,
        "chain": [
            {
                "subject": each.subject,
                "issuer": each.issuer,
                "not_after": int(each.not_after),
                "names": list(each.names),
                "sha256": each.fingerprint,
            }
            for each in seen.chain
        ],
    }
