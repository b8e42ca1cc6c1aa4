"""Answers over ASGI: small ones in one piece, errors with their reason in the status line and in the body."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_SILENCE_S = 60.0
_SMALL = 2**16  # bytes

# What every answer carries: a browser must not guess types.
SAFE = [(b"x-content-type-options", b"nosniff")]


@dataclass(frozen=True)
class Prepared:
    """A whole answer, ready to send."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass
class Problem(Exception):
    """A request that is answered with an error; `reason` is in the status line too, where twine shows it."""

    status: int
    reason: str
    headers: Headers = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"


async def send_prepared(answer: Prepared, scope: Scope, send: Send) -> None:
    """Send an answer; to HEAD without its body."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


async def send_text(
    scope: Scope, send: Send, status: int, text: str, kind: str = "text/plain; charset=utf-8",
    headers: Headers | None = None,
) -> None:  # fmt: skip
    body = text.encode()
    head = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)), *SAFE, *(headers or [])]
    await send_prepared(Prepared(status, head, body), scope, send)


async def send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    """The error form: text, or JSON for who prefers it; the reason in HTTP/1's status line."""
    accept = header(scope, b"accept") or ""
    if _prefers_json(accept):
        title = HTTPStatus(problem.status).phrase
        kind = "application/json"
        text = json.dumps(
            {"code": f"{problem.status} {problem.reason}", "title": title, "message": problem.reason}
        )
    else:
        kind, text = "text/plain; charset=utf-8", problem.reason + "\n"
    body = text.encode()
    head = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)), *SAFE,
            (b"cache-control", b"no-store"), *problem.headers]  # fmt: skip
    await send_prepared(Prepared(problem.status, head, body), scope, with_reason(send, problem.reason))


def with_reason(send: Send, reason: str) -> Send:
    """The same way out, on which an answer gets this reason in its status line."""

    async def send_with(message: Message) -> None:
        await send({**message, "reason": reason} if message["type"] == "http.response.start" else message)

    return send_with


def _prefers_json(accept: str) -> bool:
    from opskit.pypi.negotiate import quality, weights

    accepted = weights(accept)
    return quality("application/json", accepted) > max(
        quality("text/plain", accepted), quality("text/html", accepted)
    )


async def next_piece(receive: Receive) -> Message:
    """The next piece of a request body. Raises Problem 408 for a sender that keeps silent."""
    try:
        async with asyncio.timeout(_SILENCE_S):
            return await receive()
    except TimeoutError:
        raise Problem(408, f"nothing came for {_SILENCE_S:g} s", [(b"connection", b"close")]) from None


async def small_body(receive: Receive) -> bytes:
    """A whole request body that is known to be small. Raises Problem 408, 413."""
    body = bytearray()
    while True:
        message = await next_piece(receive)
        body += message.get("body", b"")
        if len(body) > _SMALL:
            raise Problem(413, "the form is too large")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


def header(scope: Scope, name: bytes) -> str | None:
    """The first value of a request header."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def headers(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers; a list header sent on several lines is joined (RFC 9110 section 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def client(scope: Scope) -> str:
    """The address of the other side."""
    peer = scope.get("client")
    return str(peer[0]) if peer else "local"
