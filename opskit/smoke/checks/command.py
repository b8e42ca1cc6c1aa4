"""`[command.name]`: a program, its exit code and what it prints."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opskit.conditions import Condition, Kind, equal_to
from opskit.errors import Unable
from opskit.smoke.fields import JsonTests, Limit, Schema, Text, TextMatch, Texts, TextTable, Wrong, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import MOST_TEXT, Scene, Unmet
from opskit.smoke.texts import Finding, JsonTest, TextTest

if TYPE_CHECKING:
    from opskit.process import Finished

ZERO = equal_to(0, Kind.COUNT)


@dataclass(frozen=True)
class CommandLine:
    """A list of words, or a string for the shell; read as words."""

    words: str = "a list of words, or a string for sh"

    def read(self, value: Any, path: Path, wrong: Wrong) -> tuple[str, ...]:
        if isinstance(value, list):
            return Texts().read(value, path, wrong)
        return ("/bin/sh", "-c", Text().read(value, path, wrong))

    def schema(self) -> Schema:
        return Texts().schema()


@dataclass(frozen=True)
class Check(BaseProbe):
    """A program ends well. It is ended, with what it started, when its time is over."""

    TYPE: ClassVar[str] = "command"
    EXAMPLE: ClassVar[str] = """\
[command.queue]
run    = ["./manage.py", "check", "--deploy"]
stdout = { lacks = "WARNING" }

[command.api]
run     = "hurl --test api.hurl"
timeout = "2m"
"""

    run: tuple[str, ...] = required(CommandLine(), "The program; as a list no shell comes between.")
    exit: Condition = key(Limit(Kind.COUNT), 'Its exit code: 0, [0, 2], `"< 3"`. [0]', ZERO)
    stdout: TextTest | None = key(TextMatch(bare_contains=True), "What it must print; or a table of tests.")
    stderr: TextTest | None = key(TextMatch(bare_contains=True), "The same for its errors.")
    json: tuple[JsonTest, ...] = key(JsonTests(), "What must be at a path of the JSON that it prints.", ())
    env: tuple[tuple[str, str], ...] = key(TextTable(), "Variables for its environment.", ())
    stdin: str = key(Text(), "What it reads.", "")

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        for name, value in read.get("env", ()):
            if not name or "=" in name or "\0" in name + value:
                wrong((*path, "env", name), "this cannot be a variable of an environment", key=True)
        if any("\0" in word for word in read.get("run", ())):
            wrong((*path, "run"), "a command line cannot hold a NUL")

    def target(self) -> str:
        return self.run[2] if self.run[:2] == ("/bin/sh", "-c") else shlex.join(self.run)

    def look(self, scene: Scene) -> Observation:
        done = self._run(scene)
        stdout, stderr = done.text[:MOST_TEXT], done.error_text[:MOST_TEXT]
        findings = tuple(self._judged(done.code, stdout, stderr))
        return Observation(findings, stderr.strip("\n") or stdout, {"exit": done.code})

    def _run(self, scene: Scene) -> "Finished":
        argv = (
            ["/usr/bin/env", *(f"{name}={value}" for name, value in self.env), *self.run] if self.env else self.run
        )
        try:
            return scene.tools.runner.run(argv, stdin=self.stdin.encode(), timeout=scene.left)
        except Unable as error:
            if error.code == "program_timeout":
                raise Unmet(f"an end within {scene.timeout:g} s", "it still ran and was ended") from error
            if error.code == "program_output":
                raise Unmet("an end", error.message) from error
            raise CannotTell(error.message, hint="is it installed, and in PATH?", lasting=True) from error

    def _judged(self, code: int, stdout: str, stderr: str) -> Iterator[Finding]:
        if code == 127 and self.run[:2] == ("/bin/sh", "-c") and "not found" in stderr:
            raise CannotTell(stderr.strip().splitlines()[-1], hint="is it installed, and in PATH?", lasting=True)
        shown = f"signal {-code}" if code < 0 else str(code)
        yield Finding("exit code", self.exit.holds(code), str(self.exit), shown)
        if self.stdout is not None:
            yield from self.stdout.findings("stdout", stdout)
        if self.stderr is not None:
            yield from self.stderr.findings("stderr", stderr)
        if self.json:
            yield from self._json(stdout)

    def _json(self, stdout: str) -> Iterator[Finding]:
        import json

        try:
            document = json.loads(stdout)
        except (ValueError, RecursionError) as error:
            yield Finding("json", False, "JSON on stdout", f"none: {error}")
            return
        for test in self.json:
            yield from test.findings(document)
