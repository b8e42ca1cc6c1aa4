"""How much swap fits: what OpenZFS takes of a slice before a volume can have the rest.

The steps follow vdev_metaslab_set_size (vdev.c), spa_get_slop_space (spa_misc.c) and
zvol_volsize_to_reservation (libzfs_dataset.c). Everything is bytes.
"""

from opskit.units import format_size

MIB = 1 << 20
LABELS = 4 * MIB + 512 * 1024  # four labels of 256 KiB and the boot area of 3.5 MiB
FIRST_USE = MIB  # what an empty pool holds already
SMALLEST = 64 * MIB  # SPA_MINDEVSIZE: below it `zpool create` refuses
MD_RESERVE = 2 * MIB  # metadata 1.2 keeps the first MiB at least; mdadm rounds it


def usable(partition: int) -> int:
    """What the allocator works with: whole metaslabs only."""
    asize = partition // (256 * 1024) * (256 * 1024) - LABELS
    shift = 29
    if asize >> 29 < 16:
        shift = max((asize // 16).bit_length(), 24)
    elif asize >> 29 > 200:
        shift = min((asize // 200).bit_length(), 34)
    return asize >> shift << shift


def available(partition: int) -> int:
    """What `zfs get available` shows for an empty pool on a slice of this size."""
    space = usable(partition)
    slop = max(min(space // 32, 128 << 30), min(space // 2, 128 * MIB))
    return max(space - slop - FIRST_USE, 0)


def reservation(size: int, block: int) -> int:
    """The refreservation of a thick volume: its blocks and two copies of every indirect block."""
    blocks = -(-size // block)
    metadata = 7  # DN_MAX_LEVELS' worth of the volume's own dnode
    while blocks > 1:
        blocks = -(-blocks // 1024)
        metadata += blocks
    return size + 2 * 128 * 1024 * metadata


def largest_volume(partition: int, block: int) -> int:
    """The largest thick volume of whole MiB that a pool on this slice takes; 0 when none does."""
    room = available(partition)
    size = room // MIB * MIB
    while size > 0 and reservation(size, block) > room:
        size -= max((reservation(size, block) - room) // (2 * MIB), 1) * MIB
    return max(size, 0)


def describe(size: int, partition: int) -> str:
    """The sentence of the plan that says what the slice gives."""
    return f"swap will be {format_size(size)}, {format_size(partition - size)} less than the slice"
