"""What the administrative commands do, on the same directory while a server runs on it."""

import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opskit import console, http
from opskit.errors import Misuse, OpskitError, StoppedPartWay, Unable, os_reason
from opskit.outcome import ErrorNote, ExitCode, Outcome
from opskit.pypi import audit, names, report, tokens
from opskit.pypi import check as checks
from opskit.pypi.answers import Problem
from opskit.pypi.audit import Actor
from opskit.pypi.database import state_directory
from opskit.pypi.plan import Settings, refuse_bad_upstreams, refuse_exposed
from opskit.pypi.rights import EVERYTHING, parse_right
from opskit.pypi.scan import Scanner
from opskit.pypi.store import FileRow, Store
from opskit.pypi.upload import publish
from opskit.units import parse_duration

STATUSES = ("active", "archived", "quarantined", "deprecated")
_FIRST_TOKEN = "first"  # noqa: S105 — the name of a token, not one


def _outcome(
    command: str,
    data: dict[str, Any],
    render: Any,
    exit_code: int = ExitCode.OK,
    errors: tuple[ErrorNote, ...] = (),
) -> Outcome:
    return Outcome("pypi", f"pypi-{command}/1", data, render, exit_code, errors)


def _actor() -> Actor:
    """Whoever runs the command, by the name of the operating system."""
    import getpass

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Actor(name, "command line")


@contextmanager
def opened(directory: Path, *, make: bool = False) -> Iterator[Store]:
    """The store of a directory, in step with what lies in it. Raises Misuse, Unable."""
    root = directory.expanduser().absolute()
    if not root.is_dir() and not make:
        raise Misuse(
            f"there is no directory {directory}",
            hint="say which with --dir or OPSKIT_PYPI_DIR",
            code="no_directory",
        )
    prepare_directory(root)
    store = Store(root)
    try:
        with store.scanning() as mine:
            if mine:  # else a server does it
                live = console.LiveLine()
                Scanner(store, lambda done: live.update(f"reading {done} files")).full()
                live.clear()
        yield store
    except sqlite3.Error as error:
        raise Unable(f"the index of {directory} cannot be used: {error}") from error
    finally:
        store.close()


def prepare_directory(root: Path) -> None:
    """Make the directory, and see that it can hold an index. Raises Unable."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unable(f"cannot make {root}: {os_reason(error)}", hint="choose another directory") from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise Unable(f"cannot write to {root}", hint="the index keeps its database in it, even to only read")


# serve


def serve(settings: Settings, *, insecure: bool) -> None:
    """Start the server and say how to use it. Raises Misuse, Unable."""
    from dataclasses import replace

    from opskit.pypi import server
    from opskit.pypi.passwords import Passwords

    refuse_bad_upstreams(settings.upstream)
    prepare_directory(settings.directory)
    if settings.passwords is not None:
        Passwords(settings.passwords)  # refused now, not in a worker
    store = Store(settings.directory)
    has_users = settings.passwords is not None or any(
        token.name != _FIRST_TOKEN and token.is_live(tokens.now()) for token in tokens.every(store.db)
    )
    refuse_exposed(settings, has_users=has_users, insecure=insecure)
    listener = server.listen(settings)
    settings = replace(settings, port=listener.getsockname()[1])
    first = None
    if settings.passwords is None and not settings.open_to_all and not tokens.every(store.db):
        first = tokens.create(store.db, _FIRST_TOKEN, EVERYTHING, None, _actor())
    projects, files = store.counts()
    store.close()
    for line in report.serving(settings, first, projects, files):
        console.talk(line)
    server.serve(settings, listener)


# Files


def add(store: Store, files: list[Path]) -> Outcome:
    """Check and publish files; those that are refused leave the others alone."""
    done: list[dict[str, str]] = []
    notes: list[ErrorNote] = []
    for path in files:
        try:
            done.append({"file": path.name, "result": _add_one(store, path)})
        except OpskitError as error:
            notes.append(error.note())
    code = ExitCode.OK if not notes else ExitCode.PARTIAL if done else ExitCode.USAGE
    return _outcome("add", {"files": done}, report.lines([entry["result"] for entry in done]), code, tuple(notes))


def _add_one(store: Store, path: Path) -> str:
    _require_file(path)
    inspection = checks.inspect(path, path.name)
    if inspection.errors:
        raise Misuse(
            f"{path}: {inspection.errors[0].text}", hint="nothing of this file was published", code="refused"
        )
    for finding in inspection.findings:
        console.warn(f"{path.name}: {finding.text}")
    incoming = state_directory(store.root) / "incoming"
    incoming.mkdir(exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=incoming)
    copy = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target, path.open("rb") as source:
            shutil.copyfileobj(source, target, 2**20)
            target.flush()
            os.fsync(target.fileno())
        with copy.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return publish(store, copy, inspection, digest, _actor())
    except Problem as problem:
        raise Misuse(f"{path}: {problem.reason}", code="refused") from problem
    except OSError as error:
        raise Unable(f"cannot store {path.name}: {os_reason(error)}") from error
    finally:
        copy.unlink(missing_ok=True)


def _require_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise Misuse(f"{path} is empty", code="refused")
    except OSError as error:
        raise Misuse(f"cannot read {path}: {os_reason(error)}", code="refused") from error


def listing(store: Store, name: str | None) -> Outcome:
    if name is None:
        rows = [{"name": row.name, "version": row.version, "summary": row.summary} for row in store.project_list()]
        return _outcome("list", {"projects": rows}, report.projects(rows))
    files = _files(store, name)
    yanked = store.yanked(names.normalize(name))
    status, reason = store.status(names.normalize(name))
    rows_ = [_file_dict(row, yanked.get(row.version)) for row in files]
    data = {"project": names.normalize(name), "status": status, "reason": reason, "files": rows_}
    return _outcome("list", data, report.files(data))


def _file_dict(row: FileRow, yanked: str | None) -> dict[str, Any]:
    return {
        "filename": row.filename, "version": row.version, "kind": row.kind, "size": row.size,
        "sha256": row.sha256, "uploaded": _when(row.uploaded), "uploader": row.uploader,
        "yanked": yanked, "problem": row.problem,
    }  # fmt: skip


def _files(store: Store, name: str, version: str | None = None) -> list[FileRow]:
    """The files of a project that must exist. Raises Misuse."""
    project = names.normalize(name)
    found = store.files(project)
    if not found:
        close = _suggestion(project, store.projects())
        raise Misuse(
            f"there is no project {name} here", hint=close or "opskit pypi list shows them", code="no_project"
        )
    if version is None:
        return found
    chosen = store.files(project, version)
    if not chosen:
        have = sorted({row.version for row in found}, key=names.version_key)
        raise Misuse(
            f"{project} has no version {version}", hint=f"it has {', '.join(have[-8:])}", code="no_version"
        )
    return chosen


def _suggestion(project: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(project, known, 1)
    return f"did you mean {close[0]}?" if close else ""


def yank(store: Store, name: str, version: str, reason: str | None) -> Outcome:
    _files(store, name, version)
    count = store.yank(names.normalize(name), version, reason, _actor())
    done = "yanked" if reason is not None else "no longer yanked"
    said = f"{names.normalize(name)} {version} is {done} ({count} file{'s' if count != 1 else ''})"
    return _outcome(
        "yank", {"project": names.normalize(name), "version": version, "files": count}, report.lines([said])
    )


def delete(store: Store, name: str, version: str, *, ask: bool) -> Outcome:
    files = _files(store, name, version)
    if ask:
        _confirm(files)
    try:
        store.delete(files, _actor())
    except OSError as error:
        raise StoppedPartWay(f"not every file could be removed: {os_reason(error)}") from error
    said = [f"deleted {row.path}" for row in files]
    return _outcome("delete", {"deleted": [row.path for row in files]}, report.lines(said))


def _confirm(files: list[FileRow]) -> None:
    """Show what would go and ask on the terminal. Raises Misuse without one, or for no."""
    for row in files:
        console.talk(f"would delete {row.path}")
    if not sys.stdin.isatty():
        raise Misuse(
            "deleting asks first, and there is no terminal to ask on", hint="say --yes", code="not_confirmed"
        )
    console.talk(f"type {files[0].project} to delete {len(files)} file{'s' if len(files) != 1 else ''} for good:")
    if sys.stdin.readline().strip() != files[0].project:
        raise Misuse("not confirmed: nothing was deleted", code="not_confirmed")


def set_status(store: Store, name: str, status: str, reason: str) -> Outcome:
    if status not in STATUSES:
        raise Misuse(f"'{status}' is not a status", hint=f"one of: {', '.join(STATUSES)}")
    _files(store, name)
    store.set_status(names.normalize(name), status, reason, _actor())
    said = f"{names.normalize(name)} is {status}"
    return _outcome("status", {"project": names.normalize(name), "status": status}, report.lines([said]))


def check(files: list[Path], *, upstream: str | None, strict: bool, as_json: bool) -> Outcome:
    """What an upload would say about files, and what a careful person would."""
    results = []
    for path in files:
        _require_readable(path)
        inspection = checks.inspect(path, path.name)
        findings = list(inspection.findings)
        if upstream and inspection.parsed and _exists_upstream(upstream, inspection.parsed.project):
            findings.append(
                checks.Finding(
                    "warning",
                    "name-upstream",
                    f"{inspection.parsed.project} exists at {http.host(upstream)} too",
                )
            )
        results.append({"file": str(path), "findings": [finding.to_dict() for finding in findings]})
    levels = {finding["level"] for result in results for finding in result["findings"]}  # type: ignore[index]
    bad = "error" in levels or (strict and bool(levels))
    data = {"files": results}
    return Outcome(
        "pypi",
        "pypi-check/1",
        data,
        report.findings(results),
        ExitCode.BAD if bad else ExitCode.OK,
        (),
        as_json,
    )


def _require_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise Misuse(f"cannot read {path}: {os_reason(error)}") from error


def _exists_upstream(upstream: str, project: str) -> bool:
    url = f"{upstream.rstrip('/')}/{project}/"
    with http.mapped_errors(url), http.client() as client:
        return client.get(url, follow_redirects=True).status_code == 200


def log(store: Store, last: int | None) -> Outcome:
    entries = audit.entries(store.db, last)
    broken = audit.first_broken(store.db)
    rows = [
        {"id": e.id, "at": _when(e.at), "who": e.who, "from": e.origin, "what": e.what, "subject": e.subject,
         "detail": e.detail}
        for e in entries
    ]  # fmt: skip
    if broken is None:
        return _outcome("log", {"entries": rows, "broken_at": None}, report.log(rows))
    note = ErrorNote(
        "broken_chain", f"entry {broken} or one before it was changed by hand", "restore it from a backup"
    )
    return _outcome("log", {"entries": rows, "broken_at": broken}, report.log(rows), ExitCode.BAD, (note,))


# Tokens


def token_create(store: Store, scopes: list[str], expires: str | None, name: str) -> Outcome:
    if not scopes:
        raise Misuse("a token needs a scope", hint="for example --scope 'upload:acme-*', or --scope all")
    rights = tuple(map(parse_right, scopes))
    life = parse_duration(expires) if expires else None
    if life is not None and life <= 0:
        raise Misuse(f"'{expires}' is no life for a token", hint="write for example 90d")
    token = tokens.create(store.db, name, rights, life, _actor())
    return _outcome("token-create", {}, report.lines([token]))


def token_list(store: Store) -> Outcome:
    rows = [
        {
            "id": t.id, "name": t.name, "rights": list(map(str, t.rights)), "created": _when(t.created),
            "expires": _when(t.expires), "used": _when(t.used), "revoked": _when(t.revoked),
            "live": t.is_live(tokens.now()),
        }
        for t in tokens.every(store.db)
    ]  # fmt: skip
    return _outcome("token-list", {"tokens": rows}, report.token_table(rows))


def token_revoke(store: Store, identifier: str) -> Outcome:
    wanted = identifier.removeprefix(tokens.PREFIX).partition("_")[0]
    if not tokens.revoke(store.db, wanted, _actor()):
        raise Misuse(f"there is no live token {wanted}", hint="opskit pypi token list shows them", code="no_token")
    return _outcome("token-revoke", {"id": wanted}, report.lines([f"token {wanted} is revoked"]))


def _when(micros: int | None) -> str | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
