"""The host as the room sees it: programs, files and devices. Simulated hosts implement the same protocol."""

import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from opskit.errors import Unable, os_reason
from opskit.files import whole_file
from opskit.process import Finished, SystemRunner

SAFE_PATH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"
MIB = 1 << 20


class Machine(Protocol):
    """What planning and doing need of a host. Paths are absolute."""

    def run(self, argv: Sequence[str]) -> Finished:
        """Run a program to its end. Raises Unable when it is missing."""

    def has(self, program: str) -> bool: ...
    def read(self, path: str) -> str | None:
        """The text of a file, or None where there is none."""

    def replace(self, path: str, text: str) -> None:
        """Put a file there whole, keeping its mode and owner, making its directory."""

    def remove(self, path: str) -> None: ...
    def resolve(self, path: str) -> str:
        """The path behind all links; the path itself where nothing is."""

    def exists(self, path: str) -> bool: ...
    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; none where it is missing."""

    def ends(self, device: str, size: int) -> bytes:
        """The first and the last MiB of a device. Raises Unable."""

    def put_ends(self, device: str, size: int, ends: bytes) -> None:
        """Write what `ends` gave back to where it was, and flush it."""

    def is_root(self) -> bool: ...
    def sleep(self, seconds: float) -> None: ...


class ThisMachine:
    """The real host. Children get absolute paths, an environment of two words, and a process group of their own,
    so that Ctrl-C reaches opskit and not a half-done `zpool attach`."""

    def __init__(self) -> None:
        # NOINUSE_CHECK in the environment would switch off illumos's own device checks.
        self.runner = SystemRunner({"PATH": SAFE_PATH, "LC_ALL": "C"}, inherit=False, own_group=True)

    def run(self, argv: Sequence[str]) -> Finished:
        program = self._find(argv[0])
        if program is None:
            raise Unable(f"{argv[0]}: no such program", hint="install it first", code="missing_program")
        return self.runner.run([program, *argv[1:]])

    def has(self, program: str) -> bool:
        return self._find(program) is not None

    @staticmethod
    def _find(program: str) -> str | None:
        return shutil.which(program, path=SAFE_PATH)

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unable(f"cannot read {path}: {os_reason(error)}", code="unreadable") from error

    def replace(self, path: str, text: str) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.stat() if target.exists() else None
        with whole_file(target) as file:
            file.write(text.encode(errors="surrogateescape"))
        if before:
            os.chown(target, before.st_uid, before.st_gid)

    def remove(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)
        if path.endswith(".conf"):
            with suppress(OSError):  # a drop-in's directory was made for it; another's drop-in keeps it
                Path(path).parent.rmdir()

    def resolve(self, path: str) -> str:
        return str(Path(path).resolve())

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def names(self, directory: str) -> list[str]:
        try:
            return sorted(entry.name for entry in Path(directory).iterdir())
        except OSError:
            return []

    def ends(self, device: str, size: int) -> bytes:
        try:
            with Path(device).open("rb") as file:
                head = file.read(MIB)
                file.seek(max(size - MIB, 0))
                return head + file.read(MIB)
        except OSError as error:
            raise Unable(f"cannot read {device}: {os_reason(error)}", code="unreadable") from error

    def put_ends(self, device: str, size: int, ends: bytes) -> None:
        try:
            with Path(device).open("r+b", buffering=0) as file:
                file.write(ends[:MIB])
                file.seek(max(size - MIB, 0))
                file.write(ends[MIB:])
                os.fsync(file.fileno())
        except OSError as error:
            raise Unable(f"cannot write {device}: {os_reason(error)}") from error

    def is_root(self) -> bool:
        return os.geteuid() == 0

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def digest(ends: bytes) -> str:
    return hashlib.sha256(ends).hexdigest()
