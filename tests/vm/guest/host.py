"""Inside the guest: the real commands, and a host that every scenario finds clean."""

import io
import json
import os
import re
import signal
import subprocess
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.cli import run

FSTAB = "/dev/vda / ext4 rw,noatime 0 1\n"
JOURNALS = Path("/var/lib/opskit/zfs-swap")
SERIALS = ("OPSKIT0", "OPSKIT1", "OPSKIT2", "OPSKIT4K")
MIB = 1 << 20


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)["data"]


def sh(command: str, check: bool = True) -> str:
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def opskit(*args: str, expect: int | None = 0) -> Ran:
    """`opskit zfs swap-mirror ARGS`, as root of the guest; in this process, because emulation starts
    Python slowly. `killed_at` starts a real one."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["zfs", "swap-mirror", *args])
    ran = Ran(code, out.getvalue(), err.getvalue())
    assert expect is None or ran.code == expect, f"{args}: {ran.code}\n{ran.out}\n{ran.err}"
    assert "Traceback" not in ran.err, ran.err
    return ran


def disk(number: int) -> str:
    """The node of a disk by its serial: kernels name disks as they find them."""
    return os.path.realpath(f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{SERIALS[number]}")


def part(number: int, slice_: int = 1) -> str:
    return f"{disk(number)}{slice_}"


def name(path: str) -> str:
    return path.rpartition("/")[2]


def clean() -> None:
    """Nothing mounted, no swap, no pool, no array, fresh slice tables of two 256 MiB slices, the first boot
    files, and no journal."""
    sh("swapoff -a; umount /mnt 2>/dev/null; udevadm settle", check=False)
    rescan()  # before arrays are stopped: a disk that comes back brings its old side of one
    for pool in sh("zpool list -Ho name").split():
        sh(f"zpool destroy -f {pool}")
    for node in re.findall(r"(?m)^(md\d+) :", Path("/proc/mdstat").read_text()):
        sh(f"mdadm --stop /dev/{node}")
    for number in range(len(SERIALS)):
        wipe(disk(number))
    sh("udevadm settle")
    stale = Path("/etc/fstab").read_text() != FSTAB or bool(
        sh("ls -d /etc/systemd/system/*.swap.d 2>/dev/null; true")
    )
    Path("/etc/fstab").write_text(FSTAB)
    conf = Path("/etc/mdadm/mdadm.conf")
    conf.write_text("".join(line + "\n" for line in conf.read_text().splitlines() if not line.startswith("ARRAY")))
    sh("rm -rf /etc/systemd/system/*.swap.d /var/lib/opskit /etc/initramfs-tools/conf.d/resume")
    if stale:
        sh("systemctl daemon-reload")


def wipe(path: str) -> None:
    """Two slices of 256 MiB with nothing at their ends. 4Kn disks need the size to be a multiple of 4 KiB."""
    sizes = [Path(f"/sys/class/block/{name(path)}{number}/size") for number in (1, 2)]
    if [int(size.read_text()) * 512 if size.exists() else 0 for size in sizes] != [256 * MIB, 256 * MIB]:
        sh(f"printf 'label: gpt\\nsize=256MiB\\nsize=256MiB\\n' | sfdisk -q --wipe always {path}")
        sh("udevadm settle")
    for number in (1, 2):
        with open(f"{path}{number}", "r+b", buffering=0) as file:
            for start in (0, 254 * MIB):
                file.seek(start)
                file.write(bytes(2 * MIB))
            os.fsync(file.fileno())


def rescan() -> None:
    """Disks that a scenario pulled out come back."""
    for host in Path("/sys/class/scsi_host").iterdir():
        (host / "scan").write_text("- - -")
    sh("udevadm settle")


def pull(path: str) -> None:
    """The disk is gone, as when its cable is."""
    Path(f"/sys/block/{name(path)}/device/delete").write_text("1")
    sh("udevadm settle")


def make_swap(path: str, *, in_fstab: bool = True) -> str:
    """An ordinary swap slice, active and in fstab by UUID; returns its UUID."""
    sh(f"mkswap -L old {path} && swapon {path} && udevadm settle")
    uuid = sh(f"blkid -p -s UUID -o value {path}").strip()
    if in_fstab:
        with Path("/etc/fstab").open("a") as file:
            file.write(f"UUID={uuid} none swap sw 0 0\n")
    return uuid


def swaps() -> dict[str, int]:
    """Active swap: node and size in KiB."""
    lines = Path("/proc/swaps").read_text().splitlines()[1:]
    return {line.split()[0]: int(line.split()[2]) for line in lines}


def ends(path: str) -> bytes:
    """The first and last MiB of a device, as the disk has them."""
    sh(f"blockdev --flushbufs {path}")
    with open(path, "rb") as file:
        head = file.read(MIB)
        file.seek(-MIB, os.SEEK_END)
        return head + file.read(MIB)


@dataclass(frozen=True)
class Before:
    """What a full undo must give back."""

    fstab: str
    swaps: dict[str, int]
    ends: tuple[bytes, ...]
    units: str

    @classmethod
    def of(cls, *paths: str) -> "Before":
        return cls(
            Path("/etc/fstab").read_text() + Path("/etc/mdadm/mdadm.conf").read_text(),
            swaps(),
            tuple(ends(path) for path in paths),
            sh("ls -R /etc/systemd/system"),
        )


ZVOL = ("--method", "zvol", "--accept-deadlock-risk")
MD = ("--method", "md")


def plan(*args: str, expect: int = 0) -> Ran:
    return opskit("plan", *args, "-o", "/run/plan.json", expect=expect)


def apply(*devices: str, expect: int | None = 0, extra: tuple[str, ...] = ()) -> Ran:
    names = ",".join(name(device) for device in devices)
    return opskit("apply", "/run/plan.json", "--yes", "--confirm", names, *extra, expect=expect)


def journal_lines() -> int:
    return sum(len(path.read_text().splitlines()) for path in JOURNALS.glob("*/journal.jsonl"))


def killed_at(lines: int, *args: str) -> bool:
    """Run opskit in a child and kill -9 it when the journal has so many lines; False when it ended first."""
    child = os.fork()
    if child == 0:
        with Path("/run/child.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            os._exit(run(["zfs", "swap-mirror", *args]))
    while True:
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            return False
        if journal_lines() >= lines:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True
        time.sleep(0.002)
