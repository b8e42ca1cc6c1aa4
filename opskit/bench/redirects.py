"""Where a redirect leads, and the request that follows it (RFC 9110 section 15.4). No I/O."""

from urllib.parse import urljoin

from opskit.bench.plan import Instead, Origin, Prepared, Route, Url, basic, first_of, parse_url
from opskit.errors import Misuse

FOLLOWED = frozenset({301, 302, 303, 307, 308})

# What does not belong to a request without its body, and what is no other origin's business (section 15.4).
_OF_THE_BODY = frozenset(
    {
        "content-length", "content-type", "content-encoding", "content-language", "content-location", "digest",
        "last-modified", "transfer-encoding", "expect",
    }
)  # fmt: skip
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})


class BadRedirect(Exception):
    """It leads nowhere that can be asked."""


class Hop(Instead):
    """A request that a redirect has led to.

    `bare` is the same as it was before anything of a visitor's was added. `hops` is how many redirects have been
    followed since `first`. Times in ns: `sent_at` is when the redirect was in, `taken_at` when a socket was first
    taken for `first`.
    """

    bare: Prepared
    hops: int
    sent_at: int
    taken_at: int


def bare_of(request: Prepared) -> Prepared:
    """The request without what was added for a visitor."""
    return request.bare if isinstance(request, Hop) else first_of(request)


def hops_of(request: Prepared) -> int:
    return request.hops if isinstance(request, Hop) else 0


def next_request(request: Prepared, status: int, location: str, route: Route) -> Prepared:
    """What to ask instead of `request`. Raises BadRedirect."""
    head, _, body = request.wire.partition(b"\r\n\r\n")
    first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    method, target, _ = first.split(" ")
    url = _led_to(request.origin, target, location)
    fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    becomes = _method(method, status)
    unwanted: frozenset[str] = frozenset()
    if becomes != method:
        unwanted, body = _OF_THE_BODY, b""
    origin = request.origin
    if url.origin != origin:
        origin, unwanted = url.origin, unwanted | _SECRET
        fields = [(name, origin.authority if name.lower() == "host" else value) for name, value in fields]
    proxied = route.proxy is not None and origin.scheme == "http"
    kept = "".join(f"{name}: {value}\r\n" for name, value in fields if name.lower() not in unwanted)
    if proxied and "proxy-authorization" in unwanted and route.proxy_credentials:
        kept += f"Proxy-Authorization: {basic(route.proxy_credentials)}\r\n"
    absolute = str(origin).encode() if proxied else b""
    wire = b"%s %s%s HTTP/1.1\r\n%s\r\n%s" % (
        becomes.encode(), absolute, url.target, kept.encode("utf-8", "surrogateescape"), body,
    )  # fmt: skip
    return Prepared(wire, origin, becomes == "HEAD", request.label)


def _method(method: str, status: int) -> str:
    """303 asks for another thing with GET; for 301 and 302 that is done to POST alone, as browsers and curl do."""
    if status == 303:
        return method if method == "HEAD" else "GET"
    return "GET" if status in (301, 302) and method == "POST" else method


def _led_to(origin: Origin, target: str, location: str) -> Url:
    base = target if "://" in target else f"{origin}{target}"
    try:
        led_to = urljoin(base, location)
        if not led_to.lower().startswith(("http://", "https://")):
            raise BadRedirect(f"a redirect to where nothing can be asked: {led_to[:80]}")
        return parse_url(led_to)
    except (Misuse, ValueError) as error:
        raise BadRedirect(f"a redirect to where nothing can be asked: {error}") from error
