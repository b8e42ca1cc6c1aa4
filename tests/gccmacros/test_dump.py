"""The dump: the compiler's own bytes, one start, and the forms for people and programs."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opskit.gccmacros.categories import CATEGORIES
from opskit.gccmacros.macros import Macro, parse_define
from opskit.gccmacros.numbers import number_of
from tests.command import opskit
from tests.gccmacros.compilers import CROSS, NATIVE, counting, in_path, need_zig, starts
from tests.programs import need


def raw(*args: str) -> bytes:
    return subprocess.run([sys.executable, "-m", "opskit", "gccmacros", *args], capture_output=True).stdout


def own(*argv: str) -> bytes:
    return subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL).stdout


@pytest.mark.parametrize("lang", ["c", "c++", "assembler-with-cpp", "objective-c"])
@pytest.mark.parametrize("compiler", [*NATIVE, *CROSS])
def test_a_pipe_gets_the_bytes_of_the_compiler(compiler: str, lang: str) -> None:
    need(compiler)
    theirs = subprocess.run([compiler, "-dM", "-E", "-x", lang, "/dev/null"], capture_output=True)
    ran = opskit("gccmacros", "--cc", compiler, "--lang", lang)
    if theirs.returncode == 0:
        assert ran.code == 0
        assert ran.out.encode() == theirs.stdout
        assert b"#define " in theirs.stdout
    else:
        assert ran.code == 4
        assert ran.out == ""


def test_the_default_is_gcc_and_c() -> None:
    need("gcc")
    assert raw() == own("gcc", "-dM", "-E", "-x", "c", "/dev/null")


def test_zig_is_asked_by_its_own_words() -> None:
    zig = need_zig()
    for words in (["cc"], ["cc", "-target", "aarch64-linux-musl"], ["c++"]):
        lang = words[0].replace("cc", "c")
        argv = [zig, *words, "-dM", "-E", "-x", lang, "/dev/null"]
        assert raw("--cc", " ".join([zig, *words]), "--lang", lang) == own(*argv) != b""


@pytest.mark.parametrize(
    "target", ["aarch64-linux-gnu", "x86_64-apple-darwin", "riscv64", "x86_64-pc-windows-msvc"]
)
def test_clang_has_any_target(target: str) -> None:
    need("clang")
    option = f"--target={target}"
    assert raw("--cc", f"clang {option}") == own("clang", option, "-dM", "-E", "-x", "c", "/dev/null") != b""


def test_flags_come_after_two_dashes_and_with_the_compiler() -> None:
    need("gcc")
    wanted = own("gcc", "-m32", "-O2", "-dM", "-E", "-x", "c", "/dev/null")
    assert raw("--cc", "gcc -m32", "--", "-O2") == wanted
    assert raw("--cc", "gcc", "--std", "c99") == own("gcc", "-std=c99", "-dM", "-E", "-x", "c", "/dev/null")
    assert raw("--", "-x", "c++") == own("gcc", "-dM", "-E", "-x", "c++", "/dev/null")


def test_cc_of_the_environment_may_have_words(tmp_path: Path) -> None:
    need("gcc")
    ran = opskit("gccmacros", "--grep", "^__x86_64__$|^__i386__$", env={"CC": "env gcc -m32"})
    assert ran.out == "#define __i386__ 1\n"


@pytest.mark.parametrize(
    "args",
    [
        (), ("--json",), ("--csv",), ("--dynamic",), ("--grep", "GNUC"), ("snapshot",), ("header",),
        ("eval", "1", "2", "__GNUC__"), ("where", "__GNUC__"), ("diff", "gcc", "gcc"),
    ],
    ids=str,
)  # fmt: skip
def test_one_question_is_one_start(args: tuple[str, ...], tmp_path: Path) -> None:
    counting(tmp_path, need("gcc"))
    ran = opskit("gccmacros", *args, env=in_path(tmp_path))
    assert ran.code == 0, ran.err
    assert len(starts(tmp_path)) == 1


def test_filters_keep_the_lines_of_the_compiler() -> None:
    need("gcc")
    whole = raw().decode().splitlines(keepends=True)
    assert raw("--grep", "AVX|SSE").decode() == "".join(
        line for line in whole if "AVX" in line.split()[1] or "SSE" in line.split()[1]
    )
    functions = raw("--function-like").decode().splitlines()
    assert len(functions) == 10
    assert "#define __INT64_C(c) c ## L" in functions


def test_json_names_the_compiler_and_counts() -> None:
    need("gcc")
    data = opskit("gccmacros", "--json").data
    by_name = {macro["name"]: macro for macro in data["macros"]}
    assert data["compiler"]["name"] == "gcc"
    assert data["compiler"]["command"] == ["gcc", "-dM", "-E", "-x", "c", "/dev/null"]
    assert len(by_name) == len(raw().splitlines())
    assert by_name["__INT_MAX__"]["number"] == 2147483647
    assert by_name["__WCHAR_MIN__"]["number"] == -2147483648
    assert by_name["__DBL_MAX_EXP__"]["number"] == 1024
    assert by_name["__FLT_MAX__"]["number"] == pytest.approx(3.4028235e38)
    assert by_name["__SIZE_TYPE__"]["number"] is None
    assert by_name["__INT64_C"]["params"] == ["c"]
    assert {macro["category"] for macro in data["macros"]} <= set(CATEGORIES)


def test_csv_and_markdown_have_every_macro() -> None:
    need("gcc")
    rows = list(csv.reader(io.StringIO(raw("--csv").decode())))
    assert rows[0] == ["name", "value", "number", "category"]
    assert len(rows) == len(raw().splitlines()) + 1
    markdown = raw("--markdown", "--grep", "^__LP64__$").decode()
    assert markdown.splitlines()[2] == "| `__LP64__` | `1` | `1` | `abi` |"


def test_dynamic_macros_are_those_that_a_dump_leaves_out() -> None:
    need("gcc")
    found = [m["name"] for m in opskit("gccmacros", "--dynamic", "--category", "dynamic", "--json").data["macros"]]
    assert {"__FILE__", "__LINE__", "__has_include", "__COUNTER__"} <= set(found)
    assert "__has_feature" not in found
    listed = raw().decode()
    for name in found:
        assert f"#define {name} " not in listed
        judged = subprocess.run(
            ["gcc", "-E", "-P", "-"], input=f"#ifdef {name}\nyes\n#endif", capture_output=True, text=True
        )
        assert judged.stdout.strip() == "yes"


def test_a_terminal_gets_a_table_that_fits() -> None:
    need("gcc")
    master, slave = pty.openpty()
    env = {**os.environ, "COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "opskit", "gccmacros", "--category", "abi"], stdout=slave, env=env
    )
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:
        pass  # a pty ends with EIO
    finally:
        os.close(master)
    assert child.wait() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m|\r", "", shown.decode()).splitlines()
    assert lines[0].split() == ["NAME", "VALUE", "NUMBER"]
    assert max(map(len, lines)) <= 80
    assert "macros of gcc (gcc 1" in lines[-1]


def test_a_warning_is_shown_and_can_be_fatal() -> None:
    need("g++")
    ran = opskit("gccmacros", "--cc", "g++", "--std", "c99")
    assert ran.code == 0
    assert "warning: " in ran.err
    assert "-std=c99" in ran.err
    fatal = opskit("gccmacros", "--cc", "g++", "--std", "c99", "--werror", "--json")
    assert fatal.code == 4
    assert fatal.json["status"] == "error"
    assert opskit("gccmacros", "--cc", "g++", "--std", "c99", "--quiet").err == ""


def test_known_names_find_what_a_dump_would_list() -> None:
    need("gcc")
    probed = {m["name"]: m["value"] for m in opskit("gccmacros", "--probe-names", "--json").data["macros"]}
    dumped = {m["name"]: m["value"] for m in opskit("gccmacros", "--json").data["macros"] if m["params"] is None}
    assert probed.keys() <= dumped.keys() | {m["name"] for m in opskit("gccmacros", "--json").data["macros"]}
    assert len(probed) > 350
    assert {name: probed[name] for name in ("__GNUC__", "__LP64__")} == {
        name: dumped[name] for name in ("__GNUC__", "__LP64__")
    }


@pytest.mark.parametrize(
    ("line", "macro"),
    [
        ("#define A", Macro("A", "")),
        ("#define A 1", Macro("A", "1")),
        ("#define A  x  y  ", Macro("A", "x  y")),
        ("#define F(x) x", Macro("F", "x", "x")),
        ("#define F() 7", Macro("F", "7", "")),
        ("#define F (x)", Macro("F", "(x)")),
        ("#define a$b 1", Macro("a$b", "1")),
        ("#define V(a, ...) __VA_ARGS__", Macro("V", "__VA_ARGS__", "a, ...")),
        ("#undef A", None),
        ("define A 1", None),
        ("# 1 \"x.c\"", None),
    ],
)  # fmt: skip
def test_a_line_is_read(line: str, macro: Macro | None) -> None:
    assert parse_define(line) == macro


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1", 1),
        ("0x7fffffff", 2147483647),
        ("(-5 - 1)", -6),
        ("201710L", 201710),
        ("1.0e+0F", 1.0),
        ("((double)4.5e-3L)", 0.0045),
        ("1E-95DF", 1e-95),
        ("'a'", 97),
        ("long int", None),
        ("", None),
        ("1e99999", None),
        ("UNKNOWN", None),
        ("-1", -1),
        ('"12.2.0"', None),
    ],
)
def test_a_value_becomes_a_number(value: str, number: float | None) -> None:
    assert number_of(Macro("X", value), {}) == number


def test_the_raw_dump_loads_nothing_it_does_not_need() -> None:
    need("gcc")
    code = (
        "import sys\nfrom opskit.cli import run\nrun(['gccmacros'])\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = set(done.stderr.split())
    assert "opskit.gccmacros.driver" in loaded
    assert loaded & {"rich", "httpx", "asyncio", "opskit.gccmacros.macros", "opskit.gccmacros.tables"} == set()


def test_json_of_the_dump_is_one_document() -> None:
    need("gcc")
    assert set(json.loads(raw("--json"))) == {"opskit", "schema", "command", "status", "data", "errors"}
