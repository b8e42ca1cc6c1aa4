"""Files over ASGI: whole, in ranges, or not because the client has them. RFC 9110 sections 13 and 14."""

import asyncio
import mimetypes
import os
import secrets
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

from opskit.pypi import ranges
from opskit.pypi.answers import SAFE, Headers, Prepared, Receive, Scope, Send, headers, send_prepared

_CHUNK = 256 * 1024
IMMUTABLE = b"public, max-age=31536000, immutable"
REVALIDATE = b"no-cache"

CountBytes = Callable[[int], None]


def content_type(filename: str) -> bytes:
    if filename.endswith(".metadata"):
        return b"text/plain; charset=utf-8"
    guess = mimetypes.guess_type(filename)[0] if filename.endswith((".zip", ".egg")) else None
    return (guess or "application/octet-stream").encode()


async def send_file(
    scope: Scope, send: Send, path: Path, size: int, etag: str, modified: int, cache: bytes,
    count: CountBytes = lambda _: None,
) -> None:  # fmt: skip
    """Answer GET or HEAD with a file of a known size. `modified` in s since 1970. Raises OSError."""
    with path.open("rb") as file:
        await _send(scope, send, path, file.fileno(), size, etag, modified, cache, count)


async def _send(
    scope: Scope, send: Send, path: Path, descriptor: int, size: int, etag: str, modified: int, cache: bytes,
    count: CountBytes,
) -> None:  # fmt: skip
    asked = headers(scope)
    head: Headers = [
        (b"etag", etag.encode()), (b"last-modified", formatdate(modified, usegmt=True).encode()),
        (b"cache-control", cache), (b"accept-ranges", b"bytes"), *SAFE,
    ]  # fmt: skip
    early = ranges.precondition(asked, etag, modified)
    if early is not None:
        await send_prepared(
            Prepared(early, head if early == 304 else [*head, (b"content-length", b"0")]), scope, send
        )
        return
    kind = content_type(path.name)
    slices = _slices(scope, asked, size, etag, modified)
    if isinstance(slices, ranges.Unsatisfiable):
        refused = [*head, (b"content-range", b"bytes */%d" % size), (b"content-length", b"0")]
        await send_prepared(Prepared(416, refused), scope, send)
    elif slices is None:
        await _send_parts(
            scope, send, 200, [*head, (b"content-type", kind)], [(b"", 0, size)], b"", descriptor, path, count
        )
    elif len(slices) == 1:
        start, length = slices[0]
        partial = [*head, (b"content-type", kind), (b"content-range", _content_range(start, length, size))]
        await _send_parts(scope, send, 206, partial, [(b"", start, length)], b"", descriptor, path, count)
    else:
        boundary = secrets.token_hex(12).encode()
        parts = [
            (b"--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"
             % (boundary, kind, _content_range(start, length, size)), start, length)
            for start, length in slices
        ]  # fmt: skip
        parts = [(b"\r\n" + intro if number else intro, *rest) for number, (intro, *rest) in enumerate(parts)]  # type: ignore[misc]
        partial = [*head, (b"content-type", b"multipart/byteranges; boundary=" + boundary)]
        await _send_parts(scope, send, 206, partial, parts, b"\r\n--%s--\r\n" % boundary, descriptor, path, count)


def _slices(
    scope: Scope, asked: dict[bytes, bytes], size: int, etag: str, modified: int
) -> tuple[ranges.Slice, ...] | ranges.Unsatisfiable | None:
    """What of the file to send; Range counts for GET only (section 14.2), and only while If-Range holds."""
    wanted = asked.get(b"range")
    if scope["method"] != "GET" or wanted is None:
        return None
    condition = asked.get(b"if-range")
    if not ranges.if_range_holds(condition.decode("latin-1") if condition else None, etag, modified):
        return None
    return ranges.parse(wanted.decode("latin-1"), size)


def _content_range(start: int, length: int, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (start, start + length - 1, size)


async def _send_parts(
    scope: Scope, send: Send, status: int, head: Headers, parts: list[tuple[bytes, int, int]], outro: bytes,
    descriptor: int, path: Path, count: CountBytes,
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
    if status == 200 and "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(path)})
        count(total)
        return
    for intro, start, length in parts:
        if intro:
            await send({"type": "http.response.body", "body": intro, "more_body": True})
        await _send_slice(send, descriptor, start, length, count)
    await send({"type": "http.response.body", "body": outro})


async def _send_slice(send: Send, descriptor: int, start: int, length: int, count: CountBytes) -> None:
    """A file that is shorter than it was ends the connection, so that no piece passes for the whole."""
    end = start + length
    while start < end:
        wanted = min(_CHUNK, end - start)
        if length <= _CHUNK:
            data = os.pread(descriptor, wanted, start)
        else:
            data = await asyncio.to_thread(os.pread, descriptor, wanted, start)
        if not data:
            raise OSError("the file became shorter while it was sent")
        start += len(data)
        await send({"type": "http.response.body", "body": data, "more_body": True})
        count(len(data))


async def drain(receive: Receive) -> None:
    """Read and drop a request body, so that the answer to a refused one is still read by its sender."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
