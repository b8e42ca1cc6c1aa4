"""One worker process: the parts put together, the directory watched, the lifespan of it all."""

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from opskit.errors import OpskitError
from opskit.pypi import legacy, login, tracker, upload, web
from opskit.pypi.access import Access
from opskit.pypi.answers import Prepared, Receive, Scope, Send
from opskit.pypi.app import Index, Parts
from opskit.pypi.database import state_directory
from opskit.pypi.plan import Settings
from opskit.pypi.scan import FirstScan, Scanner
from opskit.pypi.store import Store

if TYPE_CHECKING:
    from opskit.pypi.upstream import Upstream

_TICK_S = 1.0  # so that a file dropped into the directory shows within two seconds
_log = logging.getLogger("uvicorn.error")

Quick = Callable[[bytes, list[tuple[bytes, bytes]]], Prepared | None]


class Worker:
    """The ASGI application that a server runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.directory)
        self.access = Access(settings, self.store)
        self.upstream: Upstream | None = None
        if settings.upstream.urls:
            from opskit.pypi import upstream

            self.upstream = upstream.Upstream(settings.upstream, self.store)
        self.requests = tracker.Requests()
        self.desk = tracker.Desk(self.requests, settings.run_directory or Path(tempfile.mkdtemp(prefix="opskit-")))
        old = legacy.make_app(settings, self.store)
        first_scan = FirstScan(self.store)
        self.index = Index(
            settings,
            self.store,
            self.access,
            Parts(
                upload=upload.make_app(settings, self.store, self.access, old),
                legacy=old,
                pages=(
                    *web.routes(self.store, self.access, self.upstream, first_scan),
                    *login.routes(self.access),
                    *tracker.routes(self.store, self.access, self.desk),
                ),
                problem=login.make_answer(self.access),
            ),
            self.upstream,
            first_scan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self.requests.run(self.index, scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lifespan protocol: begin before the first request, end after the last."""
        await receive()
        try:
            await self.desk.open()
            watching = asyncio.create_task(self._watch())
            scope.get("state", {})["quick"] = self.quick
        except (OSError, OpskitError) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await self.desk.close()
        if self.upstream is not None:
            await self.upstream.close()
        await send({"type": "lifespan.shutdown.complete"})

    @property
    def quick(self) -> "Quick | None":
        """The fast path, where nothing but the page itself decides the answer."""
        if self.upstream is not None:
            return None
        pages, is_reader = self.index.pages, self.access.is_reader
        pages.on_change = self.access.forget_tokens
        if self.access.is_open("list"):
            return pages.quick
        return lambda url, headers: pages.quick(url, headers, is_reader)

    async def _watch(self) -> None:
        """Keep the store in step with the directory, in the one worker that holds the lock."""
        while True:
            with self.store.scanning() as mine:
                if mine:
                    await asyncio.to_thread(_clear_incoming, self.settings.directory)
                    scanner = Scanner(self.store)
                    while True:
                        await self._tick(scanner)
                        await asyncio.sleep(_TICK_S)
            await asyncio.sleep(2 * _TICK_S)

    async def _tick(self, scanner: Scanner) -> None:
        try:
            await asyncio.to_thread(scanner.tick)
        except (OSError, sqlite3.Error, OpskitError) as error:
            _log.warning("the directory could not be read: %s", error)
        except Exception:  # a fault of ours with one file must not blind the server to all others for good
            _log.exception("the directory could not be read")


def _clear_incoming(directory: Path) -> None:
    """Remove what uploads of a killed server left behind; a running one is never silent for a minute."""
    incoming = state_directory(directory) / "incoming"
    if not incoming.is_dir():
        return
    for path in incoming.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 60:
                path.unlink() if path.is_file() else shutil.rmtree(path)
