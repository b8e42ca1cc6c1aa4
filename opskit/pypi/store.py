"""The store: what the index knows about its files, and the pages made of it. Every change is one transaction.

Reads are single indexed look-ups. Writes render the pages of the projects they touch in the same transaction
and note them in the change journal, by which every other process sees at once what to drop from its cache.
"""

import gzip
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from opskit.pypi import database, names, simple
from opskit.pypi.audit import Actor, record
from opskit.pypi.database import transaction

ROOT_PAGE = ""  # the project name that stands for the listing of all projects
_FORMS = ("json", "html")


@dataclass(frozen=True)
class FileRow:
    """A file as the store keeps it. `uploaded` in µs since 1970; `metadata`: sha256 of a wheel's METADATA."""

    path: str
    filename: str
    project: str
    display: str
    version: str
    kind: str
    canonical: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    uploaded: int
    uploader: str
    requires_python: str | None
    metadata: str | None
    summary: str | None
    problem: str | None


_COLUMNS = ", ".join(field.name for field in fields(FileRow))
_HOLES = ", ".join("?" * len(fields(FileRow)))


@dataclass(frozen=True)
class Listed:
    """A project in a list for people: its newest version and that one's summary."""

    name: str
    version: str
    summary: str


@dataclass(frozen=True)
class Page:
    """A rendered page in one content coding."""

    etag: str
    body: bytes


@dataclass(frozen=True)
class Tombstone:
    """A deleted file: its name, and its release, may only come back with the same bytes."""

    filename: str
    project: str
    version: str
    sha256: str


class Refused(Exception):
    """A change that the store does not make; the message is for the person who asked."""


class Store:
    """The index of one package directory. Safe to use from several threads and several processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._local = threading.local()
        _ = self.db

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = database.connect(self.root)
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        self.db.close()
        del self._local.connection

    # Reading

    def page(self, project: str, form: str, coding: str) -> Page | None:
        """A rendered page, or None when there is no such project."""
        row = self.db.execute(
            "SELECT etag, body FROM page WHERE project=? AND form=? AND coding=?", (project, form, coding)
        ).fetchone()
        return Page(row[0], row[1]) if row else None

    def root_page(self, form: str, coding: str) -> Page:
        """The listing of all projects: not kept, because every new project would rewrite it.

        Every process keeps its own until the journal says that the set of projects changed."""
        listed = self.projects()
        body = simple.root_json(listed) if form == "json" else simple.root_html(listed)
        mark = f"{form[0]}{sha256(body).hexdigest()[:24]}"
        return Page(_etag(mark, coding), encoders()[coding](body))

    def projects(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT name FROM project ORDER BY name")]

    def project_list(self) -> list[Listed]:
        rows = self.db.execute("SELECT name, version, summary FROM project ORDER BY name")
        return [Listed(row[0], row[1], row[2]) for row in rows]

    def has_project(self, project: str) -> bool:
        return self.db.execute("SELECT 1 FROM project WHERE name=?", (project,)).fetchone() is not None

    def counts(self) -> tuple[int, int]:
        """Projects and files."""
        row = self.db.execute("SELECT (SELECT COUNT(*) FROM project), COUNT(*) FROM file").fetchone()
        return row[0], row[1]

    def files(self, project: str | None = None, version: str | None = None) -> list[FileRow]:
        """Files by path; of one project, of one version (compared as versions, not as text)."""
        where, values = ("WHERE project=?", (project,)) if project is not None else ("", ())
        rows = self.db.execute(f"SELECT {_COLUMNS} FROM file {where} ORDER BY path", values)  # noqa: S608 — our own column names
        found = [FileRow(*row) for row in rows]
        return found if version is None else [f for f in found if names.same_version(f.version, version)]

    def file_at(self, path: str) -> FileRow | None:
        return self._one("path=?", path)

    def file_named(self, filename: str) -> FileRow | None:
        return self._one("filename=? ORDER BY path LIMIT 1", filename)

    def file_by_hash(self, digest: str, filename: str) -> FileRow | None:
        return self._one("sha256=? AND filename=? ORDER BY path LIMIT 1", digest, filename)

    def file_by_canonical(self, canonical: str) -> FileRow | None:
        return self._one("canonical=? LIMIT 1", canonical)

    def _one(self, where: str, *values: str) -> FileRow | None:
        row = self.db.execute(f"SELECT {_COLUMNS} FROM file WHERE {where}", values).fetchone()  # noqa: S608 — our own conditions
        return FileRow(*row) if row else None

    def metadata(self, digest: str) -> bytes | None:
        """The core metadata of the file with this sha256."""
        row = self.db.execute("SELECT body FROM metadata WHERE sha256=?", (digest,)).fetchone()
        return zlib.decompress(row[0]) if row else None

    def yanked(self, project: str) -> dict[str, str]:
        """Version → reason."""
        return dict(self.db.execute("SELECT version, reason FROM yank WHERE project=?", (project,)).fetchall())

    def status(self, project: str) -> tuple[str, str]:
        """The project's status (PEP 792) and its reason."""
        row = self.db.execute("SELECT status, reason FROM status WHERE project=?", (project,)).fetchone()
        return (row[0], row[1]) if row else ("active", "")

    def tombstones(self, project: str, version: str) -> list[Tombstone]:
        rows = self.db.execute(
            "SELECT filename, project, version, sha256 FROM tombstone WHERE project=?", (project,)
        )
        found = [Tombstone(*row) for row in rows]
        return [t for t in found if names.same_version(t.version, version)]

    def serial(self) -> int:
        """The number of the last change."""
        row = self.db.execute("SELECT MAX(serial) FROM change").fetchone()
        return row[0] or 0

    def changed_since(self, serial: int) -> set[str]:
        return {row[0] for row in self.db.execute("SELECT project FROM change WHERE serial>?", (serial,))}

    def data_version(self) -> int:
        """A number that differs when another connection has committed; costs no disk access."""
        version: int = self.db.execute("PRAGMA data_version").fetchone()[0]
        return version

    def setting(self, key: str, make: Callable[[], Any]) -> Any:
        """A value kept with the index, made by whoever needs it first."""
        row = self.db.execute("SELECT value FROM setting WHERE key=?", (key,)).fetchone()
        if row is None:
            self.db.execute("INSERT OR IGNORE INTO setting VALUES(?, ?)", (key, make()))
            row = self.db.execute("SELECT value FROM setting WHERE key=?", (key,)).fetchone()
        return row[0]

    # What the scan of the directory brings

    def stamps(self, paths: Iterable[str] | None = None) -> dict[str, tuple[int, int, int]]:
        """Path → (size, mtime_ns, inode) of all files, or of those asked for."""
        query = "SELECT path, size, mtime_ns, inode FROM file"
        if paths is None:
            return {path: (size, mtime, inode) for path, size, mtime, inode in self.db.execute(query)}
        found = {}
        for path in paths:
            row = self.db.execute(query + " WHERE path=?", (path,)).fetchone()
            if row:
                found[path] = (row[1], row[2], row[3])
        return found

    def remember(self, rows: list[tuple[FileRow, bytes | None]]) -> int:
        """Take in files that were found in the directory; how many were new or different."""
        taken = 0
        with transaction(self.db):
            touched = set()
            for row, core in rows:
                known = self.file_at(row.path)
                if known and known.sha256 == row.sha256:
                    self.db.execute(
                        "UPDATE file SET size=?, mtime_ns=?, inode=? WHERE path=?",
                        (row.size, row.mtime_ns, row.inode, row.path),
                    )
                    continue
                self._insert(row, core)
                touched |= {row.project} | ({known.project} if known else set())
                taken += 1
            self._publish(touched)
        return taken

    def forget(self, paths: list[str]) -> None:
        """Files that are no longer in the directory."""
        if not paths:
            return
        with transaction(self.db):
            touched = set()
            for path in paths:
                row = self.file_at(path)
                if row:
                    self._remove(row)
                    touched.add(row.project)
                    record(self.db, Actor("", "directory"), "gone", row.filename, f"sha256 {row.sha256}")
            self._publish(touched)

    # What people do

    def add(self, row: FileRow, core: bytes | None, place: Callable[[], None], actor: Actor) -> bool:
        """Take in an upload: check, `place` the file in the directory, and show it, all or nothing.

        False when the same file is here already. Raises Refused for a name that is taken or was deleted.
        """
        with transaction(self.db):
            if self._is_same_again(row):
                return False
            self._refuse_tombstoned(row)
            place()
            self._insert(row, core)
            self._publish({row.project})
            record(self.db, actor, "upload", row.filename, f"sha256 {row.sha256}")
        return True

    def _is_same_again(self, row: FileRow) -> bool:
        known = self.file_named(row.filename) or self.file_by_canonical(row.canonical)
        if known is None:
            return False
        if known.filename == row.filename and known.sha256 == row.sha256:
            return True
        same = "" if known.filename == row.filename else f", as {known.filename}"
        raise Refused(
            f"File already exists ({row.filename}{same}), with other bytes: a new file needs a new version"
        )

    def _refuse_tombstoned(self, row: FileRow) -> None:
        dead = self.tombstones(row.project, row.version)
        if dead and row.sha256 not in {tombstone.sha256 for tombstone in dead}:
            raise Refused(
                f"This filename was previously used: {row.project} {row.version} was deleted and can come"
                " back only with the same bytes"
            )

    def yank(self, project: str, version: str, reason: str | None, actor: Actor) -> int:
        """Yank a version for a reason, or bring it back with None; how many files that concerns."""
        with transaction(self.db):
            files = self.files(project, version)
            for spelled in {file.version for file in files}:
                if reason is None:
                    self.db.execute("DELETE FROM yank WHERE project=? AND version=?", (project, spelled))
                else:
                    self.db.execute("INSERT OR REPLACE INTO yank VALUES(?, ?, ?)", (project, spelled, reason))
            self._publish({project} if files else set())
            if files:
                what = "unyank" if reason is None else "yank"
                record(self.db, actor, what, f"{project} {version}", reason or "")
        return len(files)

    def set_status(self, project: str, status: str, reason: str, actor: Actor) -> None:
        """Set the project status of PEP 792."""
        with transaction(self.db):
            if status == "active":
                self.db.execute("DELETE FROM status WHERE project=?", (project,))
            else:
                self.db.execute("INSERT OR REPLACE INTO status VALUES(?, ?, ?)", (project, status, reason))
            self._publish({project})
            record(self.db, actor, "status", project, f"{status} {reason}".strip())

    def delete(self, rows: list[FileRow], actor: Actor) -> None:
        """Delete files for good: a tombstone for each, then the file. Raises OSError."""
        now = time.time_ns() // 1000
        with transaction(self.db):
            for row in rows:
                self.db.execute(
                    "INSERT OR REPLACE INTO tombstone VALUES(?, ?, ?, ?, ?, ?)",
                    (row.filename, row.project, row.version, row.canonical, row.sha256, now),
                )
                (self.root / row.path).unlink(missing_ok=True)
                self._remove(row)
                record(self.db, actor, "delete", row.filename, f"sha256 {row.sha256}")
            self._publish({row.project for row in rows})

    # Inside a transaction

    def _insert(self, row: FileRow, core: bytes | None) -> None:
        self.db.execute(f"INSERT OR REPLACE INTO file({_COLUMNS}) VALUES({_HOLES})", tuple(vars(row).values()))
        if core is not None:
            self.db.execute("INSERT OR REPLACE INTO metadata VALUES(?, ?)", (row.sha256, zlib.compress(core)))

    def _remove(self, row: FileRow) -> None:
        self.db.execute("DELETE FROM file WHERE path=?", (row.path,))
        if self._one("sha256=? LIMIT 1", row.sha256) is None:
            self.db.execute("DELETE FROM metadata WHERE sha256=?", (row.sha256,))

    def _publish(self, projects: set[str]) -> None:
        """Render the pages of projects anew and tell the other processes."""
        listed = False
        for project in sorted(projects):
            files = self.files(project)
            listed = listed or self.has_project(project) != bool(files)
            self.db.execute("DELETE FROM page WHERE project=?", (project,))
            self.db.execute("DELETE FROM project WHERE name=?", (project,))
            if files:
                shown = self.view(project, files)
                self.keep_page(project, simple.project_json(shown), simple.project_html(shown))
                newest = max(files, key=lambda row: names.version_key(row.version))
                self.db.execute(
                    "INSERT INTO project VALUES(?, ?, ?)",
                    (project, newest.version, newest.summary or ""),
                )
            self.journal(project)
        if listed:
            self.journal(ROOT_PAGE)

    def journal(self, project: str) -> None:
        """Tell every process, this one included, that the page of a project is another now."""
        self.db.execute("INSERT INTO change(project) VALUES(?)", (project,))

    def view(self, project: str, rows: list[FileRow] | None = None) -> simple.Project:
        """A project as its page shows it."""
        rows = self.files(project) if rows is None else rows
        yanked = self.yanked(project)
        unique = {row.filename: row for row in reversed(rows)}  # of two with one name, the first by path
        ordered = sorted(unique.values(), key=lambda row: (names.version_key(row.version), row.filename))
        status, reason = self.status(project)
        shown = [] if status == "quarantined" else ordered
        return simple.Project(
            name=project,
            files=tuple(_as_simple(row, yanked.get(row.version)) for row in shown),
            versions=tuple(dict.fromkeys(row.version for row in shown)),
            status=status,
            reason=reason,
        )

    def keep_page(self, project: str, as_json: bytes, as_html: bytes) -> None:
        """Write a page in both forms, compressed once for all who will ask."""
        for form, body in zip(_FORMS, (as_json, as_html), strict=True):
            mark = f"{form[0]}{sha256(body).hexdigest()[:24]}"
            for coding, encode in encoders().items():
                self.db.execute(
                    "INSERT OR REPLACE INTO page VALUES(?, ?, ?, ?, ?)",
                    (project, form, coding, _etag(mark, coding), encode(body)),
                )

    @contextmanager
    def scanning(self) -> Iterator[bool]:
        """True for the one process at a time that may scan the directory; the lock ends with the process."""
        import fcntl

        with (database.state_directory(self.root) / "scan.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True

    @property
    def _scan_mark(self) -> Path:
        return database.state_directory(self.root) / "scanned"

    def mark_scanned(self, moment: int) -> None:
        """Tell every process that the index holds what the directory held at that moment, in ns since 1970."""
        mark = self._scan_mark
        if not mark.exists():  # it must not be seen with the time at which it is made
            made = mark.with_name(f"scanned.{os.getpid()}")
            made.touch()
            os.utime(made, ns=(moment, moment))
            made.replace(mark)
        os.utime(mark, ns=(moment, moment))

    def scanned_at(self) -> int:
        """The last such moment, by whichever process scans; 0 before the first."""
        try:
            return self._scan_mark.stat().st_mtime_ns
        except FileNotFoundError:
            return 0


def _as_simple(row: FileRow, yanked: str | None) -> simple.File:
    return simple.File(
        filename=row.filename,
        version=row.version,
        url=f"../../files/{row.sha256}/{row.filename}",
        hashes={"sha256": row.sha256},
        size=row.size,
        uploaded=row.uploaded,
        requires_python=row.requires_python,
        yanked=yanked,
        metadata=row.metadata,
    )


def _etag(mark: str, coding: str) -> str:
    """RFC 9110 section 8.8.3.3: each coding is a representation of its own."""
    return f'"{mark}"' if coding == "identity" else f'"{mark}-{coding}"'


def encoders() -> dict[str, Callable[[bytes], bytes]]:
    """The content codings that this Python can make."""
    return _ENCODERS


def _find_zstd() -> Callable[[bytes], bytes] | None:
    """The standard library's from Python 3.14, else the package's, else none."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return lambda body: bytes(zstd.compress(body))
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard.ZstdCompressor(level=6).compress


_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": lambda body: gzip.compress(body, 6, mtime=0),
}
if (_zstd := _find_zstd()) is not None:
    _ENCODERS["zstd"] = _zstd
CODINGS = ("zstd", "gzip") if _zstd else ("gzip",)  # the best first
