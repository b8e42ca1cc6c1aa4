"""The compilers of this machine: names in PATH, and what each says about itself."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.errors import OpskitError
from opskit.gccmacros.driver import Driver, printable
from opskit.gccmacros.families import CLANG, GCC, INTEL, TCC, VERSION_SUFFIX, ZIG
from opskit.gccmacros.spec import parse_spec
from opskit.process import side_by_side

COMPILER_NAME = re.compile(
    rf"(?:[\w.]+(?:-[\w.]+)*-)?(?:gcc|g\+\+|clang|clang\+\+|tcc){VERSION_SUFFIX}|cc|c\+\+|c89|c99|(?:.+-)?[\w]*86.*-cc|"
    r"icx|icpx|icc|icpc|suncc|sunCC|zig|cl|emcc|em\+\+|nvcc|sdcc|musl-gcc|chibicc|cproc|lcc|wcc386"
)


@dataclass(frozen=True)
class Found:
    """A compiler: its path, the other names it goes by, what it says of itself."""

    path: str
    names: tuple[str, ...]
    family: str
    version: str
    target: str
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "names": list(self.names),
            "family": self.family,
            "version": self.version,
            "target": self.target,
            "error": self.error or None,
        }


def compilers_in_path(path: str | None = None) -> list[str]:
    """The names in PATH that look like compilers, each once, in order of the alphabet."""
    return sorted({name for name, _ in _entries(path)})


def _entries(path: str | None) -> list[tuple[str, Path]]:
    entries = []
    for directory in dict.fromkeys((path or os.environ.get("PATH", os.defpath)).split(os.pathsep)):
        try:
            listing = sorted(file.name for file in Path(directory or ".").iterdir())
        except OSError:
            continue
        found = (Path(directory, name) for name in listing if COMPILER_NAME.fullmatch(name))
        entries += [(file.name, file) for file in found if file.is_file() and os.access(file, os.X_OK)]
    return entries


def find_compilers(driver: Driver, *, workers: int) -> tuple[Found, ...]:
    """Every compiler in PATH, asked once; names of the same program are told together."""
    programs: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name, file in _entries(None):
        if name not in seen:
            seen.add(name)
            programs.setdefault(str(file.resolve()), []).append(name)
    return tuple(
        side_by_side(
            lambda item: _ask(driver, *item), list(programs.items()), workers=workers, stop=driver.runner.stop
        )
    )


def _ask(driver: Driver, path: str, names: Sequence[str]) -> Found:
    name = min(names, key=lambda n: (n.count("-"), len(n)))
    others = tuple(sorted(other for other in names if other != name))
    spec = parse_spec(f"{name} cc" if name == "zig" else name)
    question = "-v" if spec.family in (GCC, CLANG, ZIG, TCC, INTEL) else "--version"
    try:
        done = driver.attempt(spec, (*spec.words, question))
    except OpskitError as error:
        return Found(path, (name, *others), spec.family.name, "", "", error.message)
    said = printable(done.text + "\n" + done.error_text)
    target = re.search(r"^Target: (\S+)", said, re.MULTILINE) or re.search(r"version [\d.]+ \(([^)]+)\)", said)
    version = re.search(r"(?:version|Version) ([\d.]+\w*)", said) or re.search(r"(\d+\.\d+[\w.]*)", said)
    family = "clang" if "clang version" in said and spec.family.name == "gcc" else spec.family.name
    problem = "" if version else f"it does not tell its version (exit status {done.code})"
    return Found(
        path, (name, *others), family, version[1] if version else "", target[1] if target else "", problem
    )
