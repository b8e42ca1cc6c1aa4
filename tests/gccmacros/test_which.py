"""Which flag: the answers against the compiler itself."""

import re
import subprocess
from pathlib import Path

import pytest

from opskit.gccmacros.candidates import find_candidates
from opskit.gccmacros.spec import parse_spec
from tests.command import opskit
from tests.gccmacros.compilers import counting, driver, in_path, starts
from tests.programs import need


def value(compiler: str, flag: str, name: str) -> str | None:
    done = subprocess.run([compiler, flag, "-dM", "-E", "-x", "c", "/dev/null"], capture_output=True, text=True)
    found = re.search(rf"^#define {name} (.*)$", done.stdout, re.MULTILINE)
    return found[1] if found else None


def test_avx2_has_its_flag_first_and_the_architectures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting(tmp_path, need("gcc"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    ran = opskit("gccmacros", "which", "__AVX2__", "--json", env=in_path(tmp_path))
    assert ran.code == 0
    flags = [effect["flag"] for effect in ran.data["flags"]]
    assert flags[0] == "-mavx2"
    assert {"-march=haswell", "-march=x86-64-v3", "-march=znver2", "-mavx512f"} <= set(flags)
    assert "-march=x86-64-v2" not in flags
    assert all(value("gcc", flag, "__AVX2__") == "1" for flag in flags)
    assert len(starts(tmp_path)) == len(set(starts(tmp_path))), "a command line was run twice"
    assert ran.data["tried"] > 500
    assert list(here.iterdir()) == [], "a flag wrote a file"


@pytest.mark.parametrize(
    ("question", "flag", "effect"),
    [
        ("__FAST_MATH__", "-ffast-math", "defines"),
        ("__PIC__", "-fno-PIC", "undefines"),
        ("__STDC_VERSION__=199901L", "-std=c99", "changes"),
        ("_OPENMP", "-fopenmp", "defines"),
        ("__CHAR_UNSIGNED__", "-funsigned-char", "defines"),
        ("__code_model_large__", "-mcmodel=large", "defines"),
    ],
)
def test_flags_of_every_kind_are_found(question: str, flag: str, effect: str) -> None:
    need("gcc")
    found = {e["flag"]: e["effect"] for e in opskit("gccmacros", "which", question, "--json").data["flags"]}
    assert found.get(flag) == effect


def test_flags_that_are_tried_in_batches_change_nothing() -> None:
    """The rule that makes it fast: what is not expected to matter is only looked at in bulk."""
    need("gcc")
    spec = parse_spec("gcc")
    batched = find_candidates(driver(), spec, "X").batched
    assert len(batched) > 300
    plain = driver().dump(spec)
    for flag in batched[::12]:
        done = driver().attempt(spec, (*spec.words, flag, *spec.dump_argv[1:]))
        assert done.code != 0 or set(done.stdout.splitlines()) == set(plain.raw.splitlines()), flag


def test_a_cross_compiler_has_its_own_flags() -> None:
    need("aarch64-linux-gnu-gcc")
    ran = opskit("gccmacros", "which", "__ARM_FEATURE_SVE", "--cc", "aarch64-linux-gnu-gcc", "--json")
    assert "-mcpu=a64fx" in [effect["flag"] for effect in ran.data["flags"]]


def test_no_flag_is_an_answer_too() -> None:
    need("tcc")
    ran = opskit("gccmacros", "which", "NO_SUCH_MACRO", "--cc", "tcc")
    assert ran.code == 1
    assert "no flag changes that" in ran.out
    assert opskit("gccmacros", "which", "__LP64__", "--cc", "tcc").code == 0


def test_clang_names_its_flags_by_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("clang")
    monkeypatch.chdir(tmp_path)
    spec = parse_spec("clang")
    candidates = find_candidates(driver(), spec, "X")
    assert {"-mavx2", "-march=haswell", "-std=c99", "-O2", "-ffast-math"} <= set(candidates.single)
    assert "-std=c++17" not in candidates.single
    driver().attempt(spec, (*spec.words, *candidates.batched[:100], *spec.dump_argv[1:]))
    for flag in candidates.batched[::20]:
        driver().attempt(spec, (*spec.words, flag, *spec.dump_argv[1:]))
    assert list(tmp_path.iterdir()) == [], "a flag wrote a file"
