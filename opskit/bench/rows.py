"""The rows of `-g`: one a request, sorted by total time, on disk rather than in memory."""

import heapq
import tempfile
import time
from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO

from opskit.bench.recorder import Row

_ROW = Struct("<qqqq")  # total first: the order of the file
_IN_MEMORY = 100_000  # rows sorted at once


class RowSpool:
    """Takes rows as they come; gives them back by total time."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, int]] = []
        self._runs: list[BinaryIO] = []
        self._epoch = time.time() - time.monotonic_ns() / 1e9

    def add(self, row: Row) -> None:
        self._rows.append((row.total, row.begun, row.connect, row.wait))
        if len(self._rows) >= _IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        self._rows.sort()
        run = tempfile.TemporaryFile()  # noqa: SIM115 — lives until the rows are written
        run.write(b"".join(_ROW.pack(*row) for row in self._rows))
        self._runs.append(run)
        self._rows.clear()

    def lines(self) -> Iterator[str]:
        """ab's gnuplot file, once: start (words and epoch), connect, processing, total, wait in whole ms."""
        yield "starttime\tseconds\tctime\tdtime\tttime\twait\n"
        self._rows.sort()
        for total, begun, connect, wait in heapq.merge(self._rows, *map(_read, self._runs)):
            started = self._epoch + begun / 1e9
            figures = (connect, total - connect, total, wait)
            yield "\t".join([time.ctime(started), str(int(started)), *(str(_ms(each)) for each in figures)]) + "\n"


def _read(run: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    with run:
        run.seek(0)
        while data := run.read(_ROW.size * 1024):
            yield from _ROW.iter_unpack(data)


def _ms(nanoseconds: int) -> int:
    return (nanoseconds + 500_000) // 1_000_000
