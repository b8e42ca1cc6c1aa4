"""One small adapter for each kind of compiler: how to know it by name, and what to ask it."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from opskit.errors import Misuse

EMPTY = Path(__file__).with_name("empty.c")
VERSION_SUFFIX = r"(?:-\d[\d.]*)?"


@dataclass(frozen=True)
class Family:
    """How one kind of compiler is asked for its macros.

    `programs` matches the whole base name. `dump` are the words that print all macros, `languages` those that
    choose the language (None: `-x` and any name). `source` is what is compiled: nothing, or a real empty file
    where the compiler insists. `reads_stdin`: preprocesses standard input, and goes on after a bad `#if`.
    `traces`: prints defines and undefs in order between line markers (`-dD`). `verbose` makes it tell its
    target and what `native` means; `judging`: words that keep it from giving up
    after the first errors, and its errors short.
    """

    name: str
    programs: str
    dump: tuple[str, ...] = ("-dM", "-E")
    languages: Mapping[str, tuple[str, ...]] | None = None
    source: str = "/dev/null"
    standard: str = "-std="
    on_stderr: bool = False
    reads_stdin: bool = True
    traces: bool = True
    verbose: tuple[str, ...] = ("-v",)
    judging: tuple[str, ...] = ()

    def language_words(self, lang: str) -> tuple[str, ...]:
        """The words that choose a language. Raises Misuse where this family has no such language."""
        if self.languages is None:
            return ("-x", lang)
        if lang not in self.languages:
            raise Misuse(
                f"{self.name} has no language '{lang}'", hint=f"it knows: {', '.join(sorted(self.languages))}"
            )
        return self.languages[lang]

    def source_file(self, lang: str) -> str:
        if self.source != "empty":
            return self.source
        return str(EMPTY.with_suffix(".cpp") if lang == "c++" else EMPTY)


# GCC manual, "Preprocessor Options": -dM; a cross compiler has its target in front of the name.
GCC = Family(
    "gcc",
    rf"(?:.+-)?(?:gcc|g\+\+|cc|c\+\+|c89|c99|cpp){VERSION_SUFFIX}",
    judging=("-fno-diagnostics-show-caret",),
)
CLANG = Family(
    "clang",
    rf"(?:.+-)?clang(?:\+\+)?{VERSION_SUFFIX}",
    judging=("-ferror-limit=0", "-fno-caret-diagnostics"),
)
INTEL = Family("icx", r"icx|icpx|icc|icpc|dpcpp")
ZIG = Family("zig", r"zig", judging=("-ferror-limit=0", "-fno-caret-diagnostics"))
# Stops at the first error of a file, so expressions are judged from its dump.
TCC = Family("tcc", rf"(?:.+-)?tcc{VERSION_SUFFIX}", reads_stdin=False, verbose=())
# /PD needs Visual Studio 16.8, the conforming preprocessor and a real file.
MSVC = Family(
    "msvc",
    r"cl",
    dump=("/nologo", "/Zc:preprocessor", "/PD", "/E"),
    languages={"c": ("/TC",), "c++": ("/TP",)},
    source="empty",
    standard="/std:",
    reads_stdin=False,
    traces=False,
    verbose=(),
)
# Oracle Developer Studio, cc(1): -xdumpmacros prints on standard error.
SUN = Family(
    "sun",
    r"suncc|sunCC|sunc99",
    dump=("-xdumpmacros=defs", "-E"),
    languages={"c": (), "c++": ()},
    source="empty",
    on_stderr=True,
    reads_stdin=False,
    traces=False,
    verbose=(),
)
# Anything else is tried as if it were gcc; what prints no macros can be probed for known names.
OTHER = Family("other", r"")

FAMILIES = (TCC, CLANG, GCC, INTEL, MSVC, SUN)


def recognise(words: Sequence[str]) -> tuple[Family, str]:
    """The family of a command line and the word that told it: `ccache gcc -m32` → (GCC, "gcc")."""
    for word in words:
        name = PurePath(word).name.removesuffix(".exe")
        if name in ("zig", "ziglang"):
            return ZIG, words[0]
        if name in ("cc", "CC") and sys.platform == "sunos5":
            return SUN, word
        for family in FAMILIES:
            if re.fullmatch(family.programs, name):
                return family, word
        if word.startswith("-") and word != "-m":
            break
    return OTHER, words[0]


def is_cplusplus(program: str) -> bool:
    """Whether a program's name says C++: g++, clang++-14, icpx, sunCC."""
    name = PurePath(program).name.removesuffix(".exe")
    return bool(re.fullmatch(rf".*\+\+{VERSION_SUFFIX}|icpx|icpc|sunCC|CC", name))


# Debian names a cross compiler's package after its triple; these are the other way round.
DEBIAN_PACKAGE = {
    "avr-gcc": "gcc-avr",
    "avr-g++": "gcc-avr",
    "bpf-gcc": "gcc-bpf",
    "h8300-hitachi-coff-gcc": "gcc-h8300-hms",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "arm-none-eabi-g++": "gcc-arm-none-eabi",
    "or1k-elf-gcc": "gcc-or1k-elf",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
    "xtensa-lx106-elf-gcc": "gcc-xtensa-lx106",
    "i686-w64-mingw32-gcc": "gcc-mingw-w64-i686",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    "i686-w64-mingw32-g++": "g++-mingw-w64-i686",
    "x86_64-w64-mingw32-g++": "g++-mingw-w64-x86-64",
    "emcc": "emscripten",
    "sdcc": "sdcc",
    "musl-gcc": "musl-tools",
}
_DEBIAN_TRIPLES = (
    "aarch64 alpha arc hppa hppa64 i686 m68k mips mipsel mipsisa32r6 mipsisa32r6el powerpc powerpc64 "
    "powerpc64le riscv64 s390x sh4 sparc64"
)
DEBIAN_TRIPLES = frozenset(f"{cpu}-linux-gnu" for cpu in _DEBIAN_TRIPLES.split()) | {
    "arm-linux-gnueabi", "arm-linux-gnueabihf", "mips64-linux-gnuabi64", "mips64el-linux-gnuabi64",
    "mipsisa64r6-linux-gnuabi64", "mipsisa64r6el-linux-gnuabi64", "x86_64-linux-gnux32",
}  # fmt: skip
_CROSS = re.compile(r"(?P<triple>.+)-(?P<compiler>gcc|g\+\+)(?P<version>-\d+)?")


def debian_package(program: str) -> str:
    """The Debian package that holds a compiler, or "" for one that it does not have by that name."""
    if program in DEBIAN_PACKAGE:
        return DEBIAN_PACKAGE[program]
    match = _CROSS.fullmatch(program)
    if match and match["triple"] in DEBIAN_TRIPLES:
        return f"{match['compiler']}{match['version'] or ''}-{match['triple'].replace('_', '-')}"
    if re.fullmatch(r"(gcc|g\+\+|clang)(-\d+)?|tcc", program):
        return program
    return "clang" + program.removeprefix("clang++") if re.fullmatch(r"clang\+\+(-\d+)?", program) else ""
