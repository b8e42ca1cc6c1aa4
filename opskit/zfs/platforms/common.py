"""What the surveys of all platforms do alike."""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from opskit.errors import Unable
from opskit.zfs import zpool
from opskit.zfs.bootfiles import naming
from opskit.zfs.facts import MARK, Facts, Pool, Slice, Swap, Use, Volume
from opskit.zfs.machine import Machine, digest
from opskit.zfs.steps import Action, Condition

if TYPE_CHECKING:
    from opskit.zfs.platforms import Platform


class Bare:
    """A platform whose swap has no header on disk, and whose boot files are read at boot only."""

    def name_for_swap(self, device: Slice, swap: Swap) -> str:
        """swapoff(2) of FreeBSD and swapctl(2) of illumos want the very name that was added."""
        return swap.path

    def settle(self) -> tuple[Action, ...]:
        return ()

    def format(self, path: str, uuid: str) -> Action | None:
        return None

    def clear(self, path: str, signature: str) -> Action | None:
        return None

    def reload(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def dump_settings(self, facts: Facts) -> tuple[Action, ...]:
        return ()


def text_of(machine: Machine, *argv: str, accept: tuple[int, ...] = (0,)) -> str:
    """What a read-only command printed. Raises Unable for an exit code that is not accepted."""
    done = machine.run(argv)
    if done.code not in accept:
        said = (done.error_text or done.text).strip().splitlines()
        raise Unable(
            f"`{' '.join(argv)}` failed: {said[0] if said else f'exit code {done.code}'}",
            code="survey_failed",
        )
    return done.text


def maybe(machine: Machine, *argv: str) -> str:
    """What a command printed, or nothing where it is missing or failed."""
    if not machine.has(argv[0]):
        return ""
    done = machine.run(argv)
    return done.text if done.code == 0 else ""


def read_files(machine: Machine, paths: Iterable[str]) -> dict[str, str]:
    """Boot files, with the passwords of network mounts masked: plans are saved and shown."""
    found = {path: machine.read(path) for path in paths}
    return {path: _SECRET.sub(r"\1=***", text) for path, text in found.items() if text is not None}


_SECRET = re.compile(r"(?i)\b(pass(?:word|wd)?|secret|token)=[^,\s]+")


def pools_and_volumes(
    machine: Machine, version: str, device_prefix: str, node_prefix: str
) -> tuple[tuple[Pool, ...], tuple[Volume, ...]]:
    """The imported pools, with leaves named by the device behind every link, and the volumes."""
    pools = _pools(machine, version)
    pools = tuple(
        replace(
            pool,
            leaves=tuple(replace(leaf, path=_device(machine, leaf.path, device_prefix)) for leaf in pool.leaves),
        )
        for pool in pools
    )
    if not pools:
        return (), ()
    text = text_of(
        machine,
        "zfs",
        "get",
        "-Hp",
        "-r",
        "-o",
        "name,property,value,source",
        zpool.PROPERTIES,
        *(pool.name for pool in pools),
    )
    pools, volumes = zpool.with_properties(pools, text)
    return pools, tuple(_with_node(machine, volume, node_prefix) for volume in volumes)


def _pools(machine: Machine, version: str) -> tuple[Pool, ...]:
    """`zpool status` in the form that this version has; none where the kernel's side is missing."""
    if not machine.has("zpool") or not machine.has("zfs"):
        return ()
    json = zpool.speaks_json(version)
    argv = ["zpool", "status", *(["-j", "--json-int"] if json else []), *(["-P"] if version else [])]
    done = machine.run(argv)
    if done.code != 0:
        if _NO_MODULE.search(done.error_text + done.text):
            return ()
        raise zpool.unknown(" ".join(argv), done.error_text or done.text)
    return zpool.pools_of_json(done.text) if json else zpool.pools_of_text(done.text)


def zfs_runs(machine: Machine) -> bool:
    """Whether the programs are there and reach the kernel's side; without it there are no pools to see."""
    if not machine.has("zpool") or not machine.has("zfs"):
        return False
    done = machine.run(["zpool", "status", "-x"])
    return done.code == 0 or not _NO_MODULE.search(done.error_text + done.text)


_NO_MODULE = re.compile(r"modules? (?:are not|cannot be) (?:auto-)?loaded|connect: |/dev/zfs|libzfs: failed")


def _device(machine: Machine, path: str, prefix: str) -> str:
    full = path if path.startswith("/") else prefix + path
    return machine.resolve(full) if machine.exists(full) else full


def _with_node(machine: Machine, volume: Volume, prefix: str) -> Volume:
    node = prefix + volume.name
    return replace(volume, node=machine.resolve(node) if machine.exists(node) else "")


def with_pool_uses(slices: Iterable[Slice], pools: Iterable[Pool]) -> list[Slice]:
    """A slice that an imported pool holds says so."""
    holders = {leaf.path: pool.name for pool in pools for leaf in pool.leaves if leaf.state != "REMOVED"}
    return [replace(s, uses=(*s.uses, Use("pool", holders[s.path]))) if s.path in holders else s for s in slices]


def with_boot_uses(slices: Iterable[Slice], files: Mapping[str, str]) -> list[Slice]:
    """A slice that a boot file mounts, dumps to or switches on by a unit is not free even while it is idle;
    plain swap lines are no hindrance, because they are fenced."""
    return [
        replace(
            s,
            uses=(*s.uses, *(Use("boot-file", line.file) for line in naming(files, s) if line.kind in HARD)),
        )
        for s in slices
    ]


HARD = {"mount", "dump", "unit", "resume"}


def with_labels(machine: Machine, slices: Iterable[Slice], *, only_signed: bool = False) -> list[Slice]:
    """A free slice with a pool's label on it says whose; a destroyed pool's label is no hindrance.

    `only_signed` trusts that a signature was looked for already: zdb takes its time."""
    found = []
    for item in slices:
        signed = "zfs_member" in item.signatures
        suspect = not item.uses and (signed or not (item.signatures or only_signed))
        if suspect and machine.has("zdb") and machine.is_root():
            done = machine.run(["zdb", "-l", item.path.replace("/dev/dsk/", "/dev/rdsk/")])
            name, state = zpool.label_of(done.text)
            if name and state != "destroyed":
                item = replace(item, uses=(*item.uses, Use("old-pool", name)))
        found.append(item)
    return found


def with_digests(machine: Machine, slices: Iterable[Slice], named: Collection[str]) -> list[Slice]:
    """Free slices that are named get the digest of their ends; one in use changes under the reader."""
    if not machine.is_root():
        return list(slices)
    return [
        replace(s, digest=digest(machine.ends(s.path, s.size))) if s.answers_to(named) and _readable(s) else s
        for s in slices
    ]


def _readable(item: Slice) -> bool:
    busy = {"swap", "mounted", "pool", "array", "held", "dump", "label", "disk"}
    return item.size > 0 and not any(use.kind in busy for use in item.uses)


def with_overlaps(slices: Iterable[Slice]) -> list[Slice]:
    """Two slices of one disk that share sectors cannot be judged apart."""
    items = list(slices)
    return [
        replace(
            s,
            uses=(
                *s.uses,
                *(
                    Use("overlap", other.path)
                    for other in items
                    if other is not s
                    and other.disk == s.disk
                    and s.path != s.disk
                    and other.path != s.disk
                    and s.start < other.start + other.size
                    and other.start < s.start + s.size
                ),
            ),
        )
        for s in items
    ]


def shell_test(condition: Condition) -> str:
    """The tests that are alike on every platform, as POSIX shell; empty for what a shell cannot tell."""
    first, *rest = (shlex.quote(arg) for arg in condition.args)
    match condition.kind:
        case "pool":
            return f'[ "$(zfs get -H -o value {MARK} {first})" = {rest[0]} ]'
        case "volume":
            return f'[ "$(zfs get -H -o value {MARK} {first})" = {rest[1]} ]'
        case "no-pool" | "no-volume":
            return f"! zfs list {first} >/dev/null 2>&1"
        case "room":
            return f'[ "$(zfs get -Hp -o value available {first})" -ge {rest[0]} ]'
        case "resilvered":
            return f"! zpool status {first} | grep -q 'resilver in progress'"
        case "leaves":
            return f'[ "$(zpool status {first} | grep -c ONLINE)" -ge {len(rest) + 2} ]'
        case "node":
            return f"[ -e {first} ]"
        case "line":
            return f"grep -Fqx -- {rest[0]} {first}"
        case "no-line":
            return f"! grep -Fqx -- {rest[0]} {first} 2>/dev/null"
        case "file":
            return f"[ -e {first} ]"
        case "no-file":
            return f"[ ! -e {first} ]"
    return ""


def missing_programs(machine: Machine, platform: "Platform", pools: Collection[Pool]) -> tuple[str, ...]:
    """The programs of all methods that are not there; zpool counts as missing while its module is."""
    wanted = dict.fromkeys(program for method in platform.methods for program in platform.programs(method))
    absent = [program for program in wanted if not machine.has(program)]
    if not pools and "zpool" not in absent and not zfs_runs(machine):
        absent.append("zpool")
    return tuple(absent)
