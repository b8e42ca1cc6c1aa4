"""`/.tracker`: the requests now in flight, in every worker, with what each is doing, and a way to stop one.

Each worker keeps its own list and answers for it on a unix socket in a private directory; the page asks
all of them.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from opskit import redact
from opskit.pypi.access import Access
from opskit.pypi.answers import App, Message, Problem, Receive, Scope, Send, client, header, send_problem
from opskit.pypi.audit import Actor, record
from opskit.pypi.database import transaction
from opskit.pypi.negotiate import quality, weights
from opskit.pypi.rights import Identity
from opskit.pypi.store import Store
from opskit.pypi.web import page

_SLOW_S, _STUCK_S = 5.0, 120.0
_REFRESH_S = 2
_log = logging.getLogger("uvicorn.error")


@dataclass
class InFlight:
    """One request while it is answered. Bytes are of bodies."""

    number: int
    method: str
    path: str
    client: str
    agent: str
    started: float
    task: "asyncio.Task[Any]"
    scope: Scope
    phase: str = "reading"
    received: int = 0
    sent: int = 0
    killed: bool = False

    def to_dict(self, now: float) -> dict[str, Any]:
        age = now - self.started
        return {
            "id": f"{os.getpid()}-{self.number}", "worker": os.getpid(), "method": self.method,
            "path": self.path,
            "client": self.client, "agent": self.agent, "user": self.scope.get("opskit.user", ""),
            "age_s": round(age, 3), "phase": self.phase, "received": self.received, "sent": self.sent,
            "mark": "stuck" if age >= _STUCK_S else "slow" if age >= _SLOW_S else "",
            "stack": stack_of(self.task),
        }  # fmt: skip


class Requests:
    """The requests of this worker. Wraps the application; pages answered from prepared bytes never show."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.now: dict[int, InFlight] = {}

    async def run(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request while it is listed."""
        task = asyncio.current_task()
        assert task is not None  # ASGI servers run each request in a task
        entry = self._enter(scope, task)
        try:
            await app(scope, _counted_receive(entry, receive), _counted_send(entry, send))
        except asyncio.CancelledError:
            task.uncancel()  # the task ends here anyway, with an answer instead of a traceback in the log
            if entry.phase in ("reading", "working"):
                who = "stopped by an administrator" if entry.killed else "the server is stopping"
                await send_problem(scope, send, Problem(503, who))
        except (BrokenPipeError, ConnectionError):
            pass  # the client went away
        except OSError as error:
            _log.error("%s %s: %s", entry.method, entry.path, error)
            if entry.phase in ("reading", "working"):
                await send_problem(
                    scope, send, Problem(500, "the server could not read its files; its log says why")
                )
        finally:
            del self.now[entry.number]

    def _enter(self, scope: Scope, task: "asyncio.Task[Any]") -> InFlight:
        entry = InFlight(
            next(self._numbers), scope["method"], _shown_path(scope), client(scope),
            (header(scope, b"user-agent") or "")[:80], time.monotonic(), task, scope,
        )  # fmt: skip
        self.now[entry.number] = entry
        return entry

    def listing(self) -> list[dict[str, Any]]:
        now = time.monotonic()
        return [entry.to_dict(now) for entry in self.now.values()]

    def kill(self, number: int) -> str:
        """Cancel a request; its method and path, or nothing when it is over."""
        entry = self.now.get(number)
        if entry is None:
            return ""
        entry.killed = True
        entry.task.cancel()
        return f"{entry.method} {entry.path}"


def _shown_path(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return redact.url(scope["path"] + (f"?{query}" if query else ""))[:200]


def _counted_receive(entry: InFlight, receive: Receive) -> Receive:
    async def counted() -> Message:
        message = await receive()
        entry.received += len(message.get("body", b""))
        if not message.get("more_body") and entry.phase == "reading":
            entry.phase = "working"
        return message

    return counted


def _counted_send(entry: InFlight, send: Send) -> Send:
    async def counted(message: Message) -> None:
        entry.phase = "sending"
        entry.sent += len(message.get("body", b""))
        await send(message)

    return counted


def stack_of(task: "asyncio.Task[Any]") -> list[str]:
    """Where a task stands, the outermost call first, awaited coroutines followed; no values of variables."""
    lines = [_place(frame) for frame in _awaited(task.get_coro())]
    return lines or [_place(frame) for frame in task.get_stack(limit=20)]


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            return
        yield frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{Path(code.co_filename).parent.name}/{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}"


def thread_stacks() -> list[str]:
    """Where the worker's threads stand: uploads are checked there."""
    own = threading.get_ident()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, frame in sys._current_frames().items():
        inner = traceback.extract_stack(frame)
        if ident != own and any("/opskit/" in entry.filename for entry in inner):
            steps = " > ".join(entry.name for entry in inner if "/opskit/" in entry.filename)
            lines.append(f"{names.get(ident, ident)}: {steps}")
    return lines


class Desk:
    """Answers other workers about this one: `list` and `kill N`, one line each way."""

    def __init__(self, requests: Requests, directory: Path) -> None:
        self.requests = requests
        self.directory = directory
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._answer, self.directory / f"{os.getpid()}.sock")

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            (self.directory / f"{os.getpid()}.sock").unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = (await reader.readline()).decode().split()
        result: Any = ""
        if words[:1] == ["list"]:
            result = {"requests": self.requests.listing(), "threads": thread_stacks()}
        elif words[:1] == ["kill"] and len(words) == 2 and words[1].isdigit():
            result = self.requests.kill(int(words[1]))
        writer.write(json.dumps(result).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def ask_all(self) -> list[dict[str, Any]]:
        """The lists of all workers; one that just died is left out."""
        asked = [self._ask(path, "list") for path in sorted(self.directory.glob("*.sock"))]
        return [answer for answer in await asyncio.gather(*asked) if isinstance(answer, dict)]

    async def kill(self, worker: str, number: str) -> str:
        return str(await self._ask(self.directory / f"{worker}.sock", f"kill {number}") or "")

    async def _ask(self, path: Path, line: str) -> Any:
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_unix_connection(path, limit=2**24)
                writer.write(line.encode() + b"\n")
                answer = json.loads(await reader.readline())
                writer.close()
                return answer
        except (OSError, TimeoutError, ValueError):
            return None


def routes(store: Store, access: Access, desk: Desk) -> list[BaseRoute]:
    """The page, its JSON form, and the kill."""

    async def administrator(request: Request) -> Identity:
        identity = await access.identify(request.scope)
        access.require(identity, "admin", None)
        return identity

    async def show(request: Request) -> Response:
        return await _show(access, await administrator(request), desk, request)

    async def kill(request: Request) -> Response:
        return await _kill(store, access, await administrator(request), desk, request)

    return [
        Route("/.tracker", show),
        Route("/.tracker/", show),
        Route("/.tracker/kill", kill, methods=["POST"]),
    ]


async def _show(access: Access, identity: Identity, desk: Desk, request: Request) -> Response:
    from opskit.pypi.login import page_fields

    answers = await desk.ask_all()
    requests = [one for answer in answers for one in answer["requests"] if not one["path"].startswith("/.tracker")]
    requests.sort(key=lambda one: -one["age_s"])
    accepted = weights(request.headers.get("accept", "*/*"))
    prefers_json = quality("application/json", accepted) >= quality("text/html", accepted)
    if request.query_params.get("format") == "json" or prefers_json:
        threads = [line for answer in answers for line in answer["threads"]]
        told = {"workers": len(answers), "requests": requests, "threads": threads}
        return JSONResponse(told, headers={"cache-control": "no-store"})
    fields, extra = page_fields(access, request)
    fields |= {
        "requests": requests, "workers": len(answers), "identity": identity.name,
        "refresh": 0 if "hold" in request.query_params else _REFRESH_S,
    }  # fmt: skip
    return page(request, "tracker.html", fields, headers=extra, store=False)


async def _kill(store: Store, access: Access, identity: Identity, desk: Desk, request: Request) -> Response:
    from opskit.pypi.login import is_browser, read_form, refuse_forgery

    form = await read_form(request.receive)
    if identity.by_cookie or is_browser(request):
        refuse_forgery(access, request, form)
    worker, _, number = form.get("id", "").partition("-")
    if not worker.isdigit() or not number.isdigit():
        raise Problem(400, "which request? the form has no id")
    killed = await desk.kill(worker, number)
    if not killed:
        raise Problem(404, "that request is over")
    await asyncio.to_thread(_note, store, Actor(identity.name, client(request.scope)), killed)
    return RedirectResponse("../.tracker", 303)


def _note(store: Store, actor: Actor, killed: str) -> None:
    with transaction(store.db):
        record(store.db, actor, "kill", killed)
