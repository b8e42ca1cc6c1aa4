"""A plan on its way to another machine, with what it names on this one: the files of certificates."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opskit.bench.plan import Plan
from opskit.errors import Misuse, os_reason

_FILES = {"ca_file": "--cacert", "certificate": "-E", "key": "--key"}  # of Tls


@dataclass(frozen=True)
class Shipment:
    """A plan, and the contents of the files that it names."""

    plan: Plan
    files: dict[str, bytes]

    @classmethod
    def of(cls, plan: Plan) -> "Shipment":
        """Raises Misuse for a file that cannot be read."""
        paths = {name: getattr(plan.tls, name) for name in _FILES}
        return cls(plan, {name: _read(path, _FILES[name]) for name, path in paths.items() if path is not None})

    def __repr__(self) -> str:
        return "<a plan>"  # with passwords and keys in it

    @contextmanager
    def unpacked(self) -> Iterator[Plan]:
        """The plan with files of this machine, for as long as it takes to read them."""
        with tempfile.TemporaryDirectory(prefix="opskit-") as directory:
            paths: dict[str, Any] = {
                name: _write(Path(directory, name), content) for name, content in self.files.items()
            }
            yield replace(self.plan, tls=replace(self.plan.tls, **paths))


def _read(path: str, option: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misuse(f"{option} {path}: {os_reason(error)}", hint="name a PEM file that can be read") from error


def _write(path: Path, content: bytes) -> str:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)
