"""`where`: one run that prints every define and undef in order, and a search for headers that may help."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from opskit.errors import Misuse
from opskit.gccmacros.driver import CompilerFailed, Driver, printable
from opskit.gccmacros.origins import Event, read_events
from opskit.gccmacros.spec import Spec

MOST_FILES = 20_000
DEEPEST = 2  # directories below an include directory


@dataclass(frozen=True)
class Trace:
    """What happened to one name. `dynamic`: defined in the end, although nothing defined it."""

    events: tuple[Event, ...]
    dynamic: bool
    warnings: tuple[str, ...]

    @property
    def found(self) -> bool:
        return bool(self.events) or self.dynamic


def trace(driver: Driver, spec: Spec, name: str, headers: Sequence[str]) -> Trace:
    """Every define and undef of `name`, from one start. Raises Misuse, NoCompiler, CompilerFailed."""
    if not spec.family.traces:
        raise CompilerFailed(
            f"{spec.label} cannot tell where its macros come from",
            hint="gcc, clang, zig, icx and tcc can",
            code="no_trace",
        )
    source = "".join(f"#include {quoted(header)}\n" for header in headers)
    done = driver.ask(spec, spec.stdin_argv("-dD"), f"{source}#ifdef {name}\nopskit_is_defined\n#endif\n".encode())
    events = tuple(event for event in read_events(done.text) if event.name == name)
    defined = bool(re.search(r"^opskit_is_defined$", done.text, re.MULTILINE))
    return Trace(events, defined and not events, driver.warnings(spec, done))


def quoted(header: str) -> str:
    """A header as `#include` wants it: a path in quotes, any other name in angles."""
    if not header or re.search(r"[\x00-\x1f\"<>]", header):
        raise Misuse(f"'{printable(header)}' is not a header", hint="write --header stdio.h or --header ./mine.h")
    return f'"{header}"' if header.startswith((".", "/")) or Path(header).is_file() else f"<{header}>"


def headers_defining(driver: Driver, spec: Spec, name: str) -> list[str]:
    """Headers in the compiler's include directories that have a `#define` of the name: guesses to try."""
    done = driver.attempt(spec, spec.stdin_argv("-v"), b"\n")
    listed = re.search(r"search starts here:\n(.*?)End of search list", printable(done.error_text), re.DOTALL)
    rows = listed[1].splitlines() if listed else []
    directories = [Path(row.strip()) for row in rows if row.startswith(" ")]
    pattern = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+" + re.escape(name.encode()) + rb"\b", re.MULTILINE)
    found: dict[str, None] = {}
    for file, header in _headers(directories):
        try:
            if pattern.search(file.read_bytes()):
                found[header] = None
        except OSError:
            continue
    return sorted(found, key=lambda header: (header.count("/"), len(header), header))


def _headers(directories: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    seen = 0
    for top in directories:
        for root, folders, files in os.walk(top):
            if len(Path(root).relative_to(top).parts) >= DEEPEST:
                folders.clear()
            for file in files:
                seen += 1
                if seen > MOST_FILES:
                    return
                if file.endswith(".h"):
                    path = Path(root, file)
                    yield path, str(path.relative_to(top))
