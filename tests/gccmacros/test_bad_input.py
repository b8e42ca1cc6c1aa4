"""Compilers that are missing, fail, hang or lie, and senseless calls: what is said, and the exit code."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from opskit.gccmacros.families import debian_package
from tests.command import Ran, opskit
from tests.gccmacros.compilers import fake, in_path
from tests.programs import need


def with_fake(tmp_path: Path, body: str, *args: str, name: str = "gcc") -> Ran:
    fake(tmp_path, name, body)
    return opskit("gccmacros", *args, env=in_path(tmp_path))


def test_a_missing_cross_compiler_has_its_package_named() -> None:
    ran = opskit("gccmacros", "--cc", "alpha-linux-gnu-gcc")
    assert ran.code == 3
    assert ran.err.startswith(
        "error: alpha-linux-gnu-gcc: no such compiler\nhint: apt install gcc-alpha-linux-gnu"
    )


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("arm-linux-gnueabihf-g++", "g++-arm-linux-gnueabihf"),
        ("x86_64-linux-gnux32-gcc", "gcc-x86-64-linux-gnux32"),
        ("riscv64-linux-gnu-gcc-12", "gcc-12-riscv64-linux-gnu"),
        ("avr-gcc", "gcc-avr"),
        ("clang-19", "clang-19"),
        ("clang++-14", "clang-14"),
        ("tcc", "tcc"),
        ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64"),
        ("nosuch", ""),
        ("foo-gcc", ""),
    ],
)
def test_debian_packages_are_known_by_name(program: str, package: str) -> None:
    assert debian_package(program) == package


def test_near_names_are_offered(tmp_path: Path) -> None:
    fake(tmp_path, "sparc-elf-gcc", "true")
    ran = opskit("gccmacros", "--cc", "sparc-elf-gc", env=in_path(tmp_path))
    assert ran.code == 3
    assert "found on this machine: sparc-elf-gcc" in ran.err


def test_a_wrapper_does_not_hide_a_missing_compiler() -> None:
    ran = opskit("gccmacros", "--cc", "env gcc-99")
    assert ran.code == 3
    assert "gcc-99: no such compiler" in ran.err


def test_the_message_of_a_failing_compiler_is_shown() -> None:
    need("gcc")
    ran = opskit("gccmacros", "--json", "--", "-march=haswel")
    assert ran.code == 4
    assert ran.json["status"] == "error"
    assert ran.json["errors"][0]["code"] == "compiler_failed"
    assert "bad value 'haswel' for '-march='" in ran.err
    assert "near 'haswel' it knows: haswell" in ran.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--", "-fnosuchflag"), "unrecognized command-line option '-fnosuchflag'"),
        (("--lang", "bogus"), "language bogus not recognized"),
        (("--std", "c98"), "unrecognized command-line option '-std=c98'"),
    ],
)
def test_other_errors_of_gcc(args: tuple[str, ...], said: str) -> None:
    need("gcc")
    ran = opskit("gccmacros", *args)
    assert (ran.code, ran.out) == (4, "")
    assert said in ran.err


def test_a_missing_front_end_has_its_package_named(tmp_path: Path) -> None:
    body = "echo \"gcc: fatal error: cannot execute 'cc1obj': execvp: No such file or directory\" >&2; exit 1"
    ran = with_fake(tmp_path, body, "--lang", "objc")
    assert ran.code == 4
    assert "hint: its part for objective-c is missing: apt install gobjc" in ran.err


def test_a_compiler_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    ran = with_fake(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid; wait", "--timeout", "500ms")
    assert time.monotonic() - started < 10
    assert ran.code == 4
    assert "did not end within 0.5 s" in ran.err
    assert "--timeout" in ran.err
    pid = (tmp_path / "pid").read_text().strip()
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_compiler_that_never_stops_writing_is_ended(tmp_path: Path) -> None:
    ran = with_fake(tmp_path, "yes '#define A'")
    assert ran.code == 4
    assert "does not stop writing" in ran.err


@pytest.mark.parametrize("body", ["head -c 5000 /dev/urandom", "echo hello", "true", "cat /bin/ls | head -c 4000"])
def test_rubbish_is_no_dump(body: str, tmp_path: Path) -> None:
    ran = with_fake(tmp_path, body)
    assert (ran.code, ran.out) == (4, "")
    assert "printed no macros" in ran.err
    assert "--probe-names" in ran.err


def test_a_message_that_is_not_utf8_and_steers_terminals(tmp_path: Path) -> None:
    ran = with_fake(tmp_path, r"printf 'bad \377\376 \033[31mred\033[0m \033]0;title\007 \r end\n' >&2; exit 7")
    assert ran.code == 4
    assert "failed with exit status 7" in ran.err
    assert "\x1b" not in ran.err
    assert "\x07" not in ran.err
    assert "red" in ran.err


def test_a_compiler_that_dies_of_a_signal(tmp_path: Path) -> None:
    ran = with_fake(tmp_path, "kill -SEGV $$")
    assert ran.code == 4
    assert "failed with signal 11" in ran.err
    assert "it gave no reason" in ran.err


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "gcc"
    path.write_text("not a program")
    path.chmod(0o755)
    ran = opskit("gccmacros", "--cc", str(path))
    assert ran.code == 4
    assert "cannot run" in ran.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--category", "nosuch"), "there is no category 'nosuch'"),
        (("--grep", "("), "is not a regular expression"),
        (("--cc", "gcc 'open"), "cannot read the compiler"),
        (("--cc=-m32",), "names no compiler"),
        (("--csv", "--markdown"), "--csv and --markdown exclude each other"),
        (("--timeout", "0"), "lets no compiler answer"),
        (("--timeout", "soon"), "is not a duration"),
        (("-O2",), "-O2 is a flag of the compiler"),
        (("-m32",), "-m32 is a flag of the compiler"),
        (("--", "stray.c"), "'stray.c' is not a flag"),
        (("dff",), "no such command 'dff'. Did you mean 'diff'"),
        (("diff", "gcc"), "only one thing to compare"),
        (("diff", "gcc", "gcc", "--only", "new"), "there is no kind 'new'"),
        (("which", "9AVX"), "cannot be the name of a macro"),
        (("where", "A-B"), "cannot be the name of a macro"),
        (("where", "A", "--header", 'x"y'), "is not a header"),
        (("where", "A", "--header", "x>\n#error"), "is not a header"),
        (("eval",), "missing argument"),
        (("eval", "1\n#error"), "a line break or control character"),
        (("eval", "1 # 2"), "'#' would begin another directive"),
        (("eval", "'a"), "a quote is not closed"),
        (("eval", ""), "there is nothing in it"),
        (("eval", "1 /* 2"), "a comment would hide"),
        (("eval", "1 // 2"), "a comment would hide"),
        (("eval", "1 \\"), "it ends in a backslash"),
        (("eval", 'R"(1'), "a quote is not closed"),
        (("eval", "--from", "no-such-file", "1"), "cannot read no-such-file: No such file or directory"),
        (("header", "--as", "toml"), "there is no form 'toml'"),
        (("header", "--prefix", "a-b"), "cannot begin a name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_call_that_makes_no_sense_is_a_usage_error(args: tuple[str, ...], said: str) -> None:
    ran = opskit("gccmacros", *args)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "hint: " in ran.err


def test_a_full_disk_is_said() -> None:
    need("gcc")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "opskit", "gccmacros"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert done.stderr.startswith("error: cannot write to standard output")


@pytest.mark.parametrize("args", ["", "list", "which __AVX2__ --cc tcc", "diff gcc clang"])
def test_a_reader_may_go_away(args: str) -> None:
    for program in ("gcc", "clang", "tcc"):
        need(program)
    done = subprocess.run(
        f"{sys.executable} -m opskit gccmacros {args} | head -1", shell=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
