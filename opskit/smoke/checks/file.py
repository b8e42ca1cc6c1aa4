"""`[file.name]`: a file or directory, and what it must be like."""

import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, ClassVar

from opskit import conditions
from opskit.conditions import Condition, Kind
from opskit.errors import os_reason
from opskit.smoke.fields import Choice, Flag, JsonTests, Limit, Text, TextMatch, Wrong, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation, keys_of
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene
from opskit.smoke.texts import Finding, JsonTest, TextTest

MOST_READ = 4 * 2**20  # bytes that tests of texts may want from one file
KINDS: Mapping[str, Callable[[int], bool]] = {
    "file": stat.S_ISREG, "directory": stat.S_ISDIR, "link": stat.S_ISLNK, "socket": stat.S_ISSOCK,
    "fifo": stat.S_ISFIFO, "device": lambda mode: stat.S_ISBLK(mode) or stat.S_ISCHR(mode),
}  # fmt: skip


@dataclass(frozen=True)
class Check(BaseProbe):
    """A file is there. `free` is of the file system that it is on."""

    TYPE: ClassVar[str] = "file"
    EXAMPLE: ClassVar[str] = """\
[file.config]
path     = "/etc/app/app.toml"
mode     = "0640"
owner    = "root"
contains = { lacks = "password = \\"changeme\\"" }

[file.backup]
path = "/var/backups/db.dump"
age  = "< 26h"
size = "> 1MB"

[file.disk]
path = "/srv"
free = "> 5GiB"
"""

    path: str = required(Text("a path"), "The file.")
    exists: bool = key(Flag(), "false: it must not be there. [true]", True)
    kind: str = key(Choice(tuple(KINDS)), "What it must be; `link` does not look behind it.", "")
    mode: str = key(Text("octal", pattern="^0?[0-7]{3,4}$"), 'Its permissions: `"0640"`.', "")
    owner: str = key(Text("a name"), "Who owns it.", "")
    group: str = key(Text("a name"), "The group that it belongs to.", "")
    size: Condition | None = key(Limit(Kind.SIZE), "Its bytes.")
    age: Condition | None = key(Limit(Kind.DURATION), "How long ago it was changed.")
    contains: TextTest | None = key(TextMatch(bare_contains=True), "What it must contain; or a table of tests.")
    json: tuple[JsonTest, ...] = key(JsonTests(), "What must be at a path of its JSON.", ())
    toml: tuple[JsonTest, ...] = key(JsonTests(), "What must be at a path of its TOML.", ())
    sha256: str = key(Text("64 hex digits", pattern="^[0-9a-f]{64}$"), "Its hash.", "")
    free: Condition | None = key(Limit(Kind.SIZE), "Free bytes of its file system.")

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        import re

        also = set(read) & (set(keys_of(cls)) - {"path", "exists"})
        if read.get("exists") is False and also:
            wrong((*path, min(also)), "nothing can be asked of a file that must not be there", key=True)
        if "mode" in read and not re.fullmatch("0?[0-7]{3,4}", read["mode"]):
            wrong((*path, "mode"), "permissions are three or four octal digits", 'mode = "0640"')
        if "sha256" in read and not re.fullmatch("[0-9a-f]{64}", read["sha256"]):
            wrong((*path, "sha256"), "a SHA-256 has 64 hex digits")
        if "\0" in read.get("path", ""):
            wrong((*path, "path"), "a path cannot hold a NUL")

    def target(self) -> str:
        return self.path

    def look(self, scene: Scene) -> Observation:
        file = FilePath(self.path)
        try:
            facts = file.lstat() if self.kind == "link" else file.stat()
        except (FileNotFoundError, NotADirectoryError):
            expected = "there" if self.exists else "not there"
            return Observation((Finding("file", not self.exists, expected, "not there"),))
        except OSError as error:
            raise CannotTell(f"cannot look at {self.path}: {os_reason(error)}", lasting=True) from error
        if not self.exists:
            return Observation((Finding("file", False, "not there", "there"),))
        try:
            return Observation(tuple(self._judged(file, facts)), data={"size_bytes": facts.st_size})
        except OSError as error:
            raise CannotTell(f"cannot read {self.path}: {os_reason(error)}", lasting=True) from error

    def _judged(self, file: FilePath, facts: Any) -> Iterator[Finding]:
        yield Finding("file", True, "there", "there")
        if self.kind:
            kind = next((name for name, test in KINDS.items() if test(facts.st_mode)), "something else")
            yield Finding("kind", kind == self.kind, self.kind, kind)
        yield from self._rights(facts)
        if self.size is not None:
            shown = conditions.describe(facts.st_size, Kind.SIZE)
            yield Finding("size", self.size.holds(facts.st_size), str(self.size), shown)
        if self.age is not None:
            age = time.time() - facts.st_mtime
            yield Finding("age", self.age.holds(age), str(self.age), conditions.describe(age, Kind.DURATION))
        if self.free is not None:
            import shutil

            free = shutil.disk_usage(file).free
            yield Finding("free", self.free.holds(free), str(self.free), conditions.describe(free, Kind.SIZE))
        yield from self._content(file)

    def _rights(self, facts: Any) -> Iterator[Finding]:
        if self.mode:
            mode = f"{stat.S_IMODE(facts.st_mode):04o}"
            yield Finding("mode", int(mode, 8) == int(self.mode, 8), self.mode, mode)
        if self.owner:
            owner = _name("pwd", "getpwuid", "pw_name", facts.st_uid)
            yield Finding("owner", self.owner in (owner, str(facts.st_uid)), self.owner, owner)
        if self.group:
            group = _name("grp", "getgrgid", "gr_name", facts.st_gid)
            yield Finding("group", self.group in (group, str(facts.st_gid)), self.group, group)

    def _content(self, file: FilePath) -> Iterator[Finding]:
        if self.sha256:
            import hashlib

            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            yield Finding("sha256", digest == self.sha256, self.sha256, digest)
        if self.contains is None and not self.json and not self.toml:
            return
        with file.open("rb") as content:
            raw = content.read(MOST_READ + 1)
        if len(raw) > MOST_READ:
            raise CannotTell(f"{self.path} is larger than 4 MiB, too large for tests of its text", lasting=True)
        text = raw.decode("utf-8", "replace")
        if self.contains is not None:
            yield from self.contains.findings("content", text)
        yield from _document_findings("json", self.json, text)
        yield from _document_findings("toml", self.toml, text)


def _document_findings(form: str, tests: tuple[JsonTest, ...], text: str) -> Iterator[Finding]:
    import json
    import tomllib

    if not tests:
        return
    try:
        document = json.loads(text) if form == "json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        yield Finding(form, False, f"a file in {form.upper()}", f"none: {error}")
        return
    for test in tests:
        yield from test.findings(document, form)


def _name(module: str, function: str, attribute: str, number: int) -> str:
    """The name behind a user's or a group's number, or the number."""
    from importlib import import_module

    try:
        return str(getattr(getattr(import_module(module), function)(number), attribute))
    except (KeyError, ImportError):
        return str(number)
