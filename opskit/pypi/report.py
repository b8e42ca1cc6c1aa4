"""What the commands show: plain lines and tables."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from opskit.console import Stdout
from opskit.listen import is_loopback
from opskit.pypi.plan import Settings
from opskit.units import format_duration, format_size

Render = Callable[[Stdout], None]


def lines(texts: Sequence[str]) -> Render:
    return lambda out: out.write("".join(f"{text}\n" for text in texts))


def serving(settings: Settings, first_token: str | None, projects: int, files: int) -> Iterator[str]:
    """The first lines of a server: where it is, what to type, who may do what."""
    host = "127.0.0.1" if is_loopback(settings.host) else settings.host
    host = f"[{host}]" if ":" in host else host
    base = f"{settings.scheme}://{host}:{settings.port}"
    yield f"serving {settings.directory} at {base}/"
    if settings.quiet:
        if first_token:
            yield f"token: {first_token}"
        return
    if files:
        yield f"  {projects} projects, {files} files"
    yield f"  install   pip install --index-url {base}/simple/ NAME"
    yield f"            uv pip install --index-url {base}/simple/ NAME"
    yield f"  publish   uv publish --publish-url {base}/legacy/ dist/*"
    yield f"            twine upload --repository-url {base}/legacy/ dist/*"
    yield f"  read      {_who(settings, 'list')}"
    yield f"  upload    {_who(settings, 'upload')}"
    if settings.upstream.urls:
        yield from _upstream(settings)
    if first_token:
        yield "  token     shown this once; user __token__, it may do everything:"
        yield first_token


def _who(settings: Settings, action: str) -> str:
    if settings.open_to_all or action not in settings.guarded:
        return "everybody who reaches this address"
    users = f"users of {settings.passwords}, " if settings.passwords else ""
    return f"{users}tokens (opskit pypi token create)"


def _upstream(settings: Settings) -> Iterator[str]:
    from opskit import redact

    rules = settings.upstream
    offline = " (offline: cache only)" if rules.offline else ""
    yield f"  upstream  {', '.join(map(redact.url, rules.urls))}{offline}"
    yield "            never for a name that exists here" + (
        f" or matches {', '.join(rules.private)}" if rules.private else ""
    )
    if rules.merge:
        yield f"            merged: {', '.join(rules.merge)}"
    if rules.min_age:
        yield f"            nothing younger than {format_duration(rules.min_age)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> Render:
    """Columns as wide as needed; on a terminal, a last cell that does not fit gets a line of its own."""

    def render(out: Stdout) -> None:
        if not rows:
            out.write(empty + "\n")
            return
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, *rows]:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            line = "  ".join(cells).rstrip()
            if out.width is not None and len(line) > out.width:
                line = "  ".join(cells[:-1]).rstrip() + "\n" + f"    {cells[-1]}".rstrip()[: out.width]
            out.write(line + "\n")

    return render


def projects(rows: list[dict[str, Any]]) -> Render:
    return table(
        ["project", "newest", "summary"],
        [[row["name"], row["version"], row["summary"][:60]] for row in rows],
        "no projects yet: opskit pypi add FILE…, or copy files into the directory",
    )


def files(data: dict[str, Any]) -> Render:
    def notes(row: dict[str, Any]) -> str:
        marks = []
        if row["yanked"] is not None:
            marks.append(f"yanked: {row['yanked']}" if row["yanked"] else "yanked")
        if row["problem"]:
            marks.append(row["problem"])
        return "; ".join(marks)

    shown = table(
        ["file", "size", "uploaded", "by", "notes"],
        [
            [row["filename"], format_size(row["size"]), row["uploaded"][:10], row["uploader"], notes(row)]
            for row in data["files"]
        ],
        "no files",
    )

    def render(out: Stdout) -> None:
        if data["status"] != "active":
            out.write(f"{data['project']} is {data['status']}{': ' + data['reason'] if data['reason'] else ''}\n")
        shown(out)

    return render


def findings(results: list[dict[str, Any]]) -> Render:
    def render(out: Stdout) -> None:
        for result in results:
            if not result["findings"]:
                out.write(f"good     {result['file']}\n")
            for finding in result["findings"]:
                out.write(f"{finding['level']:<8} {result['file']}: {finding['text']}\n")

    return render


def log(rows: list[dict[str, Any]]) -> Render:
    return table(
        ["when", "who", "from", "what", "subject and detail"],
        [
            [r["at"], r["who"] or "-", r["from"], r["what"], f"{r['subject']}  {r['detail'][:40]}".rstrip()]
            for r in rows
        ],
        "nothing was changed yet",
    )


def token_table(rows: list[dict[str, Any]]) -> Render:
    def state(row: dict[str, Any]) -> str:
        if row["revoked"]:
            return "revoked"
        if not row["live"]:
            return "expired"
        return f"until {row['expires'][:10]}" if row["expires"] else "live"

    return table(
        ["id", "rights", "state", "last used", "name"],
        [[r["id"], " ".join(r["rights"]), state(r), (r["used"] or "never")[:10], r["name"]] for r in rows],
        "no tokens yet: opskit pypi token create --scope 'upload:*'",
    )
