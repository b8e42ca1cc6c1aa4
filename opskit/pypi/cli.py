"""`opskit pypi`: options → settings → server or administration → report."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from opskit.errors import Misuse, Unable
from opskit.options import Json, Quiet
from opskit.outcome import Outcome

app = typer.Typer(
    name="pypi",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""A private package index for pip, uv and twine.

    Serves a directory of packages by today's standards and takes uploads. Start with
    opskit pypi serve.
    """,
)
token_app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="API tokens: make, list, revoke."
)
app.add_typer(token_app, name="token")

Directory = Annotated[
    Path,
    typer.Option("--dir", envvar="OPSKIT_PYPI_DIR", help="The directory of packages.", show_envvar=True),
]
DEFAULT_DIRECTORY = Path("packages")


def _require_extra() -> None:
    """The parts that only this tool needs. Raises Unable with the line to type."""
    from importlib.util import find_spec

    missing = [
        name
        for name in ("pypiserver", "uvicorn", "starlette", "packaging", "jinja2", "a2wsgi",
                     "python_multipart", "markdown_it", "docutils", "passlib")
        if find_spec(name) is None
    ]  # fmt: skip
    if missing:
        raise Unable(
            f"opskit pypi needs {', '.join(missing)}", hint="pip install 'opskit[pypi]'", code="missing_extra"
        )


@app.command()
def serve(
    directory: Annotated[
        Path,
        typer.Argument(metavar="[DIR]", envvar="OPSKIT_PYPI_DIR", help="The packages; made if absent."),
    ] = DEFAULT_DIRECTORY,
    host: Annotated[str, typer.Option("--host", "-i", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="Port; 0 for any.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    passwords: Annotated[
        str | None, typer.Option("--passwords", "-P", help="htpasswd file; '.' with -a . asks nobody.")
    ] = None,
    authenticate: Annotated[
        str, typer.Option("--authenticate", "-a", help="What needs a password: list,download,update.")
    ] = "update",
    grant: Annotated[
        list[str] | None,
        typer.Option(help="USER=ACTIONS:PATTERN, e.g. ann=upload:acme-*. Repeatable."),
    ] = None,
    admin: Annotated[list[str] | None, typer.Option(help="A user who may see /.tracker. Repeatable.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Listen beyond loopback all the same.")
    ] = False,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(help="A proxy whose X-Forwarded-For and -Proto count. Repeatable.")
    ] = None,
    max_upload: Annotated[str, typer.Option(help="Largest file taken.")] = "4GiB",
    upstream: Annotated[
        list[str] | None, typer.Option(help="Simple index to fetch other projects from. Repeatable.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Serve of upstream only what is cached.")] = False,
    cache_size: Annotated[
        str, typer.Option(help="Disk space for upstream's files; the least recently used go.")
    ] = "20GiB",
    private: Annotated[
        list[str] | None, typer.Option(help="Names never taken from upstream: acme-*. Repeatable.")
    ] = None,
    merge: Annotated[
        list[str] | None, typer.Option(help="A name whose files here and upstream are merged.")
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Only these names from upstream. Repeatable.")] = None,
    deny: Annotated[list[str] | None, typer.Option(help="Never these names from upstream.")] = None,
    min_age: Annotated[str, typer.Option(help="Hide upstream files younger than this: 7d.")] = "0s",
    min_age_except: Annotated[list[str] | None, typer.Option(help="A name that --min-age does not hide.")] = None,
    quiet: Quiet = False,
) -> int:
    """Serve a directory of packages and take uploads.

    Reads are open on loopback; an upload needs a token, and the first start prints
    one. Try it:

    opskit pypi serve --port 8080

    pip install --index-url http://127.0.0.1:8080/simple/ NAME
    """
    _require_extra()
    from dataclasses import replace

    from opskit.pypi import admin as administration
    from opskit.pypi.plan import Settings, UpstreamRules, parse_guarded, parse_proxy
    from opskit.pypi.rights import parse_grant
    from opskit.units import parse_duration, parse_size

    guarded = parse_guarded(authenticate)
    if (passwords == ".") != (guarded is None):
        raise Misuse(
            "-P . and -a . go together: nobody is asked for anything",
            hint="name a password file, or give both",
        )
    if (tls_cert is None) != (tls_key is None):
        raise Misuse("--tls-cert and --tls-key go together", hint="give both")
    rules = UpstreamRules(
        urls=tuple(upstream or ()), offline=offline, private=tuple(private or ()), merge=tuple(merge or ()),
        allow=tuple(allow or ()), deny=tuple(deny or ()), min_age=parse_duration(min_age),
        min_age_except=tuple(min_age_except or ()), cache_size=parse_size(cache_size),
    )  # fmt: skip
    settings = Settings(
        directory=directory.expanduser().absolute(), host=host, port=port, workers=workers,
        passwords=None if passwords in (None, ".") else Path(str(passwords)), open_to_all=guarded is None,
        grants=tuple((user, str(right)) for user, right in map(parse_grant, grant or ())),
        admins=tuple(admin or ()), tls_cert=tls_cert, tls_key=tls_key, max_upload=parse_size(max_upload),
        upstream=rules, quiet=quiet, trusted_proxies=tuple(map(parse_proxy, trusted_proxy or ())),
    )  # fmt: skip
    if guarded is not None:
        settings = replace(settings, guarded=guarded)
    administration.serve(settings, insecure=insecure_http)
    return 0


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="Wheels and source distributions.")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """Check files and publish them in the directory.

    opskit pypi add dist/*
    """
    return _run(directory, lambda admin, store: admin.add(store, files), as_json, make=True)


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="A project; all of them without it.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """List the projects, or the files of one.

    opskit pypi list acme-tools
    """
    return _run(directory, lambda admin, store: admin.listing(store, name), as_json)


@app.command()
def yank(
    name: Annotated[str, typer.Argument(help="The project.")],
    version: Annotated[str, typer.Argument(help="The version.")],
    reason: Annotated[str, typer.Option(help="Why; installers show it.")] = "",
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """Yank a version: installed only when asked for exactly.

    opskit pypi yank acme-tools 1.2 --reason "loses data"
    """
    return _run(directory, lambda admin, store: admin.yank(store, name, version, reason), as_json)


@app.command()
def unyank(
    name: Annotated[str, typer.Argument(help="The project.")],
    version: Annotated[str, typer.Argument(help="The version.")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """Bring a yanked version back."""
    return _run(directory, lambda admin, store: admin.yank(store, name, version, None), as_json)


@app.command()
def delete(
    name: Annotated[str, typer.Argument(help="The project.")],
    version: Annotated[str, typer.Argument(help="The version.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """Delete a version for good.

    Its files are removed; the version can come back only with the same bytes.
    Yanking is enough in most cases.
    """
    return _run(directory, lambda admin, store: admin.delete(store, name, version, ask=not yes), as_json)


@app.command()
def status(
    name: Annotated[str, typer.Argument(help="The project.")],
    to: Annotated[str, typer.Argument(metavar="STATUS", help="active, archived, quarantined or deprecated.")],
    reason: Annotated[str, typer.Option(help="Why; the page shows it.")] = "",
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """Set a project's status.

    An archived project takes no files; a quarantined one shows none either.
    """
    return _run(directory, lambda admin, store: admin.set_status(store, name, to, reason), as_json)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Wheels and source distributions.")],
    upstream: Annotated[str | None, typer.Option(help="A simple index: warn of names that exist there.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    as_json: Json = False,
) -> Outcome:
    """Say what is wrong with distribution files.

    Errors are what an upload refuses, warnings what a careful person would not
    publish.

    opskit pypi check dist/*
    """
    _require_extra()
    from opskit.pypi import admin

    return admin.check(files, upstream=upstream, strict=strict, as_json=as_json)


@app.command()
def log(
    last: Annotated[int | None, typer.Option("--last", "-n", min=1, help="Only the last N entries.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """Show who changed what, when, from where.

    The log is append-only and chained; a broken chain is said, with exit code 1.
    """
    return _run(directory, lambda admin, store: admin.log(store, last), as_json)


@token_app.command("create")
def token_create(
    scope: Annotated[
        list[str] | None,
        typer.Option(help="ACTIONS:PATTERN, e.g. upload:acme-*. Repeatable."),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="Its life: 90d, 12h.")] = None,
    name: Annotated[str, typer.Option(help="A note for the list.")] = "",
    directory: Directory = DEFAULT_DIRECTORY,
) -> Outcome:
    """Make a token; stdout gets it and nothing else.

    Actions: list, download, upload, delete, admin; read is list and download, all
    is all of them. It is shown this once.

    opskit pypi token create --scope 'upload:acme-*' --expires 90d
    """
    return _run(directory, lambda admin, store: admin.token_create(store, scope or [], expires, name), make=True)


@token_app.command("list")
def token_list(directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> Outcome:
    """List the tokens, without their secrets."""
    return _run(directory, lambda admin, store: admin.token_list(store), as_json)


@token_app.command("revoke")
def token_revoke(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The id that the list shows.")],
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Json = False,
) -> Outcome:
    """Revoke a token at once, in every running worker."""
    return _run(directory, lambda admin, store: admin.token_revoke(store, identifier), as_json)


def _run(
    directory: Path, do: Callable[[Any, Any], Outcome], as_json: bool = False, *, make: bool = False
) -> Outcome:
    """One administrative command on a directory, in step with what lies in it."""
    _require_extra()
    from dataclasses import replace

    from opskit.pypi import admin

    with admin.opened(directory, make=make) as store:
        return replace(do(admin, store), as_json=as_json)
