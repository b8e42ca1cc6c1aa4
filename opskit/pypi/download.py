"""One file on its way from upstream: fetched once, checked before its last byte is passed on."""

import asyncio
import hashlib
import io
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import IO, Any

from opskit import http
from opskit.errors import OpskitError, Unable, os_reason
from opskit.pypi import archive
from opskit.pypi.answers import Problem, Scope, Send
from opskit.pypi.cache import Cache, Entry, FetchLock
from opskit.pypi.send import CHUNK, IMMUTABLE, Representation, send_representation

Open = Callable[[str, dict[str, str]], AbstractAsyncContextManager[Any]]
_POLL_S = 0.05


class Download:
    """A fetch into the cache, by this process or another. Readers follow the growing file, ranges too.

    The last byte of every answer stays back until the digest is known to be right: wrong bytes are never
    complete, not as a file and not as a range of it.
    """

    def __init__(self, open_: Open, url: str, sha256: str, size: int | None, cache: Cache, entry: Entry) -> None:
        self.entry = entry
        self.size = size
        self.began = int(time.time())
        self.have = 0
        self.failure = ""
        self.done = False
        self._cache = cache
        self._grown = asyncio.Condition()
        self.task = asyncio.create_task(self._run(open_, url, sha256))

    async def _run(self, open_: Open, url: str, sha256: str) -> None:
        lock = FetchLock(self.entry)
        try:
            await self._follow_other(lock)
            if not self.entry.file.exists():
                if self.have:
                    raise Unable("the worker that fetched it did not get it whole")
                await self._fetch(open_, url, sha256, lock)
                await asyncio.to_thread(self._cache.trim)
        except OpskitError as error:
            self.failure = error.message
        except OSError as error:
            self.failure = f"it cannot be kept: {os_reason(error)}"
        except asyncio.CancelledError:
            self.failure = "the server is stopping"
            raise
        finally:
            lock.release()
            self.done = True
            await self._notify()

    async def _follow_other(self, lock: FetchLock) -> None:
        """Until the lock is ours, see how far the process that has it is."""
        while not lock.take():
            progress = self.entry.progress()
            if progress and progress.have > self.have:
                self.size, self.began, self.have = progress.size, progress.began, progress.have
                await self._notify()
            await asyncio.sleep(_POLL_S)

    async def _fetch(self, open_: Open, url: str, sha256: str, lock: FetchLock) -> None:
        digest = hashlib.sha256()
        part = self.entry.part
        part.unlink(missing_ok=True)
        try:
            async with open_(url, {"Accept-Encoding": "identity"}) as answer:
                self._begin(answer, url, lock)
                with part.open("wb", buffering=0) as file:
                    async for chunk in answer.aiter_bytes(CHUNK):
                        await asyncio.to_thread(file.write, chunk)
                        digest.update(chunk)
                        self.have += len(chunk)
                        if self.size is not None and self.have > self.size:
                            raise Unable(f"{http.host(url)} sent more bytes than its page says")
                        await self._notify()
                    await asyncio.to_thread(os.fsync, file.fileno())
            if digest.hexdigest() != sha256:
                raise Unable(f"{http.host(url)} sent other bytes than its page says")
            os.utime(part, (self.began, self.began))
            part.replace(self.entry.file)
        finally:
            part.unlink(missing_ok=True)

    def _begin(self, answer: Any, url: str, lock: FetchLock) -> None:
        if answer.status_code != 200:
            raise Unable(f"{http.host(url)} answered {answer.status_code}")
        told = answer.headers.get("content-length", "")
        if self.size is None and told.isdigit():
            self.size = int(told)
        if self.size is not None:
            lock.tell(self.size, self.began)

    async def _notify(self) -> None:
        async with self._grown:
            self._grown.notify_all()

    async def stream(self, scope: Scope, send: Send, etag: str) -> bool:
        """Send the file, or ranges of it, while it arrives; False when it lies in the cache now.

        Raises Problem when nothing was sent yet, OSError when the client already has a piece.
        """
        async with self._grown:
            await self._grown.wait_for(lambda: (self.have > 0 and self.size is not None) or self.done)
        if self.failure:
            raise Problem(502, f"{self.entry.filename}: {self.failure}")
        if self.done or self.size is None:
            return False
        try:
            file = self.entry.part.open("rb")
        except FileNotFoundError:  # it has just been given its name
            await asyncio.wait([self.task])
            return await self.stream(scope, send, etag)
        with file:
            read = partial(self._read, file)
            what = Representation(self.entry.filename, self.size, etag, self.began, IMMUTABLE, read)
            await send_representation(scope, send, what)
        return True

    async def _read(self, file: IO[bytes], start: int, end: int) -> bytes:
        async with self._grown:
            await self._grown.wait_for(lambda: min(self.have, end - 1) > start or self.done)
        if self.failure:
            raise OSError(f"{self.entry.filename}: {self.failure}")
        upto = end if self.done else min(self.have, end - 1)
        data = os.pread(file.fileno(), min(CHUNK, upto - start), start)
        if not data:
            raise OSError(f"{self.entry.filename}: upstream sent another size than it said")
        return data


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
