"""One file on its way from upstream: fetched once, checked before its last byte is passed on."""

import asyncio
import hashlib
import io
import os
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

from opskit import http
from opskit.errors import OpskitError, Unable, os_reason
from opskit.pypi import archive
from opskit.pypi.answers import SAFE, Problem, Scope, Send, header
from opskit.pypi.send import IMMUTABLE, content_type

Open = Callable[[str, dict[str, str]], AbstractAsyncContextManager[Any]]
_CHUNK = 256 * 1024
_POLL_S = 0.05


class Download:
    """A fetch into the cache. Readers follow the growing file; a wrong digest breaks them off."""

    def __init__(self, open_: Open, url: str, sha256: str, size: int | None, place: Path) -> None:
        self.place = place
        self.size = size
        self.have = 0
        self.failure = ""
        self.done = False
        self._grown = asyncio.Condition()
        self._temporary = place.with_name(f".{secrets.token_hex(6)}.part")
        self.task = asyncio.create_task(self._run(open_, url, sha256))

    async def _run(self, open_: Open, url: str, sha256: str) -> None:
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            async with _one_process(self.place.parent / ".lock"):
                if not self.place.exists():
                    await self._fetch(open_, url, sha256)
        except OpskitError as error:
            self.failure = error.message
        except OSError as error:
            self.failure = f"it cannot be kept: {os_reason(error)}"
        except asyncio.CancelledError:
            self.failure = "the server is stopping"
            raise
        finally:
            self._temporary.unlink(missing_ok=True)
            self.done = True
            await self._notify()

    async def _fetch(self, open_: Open, url: str, sha256: str) -> None:
        digest = hashlib.sha256()
        async with open_(url, {"Accept-Encoding": "identity"}) as answer:
            if answer.status_code != 200:
                raise Unable(f"{http.host(url)} answered {answer.status_code}")
            told = answer.headers.get("content-length", "")
            if self.size is None and told.isdigit():
                self.size = int(told)
            with self._temporary.open("wb", buffering=0) as file:
                async for chunk in answer.aiter_bytes(_CHUNK):
                    await asyncio.to_thread(file.write, chunk)
                    digest.update(chunk)
                    self.have += len(chunk)
                    await self._notify()
                await asyncio.to_thread(os.fsync, file.fileno())
        if digest.hexdigest() != sha256:
            raise Unable(f"{http.host(url)} sent other bytes than its page says")
        self._temporary.replace(self.place)

    async def _notify(self) -> None:
        async with self._grown:
            self._grown.notify_all()

    async def stream(self, scope: Scope, send: Send, etag: str) -> bool:
        """Send the file while it arrives; False when it is to be sent from the cache.

        Raises Problem when nothing was sent yet, OSError when the client already has a piece.
        """
        if scope["method"] != "GET" or header(scope, b"range") is not None:
            await self._finished()
            return False
        async with self._grown:
            await self._grown.wait_for(lambda: self.have > 0 or self.done)
        if self.done or self.size is None:
            await self._finished()
            return False
        try:
            file = self._temporary.open("rb")
        except FileNotFoundError:
            await self._finished()
            return False
        with file:
            await self._follow(file, send, etag)
        return True

    async def _finished(self) -> None:
        await asyncio.wait([self.task])
        if self.failure:
            raise Problem(502, f"{self.place.name}: {self.failure}")

    async def _follow(self, file: io.BufferedReader, send: Send, etag: str) -> None:
        size = self.size
        assert size is not None
        head = [
            (b"content-type", content_type(self.place.name)), (b"content-length", b"%d" % size),
            (b"etag", etag.encode()), (b"cache-control", IMMUTABLE), (b"accept-ranges", b"bytes"),
            (b"last-modified", formatdate(usegmt=True).encode()), *SAFE,
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": 200, "headers": head})
        sent = 0
        while sent < size:
            # The last byte stays back until the digest is known to be right: a wrong file is never complete.
            async with self._grown:
                await self._grown.wait_for(partial(self._has_more, size, sent))
            if self.failure or (self.done and self.have != size):
                raise OSError(f"{self.place.name}: {self.failure or 'upstream sent another size than it said'}")
            data = os.pread(file.fileno(), min(_CHUNK, self._passable(size) - sent), sent)
            sent += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": sent < size})

    def _has_more(self, size: int, sent: int) -> bool:
        return self._passable(size) > sent or self.done

    def _passable(self, size: int) -> int:
        return min(self.have, size) if self.done else min(self.have, size - 1)


class _one_process:  # noqa: N801 — reads as a statement: async with _one_process(path):
    """One process at a time fetches a file; the others wait and then find it in the cache."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")

    async def __aenter__(self) -> None:
        import fcntl

        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                await asyncio.sleep(_POLL_S)
            else:
                return

    async def __aexit__(self, *_: object) -> None:
        self._file.close()


class _RangedFile(io.RawIOBase):
    """A remote file that is read in ranges. Raises Unable where the server has none."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url, self._at = client, url, 0
        tail = self._get("bytes=-65536")
        self._size = int(tail.headers["content-range"].rpartition("/")[2])
        self._tail, self._tail_at = tail.content, self._size - len(tail.content)

    def _get(self, wanted: str) -> Any:
        answer = self._client.get(
            self._url, headers={"Range": wanted, "Accept-Encoding": "identity"}, follow_redirects=True
        )
        if answer.status_code != 206:
            raise Unable(f"{http.host(self._url)} does not send ranges (it answered {answer.status_code})")
        return answer

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        if self._at >= self._tail_at:
            data = self._tail[self._at - self._tail_at :][:length]
        else:
            data = self._get(f"bytes={self._at}-{self._at + length - 1}").content
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def metadata_by_range(url: str, filename: str) -> bytes:
    """The METADATA of a remote wheel, by reading its directory and that one member. Raises Unable."""
    with http.mapped_errors(url), http.client() as client:
        try:
            remote = io.BufferedReader(_RangedFile(client, url), 16 * 1024)
            return archive.read_core(remote, filename).raw
        except archive.BadArchive as error:
            raise Unable(str(error)) from error
