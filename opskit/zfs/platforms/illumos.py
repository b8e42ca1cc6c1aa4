"""illumos, OpenSolaris and Solaris: swap(8), vfstab, dumpadm, prtvtoc, and `zpool` of any age."""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from opskit.zfs import zpool
from opskit.zfs.facts import Facts, Memory, Slice, Swap, Use
from opskit.zfs.machine import Machine
from opskit.zfs.platforms import Persistence, common
from opskit.zfs.steps import Action, Condition, run

BLOCK = 512  # `swap -l` counts in these, whatever the disk has
VFSTAB = "/etc/vfstab"
_DISK = re.compile(r"(c\d+(?:t[0-9A-Fa-f]+)?d\d+)s2")
_BACKUP, _RESERVED = 5, 11  # V_BACKUP and V_RESERVED of sys/vtoc.h: the whole disk, and EFI's last slice


class Illumos(common.Bare):
    name = "illumos"
    methods: tuple[str, ...] = ("zvol",)

    def survey(self, machine: Machine, named: Collection[str] = ()) -> Facts:
        version = zpool.version_of(common.maybe(machine, "zfs", "version"))
        pools, volumes = common.pools_and_volumes(machine, "", "/dev/dsk/", "/dev/zvol/dsk/")
        swaps = _swaps(machine)
        dump = _dump(common.maybe(machine, "dumpadm"))
        files = common.read_files(machine, (VFSTAB,))
        slices = _slices(machine, swaps, dump)
        slices = common.with_overlaps(slices)
        slices = common.with_pool_uses(slices, pools)
        slices = _with_file_systems(machine, common.with_labels(machine, slices))
        slices = common.with_digests(machine, common.with_boot_uses(slices, files), named)
        zone = common.maybe(machine, "zonename").strip()
        return Facts(
            platform=self.name,
            release=(machine.read("/etc/release") or "SunOS").strip().splitlines()[0].strip(),
            zfs=version,
            root=machine.is_root(),
            confined="" if zone in ("", "global") else f"the zone {zone}",
            page=int(common.maybe(machine, "pagesize") or 4096),
            hostid=common.maybe(machine, "hostid").strip(),
            boot_id=common.maybe(machine, "kstat", "-p", "unix:0:system_misc:boot_time").strip(),
            pool_properties=("ashift",) if _knows_ashift(machine) else (),
            memory=_memory(common.text_of(machine, "swap", "-s")),
            slices=tuple(slices),
            swaps=swaps,
            pools=pools,
            volumes=volumes,
            dump=dump,
            files=files,
            missing=common.missing_programs(machine, self, pools),
        )

    def programs(self, method: str) -> tuple[str, ...]:
        return ("swap", "zpool", "zfs", "prtvtoc")

    def name_for_commands(self, device: Slice) -> str:
        return device.path.removeprefix("/dev/dsk/")

    def node(self, pool: str, volume: str) -> str:
        return f"/dev/zvol/dsk/{pool}/{volume}"

    def properties(self, facts: Facts) -> Mapping[str, str]:
        return {"compression": "off"}

    def release(self, path: str) -> Action:
        return run("swap", "-d", path)

    def activate(self, path: str, priority: int | None) -> Action:
        return run("swap", "-a", path)

    def dump_settings(self, facts: Facts) -> tuple[Action, ...]:
        """`swap -a` and `swap -d` may move the dump device (swap.c): set it to what it was."""
        return (run("dumpadm", "-d", facts.dump),) if facts.dump.startswith("/dev/zvol/") else ()

    def persist(self, facts: Facts, plan_id: str, method: str, target: str, priority: int | None) -> Persistence:
        """After the live add: older builds refuse a zvol that vfstab names already."""
        line = (VFSTAB, f"{target}\t-\t-\tswap\t-\tno\t-")
        comment = (VFSTAB, f"# opskit:{plan_id} mirrored swap; see `opskit zfs swap-mirror status`")
        return Persistence(
            do=(Action("append", comment), Action("append", line)),
            undo=(Action("drop", line), Action("drop", comment)),
            done=(Condition("line", comment), Condition("line", line)),
        )

    def shell_test(self, condition: Condition) -> str:
        first = shlex.quote(condition.args[0])
        listed = f"swap -l 2>/dev/null | grep -q '^[^ ]*{condition.args[0]} '"
        match condition.kind:
            case "unused":
                return f"! {listed} && ! zpool status | grep -q ' {condition.args[0]} '"
            case "same":
                return f"prtvtoc /dev/rdsk/{first} >/dev/null"
            case "swap-on":
                return listed
            case "swap-off":
                return f"! {listed}"
            case "memory":
                kib = int(condition.args[1]) // 1024
                return f'[ "$(swap -s | sed "s/.* \\([0-9]*\\)k available/\\1/")" -ge {kib} ]'
        return common.shell_test(condition)

    def privilege(self) -> str:
        return "pfexec"


def _swaps(machine: Machine) -> tuple[Swap, ...]:
    """`swap -l`: exit code 1 with "No swap devices configured" is an empty list."""
    done = machine.run(["swap", "-l"])
    if done.code == 1 and "No swap devices configured" in done.error_text:
        return ()
    lines = done.text.splitlines()
    if done.code != 0 or not lines or lines[0].split()[:1] != ["swapfile"]:
        raise zpool.unknown("swap -l", done.error_text or done.text)
    return tuple(_swap(machine, line) for line in lines[1:] if line.strip())


def _swap(machine: Machine, line: str) -> Swap:
    """`path dev swaplo blocks free [INDEL]`; `dev` may be `-`."""
    words = line.split()
    leaving = words[-1] == "INDEL"
    words = words[:-1] if leaving else words
    try:
        blocks, free = int(words[3]), int(words[4])
    except (ValueError, IndexError) as error:
        raise zpool.unknown("swap -l", line) from error
    return Swap(words[0], machine.resolve(words[0]), blocks * BLOCK, (blocks - free) * BLOCK, leaving=leaving)


def _memory(text: str) -> Memory:
    match = re.search(r"(\d+)k available", text)
    if match is None:
        raise zpool.unknown("swap -s", text)
    return Memory(0, int(match[1]) * 1024)


def _dump(text: str) -> str:
    match = re.search(r"(?m)^\s*Dump device: (\S+)", text)
    return match[1] if match and match[1] != "none" else ""


def _knows_ashift(machine: Machine) -> bool:
    """`zpool get` without words prints the properties that this release has."""
    if not machine.has("zpool"):
        return False
    done = machine.run(["zpool", "get"])
    return re.search(r"(?m)^\s+ashift\s", done.error_text + done.text) is not None


def _slices(machine: Machine, swaps: Iterable[Swap], dump: str) -> list[Slice]:
    mounts = _mounts(machine.read("/etc/mnttab") or "")
    serials = _serials(common.maybe(machine, "iostat", "-En"))
    active = {name for swap in swaps for name in (swap.path, swap.node)}
    found: list[Slice] = []
    for node in machine.names("/dev/rdsk"):
        match = _DISK.fullmatch(node)
        table = common.maybe(machine, "prtvtoc", f"/dev/rdsk/{node}") if match else ""
        if not match or not table:
            continue
        for item in slices_of(table, match[1], serials.get(match[1], "")):
            uses = list(item.uses)
            if item.path in mounts:
                uses.append(Use("mounted", mounts[item.path]))
            if item.path in active:
                uses.append(Use("swap"))
            if item.path == dump:
                uses.append(Use("dump"))
            found.append(replace(item, uses=tuple(uses)))
    return found


def slices_of(table: str, disk: str, serial: str) -> list[Slice]:
    """The slices of `prtvtoc`; the backup slice, which is the whole disk, is no slice of its own."""
    sector = re.search(r"(?m)^\*\s+(\d+) bytes/sector", table)
    if sector is None:
        raise zpool.unknown("prtvtoc", table)
    size = int(sector[1])
    found = []
    for line in table.splitlines():
        words = line.split()
        if not words or words[0].startswith("*"):
            continue
        try:
            number, tag, first, count = int(words[0]), int(words[1]), int(words[3]), int(words[4])
        except (ValueError, IndexError) as error:
            raise zpool.unknown("prtvtoc", line) from error
        if tag in (_BACKUP, _RESERVED) or count == 0:
            continue
        name = f"{disk}s{number}"
        found.append(
            Slice(
                f"/dev/dsk/{name}",
                disk,
                count * size,
                name,
                serial,
                first * size,
                size,
                names=(f"/dev/rdsk/{name}",),
                type=str(tag),
            )
        )
    return found


def _mounts(text: str) -> dict[str, str]:
    """mnttab: the device and where it is mounted."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[0].startswith("/dev/")}


def _serials(text: str) -> dict[str, str]:
    """`iostat -En`: a paragraph for each disk."""
    found = {}
    disk = ""
    for line in text.splitlines():
        if match := re.match(r"(c\d+(?:t[0-9A-Fa-f]+)?d\d+)\s+Soft Errors", line):
            disk = match[1]
        if disk and (match := re.search(r"Serial No: *(\S+)", line)):
            found[disk] = "" if match[1] == "Size:" else match[1]
    return found


def _with_file_systems(machine: Machine, slices: Iterable[Slice]) -> list[Slice]:
    """`fstyp` names a file system, or fails where it knows none."""
    found = []
    for item in slices:
        kind = "" if item.uses else common.maybe(machine, "fstyp", item.path.replace("/dsk/", "/rdsk/")).strip()
        if kind and kind not in ("zfs", "unknown_fstyp"):
            item = replace(item, uses=(Use("filesystem", f"a file system of type '{kind}'"),))
        found.append(item)
    return found
