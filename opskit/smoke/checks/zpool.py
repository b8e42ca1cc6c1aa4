"""`[zpool.name]`: a ZFS pool is whole, without errors, and has room."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from opskit import conditions
from opskit.conditions import Condition, Kind
from opskit.errors import Unable
from opskit.smoke.fields import Flag, Limit, Text, Texts, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.scene import Scene, Unmet
from opskit.smoke.texts import Finding


@dataclass(frozen=True)
class Check(BaseProbe):
    """A pool is ONLINE and has no errors."""

    TYPE: ClassVar[str] = "zpool"
    EXAMPLE: ClassVar[str] = """\
[zpool.tank]
pool     = "tank"
capacity = "< 80%"
"""

    pool: str = required(Text("a name"), "The pool.")
    state: tuple[str, ...] = key(
        Texts(choices=("ONLINE", "DEGRADED")), "States that are good. [ONLINE]", ("ONLINE",)
    )
    errors: bool = key(Flag(), "Whether it may have errors. [false]", False)
    capacity: Condition | None = key(Limit(Kind.PERCENT), "How full it is.")
    free: Condition | None = key(Limit(Kind.SIZE), "Its free bytes.")
    resilvering: bool = key(Flag(), "Whether it may resilver. [true]", True)

    def target(self) -> str:
        return self.pool

    def look(self, scene: Scene) -> Observation:
        from opskit.zfs.zpool import pools_of_text

        status = self._run(scene, "status", self.pool)
        found = next((pool for pool in pools_of_text(status) if pool.name == self.pool), None)
        if found is None:
            raise CannotTell(f"zpool status says nothing of {self.pool}", lasting=True)
        findings = [Finding("state", found.state in self.state, " or ".join(self.state), found.state)]
        if not self.errors:
            sides = [f"{leaf.name} has {leaf.errors} errors" for leaf in found.leaves if leaf.errors]
            words = "; ".join(filter(None, [found.errors, *sides]))
            findings.append(Finding("errors", not words, "none", words or "none"))
        if not self.resilvering:
            busy = found.scan == "resilvering"
            findings.append(Finding("resilvering", not busy, "no", found.progress or ("yes" if busy else "no")))
        return Observation((*findings, *self._space(scene)), status, {"state": found.state})

    def _space(self, scene: Scene) -> Iterator[Finding]:
        if self.capacity is None and self.free is None:
            return
        words = self._run(scene, "list", "-Hp", "-o", "capacity,free", self.pool).split()
        try:
            capacity, free = float(words[0].rstrip("%")), int(words[1])
        except (IndexError, ValueError) as error:
            raise CannotTell(f"zpool list printed {' '.join(words)[:80]!r}", lasting=True) from error
        if self.capacity is not None:
            yield Finding("capacity", self.capacity.holds(capacity), str(self.capacity), f"{capacity:g}%")
        if self.free is not None:
            shown = conditions.describe(free, Kind.SIZE)
            yield Finding("free", self.free.holds(free), str(self.free), shown)

    def _run(self, scene: Scene, *words: str) -> str:
        try:
            done = scene.tools.runner.run(["zpool", *words], timeout=scene.left)
        except Unable as error:
            raise CannotTell(error.message, hint="is ZFS installed here?", lasting=True) from error
        if done.code == 0:
            return done.text
        complaint = (done.error_text.strip().splitlines() or ["it said nothing"])[-1]
        if "no such pool" in complaint:
            raise Unmet(f"a pool {self.pool}", "no such pool")
        raise CannotTell(f"zpool {words[0]}: {complaint}", lasting=True)
