"""`[macro.name]`: a compiler defines a macro, and as what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from opskit.errors import OpskitError
from opskit.smoke.fields import Flag, Text, TextMatch, Texts, Wrong, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene
from opskit.smoke.texts import Finding, TextTest


@dataclass(frozen=True)
class Check(BaseProbe):
    """A predefined macro of a C or C++ compiler: that a build host has the compiler that you think."""

    TYPE: ClassVar[str] = "macro"
    EXAMPLE: ClassVar[str] = """\
[macro.lp64]
macro  = "__SIZEOF_POINTER__"
equals = "8"

[macro.avx2]
compiler = "gcc"
flags    = ["-march=x86-64-v3"]
macro    = "__AVX2__"
"""

    macro: str = required(Text("a name"), "The name of the macro.")
    compiler: str = key(Text("a command"), "As $CC has it: `gcc -m32`. [$CC, gcc]", "")
    flags: tuple[str, ...] = key(Texts(), "Flags for it.", ())
    language: str = key(Text("a language"), "c, c++ … [by the compiler's name]", "")
    equals: TextTest | None = key(TextMatch(), "What it must be defined as; or a table of tests.")
    undefined: bool = key(Flag(), "It must not be defined.", False)

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        if read.get("undefined") and "equals" in read:
            wrong((*path, "equals"), "what is not defined equals nothing", key=True)

    def target(self) -> str:
        return f"{self.macro} of {self.compiler or '$CC'}"

    def look(self, scene: Scene) -> Observation:
        from opskit.gccmacros.driver import Driver
        from opskit.gccmacros.spec import default_compiler, parse_spec

        try:
            spec = parse_spec(
                self.compiler or default_compiler(self.language), lang=self.language, flags=self.flags
            )
            dump = Driver(scene.tools.runner, timeout=scene.left).dump(spec)
        except OpskitError as error:
            raise CannotTell(error.message, hint=error.hint, lasting=True) from error
        macro = next((each for each in dump.macros if each.name == self.macro), None)
        expected = "not defined" if self.undefined else "defined"
        there = "defined" if macro else "not defined"
        findings = [Finding(self.macro, there == expected, expected, there)]
        if macro is not None and self.equals is not None:
            findings += self.equals.findings(self.macro, macro.value)
        return Observation(tuple(findings), data={"value": macro.value if macro else None})
