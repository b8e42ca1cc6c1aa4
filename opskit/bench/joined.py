"""What several say while they carry out one run together, joined for the one who watches it."""

from opskit.bench.conductor import Observer
from opskit.bench.series import Interval


class Joined:
    """Passes on to one observer what each of so many parts reports; `leave` says that one of them is gone."""

    def __init__(self, parts: int, observer: Observer | None) -> None:
        self._observer = observer
        self._told: dict[int, tuple[int, int]] = {}  # by part: how many requests have ended, and failed
        self._missing = parts
        self._pending: dict[int, list[Interval]] = {}  # seconds that not all have told of

    def leave(self) -> None:
        self._missing -= 1

    def tick(self, part: int, ended: int, failed: int, seconds: float) -> None:
        self._told[part] = (ended, failed)
        if self._observer is not None:
            told = self._told.values()
            self._observer.tick(sum(each[0] for each in told), sum(each[1] for each in told), seconds)

    def interval(self, interval: Interval) -> None:
        """Show a second once everybody has told of it."""
        second = round(interval.begins)
        parts = self._pending.setdefault(second, [])
        parts.append(interval)
        if len(parts) < self._missing or self._observer is None:
            return
        whole = parts[0]
        for other in parts[1:]:
            whole = whole.joined(other)
        self._observer.interval(whole)
        self._pending = {each: rest for each, rest in self._pending.items() if each > second}
