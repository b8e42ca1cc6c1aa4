"""The audit log: who changed what, when, from where. Append-only, each entry chained to the one before."""

import sqlite3
import time
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Actor:
    """Who acts: a user, a token's name, or empty for nobody; and from where: an address, `command line`."""

    who: str
    origin: str


@dataclass(frozen=True)
class Entry:
    """One line of the log; `at` in µs since 1970. `chain` covers it and, through the last, all before."""

    id: int
    at: int
    who: str
    origin: str
    what: str
    subject: str
    detail: str
    chain: str


def record(db: sqlite3.Connection, actor: Actor, what: str, subject: str, detail: str = "") -> None:
    """Append an entry, inside the caller's transaction."""
    last = db.execute("SELECT chain FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    at = time.time_ns() // 1000
    chain = _link(last[0] if last else "", at, actor.who, actor.origin, what, subject, detail)
    db.execute(
        "INSERT INTO audit(at, who, origin, what, subject, detail, chain) VALUES(?, ?, ?, ?, ?, ?, ?)",
        (at, actor.who, actor.origin, what, subject, detail, chain),
    )


def entries(db: sqlite3.Connection, limit: int | None = None) -> list[Entry]:
    """The log in order; with a limit, its last entries."""
    rows = db.execute("SELECT * FROM audit ORDER BY id DESC LIMIT ?", (-1 if limit is None else limit,))
    return [Entry(*row) for row in rows][::-1]


def first_broken(db: sqlite3.Connection) -> int | None:
    """The id of the first entry whose chain does not hold, or None when the log is whole."""
    before = ""
    for e in entries(db):
        if e.chain != _link(before, e.at, e.who, e.origin, e.what, e.subject, e.detail):
            return e.id
        before = e.chain
    return None


def _link(before: str, *values: object) -> str:
    return sha256("\x1f".join([before, *map(str, values)]).encode()).hexdigest()
