"""Secrets, taken out in front of every output: headers, URLs, and the words that look like either."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token"}
)
_SECRET_PARAMETER = re.compile(
    r"(?i)\b([\w.-]*(?:token|secret|passw(?:or)?d|api[_-]?key|signature|credential)[\w.-]*|sig|key)=([^&#\s]+)"
)


def header_value(name: str, value: str) -> str:
    """The value of a header, masked when the name says that it is a secret; the scheme stays readable."""
    if name.lower() not in SECRET_HEADERS:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {MASK}" if space and "authorization" in name.lower() else MASK


def headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, header_value(name, value)) for name, value in pairs]


def url(text: str) -> str:
    """A URL without its password and without the values of parameters that are named like secrets."""
    parts = urlsplit(text)
    netloc = parts.netloc
    if "@" in netloc:
        user, _, host = netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}:{MASK}@{host}" if ":" in user else netloc
    return urlunsplit(
        (parts.scheme, netloc, parts.path, _SECRET_PARAMETER.sub(rf"\1={MASK}", parts.query), parts.fragment)
    )


def target(text: str) -> str:
    """A request target, path and query, treated as `url` treats it."""
    return url(f"http://host{text}").removeprefix("http://host")


def form(text: str) -> str:
    """The body of a form (application/x-www-form-urlencoded) without the values that are named like secrets."""
    return _SECRET_PARAMETER.sub(rf"\1={MASK}", text)
