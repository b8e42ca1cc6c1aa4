"""What a server will do: its settings, and the refusals that need nothing but them. Pure."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from opskit import redact
from opskit.errors import Misuse
from opskit.listen import is_loopback

# pypiserver's words for what needs a password, and the actions they stand for here.
_LEGACY_ACTIONS = {"list": ("list",), "download": ("download",), "update": ("upload", "delete")}
GUARDED_BY_DEFAULT = frozenset({"upload", "delete", "admin"})


@dataclass(frozen=True)
class UpstreamRules:
    """What may come from the indexes behind this one. `min_age` in seconds, `cache_size` in bytes; names are
    patterns."""

    urls: tuple[str, ...] = ()
    offline: bool = False
    private: tuple[str, ...] = ()
    merge: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    min_age: float = 0.0
    min_age_except: tuple[str, ...] = ()
    cache_size: int = 20 * 2**30


@dataclass(frozen=True)
class Settings:
    """Everything a worker process needs to know. `guarded` are the actions that need an identity."""

    directory: Path
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    passwords: Path | None = None
    open_to_all: bool = False  # `-P . -a .`: nobody is asked for anything
    guarded: frozenset[str] = GUARDED_BY_DEFAULT
    grants: tuple[tuple[str, str], ...] = ()
    admins: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    max_upload: int = 4 * 2**30
    upstream: UpstreamRules = UpstreamRules()
    trusted_proxies: tuple[str, ...] = ()
    run_directory: Path | None = None
    quiet: bool = False

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"


def parse_guarded(text: str) -> frozenset[str] | None:
    """pypiserver's `-a`: `list,download,update`, or `.` for nothing (None). Raises Misuse."""
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if words == ["."]:
        return None
    unknown = [word for word in words if word not in _LEGACY_ACTIONS]
    if unknown or not words:
        raise Misuse(
            f"'{text}' is not a list of actions to authenticate",
            hint="use list, download and update, separated by commas, or . for none",
        )
    return frozenset({"admin"}) | {action for word in words for action in _LEGACY_ACTIONS[word]}


def refuse_bad_upstreams(rules: UpstreamRules) -> None:
    """Raises Misuse for what is not the address of an index."""
    for url in rules.urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misuse(f"'{redact.url(url)}' is not the URL of an index", hint="write https://HOST/simple/")


def parse_proxy(text: str) -> str:
    """An address or network whose X-Forwarded-For and -Proto are believed. Raises Misuse."""
    from ipaddress import ip_network

    try:
        return str(ip_network(text.strip()))
    except ValueError as error:
        raise Misuse(
            f"'{text}' is not an address or network", hint="write for example 127.0.0.1 or 10.0.0.0/8"
        ) from error


def refuse_exposed(settings: Settings, *, has_users: bool, insecure: bool) -> None:
    """Beyond loopback there must be TLS, and somebody who is known. Raises Misuse."""
    if is_loopback(settings.host) or insecure:
        return
    missing = []
    if not settings.tls_cert:
        missing.append("TLS (--tls-cert and --tls-key)")
    if not has_users:
        missing.append("users (--passwords FILE, or a token: opskit pypi token create)")
    if missing:
        raise Misuse(
            f"{settings.host} can be reached from other machines, and there is no {' and no '.join(missing)}",
            hint="add what is missing, listen on 127.0.0.1 behind a proxy, or say --insecure-http",
            code="exposed",
        )
