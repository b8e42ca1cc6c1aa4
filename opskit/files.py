"""Files that appear whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from opskit.errors import Unable, os_reason


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write `path` through a temporary name beside it: on any failure the old file, or none, is there.

    A device such as /dev/stdout or /dev/full is written in place. An existing file keeps its mode.
    Raises Unable when it cannot be written.
    """
    target = Path(path)
    try:
        if target.exists() and (not target.is_file() or target.is_relative_to("/dev")):
            with target.open("wb") as device:
                yield device
            return
        with _beside(target) as file:
            yield file
    except OSError as error:
        raise Unable(f"cannot write {target}: {os_reason(error)}", code="output") from error


def write_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """`whole_file` for text in UTF-8; each line brings its own end."""
    with whole_file(path) as file:
        for line in lines:
            file.write(line.encode())


@contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    target = target.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def require_writable(path: str | os.PathLike[str]) -> None:
    """Refuse before any work is done a path that could not be written afterwards. Raises Unable."""
    target = Path(path)
    try:
        if target.is_dir():
            raise Unable(f"cannot write {target}: it is a directory", hint="give the name of a file")
        parent = target.resolve().parent
        if not parent.is_dir():
            raise Unable(f"cannot write {target}: there is no directory {target.parent}", hint="make it first")
        place = target if target.exists() and not target.is_file() else parent
        if not os.access(place, os.W_OK):
            raise Unable(f"cannot write {target}: Permission denied", hint="choose another place")
        if len(os.fsencode(target.name)) > os.pathconf(parent, "PC_NAME_MAX"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except (OSError, RuntimeError) as error:  # RuntimeError: Path.resolve in a loop of symbolic links
        reason = os_reason(error) if isinstance(error, OSError) else "its symbolic links go in a circle"
        raise Unable(f"cannot write {target}: {reason}", hint="choose another place") from error


def append_text(path: str | os.PathLike[str], text: str) -> None:
    """Add to the end of a file in UTF-8, in one write. Raises Unable."""
    try:
        with Path(path).open("ab") as file:
            file.write(text.encode())
    except OSError as error:
        raise Unable(f"cannot write {path}: {os_reason(error)}", code="output") from error
