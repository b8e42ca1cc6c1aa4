"""pypiserver, executed: its app answers its own routes on our store, through its own Backend class.

Only what has no modern form goes there: the `/packages/` listing, `/RPC2` search, `/<project>/json`,
`remove_pkg`, and the redirects of bare project names.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from functools import cache
from types import ModuleType
from typing import Any, BinaryIO

from opskit.pypi.answers import App, Message, Receive, Scope, Send, small_body
from opskit.pypi.audit import Actor
from opskit.pypi.plan import Settings
from opskit.pypi.store import FileRow, Store

ACTOR_HEADER = b"x-opskit-actor"  # set by the outer application only, which takes the client's own away
_acting = threading.local()  # who acts in this WSGI thread; the Backend interface has no place for it


@cache
def _pypiserver() -> ModuleType:
    """The package, imported without its password code: it fails with bcrypt 5 and is not used here."""
    missing = "passlib.apache" not in sys.modules
    if missing:
        sys.modules["passlib.apache"] = None  # type: ignore[assignment]
    try:
        import pypiserver.backend
    finally:
        if missing:
            del sys.modules["passlib.apache"]
    module: ModuleType = pypiserver
    return module


def guess(filename: str) -> tuple[str, str] | None:
    """pypiserver's reading of a file name that the specifications do not know: name and version."""
    _pypiserver()
    from pypiserver.pkg_helpers import guess_pkgname_and_version

    found: tuple[str, str] | None = guess_pkgname_and_version(filename)
    return found


def make_backend(store: Store, config: Any) -> Any:
    """An instance of pypiserver's Backend whose packages are the store's files."""
    _pypiserver()
    from pypiserver.backend import Backend
    from pypiserver.core import PkgFile

    class IndexBackend(Backend):  # type: ignore[misc]
        """The store, as pypiserver sees it. Uploads do not come this way: they are checked first."""

        def get_all_packages(self) -> Iterable[Any]:
            return map(self._package, store.files())

        def find_project_packages(self, project: str) -> Iterable[Any]:
            from opskit.pypi.names import normalize

            return map(self._package, store.files(normalize(project)))

        def get_projects(self) -> Iterable[str]:
            return store.projects()

        def package_count(self) -> int:
            return store.counts()[1]

        def exists(self, filename: str) -> bool:
            return store.file_named(filename) is not None

        def digest(self, pkg: Any) -> str | None:
            row = store.file_at(pkg.relfn)
            return f"sha256={row.sha256}" if row else None

        def add_package(self, filename: str, stream: BinaryIO) -> None:
            raise NotImplementedError("uploads are taken by opskit.pypi.upload")

        def remove_package(self, pkg: Any) -> None:
            row = store.file_at(pkg.relfn)
            if row is not None:
                store.delete([row], getattr(_acting, "actor", Actor("", "pypiserver")))

        @staticmethod
        def _package(row: FileRow) -> Any:
            place = store.root / row.path
            # A wheel's name is spelled with _, and a client asks with the name that the project uses.
            return PkgFile(row.display, row.version, str(place), str(store.root), row.path)

    return IndexBackend(config)


def make_wsgi(settings: Settings, store: Store) -> Callable[..., Any]:
    """pypiserver's WSGI app on our store. Authentication is the outer application's."""
    pypiserver = _pypiserver()
    from pypiserver.backend import BackendProxy
    from pypiserver.config import Config

    config = Config.from_args(
        [
            "run",
            "--backend",
            "simple-dir",
            "-a",
            ".",
            "-P",
            ".",
            "--disable-fallback",
            str(settings.directory),
        ]
    )
    config.backend = BackendProxy(make_backend(store, config))
    app: Callable[..., Any] = pypiserver.app_from_config(config)
    return app


def make_app(settings: Settings, store: Store) -> App:
    """The same over ASGI, in a bounded pool of threads, made when the first legacy request comes."""
    made: list[App] = []

    async def legacy(scope: Scope, receive: Receive, send: Send) -> None:
        body = await small_body(receive)  # else a sender without end would fill the disk

        async def receive_body() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        if not made:
            from a2wsgi import WSGIMiddleware

            middleware: Any = WSGIMiddleware(_without_forwarding(make_wsgi(settings, store)), workers=4)
            made.append(middleware)
        await made[0](scope, receive_body, send)

    return legacy


def _without_forwarding(app: Callable[..., Any]) -> Callable[..., Any]:
    """pypiserver believes X-Forwarded-Host from anybody, and would write it into its links."""

    def inner(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ.pop("HTTP_X_FORWARDED_HOST", None)
        _acting.actor = Actor(environ.pop("HTTP_X_OPSKIT_ACTOR", ""), environ.get("REMOTE_ADDR", ""))
        return app(environ, start_response)

    return inner
