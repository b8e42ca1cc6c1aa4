"""API tokens: `opk_<id>_<secret>`, made once, stored as a digest, found by their id."""

import hmac
import secrets
import sqlite3
import time
from dataclasses import dataclass
from hashlib import sha256

from opskit.pypi.audit import Actor, record
from opskit.pypi.database import transaction
from opskit.pypi.rights import Right, parse_right

PREFIX = "opk_"


@dataclass(frozen=True)
class Token:
    """A token as it is kept; times in µs since 1970, None for never."""

    id: str
    name: str
    rights: tuple[Right, ...]
    created: int
    expires: int | None
    used: int | None
    revoked: int | None

    def is_live(self, now: int) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


def now() -> int:
    """µs since 1970."""
    return time.time_ns() // 1000


def create(
    db: sqlite3.Connection, name: str, rights: tuple[Right, ...], expires_s: float | None, actor: Actor
) -> str:
    """Make a token and return it: the only time that it is seen."""
    # 240 random bits need no slow hash: nobody guesses them from a digest. The whole fits a line of 80.
    identifier, secret = secrets.token_hex(6), secrets.token_hex(30)
    made = now()
    expires = None if expires_s is None else made + int(expires_s * 1_000_000)
    scopes = " ".join(map(str, rights))
    with transaction(db):
        db.execute(
            "INSERT INTO token VALUES(?, ?, ?, ?, ?, ?, NULL, NULL)",
            (identifier, _digest(secret), name, scopes, made, expires),
        )
        record(db, actor, "token create", identifier, f"{name} {scopes}".strip())
    return f"{PREFIX}{identifier}_{secret}"


def verify(db: sqlite3.Connection, text: str) -> Token | None:
    """The live token that this text is, or None."""
    identifier, _, secret = text.removeprefix(PREFIX).partition("_")
    row = db.execute("SELECT * FROM token WHERE id=?", (identifier,)).fetchone()
    if row is None or not hmac.compare_digest(row["hash"], _digest(secret)):
        return None
    token = _token(row)
    return token if token.is_live(now()) else None


def mark_used(db: sqlite3.Connection, identifier: str) -> None:
    """Note the day of use, at most once an hour, so that reading does not become writing."""
    hour = 3_600_000_000
    db.execute(
        "UPDATE token SET used=? WHERE id=? AND (used IS NULL OR used<?)", (now(), identifier, now() - hour)
    )


def by_id(db: sqlite3.Connection, identifier: str) -> Token | None:
    row = db.execute("SELECT * FROM token WHERE id=?", (identifier,)).fetchone()
    return _token(row) if row else None


def every(db: sqlite3.Connection) -> list[Token]:
    return [_token(row) for row in db.execute("SELECT * FROM token ORDER BY created, id")]


def revoke(db: sqlite3.Connection, identifier: str, actor: Actor) -> bool:
    """False when there is no such live token."""
    with transaction(db):
        done = db.execute(
            "UPDATE token SET revoked=? WHERE id=? AND revoked IS NULL", (now(), identifier)
        ).rowcount
        if done:
            record(db, actor, "token revoke", identifier)
    return bool(done)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _token(row: sqlite3.Row) -> Token:
    return Token(
        row["id"], row["name"], tuple(parse_right(word) for word in row["scopes"].split()),
        row["created"], row["expires"], row["used"], row["revoked"],
    )  # fmt: skip
