"""The rows of `-g`: one a request, sorted by total time, on disk rather than in memory."""

import heapq
import tempfile
import time
import weakref
from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO

from opskit.bench.recorder import Row
from opskit.errors import Unable, os_reason

_Numbers = tuple[int, ...]
_ROW = Struct("<qqqq")  # total first: the order of the file
_SORTED_AT_ONCE = 200_000  # rows
_HINT = "the rows of -g are kept there during the run; TMPDIR names another place"


class RowSpool:
    """Takes rows as they come, unsorted, so that the run does not wait; gives them back by total time."""

    def __init__(self) -> None:
        self._rows = tempfile.TemporaryFile()  # noqa: SIM115 — lives as long as the spool
        weakref.finalize(self, self._rows.close)
        self._epoch = time.time() - time.monotonic_ns() / 1e9

    def add(self, row: Row) -> None:
        """Keep a row. Raises Unable when there is no room for it."""
        try:
            self._rows.write(_ROW.pack(row.total, row.begun, row.connect, row.wait))
        except OSError as error:
            raise Unable(f"cannot write to {tempfile.gettempdir()}: {os_reason(error)}", hint=_HINT) from error

    def lines(self) -> Iterator[str]:
        """ab's gnuplot file, once: start (words and epoch), connect, processing, total, wait in whole ms."""
        yield "starttime\tseconds\tctime\tdtime\tttime\twait\n"
        for total, begun, connect, wait in heapq.merge(*self._sorted_runs()):
            started = self._epoch + begun / 1e9
            figures = (connect, total - connect, total, wait)
            yield "\t".join([time.ctime(started), str(int(started)), *(str(_ms(each)) for each in figures)]) + "\n"

    def _sorted_runs(self) -> Iterator[Iterator[_Numbers]]:
        """The rows in sorted pieces; all but the last go back to disk."""
        self._rows.seek(0)
        while data := self._rows.read(_ROW.size * _SORTED_AT_ONCE):
            rows = sorted(_ROW.iter_unpack(data))
            if len(rows) < _SORTED_AT_ONCE:
                yield iter(rows)
                return
            run = tempfile.TemporaryFile()  # noqa: SIM115 — closed by its reader
            run.write(b"".join(_ROW.pack(*row) for row in rows))
            yield _read(run)


def _read(run: BinaryIO) -> Iterator[_Numbers]:
    with run:
        run.seek(0)
        while data := run.read(_ROW.size * 1024):
            yield from _ROW.iter_unpack(data)


def _ms(nanoseconds: int) -> int:
    return (nanoseconds + 500_000) // 1_000_000
