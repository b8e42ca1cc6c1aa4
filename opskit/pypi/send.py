"""Files over ASGI: whole, in ranges, or not because the client has them. RFC 9110 sections 13 and 14."""

import asyncio
import mimetypes
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from pathlib import Path

from opskit.pypi import ranges
from opskit.pypi.answers import SAFE, Headers, Prepared, Receive, Scope, Send, headers, send_prepared

CHUNK = 256 * 1024
IMMUTABLE = b"public, max-age=31536000, immutable"
REVALIDATE = b"no-cache"

Read = Callable[[int, int], Awaitable[bytes]]  # first byte, end of what is sent → the next of them, one at least


@dataclass(frozen=True)
class Representation:
    """A file as it is sent: `size` in bytes, `modified` in s since 1970, `cache` for Cache-Control.

    `path` is where a server may find the file to send it by itself, None while it is not whole.
    """

    name: str
    size: int
    etag: str
    modified: int
    cache: bytes
    read: Read
    path: Path | None = None

    @property
    def kind(self) -> bytes:
        if self.name.endswith(".metadata"):
            return b"text/plain; charset=utf-8"
        guess = mimetypes.guess_type(self.name)[0] if self.name.endswith((".zip", ".egg")) else None
        return (guess or "application/octet-stream").encode()

    @property
    def headers(self) -> Headers:
        return [
            (b"etag", self.etag.encode()), (b"last-modified", formatdate(self.modified, usegmt=True).encode()),
            (b"cache-control", self.cache), (b"accept-ranges", b"bytes"), *SAFE,
        ]  # fmt: skip


async def send_file(
    scope: Scope, send: Send, path: Path, size: int, etag: str, modified: int, cache: bytes
) -> None:
    """Answer GET or HEAD with a file of a known size. `modified` in s since 1970. Raises OSError."""
    with path.open("rb") as file:
        read = partial(_read, file.fileno())
        await send_representation(scope, send, Representation(path.name, size, etag, modified, cache, read, path))


async def _read(descriptor: int, start: int, end: int) -> bytes:
    """A file that is shorter than it was ends the connection, so that no piece passes for the whole."""
    if end - start < CHUNK:
        data = os.pread(descriptor, end - start, start)
    else:
        data = await asyncio.to_thread(os.pread, descriptor, CHUNK, start)
    if not data:
        raise OSError("the file became shorter while it was sent")
    return data


async def send_representation(scope: Scope, send: Send, what: Representation) -> None:
    """Answer GET or HEAD as its preconditions and ranges ask. Raises OSError."""
    asked = headers(scope)
    early = ranges.precondition(asked, what.etag, what.modified)
    if early is not None:
        head = what.headers if early == 304 else [*what.headers, (b"content-length", b"0")]
        await send_prepared(Prepared(early, head), scope, send)
        return
    slices = _slices(scope, asked, what)
    typed = [*what.headers, (b"content-type", what.kind)]
    if isinstance(slices, ranges.Unsatisfiable):
        refused = [(b"content-range", b"bytes */%d" % what.size), (b"content-length", b"0")]
        await send_prepared(Prepared(416, [*what.headers, *refused]), scope, send)
    elif slices is None:
        await _send_parts(scope, send, 200, typed, [(b"", 0, what.size)], b"", what)
    elif len(slices) == 1:
        start, length = slices[0]
        partial_ = [*typed, (b"content-range", _content_range(start, length, what.size))]
        await _send_parts(scope, send, 206, partial_, [(b"", start, length)], b"", what)
    else:
        boundary = secrets.token_hex(12).encode()
        parts = [
            (b"%s--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"
             % (b"\r\n" if number else b"", boundary, what.kind, _content_range(start, length, what.size)),
             start, length)
            for number, (start, length) in enumerate(slices)
        ]  # fmt: skip
        several = [*what.headers, (b"content-type", b"multipart/byteranges; boundary=" + boundary)]
        await _send_parts(scope, send, 206, several, parts, b"\r\n--%s--\r\n" % boundary, what)


def _slices(
    scope: Scope, asked: dict[bytes, bytes], what: Representation
) -> tuple[ranges.Slice, ...] | ranges.Unsatisfiable | None:
    """What of the file to send; Range counts for GET only (section 14.2), and only while If-Range holds."""
    wanted = asked.get(b"range")
    if scope["method"] != "GET" or wanted is None:
        return None
    condition = asked.get(b"if-range")
    if not ranges.if_range_holds(condition.decode("latin-1") if condition else None, what.etag, what.modified):
        return None
    return ranges.parse(wanted.decode("latin-1"), what.size)


def _content_range(start: int, length: int, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (start, start + length - 1, size)


async def _send_parts(
    scope: Scope, send: Send, status: int, head: Headers, parts: list[tuple[bytes, int, int]], outro: bytes,
    what: Representation,
) -> None:  # fmt: skip
    """Send slices of the file, each after its intro. A server that can send files itself does."""
    total = sum(len(intro) + length for intro, _, length in parts) + len(outro)
    await send(
        {"type": "http.response.start", "status": status,
         "headers": [*head, (b"content-length", b"%d" % total)]}
    )  # fmt: skip
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body"})
        return
    if status == 200 and what.path and "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(what.path)})
        return
    for intro, start, length in parts:
        if intro:
            await send({"type": "http.response.body", "body": intro, "more_body": True})
        at, end = start, start + length
        while at < end:
            data = await what.read(at, end)
            at += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": outro})


async def drain(receive: Receive) -> None:
    """Read and drop a request body, so that the answer to a refused one is still read by its sender."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
