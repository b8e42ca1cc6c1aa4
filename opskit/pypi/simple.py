"""The Simple API, version 1.4: pages as bytes, in JSON and in HTML. Pure.

JSON is PEP 691 with PEP 700 (sizes, upload times, versions), 714 (core metadata), 592 (yanked), 740
(provenance) and 792 (project status). HTML is PEP 503 with the same facts as attributes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any

API_VERSION = "1.4"
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_V1_TYPE = "application/vnd.pypi.simple.v1+html"
HTML_TYPE = "text/html"


@dataclass(frozen=True)
class File:
    """One file of a project page. `url` may be relative; `size` in bytes; `uploaded` in µs since 1970.

    `metadata` is the sha256 of the core metadata, True when it exists without a known hash, or None.
    `yanked` is None, or the reason, which may be empty.
    """

    filename: str
    version: str
    url: str
    hashes: Mapping[str, str]
    size: int | None = None
    uploaded: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata: str | bool | None = None
    provenance: str | None = None


@dataclass(frozen=True)
class Project:
    """A project page: `hidden` are files that a rule keeps away, with the reason of each."""

    name: str
    files: tuple[File, ...]
    versions: tuple[str, ...]
    status: str = "active"
    reason: str = ""
    hidden: tuple[tuple[str, str], ...] = field(default=())


def upload_time(micros: int) -> str:
    """µs since 1970 as PEP 700 writes it: `2026-11-23T04:00:00.000000Z`."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _file_json(file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"filename": file.filename, "url": file.url, "hashes": dict(file.hashes)}
    if file.size is not None:
        entry["size"] = file.size
    if file.uploaded is not None:
        entry["upload-time"] = upload_time(file.uploaded)
    if file.requires_python:
        entry["requires-python"] = file.requires_python
    entry["yanked"] = False if file.yanked is None else (file.yanked or True)
    if file.metadata is not None:
        known = {"sha256": file.metadata} if isinstance(file.metadata, str) else file.metadata
        entry["core-metadata"] = entry["data-dist-info-metadata"] = known
    if file.provenance:
        entry["provenance"] = file.provenance
    return entry


def project_json(project: Project) -> bytes:
    document: dict[str, Any] = {
        "meta": {"api-version": API_VERSION},
        "name": project.name,
        "versions": list(project.versions),
        "files": [_file_json(file) for file in project.files],
    }
    if project.status != "active":
        document["project-status"] = {"status": project.status} | (
            {"reason": project.reason} if project.reason else {}
        )
    if project.hidden:
        document["_hidden"] = [{"filename": name, "reason": why} for name, why in project.hidden]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _anchor(file: File) -> str:
    digest = next((f"#{name}={value}" for name, value in file.hashes.items() if name == "sha256"), "")
    attributes = [f'href="{escape(file.url + digest)}"']
    if file.requires_python:
        attributes.append(f'data-requires-python="{escape(file.requires_python)}"')
    if file.yanked is not None:
        attributes.append(f'data-yanked="{escape(file.yanked)}"')
    if file.metadata is not None:
        known = f"sha256={file.metadata}" if isinstance(file.metadata, str) else "true"
        attributes += [f'data-core-metadata="{known}"', f'data-dist-info-metadata="{known}"']
    if file.provenance:
        attributes.append(f'data-provenance="{escape(file.provenance)}"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br>"


def project_html(project: Project) -> bytes:
    meta = []
    if project.status != "active":
        meta.append(f'<meta name="pypi:project-status" content="{escape(project.status)}">')
        if project.reason:
            meta.append(f'<meta name="pypi:project-status-reason" content="{escape(project.reason)}">')
    body = [f"<h1>Links for {escape(project.name)}</h1>", *map(_anchor, project.files)]
    body += [f"<p>hidden: {escape(name)}: {escape(why)}</p>" for name, why in project.hidden]
    return _document(f"Links for {escape(project.name)}", meta, body)


def root_json(names: Iterable[str]) -> bytes:
    document = {"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in names]}
    return json.dumps(document, separators=(",", ":")).encode()


def root_html(names: Iterable[str]) -> bytes:
    return _document("Simple index", [], [f'<a href="{name}/">{name}</a><br>' for name in names])


def _document(title: str, meta: list[str], body: list[str]) -> bytes:
    head = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta name="pypi:repository-version" content="{API_VERSION}">',
        *meta,
        f"<title>{title}</title>",
        "</head>",
        "<body>",
    ]
    return "\n".join([*head, *body, "</body>", "</html>", ""]).encode()
