"""The offline evaluator against gcc: the same value, the same type, and an error where gcc has one."""

import contextlib
import subprocess

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from opskit.gccmacros.expansion import ExpressionError
from opskit.gccmacros.expression import judge
from opskit.gccmacros.judging import Verdict, judge_by_compiler, judge_offline
from opskit.gccmacros.macros import Macro, parse_dump
from opskit.gccmacros.spec import Spec, parse_spec
from tests.gccmacros.compilers import driver
from tests.programs import need

DEFINES = (
    "-DONE=1", "-DEMPTY=", "-DF(x)=((x)+1)", "-DG(a,b)=a##b", "-DNEG=(-5)", "-DLOOP=LOOP", "-DPING=PONG",
    "-DPONG=PING", "-DV(...)=(0,__VA_ARGS__)", "-DNOARGS()=7", "-DHAS=defined(ONE)", "-DOPEN=F(",
)  # fmt: skip
LEAVES = st.sampled_from([
    "0", "1", "2", "3", "7", "0u", "1u", "5U", "-1", "0x7fffffffffffffff", "9223372036854775807",
    "0b101", "017", "9223372036854775808", "18446744073709551615", "18446744073709551615u",
    "0xffffffffffffffff", "1ull", "4lu", "99999999999999999999", "'a'", "'\\377'", "'\\0'", "'ab'",
    "'abcde'", "L'x'", "u'x'", "U'x'", "'\\x80'", "'\\n'", "UNKNOWN", "ONE", "EMPTY", "F(2)",
    "F(F(1))", "G(1,2)", "G(,3)", "NEG", "LOOP", "PING", "V(1,2)", "NOARGS()", "F", "__INT_MAX__",
    "__LONG_MAX__", "__INT64_C(3)", "__UINT64_C(3)", "__WCHAR_MIN__", "__CHAR_BIT__", "defined ONE",
    "defined(UNKNOWN)", "defined ( F )", "defined EMPTY", "HAS", "defined __FILE__", "__SIZE_MAX__",
    "1.5", "08", "0x", "12abc", "1lul", '"s"', "sizeof(int)", "F(1", "defined", "defined(",
    "G(+,+)", "''",
])  # fmt: skip
BINARY = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "%",
        "<<",
        ">>",
        "<",
        ">",
        "<=",
        ">=",
        "==",
        "!=",
        "&",
        "^",
        "|",
        "&&",
        "||",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "&&",
        "||",
        "=",
        "++",
        "--",
        "##",
        "->",
        "::",
    ]
)
UNARY = st.sampled_from(["-", "+", "~", "!", "- ", "!!", "-+"])


def combine(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, BINARY, inner).map(" ".join),
        st.tuples(inner, BINARY, inner).map("".join),
        st.tuples(UNARY, inner).map("".join),
        inner.map(lambda e: f"({e})"),
        st.tuples(inner, inner, inner).map(lambda t: f"{t[0]} ? {t[1]} : {t[2]}"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]} || (1 / {t[1]})"),
    )


EXPRESSIONS = st.recursive(LEAVES, combine, max_leaves=8).filter(
    lambda text: "##" not in text and "//" not in text and "/*" not in text and "''" not in text
)


def offline(spec: Spec, texts: list[str]) -> tuple[Verdict, ...]:
    dump = driver().dump(spec)
    return judge_offline({m.name: m for m in dump.macros}, texts, frozenset({"__FILE__", "__LINE__"}))


def disagreements(spec: Spec, texts: list[str]) -> list[tuple[Verdict, Verdict]]:
    theirs = judge_by_compiler(driver(), spec, texts)
    return [
        (a, b) for a, b in zip(theirs, offline(spec, texts), strict=True)
        if (a.value, set(a.undefined)) != (b.value, set(b.undefined))
    ]  # fmt: skip


@pytest.mark.parametrize("lang", ["c", "c++"])
@settings(
    max_examples=10,
    deadline=None,
    phases=[
        Phase.explicit,
        Phase.generate,
    ],  # to shrink a list of 120 takes minutes, and each says what is wrong
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(texts=st.lists(EXPRESSIONS, min_size=120, max_size=120))
def test_agrees_with_gcc_on_random_expressions(lang: str, texts: list[str]) -> None:
    need("gcc")
    assert disagreements(parse_spec("gcc", lang=lang, flags=DEFINES), texts) == []


@pytest.mark.parametrize(
    "flags", [("-funsigned-char",), ("-std=c2x",), ("-std=c90",), ("-fshort-wchar",), ("-m32",)], ids=" ".join
)
def test_agrees_with_gcc_in_other_dialects(flags: tuple[str, ...]) -> None:
    need("gcc")
    texts = [
        "'a' - 'b' < 0", "'\\377' < 0", "L'x' - L'y' < 0", "L'\\xffff' < 0", "-1 < 0u", "1 ? -1 : 0u",
        "(0 ? -1 : 0u) - 1 > 0", "1 << 63 >> 63", "1 << -1", "8 >> -2", "-9223372036854775807 - 1 < 0",
        "(-9223372036854775807 - 1) / -1", "(-9223372036854775807 - 1) % -1", "0 && 1/0", "1 || 1/0",
        "0 ? 1/0 : 2", "1 ? 2 : 1/0", "1 ? 2, 3 : 4", "0 || (UNKNOWN && 1/0)", "2 && 3", "-5 / 2", "-5 % 2",
        "~0u >> 63", "true", "not 1", "5 > 3 > 1", "1 == 1 != 0", "'\\u00e9' > 0", "'é' > 0", "1'000 == 1000",
    ]  # fmt: skip
    assert disagreements(parse_spec("gcc", flags=flags), texts) == []


def test_agrees_with_gcc_in_c_plus_plus() -> None:
    need("g++")
    texts = [
        "true", "false", "not 1", "1 and 0 or 1", "compl 0 == -1", "5 bitand 4", "1 not_eq 2", "xor",
        "1'000 == 1000",
        "u8'a' > 0", "defined true", "true + true", "__cplusplus >= 201103L", "1 <=> 2", "__cpp_rtti", "and",
    ]  # fmt: skip
    assert disagreements(parse_spec("g++"), texts) == []


def test_random_text_never_breaks_it() -> None:
    macros, _ = parse_dump(subprocess.run([need("gcc"), "-dM", "-E", "-"], capture_output=True, text=True).stdout)
    table = {macro.name: macro for macro in macros}

    @settings(max_examples=400, deadline=None)
    @given(st.text(alphabet="()+-*/%<>=!&|^~?:,.#'\"\\ 01x9aLuU_RF$é", max_size=30))
    def judged(text: str) -> None:
        with contextlib.suppress(ExpressionError):
            assert isinstance(judge(text, table).result.value, int)

    judged()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1/0", "division by zero"),
        ("", "there is no expression"),
        ("(" * 400 + "1" + ")" * 400, "nested more than"),
        ("__has_include(<stdio.h>)", "only the compiler"),
        ("__LINE__", "depends on where it stands"),
        ("1 2", "missing binary operator"),
    ],
)
def test_an_error_says_why(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        judge(text, {})


def test_macros_that_grow_without_end_are_stopped() -> None:
    bomb = {"A0": Macro("A0", "1")} | {
        f"A{n}": Macro(f"A{n}", f"A{n - 1} + A{n - 1} + A{n - 1} + A{n - 1}") for n in range(1, 30)
    }
    with pytest.raises(ExpressionError, match="without end"):
        judge("A29", bomb)
