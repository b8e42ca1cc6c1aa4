"""Ctrl-C as the toolkit has it: the first asks the work to stop and report, the second stops at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from opskit.console import talk


@contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT; a second raises KeyboardInterrupt. Only in the main thread."""

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        talk("\nstopping; Ctrl-C again stops at once")
        stop()

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Relay:
    """Hands one Ctrl-C on to whatever of several pieces of work is under way, and remembers that it came."""

    def __init__(self) -> None:
        self.stopped = False
        self._stop: Callable[[], None] | None = None

    def stop(self) -> None:
        self.stopped = True
        if self._stop is not None:
            self._stop()

    @contextmanager
    def under_way(self, stop: Callable[[], None]) -> Iterator[None]:
        """`stop` is what ends the piece of work that this block does."""
        self._stop = stop
        if self.stopped:
            stop()
        try:
            yield
        finally:
            self._stop = None
