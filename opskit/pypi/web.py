"""Pages for people: the projects, a search, a project. They work without JavaScript and have none."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from opskit import __version__
from opskit.pypi import names
from opskit.pypi.answers import App, Headers, Prepared, Problem, Receive, Scope, Send, header, send_prepared
from opskit.pypi.description import Described, describe
from opskit.pypi.simple import File, Project
from opskit.pypi.store import Store
from opskit.units import format_size

if TYPE_CHECKING:
    from jinja2 import Environment

    from opskit.pypi.access import Access
    from opskit.pypi.rights import Identity
    from opskit.pypi.scan import FirstScan
    from opskit.pypi.upstream import Upstream

_CSP = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)
_PER_PAGE = 100


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("opskit.pypi"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["size"] = lambda size: format_size(size) if size is not None else ""
    return environment


def render(template: str, fields: dict[str, Any], root: str = "") -> bytes:
    """A page as bytes. `root` is the path that a proxy put before ours."""
    everywhere = {"root": root, "opskit": __version__, "identity": "", "refresh": 0}
    text: str = _environment().get_template(template).render(everywhere | fields)
    return text.encode()


async def send_page(
    scope: Scope, send: Send, template: str, fields: dict[str, Any], *, status: int = 200,
    headers: Headers | None = None, store: bool = True, reason: str = "",
) -> None:  # fmt: skip
    body = render(template, fields, scope.get("root_path", ""))
    head: Headers = [
        (b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(body)),
        (b"content-security-policy", _CSP), (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"), (b"cache-control", b"no-cache" if store else b"no-store"),
        *(headers or []),
    ]  # fmt: skip
    await send_prepared(Prepared(status, head, body, reason), scope, send)


def make_app(store: Store, access: "Access", upstream: "Upstream | None", first_scan: "FirstScan") -> App:
    """`/`, `/search`, `/project/NAME/` and the style sheet."""

    async def web(scope: Scope, _receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "this page is for reading", [(b"allow", b"GET, HEAD")])
        if path == "/+static/style.css":
            await _send_style(scope, send)
            return
        identity = await access.identify(scope)
        await first_scan.wait()
        if path == "/" or path.startswith("/search"):
            await _projects(store, access, identity, scope, send)
        else:
            await _project(store, access, upstream, identity, scope, send, path.removeprefix("/project/"))

    return web


async def _send_style(scope: Scope, send: Send) -> None:
    body = files("opskit.pypi").joinpath("static/style.css").read_bytes()
    head = [(b"content-type", b"text/css; charset=utf-8"), (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"max-age=3600")]  # fmt: skip
    await send_prepared(Prepared(200, head, body), scope, send)


def _query(scope: Scope, key: str) -> str:
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get(key, [""])[0]


async def _projects(store: Store, access: "Access", identity: "Identity", scope: Scope, send: Send) -> None:
    """The list of projects, or of those that a search finds, a page at a time."""
    if not access.allows(identity, "list", None) and not identity.may_some("list"):
        access.require(identity, "list", None)
    asked = _query(scope, "q").strip()[:100]
    page = _page_number(_query(scope, "page"))
    needle = names.normalize(asked)
    found = [
        row for row in store.project_list()
        if (needle in row.name or asked.lower() in row.summary.lower())
        and access.allows(identity, "list", row.name)
    ]  # fmt: skip
    found.sort(
        key=lambda row: (row.name != needle, not row.name.startswith(needle), row.name) if asked else (row.name,)
    )
    start = (page - 1) * _PER_PAGE
    projects, count = store.counts()
    fields = {
        "asked": asked, "found": found[start : start + _PER_PAGE], "total": len(found), "page": page,
        "pages": max(1, -(-len(found) // _PER_PAGE)), "projects": projects, "files": count,
        "base": _base(scope), "identity": identity.name,
    }  # fmt: skip
    await _send_with_form(access, scope, send, "projects.html", fields)


def _page_number(text: str) -> int:
    return int(text) if text.isdecimal() and 0 < len(text) < 6 and int(text) else 1


def _base(scope: Scope) -> str:
    """Our own address as the browser sees it."""
    host = header(scope, b"host") or "localhost"
    return f"{scope.get('scheme', 'http')}://{host}{scope.get('root_path', '')}"


async def _send_with_form(
    access: "Access", scope: Scope, send: Send, template: str, fields: dict[str, Any]
) -> None:
    """A page whose head has the log-out button."""
    from opskit.pypi.login import page_fields

    extra_fields, extra = page_fields(access, scope) if fields["identity"] else ({"csrf": ""}, [])
    await send_page(
        scope, send, template, fields | extra_fields, headers=[*extra, (b"vary", b"Cookie, Authorization")]
    )


async def _project(
    store: Store, access: "Access", upstream: "Upstream | None", identity: "Identity", scope: Scope,
    send: Send,
    rest: str,
) -> None:  # fmt: skip
    name, _, wanted = rest.strip("/").partition("/")
    project = names.normalize(name)
    if not names.is_project_name(name):
        raise Problem(404, "not the name of a project")
    access.require(identity, "list", project)
    shown = store.view(project) if upstream is None else await upstream.view(project)
    if not shown.files and not shown.hidden:
        raise Problem(404, f"there is no project {project} here")
    versions = sorted(shown.versions, key=names.version_key, reverse=True)
    version = next((v for v in versions if wanted and names.same_version(v, wanted)), None)
    if wanted and version is None:
        raise Problem(404, f"there is no version {wanted[:40]} of {project} here")
    version = version or _newest(versions, shown)
    chosen = [file for file in shown.files if file.version == version]
    fields = {
        "project": shown, "version": version, "versions": versions, "chosen": chosen,
        "described": _described(store, chosen), "base": _base(scope), "identity": identity.name,
        "yanked": {file.version for file in shown.files if file.yanked is not None},
        "private": store.has_project(project),
    }  # fmt: skip
    await _send_with_form(access, scope, send, "project.html", fields)


def _newest(versions: list[str], shown: Project) -> str:
    """The newest final version that is not yanked; else the newest of what there is."""
    from packaging.version import Version

    yanked = {file.version for file in shown.files if file.yanked is not None}
    good = [v for v in versions if v not in yanked]
    final = [v for v in good if isinstance(key := names.version_key(v)[1], Version) and not key.is_prerelease]
    return next(iter(final or good or versions), "")


def _described(store: Store, chosen: list[File]) -> Described | None:
    """The metadata of the first file that has any."""
    for file in sorted(chosen, key=lambda f: not f.filename.endswith(".whl")):
        raw = store.metadata(file.hashes.get("sha256", ""))
        if raw:
            return describe(raw)
    return None
