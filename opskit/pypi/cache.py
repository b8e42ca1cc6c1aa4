"""What was fetched from upstream, on disk: by digest, of a bounded size, one process at a time fetching a file."""

import fcntl
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LOCK, _PART = ".lock", ".part"


@dataclass(frozen=True)
class Progress:
    """A fetch under way: the size that the file will have, when it began (s since 1970), the bytes so far."""

    size: int
    began: int
    have: int


@dataclass(frozen=True)
class Entry:
    """The directory of one file, and what belongs to the file in it."""

    directory: Path
    filename: str

    @property
    def file(self) -> Path:
        return self.directory / self.filename

    @property
    def metadata(self) -> Path:
        return self.directory / f"{self.filename}.metadata"

    @property
    def part(self) -> Path:
        """Where the file grows while it is fetched."""
        return self.directory / _PART

    def progress(self) -> Progress | None:
        """How far the fetch of another process is."""
        try:
            size, began = (self.directory / _LOCK).read_text().split()
            return Progress(int(size), int(began), self.part.stat().st_size)
        except (OSError, ValueError):
            return None

    def touch(self) -> None:
        """Note the use, by which `trim` chooses. Set by hand: most file systems do not keep it."""
        now = time.time_ns()
        with suppress(OSError):
            os.utime(self.directory, ns=(now, now))


class Cache:
    """The files below one directory. `limit` in bytes."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root = root
        self.limit = limit

    def entry(self, sha256: str, filename: str) -> Entry:
        return Entry(self.root / sha256[:2] / sha256, filename)

    def trim(self) -> list[Path]:
        """Remove what was not used for longest until the rest is within the limit; what went."""
        entries = sorted(self._entries(), key=lambda found: found[0], reverse=True)
        total, gone = 0, []
        for _, size, directory in entries:
            total += size
            if total > self.limit and _remove(directory):
                gone.append(directory)
        return gone

    def _entries(self) -> list[tuple[int, int, Path]]:
        """Last use in ns, size in bytes on disk, place."""
        found = []
        for directory in self.root.glob("??/*"):
            with suppress(OSError):
                size = sum(file.stat().st_blocks * 512 for file in directory.iterdir())
                found.append((directory.stat().st_mtime_ns, size, directory))
        return found


class FetchLock:
    """Held by the one process that fetches a file; it ends with the process."""

    def __init__(self, entry: Entry) -> None:
        self._path = entry.directory / _LOCK
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """False while another holds it. Raises OSError."""
        while True:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                file = self._path.open("a")
            except FileNotFoundError:
                continue  # trimmed away between the two
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_ino == self._path.stat().st_ino:
                    file.truncate(0)
                    self._file = file
                    return True
            except FileNotFoundError:
                pass  # trimmed away: another file has the name now, or none
            except BlockingIOError:
                file.close()
                return False
            file.close()

    def tell(self, size: int, began: int) -> None:
        """Say to the other processes what is being fetched."""
        assert self._file is not None
        self._file.write(f"{size} {began}")
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def _remove(directory: Path) -> bool:
    """Remove an entry unless it is being fetched. Whoever sends its file now keeps it open."""
    with suppress(OSError), (directory / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory)
        return True
    return False
