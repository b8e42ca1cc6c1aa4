"""The macros of a compiler in a file: what it is, how it was called, sorted and without dates.

The same compiler, flags and environment give the same bytes, so that two files can be compared by any diff.
"""

import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.errors import Misuse, os_reason
from opskit.gccmacros.driver import Driver, Dump, printable
from opskit.gccmacros.families import OTHER, recognise
from opskit.gccmacros.identity import identify
from opskit.gccmacros.macros import Macro
from opskit.gccmacros.names import DYNAMIC
from opskit.gccmacros.origins import read_events, surviving
from opskit.gccmacros.spec import Spec, parse_spec

SCHEMA = "opskit-macros/1"
# What changes a compiler's view without standing on its command line.
ENVIRONMENT = (
    "CCC_OVERRIDE_OPTIONS", "CL", "COMPILER_PATH", "CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH",
    "GCC_EXEC_PREFIX", "INCLUDE", "OBJC_INCLUDE_PATH", "SDKROOT", "SOURCE_DATE_EPOCH", "_CL_",
)  # fmt: skip
# Flags that load or start a program of someone's choice; a file may not bring them.
RUNS_CODE = re.compile(
    r"@.*|-fplugin.*|-wrapper.*|--?specs.*|-B.*|-load.*|-Xclang|-fpass-plugin.*|-Wp,.*|-X.*|--config.*|-no-integrated.*|"
    r"-fuse-ld.*|-ld-path.*|--gcc-toolchain.*|-ccc-.*|-fmodule.*|-o.*|-M[DFMQTGP].*|-save-temps.*|-dump.*|-fdump.*|-Fo.*|/F.*"
)
WRAPPERS = ("ccache", "sccache", "distcc", "icecc")


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot file holds. `native`: the words that -march=native and its kin stood for."""

    compiler: dict[str, str]
    command: tuple[str, ...]
    lang: str
    environment: dict[str, str]
    native: tuple[str, ...]
    dynamic: tuple[str, ...]
    macros: tuple[Macro, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        return self.command[1:]

    def table(self) -> dict[str, Macro]:
        return {macro.name: macro for macro in self.macros}

    @property
    def label(self) -> str:
        return shlex.join(self.command)

    def to_json(self) -> str:
        """The bytes of the file: keys and macros sorted, one macro to a line."""
        head = {
            "schema": SCHEMA,
            "compiler": self.compiler,
            "lang": self.lang,
            "command": list(self.command),
            "environment": self.environment,
            "native": list(self.native),
            "dynamic": sorted(self.dynamic),
        }
        lines = [
            "    " + json.dumps({"name": m.name, "params": m.params, "value": m.value}, ensure_ascii=False)
            for m in sorted(self.macros, key=lambda macro: macro.name)
        ]
        text = json.dumps(head, indent=2, ensure_ascii=False)
        return text.removesuffix("\n}") + ',\n  "macros": [\n' + ",\n".join(lines) + "\n  ]\n}\n"


def take(driver: Driver, spec: Spec) -> tuple[Snapshot, tuple[str, ...]]:
    """A snapshot and the compiler's warnings, from one start. Raises NoCompiler, CompilerFailed."""
    if not (spec.family.traces and spec.family.verbose):
        dump = driver.dump(spec)
        return _snapshot(spec, dump.macros, "", ()), dump.warnings
    done = driver.ask(spec, spec.stdin_argv("-dD", *spec.family.verbose), ask_dynamic().encode())
    macros = tuple(surviving(read_events(done.text)).values())
    if not macros:
        driver.dump(spec)
    return _snapshot(spec, macros, printable(done.error_text), read_dynamic(done.text)), driver.warnings(
        spec, done
    )


def _snapshot(spec: Spec, macros: tuple[Macro, ...], verbose: str, dynamic: tuple[str, ...]) -> Snapshot:
    import shutil

    path = shutil.which(spec.program) or spec.program
    name, version = identify(macros)
    target = re.search(r"^Target: (\S+)", verbose, re.MULTILINE)
    compiler = {
        "name": name,
        "version": version,
        "target": target[1] if target else "",
        "path": path,
        "real_path": str(Path(path).resolve()),
    }
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return Snapshot(compiler, spec.words, spec.lang, environment, _native(spec, verbose), dynamic, macros)


def _native(spec: Spec, verbose: str) -> tuple[str, ...]:
    """What the driver handed to the compiler proper in place of `native`."""
    if not any(word.endswith("=native") for word in spec.words):
        return ()
    line = next((row for row in verbose.splitlines() if re.match(r'\s+"?\S*(cc1\w*|clang\S*)"? ', row)), "")
    try:
        words = shlex.split(line)
    except ValueError:
        return ()
    given = set(spec.words)
    pairs = zip(words, [*words[1:], ""], strict=False)
    found: list[str] = []
    for word, following in pairs:
        if word in ("--param", "-target-cpu", "-target-feature"):
            found += [word, following]
        elif (
            word.startswith("-m")
            and word not in given
            and not word.startswith(("-mrelocation", "-main-file", "-mframe", "-mllvm", "-mconstructor"))
        ):
            found.append(word)
    return tuple(found)


def ask_dynamic() -> str:
    """A file that tells which of the macros that no dump lists are defined."""
    return "".join(f"#ifdef {name}\nopskit_dynamic {index}\n#endif\n" for index, name in enumerate(DYNAMIC))


def read_dynamic(printed: str) -> tuple[str, ...]:
    found = re.findall(r"^opskit_dynamic (\d+)$", printed, re.MULTILINE)
    return tuple(DYNAMIC[int(index)] for index in found)


def read_snapshot(path: str) -> Snapshot:
    """A snapshot file. Raises Misuse for anything else, and for flags that could run code."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Misuse(f"cannot read {path}: {os_reason(error)}", hint="give the name of a snapshot file") from error
    except (ValueError, RecursionError) as error:
        raise _no_snapshot(path, f"it is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _no_snapshot(path, f"its schema is not {SCHEMA}")
    try:
        snapshot = _read(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_snapshot(path, f"{type(error).__name__} at {error}") from error
    for flag in snapshot.flags:
        if RUNS_CODE.fullmatch(flag):
            raise Misuse(
                f"{path} holds the flag {printable(flag)}, which could run code or write files",
                hint="take the snapshot again without it",
            )
    return snapshot


def _read(document: dict[str, Any]) -> Snapshot:
    def words(key: str) -> tuple[str, ...]:
        return tuple(_word(word) for word in document[key])

    def table(key: str) -> dict[str, str]:
        return {_word(name): _word(value) for name, value in document[key].items()}

    macros = tuple(
        Macro(
            _name(entry["name"]),
            _word(entry["value"]),
            None if entry["params"] is None else _word(entry["params"]),
        )
        for entry in document["macros"]
    )
    command = words("command")
    if not command:
        raise ValueError("an empty command")
    return Snapshot(
        table("compiler"),
        command,
        _word(document["lang"]),
        table("environment"),
        words("native"),
        words("dynamic"),
        macros,
    )


def _word(value: object) -> str:
    if not isinstance(value, str) or "\n" in value:
        raise ValueError(f"{value!r:.40}, which is not one line of text")
    return value


def _name(value: object) -> str:
    name = _word(value)
    if not re.fullmatch(r"(?!\d)[\w$]+", name):
        raise ValueError(f"{name!r:.40}, which is no name")
    return name


def ask_again(driver: Driver, snapshot: Snapshot, path: str) -> tuple[Snapshot, tuple[str, ...]]:
    """What the compiler of a snapshot says now, and its warnings.

    A file does not choose which program runs: only a compiler known by name, from PATH, is started.
    Raises Misuse, NoCompiler, CompilerFailed.
    """
    family, _ = recognise(snapshot.command)
    program = snapshot.command[0]
    if "/" in program or family is OTHER or (program not in WRAPPERS and recognise([program])[0] is OTHER):
        raise Misuse(
            f"{path} names the program {printable(program)}, which is not a compiler known by name",
            hint=f"if you trust it: opskit gccmacros diff {shlex.quote(path)} {shlex.quote(snapshot.label)}",
        )
    return take(driver, parse_spec(snapshot.label, lang=snapshot.lang))


def _no_snapshot(path: str, reason: str) -> Misuse:
    return Misuse(f"{path} is not a snapshot: {reason}", hint="make one: opskit gccmacros snapshot -o FILE")


def with_dynamic(driver: Driver, spec: Spec) -> Dump:
    """A dump whose macros include those that no dump lists, from one start of the compiler."""
    done = driver.ask(spec, spec.stdin_argv("-dD"), ask_dynamic().encode())
    macros = tuple(surviving(read_events(done.text)).values())
    dynamic = tuple(Macro(name, "", dynamic=True) for name in read_dynamic(done.text))
    raw = "".join(f"{macro.line}\n" for macro in (*macros, *dynamic)).encode()
    return Dump(spec, done.argv, raw, driver.warnings(spec, done), (*macros, *dynamic))
