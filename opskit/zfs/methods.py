"""The three ways to mirror swap, as steps: a ZFS pool with a volume, md RAID 1, gmirror.

Each makes a mirror of one device or two, takes a second one in, swaps one for another, and goes away again.
"""

from collections.abc import Mapping
from typing import Protocol

from opskit.zfs import sizing
from opskit.zfs.facts import CONSENTS, MARK, Facts, Slice
from opskit.zfs.platforms import Platform
from opskit.zfs.platforms.linux import md_uuid, swap_uuid
from opskit.zfs.steps import Action, Condition, Step, Wish, needs, run


class Method(Protocol):
    """`name` is the pool's or the array's name; `mark` what shows that it is ours."""

    target: str
    mark: str

    def create(self, devices: tuple[Slice, ...]) -> list[Step]: ...
    def attach(self, old: Slice, new: Slice) -> Step: ...
    def replace(self, members: tuple[str, ...], old: str, new: Slice) -> Step: ...
    def remove(self) -> list[Step]: ...
    def size(self, smallest: int) -> int:
        """Bytes of swap on a slice of this size; 0 when it is too small."""


def usable_conditions(device: Slice, wish: Wish) -> tuple[Condition, ...]:
    """What must hold seconds before a device is written to."""
    allowed = tuple(sorted(wish.allowed(device.path, device.names)))
    key = device.stable or device.path
    return (needs("unused", key, *allowed), needs("same", key, str(device.size), device.serial))


class Base:
    def __init__(self, platform: Platform, facts: Facts, wish: Wish, mark: str) -> None:
        self.platform, self.facts, self.wish, self.mark = platform, facts, wish, mark

    def word(self, device: Slice) -> str:
        return self.platform.name_for_commands(device)

    def words(self, devices: tuple[Slice, ...]) -> tuple[str, ...]:
        return tuple(self.word(device) for device in devices)

    def usable(self, *devices: Slice) -> tuple[Condition, ...]:
        return tuple(condition for device in devices for condition in usable_conditions(device, self.wish))


class Zvol(Base):
    """A pool of one disk or a mirror, and a thick volume in it (zfs-create(8), OpenZFS FAQ)."""

    @property
    def target(self) -> str:
        return self.platform.node(self.wish.pool, self.wish.volume)

    @property
    def block(self) -> int:
        return self.facts.page

    @property
    def volume(self) -> str:
        return f"{self.wish.pool}/{self.wish.volume}"

    def size(self, smallest: int) -> int:
        return sizing.largest_volume(smallest, self.block)

    def create(self, devices: tuple[Slice, ...]) -> list[Step]:
        return [self._pool(devices), self._volume()]

    def _pool(self, devices: tuple[Slice, ...]) -> Step:
        words = self.words(devices)
        layout = ("mirror", *words) if len(words) > 1 else words
        # The physical sector of every disk that may join; 4 KiB at least, which no modern disk dislikes.
        shift = max([12, *(device.physical_sector.bit_length() - 1 for device in devices)])
        options = ("-o", f"ashift={shift}") if "ashift" in self.facts.pool_properties else ()
        force = ("-f",) if self._forced(devices) else ()
        pool = self.wish.pool
        return Step(
            "create-pool",
            "a pool of its own, not mounted anywhere, marked as ours",
            do=(
                run(
                    "zpool",
                    "create",
                    *force,
                    "-m",
                    "legacy",
                    *options,
                    "-O",
                    f"{MARK}={self.mark}",
                    pool,
                    *layout,
                ),
            ),
            undo=(run("zpool", "destroy", pool),),
            needs=(needs("no-pool", pool), *self.usable(*devices)),
            done=(needs("pool", pool, self.mark), needs("sides", pool, *words)),
            undo_needs=(needs("pool", pool, self.mark),),
            devices=words,
        )

    def _forced(self, devices: tuple[Slice, ...]) -> bool:
        """illumos reads old file systems through its own library, and only -f, consented to, passes it."""
        return self.platform.clear("", "") is None and any(
            CONSENTS.get(reason) == use.kind
            for device in devices
            for use in device.uses
            for reason in self.wish.allowed(device.path, device.names)
        )

    def properties(self) -> Mapping[str, str]:
        """checksum stays on: without it a mirror cannot tell which side is right. Thick, because a write to
        swap that finds no space kills what swaps."""
        return {
            "checksum": "on",
            "sync": "always",
            "logbias": "throughput",
            "primarycache": "metadata",
            "secondarycache": "none",
            "copies": "1",
            "dedup": "off",
            "com.sun:auto-snapshot": "false",
            **self.platform.properties(self.facts),
            MARK: self.mark,
        }

    def _volume(self) -> Step:
        size = self.wanted_size
        options = [word for key, value in self.properties().items() for word in ("-o", f"{key}={value}")]
        return Step(
            "create-volume",
            "the volume that becomes swap; its blocks are pages, so that no page-out reads first",
            do=(
                run("zfs", "create", "-V", str(size), "-b", str(self.block), *options, self.volume),
                *self.platform.settle(),
            ),
            undo=(run("zfs", "destroy", self.volume),),
            needs=(
                needs("no-volume", self.volume),
                needs("pool", self.wish.pool, self.mark),
                needs("room", self.wish.pool, str(sizing.reservation(size, self.block))),
            ),
            done=(needs("volume", self.volume, str(size), self.mark),),
            waits=(needs("node", self.target),),
            undo_needs=(needs("volume", self.volume, str(size), self.mark), needs("swap-off", self.target)),
        )

    wanted_size: int = 0

    def attach(self, old: Slice, new: Slice) -> Step:
        pool, first, second = self.wish.pool, self.word(old), self.word(new)
        return Step(
            "mirror",
            "the second disk takes a copy; from here on either may fail",
            do=(run("zpool", "attach", pool, first, second),),
            undo=(run("zpool", "detach", pool, second),),
            needs=(needs("pool", pool, self.mark), needs("leaves", pool, first), *self.usable(new)),
            done=(needs("leaves", pool, first, second),),
            waits=(needs("resilvered", pool),),
            undo_needs=(needs("pool", pool, self.mark),),
            devices=(second,),
        )

    def replace(self, members: tuple[str, ...], old: str, new: Slice) -> Step:
        pool, word = self.wish.pool, self.word(new)
        leaf = next(side for p in self.facts.pools if p.name == pool for side in p.leaves if side.path == old)
        name = leaf.guid if leaf.state in ("UNAVAIL", "REMOVED") and leaf.guid else leaf.name
        rest = tuple(member for member in members if member != old)
        return Step(
            "replace",
            f"{word} takes the place and the content of {old}",
            do=(run("zpool", "replace", pool, name, word),),
            needs=(needs("pool", pool, self.mark), *self.usable(new)),
            done=(needs("leaves", pool, *rest, word),),
            waits=(needs("resilvered", pool),),
            devices=(word,),
        )

    def remove(self) -> list[Step]:
        volume = self.facts.volume(self.volume)
        size = str(volume.size if volume else 0)
        mark = needs("pool", self.wish.pool, self.mark)
        return [
            Step(
                "destroy-volume",
                "only the volume that carries our mark",
                do=(run("zfs", "destroy", self.volume),),
                needs=(needs("volume", self.volume, size, self.mark), needs("swap-off", self.target)),
                done=(needs("no-volume", self.volume),),
            ),
            Step(
                "destroy-pool",
                "only the pool that carries our mark, and nothing else is in it",
                do=(run("zpool", "destroy", self.wish.pool),),
                needs=(mark,),
                done=(needs("no-pool", self.wish.pool),),
            ),
        ]


class Md(Base):
    """md RAID 1 with its metadata at the front and no bitmap: a resync of swap is cheap (md(4))."""

    def __init__(self, platform: Platform, facts: Facts, wish: Wish, mark: str) -> None:
        super().__init__(platform, facts, wish, mark)
        self.target = f"/dev/md/{wish.pool}"

    def size(self, smallest: int) -> int:
        return max((smallest - sizing.MD_RESERVE) // 4096 * 4096, 0)

    def create(self, devices: tuple[Slice, ...]) -> list[Step]:
        words = self.words(devices)
        argv = (
            "mdadm",
            "--create",
            self.target,
            f"--name={self.wish.pool}",
            "--homehost=any",
            f"--uuid={self.mark}",
            "--level=1",
            "--raid-devices=2",
            "--metadata=1.2",
            "--bitmap=none",
            "--run",
            *words,
            *(("missing",) if len(words) == 1 else ()),
        )
        return [
            Step(
                "create-array",
                "RAID 1 below swap; its UUID begins with our mark",
                do=(run(*argv), *self.platform.settle()),
                undo=(run("mdadm", "--stop", self.target), *self._forget(words)),
                needs=(needs("no-array", self.wish.pool), *self.usable(*devices)),
                done=(needs("array", self.wish.pool, self.mark), needs("sides", self.wish.pool, *words)),
                undo_needs=(needs("array", self.wish.pool, self.mark), needs("swap-off", self.target)),
                devices=words,
            )
        ]

    @staticmethod
    def _forget(words: tuple[str, ...]) -> tuple[Action, ...]:
        return tuple(run("mdadm", "--zero-superblock", word) for word in words)

    def attach(self, old: Slice, new: Slice) -> Step:
        name, word = self.wish.pool, self.word(new)
        return Step(
            "mirror",
            "the second disk takes a copy; from here on either may fail",
            do=(run("mdadm", self.target, "--add", word),),
            undo=(
                run("mdadm", self.target, "--fail", word, "--remove", word),
                run("mdadm", "--zero-superblock", word),
            ),
            needs=(needs("array", name, self.mark), *self.usable(new)),
            done=(needs("members", name, self.word(old), word),),
            waits=(needs("synced", name),),
            undo_needs=(needs("array", name, self.mark), needs("members", name, self.word(old), word)),
            devices=(word,),
        )

    def replace(self, members: tuple[str, ...], old: str, new: Slice) -> Step:
        name, word = self.wish.pool, self.word(new)
        there = any(m.path == old for a in self.facts.arrays if a.name == name for m in a.members)
        # mdadm(8): `detached` stands for a side whose device is gone, and whose name opens nothing any more.
        side = old if self.facts.slice_named(old) else "detached"
        leave = (run("mdadm", self.target, "--fail", side, "--remove", side),) if there else ()
        rest = tuple(member for member in members if member != old)
        return Step(
            "replace",
            f"{word} takes the place and the content of {old}",
            do=(*leave, run("mdadm", self.target, "--add", word)),
            needs=(needs("array", name, self.mark), *self.usable(new)),
            done=(needs("members", name, *rest, word),),
            waits=(needs("synced", name),),
            devices=(word,),
        )

    def remove(self) -> list[Step]:
        array = self.facts.array(self.wish.pool)
        members = tuple(member.path for member in array.members) if array else ()
        return [
            Step(
                "destroy-array",
                "only the array whose UUID begins with our mark",
                do=(run("mdadm", "--stop", self.target), *self._forget(members)),
                needs=(needs("array", self.wish.pool, self.mark), needs("swap-off", self.target)),
                done=(needs("no-array", self.wish.pool),),
            )
        ]


class Gmirror(Base):
    """gmirror(8): metadata in the last sector; the name is all the mark it can carry, the rest is fstab's."""

    def __init__(self, platform: Platform, facts: Facts, wish: Wish, mark: str) -> None:
        super().__init__(platform, facts, wish, mark)
        self.target = f"/dev/mirror/{wish.pool}"

    def size(self, smallest: int) -> int:
        return max((smallest - 4096) // 4096 * 4096, 0)

    def create(self, devices: tuple[Slice, ...]) -> list[Step]:
        words = self.words(devices)
        return [
            Step(
                "create-mirror",
                "a GEOM mirror below swap, balanced by load",
                do=(run("gmirror", "load"), run("gmirror", "label", "-b", "load", self.wish.pool, *words)),
                undo=(run("gmirror", "destroy", self.wish.pool),),
                needs=(needs("no-array", self.wish.pool), *self.usable(*devices)),
                done=(needs("sides", self.wish.pool, *words),),
                undo_needs=(needs("members", self.wish.pool, *words), needs("swap-off", self.target)),
                devices=words,
            )
        ]

    def attach(self, old: Slice, new: Slice) -> Step:
        name, word = self.wish.pool, self.word(new)
        both = (self.word(old), word)
        return Step(
            "mirror",
            "the second disk takes a copy; from here on either may fail",
            do=(run("gmirror", "insert", name, word),),
            undo=(run("gmirror", "remove", name, word),),
            needs=(needs("members", name, self.word(old)), *self.usable(new)),
            done=(needs("members", name, *both),),
            waits=(needs("synced", name),),
            undo_needs=(needs("members", name, *both),),
            devices=(word,),
        )

    def replace(self, members: tuple[str, ...], old: str, new: Slice) -> Step:
        name, word = self.wish.pool, self.word(new)
        there = any(m.path == old for a in self.facts.arrays if a.name == name for m in a.members)
        leave = run("gmirror", "remove", name, old) if there else run("gmirror", "forget", name)
        rest = tuple(member for member in members if member != old)
        return Step(
            "replace",
            f"{word} takes the place and the content of {old}",
            do=(leave, run("gmirror", "insert", name, word)),
            needs=(needs("array", name, self.mark), *self.usable(new)),
            done=(needs("members", name, *rest, word),),
            waits=(needs("synced", name),),
            devices=(word,),
        )

    def remove(self) -> list[Step]:
        return [
            Step(
                "destroy-mirror",
                "only the mirror that our fstab line names",
                do=(run("gmirror", "destroy", self.wish.pool),),
                needs=(needs("array", self.wish.pool, self.mark), needs("swap-off", self.target)),
                done=(needs("no-array", self.wish.pool),),
            )
        ]


Maker = Zvol | Md | Gmirror
METHODS: Mapping[str, type[Zvol] | type[Md] | type[Gmirror]] = {"zvol": Zvol, "md": Md, "gmirror": Gmirror}


def new_mark(method: str, plan_id: str) -> str:
    """What the plan's own creation will be marked with."""
    return md_uuid(plan_id) if method == "md" else plan_id


def header_step(platform: Platform, target: str, plan_id: str) -> Step | None:
    """The swap header, where the platform has one; its UUID is known beforehand, so fstab can name it."""
    uuid = swap_uuid(plan_id)
    action = platform.format(target, uuid)
    if action is None:
        return None
    return Step(
        "format",
        "the swap header, with a UUID that the plan chose",
        do=(action, *platform.settle()),
        needs=(needs("swap-off", target),),
        done=(needs("header", target, uuid),),
    )
