"""What is inside a distribution file, read without unpacking anything and with a bound on every read."""

import re
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import IO

METADATA_LIMIT = 4 * 2**20  # bytes; the longest README in the public index is far below
_PKG_INFO = re.compile(r"[^/]+/PKG-INFO")
_MEMBERS_LIMIT = 200_000


class BadArchive(Exception):
    """The file is not the distribution that its name says; the message says why."""


@dataclass(frozen=True)
class CoreMetadata:
    """The fields of METADATA or PKG-INFO that an index needs; `raw` are its exact bytes."""

    raw: bytes
    name: str
    version: str
    requires_python: str | None
    summary: str


def parse_core(raw: bytes) -> CoreMetadata:
    """Read the headers only. Raises BadArchive when Name or Version is missing."""
    message = HeaderParser().parsestr(raw.decode("utf-8", "replace"))
    name, version = message.get("Name"), message.get("Version")
    if not name or not version:
        raise BadArchive("its metadata has no Name or no Version")
    requires = message.get("Requires-Python")
    return CoreMetadata(
        raw, str(name).strip(), str(version).strip(), str(requires).strip() if requires else None,
        str(message.get("Summary") or "").strip()[:300],
    )  # fmt: skip


def read_core(file: IO[bytes], filename: str) -> CoreMetadata:
    """The core metadata of a wheel or sdist. Raises BadArchive."""
    try:
        if filename.endswith((".whl", ".zip")):
            return parse_core(_from_zip(file, filename))
        return parse_core(_from_tar(file))
    except BadArchive:
        raise
    # A broken archive shows itself in many exceptions of three libraries; none of them is a fault of ours.
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, KeyError,
            RuntimeError, NotImplementedError, OverflowError, struct.error) as error:  # fmt: skip
        raise BadArchive(f"not a readable archive: {error}") from error


def _from_zip(file: IO[bytes], filename: str) -> bytes:
    with zipfile.ZipFile(file) as archive:
        name = _metadata_member(archive.namelist(), filename)
        info = archive.getinfo(name)
        if info.file_size > METADATA_LIMIT:
            raise BadArchive(f"{name} is larger than {METADATA_LIMIT} bytes")
        with archive.open(info) as member:
            raw = member.read(METADATA_LIMIT + 1)
    if len(raw) > METADATA_LIMIT:
        raise BadArchive(f"{name} is larger than it says")
    return raw


def _metadata_member(names: list[str], filename: str) -> str:
    if filename.endswith(".whl"):
        found = [n for n in names if n.endswith(".dist-info/METADATA") and n.count("/") == 1]
    else:
        found = [n for n in names if _PKG_INFO.fullmatch(n)]
    if len(found) != 1:
        wanted = ".dist-info/METADATA" if filename.endswith(".whl") else "PKG-INFO in its top directory"
        raise BadArchive(f"it has {'no' if not found else 'more than one'} {wanted}")
    return found[0]


def _from_tar(file: IO[bytes]) -> bytes:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for number, member in enumerate(archive):
            if number > _MEMBERS_LIMIT:
                raise BadArchive(f"more than {_MEMBERS_LIMIT} members")
            if _PKG_INFO.fullmatch(member.name) and member.isfile():
                if member.size > METADATA_LIMIT:
                    raise BadArchive(f"{member.name} is larger than {METADATA_LIMIT} bytes")
                content = archive.extractfile(member)
                return content.read() if content else b""
    raise BadArchive("it has no PKG-INFO in its top directory")


def core_of(path: Path, filename: str) -> CoreMetadata:
    """The core metadata of a file on disk. Raises BadArchive, OSError."""
    with path.open("rb") as file:
        return read_core(file, filename)
