"""The legacy upload API: one pass over the stream, every digest checked, then all or nothing.

The order is: temporary file in the directory's own filesystem, fsync, checks, link under the final name,
database commit, answer. Whatever is killed in between leaves the file out, or in and whole.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opskit.errors import os_reason
from opskit.pypi import check, names
from opskit.pypi.access import Access
from opskit.pypi.answers import (
    App,
    Message,
    Problem,
    Receive,
    Scope,
    Send,
    client,
    header,
    next_piece,
    send_text,
    small_body,
)
from opskit.pypi.audit import Actor
from opskit.pypi.database import state_directory
from opskit.pypi.legacy import ACTOR_HEADER
from opskit.pypi.plan import Settings
from opskit.pypi.rights import Identity
from opskit.pypi.send import drain
from opskit.pypi.store import FileRow, Refused, Store

_FIELDS_LIMIT = 8 * 2**20  # bytes of all form fields together; the description is the largest
_PARTS_LIMIT = 2000
_BLOCK = 512 * 1024  # hashed and written at once, in a thread
_HASHES: dict[str, Callable[[], Any]] = {
    "md5_digest": lambda: hashlib.md5(usedforsecurity=False),
    "sha256_digest": hashlib.sha256,
    "blake2_256_digest": lambda: hashlib.blake2b(digest_size=32),
}


@dataclass
class Spool:
    """The uploaded file while it arrives."""

    path: Path
    descriptor: int
    limit: int
    hashes: dict[str, Any] = field(default_factory=lambda: {name: make() for name, make in _HASHES.items()})
    size: int = 0
    block: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> None:
        """Keep a piece until there is a block of them. Raises Problem 413."""
        self.size += len(data)
        if self.size > self.limit:
            raise Problem(413, f"the file is larger than {self.limit} bytes, which is the limit here")
        self.block += data

    def flush(self) -> None:
        """Hash and write the block. Runs in a thread. Raises OSError."""
        data, self.block = bytes(self.block), bytearray()
        for digest in self.hashes.values():
            digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]


@dataclass
class Form:
    """What the multipart stream brought: fields by name, and at most one file."""

    spool: Spool
    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    complete: bool = False


class _Reader:
    """Callbacks of the multipart parser: fields into memory, the file into the spool, nothing else kept."""

    def __init__(self, boundary: bytes, spool: Spool) -> None:
        from python_multipart.multipart import MultipartParser

        self.form = Form(spool)
        self._budget = _FIELDS_LIMIT
        self._parts = 0
        self._name = ""
        self._filename: str | None = None
        self._header, self._value = bytearray(), bytearray()
        self._text = bytearray()
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin, "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_header_field": self._header_field, "on_header_value": self._header_value,
                "on_header_end": self._header_end, "on_end": self._end,
            },
        )  # fmt: skip

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS_LIMIT:
            raise Problem(400, "too many form fields")
        self._name, self._filename = "", None
        self._text.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                self._filename = options[b"filename"].decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    @property
    def _is_file(self) -> bool:
        return self._name == "content" and self._filename is not None

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.form.spool.take(data[start:end])
            return
        self._budget -= end - start
        if self._budget < 0:
            raise Problem(413, f"the form fields are larger than {_FIELDS_LIMIT} bytes")
        self._text += data[start:end]

    def _part_end(self) -> None:
        if self._is_file:
            if self.form.filename is not None:
                raise Problem(400, "one file per upload")
            self.form.filename = self._filename
        elif self._name and self._filename is None:
            self.form.fields.setdefault(self._name, self._text.decode("utf-8", "replace"))

    def _end(self) -> None:
        self.form.complete = True


def make_app(settings: Settings, store: Store, access: Access, legacy: App) -> App:
    """The upload endpoint. `legacy` answers the actions of old that are no uploads."""

    async def upload(scope: Scope, receive: Receive, send: Send) -> None:
        ended = False

        async def receive_noting() -> Message:
            nonlocal ended
            message = await receive()
            ended = message["type"] != "http.request" or not message.get("more_body")
            return message

        try:
            await _answer(settings, store, access, legacy, scope, receive_noting, send)
        except Problem:
            if not ended:
                await _drain_some(receive)
            raise

    return upload


async def _answer(
    settings: Settings, store: Store, access: Access, legacy: App, scope: Scope, receive: Receive, send: Send
) -> None:
    kind = header(scope, b"content-type") or ""
    identity = await access.identify(
        scope, cookies=False
    )  # a browser must not be made to upload by a foreign page
    if (
        not access.allows(identity, "upload", None)
        and not identity.may_some("upload")
        and not identity.may_some("delete")
    ):
        access.require(identity, "upload", None)
    if kind.startswith("application/x-www-form-urlencoded"):
        await _old_action(access, identity, legacy, scope, receive, send)
        return
    boundary = _boundary(kind)
    _refuse_full(settings, scope)
    incoming = state_directory(store.root) / "incoming"
    with _mapped_disk():
        incoming.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=incoming)
    spool = Spool(Path(name), descriptor, settings.max_upload)
    try:
        with _mapped_disk():
            form = await _receive(boundary, spool, receive)
            if form.filename is None and form.fields.get(":action") in (
                "remove_pkg",
                "verify",
                "submit",
                "doc_upload",
            ):
                await _old_form(access, identity, legacy, form.fields, scope, send)
                return
            said = await asyncio.to_thread(_take_in, store, access, identity, form, client(scope))
    finally:
        os.close(descriptor)
        spool.path.unlink(missing_ok=True)
    await send_text(scope, send, 200, said + "\n")


def _boundary(kind: str) -> bytes:
    from python_multipart.multipart import parse_options_header

    word, options = parse_options_header(kind)
    boundary = options.get(b"boundary", b"")
    if word != b"multipart/form-data" or not 0 < len(boundary) <= 200:
        raise Problem(400, "an upload is a multipart/form-data POST; Missing ':action' field!")
    return boundary


async def _receive(boundary: bytes, spool: Spool, receive: Receive) -> Form:
    """Read the whole body. Raises Problem for a broken form or a sender that went away."""
    from python_multipart.exceptions import FormParserError

    reader = _Reader(boundary, spool)
    try:
        while True:
            message: Message = await next_piece(receive)
            if message["type"] == "http.disconnect":
                raise Problem(400, "the upload was broken off")
            reader.parser.write(message.get("body", b""))
            if len(spool.block) >= _BLOCK:
                await asyncio.to_thread(spool.flush)
            if not message.get("more_body"):
                break
    except FormParserError as error:
        raise Problem(400, f"the form cannot be read: {error}") from error
    if not reader.form.complete:
        raise Problem(400, "the form ends too early")
    await asyncio.to_thread(spool.flush)
    return reader.form


def _take_in(store: Store, access: Access, identity: Identity, form: Form, address: str) -> str:
    """Check a received upload and publish it; what to say. Runs in a thread. Raises Problem, OSError."""
    filename = _checked_form(form)
    parsed = names.parse_filename(filename)
    assert parsed is not None
    access.require(identity, "upload", parsed.project)
    _refuse_status(store, parsed.project)
    known = store.file_named(filename)
    digest = form.spool.hashes["sha256_digest"].hexdigest()
    if known and known.sha256 == digest:
        return f"{filename} is here already"
    os.fsync(form.spool.descriptor)
    inspection = check.inspect(form.spool.path, filename)
    if inspection.errors or inspection.core is None:
        raise Problem(400, f"{filename}: {inspection.errors[0].text}")
    said_name, said_version = form.fields.get("name"), form.fields.get("version")
    if said_name and names.normalize(said_name) != parsed.project:
        raise Problem(400, f"the form says {said_name[:80]}, the file {parsed.project}")
    if said_version and not names.same_version(said_version, parsed.version):
        raise Problem(400, f"the form says version {said_version[:80]}, the file {parsed.version}")
    actor = Actor(identity.name or "anonymous", address)
    return publish(store, form.spool.path, inspection, digest, actor)


def publish(store: Store, source: Path, inspection: check.Inspection, digest: str, actor: Actor) -> str:
    """Put a checked file into the directory and the index. Raises Problem for a name that is taken."""
    parsed, core = inspection.parsed, inspection.core
    assert parsed is not None
    assert core is not None
    target = store.root / parsed.text
    status = source.stat()
    row = FileRow(
        path=parsed.text, filename=parsed.text, project=parsed.project, display=core.name,
        version=parsed.version, kind=parsed.kind, canonical=parsed.canonical, size=status.st_size,
        mtime_ns=status.st_mtime_ns, inode=status.st_ino, sha256=digest, uploaded=time.time_ns() // 1000,
        uploader=actor.who, requires_python=core.requires_python,
        metadata=hashlib.sha256(core.raw).hexdigest() if parsed.kind == "wheel" else None,
        summary=core.summary, problem=None,
    )  # fmt: skip
    source.chmod(0o644)
    try:
        added = store.add(row, core.raw, lambda: _place(source, target, digest), actor)
    except Refused as refused:
        raise Problem(400, str(refused)) from refused
    return f"{parsed.text} is published" if added else f"{parsed.text} is here already"


def _place(source: Path, target: Path, digest: str) -> None:
    """Give the file its name; a link fails where a rename would silently replace."""
    try:
        os.link(source, target)
    except FileExistsError:
        # Dropped in by hand an instant ago, and not yet seen by the scan.
        with target.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Refused(f"File already exists ({target.name}), with other bytes") from None
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _checked_form(form: Form) -> str:
    """The file name, when action, digests and name can be what they say. Raises Problem 400, 410."""
    action = form.fields.get(":action")
    if action is None:
        raise Problem(400, "Missing ':action' field!")
    if action in ("submit", "doc_upload"):
        raise Problem(410, f"'{action}' is gone: upload the files")
    if action != "file_upload":
        raise Problem(400, f"Unsupported ':action' field: {action[:80]}")
    if form.filename is None:
        raise Problem(400, "Missing 'content' file-field!")
    if form.spool.size == 0:
        raise Problem(400, "the file is empty")
    problem = check.name_problem(form.filename)
    if problem:
        raise Problem(400, problem)
    for name, digest in form.spool.hashes.items():
        told = form.fields.get(name, "").strip().lower()
        if told and told != digest.hexdigest():
            raise Problem(400, f"{name} does not match the file: it was changed on its way")
    return form.filename


def _refuse_status(store: Store, project: str) -> None:
    status, reason = store.status(project)
    if status in ("archived", "quarantined"):
        raise Problem(403, f"{project} is {status}{': ' + reason if reason else ''}; it takes no files")


def _refuse_full(settings: Settings, scope: Scope) -> None:
    """Say before the body is sent that it will not fit."""
    length = header(scope, b"content-length")
    if length is None or not length.isdigit():
        return
    if int(length) > settings.max_upload + _FIELDS_LIMIT:
        raise Problem(413, f"the upload is larger than {settings.max_upload} bytes, which is the limit here")
    if int(length) > shutil.disk_usage(settings.directory).free:
        raise Problem(507, "there is no space left for this file on the server")


class _mapped_disk:  # noqa: N801 — reads as a statement: with _mapped_disk():
    """A full or broken disk, as an answer."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            said = (
                "there is no space left on the server"
                if full
                else f"the server cannot store it: {os_reason(error)}"
            )
            raise Problem(507 if full else 500, said) from error


async def _old_action(
    access: Access, identity: Identity, legacy: App, scope: Scope, receive: Receive, send: Send
) -> None:
    """A form without a file, as distutils sent to remove a package."""
    from urllib.parse import parse_qs

    body = await small_body(receive)
    fields = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
    await _old_form(access, identity, legacy, fields, scope, send)


async def _old_form(
    access: Access, identity: Identity, legacy: App, fields: dict[str, str], scope: Scope, send: Send
) -> None:
    """Hand an action to pypiserver's own app, after its rights were checked."""
    from urllib.parse import urlencode

    action = fields.get(":action")
    if action == "remove_pkg":
        access.require(identity, "delete", fields.get("name") or None)
    elif action in ("submit", "doc_upload"):
        raise Problem(410, f"'{action}' is gone: upload the files")
    body = urlencode(fields).encode()
    heads = [
        pair
        for pair in scope["headers"]
        if pair[0] not in (b"content-type", b"content-length", b"transfer-encoding", ACTOR_HEADER)
    ]
    heads += [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"%d" % len(body))]
    heads.append((ACTOR_HEADER, identity.name.encode("latin-1", "replace")))

    async def receive_form() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    await legacy({**scope, "path": "/", "headers": heads}, receive_form, send)


async def _drain_some(receive: Receive) -> None:
    """Read on for a moment: a client that still sends would see a reset instead of the reason."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(drain(receive), timeout=5)
