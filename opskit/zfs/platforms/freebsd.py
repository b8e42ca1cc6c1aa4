"""FreeBSD: swapinfo, gpart, gmirror, and ZFS volumes that carry `org.freebsd:swap`."""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from opskit.zfs import zpool
from opskit.zfs.facts import Array, Facts, Leaf, Memory, Slice, Swap, Use
from opskit.zfs.machine import Machine
from opskit.zfs.platforms import Persistence, common
from opskit.zfs.steps import Action, Condition, run

FSTAB, LOADER, RC = "/etc/fstab", "/boot/loader.conf", "/etc/rc.conf"
LOAD = 'geom_mirror_load="YES"'


class FreeBSD(common.Bare):
    name = "freebsd"
    methods: tuple[str, ...] = ("gmirror", "zvol")

    def survey(self, machine: Machine, named: Collection[str] = ()) -> Facts:
        version = zpool.version_of(common.maybe(machine, "zfs", "version"))
        pools, volumes = common.pools_and_volumes(machine, version, "/dev/", "/dev/zvol/")
        files = common.read_files(machine, (FSTAB, LOADER, RC))
        swaps = swaps_of(common.text_of(machine, "swapinfo", "-k"), machine)
        arrays = _mirrors(machine, files.get(FSTAB, ""))
        dump = _dump(common.maybe(machine, "dumpon", "-l"))
        slices = _slices(machine, swaps, arrays, dump)
        slices = common.with_pool_uses(slices, pools)
        slices = _with_file_systems(machine, common.with_labels(machine, slices))
        slices = common.with_digests(machine, common.with_boot_uses(slices, files), named)
        jailed = _sysctl(machine, "security.jail.jailed") == "1"
        page = int(_sysctl(machine, "hw.pagesize") or 4096)
        return Facts(
            platform=self.name,
            release="FreeBSD " + common.maybe(machine, "freebsd-version").strip(),
            zfs=version,
            root=machine.is_root(),
            confined="a jail" if jailed else "",
            page=page,
            hostid=_sysctl(machine, "kern.hostuuid"),
            boot_id=_sysctl(machine, "kern.boottime"),
            pool_properties=("ashift",) if version else (),
            memory=_memory(machine, page),
            slices=tuple(slices),
            swaps=swaps,
            pools=pools,
            volumes=volumes,
            arrays=arrays,
            dump=dump,
            files=files,
            missing=common.missing_programs(machine, self, pools),
        )

    def programs(self, method: str) -> tuple[str, ...]:
        return (
            "swapinfo",
            "swapon",
            "swapoff",
            "gpart",
            *(("zpool", "zfs", "zdb") if method == "zvol" else ("gmirror",)),
        )

    def name_for_commands(self, device: Slice) -> str:
        return (device.stable or device.path).removeprefix("/dev/")

    def node(self, pool: str, volume: str) -> str:
        return f"/dev/zvol/{pool}/{volume}"

    def properties(self, facts: Facts) -> Mapping[str, str]:
        """A zvol in any other mode is no GEOM provider, and swapon refuses it with ENODEV."""
        return {"compression": "zle", "volmode": "geom", "org.freebsd:swap": "on"}

    def release(self, path: str) -> Action:
        return run("swapoff", path)

    def activate(self, path: str, priority: int | None) -> Action:
        return run("swapon", path)

    def persist(self, facts: Facts, plan_id: str, method: str, target: str, priority: int | None) -> Persistence:
        """rc.d/zvol switches a volume on by its property; a gmirror needs its module and an fstab line, with
        the mark in front, because a mirror's metadata has no place for one."""
        if method == "zvol":
            return Persistence((), (), ())
        pairs = [(LOADER, LOAD)] if LOAD not in facts.files.get(LOADER, "").splitlines() else []
        pairs += [(FSTAB, mark_line(plan_id)), (FSTAB, f"{target}\tnone\tswap\tsw\t0\t0")]
        return Persistence(
            do=tuple(Action("append", pair) for pair in pairs),
            undo=tuple(Action("drop", pair) for pair in reversed(pairs)),
            done=tuple(Condition("line", pair) for pair in pairs),
        )

    def shell_test(self, condition: Condition) -> str:
        first, *rest = (shlex.quote(arg) for arg in condition.args)
        device = condition.args[0].removeprefix("/dev/")
        listed = f"swapinfo | grep -q '^/dev/{device} '"
        match condition.kind:
            case "unused":
                return f"! {listed} && ! mount -p | grep -q '^/dev/{device}[[:space:]]'"
            case "same":
                return f'[ "$(diskinfo /dev/{device} | cut -f3)" = {rest[0]} ]'
            case "swap-on":
                return listed
            case "swap-off":
                return f"! {listed}"
            case "no-array":
                return f"[ ! -e /dev/mirror/{first} ]"
            case "members":
                return f'[ "$(gmirror status -s {first} | wc -l)" -eq {len(rest)} ]'
            case "synced":
                return f"gmirror status -s {first} | grep -q COMPLETE"
        return common.shell_test(condition)

    def privilege(self) -> str:
        return "doas"


def mark_line(plan_id: str) -> str:
    return f"# opskit:{plan_id} mirrored swap; see `opskit zfs swap-mirror status`"


def _sysctl(machine: Machine, name: str) -> str:
    return common.maybe(machine, "sysctl", "-n", name).strip()


def _memory(machine: Machine, page: int) -> Memory:
    """swap_pager.c, swapoff_one: free pages and the other areas must hold what is used."""
    free = sum(int(_sysctl(machine, f"vm.stats.vm.{name}") or 0) for name in ("v_free_count", "v_inactive_count"))
    total = int(_sysctl(machine, "hw.physmem") or 0)
    return Memory(total, max(free * page - total // 10, 0))


def swaps_of(text: str, machine: Machine) -> tuple[Swap, ...]:
    """`swapinfo -k`, in KiB; a Total line follows several areas."""
    lines = text.splitlines()
    if not lines or lines[0].split()[:2] != ["Device", "1K-blocks"]:
        raise zpool.unknown("swapinfo -k", text)
    found = []
    for line in lines[1:]:
        words = line.split()
        if not words or words[0] == "Total":
            continue
        try:
            size, used = int(words[1]) * 1024, int(words[2]) * 1024
        except (ValueError, IndexError) as error:
            raise zpool.unknown("swapinfo -k", line) from error
        path = words[0] if words[0].startswith("/") else f"/dev/{words[0]}"
        found.append(Swap(path, machine.resolve(path), size, used))
    return tuple(found)


def _dump(text: str) -> str:
    word = text.strip().splitlines()[0].strip() if text.strip() else ""
    return "" if word in ("", "/dev/null", "null") else word if word.startswith("/") else f"/dev/{word}"


def partitions_of(text: str, sectors: Mapping[str, int], serials: Mapping[str, str]) -> list[Slice]:
    """`gpart show -p`: a block for each disk, the providers with their first sector and length."""
    found: list[Slice] = []
    disk = ""
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "=>":
            disk = words[3] if len(words) > 3 else ""
            continue
        if words[2:4] == ["-", "free"]:
            continue
        try:
            start, count, name, kind = int(words[0]), int(words[1]), words[2], words[3]
        except (ValueError, IndexError) as error:
            raise zpool.unknown("gpart show -p", line) from error
        sector = sectors.get(disk, 512)
        found.append(
            Slice(
                f"/dev/{name}",
                f"/dev/{disk}",
                count * sector,
                f"/dev/{name}",
                serials.get(disk, ""),
                start * sector,
                sector,
                type=kind,
            )
        )
    return found


def _slices(machine: Machine, swaps: Iterable[Swap], arrays: Iterable[Array], dump: str) -> list[Slice]:
    disks = _sysctl(machine, "kern.disks").split()
    sectors, serials = {}, {}
    for disk in disks:
        words = common.maybe(machine, "diskinfo", disk).split()
        sectors[disk] = int(words[1]) if len(words) > 2 else 512
        serials[disk] = common.maybe(machine, "diskinfo", "-s", disk).strip()
    labels = _labels(common.maybe(machine, "glabel", "status", "-s"))
    mounts = {
        row[0]: row[1]
        for line in common.maybe(machine, "mount", "-p").splitlines()
        if len(row := line.split()) > 1
    }
    active = {name for swap in swaps for name in (swap.path, swap.node)}
    members = {member.path: array.path for array in arrays for member in array.members}
    encrypted = {swap.path.removesuffix(".eli") for swap in swaps if swap.path.endswith(".eli")}
    found = []
    for item in partitions_of(common.maybe(machine, "gpart", "show", "-p"), sectors, serials):
        names = labels.get(item.path, ())
        every = {item.path, *names}
        uses = [Use("mounted", mounts[name]) for name in sorted(every) if name in mounts]
        uses += [Use("swap")] if every & active else []
        uses += [Use("dump")] if dump in every else []
        uses += [Use("array", members[name]) for name in sorted(every) if name in members]
        uses += [Use("held", f"{name}.eli") for name in sorted(every) if name in encrypted]
        found.append(replace(item, names=names, uses=tuple(uses)))
    return found


def _labels(text: str) -> dict[str, tuple[str, ...]]:
    """`glabel status -s`: `gpt/swap0  N/A  ada0p2`."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3:
            found[f"/dev/{words[2]}"] = (*found.get(f"/dev/{words[2]}", ()), f"/dev/{words[0]}")
    return found


def _mirrors(machine: Machine, fstab: str) -> tuple[Array, ...]:
    """`gmirror status -s`: a line a side, as in `mirror/swap  DEGRADED  ada1p2 (SYNCHRONIZING, 12%)`."""
    sides: dict[str, list[Leaf]] = {}
    syncing: dict[str, str] = {}
    for line in common.maybe(machine, "gmirror", "status", "-s").splitlines():
        match = re.match(r"\s*mirror/(\S+)\s+(\w+)\s+(\S+)(?: \((\w+)(?:, (\d+%))?\))?", line)
        if match is None:
            raise zpool.unknown("gmirror status -s", line)
        name, _, device, state, progress = match.groups()
        word = {"SYNCHRONIZING": "rebuilding", "ACTIVE": "active", None: "active"}.get(state, "faulty")
        if word == "rebuilding":
            syncing[name] = progress or "0%"
        sides.setdefault(name, []).append(Leaf(device, f"/dev/{device}", word))
    return tuple(
        Array(
            name,
            f"/dev/mirror/{name}",
            f"/dev/mirror/{name}",
            _mirror_size(machine, name),
            2,
            tuple(found),
            syncing.get(name, ""),
            _mark(fstab, name),
        )
        for name, found in sides.items()
    )


def _mirror_size(machine: Machine, name: str) -> int:
    words = common.maybe(machine, "diskinfo", f"mirror/{name}").split()
    return int(words[2]) if len(words) > 2 else 0


def _mark(fstab: str, name: str) -> str:
    """The plan whose comment stands right above the mirror's own line."""
    match = re.search(rf"(?m)^# opskit:(\w+) .*\n/dev/mirror/{re.escape(name)}\s", fstab)
    return match[1] if match else ""


def _with_file_systems(machine: Machine, slices: Iterable[Slice]) -> list[Slice]:
    found = []
    for item in slices:
        kind = "" if item.uses else common.maybe(machine, "fstyp", item.path).strip()
        if kind and kind != "zfs":
            item = replace(item, uses=(Use("filesystem", f"a file system of type '{kind}'"),))
        found.append(item)
    return found
