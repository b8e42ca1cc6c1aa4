"""`[tcp.name]`: does something take connections there, and does it say what it should?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opskit.smoke.addresses import ADDRESS, parse_address
from opskit.smoke.fields import Choice, Flag, Pattern, Text, Wrong, key, required
from opskit.smoke.model import BaseProbe, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import (
    Address,
    Scene,
    Unmet,
    connected,
    connection_errors,
    first_connection,
    read_upto,
    resolved,
    shown,
)
from opskit.smoke.texts import Finding

if TYPE_CHECKING:
    import re


@dataclass(frozen=True)
class Check(BaseProbe):
    """A connection can be made. By default to every address of the name, so that a dead IPv6 shows."""

    TYPE: ClassVar[str] = "tcp"
    EXAMPLE: ClassVar[str] = """\
[tcp.db]
address = "127.0.0.1:5432"
wait    = "30s"

[tcp.redis]
address = "127.0.0.1:6379"
send    = "PING\\r\\n"
expect  = "^\\\\+PONG"
"""

    address: str = required(ADDRESS, "`host:port`, or the path of a unix socket.")
    addresses: str = key(
        Choice(("all", "any")), "Which addresses of the name must take a connection. [all]", "all"
    )
    refused: bool = key(Flag(), "Nothing may take connections there.", False)
    send: str = key(Text(), "What to send first.", "")
    expect: "re.Pattern[str] | None" = key(Pattern(), "What must come; read until it does.")

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        if read.get("refused") and ("send" in read or "expect" in read):
            wrong((*path, "refused"), "a refused connection can neither send nor expect", key=True)
        if "send" in read and "expect" not in read:
            wrong((*path, "send"), "nothing is expected in answer", 'add expect = "…"', key=True)

    def target(self) -> str:
        return self.address

    def look(self, scene: Scene) -> Observation:
        address = parse_address(self.address)
        if self.refused:
            return Observation((self._refused(scene, address),))
        findings = tuple(self._connections(scene, address))
        if self.expect is None or not all(finding.good for finding in findings):
            return Observation(findings)
        return self._spoken(scene, address, findings)

    def _refused(self, scene: Scene, address: Address) -> Finding:
        try:
            with connected(scene, address):
                return Finding("connection", False, "none", "accepted")
        except Unmet as unmet:
            return Finding("connection", True, "none", unmet.actual)

    def _connections(self, scene: Scene, address: Address) -> list[Finding]:
        """A finding for each address of a name that must all answer, or one for the first that does."""
        if isinstance(address, str) or self.addresses == "any":
            with connected(scene, address):
                return [Finding("connection", True, "accepted", "accepted")]
        findings = []
        for place in resolved(address):
            where = shown((str(place[1][0]), address[1]))
            try:
                with connection_errors(where, scene), first_connection(scene, [place]):
                    findings.append(Finding(f"connection to {where}", True, "accepted", "accepted"))
            except Unmet as unmet:
                findings.append(Finding(f"connection to {where}", False, "accepted", unmet.actual))
        return findings

    def _spoken(self, scene: Scene, address: Address, findings: tuple[Finding, ...]) -> Observation:
        assert self.expect is not None
        heard = ""
        with connected(scene, address) as sock:
            sock.sendall(self.send.encode())
            try:
                for piece in read_upto(sock, scene):
                    heard += piece.decode("utf-8", "replace")
                    if self.expect.search(heard):
                        break
            except Unmet:
                pass  # what was heard until then is what is judged
        good = self.expect.search(heard) is not None
        said = Finding(
            "answer", good, f"matches {self.expect.pattern}", f"“{heard[:200]}”" if heard else "nothing"
        )
        return Observation((*findings, said), excerpt=heard)
