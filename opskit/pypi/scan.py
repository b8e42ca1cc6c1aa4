"""The directory as it is on disk, brought into the store: what lies there is served, what left is not.

A tick costs one stat per directory. A directory whose modification time moved is listed again, and a file
that was touched in the last two seconds is looked at again until it is settled: it may still be growing.
"""

import asyncio
import hashlib
import io
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opskit.pypi import archive, names
from opskit.pypi.answers import Problem
from opskit.pypi.store import FileRow, Store

_BATCH = 1000
_IN_MEMORY = 8 * 2**20  # files up to this many bytes are read once, for digest and metadata together
_SETTLED_NS = 2_000_000_000  # a file untouched for so long is taken as written
_GRANULE_NS = 50_000_000  # a listing this close to the directory's own time may have missed a name
FULL_SCAN_S = 300.0  # how often every file is looked at, for changes that leave the directory's time alone


_WAIT_S = 10.0  # how long a request waits for the first scan; less than any client's patience
_POLL_S = 0.05

Stamp = tuple[int, int, int]  # size, modification time in ns, inode: equal means unchanged


@dataclass(frozen=True)
class Scanned:
    """What one pass changed, in files."""

    added: int = 0
    removed: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


class FirstScan:
    """Whether the directory has been read since this worker started, by whichever process reads it.

    Before that nothing may be called missing: pip would take the name from elsewhere.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._started = time.time_ns()
        self._done = False

    @property
    def is_done(self) -> bool:
        self._done = self._done or self._store.scanned_at() > self._started
        return self._done

    async def wait(self) -> None:
        """Raises Problem 503 when it takes longer than a client would wait."""
        deadline = time.monotonic() + _WAIT_S
        while not self.is_done:
            if time.monotonic() > deadline:
                raise Problem(
                    503, "the server has just started and still reads its directory: ask again soon",
                    [(b"retry-after", b"5")],
                )  # fmt: skip
            await asyncio.sleep(_POLL_S)


class Scanner:
    """Keeps one store in step with its directory. One per directory at a time: see `Store.scanning`.

    `progress` is called with the number of files read so far in a pass.
    """

    def __init__(self, store: Store, progress: Callable[[int], None] = lambda _: None) -> None:
        self.store = store
        self.progress = progress
        self._listed: dict[str, set[str]] = {}  # directory → the names in it, files and directories
        self._times: dict[str, int | None] = {}  # directory → its modification time when it was listed
        self._unsettled: set[str] = set()
        self._last_full = 0.0

    def tick(self) -> Scanned:
        """Look for changes; everything the first time and every FULL_SCAN_S, else only what moved."""
        began = time.time_ns()
        found = self._look()
        self.store.mark_scanned(began)
        return found

    def _look(self) -> Scanned:
        if not self._listed or time.monotonic() - self._last_full > FULL_SCAN_S:
            return self.full()
        touched = set(self._unsettled)
        for directory in [d for d, seen in self._times.items() if _mtime(self.store.root / d) != seen]:
            touched |= self._relist(directory)
        return self._refresh(touched, self.store.stamps(touched)) if touched else Scanned()

    def full(self) -> Scanned:
        """Look at every file."""
        self._last_full = time.monotonic()
        self._listed.clear()
        known = self.store.stamps()
        return self._refresh(self._relist("") | set(known), known)

    def _relist(self, directory: str) -> set[str]:
        """List a directory again: the paths of files that appeared or vanished, those below included."""
        modified = _mtime(self.store.root / directory)
        before = self._listed.get(directory, set())
        now, subdirectories = self._names(directory)
        # A name made in the same clock tick as the listing would leave the time as it is now.
        fresh = modified is not None and time.time_ns() - modified < _GRANULE_NS
        self._times[directory], self._listed[directory] = (None if fresh else modified), now
        touched = {_join(directory, name) for name in (now ^ before) - subdirectories}
        for name in subdirectories - before:
            touched |= self._relist(_join(directory, name))
        for gone in [d for d in self._listed if d and d.rpartition("/")[0] == directory
                     and d.rpartition("/")[2] not in now]:  # fmt: skip
            touched |= self._drop(gone)
        if modified is None:
            self._times.pop(directory, None)
        return touched

    def _names(self, directory: str) -> tuple[set[str], set[str]]:
        """All visible names that are text, and those of them that are directories."""
        names_, directories = set(), set()
        try:
            with os.scandir(self.store.root / directory) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.name.isprintable():
                        names_.add(entry.name)
                        if entry.is_dir(follow_symlinks=False):  # as pypiserver; a link may lead in circles
                            directories.add(entry.name)
        except OSError:
            pass  # it vanished, or may not be read: then it holds nothing that could be served
        return names_, directories

    def _drop(self, directory: str) -> set[str]:
        """Forget a directory that is gone, with all below it: the paths of the files it held."""
        below = [d for d in self._listed if d == directory or d.startswith(directory + "/")]
        touched = {_join(d, name) for d in below for name in self._listed[d]} - set(below)
        for d in below:
            del self._listed[d]
            self._times.pop(d, None)
        return touched

    def _refresh(self, paths: Iterable[str], known: dict[str, Stamp]) -> Scanned:
        """Compare each path on disk with what the store knows, and bring the store in step."""
        gone, changed = [], []
        now = time.time_ns()
        for path in paths:
            stamp = _stamp(self.store.root / path)
            if stamp is not None and now - stamp[1] < _SETTLED_NS:
                self._unsettled.add(path)
            else:
                self._unsettled.discard(path)
            if stamp is None and path in known:
                gone.append(path)
            elif stamp is not None and stamp != known.get(path):
                changed.append(path)
        self.store.forget(gone)
        added = 0
        read = 0
        for batch in _batches(changed):
            rows = list(self._read_all(batch))
            added += self.store.remember(rows)
            read += len(batch)
            self.progress(read)
        return Scanned(added, len(gone))

    def _read_all(self, paths: list[str]) -> Iterator[tuple[FileRow, bytes | None]]:
        """The rows of files; one after the other, because threads only queue for the interpreter here."""
        return filter(None, map(self._read, paths))

    def _read(self, path: str) -> tuple[FileRow, bytes | None] | None:
        try:
            return describe(self.store.root, path)
        except OSError:
            return None  # gone or unreadable between listing and reading; the next tick sees it


def _batches(paths: list[str]) -> Iterator[list[str]]:
    """Batches that part no project: its page is rendered once and never shows half of its files."""
    by_project: dict[str, list[str]] = {}
    for path in paths:
        parsed = names.parse_listed(path.rpartition("/")[2])
        by_project.setdefault(parsed.project if parsed else "", []).append(path)
    batch: list[str] = []
    for project in sorted(by_project):
        batch += sorted(by_project[project])
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def describe(root: Path, path: str) -> tuple[FileRow, bytes | None] | None:
    """The row of one file and its core metadata; None for what is no distribution. Raises OSError."""
    parsed = names.parse_listed(path.rpartition("/")[2])
    if parsed is None:
        return None
    place = root / path
    core, problem = None, None
    with place.open("rb") as file:
        status = os.fstat(file.fileno())
        source: io.BufferedIOBase = io.BytesIO(file.read()) if status.st_size <= _IN_MEMORY else file
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        source.seek(0)
        if parsed.kind != "legacy":
            try:
                core = archive.read_core(source, parsed.text)  # type: ignore[arg-type]
            except archive.BadArchive as error:
                problem = str(error)
    row = FileRow(
        path=path, filename=parsed.text, project=parsed.project,
        display=core.name if core else parsed.display,
        version=parsed.version, kind=parsed.kind, canonical=parsed.canonical, size=status.st_size,
        mtime_ns=status.st_mtime_ns, inode=status.st_ino, sha256=digest, uploaded=status.st_mtime_ns // 1000,
        uploader="", requires_python=core.requires_python if core else None,
        metadata=hashlib.sha256(core.raw).hexdigest() if core and parsed.kind == "wheel" else None,
        summary=core.summary if core else None, problem=problem,
    )  # fmt: skip
    return row, core.raw if core else None


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _stamp(path: Path) -> Stamp | None:
    """The stamp of a regular file, or None."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _mtime(directory: Path) -> int | None:
    try:
        return directory.stat().st_mtime_ns
    except OSError:
        return None
