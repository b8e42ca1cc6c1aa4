"""`[swap.name]`: there is swap, enough of it, and it is where it should be."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, ClassVar

from opskit import conditions
from opskit.conditions import Condition, Kind
from opskit.errors import OpskitError, os_reason
from opskit.smoke.fields import Flag, Limit, Text, Texts, Wrong, key
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene
from opskit.smoke.texts import Finding

if TYPE_CHECKING:
    from opskit.zfs.facts import Array, Pool


@dataclass(frozen=True)
class Area:
    """One active swap area; sizes in bytes."""

    path: str
    size: int
    used: int


@dataclass(frozen=True)
class Check(BaseProbe):
    """Swap is active. `mirror` also asks how a mirrored swap of `opskit zfs` is."""

    TYPE: ClassVar[str] = "swap"
    EXAMPLE: ClassVar[str] = """\
[swap.host]
total = ">= 4GiB"
used  = "< 50%"

[swap.mirrored]
mirror = "swap"
"""

    total: Condition | None = key(Limit(Kind.SIZE), "All of it. [> 0]")
    free: Condition | None = key(Limit(Kind.SIZE), "What is not used.")
    used: Condition | None = key(Limit(Kind.PERCENT), "What is used.")
    on: tuple[str, ...] = key(Texts(), "Devices or files that must be active.", ())
    mirror: str = key(Text("a name"), "A mirror that must be whole: the pool's or the array's name.", "")
    off: bool = key(Flag(), "There must be no swap.", False)

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        if read.get("off") and (also := {"total", "free", "used", "on", "mirror"} & set(read)):
            wrong((*path, min(also)), "where there must be no swap, nothing else can be asked", key=True)

    def target(self) -> str:
        return self.mirror or ", ".join(self.on)

    def look(self, scene: Scene) -> Observation:
        areas = _areas()
        total, used = sum(area.size for area in areas), sum(area.used for area in areas)
        data = {"total_bytes": total, "used_bytes": used, "areas": [area.path for area in areas]}
        if self.off:
            shown = ", ".join(area.path for area in areas) or "none"
            return Observation((Finding("swap", not areas, "none", shown),), data=data)
        return Observation((*self._judged(areas, total, used), *self._mirror()), data=data)

    def _judged(self, areas: list[Area], total: int, used: int) -> Iterator[Finding]:
        limit = str(self.total) if self.total else "> 0 B"
        good = total > 0 and (self.total is None or self.total.holds(total))
        yield Finding("total", good, limit, conditions.describe(total, Kind.SIZE))
        if self.free is not None:
            free = conditions.describe(total - used, Kind.SIZE)
            yield Finding("free", self.free.holds(total - used), str(self.free), free)
        if self.used is not None:
            share = used / total * 100 if total else 0.0
            yield Finding("used", total > 0 and self.used.holds(share), str(self.used), f"{share:.1f}%")
        names = {name for area in areas for name in (area.path, str(FilePath(area.path).resolve()))}
        for path in self.on:
            there = path in names or str(FilePath(path).resolve()) in names
            yield Finding(f"swap on {path}", there, "active", "active" if there else "not active")

    def _mirror(self) -> Iterator[Finding]:
        """The health of a mirror, by the tool that makes them."""
        if not self.mirror:
            return
        from opskit.zfs.health import health
        from opskit.zfs.machine import ThisMachine
        from opskit.zfs.platforms import here

        try:
            machine = ThisMachine()
            platform = here(machine)
            facts = platform.survey(machine)
        except OpskitError as error:
            raise CannotTell(error.message, hint=error.hint, lasting=True) from error
        mirrors: list[Pool | Array] = [*facts.pools, *facts.arrays]
        found = next((item for item in mirrors if item.name == self.mirror), None)
        if found is None:
            yield Finding("mirror", False, self.mirror, "there is none of this name")
            return
        state = health(facts, found, platform)
        yield Finding("mirror", state.level == "ok", "whole", "; ".join(state.reasons) or state.level)


def _areas() -> list[Area]:
    """The active areas. Raises CannotTell."""
    if sys.platform != "linux":
        return _areas_by_survey()
    try:
        lines = FilePath("/proc/swaps").read_text().splitlines()[1:]
    except OSError as error:
        raise CannotTell(f"cannot read /proc/swaps: {os_reason(error)}", lasting=True) from error
    rows = [line.split() for line in lines]  # Filename Type Size Used Priority, in KiB
    return [Area(row[0].replace("\\040", " "), int(row[-3]) * 1024, int(row[-2]) * 1024) for row in rows]


def _areas_by_survey() -> list[Area]:
    from opskit.zfs.machine import ThisMachine
    from opskit.zfs.platforms import here

    try:
        machine = ThisMachine()
        facts = here(machine).survey(machine)
    except OpskitError as error:
        raise CannotTell(error.message, hint=error.hint, lasting=True) from error
    return [Area(swap.path, swap.size, swap.used) for swap in facts.swaps]
