"""Linux: OpenZFS 2.0 and newer, md, util-linux and systemd."""

import json
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from opskit.zfs import bootfiles, zpool
from opskit.zfs.facts import MD_MARK, Array, Facts, Leaf, Memory, Slice, Swap, Use
from opskit.zfs.machine import Machine
from opskit.zfs.platforms import Persistence, common
from opskit.zfs.steps import Action, Condition, run

LSBLK = "NAME,PATH,TYPE,SIZE,START,FSTYPE,UUID,LABEL,PARTTYPE,PARTUUID,PARTLABEL,MOUNTPOINTS,PKNAME,LOG-SEC,PHY-SEC,RO,SERIAL,WWN"  # noqa: E501
UNITS = "/etc/systemd/system"
MDADM_CONF = "/etc/mdadm/mdadm.conf"
BOOT_FILES = ("/etc/fstab", "/etc/crypttab", bootfiles.RESUME, MDADM_CONF, "/proc/cmdline")
# A link that says what disk it is comes first; the World Wide Name says less to a person.
LINK_ORDER = ("ata-", "nvme-", "scsi-", "virtio-", "usb-", "wwn-")


class Linux:
    name = "linux"
    methods: tuple[str, ...] = ("md", "zvol")

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], str] = {}

    def _once(self, machine: Machine, *argv: str) -> str:
        """What a command said the first time: these answers do not change while opskit runs, and a survey
        is taken before every step."""
        if argv not in self._said:
            self._said[argv] = common.maybe(machine, *argv).strip()
        return self._said[argv]

    def survey(self, machine: Machine, named: Collection[str] = ()) -> Facts:
        version = zpool.version_of(self._once(machine, "zfs", "version"))
        pools, volumes = common.pools_and_volumes(machine, version, "/dev/", "/dev/zvol/")
        swaps = swaps_of(machine.read("/proc/swaps") or "", machine)
        arrays = _arrays(machine)
        files = common.read_files(machine, (*BOOT_FILES, *_unit_files(machine)))
        slices = _slices(machine, swaps)
        nodes = [volume.node for volume in volumes if volume.node] + [array.node for array in arrays]
        signatures = _signatures(machine, [s.path for s in slices if not _busy(s)] + nodes)
        volumes = tuple(replace(v, signature=_first(signatures.get(v.node, ()))) for v in volumes)
        arrays = tuple(replace(a, signature=_first(signatures.get(a.node, ()))) for a in arrays)
        slices = [_with_signatures(s, signatures.get(s.path)) for s in slices]
        slices = common.with_pool_uses(slices, pools)
        slices = common.with_labels(machine, slices, only_signed=True)
        slices = common.with_digests(machine, common.with_boot_uses(slices, files), named)
        return Facts(
            platform=self.name,
            release=_release(machine),
            zfs=version,
            root=machine.is_root(),
            confined=_container(machine, self._once(machine, "systemd-detect-virt")),
            systemd=machine.exists("/run/systemd/system"),
            page=int(self._once(machine, "getconf", "PAGESIZE") or 4096),
            hostid=self._once(machine, "hostid"),
            boot_id=(machine.read("/proc/sys/kernel/random/boot_id") or "").strip(),
            pool_properties=("ashift",),
            memory=_memory(machine.read("/proc/meminfo") or ""),
            slices=tuple(slices),
            swaps=swaps,
            pools=pools,
            volumes=volumes,
            arrays=arrays,
            files=files,
            missing=common.missing_programs(machine, self, pools),
        )

    def programs(self, method: str) -> tuple[str, ...]:
        shared = ("swapon", "swapoff", "mkswap", "wipefs", "lsblk", "udevadm")
        return (*shared, *(("zpool", "zfs", "zdb") if method == "zvol" else ("mdadm",)))

    def name_for_commands(self, device: Slice) -> str:
        return device.stable or device.path

    def name_for_swap(self, device: Slice, swap: Swap) -> str:
        """The lasting one: the next boot may give sda to another disk, and an undo may come after it."""
        return self.name_for_commands(device)

    def node(self, pool: str, volume: str) -> str:
        return f"/dev/zvol/{pool}/{volume}"

    def properties(self, facts: Facts) -> Mapping[str, str]:
        return {"compression": "zle", "volmode": "dev"}

    def release(self, path: str) -> Action:
        return run("swapoff", path)

    def activate(self, path: str, priority: int | None) -> Action:
        return run("swapon", *(() if priority is None else ("-p", str(priority))), path)

    def settle(self) -> tuple[Action, ...]:
        return (run("udevadm", "settle"),)

    def format(self, path: str, uuid: str) -> Action | None:
        return run("mkswap", "-U", uuid, path)

    def clear(self, path: str, signature: str) -> Action | None:
        return run("wipefs", "--all", "--types", signature, path)

    def reload(self, facts: Facts) -> tuple[Action, ...]:
        return (run("systemctl", "daemon-reload"),) if facts.systemd else ()

    def dump_settings(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def persist(self, facts: Facts, plan_id: str, method: str, target: str, priority: int | None) -> Persistence:
        """An fstab line; for a volume a drop-in too, because systemd orders swap units after nothing of ZFS
        by itself and ignores x-systemd.requires on swap lines."""
        # A pool or an array that assembles slowly still becomes swap; with nofail no boot waits for it.
        priorities = () if priority is None else (f"pri={priority}",)
        options = ",".join(("nofail", *priorities, "x-systemd.device-timeout=300"))
        comment = f"# opskit:{plan_id} mirrored swap: opskit zfs swap-mirror status"
        if method == "md":
            uuid = md_uuid(plan_id)
            lines = [
                ("/etc/fstab", f"UUID={swap_uuid(plan_id)} none swap {options} 0 0"),
                (MDADM_CONF, f"ARRAY {target} metadata=1.2 UUID={uuid}"),
            ]
            extra: tuple[Action, ...] = ()
            cleaning: tuple[Action, ...] = ()
            seen: tuple[Condition, ...] = ()
        else:
            lines = [("/etc/fstab", f"{target} none swap {options} 0 0")]
            drop_in = drop_in_path(target)
            text = drop_in_text(plan_id)
            extra, cleaning = (Action("write", (drop_in, text)),), (Action("delete", (drop_in,)),)
            seen = (Condition("file", (drop_in, text)),)
        reload = self.reload(facts)
        lines.insert(0, ("/etc/fstab", comment))
        return Persistence(
            do=(*extra, *(Action("append", pair) for pair in lines), *reload),
            undo=(*(Action("drop", pair) for pair in reversed(lines)), *cleaning, *reload),
            done=(*seen, *(Condition("line", pair) for pair in lines)),
        )

    def shell_test(self, condition: Condition) -> str:
        first, *rest = (shlex.quote(arg) for arg in condition.args)
        uuid = condition.args[1] if len(condition.args) > 1 else ""
        swapped = f'grep -q "^$(readlink -f {first}) " /proc/swaps'
        match condition.kind:
            case "unused":
                return (
                    f'[ -z "$(lsblk -no MOUNTPOINTS {first} | tr -d "[:space:]")" ] && ! {swapped}'
                    f' && ! zpool status -PL 2>/dev/null | grep -q "$(readlink -f {first}) "'
                )
            case "same":
                return f'[ "$(blockdev --getsize64 {first})" = {rest[0]} ]'
            case "swap-on":
                return swapped
            case "swap-off":
                return f"! {swapped}"
            case "header":
                return f'[ "$(blkid -p -s UUID -o value {first})" = {uuid} ]'
            case "array":
                return f"mdadm --detail --export /dev/md/{first} | grep -Fqx MD_UUID={rest[0]}"
            case "no-array":
                return f"[ ! -e /dev/md/{first} ]"
            case "synced":
                return f"mdadm --detail /dev/md/{first} | grep -Eq '^ *State : (clean|active) *$'"
            case "memory":
                last = "'$1 == d { n = $4 } END { print n + 0 }'"
                used = f'awk -v d="$(readlink -f {first})" {last} /proc/swaps'
                free = "awk '/^MemAvailable/ { print $2 }' /proc/meminfo"
                return f'[ "$({free})" -ge "$({used})" ]'
            case "clear":
                return f'[ -z "$(wipefs -n -t {",".join(condition.args[1:])} {first})" ]'
        return common.shell_test(condition)

    def privilege(self) -> str:
        return "sudo"


def swap_uuid(plan_id: str) -> str:
    """The UUID of the swap header, chosen here so that the fstab line is known before anything is made."""
    word = (plan_id * 3)[:32]
    return f"{word[:8]}-{word[8:12]}-4{word[13:16]}-8{word[17:20]}-{word[20:32]}"


def md_uuid(plan_id: str) -> str:
    """The array's UUID: our mark, then the plan."""
    word = (plan_id * 2)[:24]
    return f"{MD_MARK}:{word[:8]}:{word[8:16]}:{word[16:24]}"


def drop_in_path(target: str) -> str:
    """systemd.unit(5): the unit of a path has its slashes as dashes, and dashes escaped."""
    unit = target.strip("/").replace("-", "\\x2d").replace("/", "-")
    return f"{UNITS}/{unit}.swap.d/50-opskit.conf"


def drop_in_text(plan_id: str) -> str:
    return (
        f"# opskit:{plan_id}\n[Unit]\nWants=zfs-import.target zfs-volumes.target\n"
        "After=zfs-import.target zfs-volumes.target\n"
    )


def swaps_of(text: str, machine: Machine) -> tuple[Swap, ...]:
    """/proc/swaps, in KiB."""
    lines = text.splitlines()
    if lines and lines[0].split() != ["Filename", "Type", "Size", "Used", "Priority"]:
        raise zpool.unknown("/proc/swaps", lines[0])
    found = []
    for line in lines[1:]:
        words = line.split()
        if len(words) != 5:
            raise zpool.unknown("/proc/swaps", line)
        path = words[0].replace("\\040", " ")
        priority = int(words[4])
        found.append(
            Swap(
                path,
                machine.resolve(path),
                int(words[2]) * 1024,
                int(words[3]) * 1024,
                priority if priority >= 0 else None,
            )
        )
    return tuple(found)


def _memory(text: str) -> Memory:
    """A tenth of memory stays free, so that a release does not end in the OOM killer."""
    kib = {key: int(value) * 1024 for key, value in re.findall(r"(?m)^(\w+):\s+(\d+) kB", text)}
    total = kib.get("MemTotal", 0)
    return Memory(total, max(kib.get("MemAvailable", 0) - total // 10, 0))


def _release(machine: Machine) -> str:
    match = re.search(r'(?m)^PRETTY_NAME="?([^"\n]+)', machine.read("/etc/os-release") or "")
    return match[1] if match else "Linux"


def _container(machine: Machine, virtualization: str) -> str:
    """`systemd-detect-virt` names containers and machines alike; its exit code is 1 for neither."""
    if virtualization in _CONTAINERS:
        return f"a container ({virtualization})"
    inside = machine.exists("/.dockerenv") or machine.exists("/run/.containerenv")
    return "a container" if inside else ""


_CONTAINERS = frozenset(
    [
        "docker",
        "podman",
        "lxc",
        "lxc-libvirt",
        "systemd-nspawn",
        "openvz",
        "rkt",
        "wsl",
        "proot",
        "pouch",
        "container-other",
    ]
)


def _unit_files(machine: Machine) -> list[str]:
    found = []
    for name in machine.names(UNITS):
        if name.endswith(".swap"):
            found.append(f"{UNITS}/{name}")
        if name.endswith(".swap.d"):
            found += [f"{UNITS}/{name}/{inner}" for inner in machine.names(f"{UNITS}/{name}")]
    return found


def _slices(machine: Machine, swaps: Iterable[Swap]) -> list[Slice]:
    """Every partition and disk of lsblk, with what lsblk itself knows of its users."""
    text = common.text_of(machine, "lsblk", "-bJ", "-o", LSBLK)
    try:
        devices = json.loads(text)["blockdevices"]
    except (ValueError, KeyError) as error:
        raise zpool.unknown("lsblk", text) from error
    links = _links(machine)
    nodes = {swap.node for swap in swaps}
    found: list[Slice] = []
    for disk in devices:
        if disk["type"] == "disk" and not disk["name"].startswith(("zd", "zram", "fd")):
            found += _of_disk(disk, links, nodes)
    return found


def _of_disk(disk: Mapping[str, Any], links: Mapping[str, str], swap_nodes: set[str]) -> list[Slice]:
    parts = [child for child in disk.get("children", ()) if child["type"] == "part"]
    found = []
    for device in (disk, *parts):
        uses = [Use("mounted", point) for point in device["mountpoints"] if point and point != "[SWAP]"]
        if device["path"] in swap_nodes:
            uses.append(Use("swap"))
        for child in device.get("children", ()):
            if child["type"] != "part":
                uses.append(Use("array" if child["type"].startswith("raid") else "held", child["path"]))
        if device["ro"]:
            uses.append(Use("read-only"))
        if device is disk:
            own = " ".join(part["name"] for part in parts)
            uses.append(Use("label", own) if parts else Use("disk"))
        names = [
            f"{key}={device[field]}"
            for key, field in (
                ("UUID", "uuid"),
                ("LABEL", "label"),
                ("PARTUUID", "partuuid"),
                ("PARTLABEL", "partlabel"),
            )
            if device[field]
        ]
        names += [link for link, target in links.items() if target == device["path"]]
        found.append(
            Slice(
                path=device["path"],
                disk=disk["path"],
                size=int(device["size"]),
                stable=_best_link(device["path"], links),
                serial=disk["serial"] or disk["wwn"] or "",
                start=int(device["start"] or 0) * 512,
                physical_sector=max(int(device["phy-sec"]), int(device["log-sec"])),
                uses=tuple(uses),
                names=tuple(names),
                type=device["parttype"] or "",
                signatures=(device["fstype"],) if device["fstype"] else (),
            )
        )
    return found


def _links(machine: Machine) -> dict[str, str]:
    """Every link under /dev/disk that names a device by what it is, and its device."""
    found = {}
    for directory in ("/dev/disk/by-id", "/dev/disk/by-partuuid", "/dev/disk/by-uuid", "/dev/disk/by-label"):
        for name in machine.names(directory):
            found[f"{directory}/{name}"] = machine.resolve(f"{directory}/{name}")
    return found


def _best_link(path: str, links: Mapping[str, str]) -> str:
    own = sorted(link for link, target in links.items() if target == path)
    for prefix in LINK_ORDER:
        for link in own:
            if link.startswith(f"/dev/disk/by-id/{prefix}"):
                return link
    return next((link for link in own if "/by-partuuid/" in link), "")


def _busy(item: Slice) -> bool:
    return any(use.kind in ("mounted", "label", "disk") for use in item.uses)


def _signatures(machine: Machine, paths: list[str]) -> dict[str, tuple[str, ...]]:
    """What low-level probing finds on each device, nothing included; udev's memory of it can be stale."""
    if not machine.is_root() or not paths or not machine.has("wipefs"):
        return {}
    text = common.text_of(machine, "wipefs", "--no-act", "--json", *paths)
    try:
        entries = json.loads(text)["signatures"] if text.strip() else []
    except (ValueError, KeyError) as error:
        raise zpool.unknown("wipefs", text) from error
    by_name = {path.rpartition("/")[2]: path for path in paths}
    found: dict[str, list[str]] = {path: [] for path in paths}
    for entry in entries:
        word = f"swap:{entry['uuid']}" if entry["type"] == "swap" else entry["type"]
        found[by_name[entry["device"]]].append(word)
    return {path: tuple(dict.fromkeys(words)) for path, words in found.items()}


def _with_signatures(item: Slice, words: tuple[str, ...] | None) -> Slice:
    """A signature of something else is a use that only a named consent sets aside. Without `words` nobody
    could probe, and what lsblk has from udev is all there is."""
    if _busy(item):
        return item
    kinds = item.signatures if words is None else tuple(word.partition(":")[0] for word in words)
    strange = [kind for kind in kinds if kind not in ("swap", "zfs_member")]
    uses = item.uses
    if strange and not uses:
        uses = (Use("filesystem", f"a signature of type '{strange[0]}'"),)
    return replace(item, signatures=kinds, uses=uses)


def _first(words: tuple[str, ...]) -> str:
    return words[0] if words else ""


_MD = re.compile(
    r"(?m)^(md\S+) : (?:active|inactive)(?: \([\w-]+\))?(?: (raid\d+|linear))? (.+)\n(.*(?:\n\s+.*)*)"
)


def _arrays(machine: Machine) -> tuple[Array, ...]:
    """RAID 1 arrays of /proc/mdstat, with the names that mdadm knows."""
    found = []
    for node, level, members, rest in _MD.findall(machine.read("/proc/mdstat") or ""):
        if level != "raid1" or not machine.has("mdadm"):
            continue
        export = common.text_of(machine, "mdadm", "--detail", "--export", f"/dev/{node}")
        known = dict(line.partition("=")[::2] for line in export.splitlines())
        counts = re.search(r"\[(\d+)/(\d+)\]", rest)
        if counts is None:
            raise zpool.unknown("/proc/mdstat", rest)
        syncing = re.search(r"(?:recovery|resync|reshape) =\s*([\d.]+%)", rest)
        pending = re.search(r"(recovery|resync)\s*=\s*(DELAYED|PENDING)", rest)
        name = known.get("MD_NAME", node).rpartition(":")[2]
        uuid = known.get("MD_UUID", "")
        found.append(
            Array(
                name,
                f"/dev/md/{name}",
                f"/dev/{node}",
                int((machine.read(f"/sys/block/{node}/size") or "0").strip()) * 512,
                int(counts[1]),
                _members(members, int(counts[2])),
                syncing[1] if syncing else (pending[2].lower() if pending else ""),
                uuid if uuid.startswith(MD_MARK) else "",
            )
        )
    return tuple(found)


def _members(text: str, in_step: int) -> tuple[Leaf, ...]:
    """`sda1[2] sdc1[0](F)`: the members numbered last are the ones that still rebuild."""
    members = sorted(re.findall(r"(\S+?)\[(\d+)\]((?:\([A-Z]\))*)", text), key=lambda member: int(member[1]))
    leaves = []
    for name, _, flags in members:
        state = "faulty" if "(F)" in flags else "active" if in_step > 0 else "rebuilding"
        in_step -= state == "active"
        leaves.append(Leaf(name, f"/dev/{name}", state))
    return tuple(leaves)
