"""Everything that refuses: names, the host, the method, the slices, the order. Nothing has happened yet."""

import re

from opskit.errors import Misuse, OpskitError, Unable
from opskit.units import format_size, parse_size
from opskit.zfs import bootfiles, sizing
from opskit.zfs.conditions import holds
from opskit.zfs.facts import CONSENTS, Facts, Slice
from opskit.zfs.platforms import Platform
from opskit.zfs.steps import Plan, Wish, needs

# zpool(8): words that begin a vdev, and on illumos names that look like disks.
_RESERVED = re.compile(r"(mirror|raidz|draid|spare|log|cache|special|dedup|replacing)|c\d")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
UNEQUAL = 16 * sizing.MIB  # more difference than this, and zpool asks for -f


class Refused(Unable):
    """A safety check said no; nothing was changed."""


def refuse(message: str, hint: str = "") -> OpskitError:
    return Refused(message, hint=hint, code="refused")


def deadlock(platform: str) -> str:
    """The warning that goes with a zvol where swap on one is not safe."""
    name = {"linux": "Linux", "freebsd": "FreeBSD"}[platform]
    return (
        f"swap on a zvol can deadlock {name} when memory is short: zfs-create(8) advises against it, and "
        "openzfs/zfs#7734 is open since 2018"
    )


def check_names(wish: Wish) -> None:
    for what, name in (("pool", wish.pool), ("volume", wish.volume)):
        if not _NAME.fullmatch(name):
            raise Misuse(f"'{name}' is no name for a {what}", hint="begin with a letter; letters, digits, _ . -")
    if _RESERVED.match(wish.pool):
        raise Misuse(f"zpool reserves the name '{wish.pool}'", hint="choose another with --pool")
    for word in wish.allow:
        if word.partition("=")[0] not in CONSENTS or not word.partition("=")[2]:
            raise Misuse(
                f"'{word}' is no consent", hint="write --allow foreign-fs=DEVICE or --allow old-pool=DEVICE"
            )
    if wish.size not in ("auto", "max") and parse_size(wish.size) < sizing.MIB:
        raise Misuse(f"--size {wish.size} is less than 1 MiB", hint="write auto, max, or a size such as 2GiB")


def check_host(facts: Facts) -> None:
    if facts.confined:
        raise refuse(
            f"this is {facts.confined}: its swap belongs to the host around it", "run it on the host itself"
        )
    if not facts.root:
        word = {"illumos": "pfexec", "linux": "sudo", "freebsd": "doas or sudo"}[facts.platform]
        raise refuse(
            "only root can read what is on the disks",
            f"run the same command through {word}; `survey` needs no root",
        )


def chosen_method(facts: Facts, wish: Wish, platform: Platform) -> str:
    """The method, its programs there, and the deadlock known. Raises Misuse or Refused."""
    method = platform.methods[0] if wish.method == "auto" else wish.method
    if method not in platform.methods:
        raise Misuse(f"{method} is no method on {facts.platform}", hint=f"it has: {', '.join(platform.methods)}")
    missing = [program for program in platform.programs(method) if program in facts.missing]
    if missing:
        raise refuse(
            f"{', '.join(missing)} cannot be run here: not installed, or without its kernel module",
            "on Debian: apt install mdadm, or from contrib zfsutils-linux zfs-dkms",
        )
    if method == "zvol" and platform.methods[0] != "zvol" and not wish.accept_deadlock_risk:
        raise refuse(
            deadlock(facts.platform),
            f"--method {platform.methods[0]} is safe here; to have it anyway, add --accept-deadlock-risk",
        )
    return method


def named_devices(facts: Facts, wish: Wish) -> tuple[Slice, ...]:
    """The named slices, each fit to be written to once its swap is released. Raises Misuse or Refused."""
    found = tuple(fit_device(facts, wish, name) for name in wish.devices)
    if len(found) == 2:
        first, second = found
        if first.path == second.path:
            raise Misuse(f"{first.path} was named twice", hint="name two slices on two disks")
        if first.disk == second.disk and not wish.same_disk_ok:
            raise refuse(
                f"{first.path} and {second.path} are on one disk, {first.disk}: when it fails, both do",
                "name a slice of another disk, or add --same-disk-ok for a trial",
            )
    return found


def fit_device(facts: Facts, wish: Wish, name: str) -> Slice:
    device = facts.slice_named(name)
    if device is None:
        known = ", ".join(s.path.rpartition("/")[2] for s in facts.slices if not s.hindrances()) or "none is free"
        raise refuse(f"there is no slice {name} here", f"free slices: {known}; `survey` lists them all")
    allowed = frozenset(CONSENTS[reason] for reason in wish.allowed(device.path, device.names))
    for use in device.hindrances(allowed | {"swap"}):
        raise refuse(f"{device.path} {use}", _way_out(use.kind, device))
    if device.in_swap and any(line.kind != "swap" for line in bootfiles.naming(facts.files, device)):
        raise refuse(f"{device.path} is swap, and more than swap lines name it", "clear that up by hand first")
    if device.size < sizing.SMALLEST:
        raise refuse(f"{device.path} has {format_size(device.size)}: ZFS wants 64 MiB at least", "")
    return device


def _way_out(kind: str, device: Slice) -> str:
    reasons = {use: reason for reason, use in CONSENTS.items()}
    if kind in reasons:
        return f"if nobody needs that any more: --allow {reasons[kind]}={device.path}"
    return {
        "disk": f"opskit makes no slices; make one of the size you want, e.g. with fdisk {device.path}",
        "label": "name one of its slices",
        "boot-file": "take that line out by hand first",
        "overlap": "name a slice that stands alone; s2 is the whole disk by custom",
        "mounted": "choose another slice, or unmount it if it is not needed",
    }.get(kind, "choose another slice; `survey` shows which are free")


def check_free_name(facts: Facts, wish: Wish, method: str) -> None:
    taken = facts.pool(wish.pool) if method == "zvol" else facts.array(wish.pool)
    if taken:
        ours = " (ours: `status` tells how it is, `mirror` adds a disk)" if taken.mark else ""
        raise refuse(f"the name '{wish.pool}' is taken{ours}", "choose another with --pool")


def chosen_order(facts: Facts, wish: Wish, devices: tuple[Slice, ...]) -> str:
    """keep-swap needs an idle slice to begin on; with nothing to release both orders are one."""
    active = [device for device in devices if device.in_swap]
    idle = [device for device in devices if not device.in_swap]
    possible = bool(idle) and bool(active)
    if not active:
        return "keep-swap"
    if wish.order == "keep-swap" and not possible:
        raise refuse(
            "keep-swap is not possible: every named slice is active swap",
            "--order release-first --allow-less-swap",
        )
    order = "keep-swap" if possible and wish.order != "release-first" else "release-first"
    if order == "release-first" and not wish.allow_less_swap:
        amount = format_size(sum(device.size for device in active))
        raise refuse(
            f"release-first takes {amount} of swap away until the mirror is there",
            "add --allow-less-swap if the host can bear it" + ("; or --order keep-swap" if possible else ""),
        )
    for device in active if order == "release-first" else ():
        _check_memory(facts, device)
    return order


def _check_memory(facts: Facts, device: Slice) -> None:
    if holds(needs("memory", device.path, str(device.size)), facts) is False:
        swap = facts.swap_on(device.path)
        raise refuse(
            f"memory cannot take back what {device.path} holds ("
            f"{format_size(swap.used if swap else 0)} used, {format_size(facts.memory.releasable)} to spare)",
            "stop what uses the memory, or use --order keep-swap with an idle slice",
        )


def check_amounts(made: Plan) -> None:
    floor = min(made.swap_before, made.swap_after)
    if made.swap_lowest < floor and not made.wish.allow_less_swap:
        raise refuse(
            f"active swap would fall to {format_size(made.swap_lowest)} for a while", "add --allow-less-swap"
        )
