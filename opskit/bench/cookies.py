"""Cookies as RFC 6265 section 5 has them: kept in a jar as servers set them, and sent back. No I/O, no clock.

The standard library's http.cookiejar takes longer for a request than all the rest of it, and refuses
`Domain=localhost`. There is no list of public suffixes here: a domain without a dot is one, `co.uk` is not.
"""

import re
from calendar import timegm
from collections.abc import Iterable
from email.utils import parsedate
from math import inf
from typing import NamedTuple

from opskit.bench.plan import Prepared

MOST = 50  # cookies in a jar, and
LONGEST = 4096  # bytes of a name and its value: what section 6.1 asks for at least
_LONGEST_ATTRIBUTE = 1024  # as browsers have it

_TARGET = re.compile(rb"[^ ]+ (?:[^/? ]+://[^/? ]*)?([^? ]*)")
_HOST = re.compile(rb"\r\n[Hh][Oo][Ss][Tt]:[ \t]*(\[[^\]\r\n]*\]|[^:\r\n \t]*)")
_COOKIE = re.compile(rb"\r\n[Cc][Oo][Oo][Kk][Ii][Ee]:[ \t]*([^\r\n]*)")
_MAX_AGE = re.compile(r"-?[0-9]{1,18}")
_ADDRESS = re.compile(r"[0-9.]+|\[.*\]")  # which has no subdomains


class Asked(NamedTuple):
    """What decides which cookies go with a request. `host` is that of the Host field, in lower case."""

    host: str
    path: str
    secure: bool


class Cookie(NamedTuple):
    """One cookie. `expires` is in epoch seconds."""

    name: str
    value: str
    domain: str
    host_only: bool
    path: str
    secure: bool
    expires: float


class Jar:
    """The cookies of one visitor."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], Cookie] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._cookies)

    def keep(self, set_cookie: str, asked: Asked, now: float) -> None:
        """Do what a Set-Cookie field says (section 5.3), at `now` in epoch seconds."""
        cookie = parse(set_cookie, asked, now)
        if cookie is None:
            return
        key = (cookie.domain, cookie.path, cookie.name)
        if cookie.expires <= now:
            self._cookies.pop(key, None)
            return
        if key not in self._cookies:
            self._make_room(now)
        self._cookies[key] = cookie

    def matching(self, asked: Asked, now: float) -> list[Cookie]:
        """The cookies for a request, in the order of section 5.4: longer paths first, then older ones."""
        found = [
            cookie
            for cookie in self._cookies.values()
            if cookie.expires > now
            and (asked.secure or not cookie.secure)
            and (asked.host == cookie.domain if cookie.host_only else _within(asked.host, cookie.domain))
            and _below(asked.path, cookie.path)
        ]
        if len(found) > 1:
            found.sort(key=lambda cookie: -len(cookie.path))
        return found

    def _make_room(self, now: float) -> None:
        if len(self._cookies) < MOST:
            return
        expired = [key for key, cookie in self._cookies.items() if cookie.expires <= now]
        for key in expired or [next(iter(self._cookies))]:
            del self._cookies[key]


def asked_of(request: Prepared) -> Asked:
    """What the bytes of a request ask for; a Host field of one's own is the host, as for curl."""
    target, host = _TARGET.match(request.wire), _HOST.search(request.wire)
    path = target[1].decode("latin-1") if target else ""
    name = host[1].decode("latin-1").lower() if host else ""
    return Asked(name, path, request.origin.scheme == "https")


def parse(set_cookie: str, asked: Asked, now: float) -> Cookie | None:
    """Read a Set-Cookie field (section 5.2); None if the cookie is to be ignored."""
    pair, *rest = set_cookie.split(";")
    name, equals, value = (part.strip(" \t") for part in pair.partition("="))
    if not equals or not name or len(name) + len(value) > LONGEST:
        return None
    attributes = _attributes(rest)
    domain = attributes.get("domain", "").removeprefix(".").lower()
    if domain == asked.host and "." not in domain:
        domain = ""  # a public suffix may be a host as well: section 5.3 (5)
    if domain and not ("." in domain and _within(asked.host, domain)):
        return None
    path = attributes.get("path", "")
    return Cookie(
        name,
        value,
        domain or asked.host,
        not domain,
        path if path.startswith("/") else _default_path(asked.path),
        "secure" in attributes,
        _expiry(attributes, now),
    )


def _attributes(parts: Iterable[str]) -> dict[str, str]:
    """Names in lower case; of those that repeat, the last, and of those that cannot be read, none."""
    found = {}
    for part in parts:
        name, _, value = (each.strip(" \t") for each in part.partition("="))
        name = name.lower()
        if len(value) > _LONGEST_ATTRIBUTE or (name == "max-age" and not _MAX_AGE.fullmatch(value)):
            continue
        if name == "expires" and _epoch(value) is None:
            continue
        found[name] = value
    return found


def _expiry(attributes: dict[str, str], now: float) -> float:
    """Max-Age counts for more than Expires."""
    if "max-age" in attributes:
        return now + int(attributes["max-age"])
    epoch = _epoch(attributes["expires"]) if "expires" in attributes else None
    return inf if epoch is None else epoch


def _epoch(date: str) -> float | None:
    """A date is in UTC, whatever it says of a zone (section 5.1.1)."""
    parts = parsedate(date)
    try:
        return timegm(parts) if parts else None
    except (ValueError, OverflowError):
        return None


def _within(host: str, domain: str) -> bool:
    """Whether a host is in a domain (section 5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not _ADDRESS.fullmatch(host))


def _default_path(path: str) -> str:
    """The directory of a request (section 5.1.4)."""
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def _below(path: str, top: str) -> bool:
    """Whether a path is another or lies below it (section 5.1.4)."""
    return path.startswith(top) and (len(path) == len(top) or top.endswith("/") or path[len(top)] == "/")


def with_cookies(wire: bytes, cookies: Iterable[Cookie]) -> bytes:
    """The bytes of a request with these cookies; one that the request names itself stays as it is."""
    end = wire.index(b"\r\n\r\n")
    own = _COOKIE.search(wire, 0, end)
    texts = [f"{cookie.name}={cookie.value}".encode("latin-1") for cookie in cookies]
    if own is None:
        return b"%s\r\nCookie: %s%s" % (wire[:end], b"; ".join(texts), wire[end:]) if texts else wire
    named = {_name(pair) for pair in own[1].split(b";")}
    texts = [own[1]] * bool(own[1]) + [text for text in texts if _name(text) not in named]
    return wire[: own.start(1)] + b"; ".join(texts) + wire[own.end() :]


def _name(pair: bytes) -> bytes:
    return pair.partition(b"=")[0].strip()
