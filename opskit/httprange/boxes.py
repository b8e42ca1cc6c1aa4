"""Walks the boxes of an MP4 by ranges: is the index (`moov`) in front of the data (`mdat`)?"""

import struct
from collections.abc import Callable, Iterator

from opskit.httprange.fields import Malformed, Span

MOST_BOXES = 32
HEADER = 16  # size, name, and the 64-bit size that large boxes have (ISO/IEC 14496-12, 4.2)


def problems(read: Callable[[Span], bytes], length: int) -> Iterator[str]:
    """What keeps a player from starting; an index at the end costs it a detour."""
    try:
        names = list(walk(read, length))
    except Malformed as error:
        yield f"the MP4 cannot be read: {error}"
        return
    if "moov" not in names:
        yield "the MP4 has no moov: no player can start it"
    elif "mdat" in names and names.index("mdat") < names.index("moov"):
        yield "moov comes after mdat: players fetch the end first (ffmpeg -movflags +faststart mends it)"


def walk(read: Callable[[Span], bytes], length: int) -> Iterator[str]:
    """The names of the outermost boxes in order. Raises Malformed."""
    place = 0
    for _ in range(MOST_BOXES):
        if place + 8 > length:
            return
        data = read(Span(place, min(place + HEADER, length) - 1))
        size, name = struct.unpack_from(">L4s", data)
        if size == 1 and len(data) == HEADER:
            size = struct.unpack_from(">Q", data, 8)[0]
        if not name.isalnum():
            raise Malformed(f"there is no box at {place}")
        yield name.decode("ascii")
        if size == 0:  # to the end of the file
            return
        if size < 8:
            raise Malformed(f"box {name.decode('ascii')} has the size {size}")
        place += size
