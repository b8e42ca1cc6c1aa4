"""`[port.name]`: something on this machine listens on a port, on the right address, and is the right program."""

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import ClassVar

from opskit.errors import Unable, os_reason
from opskit.smoke.fields import Choice, Flag, Text, Whole, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.scene import Scene
from opskit.smoke.texts import Finding

LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
UNBOUND = "07"  # what a UDP socket without a peer is in


@dataclass(frozen=True)
class Listener:
    """A listening socket; the inode names it in /proc/PID/fd."""

    address: str
    inode: str = ""


@dataclass(frozen=True)
class Check(BaseProbe):
    """A port of this machine is listened on. It is looked up, not connected to; `tcp` connects."""

    TYPE: ClassVar[str] = "port"
    EXAMPLE: ClassVar[str] = """\
[port.web]
port  = 443
owner = "nginx"

[port.db]
port = 5432
on   = "127.0.0.1"

[port.telnet]
port   = 23
closed = true
"""

    port: int = required(Whole(1, 65535), "The port.")
    protocol: str = key(Choice(("tcp", "udp")), "[tcp]", "tcp")
    on: str = key(Text("an address"), "On this address and no other: `127.0.0.1`, `0.0.0.0`, `::`.", "")
    owner: str = key(Text("a name"), "The name of the program that listens (Linux).", "")
    closed: bool = key(Flag(), "Nothing may listen there.", False)

    def target(self) -> str:
        return f"{self.protocol}/{self.port}"

    def look(self, scene: Scene) -> Observation:
        found = _listeners(scene, self.protocol, self.port)
        shown = ", ".join(sorted({listener.address for listener in found})) or "nothing listens"
        if self.closed:
            return Observation((Finding("listener", not found, "none", shown),))
        findings = [Finding("listener", bool(found), "one at least", shown)]
        if self.on:
            findings.append(Finding("address", {each.address for each in found} == {self.on}, self.on, shown))
        if self.owner and found:
            owners = _owners({listener.inode for listener in found})
            words = ", ".join(sorted(owners)) or "unknown"
            findings.append(Finding("owner", self.owner in owners, self.owner, words))
        return Observation(tuple(findings), data={"addresses": sorted({each.address for each in found})})


def _listeners(scene: Scene, protocol: str, port: int) -> list[Listener]:
    if sys.platform == "linux":
        files = (FilePath(f"/proc/net/{protocol}"), FilePath(f"/proc/net/{protocol}6"))
        return [each for file in files if file.exists() for each in _of_proc(file, port)]
    return _of_netstat(scene, protocol, port)


def _of_proc(file: FilePath, port: int) -> Iterator[Listener]:
    """Lines of /proc/net/tcp: `sl local_address rem_address st … inode`, addresses in hex (proc(5))."""
    for line in file.read_text().splitlines()[1:]:
        words = line.split()
        address, _, hex_port = words[1].partition(":")
        if int(hex_port, 16) == port and words[3] in (LISTEN, UNBOUND):
            yield Listener(_address(address), words[9])


def _address(text: str) -> str:
    """An address as the kernel prints it: 32-bit words in the machine's byte order."""
    words = [bytes.fromhex(text[start : start + 8]) for start in range(0, len(text), 8)]
    raw = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(ipaddress.ip_address(raw))


def _owners(inodes: set[str]) -> set[str]:
    """The names of the programs that hold sockets. Raises CannotTell where it may not be known."""
    if sys.platform != "linux":
        raise CannotTell("who listens is only known on Linux", hint="leave owner out here", lasting=True)
    names, unseen = set[str](), False
    for process in FilePath("/proc").glob("[0-9]*"):
        try:
            if _holds(process, inodes):
                names.add((process / "comm").read_text().strip())
        except PermissionError:
            unseen = True
        except OSError:
            continue  # it ended meanwhile
    if not names and unseen:
        raise CannotTell(
            "who listens may only be known by root", hint="run it as root, or as the owner", lasting=True
        )
    return names


def _holds(process: FilePath, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for link in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if str(link.readlink()) in wanted:
                return True
    return False


def _of_netstat(scene: Scene, protocol: str, port: int) -> list[Listener]:
    """`netstat -an` of BSD, macOS and illumos: `address.port` with LISTEN at the end, for UDP without."""
    try:
        done = scene.tools.runner.run(["netstat", "-an"], timeout=scene.left)
    except Unable as error:
        raise CannotTell(f"cannot list ports: {error.message}", lasting=True) from error
    except OSError as error:
        raise CannotTell(f"cannot list ports: {os_reason(error)}", lasting=True) from error
    return list(_netstat_lines(done.text, protocol, port))


def _netstat_lines(text: str, protocol: str, port: int) -> Iterator[Listener]:
    section = protocol
    for line in text.splitlines():
        words = line.split()
        if line[:3].lower() in ("tcp", "udp"):
            section = line[:3].lower()
        listening = line.rstrip().endswith("LISTEN") or section == "udp"
        for word in words:
            address, _, last = word.rpartition(".")
            if listening and section == protocol and last == str(port) and address:
                yield Listener("0.0.0.0" if address == "*" else address)  # noqa: S104 — a name for what is seen
                break
