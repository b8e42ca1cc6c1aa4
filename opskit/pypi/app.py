"""The server as one ASGI application: which part answers which path, and who may."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Router

from opskit.pypi import names
from opskit.pypi.access import Access
from opskit.pypi.answers import (
    App,
    Problem,
    Receive,
    Scope,
    Send,
    header,
    send_prepared,
    send_text,
)
from opskit.pypi.pages import Pages, prepare
from opskit.pypi.plan import Settings
from opskit.pypi.rights import NOBODY, Identity
from opskit.pypi.scan import FirstScan
from opskit.pypi.send import IMMUTABLE, REVALIDATE, send_file
from opskit.pypi.simple import JSON_TYPE, root_html, root_json
from opskit.pypi.store import ROOT_PAGE, FileRow, Page, Store

if TYPE_CHECKING:
    from opskit.pypi.upstream import Upstream

_READING = ("GET", "HEAD")
# What pypiserver's own app has an answer for; it says 404 to the rest in pages of its own.
_LEGACY = re.compile(r"/(packages/?|RPC2|favicon\.ico|[^/]+/?|[^/]+/json)")


@dataclass(frozen=True)
class Parts:
    """What is behind the paths that are not the read side's; `problem` tells of errors."""

    upload: App
    legacy: App
    pages: tuple[BaseRoute, ...]
    problem: Callable[[Scope, Receive, Send, Problem], Awaitable[None]]


class Index:
    """The read side, and the door to the rest. Errors become answers here and nowhere else."""

    def __init__(
        self, settings: Settings, store: Store, access: Access, parts: Parts, upstream: "Upstream | None",
        first_scan: FirstScan,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.store = store
        self.access = access
        self.pages = Pages(store)
        self.parts = parts
        self.upstream = upstream
        self.first_scan = first_scan
        # Without Starlette's own handling of errors: a Problem comes out here, and is told once.
        self._others = Router(parts.pages, redirect_slashes=False, default=self._legacy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._route(scope, receive, send)
        except Problem as problem:
            await self.parts.problem(scope, receive, send, problem)
        except HTTPException as error:  # Starlette's, for a method or a static file that is not there
            headers = [(k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items()]
            await self.parts.problem(scope, receive, send, Problem(error.status_code, error.detail, headers))

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        reading = scope["method"] in _READING
        if reading and path.startswith("/legacy/+simple/"):
            path = path.removeprefix("/legacy")
        if path.startswith(("/simple/", "/+simple/")):
            _only(reading)
            await self._simple(scope, send, path.split("/", 2)[2])
        elif path.startswith("/files/"):
            _only(reading)
            await self._file(scope, send, path[len("/files/") :])
        elif path.startswith("/packages/") and path != "/packages/":
            _only(reading)
            await self._package(scope, send, path[len("/packages/") :])
        elif path == "/health":
            await send_text(scope, send, 200, "Ok")
        elif path == "/simple":
            await _redirect(scope, send, "simple/")
        elif path in ("/legacy", "/legacy/") or (path == "/" and scope["method"] == "POST"):
            if scope["method"] != "POST":
                raise Problem(405, "this address takes uploads only", [(b"allow", b"POST")])
            await self.parts.upload(scope, receive, send)
        else:
            scope["app"] = self  # without one, the router answers a wrong method by itself
            await self._others(scope, receive, send)

    async def _legacy(self, scope: Scope, receive: Receive, send: Send) -> None:
        """pypiserver's own routes: all of them list, none is asked for a single project's rights."""
        if not _LEGACY.fullmatch(scope["path"]):
            raise Problem(404, "there is nothing at this address")
        self.access.require(await self.access.identify(scope), "list", None)
        await self.first_scan.wait()
        await self.parts.legacy(scope, receive, send)

    # Simple pages

    async def _simple(self, scope: Scope, send: Send, rest: str) -> None:
        name, _, more = rest.partition("/")
        if more or (rest and names.normalize(name) + "/" != rest):
            await self._respell(scope, send, name, more)
            return
        identity = NOBODY if self.access.is_open("list") else await self.access.identify(scope)
        form = _asked_form(scope["query_string"])
        if not name:
            await self.first_scan.wait()
            await self._root(scope, send, identity, form)
            return
        self.access.require(identity, "list", name)
        if not (self.first_scan.is_done or self.store.has_project(name)):
            await self.first_scan.wait()
        key = name if self.upstream is None else await self.upstream.refresh(name)
        answer = self.pages.answer(
            key, header(scope, b"accept"), header(scope, b"accept-encoding"),
            header(scope, b"if-none-match"), form,
        )  # fmt: skip
        if answer is None:
            why = self.upstream.why_missing(name) if self.upstream else ""
            raise Problem(404, f"there is no project {name} here{why}")
        await send_prepared(answer, scope, send)

    async def _respell(self, scope: Scope, send: Send, name: str, more: str) -> None:
        """PEP 503: the page lives under the normalised name with a slash at its end."""
        if more or not names.is_project_name(name):
            raise Problem(404, "not the name of a project")
        target = quote(names.normalize(name)) + "/"
        query = scope["query_string"].decode("latin-1")
        up = "../" if scope["path"].endswith("/") else ""
        await _redirect(scope, send, up + target + (f"?{query}" if query else ""))

    async def _root(self, scope: Scope, send: Send, identity: Identity, form: str | None) -> None:
        if not self.access.allows(identity, "list", None):
            if not identity.may_some("list"):
                self.access.require(identity, "list", None)
            await self._filtered_root(scope, send, identity, form)
            return
        answer = self.pages.answer(
            ROOT_PAGE, header(scope, b"accept"), header(scope, b"accept-encoding"),
            header(scope, b"if-none-match"), form,
        )  # fmt: skip
        assert answer is not None  # the root page is made when it is missing
        await send_prepared(answer, scope, send)

    async def _filtered_root(self, scope: Scope, send: Send, identity: Identity, form: str | None) -> None:
        """For who may see some projects only: rendered for them, kept by nobody."""
        from opskit.pypi.negotiate import page_type

        media = page_type(header(scope, b"accept"), form)
        if media is None:
            raise Problem(406, "this index speaks the Simple API, HTML and JSON")
        mine = [name for name in self.store.projects() if identity.may("list", name)]
        body = root_json(mine) if media == JSON_TYPE else root_html(mine)
        whole, _ = prepare(Page('"filtered"', body), media, "identity")
        head = [pair for pair in whole.headers if pair[0] not in (b"etag", b"cache-control")]
        await send_prepared(replace(whole, headers=[*head, (b"cache-control", b"no-store")]), scope, send)

    # Files

    async def _file(self, scope: Scope, send: Send, rest: str) -> None:
        digest, _, filename = rest.partition("/")
        of_metadata = filename.endswith(".metadata")
        row = self.store.file_by_hash(digest, filename.removesuffix(".metadata"))
        if row is None and not self.first_scan.is_done:
            await self.first_scan.wait()
            row = self.store.file_by_hash(digest, filename.removesuffix(".metadata"))
        if row is None:
            await self._upstream_file(scope, send, digest, filename)
            return
        await self._may_download(scope, row.project)
        if of_metadata:
            await self._metadata(scope, send, row)
        else:
            await self._send_row(scope, send, row, IMMUTABLE)

    async def _may_download(self, scope: Scope, project: str) -> None:
        if not self.access.is_open("download"):
            self.access.require(await self.access.identify(scope), "download", project)
        if self.store.status(project)[0] == "quarantined":
            raise Problem(403, f"{project} is quarantined")

    async def _upstream_file(self, scope: Scope, send: Send, digest: str, filename: str) -> None:
        known = self.upstream.file(digest, filename.removesuffix(".metadata")) if self.upstream else None
        if known is None or self.upstream is None:
            raise Problem(404, f"there is no file {filename} here")
        await self._may_download(scope, known.project)
        await self.upstream.send(scope, send, known, of_metadata=filename.endswith(".metadata"))

    async def _metadata(self, scope: Scope, send: Send, row: FileRow) -> None:
        body = self.store.metadata(row.sha256) if row.metadata else None
        if body is None:
            raise Problem(404, f"{row.filename} has no core metadata")
        whole, unchanged = prepare(Page(f'"{row.metadata}"', body), "text/plain", "identity")
        head = [pair for pair in whole.headers if pair[0] not in (b"cache-control", b"vary")]
        answer = replace(whole, headers=[*head, (b"cache-control", IMMUTABLE)])
        fresh = f'"{row.metadata}' in (header(scope, b"if-none-match") or "")
        await send_prepared(unchanged if fresh else answer, scope, send)

    async def _package(self, scope: Scope, send: Send, path: str) -> None:
        """pypiserver's address of a file: by its place, so it must be asked about again each time."""
        row = self.store.file_at(path)
        if row is None and not self.first_scan.is_done:
            await self.first_scan.wait()
            row = self.store.file_at(path)
        if row is None:
            raise Problem(404, f"there is no file {path} here")
        await self._may_download(scope, row.project)
        await self._send_row(scope, send, row, REVALIDATE)

    async def _send_row(self, scope: Scope, send: Send, row: FileRow, cache: bytes) -> None:
        """The bytes that the index knows, or none: a changed file is not sent under its old digest."""
        place = self.store.root / row.path
        try:
            status = place.stat()
            if (status.st_size, status.st_mtime_ns) != (row.size, row.mtime_ns):
                raise Problem(404, f"{row.filename} has just changed on disk; ask for its page again")
            await send_file(scope, send, place, row.size, f'"{row.sha256}"', row.mtime_ns // 1_000_000_000, cache)
        except FileNotFoundError as error:
            raise Problem(404, f"{row.filename} is no longer here") from error


def _only(reading: bool) -> None:
    if not reading:
        raise Problem(405, "this address is for reading; uploads go to /legacy/", [(b"allow", b"GET, HEAD")])


def _asked_form(query: bytes) -> str | None:
    if b"format=" not in query:
        return None
    asked = parse_qs(query.decode("latin-1")).get("format", [""])[0]
    return asked.replace(" ", "+") or None  # a bare + in an address is read as a space


async def _redirect(scope: Scope, send: Send, target: str) -> None:
    """A relative address, which stays right behind a proxy that adds a prefix."""
    await send_text(
        scope, send, 301, f"moved to {target}\n",
        headers=[(b"location", target.encode()), (b"cache-control", b"no-cache")],
    )  # fmt: skip
