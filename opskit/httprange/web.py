"""Asks one resource: httpx for the ordinary, the socket for HTTP/1.0; each exchange ends in time.

httpx bounds each read, not the whole: a server that sends a byte a second would keep it for ever. So
exchanges run in a loop of their own under one deadline, and the cases see a plain call.
"""

import asyncio
import ipaddress
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from opskit import http
from opskit.httprange import raw
from opskit.httprange.exchange import Ask, Got, Pairs

if TYPE_CHECKING:
    import ssl

DEFAULTS: Pairs = (("User-Agent", http.USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "identity"))


@dataclass(frozen=True)
class Access:
    """How to reach a server: extra headers, a proxy, one address of several; `timeout` in seconds."""

    timeout: float = 10.0
    headers: Pairs = ()
    insecure: bool = False
    ca_file: str = ""
    proxy: str = ""
    version: str = "1.1"
    max_bytes: int = 4 << 20
    address: str = ""


class Exhausted(Exception):
    """As many bytes were read as may be."""


class Web:
    """The exchanges of one run with one URL, counted. Close it after use."""

    def __init__(self, url: str, access: Access) -> None:
        self.url = url
        self.access = access
        self.requests = 0
        self.bytes_read = 0
        self._runner = asyncio.Runner()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._clients: dict[str, Any] = {}
        if access.version != "1.0":
            self._kept(self._version)  # loads httpx, before anyone looks at the clock

    def close(self) -> None:
        for client in self._clients.values():
            self._runner.run(client.aclose())
        self._runner.close()

    def ask(self, ask: Ask) -> Got:
        """One exchange. Raises Exhausted when nothing more may be read."""
        return self.ask_all([ask])[0]

    def ask_all(self, asks: list[Ask]) -> list[Got]:
        """All of them at once, each on a connection of its own if there are several."""
        left = self.access.max_bytes - self.bytes_read
        if left <= 0:
            raise Exhausted
        asks = [replace(ask, read=min(ask.read, left), version=ask.version or self._version) for ask in asks]
        answers = self._runner.run(self._all(asks))
        self.requests += len(asks)
        self.bytes_read += sum(len(got.body) for got in answers)
        return answers

    @property
    def can_http2(self) -> bool:
        return self.url.startswith("https:") and http.can_http2()

    @property
    def place(self) -> raw.Place:
        return raw.Place.of(self.url, self._tls("1.0"), self.access.address)

    @property
    def defaults(self) -> Pairs:
        """The headers of every request, those of the caller in place of our own."""
        own = {name.lower() for name, _ in self.access.headers}
        return tuple(pair for pair in DEFAULTS if pair[0].lower() not in own) + self.access.headers

    @property
    def _version(self) -> str:
        return "" if self.access.version == "1.1" else self.access.version

    def _tls(self, version: str) -> "ssl.SSLContext | None":
        """One context for each version: what it offers the server (ALPN) belongs to it."""
        if not self.url.startswith("https:"):
            return None
        if version not in self._contexts:
            context = http.tls_context(insecure=self.access.insecure, ca_file=self.access.ca_file)
            self._contexts[version] = context
        return self._contexts[version]

    async def _all(self, asks: list[Ask]) -> list[Got]:
        return list(await asyncio.gather(*(self._one(ask) for ask in asks)))

    async def _one(self, ask: Ask) -> Got:
        if ask.version == "1.0":
            place = raw.Place.of(ask.url or self.url, self._tls("1.0"), self.access.address)
            return raw.converse(place, ask, self.defaults, self.access.timeout).got
        got = await self._over_httpx(ask)
        if got.fault.startswith(("the connection", "what came")) and not ask.fresh:
            # A kept connection may have been closed while the request was on its way (RFC 9112, 9.3.1), or
            # hold what an earlier answer left behind.
            got = await self._over_httpx(replace(ask, fresh=True))
        return got

    async def _over_httpx(self, ask: Ask) -> Got:
        client = self._new(ask.version) if ask.fresh else self._kept(ask.version)
        try:
            return await _exchange(client, self._address(ask), ask, self.defaults, self.access.timeout)
        finally:
            if ask.fresh:
                await client.aclose()

    def _kept(self, version: str) -> Any:
        if version not in self._clients:
            self._clients[version] = self._new(version)
        return self._clients[version]

    def _new(self, version: str) -> Any:
        return http.async_client(
            timeout=self.access.timeout,
            verify=self._tls(version) or False,
            proxy=self.access.proxy or None,
            http2=version == "2",
        )

    def _address(self, ask: Ask) -> "tuple[str, Pairs, dict[str, Any]]":
        """The URL to connect to, and what a server that is reached by address must still be told."""
        url = ask.url or self.url
        if not self.access.address:
            return url, (), {}
        parts = urlsplit(url)
        host = self.access.address
        if ipaddress.ip_address(host).version == 6:
            host = f"[{host}]"
        netloc = f"{host}:{parts.port}" if parts.port else host
        there = urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))
        return there, (("Host", parts.netloc.rpartition("@")[2]),), {"sni_hostname": parts.hostname}


async def _exchange(
    client: Any, address: "tuple[str, Pairs, dict[str, Any]]", ask: Ask, defaults: Pairs, timeout: float
) -> Got:
    url, named, extensions = address
    own = {name.lower() for name, _ in ask.headers}
    headers = [*named, *(pair for pair in defaults if pair[0].lower() not in own), *ask.headers]
    started = time.monotonic()
    request = client.build_request(ask.method, url, headers=_encoded(headers), extensions=extensions)
    sent = _decoded(request.headers.raw)
    line = f"{ask.method} {request.url.raw_path.decode('ascii')} HTTP/{ask.version or '1.1'}"
    got = Got(request_line=line, request=sent)
    try:
        with http.faults():
            async with asyncio.timeout(timeout):
                got = await _answer(client, request, ask.read, got)
    except http.Fault as fault:
        got = replace(got, fault=str(fault))
    return replace(got, seconds=time.monotonic() - started)


async def _answer(client: Any, request: Any, limit: int, got: Got) -> Got:
    response = await client.send(request, stream=True)
    got = replace(
        got,
        status=response.status_code,
        version=response.http_version.removeprefix("HTTP/"),
        reason=response.reason_phrase,
        headers=_decoded(response.headers.raw),
    )
    body = bytearray()
    cut = False
    try:
        with http.faults():
            async for part in response.aiter_raw():
                body += part
                if len(body) >= limit and not (got.length is not None and got.length <= len(body)):
                    cut = True
                    break
    except http.Fault as fault:
        if fault.kind == "timeout":
            return replace(got, fault="the answer did not end in time", body=bytes(body))
        return replace(got, body=bytes(body), truncated=True)
    finally:
        await response.aclose()
    return replace(got, body=bytes(body), cut=cut)


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", errors="replace")) for name, value in headers]


def _decoded(headers: Any) -> Pairs:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
