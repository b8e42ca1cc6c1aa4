"""Simulated hosts: the programs of illumos and FreeBSD with state behind them, faults at any command, and a
judge that looks at the host after every change.

The outputs have the forms that the real programs print; what they do to the state is what they do to a host.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from opskit.errors import Unable
from opskit.process import Finished
from opskit.zfs.facts import MARK

MIB = 1 << 20
READ_ONLY = {
    "uname", "zonename", "pagesize", "hostid", "kstat", "dumpadm", "prtvtoc", "iostat", "fstyp", "zdb",
    "sysctl", "freebsd-version", "diskinfo", "gpart", "glabel", "mount", "swapinfo", "dumpon",
}  # fmt: skip


Program = Callable[[list[str]], tuple[int, str, str]]


class Crash(BaseException):
    """The power went: nothing after this line of the tool ran."""


class BrokenInvariant(AssertionError):
    """The judge saw the host in a state that must never be."""


@dataclass
class Disk:
    size: int
    serial: str
    disk: str
    tag: int = 0
    start: int = 16 * MIB
    content: bytes = b""
    mounted: str = ""
    file_system: str = ""
    label: str = ""  # the pool whose label is on it


@dataclass
class SimPool:
    leaves: list[str]
    mark: str
    volumes: dict[str, dict[str, str]] = field(default_factory=dict)
    resilvering: int = 0  # looks until it is done
    states: dict[str, str] = field(default_factory=dict)
    errors: int = 0


@dataclass
class SimMirror:
    sides: list[str]
    rebuilding: dict[str, int] = field(default_factory=dict)


@dataclass
class Host:
    """State and programs that both platforms share. `plan_faults` maps the number of a changing command, from
    0, to one of fail, fail-after, crash-before, crash-after."""

    slices: dict[str, Disk]
    files: dict[str, str]
    swaps: dict[str, int] = field(default_factory=dict)  # path → bytes
    used: dict[str, int] = field(default_factory=dict)
    pools: dict[str, SimPool] = field(default_factory=dict)
    mirrors: dict[str, SimMirror] = field(default_factory=dict)
    memory: int = 8 << 30
    dump: str = ""
    root: bool = True
    faults: dict[int, str] = field(default_factory=dict)
    changes: int = 0
    commands: list[list[str]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    judge: "Callable[[Host], None]" = lambda host: None
    missing: set[str] = field(default_factory=set)
    looks_to_resilver: int = 2
    prefix: str = "/dev/"

    # --- Machine ---

    def run(self, argv: Sequence[str]) -> Finished:
        name, *args = argv
        self.commands.append([name, *args])
        if not self.has(name):
            raise Unable(f"{name}: no such program", code="missing_program")
        program = getattr(self, "do_" + name.replace("-", "_"))
        if self.reads_only(name, args):
            return self._finish(argv, program(args))
        fault = self.faults.get(self.changes, "")
        self.changes += 1
        if fault == "crash-before":
            raise Crash
        if fault == "fail":
            return self._finish(argv, (1, "", f"{name}: injected failure"))
        result = program(args)
        self.judge(self)
        if fault == "crash-after":
            raise Crash
        return self._finish(argv, (1, "", f"{name}: injected failure") if fault == "fail-after" else result)

    @staticmethod
    def _finish(argv: Sequence[str], result: tuple[int, str, str]) -> Finished:
        code, out, err = result
        return Finished(tuple(argv), code, out.encode(), err.encode(), 0.0)

    def reads_only(self, name: str, args: list[str]) -> bool:
        if name in ("zpool", "zfs", "swap", "gmirror"):
            return args[0] in ("status", "get", "list", "version", "-l", "-s")
        return name in READ_ONLY and "-d" not in args

    def has(self, program: str) -> bool:
        return program not in self.missing and hasattr(self, "do_" + program.replace("-", "_"))

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def replace(self, path: str, text: str) -> None:
        self.changed(lambda: self.files.__setitem__(path, text))

    def remove(self, path: str) -> None:
        self.changed(lambda: self.files.pop(path, None))

    def changed(self, change: Callable[[], object]) -> None:
        """An edit of a file counts as a change, and may be where the power goes."""
        fault = self.faults.get(self.changes, "")
        self.changes += 1
        if fault == "crash-before":
            raise Crash
        if fault == "fail":
            raise Unable("injected failure of a write")
        change()
        self.judge(self)
        if fault.startswith("crash"):
            raise Crash

    def resolve(self, path: str) -> str:
        return path

    def exists(self, path: str) -> bool:
        return path in self.slices or path in self.files or path in self.volume_nodes()

    def names(self, directory: str) -> list[str]:
        return []

    def ends(self, device: str, size: int) -> bytes:
        return self.slices[device].content.ljust(16, b"\0")

    def put_ends(self, device: str, size: int, ends: bytes) -> None:
        def put() -> None:
            self.write_to(device, ends)
            self.slices[device].label = ""

        self.changed(put)

    def is_root(self) -> bool:
        return self.root

    def sleep(self, seconds: float) -> None:
        return None

    # --- the state ---

    def volume_nodes(self) -> dict[str, int]:
        return {f"{self.node_prefix()}{pool}/{name}": int(values["size"])
                for pool, known in self.pools.items() for name, values in known.volumes.items()}  # fmt: skip

    def node_prefix(self) -> str:
        return "/dev/zvol/"

    def holder(self, path: str) -> str:
        """Who uses a slice right now, as the kernel would see it."""
        disk = self.slices[path]
        if disk.mounted:
            return f"mounted on {disk.mounted}"
        if path in self.swaps:
            return "swap"
        if path == self.dump:
            return "dump"
        for name, pool in self.pools.items():
            if path in pool.leaves:
                return f"pool {name}"
        for name, mirror in self.mirrors.items():
            if path in mirror.sides:
                return f"mirror {name}"
        return ""

    def write_to(self, path: str, content: bytes) -> None:
        if holder := self.holder(path):
            raise BrokenInvariant(f"wrote to {path}, which is in use: {holder}")
        self.written.append(path)
        self.slices[path].content = content

    def full(self, word: str) -> str:
        return word if word.startswith("/") else self.prefix + word

    # --- zpool, zfs ---

    def do_zpool(self, args: list[str]) -> tuple[int, str, str]:
        program: Program = getattr(self, f"zpool_{args[0]}")
        return program(args[1:])

    def zpool_get(self, rest: list[str]) -> tuple[int, str, str]:
        return 2, "", "missing property argument\nusage:\n\tget <...>\n\n\tashift   YES   <ashift>\n"

    def zpool_status(self, rest: list[str]) -> tuple[int, str, str]:
        if "-x" in rest:
            return 0, "all pools are healthy\n", ""
        if not self.pools:
            return 0, "no pools available\n", ""
        return 0, "\n".join(self.status_of(name, pool) for name, pool in self.pools.items()), ""

    def status_of(self, name: str, pool: SimPool) -> str:
        bad = any(state != "ONLINE" for state in pool.states.values())
        scan = "none requested"
        if pool.resilvering:
            pool.resilvering -= 1
            scan = "resilver in progress since Sat Jan 28 14:25:44 2023\n\t3.46G scanned out of 6.54G at 111M/s,"
            scan += " 0h0m to go\n\t1.2G resilvered, 52.94% done"
        elif len(pool.leaves) > 1:
            scan = "resilvered 2.3M in 00:00:01 with 0 errors on Thu Nov 19 10:00:00 2026"
        rows = [f"\t{name:<12}{'DEGRADED' if bad else 'ONLINE':<10} 0     0     0"]
        deep = len(pool.leaves) > 1
        if deep:
            rows.append(f"\t  {'mirror-0':<10}{'DEGRADED' if bad else 'ONLINE':<10} 0     0     0")
        for leaf in pool.leaves:
            state = pool.states.get(leaf, "ONLINE")
            note = "  (resilvering)" if pool.resilvering and leaf == pool.leaves[-1] else ""
            indent = "    " if deep else "  "
            rows.append(f"\t{indent}{leaf.rpartition('/')[2]:<10}{state:<10} 0     {pool.errors}     0{note}")
        return (
            f"  pool: {name}\n state: {'DEGRADED' if bad else 'ONLINE'}\n  scan: {scan}\nconfig:\n\n"
            "\tNAME        STATE     READ WRITE CKSUM\n" + "\n".join(rows)
            + "\n\nerrors: No known data errors\n"
        )  # fmt: skip

    def zpool_create(self, rest: list[str]) -> tuple[int, str, str]:
        if "-f" in rest:
            raise BrokenInvariant("zpool create -f")
        words, mark = [], ""
        items = iter(rest)
        for item in items:
            if item in ("-o", "-O", "-m"):
                value = next(items)
                mark = value.partition("=")[2] if item == "-O" else mark
            else:
                words.append(item)
        name, *layout = words
        devices = [self.full(word) for word in layout if word != "mirror"]
        if name in self.pools:
            return 1, "", f"cannot create '{name}': pool already exists"
        for device in devices:
            if self.holder(device):
                return 1, "", f"invalid vdev specification\n{device} is in use"
        for device in devices:
            self.write_to(device, b"zfs label")
            self.slices[device].label = name
        self.pools[name] = SimPool(devices, mark)
        return 0, "", ""

    def zpool_destroy(self, rest: list[str]) -> tuple[int, str, str]:
        name = rest[-1]
        if name not in self.pools:
            return 1, "", f"cannot open '{name}': no such pool"
        if not self.pools[name].mark:
            raise BrokenInvariant(f"destroyed the foreign pool {name}")
        if any(node in self.swaps for node in self.volume_nodes() if f"/{name}/" in node):
            return 1, "", f"cannot destroy '{name}': pool is busy"
        for leaf in self.pools.pop(name).leaves:
            self.slices[leaf].label = ""
        return 0, "", ""

    def zpool_attach(self, rest: list[str]) -> tuple[int, str, str]:
        name, _, new = rest
        device = self.full(new)
        if self.holder(device):
            return 1, "", f"{device} is in use"
        self.write_to(device, b"zfs label")
        pool = self.pools[name]
        pool.leaves.append(device)
        pool.resilvering = self.looks_to_resilver
        return 0, "", ""

    def zpool_replace(self, rest: list[str]) -> tuple[int, str, str]:
        name, old, new = rest
        pool, device = self.pools[name], self.full(new)
        self.write_to(device, b"zfs label")
        pool.leaves = [device if leaf == self.full(old) else leaf for leaf in pool.leaves]
        pool.states.clear()
        pool.resilvering = self.looks_to_resilver
        return 0, "", ""

    def zpool_detach(self, rest: list[str]) -> tuple[int, str, str]:
        name, device = rest[0], self.full(rest[1])
        if device not in self.pools[name].leaves:
            return 1, "", "no such device in pool"
        self.pools[name].leaves.remove(device)
        self.pools[name].resilvering = 0
        return 0, "", ""

    def do_zfs(self, args: list[str]) -> tuple[int, str, str]:
        program: Program = getattr(self, f"zfs_{args[0]}")
        return program(args[1:])

    def zfs_version(self, rest: list[str]) -> tuple[int, str, str]:
        return 2, "", "unrecognized command 'version'"

    def zfs_get(self, rest: list[str]) -> tuple[int, str, str]:
        rows = []
        for name, pool in self.pools.items():
            size = min(self.slices[leaf].size for leaf in pool.leaves)
            rows += [(name, "type", "filesystem", "-"), (name, "available", str(size - 200 * MIB), "-"),
                     (name, "volsize", "-", "-"), (name, "volblocksize", "-", "-"),
                     (name, MARK, pool.mark or "-", "local" if pool.mark else "-")]  # fmt: skip
            for volume, values in pool.volumes.items():
                full = f"{name}/{volume}"
                rows += [(full, "type", "volume", "-"), (full, "available", "0", "-"),
                         (full, "volsize", values["size"], "local"), (full, "volblocksize", "4096", "-"),
                         (full, MARK, values["mark"] or "-", "local")]  # fmt: skip
        return 0, "".join("\t".join(row) + "\n" for row in rows), ""

    def zfs_create(self, rest: list[str]) -> tuple[int, str, str]:
        size = rest[rest.index("-V") + 1]
        mark = next((word.partition("=")[2] for word in rest if word.startswith("org.opskit")), "")
        pool, _, volume = rest[-1].partition("/")
        if volume in self.pools[pool].volumes:
            return 1, "", f"cannot create '{rest[-1]}': dataset already exists"
        self.pools[pool].volumes[volume] = {"size": size, "mark": mark}
        return 0, "", ""

    def zfs_destroy(self, rest: list[str]) -> tuple[int, str, str]:
        pool, _, volume = rest[-1].partition("/")
        if f"{self.node_prefix()}{rest[-1]}" in self.swaps:
            return 1, "", f"cannot destroy '{rest[-1]}': dataset is busy"
        if not self.pools[pool].volumes[volume]["mark"]:
            raise BrokenInvariant(f"destroyed the foreign volume {rest[-1]}")
        del self.pools[pool].volumes[volume]
        return 0, "", ""

    def do_zdb(self, args: list[str]) -> tuple[int, str, str]:
        path = args[-1].replace("/rdsk/", "/dsk/")
        label = self.slices[path].label if path in self.slices else ""
        if not label:
            return 2, "", "failed to unpack label 0"
        return 0, f"LABEL 0\n    version: 5000\n    name: '{label}'\n    state: 1\n", ""

    def do_hostid(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "1a8c7b83\n", ""

    def do_fstyp(self, args: list[str]) -> tuple[int, str, str]:
        kind = self.slices[args[-1].replace("/rdsk/", "/dsk/")].file_system
        return (0, kind + "\n", "") if kind else (1, "", "unknown_fstyp (no matches)")

    # --- swap areas, in either platform's words ---

    def size_of(self, path: str) -> int:
        if path in self.slices:
            return self.slices[path].size
        if path in self.volume_nodes():
            return self.volume_nodes()[path]
        name = path.removeprefix("/dev/mirror/")
        if name in self.mirrors:
            return min(self.slices[side].size for side in self.mirrors[name].sides) - 512
        return 0

    def add_swap(self, path: str) -> tuple[int, str, str]:
        if path in self.swaps:
            return 1, "", f"{path}: already in use for swapping"
        if not self.size_of(path):
            return 2, "", f"{path}: No such file or directory"
        if path in self.slices and self.holder(path):
            raise BrokenInvariant(f"swapped on {path}, which is in use: {self.holder(path)}")
        self.swaps[path] = self.size_of(path)
        return 0, "", ""

    def drop_swap(self, path: str) -> tuple[int, str, str]:
        if path not in self.swaps:
            return 2, "", f"{path}: Invalid argument"
        if self.memory < self.swaps[path]:
            return 2, "", f"{path}: Not enough space"
        del self.swaps[path]
        return 0, "", ""

    def state(self) -> str:
        """Everything that an undo must give back."""
        devices = {path: (disk.content.rstrip(b"\0"), disk.label) for path, disk in self.slices.items()}
        return repr((self.files, sorted(self.swaps.items()), self.pools, self.mirrors, devices, self.dump))


class IllumosHost(Host):
    """OpenSolaris 2008.11 and its children."""

    def names(self, directory: str) -> list[str]:
        return sorted({f"{disk.disk}s2" for disk in self.slices.values()}) if directory == "/dev/rdsk" else []

    def node_prefix(self) -> str:
        return "/dev/zvol/dsk/"

    def do_uname(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "SunOS\n", ""

    def do_zonename(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "global\n", ""

    def do_pagesize(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "4096\n", ""

    def do_kstat(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "unix:0:system_misc:boot_time\t1227000000\n", ""

    def do_dumpadm(self, args: list[str]) -> tuple[int, str, str]:
        if args[:1] == ["-d"]:
            self.dump = args[1]
        return (
            0,
            f"      Dump content: kernel pages\n       Dump device: {self.dump or 'none'} (dedicated)\n",
            "",
        )

    def do_iostat(self, args: list[str]) -> tuple[int, str, str]:
        serials = {disk.disk: disk.serial for disk in self.slices.values()}
        row = (
            "{:<16} Soft Errors: 0 Hard Errors: 0 Transport Errors: 0\n"
            "Model: VBOX HARDDISK   Revision:  Serial No: {} Size: 8.59GB <8589934080 bytes>\n"
        )
        return 0, "".join(row.format(*pair) for pair in serials.items()), ""

    def do_prtvtoc(self, args: list[str]) -> tuple[int, str, str]:
        disk = args[-1].rpartition("/")[2].removesuffix("s2")
        rows = [
            "* Dimensions:", "*         512 bytes/sector", "*        2500 cylinders",
            "*                            First       Sector      Last",
            "* Partition  Tag  Flags      Sector       Count      Sector  Mount Directory",
        ]  # fmt: skip
        for path, item in self.slices.items():
            if item.disk == disk:
                first, count = item.start // 512, item.size // 512
                rows.append(
                    f"       {path[-1]}  {item.tag:>5}    00  {first:>10}  {count:>10}  {first + count - 1}"
                )
        rows.append("       2      5    00           0    16777216    16777215")
        return 0, "\n".join(rows) + "\n", ""

    def do_swap(self, args: list[str]) -> tuple[int, str, str]:
        if args[0] == "-s":
            kib = self.memory // 1024
            return (
                0,
                f"total: 283264k bytes allocated + 258412k reserved = 541676k used, {kib}k available\n",
                "",
            )
        if args[0] == "-l":
            if not self.swaps:
                return 1, "", "No swap devices configured\n"
            rows = [
                f"{path:<19} 182,1         8  {size // 512:>7}  {(size - self.used.get(path, 0)) // 512}"
                for path, size in self.swaps.items()
            ]
            return 0, "swapfile             dev    swaplo   blocks     free\n" + "\n".join(rows) + "\n", ""
        result = self.add_swap(args[1]) if args[0] == "-a" else self.drop_swap(args[1])
        self.dump = self.dump and "/dev/zvol/dsk/moved/dump"  # swap.c moves the dump device behind one's back
        return result


class FreeBSDHost(Host):
    def do_uname(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "FreeBSD\n", ""

    def do_freebsd_version(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "14.1-RELEASE\n", ""

    def do_sysctl(self, args: list[str]) -> tuple[int, str, str]:
        known = {
            "security.jail.jailed": "0", "hw.pagesize": "4096", "kern.hostuuid": "h-1",
            "hw.physmem": str(1 << 30),
            "kern.boottime": "{ sec = 1700000000 }", "vm.stats.vm.v_inactive_count": "0",
            "vm.stats.vm.v_free_count": str(self.memory // 4096),
            "kern.disks": " ".join(sorted({disk.disk for disk in self.slices.values()})),
        }  # fmt: skip
        return 0, known[args[-1]] + "\n", ""

    def do_diskinfo(self, args: list[str]) -> tuple[int, str, str]:
        name = args[-1]
        if name.startswith("mirror/"):
            return 0, f"{name}\t512\t{self.size_of('/dev/' + name)}\t1\t0\t0\n", ""
        if args[0] == "-s":
            return 0, next(disk.serial for disk in self.slices.values() if disk.disk == name) + "\n", ""
        return 0, f"{name}\t512\t250059350016\t488397168\t0\t0\t484521\t16\t63\n", ""

    def do_gpart(self, args: list[str]) -> tuple[int, str, str]:
        rows = []
        for disk in sorted({item.disk for item in self.slices.values()}):
            rows.append(f"=>       40  488397088    {disk}  GPT  (233G)")
            for path, item in self.slices.items():
                if item.disk == disk:
                    rows.append(f"  {item.start // 512}  {item.size // 512}  {path[5:]}  freebsd-swap  (2.0G)")
            rows.append("  484000000  397128  - free -  (194M)\n")
        return 0, "\n".join(rows) + "\n", ""

    def do_glabel(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "".join(f"gpt/swap{i}     N/A  {path[5:]}\n" for i, path in enumerate(self.slices)), ""

    def do_mount(self, args: list[str]) -> tuple[int, str, str]:
        return 0, "".join(f"{path}\t{disk.mounted}\tufs\trw\t1 1\n" for path, disk in self.slices.items()
                          if disk.mounted), ""  # fmt: skip

    def do_dumpon(self, args: list[str]) -> tuple[int, str, str]:
        return 0, (self.dump.removeprefix("/dev/") or "/dev/null") + "\n", ""

    def do_swapinfo(self, args: list[str]) -> tuple[int, str, str]:
        rows = [f"{path:<16} {size // 1024:>9} {self.used.get(path, 0) // 1024:>8} {size // 1024:>8}     0%"
                for path, size in self.swaps.items()]  # fmt: skip
        total = ["Total   1 0 1 0%"] if len(rows) > 1 else []
        return (
            0,
            "\n".join(["Device          1K-blocks     Used    Avail Capacity", *rows, *total]) + "\n",
            "",
        )

    def do_swapon(self, args: list[str]) -> tuple[int, str, str]:
        return self.add_swap(args[-1])

    def do_swapoff(self, args: list[str]) -> tuple[int, str, str]:
        return self.drop_swap(args[-1])

    def do_gmirror(self, args: list[str]) -> tuple[int, str, str]:
        verb, *rest = args
        if verb == "status":
            return 0, self._mirror_status(), ""
        if verb == "load":
            return 0, "", ""
        if verb == "label":
            name, *sides = rest[2:]
            if name in self.mirrors:
                return 1, "", "gmirror: Can't store metadata: already exists"
            for side in sides:
                self.write_to(self.full(side), b"gmirror")
            self.mirrors[name] = SimMirror([self.full(side) for side in sides])
        elif verb == "destroy":
            if f"/dev/mirror/{rest[0]}" in self.swaps:
                return 1, "", "gmirror: Device busy"
            del self.mirrors[rest[0]]
        elif verb == "insert":
            self.write_to(self.full(rest[1]), b"gmirror")
            self.mirrors[rest[0]].sides.append(self.full(rest[1]))
            self.mirrors[rest[0]].rebuilding[self.full(rest[1])] = self.looks_to_resilver
        elif verb == "remove":
            self.mirrors[rest[0]].sides.remove(self.full(rest[1]))
        return 0, "", ""

    def _mirror_status(self) -> str:
        rows = []
        for name, mirror in self.mirrors.items():
            for side in mirror.sides:
                left = mirror.rebuilding.get(side, 0)
                mirror.rebuilding[side] = max(left - 1, 0)
                word = f"SYNCHRONIZING, {100 - 10 * left}%" if left else "ACTIVE"
                whole = "DEGRADED" if any(mirror.rebuilding.values()) else "COMPLETE"
                rows.append(f"mirror/{name}  {whole}  {side[5:]} ({word})\n")
        return "".join(rows)


def fence_judge(host: Host) -> None:
    """Whenever the power goes, the next boot must not swap on a side of a pool or a mirror."""
    table = host.files.get("/etc/vfstab", "") + host.files.get("/etc/fstab", "")
    held = {leaf for pool in host.pools.values() for leaf in pool.leaves}
    held |= {side for mirror in host.mirrors.values() for side in mirror.sides}
    for line in table.splitlines():
        words = line.split()
        if words and not line.startswith("#") and "swap" in words[2:4] and words[0] in held:
            raise BrokenInvariant(f"a boot line names {words[0]}, a side of a mirror, as swap")


def swap_judge(least: int) -> Callable[[Host], None]:
    def judge(host: Host) -> None:
        fence_judge(host)
        total = sum(host.swaps.values())
        if total < least:
            raise BrokenInvariant(f"active swap fell to {total}, below {least}")

    return judge


def illumos(size: int = 2048 * MIB) -> IllumosHost:
    """One active swap slice with its vfstab line, an idle slice of the same size on another disk, a third."""
    slices = {
        f"/dev/dsk/c3d{n}s1": Disk(size, f"VB{n}", f"c3d{n}", 3, content=hashlib.md5(b"%d" % n).digest())
        for n in range(3)
    }
    vfstab = "#device\tto fsck\n/dev/dsk/c3d0s1\t-\t-\tswap\t-\tno\t-\n/dev/dsk/c3d1s1\t-\t-\tswap\t-\tno\t-\n"
    files = {
        "/etc/vfstab": vfstab,
        "/etc/release": "  OpenSolaris 2008.11 snv_101b_rc2 X86\n",
        "/etc/mnttab": "",
    }
    host = IllumosHost(slices, files, {"/dev/dsk/c3d0s1": size}, prefix="/dev/dsk/")
    host.judge = fence_judge
    return host


def freebsd(size: int = 2048 * MIB) -> FreeBSDHost:
    slices = {
        f"/dev/ada{n}p2": Disk(size, f"S{n}", f"ada{n}", content=hashlib.md5(b"%d" % n).digest()) for n in range(3)
    }
    fstab = "/dev/ada0p2\tnone\tswap\tsw\t0\t0\n"
    host = FreeBSDHost(
        slices, {"/etc/fstab": fstab, "/boot/loader.conf": 'zfs_load="YES"\n'}, {"/dev/ada0p2": size}
    )
    host.judge = fence_judge
    return host


def names_of(host: Host, *numbers: int) -> tuple[str, ...]:
    paths = list(host.slices)
    return tuple(re.sub(r"^/dev/(dsk/)?", "", paths[number]) for number in numbers)
