"""Pages for people: the projects, a search, a project. They work without JavaScript and have none."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from opskit import __version__
from opskit.pypi import names
from opskit.pypi.answers import SAFE, Problem
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


def page(
    request: HTTPConnection,
    template: str,
    fields: dict[str, Any],
    *,
    status: int = 200,
    headers: Sequence[tuple[bytes, bytes]] = (),
    store: bool = True,
) -> Response:
    """A page as an answer that runs nothing and loads nothing from elsewhere."""
    answer = HTMLResponse(render(template, fields, request.scope.get("root_path", "")), status)
    answer.raw_headers += [
        (b"content-security-policy", _CSP), (b"referrer-policy", b"same-origin"),
        (b"cache-control", b"no-cache" if store else b"no-store"), *SAFE, *headers,
    ]  # fmt: skip
    return answer


def routes(
    store: Store, access: "Access", upstream: "Upstream | None", first_scan: "FirstScan"
) -> list[BaseRoute]:
    """`/`, `/search`, `/project/NAME/VERSION/` and the style sheet."""

    async def projects(request: Request) -> Response:
        identity = await access.identify(request.scope)
        await first_scan.wait()
        return _projects(store, access, identity, request)

    async def project(request: Request) -> Response:
        identity = await access.identify(request.scope)
        await first_scan.wait()
        return await _project(store, access, upstream, identity, request)

    return [
        Route("/", projects),
        Route("/search", projects),
        Route("/project/{place:path}", project),
        Mount("/+static", StaticFiles(packages=[("opskit.pypi", "static")])),
    ]


def _projects(store: Store, access: "Access", identity: "Identity", request: Request) -> Response:
    """The list of projects, or of those that a search finds, a page at a time."""
    if not access.allows(identity, "list", None) and not identity.may_some("list"):
        access.require(identity, "list", None)
    asked = request.query_params.get("q", "").strip()[:100]
    number = _page_number(request.query_params.get("page", ""))
    needle = names.normalize(asked)
    found = [
        row for row in store.project_list()
        if (needle in row.name or asked.lower() in row.summary.lower())
        and access.allows(identity, "list", row.name)
    ]  # fmt: skip
    found.sort(
        key=lambda row: (row.name != needle, not row.name.startswith(needle), row.name) if asked else (row.name,)
    )
    start = (number - 1) * _PER_PAGE
    count, files = store.counts()
    fields = {
        "asked": asked, "found": found[start : start + _PER_PAGE], "total": len(found), "page": number,
        "pages": max(1, -(-len(found) // _PER_PAGE)), "projects": count, "files": files,
        "base": _base(request), "identity": identity.name,
    }  # fmt: skip
    return _with_form(access, request, "projects.html", fields)


def _page_number(text: str) -> int:
    return int(text) if text.isdecimal() and 0 < len(text) < 6 and int(text) else 1


def _base(request: Request) -> str:
    """Our own address as the browser sees it."""
    return str(request.base_url).rstrip("/")


def _with_form(access: "Access", request: Request, template: str, fields: dict[str, Any]) -> Response:
    """A page whose head has the log-out button."""
    from opskit.pypi.login import page_fields

    more, extra = page_fields(access, request) if fields["identity"] else ({"csrf": ""}, [])
    vary = (b"vary", b"Cookie, Authorization")
    return page(request, template, fields | more, headers=[*extra, vary])


async def _project(
    store: Store, access: "Access", upstream: "Upstream | None", identity: "Identity", request: Request
) -> Response:
    name, _, wanted = request.path_params["place"].strip("/").partition("/")
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
        "described": _described(store, chosen), "base": _base(request), "identity": identity.name,
        "yanked": {file.version for file in shown.files if file.yanked is not None},
        "private": store.has_project(project),
    }  # fmt: skip
    return _with_form(access, request, "project.html", fields)


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
