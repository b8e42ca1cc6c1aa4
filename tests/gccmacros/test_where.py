"""Origins: every define of real headers against the line that really holds it, and made-up worst cases."""

import re
import subprocess
from pathlib import Path

import pytest

from opskit.gccmacros.origins import read_events, surviving
from opskit.gccmacros.spec import parse_spec
from tests.command import opskit
from tests.gccmacros.compilers import driver
from tests.programs import need


def logical_line(lines: list[str], number: int) -> str:
    """A line of a file with what its backslashes join to it."""
    text = lines[number - 1]
    while text.endswith("\\"):
        number += 1
        text = text[:-1] + lines[number - 1]
    return text


@pytest.mark.parametrize("compiler", ["gcc", "clang", "aarch64-linux-gnu-gcc"])
@pytest.mark.parametrize("header", ["stdio.h", "limits.h", "stdint.h"])
def test_every_define_of_a_header_is_where_it_is_said_to_be(compiler: str, header: str) -> None:
    need(compiler)
    spec = parse_spec(compiler)
    printed = driver().ask(spec, spec.stdin_argv("-dD"), f"#include <{header}>\n".encode()).text
    events = [event for event in read_events(printed) if event.place.kind == "file"]
    assert len(events) > 50
    for event in events:
        line = logical_line(Path(event.place.file).read_text().splitlines(), event.place.line)
        directive = "define" if event.macro else "undef"
        assert re.search(rf"^\s*#\s*{directive}\s+{re.escape(event.name)}\b", line), (event, line)
        for place in event.chain:
            if place.file not in ("<stdin>", "<built-in>", "<command-line>"):
                includer = Path(place.file).read_text().splitlines()[place.line - 1]
                assert re.search(r"#\s*include", includer), (event, includer)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_what_survives_is_what_a_dump_lists(compiler: str) -> None:
    need(compiler)
    spec = parse_spec(compiler, flags=["-DA=1", "-Ulinux"])
    source = b"#include <stdio.h>\n#undef EOF\n"
    traced = driver().ask(spec, spec.stdin_argv("-dD"), source).text
    dumped = driver().ask(spec, spec.stdin_argv("-dM"), source).text
    assert {macro.line for macro in surviving(read_events(traced)).values()} == set(dumped.splitlines())


def test_redefinitions_undefs_and_chains_are_exact(tmp_path: Path) -> None:
    need("gcc")
    (tmp_path / "inner.h").write_text(
        "\n\n\n#undef LIMIT\n/* two\n lines */ #define NOT 1\n#define LIMIT \\\n  3\n"
    )
    (tmp_path / "outer.h").write_text(
        '#define LIMIT 2\n/* a\n comment */\n#include "inner.h"\n\n#define AFTER 1\n'
    )
    ran = opskit(
        "gccmacros", "where", "LIMIT", "--header", f"{tmp_path}/outer.h", "--json", "--", "-DLIMIT=1", "-w"
    )
    assert ran.code == 0
    told = [
        (
            e["event"],
            e["kind"],
            Path(e["file"]).name,
            e["line"],
            e["value"],
            [c["line"] for c in e["included_from"]],
        )
        for e in ran.data["events"]
    ]
    assert told == [
        ("define", "command-line", "<command-line>", None, "1", []),
        ("undef", "file", "outer.h", 1, None, [1]),
        ("define", "file", "outer.h", 1, "2", [1]),
        ("undef", "file", "inner.h", 4, None, [4, 1]),
        ("define", "file", "inner.h", 7, "3", [4, 1]),
    ] or told == [
        ("define", "command-line", "<command-line>", None, "1", []),
        ("define", "file", "outer.h", 1, "2", [1]),
        ("undef", "file", "inner.h", 4, None, [4, 1]),
        ("define", "file", "inner.h", 7, "3", [4, 1]),
    ]  # fmt: skip


def test_the_kinds_of_places_are_told_apart() -> None:
    need("gcc")
    assert "  <built-in>  defined as 1" in opskit("gccmacros", "where", "__x86_64__").out
    assert "  <command-line>  defined as 7" in opskit("gccmacros", "where", "X", "--", "-DX=7").out
    undefined = opskit("gccmacros", "where", "linux", "--", "-Ulinux")
    assert "<command-line>  undefined" in undefined.out
    assert undefined.out.endswith("not defined in the end\n")
    assert "built into the compiler" in opskit("gccmacros", "where", "__FILE__").out
    assert "stdc-predef.h:" in opskit("gccmacros", "where", "__STDC_IEC_559__").out


def test_a_name_that_nothing_defines_has_its_headers_named() -> None:
    need("gcc")
    ran = opskit("gccmacros", "where", "SIGKILL")
    assert (ran.code, ran.out) == (1, "")
    assert "nothing defines SIGKILL with gcc" in ran.err
    hint = re.search(r"--header (\S+)", ran.err)
    assert hint
    included = subprocess.run(
        ["gcc", "-E", "-dM", "-include", "signal.h", "-xc", "/dev/null"], capture_output=True, text=True
    )
    assert "SIGKILL" in included.stdout
    assert opskit("gccmacros", "where", "OPSKIT_NOWHERE").code == 1


def test_a_header_that_is_not_there_is_the_compilers_failure() -> None:
    need("gcc")
    ran = opskit("gccmacros", "where", "A", "--header", "no/such.h")
    assert ran.code == 4
    assert "no/such.h: No such file or directory" in ran.err
