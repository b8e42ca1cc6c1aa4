"""Boots the cached guest with spare disks, hands it a payload, and brings back what it wrote."""

import functools
import os
import subprocess
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(__file__).with_name("build-image.sh")
SECTOR = 512
BOOTS = 2  # the scenarios before the reboot, and those after it
# What is needed comes first, and what the guest has no use for is not looked for: probing takes most of a boot.
BOOT = (
    "root=/dev/vda rw console=ttyS0 quiet panic=5 systemd.show_status=0 mitigations=off "
    "modules-load=virtio_scsi,sd_mod,zfs "
    "module_blacklist=ata_piix,ata_generic,pata_acpi,psmouse,pcspkr,i2c_piix4,floppy,parport_pc,raid456,raid6_pq"
)
KVM = ("-accel", "kvm", "-cpu", "host")


@dataclass(frozen=True)
class Disk:
    """A spare disk of the guest. `sector` is its logical sector: 512, or 4096 for a 4Kn disk."""

    serial: str
    size: int
    sector: int = SECTOR


def cache() -> Path:
    """Where images are kept; the same rule as build-image.sh has."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("OPSKIT_VM_CACHE") or Path(home) / "opskit")


def built(version: str) -> bool:
    return (cache() / f"zfs-{version}" / "recipe").exists()


def build(version: str) -> None:
    """Build the image unless it is there in this recipe."""
    subprocess.run(["nice", "-n", "10", str(BUILD), version], check=True)


def run(version: str, payload: Path, work: Path, disks: Sequence[Disk], timeout: float) -> Path:
    """Boot, let start.sh of `payload` run, wait for the power-off, and return the directory of results.

    The root disk is a copy, so every run starts from the same guest. A guest that reboots is started anew, as
    after a power cut: an emulated reset can stall a kernel for minutes. Raises TimeoutExpired or
    CalledProcessError, and AssertionError when the guest wrote no results.
    """
    image = cache() / f"zfs-{version}"
    handed, brought, root = work / "payload.img", work / "results.img", work / "root.img"
    with tarfile.open(handed, "w") as tar:
        tar.add(payload, ".")
    _allocate(brought, 64 << 20)
    subprocess.run(["cp", "--sparse=always", str(image / "disk.img"), str(root)], check=True)
    arguments = [
        "qemu-system-x86_64", *accelerator(image / "vmlinuz"),
        "-smp", "1", "-m", "2048", "-nodefaults", "-no-user-config", "-display", "none",
        "-serial", "stdio", "-no-reboot", "-kernel", str(image / "vmlinuz"),
        "-initrd", str(image / "initrd"), "-append", BOOT,
        "-drive", f"file={root},if=virtio,format=raw,cache=unsafe",
        "-drive", f"file={handed},if=virtio,format=raw,readonly=on",
        "-drive", f"file={brought},if=virtio,format=raw",
        "-device", "virtio-scsi-pci,id=scsi",
    ]  # fmt: skip
    for index, disk in enumerate(disks):
        file = work / f"{disk.serial}.img"
        _allocate(file, disk.size)
        arguments += [
            "-drive", f"file={file},if=none,format=raw,id=disk{index},cache=unsafe,discard=unmap",
            "-device", ",".join((
                f"scsi-hd,drive=disk{index},serial={disk.serial},bus=scsi.0",
                f"logical_block_size={disk.sector},physical_block_size={disk.sector}",
            )),
        ]  # fmt: skip
    deadline = time.monotonic() + timeout
    with (work / "console.log").open("wb") as console:
        for _ in range(BOOTS):
            subprocess.run(
                arguments, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                timeout=deadline - time.monotonic(), check=True,
            )  # fmt: skip
            if _written(brought):
                break
    root.unlink()
    results = work / "results"
    assert _written(brought), f"the guest wrote no results; see {work / 'console.log'}"
    with tarfile.open(brought) as tar:
        tar.extractall(results, filter="data")
    return results


@functools.cache
def accelerator(kernel: Path) -> tuple[str, ...]:
    """KVM where a kernel comes up under it, else emulation: /dev/kvm alone promises nothing, and where it is
    there without the processor's help, qemu aborts or hangs. OPSKIT_VM_ACCEL=tcg or =kvm decides instead."""
    chosen = os.environ.get("OPSKIT_VM_ACCEL") or ("kvm" if os.access("/dev/kvm", os.W_OK) else "tcg")
    if chosen == "kvm" and ("OPSKIT_VM_ACCEL" in os.environ or _kernel_starts(kernel, KVM)):
        return KVM
    return ("-accel", "tcg,thread=multi", "-cpu", "max")


def _kernel_starts(kernel: Path, accelerator: Sequence[str]) -> bool:
    """Whether a kernel gets as far as to miss its root disk, for which hardware needs a second or two."""
    arguments = [
        "qemu-system-x86_64", *accelerator, "-m", "256", "-nodefaults", "-no-user-config", "-display", "none",
        "-serial", "stdio", "-no-reboot", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1",
    ]  # fmt: skip
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and b"Unable to mount root" in done.stdout


def _written(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) != b"\0"


def _allocate(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
