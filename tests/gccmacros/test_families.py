"""Compilers that cannot be had here, as scripts of their shape: MSVC, Sun, zig, and one without a dump."""

from pathlib import Path

import pytest

from opskit.gccmacros.families import recognise
from tests.command import opskit
from tests.gccmacros.compilers import fake, in_path
from tests.programs import need

MSVC = r"""
case " $* " in *" /PD "*) ;; *) echo "cl : error D8004" >&2; exit 2;; esac
case " $* " in *" /Zc:preprocessor "*" /TC "*".c ") ;; *) echo "cl : error D8003" >&2; exit 2;; esac
for last; do :; done
test -f "$last" || exit 2
echo empty.c >&2
printf '#define _MSC_VER 1929\r\n#define _MSC_FULL_VER 192930146\r\n#define _WIN32 1\r\n'
printf '#define _MSVC_TRADITIONAL 0\r\n#line 1 "%s"\r\n\r\n' "$last"
"""
SUN = r"""
case " $* " in *" -xdumpmacros=defs "*) ;; *) exit 1;; esac
echo '# 1 "empty.c"'
printf '#define __SUNPRO_C 0x5150\n#define __SunOS_5_11 1\n#define __sparc 1\n' >&2
"""
ZIG = r"""
test "$1" = cc || { echo "error: unknown command: $1" >&2; exit 1; }
printf '#define __clang__ 1\n#define __clang_major__ 22\n'
printf '#define __clang_minor__ 1\n#define __clang_patchlevel__ 8\n'
"""
# Rejects what it does not know, as cproc does; preprocesses a file.
NO_DUMP = r"""
for word; do case "$word" in -dM) echo "usage: lcc [-E] file" >&2; exit 2;; -E) ;; *) file=$word;; esac; done
exec gcc -E -P -undef -D__LCC__=3 -D__x86_64__=1 "$file"
"""


def test_msvc_lists_with_its_own_words(tmp_path: Path) -> None:
    fake(tmp_path, "cl", MSVC)
    ran = opskit("gccmacros", "--cc", "cl", "--json", env=in_path(tmp_path))
    assert ran.code == 0, ran.err
    assert [macro["name"] for macro in ran.data["macros"]] == [
        "_MSC_VER", "_MSC_FULL_VER", "_WIN32", "_MSVC_TRADITIONAL",
    ]  # fmt: skip
    assert ran.data["macros"][0]["value"] == "1929"
    assert ran.data["compiler"]["name"] == "msvc"
    assert ran.data["compiler"]["version"] == "19.29.30146"


def test_what_msvc_says_can_be_judged(tmp_path: Path) -> None:
    fake(tmp_path, "cl", MSVC)
    ran = opskit("gccmacros", "eval", "--cc", "cl", "_MSC_VER >= 1920 && defined _WIN32", env=in_path(tmp_path))
    assert ran.code == 0, ran.err
    assert ran.out.startswith("true ")


def test_msvc_cannot_say_where(tmp_path: Path) -> None:
    fake(tmp_path, "cl", MSVC)
    ran = opskit("gccmacros", "where", "_WIN32", "--cc", "cl", env=in_path(tmp_path))
    assert ran.code == 4
    assert "cannot tell where its macros come from" in ran.err


def test_msvc_knows_two_languages(tmp_path: Path) -> None:
    fake(tmp_path, "cl", MSVC)
    ran = opskit("gccmacros", "--cc", "cl", "--lang", "d", env=in_path(tmp_path))
    assert ran.code == 2
    assert "it knows: c, c++" in ran.err


def test_sun_prints_on_standard_error(tmp_path: Path) -> None:
    fake(tmp_path, "suncc", SUN)
    ran = opskit("gccmacros", "--cc", "suncc -xarch=sparc", env=in_path(tmp_path))
    assert ran.code == 0, ran.err
    assert ran.out == "#define __SUNPRO_C 0x5150\n#define __SunOS_5_11 1\n#define __sparc 1\n"
    assert ran.err == ""
    data = opskit("gccmacros", "--cc", "suncc", "--json", env=in_path(tmp_path)).data
    assert (data["compiler"]["name"], data["compiler"]["version"]) == ("sun", "5.15")


def test_zig_is_a_program_with_a_word(tmp_path: Path) -> None:
    fake(tmp_path, "zig", ZIG)
    ran = opskit("gccmacros", "--cc", "zig cc", env=in_path(tmp_path))
    assert ran.code == 0, ran.err
    assert "#define __clang_major__ 22" in ran.out


def test_a_compiler_without_a_dump_is_probed_by_name(tmp_path: Path) -> None:
    need("gcc")
    fake(tmp_path, "lcc", NO_DUMP)
    plain = opskit("gccmacros", "--cc", "lcc", env=in_path(tmp_path))
    assert plain.code == 4
    ran = opskit("gccmacros", "--cc", "lcc", "--probe-names", env=in_path(tmp_path))
    assert ran.code == 0, ran.err
    assert "#define __LCC__ 3\n" in ran.out
    assert "#define __x86_64__ 1\n" in ran.out
    assert "macros that opskit does not know of are missing" in ran.err


@pytest.mark.parametrize(
    ("command", "family", "program"),
    [
        ("gcc", "gcc", "gcc"),
        ("/usr/bin/x86_64-linux-gnu-gcc-12", "gcc", "/usr/bin/x86_64-linux-gnu-gcc-12"),
        ("ccache gcc -m32", "gcc", "gcc"),
        ("clang++-19", "clang", "clang++-19"),
        ("avr-gcc", "gcc", "avr-gcc"),
        ("zig cc -target x", "zig", "zig"),
        ("python3 -m ziglang cc", "zig", "python3"),
        ("cl", "msvc", "cl"),
        ("suncc", "sun", "suncc"),
        ("tcc", "tcc", "tcc"),
        ("icpx", "icx", "icpx"),
        ("cproc", "other", "cproc"),
        ("distcc arm-none-eabi-g++", "gcc", "arm-none-eabi-g++"),
        ("c++", "gcc", "c++"),
    ],
)
def test_a_family_is_known_by_its_name(command: str, family: str, program: str) -> None:
    found, word = recognise(command.split())
    assert (found.name, word) == (family, program)
