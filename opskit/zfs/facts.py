"""What a survey finds out about a host, as frozen data. Sizes are bytes."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

MARK = "org.opskit:swap-mirror"  # the user property, on the pool's root and the volume, that says whose it is
MD_MARK = "6f70736b"  # the first word of the array UUIDs that we choose: "opsk" in ASCII

# Uses that a named consent (`--allow REASON=DEVICE`) may set aside: leftovers that nothing works with.
CONSENTS: Mapping[str, str] = {"foreign-fs": "filesystem", "old-pool": "old-pool"}


@dataclass(frozen=True)
class Use:
    """One reason why a slice is not free: `kind` is mounted, swap, dump, pool, array, held, boot-file,
    overlap, label, filesystem, old-pool, read-only; `by` names the user."""

    kind: str
    by: str = ""

    def __str__(self) -> str:
        return SENTENCES[self.kind].format(by=self.by)


SENTENCES: Mapping[str, str] = {
    "mounted": "is mounted on {by}",
    "swap": "is in use as swap",
    "dump": "is the dump device",
    "pool": "is part of the active pool '{by}'",
    "array": "is part of {by}",
    "held": "is held by {by}",
    "boot-file": "is named by {by}",
    "overlap": "overlaps {by}",
    "label": "is a whole disk with the slices {by}",
    "disk": "is a whole disk, not a slice",
    "filesystem": "contains {by}",
    "old-pool": "carries the label of the pool '{by}', which is not imported here",
    "read-only": "is read-only",
}


@dataclass(frozen=True)
class Slice:
    """A slice, partition or unpartitioned disk. `stable` survives a renamed node; `digest` is the SHA-256 of
    its first and last MiB, empty while it is in use (its content changes) or could not be read."""

    path: str
    disk: str
    size: int
    stable: str = ""
    serial: str = ""
    start: int = 0
    physical_sector: int = 512
    uses: tuple[Use, ...] = ()
    digest: str = ""
    names: tuple[str, ...] = ()  # every other name: by-id links, UUID=…, LABEL=…, PARTUUID=…
    type: str = ""
    signatures: tuple[str, ...] = ()

    def answers_to(self, names: Collection[str]) -> bool:
        return any(name in (self.path, self.path.rpartition("/")[2], self.stable, *self.names) for name in names)

    @property
    def in_swap(self) -> bool:
        return any(use.kind == "swap" for use in self.uses)

    def hindrances(self, allowed: frozenset[str] = frozenset()) -> tuple[Use, ...]:
        """The uses that forbid writing, after the consents given by kind."""
        return tuple(use for use in self.uses if use.kind not in allowed)


@dataclass(frozen=True)
class Swap:
    """An active swap area. `path` is the name that the system printed, `node` what it resolves to."""

    path: str
    node: str
    size: int
    used: int = 0
    priority: int | None = None
    leaving: bool = False


@dataclass(frozen=True)
class Leaf:
    """A disk in a pool's tree, with its state as text prints it and its error counters."""

    name: str
    path: str
    state: str
    errors: int = 0
    note: str = ""
    guid: str = ""


@dataclass(frozen=True)
class Pool:
    """`kind` is disk, mirror or other; `scan` is none, resilvering, resilvered, scrubbing, scrubbed or
    canceled."""

    name: str
    state: str
    kind: str
    leaves: tuple[Leaf, ...]
    scan: str = "none"
    progress: str = ""
    errors: str = ""
    mark: str = ""
    available: int = 0
    datasets: tuple[str, ...] = ()
    checkpoint: bool = False


@dataclass(frozen=True)
class Volume:
    """A zvol; `node` is its device as the kernel resolves it, empty until it is there."""

    name: str
    size: int
    block: int
    mark: str = ""
    node: str = ""
    signature: str = ""


@dataclass(frozen=True)
class Array:
    """An md array or a gmirror. `member` states are active, spare, rebuilding or faulty."""

    name: str
    path: str
    node: str
    size: int
    wanted: int
    members: tuple[Leaf, ...]
    syncing: str = ""
    mark: str = ""
    signature: str = ""


@dataclass(frozen=True)
class Memory:
    """`releasable` is what the kernel could take back from swap now, by the platform's own rule."""

    total: int
    releasable: int


@dataclass(frozen=True)
class Facts:
    """One survey. `files` holds the text of the boot files that exist; `missing` the programs that don't."""

    platform: str
    release: str
    zfs: str = ""
    root: bool = True
    confined: str = ""  # the container, jail or zone that this is, or nothing
    systemd: bool = False
    page: int = 4096
    hostid: str = ""
    boot_id: str = ""
    pool_properties: tuple[str, ...] = ()
    memory: Memory = Memory(0, 0)
    slices: tuple[Slice, ...] = ()
    swaps: tuple[Swap, ...] = ()
    pools: tuple[Pool, ...] = ()
    volumes: tuple[Volume, ...] = ()
    arrays: tuple[Array, ...] = ()
    dump: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def slice_named(self, name: str) -> Slice | None:
        """The slice of that path, of that bare name, or of any other name that it has."""
        return next((item for item in self.slices if item.answers_to((name,))), None)

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)

    def volume(self, name: str) -> Volume | None:
        return next((volume for volume in self.volumes if volume.name == name), None)

    def array(self, name: str) -> Array | None:
        return next((array for array in self.arrays if array.name == name), None)

    def swap_on(self, path: str) -> Swap | None:
        """The swap area on a device, under whichever of its names the system lists it."""
        nodes = {path}
        nodes |= {volume.node for volume in self.volumes if path.endswith("/" + volume.name) and volume.node}
        nodes |= {array.node for array in self.arrays if path == array.path and array.node}
        if found := self.slice_named(path):
            nodes.add(found.path)
        return next((swap for swap in self.swaps if {swap.path, swap.node} & nodes), None)

    @property
    def marked(self) -> "tuple[Pool | Array, ...]":
        """Everything here that carries our mark."""
        pools: tuple[Pool | Array, ...] = tuple(pool for pool in self.pools if pool.mark)
        return pools + tuple(array for array in self.arrays if array.mark)

    @property
    def swap_total(self) -> int:
        return sum(swap.size for swap in self.swaps)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


T = TypeVar("T")


def rebuild(cls: type[T], data: Mapping[str, Any]) -> T:
    """A dataclass from what `asdict` made of it and JSON kept; a checksum has vouched for its shape."""
    hints = get_type_hints(cls)
    return cls(**{name: _value(hints[name], value) for name, value in data.items()})


def _value(hint: Any, value: Any) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return rebuild(hint, value)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in value)
    return value
