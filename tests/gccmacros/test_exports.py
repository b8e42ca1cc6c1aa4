"""What is written for others, read back by those others."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from opskit.gccmacros.exports import WRITERS, write_as
from opskit.gccmacros.macros import Macro
from tests.command import opskit
from tests.gccmacros.compilers import in_path
from tests.programs import need

AWKWARD = [
    Macro("PLAIN", "1"),
    Macro("EMPTY", ""),
    Macro("QUOTED", '"a \\"b\\" c"'),
    Macro("DOLLAR", "$HOME ${X} $(Y) `id`"),
    Macro("HASH", "a#b"),
    Macro("SEMI", "a;b"),
    Macro("APOSTROPHE", "it's"),
    Macro("STAR", "*/ x"),
    Macro("SPACES", "long  long"),
]


def lines_of(*argv: str) -> set[str]:
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())


@pytest.mark.parametrize(
    ("compiler", "lang"),
    [
        ("gcc", "c"),
        ("g++", "c++"),
        ("clang", "c"),
        ("aarch64-linux-gnu-gcc", "c"),
        ("s390x-linux-gnu-gcc", "c"),
    ],
)
def test_dump_to_header_and_back_is_the_same_dump(compiler: str, lang: str, tmp_path: Path) -> None:
    need(compiler)
    header = tmp_path / "all.h"
    assert opskit("gccmacros", "header", "-o", str(header), "--cc", compiler).code == 0
    dump = [compiler, "-dM", "-E", "-x", lang, "/dev/null"]
    again = lines_of(compiler, "-undef", "-include", str(header), *dump[1:])
    assert again == lines_of(*dump)


def test_the_header_yields_to_what_is_defined(tmp_path: Path) -> None:
    need("gcc")
    header = tmp_path / "x.h"
    assert (
        opskit("gccmacros", "header", "-o", str(header), "--prefix", "T_", "--grep", "^__SIZEOF_INT__$").code == 0
    )
    assert header.read_text().endswith("#ifndef T___SIZEOF_INT__\n# define T___SIZEOF_INT__ 4\n#endif\n")
    kept = lines_of(
        "gcc", "-DT___SIZEOF_INT__=9", "-Werror", "-include", str(header), "-dM", "-E", "-xc", "/dev/null"
    )
    assert "#define T___SIZEOF_INT__ 9" in kept


def read_back(program: str, directory: Path, text: str) -> dict[str, str]:
    """The values that a real program finds in the file."""
    names = [macro.name for macro in AWKWARD]
    file = directory / "macros"
    if program == "shell":
        asks = "".join(f'printf "%s=%s\\n" {name} "${name}"\n' for name in names)
        file.write_text(text + asks)
        argv = ["sh", str(file)]
    elif program == "make":
        file.write_text(text + "".join(f"$(info {name}=$({name}))\n" for name in names) + "all:;@:\n")
        argv = ["make", "-s", "-f", str(file)]
    elif program == "cmake":
        file.write_text(text + "".join(f'message("{name}=${{{name}}}")\n' for name in names))
        argv = ["cmake", "-P", str(file)]
    else:
        file.write_text(text + "for n, v in MACROS.items(): print(f'{n}={v}')\n")
        argv = ["python3", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    pairs = (line.partition("=") for line in (done.stdout + done.stderr).splitlines())
    return {name: value for name, _, value in pairs if name in names}


@pytest.mark.parametrize("form", ["shell", "make", "cmake", "python"])
def test_awkward_values_arrive_whole(form: str, tmp_path: Path) -> None:
    need({"shell": "sh", "python": "python3"}.get(form, form))
    text, left = write_as(form, AWKWARD, "about */ this")
    assert left == ()
    assert read_back(form, tmp_path, text) == {macro.name: macro.value for macro in AWKWARD}


def test_numbers_are_numbers_in_python() -> None:
    need("gcc")
    scope: dict[str, dict[str, object]] = {}
    exec(opskit("gccmacros", "header", "--as", "python").out, scope)
    assert scope["NUMBERS"]["__INT_MAX__"] == 2147483647
    assert scope["MACROS"]["__SIZE_TYPE__"] == "long unsigned int"


def test_clangd_gets_the_macros_of_the_cross_compiler() -> None:
    for program in ("clang", "avr-gcc"):
        need(program)
    text = opskit("gccmacros", "header", "--as", "clangd", "--cc", "avr-gcc").out
    flags = [json.loads(flag) for flag in re.findall(r"^    - (.*)$", text, re.MULTILINE)]
    clang = lines_of("clang", *flags, "-dM", "-E", "-x", "c", "/dev/null")
    assert lines_of("avr-gcc", "-dM", "-E", "-x", "c", "/dev/null") - clang <= {
        line for line in lines_of("avr-gcc", "-dM", "-E", "-x", "c", "/dev/null") if "__has_include" in line
    }  # fmt: skip


@pytest.mark.parametrize("form", [form for form in WRITERS if form not in ("header", "clangd")])
def test_what_cannot_be_expressed_is_told(form: str) -> None:
    text, left = write_as(form, [Macro("F", "x", "x"), Macro("a$b", "1"), Macro("A", "1")], "about")
    assert left == ("F", "a$b")
    assert "A" in text


def test_the_list_names_every_compiler_once() -> None:
    for program in ("gcc", "clang", "tcc", "aarch64-linux-gnu-gcc"):
        need(program)
    found = opskit("gccmacros", "list", "--json").data["compilers"]
    by_name = {name: one for one in found for name in one["names"]}
    assert sum(len(one["names"]) for one in found) == len(by_name)
    version = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    target = subprocess.run(["gcc", "-dumpmachine"], capture_output=True, text=True).stdout.strip()
    assert (by_name["gcc"]["version"], by_name["gcc"]["target"]) == (version, target)
    assert by_name["aarch64-linux-gnu-gcc"]["target"] == "aarch64-linux-gnu"
    assert by_name["clang"]["family"] == "clang"


def test_a_machine_without_compilers(tmp_path: Path) -> None:
    ran = opskit("gccmacros", "list", env={"PATH": str(tmp_path)})
    assert ran.code == 3
    assert "no compiler in PATH" in ran.err
    assert in_path(tmp_path)
