"""Starts compilers and reads what they say: at most once for each command line."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from opskit.errors import OpskitError, Unable
from opskit.gccmacros.families import debian_package
from opskit.gccmacros.spec import Spec
from opskit.process import Finished, SystemRunner

if TYPE_CHECKING:
    from opskit.gccmacros.macros import Macro

LONGEST_COMPLAINT = 12  # lines of a compiler's message that an error repeats
WIDEST_COMPLAINT = 400


class CompilerFailed(OpskitError):
    """The compiler ran and did not do what it was asked."""

    exit_code = 4
    status = "error"


class NoCompiler(Unable):
    """There is no such compiler on this machine."""


@dataclass(frozen=True)
class Dump:
    """What a compiler printed about its macros: the bytes, the lines of warning, and how it was called.

    `known` are its macros where they were not printed as a dump.
    """

    spec: Spec
    argv: tuple[str, ...]
    raw: bytes
    warnings: tuple[str, ...] = ()
    known: "tuple[Macro, ...]" = ()

    @cached_property
    def _read(self) -> "tuple[tuple[Macro, ...], tuple[str, ...]]":
        if self.known:
            return self.known, ()
        from opskit.gccmacros.macros import parse_dump

        return parse_dump(self.raw.decode(errors="replace"))

    @property
    def macros(self) -> "tuple[Macro, ...]":
        """In the compiler's own order."""
        return self._read[0]

    @property
    def rubbish(self) -> tuple[str, ...]:
        """The lines that define no macro."""
        return self._read[1]


class Driver:
    """Asks compilers. `timeout` in seconds holds for each start; with `werror` a warning is a failure."""

    def __init__(self, runner: SystemRunner, *, timeout: float = 10.0, werror: bool = False) -> None:
        self.runner = runner
        self.timeout = timeout
        self.werror = werror
        self._done: dict[tuple[tuple[str, ...], bytes], Finished] = {}

    def dump(self, spec: Spec) -> Dump:
        """All macros, from one start. Raises NoCompiler, CompilerFailed."""
        done = self.ask(spec, spec.dump_argv)
        raw = done.stderr if spec.family.on_stderr else done.stdout
        if b"#define " not in raw:
            raise _no_macros(spec, raw)
        warnings = () if spec.family.on_stderr else self.warnings(spec, done)
        return Dump(spec, done.argv, raw, warnings)

    def ask(self, spec: Spec, argv: Sequence[str], stdin: bytes = b"") -> Finished:
        """Run to a good end, or from memory. Raises NoCompiler, CompilerFailed."""
        done = self.attempt(spec, argv, stdin)
        if done.code != 0:
            raise _failure(spec, done)
        return done

    def attempt(self, spec: Spec, argv: Sequence[str], stdin: bytes = b"") -> Finished:
        """Run to any end, or from memory. Raises NoCompiler, and CompilerFailed when the time is over."""
        key = (tuple(argv), stdin)
        if key not in self._done:
            require(spec)
            try:
                self._done[key] = self.runner.run(argv, stdin=stdin, timeout=self.timeout)
            except Unable as error:
                raise _mapped(spec, error) from error
        return self._done[key]

    def warnings(self, spec: Spec, done: Finished) -> tuple[str, ...]:
        """The lines of warning of a good run. Raises CompilerFailed where they are to be fatal."""
        found = tuple(line for line in printable(done.error_text).splitlines() if "warning" in line.lower())
        if found and self.werror:
            raise CompilerFailed(
                f"{spec.label} warns, and --werror is set\n{_indented(found)}", hint="mend the flags it names"
            )
        return found


def require(spec: Spec) -> None:
    """Raises NoCompiler unless the compiler, and what it is wrapped in, can be found."""
    for program in dict.fromkeys((spec.words[0], spec.program)):
        if shutil.which(program) is None:
            raise no_compiler(program)


def no_compiler(program: str) -> NoCompiler:
    package = debian_package(program)
    near = near_names(program)
    hints = [f"apt install {package}"] if package else []
    hints += [f"found on this machine: {', '.join(near)}"] if near else []
    return NoCompiler(
        f"{program}: no such compiler",
        hint="; ".join(hints) or "opskit gccmacros list shows the compilers on this machine",
    )


def near_names(program: str) -> list[str]:
    """Compilers in PATH whose names are like this one."""
    from difflib import get_close_matches

    from opskit.gccmacros.discovery import compilers_in_path

    return get_close_matches(program, compilers_in_path(), n=4, cutoff=0.6)


def printable(text: str) -> str:
    """Text of a stranger without what could steer a terminal."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\x20-\x7e\u00a0-\U0010ffff]", "", text)


def _mapped(spec: Spec, error: Unable) -> OpskitError:
    if error.code == "program_timeout":
        return CompilerFailed(
            error.message,
            hint="allow it more with --timeout 60, or look what it waits for",
            code="compiler_timeout",
        )
    if error.code == "missing_program":
        return no_compiler(spec.words[0])
    return CompilerFailed(error.message, hint="is it really a compiler?")


def _failure(spec: Spec, done: Finished) -> CompilerFailed:
    lines = [line[:WIDEST_COMPLAINT] for line in printable(done.error_text).splitlines() if line.strip()]
    how = f"exit status {done.code}" if done.code > 0 else f"signal {-done.code}"
    told = _indented(lines[:LONGEST_COMPLAINT]) or "  it gave no reason"
    return CompilerFailed(
        f"{spec.label} failed with {how}\n{told}", hint=_advice(spec, printable(done.error_text))
    )


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


FRONT_END = {
    "cc1plus": "g++", "cc1obj": "gobjc", "cc1objplus": "gobjc++", "f951": "gfortran", "d21": "gdc",
    "go1": "gccgo", "gnat1": "gnat",
}  # fmt: skip


def _advice(spec: Spec, complaint: str) -> str:
    """What to do about a compiler's message, as far as it can be told."""
    missing = re.search(r"cannot execute '(\w+)'", complaint)
    if missing and missing[1] in FRONT_END:
        package = FRONT_END[missing[1]]
        triple = re.fullmatch(r"(.+)-(?:gcc|g\+\+)", spec.program)
        suffix = f"-{triple[1].replace('_', '-')}" if triple else ""
        return f"its part for {spec.lang} is missing: apt install {package}{suffix}"
    bad = re.search(r"(?:bad value|argument to|argument in option|target CPU|invalid value) '([^']+)'", complaint)
    valid = re.search(r"valid (?:arguments to|target CPU values)[^:]*: (.+)", complaint)
    if bad and valid:
        from difflib import get_close_matches

        word = bad[1].rpartition("=")[2]
        near = get_close_matches(word, re.findall(r"(?<![\w'])[\w.+-]+(?!['\w])", valid[1]), n=3)
        if near:
            return f"near '{word}' it knows: {', '.join(near)}"
    return "compiler flags come after --, as in: opskit gccmacros -- -O2 -march=native"


def _no_macros(spec: Spec, raw: bytes) -> CompilerFailed:
    lines = [line for line in printable(raw.decode(errors="replace")).splitlines() if line.strip()]
    said = f"; it printed {len(lines)} other lines, the first: {lines[0][:80]}" if lines else ""
    return CompilerFailed(
        f"{spec.label} printed no macros{said}",
        hint="ask it for the known names instead: --probe-names",
        code="no_dump",
    )
