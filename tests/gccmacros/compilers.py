"""Real compilers for the tests, and small scripts that behave like those that cannot be had here."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from opskit.gccmacros.driver import Driver
from opskit.process import SystemRunner
from tests.programs import need

CROSS = (
    "aarch64-linux-gnu-gcc",
    "arm-linux-gnueabihf-gcc",
    "powerpc64le-linux-gnu-gcc",
    "riscv64-linux-gnu-gcc",
    "s390x-linux-gnu-gcc",
    "mips64el-linux-gnuabi64-gcc",
    "avr-gcc",
)
NATIVE = ("gcc", "g++", "clang", "tcc")


def driver(**options: float) -> Driver:
    return Driver(SystemRunner(own_group=True), **options)  # type: ignore[arg-type]


def need_zig() -> str:
    """The zig of PATH, or the one that the ziglang package brings."""
    try:
        import ziglang
    except ImportError:
        return need("zig")
    return str(Path(ziglang.__file__).with_name("zig"))


def fake(directory: Path, name: str, body: str) -> Path:
    """A compiler in `directory` that is a shell script."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def in_path(directory: Path) -> Mapping[str, str]:
    """The environment in which the compilers of a directory are found first."""
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def counting(directory: Path, real: str) -> Path:
    """A wrapper named gcc that notes each start in `directory/starts` and hands on to a real compiler."""
    return fake(directory, "gcc", f'echo "$@" >> {directory}/starts\nexec {real} "$@"')


def starts(directory: Path) -> list[str]:
    file = directory / "starts"
    return file.read_text().splitlines() if file.exists() else []
