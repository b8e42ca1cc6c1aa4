"""Differences and snapshots: what is told apart, what stays the same, and what a file may not do."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.command import opskit
from tests.gccmacros.compilers import fake, in_path
from tests.programs import need


def dumped(command: str) -> dict[str, str]:
    argv = [*shlex.split(command), "-dM", "-E", "-x", "c", "/dev/null"]
    text = subprocess.run(argv, capture_output=True, text=True).stdout
    return {line.split(maxsplit=2)[1].partition("(")[0]: line for line in text.splitlines()}


@pytest.mark.parametrize("other", ["gcc -O2", "gcc -m32", "clang", "gcc -march=x86-64-v3", "gcc -std=c99"])
def test_two_sides_agree_with_their_dumps(other: str) -> None:
    need(other.split(maxsplit=1)[0])
    ran = opskit("gccmacros", "diff", "gcc", other, "--json")
    before, after = dumped("gcc"), dumped(other)
    kinds = {row["name"]: row["change"] for row in ran.data["differences"]}
    assert ran.code == 1
    assert kinds == {
        name: "added" if name not in before else "removed" if name not in after else "changed"
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }


def test_equal_sides_exit_0() -> None:
    need("gcc")
    ran = opskit("gccmacros", "diff", "gcc", "gcc -Wall")
    assert (ran.code, ran.out) == (0, "no difference\n")


def test_three_sides_and_the_text() -> None:
    need("gcc")
    ran = opskit("gccmacros", "diff", "gcc", "gcc -O2", "gcc -Os", "--category", "code")
    assert ran.code == 1
    assert "A  gcc\nB  gcc -O2\nC  gcc -Os\n" in ran.out
    assert "+ __OPTIMIZE_SIZE__\n    AB: (not defined)\n    C: 1\n" in ran.out
    two = opskit("gccmacros", "diff", "gcc", "gcc -O2")
    assert "- __NO_INLINE__  1\n+ __OPTIMIZE__  1\n" in two.out
    assert two.out.endswith("2 macros differ: 1 added, 1 removed\n")


def test_a_unified_diff_patches_one_dump_into_the_other(tmp_path: Path) -> None:
    need("gcc")
    ran = opskit("gccmacros", "diff", "-u", "gcc", "gcc -m32")
    (tmp_path / "dump").write_text("".join(f"{line}\n" for line in sorted(dumped("gcc").values())))
    subprocess.run(["patch", "-s", str(tmp_path / "dump")], input=ran.out, text=True, check=True)
    assert (tmp_path / "dump").read_text().splitlines() == sorted(dumped("gcc -m32").values())


def test_only_one_kind() -> None:
    need("gcc")
    rows = opskit("gccmacros", "diff", "gcc", "gcc -O2", "--only", "added", "--json").data["differences"]
    assert [row["name"] for row in rows] == ["__OPTIMIZE__"]


@pytest.mark.parametrize("compiler", ["gcc", "clang", "tcc", "aarch64-linux-gnu-gcc"])
def test_a_snapshot_is_stable_and_equals_its_compiler(compiler: str, tmp_path: Path) -> None:
    need(compiler)
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    for file in (one, two):
        assert opskit("gccmacros", "snapshot", "-o", str(file), "--cc", compiler).code == 0
    assert one.read_bytes() == two.read_bytes()
    document = json.loads(one.read_text())
    assert {m["name"] for m in document["macros"]} == dumped(compiler).keys()
    assert document["macros"] == sorted(document["macros"], key=lambda m: m["name"])
    assert opskit("gccmacros", "diff", str(one)).code == 0
    assert opskit("gccmacros", "diff", str(one), compiler).code == 0
    changed = opskit("gccmacros", "diff", str(one), f"{compiler} -DNEW=1")
    assert changed.code == 1
    assert "+ NEW  1" in changed.out


def test_native_is_resolved_and_the_environment_kept(tmp_path: Path) -> None:
    need("gcc")
    file = tmp_path / "native.json"
    ran = opskit(
        "gccmacros",
        "snapshot",
        "-o",
        str(file),
        "--",
        "-march=native",
        env={"CPATH": "/opt/x", "EDITOR": "vi"},
    )
    assert ran.code == 0
    document = json.loads(file.read_text())
    assert document["command"] == ["gcc", "-march=native"]
    assert any(word.startswith("-march=") for word in document["native"])
    assert "-march=native" not in document["native"]
    assert document["environment"]["CPATH"] == "/opt/x"
    assert "EDITOR" not in document["environment"]
    assert document["compiler"]["target"].startswith("x86_64")


def test_expressions_can_be_judged_from_a_snapshot_alone(tmp_path: Path) -> None:
    need("aarch64-linux-gnu-gcc")
    file = tmp_path / "arm.json"
    opskit("gccmacros", "snapshot", "-o", str(file), "--cc", "aarch64-linux-gnu-gcc")
    nowhere = {"PATH": str(tmp_path)}
    ran = opskit("gccmacros", "eval", "--from", str(file), "__ARM_ARCH >= 8", "defined __FILE__", env=nowhere)
    assert ran.code == 0, ran.err
    assert opskit("gccmacros", "eval", "--from", str(file), "defined __x86_64__", env=nowhere).code == 1


def snapshot_with(tmp_path: Path, **changes: Any) -> str:
    file = tmp_path / "shot.json"
    document = {
        "schema": "opskit-macros/1",
        "compiler": {},
        "lang": "c",
        "command": ["gcc"],
        "environment": {},
        "native": [],
        "dynamic": [],
        "macros": [{"name": "A", "params": None, "value": "1"}],
    }
    file.write_text(json.dumps({**document, **changes}))
    return str(file)


@pytest.mark.parametrize(
    "flag",
    [
        "-fplugin=./evil.so",
        "-wrapper",
        "@file",
        "-specs=evil",
        "--specs=evil",
        "-B/tmp/evil",
        "-Xclang",
        "-o/tmp/x",
    ],
)
def test_flags_that_run_code_are_refused(flag: str, tmp_path: Path) -> None:
    file = snapshot_with(tmp_path, command=["gcc", flag])
    for args in (("diff", file), ("diff", file, "gcc"), ("eval", "--from", file, "1")):
        ran = opskit("gccmacros", *args)
        assert (ran.code, ran.out) == (2, "")
        assert f"holds the flag {flag}, which could run code" in ran.err


@pytest.mark.parametrize("program", ["/tmp/evil/gcc", "evil", "sh", "./gcc"])
def test_a_snapshot_does_not_choose_the_program(program: str, tmp_path: Path) -> None:
    fake(tmp_path, "evil", f"touch {tmp_path}/ran")
    ran = opskit("gccmacros", "diff", snapshot_with(tmp_path, command=[program]), env=in_path(tmp_path))
    assert ran.code == 2
    assert "is not a compiler known by name" in ran.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "other/1"},
        {"macros": [{"name": "A B", "params": None, "value": ""}]},
        {"macros": 7},
        {"macros": [{"name": "A", "params": None, "value": "1\n#error"}]},
        {"command": []},
        {"command": [7]},
        {"lang": None},
        {"macros": [{}]},
        {"environment": []},
    ],
    ids=str,
)
def test_a_file_that_is_no_snapshot_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    ran = opskit("gccmacros", "eval", "--from", snapshot_with(tmp_path, **changes), "1")
    assert (ran.code, ran.out) == (2, "")
    assert "is not a snapshot" in ran.err


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100000])
def test_a_broken_file_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    ran = opskit("gccmacros", "diff", str(file), "gcc")
    assert ran.code == 2
    assert "is not a snapshot" in ran.err


def test_nothing_of_a_person_is_overwritten(tmp_path: Path) -> None:
    need("gcc")
    file = tmp_path / "mine.json"
    file.write_text("precious")
    ran = opskit("gccmacros", "snapshot", "-o", str(file))
    assert ran.code == 2
    assert "was not made by this" in ran.err
    assert file.read_text() == "precious"
    assert opskit("gccmacros", "snapshot", "-o", str(file), "--force").code == 0
    assert opskit("gccmacros", "snapshot", "-o", str(file)).code == 0
    assert opskit("gccmacros", "snapshot", "-o", str(tmp_path / "no/such/dir")).code == 3
