"""For compilers that cannot list their macros: ask for every name that is known, one `#ifdef` each."""

import re
import tempfile
from pathlib import Path

from opskit.gccmacros.driver import Driver, Dump
from opskit.gccmacros.macros import Macro
from opskit.gccmacros.names import known_names
from opskit.gccmacros.spec import Spec

INCOMPLETE = "probed by name: macros that opskit does not know of are missing"


def probe(driver: Driver, spec: Spec) -> Dump:
    """The known names that are defined, from one start; function-like ones show their name as their value.

    The file is a real one in a directory of its own: such compilers often refuse standard input.
    Raises NoCompiler, CompilerFailed.
    """
    names = known_names()
    with tempfile.TemporaryDirectory(prefix="opskit-") as directory:
        file = Path(directory, "probe.cpp" if spec.lang == "c++" else "probe.c")
        file.write_text("".join(_question(index, name) for index, name in enumerate(names)))
        done = driver.ask(spec, (*spec.words, "-E", str(file)))
    found = re.findall(r"^\s*opskit_macro_(\d+)_ ?(.*?)\s*$", done.text, re.MULTILINE)
    macros = tuple(Macro(names[int(index)], value) for index, value in found)
    raw = "".join(f"{macro.line}\n" for macro in macros).encode()
    return Dump(spec, done.argv, raw, (*driver.warnings(spec, done), INCOMPLETE), macros)


def _question(index: int, name: str) -> str:
    return f"#ifdef {name}\nopskit_macro_{index}_ {name}\n#endif\n"
