"""How the mirror is: read from its sides, their errors and the resync, never from exit codes."""

from dataclasses import asdict, dataclass
from typing import Any

from opskit.zfs import bootfiles
from opskit.zfs.checks import deadlock
from opskit.zfs.facts import Array, Facts, Leaf, Pool
from opskit.zfs.platforms import Platform

LEVELS = ("ok", "degraded", "failed")
NAGIOS = {"ok": 0, "degraded": 1, "failed": 2}


@dataclass(frozen=True)
class Health:
    """`level` is ok, degraded or failed; `reasons` say why it is not ok; `notes` are true for ever."""

    name: str
    level: str
    method: str
    target: str
    active: bool
    size: int
    used: int
    sides: tuple[Leaf, ...]
    resync: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def health(facts: Facts, found: Pool | Array, platform: Platform) -> Health:
    """The health of one mirror."""
    is_pool = isinstance(found, Pool)
    method = "zvol" if is_pool else ("gmirror" if facts.platform == "freebsd" else "md")
    target = _target(facts, found, platform)
    swap = facts.swap_on(target)
    broken, weak = (_pool_reasons if isinstance(found, Pool) else _array_reasons)(found)  # type: ignore[arg-type]  # the pair was chosen by the same test
    if swap is None:
        broken.append(f"{target} is not active as swap")
    weak += _boot_reasons(facts, found, target)
    level = "failed" if broken else "degraded" if weak else "ok"
    notes = (deadlock(facts.platform),) if is_pool and platform.methods[0] != "zvol" else ()
    return Health(
        found.name,
        level,
        method,
        target,
        swap is not None,
        swap.size if swap else 0,
        swap.used if swap else 0,
        found.leaves if isinstance(found, Pool) else found.members,
        _resync(found),
        tuple(broken + weak),
        notes,
    )


def _target(facts: Facts, found: Pool | Array, platform: Platform) -> str:
    if isinstance(found, Array):
        return found.path
    ours = [volume for volume in facts.volumes if volume.name.startswith(found.name + "/") and volume.mark]
    return platform.node(found.name, ours[0].name.partition("/")[2] if ours else "swap0")


def _pool_reasons(pool: Pool) -> tuple[list[str], list[str]]:
    broken, weak = [], []
    if pool.state not in ("ONLINE", "DEGRADED"):
        broken.append(f"the pool is {pool.state}")
    if pool.errors:
        broken.append(pool.errors)
    weak += [
        f"{leaf.name} is {leaf.state}" + (f" ({leaf.note})" if leaf.note else "")
        for leaf in pool.leaves
        if leaf.state != "ONLINE"
    ]
    weak += [f"{leaf.name} has {leaf.errors} errors" for leaf in pool.leaves if leaf.errors]
    if len(pool.leaves) < 2:
        weak.append("it has one side only: it is not redundant")
    if pool.scan == "resilvering":
        weak.append(f"it resilvers ({pool.progress or 'just begun'})")
    if pool.state == "DEGRADED" and not weak:
        weak.append("the pool is DEGRADED")
    return broken, weak


def _array_reasons(array: Array) -> tuple[list[str], list[str]]:
    good = [member for member in array.members if member.state == "active"]
    broken = [] if good else ["no side is active"]
    weak = [f"{member.path} is {member.state}" for member in array.members if member.state != "active"]
    if len(array.members) < array.wanted:
        weak.append(f"{len(array.members)} of {array.wanted} sides are there: it is not redundant")
    if array.syncing:
        weak.append(f"it copies ({array.syncing})")
    return broken, weak


def _boot_reasons(facts: Facts, found: Pool | Array, target: str) -> list[str]:
    """A boot line that names a side as swap pages over the mirror; the mirror itself needs one."""
    members = {leaf.path for leaf in (found.leaves if isinstance(found, Pool) else found.members)}
    weak = []
    for item in facts.slices:
        if item.path in members:
            weak += [
                f"{line.file} names {item.path} as swap: the next boot would page over the mirror"
                for line in bootfiles.naming(facts.files, item)
                if line.kind in ("swap", "crypt")
            ]
    signature = found.signature.removeprefix("swap:") if isinstance(found, Array) else ""
    names = {target, f"UUID={signature}"}
    if facts.platform == "freebsd" and isinstance(found, Pool):
        return weak
    lines = [line for line in bootfiles.boot_lines(facts.files) if line.kind == "swap" and line.device in names]
    return weak if lines else [*weak, f"no boot line names {target}: it will be gone after a reboot"]


def _resync(found: Pool | Array) -> str:
    if isinstance(found, Array):
        return found.syncing
    return found.progress or "begun" if found.scan == "resilvering" else ""
