"""Reads the directory of a zip or wheel by ranges, as pip and uv do: end record, directory, a member."""

import struct
from collections.abc import Callable, Iterator

from opskit.httprange.fields import Malformed, Span

END = struct.Struct("<4s4H2LH")  # APPNOTE 4.3.16
ENTRY = struct.Struct("<4s6H3L5H2L")  # APPNOTE 4.3.12
MOST_END = END.size + 0xFFFF  # the record and the longest comment there can be
LARGEST_DIRECTORY = 1 << 16  # bytes that are read of it

Read = Callable[[Span], bytes]


def problems(read: Read, length: int) -> Iterator[str]:
    """What keeps a client from reading the directory; nothing when it can."""
    try:
        names = directory(read, length)
    except Malformed as error:
        yield f"the zip directory cannot be read: {error}"
    else:
        if not names:
            yield "the zip directory is empty"


def directory(read: Read, length: int) -> list[str]:
    """The names in the archive (of a long directory, the first ones). Raises Malformed."""
    if length < END.size:
        raise Malformed("the file is shorter than any zip")
    start = max(0, length - min(MOST_END, 16384))
    tail = read(Span(start, length - 1))
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < END.size:
        raise Malformed("there is no end record in the last 16 KiB")
    _, _, _, _, count, size, offset, _ = END.unpack_from(tail, place)
    if offset + size > length:
        raise Malformed(f"the directory at {offset} lies outside of the file")
    if not count:
        return []
    size = min(size, LARGEST_DIRECTORY)
    inside = offset - start
    data = tail[inside : inside + size] if inside >= 0 else read(Span(offset, offset + size - 1))
    names, first = _names(data, count)
    if read(Span(first, first + 3)) != b"PK\x03\x04":
        raise Malformed(f"{names[0]} is not at {first}, where the directory says")
    return names


def _names(data: bytes, count: int) -> tuple[list[str], int]:
    """The names, and where the first member begins."""
    names: list[str] = []
    place = first = 0
    while len(names) < count and place + ENTRY.size <= len(data):
        fields = ENTRY.unpack_from(data, place)
        if fields[0] != b"PK\x01\x02":
            raise Malformed(f"entry {len(names) + 1} of the directory is none")
        name_size, extra, comment, offset = fields[10], fields[11], fields[12], fields[16]
        if not names:
            first = offset
        names.append(data[place + ENTRY.size : place + ENTRY.size + name_size].decode("utf-8", "replace"))
        place += ENTRY.size + name_size + extra + comment
    if not names:
        raise Malformed("the directory is cut short")
    return names, first
