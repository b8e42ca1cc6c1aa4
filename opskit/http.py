"""The only importer of httpx: clients made in one way, and its errors in ours.

The load engine is its own client and does not come here.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opskit import __version__
from opskit.errors import Misuse, Unable, os_reason

if TYPE_CHECKING:
    import ssl

    import httpx

    AsyncClient = httpx.AsyncClient  # for the annotations of others
    Response = httpx.Response

USER_AGENT = f"opskit/{__version__}"


def client(
    *,
    timeout: float = 30.0,
    verify: "bool | str | ssl.SSLContext" = True,
    headers: Mapping[str, str] | None = None,
    http2: bool = False,
) -> "httpx.Client":
    """A client that follows no redirect by itself and reads no proxy or password from the environment.

    `timeout` in seconds holds for each of connect, read and write; `verify` may be a CA file. `http2` is
    offered beside HTTP/1.1 and needs `opskit[http2]`.
    """
    import httpx

    return httpx.Client(
        timeout=timeout, verify=_verification(verify), headers=_headers(headers), http2=http2, trust_env=False
    )


def async_client(
    *,
    timeout: float = 30.0,
    verify: "bool | str | ssl.SSLContext" = True,
    headers: Mapping[str, str] | None = None,
    proxy: str | None = None,
    http2: bool = False,
) -> "httpx.AsyncClient":
    """The same for asyncio. `http2` is offered beside HTTP/1.1 and needs `opskit[http2]`."""
    import httpx

    return httpx.AsyncClient(
        timeout=timeout,
        verify=_verification(verify),
        headers=_headers(headers),
        proxy=proxy,
        http2=http2,
        trust_env=False,
    )


def tls_context(*, insecure: bool = False, ca_file: str = "") -> "ssl.SSLContext":
    """One TLS context for every connection of a run. Raises Misuse for a CA file that cannot be used."""
    import ssl

    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise Misuse(
            f"cannot use {ca_file} as a CA file: {os_reason(error)}", hint="name a file of PEM certificates"
        ) from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def can_http2() -> bool:
    """Whether the extra `opskit[http2]` is installed."""
    from importlib.util import find_spec

    return find_spec("h2") is not None


def _verification(verify: "bool | str | ssl.SSLContext") -> "bool | ssl.SSLContext":
    return tls_context(ca_file=verify) if isinstance(verify, str) else verify


def _headers(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {"User-Agent": USER_AGENT, **(extra or {})}


class Fault(Exception):
    """An exchange that came to no answer: what a tester wants to know instead of an error of its own.

    `kind` is one of timeout, refused, dropped, garbage.
    """

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


@contextmanager
def faults() -> Iterator[None]:
    """Turn what httpx raises in an exchange into a Fault."""
    import httpx

    try:
        yield
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Fault("refused", "no connection in time") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise Fault("timeout", "no answer in time") from error
    except (httpx.ConnectError, httpx.ProxyError) as error:
        raise Fault("refused", f"no connection: {_reason(error)}") from error
    except httpx.RemoteProtocolError as error:
        text = str(error)
        if "disconnected" in text or "closed connection" in text or "ConnectionTerminated" in text:
            raise Fault("dropped", "the connection ended without an answer") from error
        raise Fault("garbage", f"what came is not HTTP: {text}") from error
    except (httpx.NetworkError, httpx.ProtocolError, httpx.InvalidURL, UnicodeError) as error:
        raise Fault("dropped", f"the connection broke: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The innermost cause in its own words: `Connection refused`, `certificate verify failed: …`."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio's own words name a tuple
    return os_reason(error) if isinstance(error, OSError) else str(error)


@contextmanager
def mapped_errors(url: str) -> Iterator[None]:
    """Turn what httpx raises into an Unable that names the URL's host and the reason."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise Unable(f"{host(url)} did not answer in time", code="timeout") from error
    except httpx.InvalidURL as error:
        raise Unable(f"'{url}' is not a URL: {error}", code="invalid_url") from error
    except httpx.HTTPError as error:
        raise Unable(f"cannot talk to {host(url)}: {error}", code="unreachable") from error


def host(url: str) -> str:
    """The host of a URL, for messages: no path, no password."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or url
