"""Which sockets are ready: epoll where the kernel has it, else whatever `selectors` finds best.

Both watch by level and speak the same masks.
"""

import select
import selectors
from collections.abc import Callable
from typing import Protocol

READ = 1
WRITE = 4
HANGUP = 0x2000  # the peer will send no more; only epoll tells


class Poller(Protocol):
    def watch(self, descriptor: int, mask: int) -> None: ...
    def change(self, descriptor: int, mask: int) -> None: ...
    def forget(self, descriptor: int) -> None: ...
    def poll(self, seconds: float) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


class EpollPoller:
    """select.epoll's own methods where they fit: a wrapper would cost more than the call."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.watch = self._epoll.register
        self.change = self._epoll.modify
        self.poll = self._epoll.poll
        self.close = self._epoll.close

    def forget(self, descriptor: int) -> None:
        """Nothing to do: closing the descriptor is enough (epoll(7))."""


class SelectorPoller:
    """kqueue, /dev/poll, poll or select."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.close = self._selector.close

    def watch(self, descriptor: int, mask: int) -> None:
        self._selector.register(descriptor, _events(mask))

    def change(self, descriptor: int, mask: int) -> None:
        self._selector.modify(descriptor, _events(mask))

    def forget(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        return [
            (
                key.fd,
                (READ if events & selectors.EVENT_READ else 0) | (WRITE if events & selectors.EVENT_WRITE else 0),
            )
            for key, events in self._selector.select(seconds)
        ]


def _events(mask: int) -> int:
    return (selectors.EVENT_READ if mask & READ else 0) | (selectors.EVENT_WRITE if mask & WRITE else 0)


def best_poller() -> Poller:
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()


class WorkingPoller:
    """A poller that lets `work` use the time in which no socket is ready.

    `work` is told whether sockets wait, and says whether they should be looked at again at once.
    """

    def __init__(self, poller: Poller, work: Callable[[bool], bool]) -> None:
        self._poll = poller.poll
        self._work = work
        self.watch = poller.watch
        self.change = poller.change
        self.forget = poller.forget
        self.close = poller.close

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        found = self._poll(0)
        more = self._work(bool(found))
        return found or self._poll(0 if more else seconds)
