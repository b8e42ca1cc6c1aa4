"""The -R file as lines: in order or shuffled, from a file or a pipe, in constant memory."""

import random
import select
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from opskit.bench.plan import RequestsFile
from opskit.errors import Misuse, Unable, os_reason

CHUNK = 1 << 16  # bytes read at once: few enough that the answers in flight do not wait for them
LONGEST_LINE = 1 << 20
PLAIN = bytes(range(0x21, 0x7F)) + b"\n"  # what needs no second look

_LOOKED_AT = 8192  # bytes in which a binary file shows itself
_BLOCK = 1 << 16  # bytes whose lines stay together when a file is shuffled
_BLOCKS_MIXED = 16
_BOM = b"\xef\xbb\xbf"

Line = tuple[int, bytes]  # its number from 1 (0 where that is not known), its bytes without the line end
Batch = tuple[int, list[bytes]]  # lines that follow each other, and the number of the first


def one_by_one(batches: Iterator[Batch]) -> Iterator[Line]:
    """The lines of batches with their numbers."""
    for first, lines in batches:
        yield from enumerate(lines, first) if first else ((0, line) for line in lines)


def every(batches: Iterator[Batch], first: int, step: int) -> Iterator[list[bytes]]:
    """The lines `first`, `first` + `step` … counted from 0 over all batches, without their numbers."""
    for _, lines in batches:
        yield lines[first::step]
        first = (first - len(lines)) % step if first < len(lines) else first - len(lines)


class Source:
    """The file itself: opened once, read as often as needed."""

    def __init__(self, file: RequestsFile) -> None:
        self.name = "standard input" if file.path == "-" else file.path
        self._random = random.Random(file.seed)
        self._file = self._closed_with_me(_open(file.path)) if file.path != "-" else _standard_input()
        self.usable = 0
        self.at_hand = 0  # usable lines read so far, handed out or not
        self.can_be_read_twice = self._file.seekable()
        if file.order == "random" and not self.can_be_read_twice:
            self._file, self.can_be_read_twice = self._closed_with_me(_spooled(self._file)), True
        self._copy = None if self.can_be_read_twice else self._closed_with_me(_temporary())

    def _closed_with_me(self, file: BinaryIO) -> BinaryIO:
        weakref.finalize(self, file.close)
        return file

    def batches(self, *, shuffled: bool) -> Iterator[Batch]:
        """One pass over the usable lines: not blank, no comment, no line end. `usable` counts them."""
        if self._copy is not None and self._copy.tell():
            self._file, self._copy, self.can_be_read_twice = self._copy, None, True
        self.usable = 0
        batches = self._shuffled() if shuffled else self._in_order()
        for first, lines in batches:
            self.usable += len(lines)
            yield first, lines

    def _in_order(self) -> Iterator[Batch]:
        if self.can_be_read_twice:
            self._file.seek(0)
        number = 1
        for chunk in self._chunks():
            if number == 1:
                chunk = chunk.removeprefix(_BOM)
            lines = chunk.split(b"\n")
            if lines[-1] == b"":
                lines.pop()
            batches = [(number, lines)]
            if not _all_plain(chunk):
                batches = [(at, [line]) for at, raw in enumerate(lines, number) if (line := _usable(raw))]
            self.at_hand += sum(len(lines) for _, lines in batches)
            yield from batches
            number += len(lines)

    def would_wait(self) -> bool:
        """Whether to read on is to wait for a pipe that has nothing yet."""
        if self.can_be_read_twice or self._file.closed:
            return False
        return not select.select([self._file], [], [], 0)[0]

    def _chunks(self) -> Iterator[bytes]:
        """Pieces of whole lines. A pipe is kept in a temporary file as it is read, for the next pass."""
        data, rest = self._read(CHUNK), b""
        if b"\0" in data[:_LOOKED_AT]:
            raise Misuse(
                f"{self.name} looks binary: it holds a NUL byte",
                hint="-R takes a text file in UTF-8 with one request per line",
            )
        while data:
            if self._copy is not None:
                _write(self._copy, data)
            end = data.rfind(b"\n") + 1
            if len(rest) + (data.find(b"\n") if end else len(data)) > LONGEST_LINE + 1:  # one for a CR
                raise self._too_long()
            if end:
                yield rest + data[:end]
                rest = data[end:]
            else:
                rest += data
            data = self._read(CHUNK)
        if rest:
            yield rest

    def _too_long(self) -> Misuse:
        return Misuse(f"{self.name}: a line is longer than 1 MiB", hint="is it a text file, one request per line?")

    def _read(self, size: int) -> bytes:
        try:
            # read1 gives what a pipe has now; read would wait until a whole chunk is there.
            return self._file.read1(size) if hasattr(self._file, "read1") else self._file.read(size)
        except OSError as error:
            raise Unable(f"cannot read {self.name}: {os_reason(error)}") from error

    def _shuffled(self) -> Iterator[Batch]:
        """Every line once, in an order that mixes blocks from all over the file, then their lines."""
        size = self._file.seek(0, 2)
        starts = list(range(0, size, _BLOCK))
        self._random.shuffle(starts)
        for first in range(0, len(starts), _BLOCKS_MIXED):
            lines = [line for start in starts[first : first + _BLOCKS_MIXED] for line in self._lines_from(start)]
            self._random.shuffle(lines)
            yield 0, lines

    def _lines_from(self, start: int) -> Iterator[bytes]:
        """The usable lines that begin in one block."""
        position = self._file.seek(max(0, start - 1))
        if start:
            position += len(self._line())
        while position < start + _BLOCK and (raw := self._line()):
            line = _usable(raw.removeprefix(_BOM) if position == 0 else raw)
            position += len(raw)
            if line:
                yield line

    def _line(self) -> bytes:
        line = self._file.readline(LONGEST_LINE + 2)
        if len(line.rstrip(b"\r\n")) > LONGEST_LINE:
            raise self._too_long()
        return line


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise Misuse("-R -: standard input is closed", hint="pipe the requests in, or name a file")
    return sys.stdin.buffer


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except IsADirectoryError as error:
        raise Misuse(f"-R {path} is a directory", hint="name a file with one request per line") from error
    except FileNotFoundError as error:
        hint = "name a file with one request per line"
        if path.isdigit():
            hint = (
                f"-R takes a file; for ab's ramp delay (-R {path} in its trunk) there is no equal: see -c and -t"
            )
        raise Misuse(f"-R {path}: there is no such file", hint=hint) from error
    except OSError as error:
        raise Misuse(f"-R {path}: {os_reason(error)}", hint="name a file that can be read") from error


def _temporary() -> BinaryIO:
    return tempfile.TemporaryFile()


def _spooled(pipe: BinaryIO) -> BinaryIO:
    copy = _temporary()
    while data := pipe.read(LONGEST_LINE):
        _write(copy, data)
    return copy


def _write(copy: BinaryIO, data: bytes) -> None:
    try:
        copy.write(data)
    except OSError as error:
        raise Unable(
            f"no room to keep standard input for another pass: {os_reason(error)}",
            hint="give -R a file, or set TMPDIR to a place with room",
        ) from error


def _usable(raw: bytes) -> bytes:
    """A line without its end, or nothing for a blank line or a comment."""
    line = raw.rstrip(b"\r\n")
    return b"" if line.startswith(b"#") or not line.strip() else line


def _all_plain(chunk: bytes) -> bool:
    """Whether every line of a chunk can be used as it is: a few scans in C for thousands of lines."""
    return not (
        chunk.translate(None, PLAIN) or b"\n\n" in chunk or b"\n#" in chunk or chunk.startswith((b"\n", b"#"))
    )
