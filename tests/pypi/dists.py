"""Distribution files made for tests: right ones, and wrong ones on purpose."""

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def metadata(name: str, version: str, extra: str = "", description: str = "") -> str:
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: the {name} project\n"
    return f"{head}{extra}\n{description}"


def wheel_bytes(
    name: str = "acme-tools",
    version: str = "1.0",
    *,
    files: Mapping[str, bytes] | None = None,
    extra: str = "",
    description: str = "",
    tag: str = "py3-none-any",
    told: tuple[str, str] | None = None,
    record: bool = True,
) -> bytes:
    """A wheel; `told` makes its metadata say another name and version than its .dist-info directory."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    told_name, told_version = told or (name, version)
    members = {
        f"{module}/__init__.py": f"__version__ = {version!r}\n".encode(),
        **(files or {}),
        f"{info}/METADATA": metadata(told_name, told_version, extra, description).encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    if record:
        members[f"{info}/RECORD"] = record_of(members, f"{info}/RECORD")
    return zip_bytes(members)


def record_of(members: Mapping[str, bytes], itself: str) -> bytes:
    rows = [f"{path},sha256={_digest(body)},{len(body)}" for path, body in members.items()]
    return "\n".join([*rows, f"{itself},,", ""]).encode()


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for path, body in members.items():
            file.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), body, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def sdist_bytes(name: str = "acme-tools", version: str = "1.0", *, extra: str = "") -> bytes:
    module = name.replace("-", "_")
    return tar_bytes(
        {
            f"{module}-{version}/PKG-INFO": metadata(name, version, extra).encode(),
            f"{module}-{version}/{module}.py": b"x = 1\n",
        }
    )


def tar_bytes(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for path, body in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(body)
            file.addfile(member, io.BytesIO(body))
    return gzip.compress(out.getvalue(), mtime=0)


def wheel_name(name: str = "acme-tools", version: str = "1.0", tag: str = "py3-none-any") -> str:
    return f"{name.replace('-', '_')}-{version}-{tag}.whl"


def sdist_name(name: str = "acme-tools", version: str = "1.0") -> str:
    return f"{name.replace('-', '_')}-{version}.tar.gz"


def put_wheel(directory: Path, name: str = "acme-tools", version: str = "1.0", **more: object) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / wheel_name(name, version)
    path.write_bytes(wheel_bytes(name, version, **more))  # type: ignore[arg-type]
    return path
