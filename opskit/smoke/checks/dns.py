"""`[dns.name]`: what a name resolves to, and whether servers agree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opskit import conditions
from opskit.conditions import Condition, Kind
from opskit.smoke.fields import Choice, Flag, Limit, Text, Texts, Wrong, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene, Unmet
from opskit.smoke.texts import Finding

if TYPE_CHECKING:
    from dns.resolver import Answer, Resolver

RECORD_TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "CAA", "TLSA", "DS", "DNSKEY")


@dataclass(frozen=True)
class Check(BaseProbe):
    """A name resolves. A name that is not there is a failure; a server that does not answer is no verdict."""

    TYPE: ClassVar[str] = "dns"
    EXAMPLE: ClassVar[str] = """\
[dns.site]
name    = "www.example.org"
answers = ["192.0.2.10"]
ttl     = "<= 1h"

[dns.zone]
name         = "example.org"
type         = "SOA"
agree        = ["192.0.2.53", "192.0.2.54"]
serial-agree = true
"""

    name: str = required(Text("a name"), "The name to ask for.")
    type: str = key(Choice(RECORD_TYPES), "The type of record. [A]", "A")
    answers: tuple[str, ...] = key(Texts(), "All answers, in any order, and no other.", ())
    contains: tuple[str, ...] = key(Texts(), "Answers that must be among them.", ())
    exists: bool = key(Flag(), "false: there must be no such record. [true]", True)
    ttl: Condition | None = key(Limit(Kind.DURATION), "How long it may be kept.")
    server: str = key(Text("an address"), "Ask this server: `192.0.2.53` or `192.0.2.53:5353`.", "")
    agree: tuple[str, ...] = key(Texts(), "Servers that must all give the same answers.", ())
    serial_agree: bool = key(Flag(), "Compare only the serial numbers of SOA records.", False)

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        if read.get("serial-agree") and (read.get("type") != "SOA" or "agree" not in read):
            wrong((*path, "serial-agree"), 'this needs type = "SOA" and agree = [servers]', key=True)
        if len(read.get("agree", ("a", "b"))) < 2:
            wrong((*path, "agree"), "two servers at least must agree")
        for field in ("server", "agree"):
            servers = read.get(field, ())
            for server in [servers] if isinstance(servers, str) else servers:
                if _server(server) is None:
                    wrong(
                        (*path, field), f'"{server}" is no IP address', 'write "192.0.2.53" or "192.0.2.53:5353"'
                    )
        if read.get("exists") is False and {"answers", "contains", "ttl", "agree"} & set(read):
            wrong((*path, "exists"), "a record that must not be there has no answers", key=True)

    def target(self) -> str:
        return f"{self.name} {self.type}" + (f" @{self.server}" if self.server else "")

    def look(self, scene: Scene) -> Observation:
        answer = self._ask(scene, self.server or (self.agree[0] if self.agree else ""))
        if isinstance(answer, str):
            return Observation((Finding("record", not self.exists, "there" if self.exists else "none", answer),))
        found = _texts(answer)
        ttl = int(answer.rrset.ttl) if answer.rrset is not None else 0
        findings = [*self._judged(found, ttl), *self._agreement(scene, found)]
        return Observation(tuple(findings), data={"answers": found, "ttl_s": ttl})

    def _judged(self, found: list[str], ttl: int) -> Iterator[Finding]:
        shown = ", ".join(found)
        if not self.exists:
            yield Finding("record", False, "none", shown)
            return
        yield Finding("record", True, "there", shown)
        if self.answers:
            wanted = sorted(map(_canonical, self.answers))
            yield Finding("answers", sorted(map(_canonical, found)) == wanted, ", ".join(self.answers), shown)
        for one in self.contains:
            yield Finding("answers", _canonical(one) in map(_canonical, found), f"contain {one}", shown)
        if self.ttl is not None:
            yield Finding("ttl", self.ttl.holds(ttl), str(self.ttl), conditions.describe(ttl, Kind.DURATION))

    def _agreement(self, scene: Scene, found: list[str]) -> Iterator[Finding]:
        first = self._compared(found)
        start = 0 if self.server else 1  # the first of them was asked already
        for server in self.agree[start:]:
            answer = self._ask(scene, server)
            other = answer if isinstance(answer, str) else ", ".join(self._compared(_texts(answer)))
            yield Finding(f"answer of {server}", other == ", ".join(first), ", ".join(first), other)

    def _compared(self, found: list[str]) -> list[str]:
        if self.serial_agree:
            return [one.split()[2] for one in found]
        return sorted(map(_canonical, found))

    def _ask(self, scene: Scene, server: str) -> "Answer | str":
        """The answer, or in words that there is none. Raises CannotTell when no server says anything."""
        import dns.exception
        import dns.resolver

        resolver = self._resolver(server)
        where = server or "the resolvers of this machine"
        try:
            return resolver.resolve(self.name, self.type, lifetime=scene.left, search=False)
        except Unmet as late:
            raise CannotTell(f"{where}: no answer in time for {self.name}") from late
        except dns.resolver.NXDOMAIN:
            return "no such name (NXDOMAIN)"
        except dns.resolver.NoAnswer:
            return f"the name has no {self.type} record"
        except (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout) as error:
            words = " ".join(str(error).split())
            if "SERVFAIL" in words:
                return "the server failed (SERVFAIL)"
            why = "REFUSED" if "REFUSED" in words else "no answer in time"
            raise CannotTell(f"{where}: {why} for {self.name}", hint="is the server running?") from error
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise CannotTell(f"cannot ask for {self.name}: {error}", lasting=True) from error

    def _resolver(self, server: str) -> "Resolver":
        import dns.resolver

        try:
            resolver = dns.resolver.Resolver(configure=not server)
        except dns.resolver.NoResolverConfiguration as error:
            raise CannotTell("this machine has no /etc/resolv.conf", hint="name a server", lasting=True) from error
        if place := _server(server):
            resolver.nameservers = [place[0]]
            resolver.port = place[1]
        return resolver


def _texts(answer: "Answer") -> list[str]:
    return [record.to_text() for record in answer]


def _canonical(text: str) -> str:
    """Names without regard to case and the final dot; a TXT record with or without its quotes."""
    return text.strip('"').lower().removesuffix(".")


def _server(text: str) -> tuple[str, int] | None:
    """An address with its port, or None for anything else."""
    import ipaddress
    import re

    match = re.fullmatch(r"\[?([0-9A-Fa-f:.]+?)\]?(?::(\d{1,5}))?", text)
    candidates = [(text, 53)] + ([(match[1], int(match[2]))] if match and match[2] else [])
    for host, port in candidates:
        try:
            return str(ipaddress.ip_address(host)), port
        except ValueError:
            continue
    return None
