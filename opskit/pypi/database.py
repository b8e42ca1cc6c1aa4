"""The index database: one SQLite file in WAL mode, its schema, and how it is opened.

It holds nothing about files that could not be read from them again, except what people decided: yanks,
tombstones, tokens, and the audit log.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opskit.errors import Unable

SCHEMA_VERSION = 1
STATE_DIRECTORY = ".opskit"  # hidden, so that pypiserver and the directory scan pass it by
DATABASE_NAME = "index.db"

SCHEMA = """
CREATE TABLE setting(key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE file(
  path TEXT PRIMARY KEY,            -- relative to the directory, with /
  filename TEXT NOT NULL, project TEXT NOT NULL, display TEXT NOT NULL, version TEXT NOT NULL,
  kind TEXT NOT NULL,               -- wheel, sdist, legacy
  canonical TEXT NOT NULL,          -- equal for two spellings of one distribution
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  sha256 TEXT NOT NULL, uploaded INTEGER NOT NULL,  -- µs since 1970
  uploader TEXT NOT NULL, requires_python TEXT, metadata TEXT,  -- sha256 of the core metadata
  summary TEXT, problem TEXT);
CREATE INDEX file_project ON file(project);
CREATE INDEX file_sha256 ON file(sha256);
CREATE INDEX file_filename ON file(filename);
CREATE INDEX file_canonical ON file(canonical);

CREATE TABLE project(name TEXT PRIMARY KEY, version TEXT NOT NULL, summary TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE metadata(sha256 TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;  -- by file, zlib
CREATE TABLE yank(project TEXT, version TEXT, reason TEXT NOT NULL, PRIMARY KEY(project, version))
  WITHOUT ROWID;
CREATE TABLE status(project TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tombstone(filename TEXT PRIMARY KEY, project TEXT, version TEXT, canonical TEXT,
  sha256 TEXT, deleted INTEGER)
  WITHOUT ROWID;
CREATE INDEX tombstone_release ON tombstone(project, version);

CREATE TABLE page(project TEXT, form TEXT, coding TEXT, etag TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(project, form, coding)) WITHOUT ROWID;
CREATE TABLE change(serial INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL);

CREATE TABLE token(id TEXT PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
  created INTEGER NOT NULL, expires INTEGER, used INTEGER, revoked INTEGER) WITHOUT ROWID;
CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL,
  origin TEXT NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL, chain TEXT NOT NULL);
CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_keeps_all BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE upstream_page(upstream TEXT, project TEXT, etag TEXT, fetched INTEGER NOT NULL,
  found INTEGER NOT NULL,  body BLOB, PRIMARY KEY(upstream, project)) WITHOUT ROWID;
CREATE TABLE upstream_file(sha256 TEXT, filename TEXT, project TEXT NOT NULL, url TEXT NOT NULL, size INTEGER,
  seen INTEGER NOT NULL, metadata_url INTEGER NOT NULL, metadata_sha256 TEXT,
  PRIMARY KEY(sha256, filename)) WITHOUT ROWID;
CREATE INDEX upstream_file_project ON upstream_file(project);
"""


def state_directory(root: Path) -> Path:
    return root / STATE_DIRECTORY


def connect(root: Path) -> sqlite3.Connection:
    """Open, and on the first time create, the database of a package directory. Raises Unable."""
    path = state_directory(root) / DATABASE_NAME
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        # An answered upload must outlive a power failure, not only a killed process.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-16000")
        _create(connection, path)
    except (OSError, sqlite3.Error) as error:
        raise Unable(f"cannot open {path}: {error}", hint="check that the directory is writable") from error
    return connection


def _create(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == 0:
        with transaction(connection):
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # another process may have been first
                for statement in _statements(SCHEMA):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    elif found != SCHEMA_VERSION:
        raise Unable(
            f"{path} has schema {found}; this opskit knows {SCHEMA_VERSION}",
            hint="use the opskit that wrote it, or move the file away: the files will be read again",
        )


def _statements(script: str) -> Iterator[str]:
    """The statements of the script, for execution inside one transaction (executescript would commit it)."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: the lock is taken first, so two writers queue instead of failing late."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
