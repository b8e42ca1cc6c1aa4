"""The checker and the target in one process, over real sockets: quick enough to try every fault."""

import asyncio
import io
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any
from unittest.mock import patch

from opskit import listen
from opskit.cli import run
from opskit.httprange import engine
from opskit.httprange.plan import Plan
from opskit.httprange.results import Report, Tier
from opskit.httprange.web import Access
from opskit.target.defects import DEFECTS
from opskit.target.pages import FLAWLESS, site
from opskit.target.server import Clock, Connection, Counts
from tests.command import Ran


@contextmanager
def serving(defect: str = "") -> Iterator[str]:
    """A target with a fault, in a thread; its URL without the slash at the end."""
    listener = listen.listening_socket("127.0.0.1", 0)
    pages = site(DEFECTS[defect] if defect else FLAWLESS)
    loop = asyncio.new_event_loop()
    transports: list[Connection] = []

    def connection() -> Connection:
        made = Connection(pages, counts, clock)
        transports.append(made)
        return made

    counts, clock = Counts(), Clock()
    server = loop.run_until_complete(loop.create_server(connection, sock=listener))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listen.url_of(listener).rstrip("/")
    finally:

        async def end() -> None:
            server.close()
            for protocol in transports:
                protocol._transport.abort()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def inspect(url: str, tier: Tier = Tier.POLITE, *, timeout: float = 5.0, **plan: Any) -> Report:
    """The report about one URL."""
    return engine.inspect(Plan((url,), tier, **plan), url, Access(timeout=timeout), lambda _: None).report


def assert_serves_ranges(url: str, *clients: str) -> None:
    """What any server of ours must hold: no FAIL, whatever is asked, and safe for these clients."""
    report = inspect(url, Tier.FULL, timeout=20.0, profiles=clients)
    assert failures(report) == {}
    assert {p.name: p.reasons for p in report.profiles if p.name in clients and p.verdict != "yes"} == {}


def typed(*args: str, env: Mapping[str, str] | None = None) -> Ran:
    """`opskit ARGS` in this process, which spares the start of another; piped, in UTF-8."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err), patch.dict(os.environ, env or {}):
        code = run(args)
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Ran(code, *texts)


def verdicts(report: Report) -> dict[str, str]:
    return {result.id: result.verdict.value for result in report.results}


def failures(report: Report) -> dict[str, str]:
    return {result.id: result.got for result in report.results if result.failed}
