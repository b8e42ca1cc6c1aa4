"""The -R file for those who do not have it: each share's lines, sent on in pieces as they are used up.

The file stays where opskit was started. At both ends there are never more than a few pieces of it at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from opskit.bench.lines import Batch, Source
from opskit.bench.plan import Plan
from opskit.bench.requests import Tally, own_lines
from opskit.errors import OpskitError, Unable

PIECE = 1 << 19  # bytes of memory that the lines of a piece take; a batch of lines more at the most
KEPT = 4 * PIECE  # of lines that wait to be used; a piece more at the most
# What Python takes for a line and for a batch of them beside their text, in bytes: objects, places in lists.
_PER_LINE, _PER_BATCH = 57, 120
_LOOK = 0.5  # seconds between two looks whether anybody is still there to send more


@dataclass(frozen=True)
class Piece:
    """Lines that follow each other in a share, and what is known of the file after them."""

    batches: tuple[Batch, ...] = ()
    lines: int = 0
    size: int = 0  # bytes of memory
    skipped: int = 0  # of an access log, so far
    usable: int | None = None  # at the end of a pass over the file: how many lines it had
    last: bool = False
    error: OpskitError | None = None  # why the file cannot be read on

    def __repr__(self) -> str:
        return f"<{self.lines} lines>"  # they may hold secrets, and whoever passes this on may log it


def pieces(plan: Plan) -> Iterator[Piece]:
    """What a share needs of its file, pass after pass, up to the last piece if there is to be one."""
    assert plan.requests is not None
    tally = Tally()
    sent = 0
    try:
        source = Source(plan.requests)
        for batches in own_lines(plan, source, tally):
            for piece in _pieces_of_pass(batches):
                sent += piece.lines
                enough = plan.number is not None and not plan.warmup and sent >= plan.number
                yield replace(piece, skipped=tally.skipped, last=enough)
                if enough:
                    return
            last = plan.once or source.usable <= tally.skipped
            yield Piece(skipped=tally.skipped, usable=source.usable, last=last)
    except OpskitError as error:
        yield Piece(last=True, error=error)


def _pieces_of_pass(batches: Iterator[Batch]) -> Iterator[Piece]:
    held: list[Batch] = []
    lines = size = 0
    for batch in batches:
        held.append(batch)
        lines += len(batch[1])
        size += sum(map(len, batch[1])) + _PER_LINE * len(batch[1]) + _PER_BATCH
        if size >= PIECE:
            yield Piece(tuple(held), lines, size)
            held, lines, size = [], 0, 0
    if held:
        yield Piece(tuple(held), lines, size)


class Fed:
    """The other end: takes pieces as they come, and hands their lines to whoever makes requests of them.

    `abandoned` says whether to stop waiting for more.
    """

    def __init__(self, name: str, abandoned: Callable[[], bool], on_room: Callable[[], None]) -> None:
        self.name = name
        self._abandoned = abandoned
        self._on_room = on_room
        self._pieces: deque[Piece] = deque()
        self._changed = threading.Condition()
        self._lines = 0  # that have come, used or not
        self._size = 0  # of those that wait
        self._complete = False

    def put(self, piece: Piece) -> None:
        with self._changed:
            self._pieces.append(piece)
            self._lines += piece.lines
            self._size += piece.size
            self._complete = piece.last
            self._changed.notify()

    @property
    def has_room(self) -> bool:
        return not self._complete and self._size < KEPT

    def would_wait(self, handed_out: int) -> bool:
        return handed_out >= self._lines and not self._complete

    def passes(self, tally: Tally) -> Iterator[Iterator[Batch]]:
        """As `requests.own_lines` does it."""
        yield self._pass(tally)
        while not (self._complete and not self._pieces):
            tally.wrapped += 1
            yield self._pass(tally)

    def _pass(self, tally: Tally) -> Iterator[Batch]:
        while True:
            piece = self._next()
            yield from piece.batches
            tally.skipped = piece.skipped
            if piece.error is not None:
                raise piece.error
            if piece.usable is not None:
                tally.usable = piece.usable
            if piece.last or piece.usable is not None:
                return

    def _next(self) -> Piece:
        with self._changed:
            while not self._pieces:
                if self._abandoned():
                    raise Unable(f"no more lines of {self.name} came")
                self._changed.wait(_LOOK)
            piece = self._pieces.popleft()
            self._size -= piece.size
        self._on_room()
        return piece
