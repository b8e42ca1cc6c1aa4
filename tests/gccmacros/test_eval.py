"""Expressions as compilers judge them."""

from pathlib import Path

import pytest

from tests.command import opskit
from tests.gccmacros.compilers import counting, in_path, starts
from tests.programs import need


@pytest.mark.parametrize("compiler", ["gcc", "g++", "clang", "tcc", "aarch64-linux-gnu-gcc", "avr-gcc"])
def test_truth_value_and_errors_side_by_side(compiler: str) -> None:
    need(compiler)
    ran = opskit(
        "gccmacros",
        "eval",
        "--cc",
        compiler,
        "--json",
        "--",
        "2 * 21",
        "0",
        "1 / 0",
        "NOT_A_MACRO",
        "-5",
        "~0u",
    )
    told = [(e["true"], e["value"], e["undefined"]) for e in ran.data["compilers"][0]["expressions"]]
    assert ran.code == 1
    assert told == [
        (True, 42, []),
        (False, 0, []),
        (None, None, []),
        (False, 0, ["NOT_A_MACRO"]),
        (True, -5, []),
        (True, 2**64 - 1, []),
    ]
    assert "division by zero" in ran.data["compilers"][0]["expressions"][2]["error"]


def test_200_expressions_need_one_start(tmp_path: Path) -> None:
    counting(tmp_path, need("gcc"))
    texts = [f"__GNUC__ * {n} > UNKNOWN_{n}" for n in range(1, 201)]
    ran = opskit("gccmacros", "eval", "--json", *texts, env=in_path(tmp_path))
    assert ran.code == 0
    assert len(starts(tmp_path)) == 1
    assert [e["undefined"] for e in ran.data["compilers"][0]["expressions"]] == [
        [f"UNKNOWN_{n}"] for n in range(1, 201)
    ]


def test_an_error_never_spoils_its_neighbours() -> None:
    need("gcc")
    texts = ["1", "1 +", "2", "(1", "3", "__INT64_C(", "4", "1)", "5", "__has_include(", "6", "defined", "7"]
    verdicts = opskit("gccmacros", "eval", "--json", *texts).data["compilers"][0]["expressions"]
    assert [v["value"] for v in verdicts[::2]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(v["error"] and v["value"] is None for v in verdicts[1::2])


def test_an_error_inside_a_macro_is_found() -> None:
    """gcc reports it where the macro is defined; it must still count against the expression."""
    need("gcc")
    ran = opskit("gccmacros", "eval", "--cc", "gcc '-DBAD(x)=((x) 1)' -DHALF=(", "BAD(1)", "HALF", "7", "--json")
    assert [v["value"] for v in ran.data["compilers"][0]["expressions"]] == [None, None, 7]


def test_only_the_compiler_knows_its_files() -> None:
    need("gcc")
    ran = opskit("gccmacros", "eval", "__has_include(<stdio.h>)", "defined __FILE__ && __has_attribute(packed)")
    assert ran.code == 0, ran.out


def test_the_expansion_is_shown() -> None:
    need("gcc")
    ran = opskit("gccmacros", "eval", "__INT64_C(3) + __SIZEOF_INT__ == 7 && defined(__x86_64__)")
    assert "3L + 4 == 7 && defined(__x86_64__)" in ran.out


def test_strict_undef_fails_what_is_true() -> None:
    need("gcc")
    assert opskit("gccmacros", "eval", "!NO_SUCH").code == 0
    ran = opskit("gccmacros", "eval", "--strict-undef", "!NO_SUCH")
    assert ran.code == 1
    assert "NO_SUCH" in ran.err


def test_a_matrix_of_compilers() -> None:
    for compiler in ("gcc", "clang", "tcc"):
        need(compiler)
    ran = opskit(
        "gccmacros",
        "eval",
        "--each",
        "gcc -m32",
        "--each",
        "clang",
        "--each",
        "tcc",
        "__SIZEOF_POINTER__ == 8",
    )
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == "gcc -m32 (c)"
    assert lines[1].split() == ["false", "__SIZEOF_POINTER__", "==", "8", "=", "0"]
    assert ran.out.count("true ") == 2


def test_sizeof_gets_a_hint() -> None:
    need("gcc")
    assert "use __SIZEOF_INT__" in opskit("gccmacros", "eval", "sizeof(int) == 4").out


def test_an_expression_may_begin_with_a_minus() -> None:
    need("gcc")
    assert opskit("gccmacros", "eval", "--", "-1 < 0").code == 0
