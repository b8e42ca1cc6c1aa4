"""An htpasswd file, read for its safe formats only: bcrypt, SHA-crypt, and Apache's MD5."""

import warnings
from pathlib import Path
from typing import Any

from opskit.errors import Misuse, os_reason

_BCRYPT = ("$2y$", "$2b$", "$2a$")
_OTHERS = ("$apr1$", "$5$", "$6$")
# Verified for names that do not exist, so that the time of the answer does not tell which do.
_NOBODYS = "$6$rounds=5000$opskitopskitopsk$"


class Passwords:
    """The users of one file; read again when the file changes. Raises Misuse for what must not be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self.hashes: dict[str, str] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Read the file if it changed; whether it did. A file that vanished or broke keeps what was read."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return False
            text = self.path.read_text(errors="replace")
        except OSError as error:
            if self._stamp is not None:
                return False
            raise Misuse(f"cannot read the password file {self.path}: {os_reason(error)}") from error
        self.hashes, self._stamp = parse(text, str(self.path)), stamp
        return True

    def verify(self, user: str, password: str) -> bool:
        """Slow on purpose: call it in a thread."""
        known = self.hashes.get(user)
        right = _matches(password, known or _dummy(self.hashes))
        return known is not None and right


def parse(text: str, name: str) -> dict[str, str]:
    """User → hash. Raises Misuse for plain text, crypt(3) DES and unsalted SHA-1."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        user, colon, digest = line.strip().partition(":")
        digest = digest.split(":")[0]
        if not colon or not user:
            raise Misuse(
                f"{name}: line {number} is not USER:HASH", hint="make entries with: htpasswd -B FILE USER"
            )
        if digest.startswith(_BCRYPT):
            _require_bcrypt(user, name)
        elif not digest.startswith(_OTHERS):
            raise Misuse(
                f"{name}: the password of {user} is stored as plain text or in a broken format",
                hint=f"make it anew with bcrypt: htpasswd -B {name} {user}",
            )
        found[user] = digest
    return found


def _require_bcrypt(user: str, name: str) -> None:
    try:
        import bcrypt  # noqa: F401 — only whether it is there
    except ImportError:
        raise Misuse(
            f"{name}: the password of {user} is stored with bcrypt, which this Python cannot read",
            hint="pip install bcrypt, or store it with SHA-512: mkpasswd -m sha512crypt",
        ) from None


def _dummy(hashes: dict[str, str]) -> str:
    """A hash of the same cost as the file's own."""
    return next(iter(hashes.values()), _NOBODYS)


def _matches(password: str, digest: str) -> bool:
    if digest.startswith(_BCRYPT):
        import bcrypt

        # bcrypt looks at 72 bytes and, from its version 5, refuses more; Apache cuts, and so must we.
        return bcrypt.checkpw(password.encode()[:72], digest.replace("$2y$", "$2b$", 1).encode())
    return bool(_context().verify(password, digest)) if digest != _NOBODYS else False


def _context() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from passlib.context import CryptContext

        return CryptContext(schemes=["sha512_crypt", "sha256_crypt", "apr_md5_crypt"])
