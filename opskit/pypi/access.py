"""Who sends a request, and whether they may: passwords, tokens, sessions, and the brake on guessing."""

import asyncio
import hmac
import math
import secrets
import time
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, replace
from hashlib import blake2b

from starlette.requests import HTTPConnection

from opskit.pypi import tokens
from opskit.pypi.answers import Problem, Scope, client, header
from opskit.pypi.passwords import Passwords
from opskit.pypi.plan import Settings
from opskit.pypi.rights import NOBODY, USER_RIGHTS, Identity, Right, parse_right
from opskit.pypi.store import Store

_VERIFIED_FOR_S = 300.0
_USERS_FRESH_S = 1.0
_SESSION_S = 12 * 3600
COOKIE = "opskit_session"
BASIC = (b"www-authenticate", b'Basic realm="opskit", charset="UTF-8"')


@dataclass(frozen=True)
class Credentials:
    """A user name with a password, or with a token as its password."""

    user: str
    password: str

    @property
    def is_token(self) -> bool:
        return self.password.startswith(tokens.PREFIX)


@dataclass(frozen=True, slots=True)
class _Verified:
    """A header that was verified; `until` by the monotonic clock."""

    identity: Identity
    lists_all: bool
    until: float


def read_credentials(value: str) -> Credentials | None:
    """The credentials of an Authorization header, or None for what is neither Basic nor Bearer."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return Credentials("__token__", rest.strip())
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = b64decode(rest.strip(), validate=True).decode("utf-8", "replace").partition(":")
    except (Base64Error, ValueError):
        return None
    return Credentials(user, password) if colon else None


class Brake:
    """Slows guessing: after a few failures each further try of an address or account waits its turn.

    An account's wait is bounded, so that nobody can lock somebody else out; an address that insists gets 429.
    """

    FREE = 3
    ADDRESS_LIMIT_S = 20.0
    ACCOUNT_LIMIT_S = 4.0
    FORGET_S = 900.0

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._next: dict[str, float] = {}

    def wait_s(self, address: str, account: str) -> float:
        """Take a turn: how long to wait. Raises Problem 429 for an address with too many turns taken."""
        now = time.monotonic()
        if self._turn(f"@{address}", now, peek=True) > self.ADDRESS_LIMIT_S:
            raise Problem(429, "too many wrong passwords from this address", [(b"retry-after", b"20")])
        waits = self._turn(f"@{address}", now), min(self._turn(account, now), self.ACCOUNT_LIMIT_S)
        return max(waits)

    def _turn(self, key: str, now: float, *, peek: bool = False) -> float:
        failures, last = self._failures.get(key, (0, 0.0))
        if failures <= self.FREE or now - last > self.FORGET_S:
            return 0.0
        start = max(now, self._next.get(key, 0.0))
        if not peek:
            self._next[key] = start + min(0.25 * 2 ** min(failures - self.FREE, 5), 4.0)
        return start - now

    def failed(self, address: str, account: str) -> None:
        now = time.monotonic()
        if len(self._failures) > 20_000:  # an attacker chooses the account names: memory must not follow
            self._failures.clear()
            self._next.clear()
        for key in (f"@{address}", account):
            failures, last = self._failures.get(key, (0, now))
            self._failures[key] = (1 if now - last > self.FORGET_S else failures + 1, now)

    def succeeded(self, address: str, account: str) -> None:
        for key in (f"@{address}", account):
            self._failures.pop(key, None)
            self._next.pop(key, None)


class Access:
    """The rules of one server, applied to requests."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.passwords = Passwords(settings.passwords) if settings.passwords else None
        self.brake = Brake()
        self._verified: dict[bytes, _Verified] = {}
        self._verifying: dict[bytes, asyncio.Lock] = {}
        self._verified_key = secrets.token_bytes(32)
        self._users_due = 0.0  # when to look at the password file again
        self._seen = store.data_version()
        self.secret = bytes.fromhex(store.setting("session_key", lambda: secrets.token_hex(32)))

    def is_open(self, action: str) -> bool:
        """Whether everybody may."""
        return self.settings.open_to_all or action not in self.settings.guarded

    async def identify(self, scope: Scope, *, cookies: bool = True) -> Identity:
        """Who sends this. Wrong credentials raise Problem 401, never fall back to nobody."""
        value = header(scope, b"authorization")
        if value is not None:
            found = self.known(value.encode("latin-1")) or await self._verify(scope, value)
        else:
            found = (self._session(scope) if cookies else None) or NOBODY
        scope["opskit.user"] = found.name
        return found

    def known(self, authorization: bytes) -> Identity | None:
        """The identity behind an Authorization header that was verified lately."""
        version = self.store.data_version()
        if version != self._seen:
            self._seen = version
            self.forget_tokens()
        entry = self._recall(authorization)
        return entry.identity if entry else None

    def is_reader(self, authorization: bytes, project: str) -> bool:
        """Whether this header was verified lately and may list the project; False leads to the ordinary way.

        For who has looked at the store's changes already, and called `forget_tokens` for them.
        """
        entry = self._recall(authorization)
        return entry is not None and (entry.lists_all or entry.identity.may("list", project))

    def _recall(self, authorization: bytes) -> _Verified | None:
        now = time.monotonic()
        if now > self._users_due:
            self._refresh_users(now)
        entry = self._verified.get(self._key(authorization))
        return entry if entry and entry.until > now else None

    def _key(self, authorization: bytes) -> bytes:
        """Keyed, so that what lies in memory is not the password."""
        return blake2b(authorization, key=self._verified_key, digest_size=16).digest()

    def _refresh_users(self, now: float) -> None:
        """Drop what was verified when the password file changed."""
        self._users_due = now + _USERS_FRESH_S
        if self.passwords and self.passwords.refresh():
            self._verified.clear()

    def forget_tokens(self) -> None:
        """Something in the store changed: any token may have been revoked."""
        for key in [k for k, entry in self._verified.items() if entry.identity.name.startswith("token ")]:
            del self._verified[key]

    async def _verify(self, scope: Scope, value: str) -> Identity:
        credentials = read_credentials(value)
        if credentials is None:
            raise Problem(401, "this is neither a Basic nor a Bearer authorization", [BASIC])
        key = self._key(value.encode("latin-1"))
        lock = self._verifying.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # one slow hash for a client that opens many connections at once
                known = self.known(value.encode("latin-1"))
                if known is not None:
                    return known
                identity = await self.check(credentials, client(scope))
                if len(self._verified) > 10_000:
                    self._verified.clear()
                until = time.monotonic() + min(_VERIFIED_FOR_S, _left_s(identity))
                self._verified[key] = _Verified(identity, identity.may("list", None), until)
                return identity
        finally:
            if not lock.locked():
                self._verifying.pop(key, None)

    async def check(self, credentials: Credentials, address: str) -> Identity:
        """Verify credentials, slowly when many were wrong. Raises Problem 401, 429."""
        if not credentials.password:
            # pip sends the user with an empty password first and asks its keyring after the 401: no failure.
            raise Problem(401, "a password or token is needed", [BASIC])
        account = "token" if credentials.is_token else credentials.user
        wait = self.brake.wait_s(address, account)
        if wait > 0:
            await asyncio.sleep(wait)
        verify = self._by_token if credentials.is_token else self._by_password
        identity = await asyncio.to_thread(verify, credentials)
        if identity is None:
            self.brake.failed(address, account)
            raise Problem(401, "wrong user, password or token", [BASIC])
        self.brake.succeeded(address, account)
        return identity

    def _by_token(self, credentials: Credentials) -> Identity | None:
        token = tokens.verify(self.store.db, credentials.password)
        if token is None:
            return None
        tokens.mark_used(self.store.db, token.id)
        return _as_identity(token)

    def _by_password(self, credentials: Credentials) -> Identity | None:
        if self.passwords is None or not self.passwords.verify(credentials.user, credentials.password):
            return None
        return self._user(credentials.user)

    def _user(self, name: str) -> Identity:
        granted = tuple(parse_right(text) for user, text in self.settings.grants if user == name)
        rights = granted or USER_RIGHTS
        if name in self.settings.admins:
            rights = (*rights, Right(frozenset({"admin"}), "*"))
        return Identity(name, rights)

    def allows(self, identity: Identity, action: str, project: str | None) -> bool:
        return self.is_open(action) or identity.may(action, project)

    def require(self, identity: Identity, action: str, project: str | None) -> None:
        """Raise Problem 401 for nobody, 403 for somebody without the right."""
        if self.allows(identity, action, project):
            return
        if not identity.name:
            raise Problem(401, f"who wants to {action} must say who they are", [BASIC])
        place = f" {project}" if project else ""
        raise Problem(403, f"{identity.name} may not {action}{place}")

    # Sessions of browsers

    def open_session(self, identity: Identity) -> str:
        """The value of a session cookie; it ends with the password or token it was opened with."""
        until = int(time.time()) + _SESSION_S
        body = f"{until}|{identity.name}"
        return f"{body}|{self._sign(body, identity.name)}".encode().hex()

    def _sign(self, body: str, name: str) -> str:
        stamp = self.passwords.hashes.get(name, "") if self.passwords else ""
        return hmac.new(self.secret, f"{body}|{stamp}".encode(), "sha256").hexdigest()

    def _session(self, scope: Scope) -> Identity | None:
        value = HTTPConnection(scope).cookies.get(COOKIE)
        if not value:
            return None
        try:
            until, name, signature = bytes.fromhex(value).decode().split("|")
            if not hmac.compare_digest(signature, self._sign(f"{until}|{name}", name)) or int(until) < time.time():
                return None
        except ValueError:
            return None
        if name.startswith("token "):
            token = tokens.by_id(self.store.db, name.split()[1])
            live = token is not None and token.is_live(tokens.now())
            return replace(_as_identity(token), by_cookie=True) if token and live else None
        self._refresh_users(time.monotonic())
        if self.passwords is None or name not in self.passwords.hashes:
            return None
        return replace(self._user(name), by_cookie=True)


def _as_identity(token: tokens.Token) -> Identity:
    return Identity(f"token {token.id}", token.rights, expires=token.expires)


def _left_s(identity: Identity) -> float:
    """How long what was verified stays true."""
    return math.inf if identity.expires is None else (identity.expires - tokens.now()) / 1e6
