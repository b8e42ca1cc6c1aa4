"""The bytes behind /bytes/N: lines of 20 bytes, each of which says its own offset.

Any span is made without what stands before it, and a span that starts in the wrong place shows at a glance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

LINE = 20
BLOCK = 10**5  # what is made at once
LARGEST = 10**18

_HIGH = b"h" * 14  # stands for the leading digits, which all lines of a block share
_TEMPLATE = b"".join(_HIGH + b"%05d\n" % offset for offset in range(0, BLOCK, LINE))


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def blocks(span: Span) -> Iterator[bytes]:
    """The bytes of a span in order, at most a block at a time."""
    for number in range(span.first // BLOCK, span.last // BLOCK + 1):
        start = number * BLOCK
        block = _TEMPLATE.replace(_HIGH, b"%014d" % number)
        yield block[max(0, span.first - start) : span.last - start + 1]
