"""Latencies in constant memory: an HDR histogram with three significant digits.

The buckets are those of HdrHistogram with a lowest value of 1 and 3 significant digits: 2048 linear cells,
then 1024 for each further power of two. So two histograms merge exactly by adding their counts, and
`encode` writes the V2 format that its Java, C, Go and Python readers take. Values are nanoseconds.
"""

import base64
import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

HIGHEST = 3600 * 10**9  # ns; an hour, longer than any request limit makes sense
_LINEAR_BITS = 11  # 2^11 cells hold values below 2048 exactly
_HALF = 1 << (_LINEAR_BITS - 1)

_V2_COOKIE = 0x1C849303 | 0x10
_V2_COMPRESSED_COOKIE = 0x1C849304 | 0x10
_V2_HEADER = struct.Struct(">iiiiqqd")  # cookie, payload length, offset, digits, lowest, highest, ratio


def cell_of(value: int) -> int:
    """The index of the cell that counts `value`."""
    shift = value.bit_length() - _LINEAR_BITS
    return (shift << (_LINEAR_BITS - 1)) + (value >> shift) if shift > 0 else value


def cell_bounds(cell: int) -> tuple[int, int]:
    """The lowest and the highest value that a cell counts."""
    if cell < 2 * _HALF:
        return cell, cell
    shift = (cell >> (_LINEAR_BITS - 1)) - 1
    lowest = (_HALF + (cell & (_HALF - 1))) << shift
    return lowest, lowest + (1 << shift) - 1


CELLS = cell_of(HIGHEST) + 1


class Histogram:
    """Counts of values from 0 to HIGHEST ns, larger ones as HIGHEST; minimum, maximum and sum are exact."""

    __slots__ = ("count", "counts", "highest", "lowest", "total")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()  # by cell; only those that are used
        self.count = 0
        self.total = 0
        self.lowest = HIGHEST
        self.highest = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def record(self, values: Sequence[int]) -> None:
        """Count a batch; cheaper for a value than one call each."""
        if not values:
            return
        self.count += len(values)
        self.total += sum(values)
        smallest, largest = min(values), max(values)
        self.lowest = min(self.lowest, smallest)
        self.highest = max(self.highest, largest)
        if largest > HIGHEST:
            values = [min(value, HIGHEST) for value in values]
        # cell_of, inline: the hot loop of a run.
        self.counts.update(
            [
                (shift << 10) + (value >> shift) if (shift := value.bit_length() - _LINEAR_BITS) > 0 else value
                for value in values
            ]
        )

    def repeat(self, value: int, times: int) -> None:
        """Count one value many times."""
        if times > 0:
            self.record([value])
            self.counts[cell_of(min(value, HIGHEST))] += times - 1
            self.count += times - 1
            self.total += value * (times - 1)

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another histogram; nothing is lost or rounded."""
        self.counts.update(other.counts)
        self.count += other.count
        self.total += other.total
        self.lowest = min(self.lowest, other.lowest)
        self.highest = max(self.highest, other.highest)

    def used(self) -> list[tuple[int, int]]:
        """(cell, count) of the cells that are not empty, from the lowest."""
        return sorted(self.counts.items())

    def above(self, value: int) -> int:
        """How many samples are larger than `value`, to the width of its cell."""
        last = cell_of(value)
        return sum(count for cell, count in self.counts.items() if cell > last)

    def percentile(self, percent: float) -> int:
        """The smallest value that at least `percent` % of the samples do not exceed (nearest rank), in ns."""
        return self.percentiles([percent])[0]

    def percentiles(self, percents: Iterable[float]) -> list[int]:
        """`percentile` for ascending percentages, in one walk. 0 for an empty histogram."""
        found: list[int] = []
        cells = iter(self.used())
        seen = cell = 0
        for percent in percents:
            # The epsilon keeps 99.9 % of 1000 at rank 999, where floating point would say 999.0000000000001.
            rank = max(1, math.ceil(percent / 100 * self.count - 1e-9))
            while seen < rank and (step := next(cells, None)) is not None:
                cell = step[0]
                seen += step[1]
            value = cell_bounds(cell)[1]
            found.append(max(self.lowest, min(value, self.highest)) if self.count else 0)
        return found

    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def deviation(self) -> float:
        """The standard deviation of the samples, from the middles of their cells.

        It is off by no more than 0.1 % of the largest value.
        """
        if self.count < 2 or self.lowest == self.highest:
            return 0.0
        mean = self.mean()
        squares = sum(count * (sum(cell_bounds(cell)) / 2 - mean) ** 2 for cell, count in self.used())
        return math.sqrt(squares / (self.count - 1))

    def encode(self) -> str:
        """HDR V2, compressed, base64: what `HdrHistogram.decode` reads in every language."""
        payload = bytes(_zigzag_runs(self.used()))
        inner = _V2_HEADER.pack(_V2_COOKIE, len(payload), 0, 3, 1, HIGHEST, 1.0) + payload
        packed = zlib.compress(inner)
        return base64.b64encode(struct.pack(">ii", _V2_COMPRESSED_COOKIE, len(packed)) + packed).decode()


@dataclass(frozen=True)
class Summary:
    """The figures of one latency, in milliseconds. `percentiles` maps "p50" … "p99_99" to values."""

    count: int
    min: float
    mean: float
    sd: float
    max: float
    percentiles: dict[str, float]

    def to_dict(self) -> dict[str, float]:
        return {"min": self.min, "mean": self.mean, "sd": self.sd, **self.percentiles, "max": self.max}


PERCENTS = (50, 66, 75, 80, 90, 95, 98, 99, 99.9, 99.99)


def summarise(histogram: Histogram) -> Summary:
    names = [f"p{percent}".replace(".", "_") for percent in PERCENTS]
    values = [value / 1e6 for value in histogram.percentiles(PERCENTS)]
    return Summary(
        count=histogram.count,
        min=(histogram.lowest if histogram.count else 0) / 1e6,
        mean=histogram.mean() / 1e6,
        sd=histogram.deviation() / 1e6,
        max=histogram.highest / 1e6,
        percentiles=dict(zip(names, values, strict=True)),
    )


def _zigzag_runs(used: Sequence[tuple[int, int]]) -> Iterator[int]:
    """HDR V2's payload: counts as ZigZag LEB128, a run of n zeros as -n, a single one as 0."""
    following = 0
    for cell, count in used:
        zeros = cell - following
        if zeros:
            yield from _leb128(-zeros if zeros > 1 else 0)
        yield from _leb128(count)
        following = cell + 1


def _leb128(value: int) -> Iterator[int]:
    """ZigZag LEB128 of at most nine bytes, the ninth of eight bits, as HdrHistogram's reference has it."""
    rest = (value << 1) ^ (value >> 63)
    for _ in range(8):
        if rest < 0x80:
            yield rest
            return
        yield rest & 0x7F | 0x80
        rest >>= 7
    yield rest & 0xFF


def _read_leb128(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        rest = shift = 0
        for position in range(9):
            byte = data[at]
            at += 1
            rest |= (byte if position == 8 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield (rest >> 1) ^ -(rest & 1)


def decode(text: str, *, total: int, lowest: int, highest: int) -> Histogram:
    """The histogram of `encode`, with the exact figures that the format does not carry.

    Raises ValueError for anything else.
    """
    try:
        inner = _inflated(base64.b64decode(text, validate=True)[8:])
        cookie, length, offset, digits, smallest, *_ = _V2_HEADER.unpack_from(inner)
        if (cookie, offset, digits, smallest) != (_V2_COOKIE, 0, 3, 1):
            raise ValueError("not an HDR V2 histogram of three digits from 1")
        histogram = Histogram()
        _fill(histogram, inner[_V2_HEADER.size :], length)
    except (zlib.error, struct.error, IndexError) as error:
        raise ValueError("not an HDR V2 histogram") from error
    histogram.total, histogram.lowest, histogram.highest = total, lowest, highest
    return histogram


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inner = inflater.decompress(packed, 10 * CELLS)  # a cell takes nine bytes at most
    if not inflater.eof:
        raise ValueError("the histogram is cut short, or too large")
    return inner


def _fill(histogram: Histogram, payload: bytes, length: int) -> None:
    if len(payload) != length:
        raise ValueError("the histogram is cut short")
    cell = 0
    for number in _read_leb128(payload):
        if number > 0 and cell < CELLS:
            histogram.counts[cell] = number
            histogram.count += number
        cell += max(1, -number)
        if cell > CELLS:
            raise ValueError("the histogram has more cells than an hour of nanoseconds")
