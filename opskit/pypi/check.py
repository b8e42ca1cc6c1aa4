"""What is wrong with a distribution file: what an upload refuses, what a careful person would not do.

Nothing is unpacked to disk and every read is bounded. Errors stop an upload; warnings do not.
"""

import base64
import csv
import hashlib
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath

from packaging.utils import parse_wheel_filename

from opskit.pypi import archive, names
from opskit.pypi.archive import BadArchive, CoreMetadata

_BOMB_RATIO = 50
_BOMB_FROM = 64 * 2**20  # bytes unpacked from which the ratio counts
_MEMBERS_LIMIT = 200_000
_DIRECTORY_LIMIT = 16 * 2**20  # bytes
_TAIL = 22 + 2**16 + 76  # the end record with its longest comment, and the two of zip64 before it
_IN_ZIP64 = 0xFFFFFFFF
_RECORD_LIMIT = 8 * 2**20  # bytes; read into rows, which take ten times as much
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_SECRET_NAMES = {
    ".pypirc",
    ".netrc",
    ".env",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    ".htpasswd",
    "credentials.json",
}
_SECRET_PARTS = {".git", ".ssh", ".aws"}
_SECRET_SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".keystore")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PRIVATE_CLASSIFIER = "private ::"


@dataclass(frozen=True)
class Finding:
    """One thing about a file; `level` is error or warning, `code` a stable word."""

    level: str
    code: str
    text: str

    def to_dict(self) -> dict[str, str]:
        return {"level": self.level, "code": self.code, "text": self.text}


@dataclass(frozen=True)
class Inspection:
    """A file, what its name and its metadata say, and what was found."""

    filename: str
    parsed: names.FileName | None
    core: CoreMetadata | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]


def inspect(path: Path, filename: str) -> Inspection:
    """Look at a file on disk under the name that it is to have. Raises OSError only."""
    problem = name_problem(filename)
    if problem:
        return Inspection(filename, None, None, (Finding("error", "filename", problem),))
    parsed = names.parse_filename(filename)
    assert parsed is not None  # name_problem would have said so
    findings: list[Finding] = []
    core = None
    try:
        looks = _wheel(path, parsed) if parsed.kind == "wheel" else _sdist(path, filename)
        findings += looks
        if not any(f.level == "error" for f in findings):
            core = archive.core_of(path, filename)
            findings += _metadata(parsed, core)
    except BadArchive as error:
        findings.append(Finding("error", "archive", str(error)))
    # As in archive.read_core: broken archives raise what three libraries have.
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError, KeyError, RuntimeError,
            NotImplementedError, OverflowError, struct.error, csv.Error) as error:  # fmt: skip
        findings.append(Finding("error", "archive", f"not a readable archive: {error}"))
    return Inspection(filename, parsed, core, tuple(findings))


def name_problem(filename: str) -> str:
    """Why a file cannot have this name, or nothing."""
    shown = filename[:80].encode("ascii", "backslashreplace").decode()
    if not names.is_safe_filename(filename):
        return f"'{shown}' is not a file name for a distribution: letters, digits and . _ - + ! only"
    if not filename.endswith((".whl", ".tar.gz", ".zip")):
        return f"'{shown}' is neither a wheel (.whl) nor a source distribution (.tar.gz, .zip)"
    if names.parse_filename(filename) is None:
        return f"'{shown}' does not say a project and a version as the specification wants"
    return ""


def _metadata(parsed: names.FileName, core: CoreMetadata) -> Iterator[Finding]:
    if not names.is_project_name(core.name):
        yield Finding("error", "metadata-name", f"its metadata has Name {core.name!r}, which is no project name")
    elif names.normalize(core.name) != parsed.project:
        yield Finding("error", "metadata-name", f"its metadata says {core.name}, its file name {parsed.project}")
    if not names.same_version(core.version, parsed.version):
        yield Finding(
            "error", "metadata-version", f"its metadata says {core.version}, its file name {parsed.version}"
        )
    message = BytesHeaderParser().parsebytes(core.raw)
    for classifier in message.get_all("Classifier", []):
        if str(classifier).strip().lower().startswith(_PRIVATE_CLASSIFIER):
            yield Finding("warning", "private", f"it says '{classifier}': keep it off public indexes")


# Zip archives


def _refuse_directory(path: Path) -> None:
    """A zip's directory is read into memory whole, at ten times its size, before anything can be counted."""
    with path.open("rb") as file:
        tail_at = max(0, path.stat().st_size - _TAIL)
        file.seek(tail_at)
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise BadArchive("not a readable archive: it has no directory at its end")
    size, start = struct.unpack("<LL", tail[at + 12 : at + 20])
    if start == _IN_ZIP64 or size == _IN_ZIP64:  # APPNOTE 4.3.14: the real size is in the record before it
        record = tail.rfind(b"PK\x06\x06", 0, at)
        if record < 0 or len(tail) < record + 48:
            raise BadArchive("not a readable archive: its directory cannot be found")
        size = struct.unpack("<Q", tail[record + 40 : record + 48])[0]
    if size > _DIRECTORY_LIMIT:
        raise BadArchive(f"its directory is larger than {_DIRECTORY_LIMIT} bytes")


def _zip_findings(path: Path, file: zipfile.ZipFile) -> Iterator[Finding]:
    infos = file.infolist()
    if len(infos) > _MEMBERS_LIMIT:
        raise BadArchive(f"more than {_MEMBERS_LIMIT} members")
    _refuse_framing(path, infos)
    repeated = [name for name, count in Counter(info.filename for info in infos).items() if count > 1]
    if repeated:
        raise BadArchive(f"{repeated[0]} is in it twice")
    for info in infos:
        _refuse_member_name(info.filename)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadArchive(f"{info.filename} is compressed in a way that installers cannot read")
        if info.flag_bits & 0x1:
            raise BadArchive(f"{info.filename} is encrypted")
    _refuse_bomb(sum(info.file_size for info in infos), path.stat().st_size)
    yield from _secrets([info.filename for info in infos])


def _refuse_framing(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Every tool must see the same members: nothing before, between or after what the directory lists."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise BadArchive("it does not begin with a zip member")
        end = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise BadArchive(f"{info.filename} overlaps the member before it")
            file.seek(info.header_offset)
            head = file.read(30)
            if len(head) < 30 or head[:4] != b"PK\x03\x04":
                raise BadArchive(f"{info.filename} has no local header")
            name_length, extra_length = struct.unpack("<HH", head[26:30])
            name = file.read(name_length)
            encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
            if name.decode(encoding, "replace") != info.orig_filename:
                raise BadArchive(f"{info.filename} has another name in its local header")
            end = info.header_offset + 30 + name_length + extra_length + info.compress_size
        file.seek(257)
        if file.read(5) == b"ustar":
            raise BadArchive("it is a tar archive as well")


def _refuse_member_name(name: str) -> None:
    shown = name.encode("ascii", "backslashreplace").decode()[:80]
    if (
        not name
        or name.startswith("/")
        or "\\" in name
        or ":" in name.split("/", maxsplit=1)[0]
        or ".." in name.split("/")
    ):
        raise BadArchive(f"'{shown}' would leave the directory that it is unpacked to")
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise BadArchive(f"'{shown}' has a control character in its name")


def _refuse_bomb(unpacked: int, packed: int) -> None:
    if unpacked > _BOMB_FROM and unpacked > _BOMB_RATIO * packed:
        raise BadArchive(f"it unpacks to {unpacked} bytes from {packed}: a decompression bomb")


def _secrets(members: list[str]) -> Iterator[Finding]:
    for name in members:
        path = PurePosixPath(name)
        if path.name in _SECRET_NAMES or _SECRET_PARTS & set(path.parts[:-1]):
            yield Finding("warning", "secret", f"{name} looks like something that should stay at home")


# Wheels


def _wheel(path: Path, parsed: names.FileName) -> list[Finding]:
    _refuse_directory(path)
    with zipfile.ZipFile(path) as file:
        findings = list(_zip_findings(path, file))
        info = _dist_info(file, parsed)
        for needed in ("METADATA", "WHEEL", "RECORD"):
            if f"{info}/{needed}" not in file.NameToInfo:
                raise BadArchive(f"it has no {info}/{needed}")
        findings += _tags(file, info, parsed)
        findings += _record(file, info)
    return findings


def _dist_info(file: zipfile.ZipFile, parsed: names.FileName) -> str:
    found = sorted({n.split("/")[0] for n in file.namelist() if n.split("/")[0].endswith(".dist-info")})
    if len(found) != 1:
        raise BadArchive(f"it has {'no' if not found else 'more than one'} .dist-info directory")
    name, _, version = found[0].removesuffix(".dist-info").partition("-")
    if names.normalize(name) != parsed.project or not names.same_version(version, parsed.version):
        raise BadArchive(f"its {found[0]} is not of {parsed.project} {parsed.version}")
    return found[0]


def _tags(file: zipfile.ZipFile, info: str, parsed: names.FileName) -> Iterator[Finding]:
    """The tags in WHEEL against those of the name, and both against what is inside."""
    with file.open(f"{info}/WHEEL") as member:
        wheel = BytesHeaderParser().parsebytes(member.read(2**16))
    named = {str(tag) for tag in parse_wheel_filename(parsed.text)[3]}
    told = {str(tag).strip() for tag in wheel.get_all("Tag", [])}
    if told and not told & named:
        yield Finding("error", "tags", f"its WHEEL says {', '.join(sorted(told))}, its file name another")
    elif told and told != named:
        yield Finding("warning", "tags", "its WHEEL and its file name name different tags")
    compiled = next((n for n in file.namelist() if n.endswith(_COMPILED)), None)
    if compiled and all(tag.endswith("-none-any") for tag in named):
        yield Finding("warning", "tags", f"it says that it runs anywhere, and has {compiled}")


def _record(file: zipfile.ZipFile, info: str) -> Iterator[Finding]:
    """Every member listed with its right digest and size, and nothing listed that is not there."""
    if file.getinfo(f"{info}/RECORD").file_size > _RECORD_LIMIT:
        raise BadArchive("its RECORD is larger than 8 MiB")
    text = io.TextIOWrapper(file.open(f"{info}/RECORD"), "utf-8", newline="")
    listed = {row[0]: row for row in csv.reader(text) if row}
    unlisted = {f"{info}/RECORD", f"{info}/RECORD.jws", f"{info}/RECORD.p7s"}
    members = {name for name in file.namelist() if not name.endswith("/")}
    for name in sorted(members - set(listed) - unlisted)[:3]:
        yield Finding("error", "record", f"its RECORD does not list {name}")
    for name in sorted(set(listed) - members)[:3]:
        yield Finding("error", "record", f"its RECORD lists {name}, which is not in it")
    for name in sorted(members & set(listed) - unlisted):
        yield from _recorded(file, name, listed[name])


def _recorded(file: zipfile.ZipFile, name: str, row: list[str]) -> Iterator[Finding]:
    algorithm, _, expected = (row[1] if len(row) > 1 else "").partition("=")
    if algorithm not in ("sha256", "sha384", "sha512"):
        yield Finding("error", "record", f"its RECORD has no digest of {name} that may be used")
        return
    digest, size, start = hashlib.new(algorithm), 0, b""
    with file.open(name) as member:
        while chunk := member.read(2**18):
            start = start or chunk[:4096]
            digest.update(chunk)
            size += len(chunk)
    if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != expected.rstrip("="):
        yield Finding("error", "record", f"{name} is not what its RECORD says")
    elif len(row) > 2 and row[2].isdigit() and int(row[2]) != size:
        yield Finding("error", "record", f"{name} is not as long as its RECORD says")
    if name.endswith(_SECRET_SUFFIXES) and _PRIVATE_KEY.search(start):
        yield Finding("warning", "secret", f"{name} holds a private key")


# Source distributions


def _sdist(path: Path, filename: str) -> list[Finding]:
    if filename.endswith(".zip"):
        _refuse_directory(path)
        with zipfile.ZipFile(path) as file:
            findings = list(_zip_findings(path, file))
            _refuse_many_tops(file.namelist())
        return findings
    members: list[str] = []
    unpacked, packed = 0, path.stat().st_size
    with tarfile.open(path, "r|gz") as tar:
        for member in tar:
            _refuse_tar_member(member)
            members.append(member.name)
            unpacked += max(member.size, 0)
            _refuse_bomb(unpacked, packed)
            if len(members) > _MEMBERS_LIMIT:
                raise BadArchive(f"more than {_MEMBERS_LIMIT} members")
    _refuse_many_tops(members)
    return list(_secrets(members))


def _refuse_many_tops(members: list[str]) -> None:
    tops = {name.removeprefix("./").split("/")[0] for name in members} - {"", "."}
    if len(tops) != 1:
        raise BadArchive("a source distribution has exactly one directory at its top")


def _refuse_tar_member(member: tarfile.TarInfo) -> None:
    _refuse_member_name(member.name)
    if member.issparse():
        raise BadArchive(f"{member.name} is a sparse file")
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise BadArchive(f"{member.name} is a device or the like")
    if member.issym() or member.islnk():
        base = PurePosixPath(member.name).parent if member.issym() else PurePosixPath()
        depth = 0
        for part in (base / member.linkname).parts:
            depth += -1 if part == ".." else part != "."
            if depth < 0 or member.linkname.startswith("/"):
                raise BadArchive(f"{member.name} links to a place outside of it")
