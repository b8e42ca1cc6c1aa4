"""The indexes behind this one: pages and files fetched when asked for, checked, kept, served on without them.

A name is taken from the first upstream that has it, never mixed from two; a name that exists here is not
asked for at all, unless --merge opens it.
"""

import asyncio
import hashlib
import logging
import secrets
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit
from weakref import WeakValueDictionary

from opskit import http
from opskit.errors import Unable
from opskit.pypi import foreign, names, simple
from opskit.pypi.answers import Problem, Scope, Send
from opskit.pypi.cache import Cache, Entry
from opskit.pypi.database import state_directory, transaction
from opskit.pypi.download import Download, metadata_by_range
from opskit.pypi.foreign import ForeignFile, ForeignPage
from opskit.pypi.plan import UpstreamRules
from opskit.pypi.send import IMMUTABLE, send_file
from opskit.pypi.store import Store

if TYPE_CHECKING:
    from opskit.http import AsyncClient, Response

_FRESH_S = 60.0  # how long a page of upstream is taken as it is; then it is asked about again
_ACCEPT = f"{simple.JSON_TYPE}, {simple.HTML_V1_TYPE}; q=0.2, text/html; q=0.1"
_PAGE_LIMIT = 64 * 2**20
_log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class UpstreamFile:
    """A file that this index may hand out, and where it comes from."""

    sha256: str
    filename: str
    project: str
    url: str
    size: int | None
    has_metadata: bool
    metadata_sha256: str | None


@dataclass(frozen=True)
class _Kept:
    """A page as it was last fetched; `page` is None where upstream has no such project."""

    etag: str
    fetched: int
    page: ForeignPage | None


class Upstream:
    """The upstreams of one worker; what they fetched is shared through the store's directory."""

    def __init__(self, rules: UpstreamRules, store: Store) -> None:
        self.rules = rules
        self.store = store
        self.cache = Cache(state_directory(store.root) / "cache", rules.cache_size)
        self._client: AsyncClient | None = None
        self._bases, self._logins = _split_logins(rules.urls)
        # Weak: whoever asks for many names must not fill the memory with their locks.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._downloads: dict[str, Download] = {}
        self._said: set[tuple[str, str]] = set()

    @property
    def client(self) -> "AsyncClient":
        if self._client is None:
            self._client = http.async_client(timeout=30)
        return self._client

    async def close(self) -> None:
        for download in self._downloads.values():
            download.task.cancel()
        if self._client is not None:
            await self._client.aclose()

    # Pages

    async def refresh(self, project: str) -> str:
        """Bring a project's page up to date; the key under which it lies. Raises Problem 403, 502."""
        here = self.store.has_project(project)
        why = foreign.decide(self.rules, project, here=here)
        if why:
            if why.startswith("--"):
                self._say(project, why)
                raise Problem(403, f"{project}: {why}")
            return project
        async with self._lock(project):
            page = await self._current(project)
            if page is None:
                return project
            await asyncio.to_thread(self._publish, project, page)
        return _key(project)

    def _lock(self, key: str) -> asyncio.Lock:
        """One fetch at a time of what this key stands for."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def view(self, project: str) -> simple.Project:
        """A project as its page shows it, local files and those of upstream by the same rules."""
        key = await self.refresh(project)
        local = self.store.view(project)
        if key == project:
            return local
        page = await self._current(project)
        return local if page is None else self._merged(project, page)

    def why_missing(self, project: str) -> str:
        """The end of the sentence for a project that is not here."""
        why = foreign.decide(self.rules, project, here=False)
        if why:
            return f": {why}"
        return ", and upstream is not asked: --offline" if self.rules.offline else " or upstream"

    async def _current(self, project: str) -> ForeignPage | None:
        """The page of the first upstream that has the project. Raises Problem 502 when none can be asked."""
        failures = []
        for base in self._bases:
            kept = self._kept(base, project)
            age = (time.time_ns() // 1000 - kept.fetched) / 1e6 if kept else None
            if not self.rules.offline and (age is None or age > _FRESH_S):
                try:
                    kept = await self._fetch_page(base, project, kept)
                except (Unable, ValueError) as error:
                    failures.append(str(error))
                    self._say(http.host(base), str(error))
            if kept is not None and kept.page is not None:
                return kept.page
            if kept is None and failures:
                break  # a later upstream must not step in for one that cannot be asked
        if failures:
            raise Problem(502, f"upstream cannot be asked about {project}: {failures[0]}")
        return None

    def _kept(self, base: str, project: str) -> _Kept | None:
        row = self.store.db.execute(
            "SELECT etag, fetched, body FROM upstream_page WHERE upstream=? AND project=?", (base, project)
        ).fetchone()
        if row is None:
            return None
        return _Kept(row[0] or "", row[1], ForeignPage.from_json(zlib.decompress(row[2])) if row[2] else None)

    async def _fetch_page(self, base: str, project: str, kept: _Kept | None) -> _Kept:
        """Ask upstream, with the validator of what is kept. Raises Unable, ValueError."""
        url = urljoin(base, quote(project) + "/")
        headers = {"Accept": _ACCEPT} | ({"If-None-Match": kept.etag} if kept and kept.etag else {})
        async with self.open(url, headers) as answer:
            now = time.time_ns() // 1000
            if answer.status_code == 304 and kept is not None:
                fresh = replace(kept, fetched=now)
            elif answer.status_code in (404, 410):
                fresh = _Kept("", now, None)
            elif answer.status_code != 200:
                raise Unable(f"{http.host(base)} answered {answer.status_code}")
            else:
                body = await _bounded(answer)
                page = foreign.parse(body, answer.headers.get("content-type", ""), str(answer.url))
                fresh = _Kept(answer.headers.get("etag", ""), now, page)
        await asyncio.to_thread(self._keep, base, project, fresh)
        return fresh

    def _keep(self, base: str, project: str, fresh: _Kept) -> None:
        body = None if fresh.page is None else zlib.compress(fresh.page.to_json())
        self.store.db.execute(
            "INSERT OR REPLACE INTO upstream_page VALUES(?, ?, ?, ?, ?, ?)",
            (base, project, fresh.etag, fresh.fetched, fresh.page is not None, body),
        )

    def _publish(self, project: str, page: ForeignPage) -> None:
        """Render the page if it differs from the one that lies there. Runs in a thread."""
        self._note_files(project, page)
        shown = self._merged(project, page)
        body = simple.project_json(shown)
        lying = self.store.page(_key(project), "json", "identity")
        if lying is None or lying.body != body:
            with transaction(self.store.db):
                self.store.keep_page(_key(project), body, simple.project_html(shown))
                self.store.journal(_key(project))

    def _note_files(self, project: str, page: ForeignPage) -> None:
        """Remember where each file is and when it was first seen."""
        now = time.time_ns() // 1000
        known = {(row[0], row[1]) for row in self.store.db.execute(
            "SELECT sha256, filename FROM upstream_file WHERE project=?", (project,))}  # fmt: skip
        new = [file for file in page.files if file.sha256 and (file.sha256, file.filename) not in known]
        if not new:
            return
        with transaction(self.store.db):
            for file in new:
                self.store.db.execute(
                    "INSERT OR IGNORE INTO upstream_file VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                    (file.sha256, file.filename, project, file.url, file.size, now, bool(file.metadata),
                     file.metadata if isinstance(file.metadata, str) else None),
                )  # fmt: skip

    def _merged(self, project: str, page: ForeignPage) -> simple.Project:
        """Local files first: theirs is the name. What a rule hides is listed with its reason."""
        local = self.store.view(project)
        mine = {file.filename for file in local.files}
        first = self._first_seen(project)
        shown, hidden = [], []
        for file in page.files:
            seen, known_hash = first.get(file.filename, (time.time_ns() // 1000, ""))
            now = time.time_ns() // 1000
            why = foreign.hide(self.rules, project, file, seen=seen, now=now, known_hash=known_hash)
            if why:
                hidden.append((file.filename, why))
                self._say(file.filename, why)
            elif file.filename not in mine:
                shown.append(_as_simple(file))
        files = sorted([*local.files, *shown], key=lambda f: (names.version_key(f.version), f.filename))
        quarantined = page.status == "quarantined"
        return simple.Project(
            project,
            () if quarantined else tuple(files),
            () if quarantined else tuple(dict.fromkeys(file.version for file in files)),
            page.status,
            page.reason,
            tuple(hidden),
        )

    def _first_seen(self, project: str) -> dict[str, tuple[int, str]]:
        """File name → when it was first seen, and with which digest."""
        rows = self.store.db.execute(
            "SELECT filename, seen, sha256 FROM upstream_file WHERE project=? ORDER BY seen DESC", (project,)
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def _say(self, subject: str, why: str) -> None:
        """Once per reason, into the log."""
        if (subject, why) not in self._said and len(self._said) < 10_000:
            self._said.add((subject, why))
            _log.warning("upstream: %s: %s", subject, why)

    # Files

    def file(self, digest: str, filename: str) -> UpstreamFile | None:
        row = self.store.db.execute(
            "SELECT sha256, filename, project, url, size, metadata_url, metadata_sha256 FROM upstream_file"
            " WHERE sha256=? AND filename=?",
            (digest, filename),
        ).fetchone()
        return UpstreamFile(*row) if row else None

    async def send(self, scope: Scope, send: Send, file: UpstreamFile, *, of_metadata: bool) -> None:
        """Answer with a file, from the cache or while it arrives. Raises Problem."""
        why = await self._refusal(file)
        if why:
            raise Problem(403, f"{file.filename}: {why}")
        entry = self.cache.entry(file.sha256, file.filename)
        if of_metadata:
            place = await self._metadata(file, entry)
            digest = hashlib.sha256(place.read_bytes()).hexdigest()
        else:
            place, digest = entry.file, file.sha256
            if not place.exists() and await self._download(file, entry).stream(scope, send, f'"{digest}"'):
                return
        entry.touch()
        status = place.stat()
        await send_file(scope, send, place, status.st_size, f'"{digest}"', int(status.st_mtime), IMMUTABLE)

    async def _refusal(self, file: UpstreamFile) -> str:
        """A file whose page hides it now is not handed out by its old address either."""
        why = foreign.decide(self.rules, file.project, here=self.store.has_project(file.project))
        if why:
            return why
        for base in self._bases:
            kept = self._kept(base, file.project)
            if kept and kept.page:
                hidden = dict(self._merged(file.project, kept.page).hidden)
                return hidden.get(file.filename, "")
        return ""

    def _download(self, file: UpstreamFile, entry: Entry) -> Download:
        """The one fetch of this file that is under way, begun if there is none."""
        known = self._downloads.get(file.sha256)
        if known is not None and not known.task.done():
            return known
        if self.rules.offline:
            raise Problem(404, f"{file.filename} is not in the cache, and upstream is not asked: --offline")
        download = Download(self.open, file.url, file.sha256, file.size, self.cache, entry)
        self._downloads = {k: d for k, d in self._downloads.items() if not d.task.done()}
        self._downloads[file.sha256] = download
        return download

    async def _metadata(self, file: UpstreamFile, entry: Entry) -> Path:
        """The core metadata: upstream's, checked, or read out of the wheel. Raises Problem."""
        place = entry.metadata
        if place.exists():
            return place
        if not file.filename.endswith(".whl"):
            raise Problem(404, f"{file.filename} has no core metadata")
        async with self._lock(f"{file.sha256} metadata"):
            try:
                if not place.exists():
                    await self._keep_metadata(file, entry)
            except (Unable, OSError, ValueError) as error:
                raise Problem(502, f"the metadata of {file.filename} cannot be had: {error}") from error
        return place

    async def _keep_metadata(self, file: UpstreamFile, entry: Entry) -> None:
        """Put it into the cache. Raises Unable, OSError, ValueError."""
        body = await self._read_metadata(file, entry.file)
        entry.directory.mkdir(parents=True, exist_ok=True)
        temporary = entry.directory / f".{secrets.token_hex(6)}.metadata"
        temporary.write_bytes(body)
        temporary.replace(entry.metadata)

    async def _read_metadata(self, file: UpstreamFile, wheel: Path) -> bytes:
        from opskit.pypi.archive import core_of

        if wheel.exists():
            return core_of(wheel, file.filename).raw
        if self.rules.offline:
            raise Unable("it is not in the cache, and upstream is not asked: --offline")
        if not file.has_metadata:
            return await asyncio.to_thread(metadata_by_range, self._with_login(file.url), file.filename)
        async with self.open(file.url + ".metadata", {}) as answer:
            if answer.status_code != 200:
                raise Unable(f"upstream answered {answer.status_code}")
            body = await _bounded(answer)
        if file.metadata_sha256 and hashlib.sha256(body).hexdigest() != file.metadata_sha256:
            raise Unable("it is not what upstream's page says")
        return body

    # Asking

    @asynccontextmanager
    async def open(self, url: str, headers: dict[str, str]) -> AsyncIterator["Response"]:
        """A GET whose redirects are followed, never from https to http. Raises Unable."""
        with http.mapped_errors(url):
            for _ in range(6):
                request = self.client.build_request("GET", self._with_login(url), headers=headers)
                answer = await self.client.send(request, stream=True)
                if not answer.has_redirect_location:
                    try:
                        yield answer
                    finally:
                        await answer.aclose()
                    return
                await answer.aclose()
                target = urljoin(url, answer.headers["location"])
                if urlsplit(target).scheme not in ("https", urlsplit(url).scheme):
                    raise Unable(f"{http.host(url)} leads from https to {urlsplit(target).scheme}")
                url = target
        raise Unable(f"{http.host(url)} redirects without end")

    def _with_login(self, url: str) -> str:
        """The login that the user put into an upstream's URL, for that host only."""
        parts = urlsplit(url)
        login = self._logins.get(parts.netloc)
        return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}")) if login else url


def _key(project: str) -> str:
    """Where a page with files of upstream lies: beside the local one, which must not be mixed up with it."""
    return f"^{project}"


def _split_logins(urls: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Base URLs without userinfo, ending in a slash, and the userinfo by host."""
    bases, logins = [], {}
    for url in urls:
        parts = urlsplit(url.rstrip("/") + "/")
        login, _, netloc = parts.netloc.rpartition("@")
        if login:
            logins[netloc] = login
        bases.append(urlunsplit(parts._replace(netloc=netloc)))
    return bases, logins


def _as_simple(file: ForeignFile) -> simple.File:
    parsed = names.parse_filename(file.filename)
    assert parsed is not None  # foreign.hide keeps the others away
    # Every wheel gets core metadata: where upstream has none, it is read out of the wheel when asked for.
    metadata = file.metadata or (True if parsed.kind == "wheel" else None)
    return simple.File(
        filename=file.filename, version=parsed.version,
        url=f"../../files/{file.sha256}/{quote(file.filename)}",
        hashes={"sha256": file.sha256}, size=file.size, uploaded=file.uploaded,
        requires_python=file.requires_python, yanked=file.yanked, metadata=metadata,
        provenance=file.provenance,
    )  # fmt: skip


async def _bounded(answer: Any) -> bytes:
    """A body of a bounded size. Raises Unable."""
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _PAGE_LIMIT:
            raise Unable(f"a page of upstream is larger than {_PAGE_LIMIT} bytes")
    return bytes(body)
