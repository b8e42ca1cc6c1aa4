"""The only importer of httpx: clients made in one way, and its errors in ours.

The load engine is its own client and does not come here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opskit import __version__
from opskit.errors import Unable

if TYPE_CHECKING:
    import ssl

    import httpx

    AsyncClient = httpx.AsyncClient  # for the annotations of others
    Response = httpx.Response

USER_AGENT = f"opskit/{__version__}"


def client(
    *, timeout: float = 30.0, verify: bool | str = True, headers: Mapping[str, str] | None = None
) -> "httpx.Client":
    """A client that follows no redirect by itself and reads no proxy or password from the environment.

    `timeout` in seconds holds for each of connect, read and write; `verify` may be a CA file.
    """
    import httpx

    return httpx.Client(timeout=timeout, verify=_verification(verify), headers=_headers(headers), trust_env=False)


def async_client(
    *, timeout: float = 30.0, verify: bool | str = True, headers: Mapping[str, str] | None = None
) -> "httpx.AsyncClient":
    """The same for asyncio."""
    import httpx

    return httpx.AsyncClient(
        timeout=timeout, verify=_verification(verify), headers=_headers(headers), trust_env=False
    )


def _verification(verify: bool | str) -> "bool | ssl.SSLContext":
    import ssl

    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


def _headers(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {"User-Agent": USER_AGENT, **(extra or {})}


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
