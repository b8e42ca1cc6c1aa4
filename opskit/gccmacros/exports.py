"""Macros as other tools read them: a C header, CMake, make, shell, Python, clangd."""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from opskit.gccmacros.macros import Macro
from opskit.gccmacros.numbers import number_of

PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def write_header(macros: Sequence[Macro], about: str, prefix: str) -> str:
    """A C header in which every macro yields to one that is already defined."""
    blocks = [
        f"#ifndef {prefix}{macro.name}\n# define {prefix}{macro.head} {macro.value}".rstrip(" ") + "\n#endif\n"
        for macro in macros
    ]
    return f"/* {_comment(about)} */\n" + "".join(blocks)


def write_cmake(macros: Sequence[Macro], about: str, prefix: str) -> str:
    """`set()` for each; in a quoted argument \\, " and $ are escaped (cmake-language(7))."""
    lines = [f'set({prefix}{macro.name} "{_cmake(macro.value)}")' for macro in macros]
    return f"# {_line(about)}\n" + "".join(f"{line}\n" for line in lines)


def write_make(macros: Sequence[Macro], about: str, prefix: str) -> str:
    lines = [f"{prefix}{macro.name} := {_make(macro.value)}".rstrip() for macro in macros]
    return f"# {_line(about)}\n" + "".join(f"{line}\n" for line in lines)


def write_shell(macros: Sequence[Macro], about: str, prefix: str) -> str:
    lines = [f"{prefix}{macro.name}={shlex.quote(macro.value)}" for macro in macros]
    return f"# {_line(about)}\n" + "".join(f"{line}\n" for line in lines)


def write_python(macros: Sequence[Macro], about: str, prefix: str) -> str:
    """Two dictionaries: every value as text, and those that are numbers as numbers."""
    table = {macro.name: macro for macro in macros}
    texts = {prefix + macro.name: macro.value for macro in macros}
    numbers = {prefix + m.name: number for m in macros if (number := number_of(m, table)) is not None}
    return f"# {_line(about)}\nMACROS = {_literal(texts)}\nNUMBERS = {_literal(numbers)}\n"


def write_clangd(macros: Sequence[Macro], about: str, prefix: str) -> str:
    """A .clangd that gives clangd another compiler's macros in place of its own (a JSON string is YAML)."""
    flags = ["-undef", "-Wno-builtin-macro-redefined", "-Wno-macro-redefined"]
    flags += [f"-D{prefix}{macro.head}={macro.value}" for macro in macros]
    lines = "".join(f"    - {json.dumps(flag, ensure_ascii=False)}\n" for flag in flags)
    return f"# {_line(about)}\nCompileFlags:\n  Add:\n{lines}"


Writer = Callable[[Sequence[Macro], str, str], str]
WRITERS: Mapping[str, Writer] = {
    "header": write_header,
    "cmake": write_cmake,
    "make": write_make,
    "shell": write_shell,
    "python": write_python,
    "clangd": write_clangd,
}
TAKE_FUNCTIONS = ("header", "clangd")


def write_as(form: str, macros: Sequence[Macro], about: str, prefix: str = "") -> tuple[str, tuple[str, ...]]:
    """The text in one of the forms, and the names that it cannot express: functions, and names with `$`."""

    def fits(macro: Macro) -> bool:
        if form in TAKE_FUNCTIONS:
            return True
        return macro.params is None and bool(PLAIN_NAME.fullmatch(macro.name))

    taken = [macro for macro in macros if fits(macro) and not macro.dynamic]
    left = tuple(macro.name for macro in macros if macro not in taken)
    return WRITERS[form](taken, about, prefix), left


def _comment(text: str) -> str:
    return _line(text).replace("*/", "* /")


def _line(text: str) -> str:
    return " ".join(text.split())


def _cmake(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")


def _make(value: str) -> str:
    return value.replace("$", "$$").replace("#", "\\#")


def _literal(table: Mapping[str, object]) -> str:
    return "{\n" + "".join(f"    {name!r}: {value!r},\n" for name, value in table.items()) + "}"
