"""The hot path: simple pages as prepared bytes, cached per process and dropped when the store says so."""

import re
from collections.abc import Callable

from opskit.pypi.answers import SAFE, Prepared
from opskit.pypi.negotiate import coding, is_fresh, page_type
from opskit.pypi.simple import HTML_TYPE, JSON_TYPE
from opskit.pypi.store import CODINGS, ROOT_PAGE, Page, Store

_CACHED_PAGES = 20_000
_VARY = (b"vary", b"Accept, Accept-Encoding")
# Clients ask again each time and mostly get a 304: an upload is never hidden by a cache.
_REVALIDATE = (b"cache-control", b"no-cache")
_NOT_ACCEPTABLE = Prepared(
    406, [(b"content-type", b"text/plain"), (b"content-length", b"47"), _VARY],
    b"this index speaks the Simple API, HTML and JSON",
)  # fmt: skip

_PLAIN = re.compile(rb"/simple/([a-z0-9]+(?:-[a-z0-9]+)*)/")

Key = tuple[str, str, str]  # project, media type, coding


class Pages:
    """Answers for the pages of the index, keyed by project, media type and coding."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._cache: dict[Key, Prepared] = {}
        self._unchanged: dict[Key, Prepared] = {}
        self.on_change: Callable[[], None] = lambda: None
        self._quick: dict[tuple[bytes, bytes | None, bytes | None], Key] = {}
        self._serial = store.serial()
        self._seen = store.data_version()

    def answer(
        self, project: str, accept: str | None, encoding: str | None, none_match: str | None, form: str | None
    ) -> Prepared | None:
        """The answer for a project's page, or with ROOT_PAGE for the root's; None for an unknown project."""
        media = page_type(accept, form)
        if media is None:
            return _NOT_ACCEPTABLE
        self.refresh()
        key = (project, media, coding(encoding, CODINGS))
        found = self._cache.get(key) or self._load(key)
        if found is None or none_match is None:
            return found
        etag = found.headers[0][1].decode()
        return self._unchanged[key] if is_fresh(none_match, etag) else found

    def quick(
        self, url: bytes, headers: list[tuple[bytes, bytes]],
        is_reader: Callable[[bytes, str], bool] | None = None,
    ) -> Prepared | None:  # fmt: skip
        """The answer to a plain GET of a project page that lies ready, or None for the ordinary way.

        `is_reader` is given where reading needs an identity: it knows who was verified lately and may.
        """
        accept = encoding = none_match = authorization = None
        for name, value in headers:
            if name == b"accept":
                accept = value
            elif name == b"accept-encoding":
                encoding = value
            elif name == b"if-none-match":
                none_match = value
            elif name == b"authorization":
                authorization = value
            elif name in (b"content-length", b"transfer-encoding", b"upgrade"):
                return None
        self.refresh()
        key = self._quick.get((url, accept, encoding))
        found = self._cache.get(key) if key else None
        if found is None or key is None:
            key = self._learn(url, accept, encoding)
            found = (self._cache.get(key) or self._load(key)) if key else None
        if found is None or key is None:
            return None
        if is_reader is not None and not (authorization and is_reader(authorization, key[0])):
            return None
        if none_match is None or not is_fresh(none_match.decode("latin-1"), found.headers[0][1].decode()):
            return found
        return self._unchanged[key]

    def _learn(self, url: bytes, accept: bytes | None, encoding: bytes | None) -> Key | None:
        """Note which cached page a request head stands for; only plain, normalised addresses qualify."""
        match = _PLAIN.fullmatch(url)
        media = page_type(accept.decode("latin-1") if accept else None)
        if match is None or media is None:
            return None
        key = (match[1].decode(), media, coding(encoding.decode("latin-1") if encoding else None, CODINGS))
        if len(self._quick) > 2 * _CACHED_PAGES:
            self._quick.clear()
        self._quick[url, accept, encoding] = key
        return key

    def refresh(self) -> None:
        """Forget what others changed; one read of shared memory when nothing did."""
        version = self.store.data_version()
        if version == self._seen:
            return
        self._seen = version
        self.on_change()
        self.drop()

    def drop(self) -> None:
        """Forget the pages of the projects that changed since the last look."""
        changed = self.store.changed_since(self._serial)
        if changed:
            self._serial = self.store.serial()
            for key in [key for key in self._cache if key[0] in changed]:
                del self._cache[key], self._unchanged[key]

    def _load(self, key: Key) -> Prepared | None:
        project, media, packing = key
        form = "json" if media == JSON_TYPE else "html"
        page = (
            self.store.root_page(form, packing)
            if project == ROOT_PAGE
            else self.store.page(project, form, packing)
        )
        if page is None:
            return None
        if len(self._cache) >= _CACHED_PAGES:
            self._cache.clear()
            self._unchanged.clear()
        whole, unchanged = prepare(page, media, packing)
        self._cache[key], self._unchanged[key] = whole, unchanged
        return whole


def prepare(page: Page, media: str, packing: str) -> tuple[Prepared, Prepared]:
    """The 200 and the 304 for a page. The entity tag comes first in both heads."""
    etag = page.etag if media in (HTML_TYPE, JSON_TYPE) else page.etag[:-1] + '-v1"'
    content_type = media + "; charset=utf-8" if media == HTML_TYPE else media
    head = [(b"etag", etag.encode()), _VARY, _REVALIDATE, *SAFE]
    whole = [*head, (b"content-type", content_type.encode()), (b"content-length", b"%d" % len(page.body))]
    if packing != "identity":
        whole.append((b"content-encoding", packing.encode()))
    return Prepared(200, whole, page.body), Prepared(304, head)
