"""`[index.name]`: a package index resolves what it should, and everything comes from where it should."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opskit import redact
from opskit.errors import Unable
from opskit.smoke.addresses import URL, check_url
from opskit.smoke.fields import Choice, Flag, Text, Texts, Wrong, key, required
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene, Unmet
from opskit.smoke.texts import Finding

if TYPE_CHECKING:
    from opskit.process import Finished

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Resolved:
    """A file that pip would install."""

    name: str
    version: str
    url: str
    hashed: bool
    yanked: bool


@dataclass(frozen=True)
class Check(BaseProbe):
    """What is required can be resolved from this index alone, as pip would; nothing is installed.

    `from` and `not-on` guard against dependency confusion: a public package that takes the place of a private
    one of the same name.
    """

    TYPE: ClassVar[str] = "index"
    EXAMPLE: ClassVar[str] = """\
[index.private]
index   = "http://127.0.0.1:8081/simple/"
require = ["acme-tools >= 1.4"]
from    = "http://127.0.0.1:8081/"
not-on  = "https://public-index.example/simple/"
timeout = "60s"
"""

    index: str = required(URL, "The simple index.")
    require: tuple[str, ...] = required(Texts(), "Requirements: `acme-tools >= 1.4`.")
    from_: tuple[str, ...] = key(Texts(check=check_url), "Every file must come from a URL that begins so.", ())
    not_on: tuple[str, ...] = key(
        Texts(check=check_url), "Indexes on which the required names must not be: a public one.", ()
    )
    extra_index: tuple[str, ...] = key(Texts(check=check_url), "Further indexes that pip is given.", ())
    hashes: bool = key(Flag(), "Every file must have a hash. [true]", True)
    yanked: bool = key(Flag(), "Whether yanked files may be taken. [false]", False)
    dependencies: bool = key(Flag(), "Resolve also what these require. [true]", True)
    only_binary: bool = key(Flag(), "Take wheels only, so that nothing is built. [true]", True)
    python: str = key(Text("a version"), "Resolve for this version of Python: `3.12`.", "")
    client: str = key(Choice(("pip",)), "[pip]", "pip")

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        for index, requirement in enumerate(read.get("require", ())):
            if not _NAME.match(requirement.strip()):
                wrong((*path, "require", index), f'"{requirement}" is no requirement', 'write "name >= 1.0"')
        if "python" in read and not re.fullmatch(r"\d+(\.\d+){0,2}", read["python"]):
            wrong((*path, "python"), "not a version of Python", 'python = "3.12"')
        if read.get("python") and not read.get("only-binary", True):
            wrong((*path, "python"), "another Python's packages can only be wheels", key=True)

    def target(self) -> str:
        return redact.url(self.index)

    def look(self, scene: Scene) -> Observation:
        self._reach(scene)
        done = self._pip(scene)
        if done.code != 0:
            complaint = _complaint(done.error_text)
            findings = [Finding("resolution", False, ", ".join(self.require), complaint)]
            return Observation((*findings, *self._elsewhere(scene)), excerpt=done.error_text)
        found = _resolved(done.text)
        findings = [*self._judged(found), *self._elsewhere(scene)]
        files = [{"name": each.name, "version": each.version, "url": redact.url(each.url)} for each in found]
        return Observation(tuple(findings), data={"files": files})

    def _reach(self, scene: Scene) -> None:
        """Whether the index answers at all, in better words than pip's and without its retries."""
        from opskit.smoke.checks.http import Check as Http

        seen = Http(url=self.index, follow=True).look(scene)
        for finding in seen.findings:
            if not finding.good:
                raise Unmet(f"the index to answer with {finding.expected}", finding.actual, seen.excerpt)

    def _pip(self, scene: Scene) -> "Finished":
        host = re.sub(r".*@", "", self.index.split("/")[2])
        argv = [
            sys.executable, "-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check",
            "--no-cache-dir", "install", "--dry-run", "--ignore-installed", "--quiet",
            "--retries", "0", "--report", "-",
            "--index-url", self.index,
        ]  # fmt: skip
        argv += ["--trusted-host", host] if self.index.startswith("http:") else []
        for extra in self.extra_index:
            argv += ["--extra-index-url", extra]
            argv += ["--trusted-host", extra.split("/")[2]] if extra.startswith("http:") else []
        argv += [] if self.dependencies else ["--no-deps"]
        argv += ["--only-binary", ":all:"] if self.only_binary else []
        argv += ["--python-version", self.python, "--target", "/nonexistent"] if self.python else []
        try:
            return scene.tools.runner.run([*argv, *self.require], timeout=scene.left)
        except Unable as error:
            if error.code == "program_timeout":
                raise Unmet(f"a resolution within {scene.timeout:g} s", "pip still worked at it") from error
            raise CannotTell(error.message, hint="this Python needs pip", lasting=True) from error

    def _judged(self, found: list[Resolved]) -> Iterator[Finding]:
        words = ", ".join(f"{each.name} {each.version}" for each in found)
        yield Finding("resolution", bool(found), ", ".join(self.require), words or "nothing")
        for each in found:
            if self.from_:
                good = any(each.url.startswith(place) for place in self.from_)
                yield Finding(f"origin of {each.name}", good, " or ".join(self.from_), redact.url(each.url))
            if self.hashes:
                yield Finding(f"hash of {each.name}", each.hashed, "there", "there" if each.hashed else "none")
            if not self.yanked:
                yield Finding(
                    f"state of {each.name}", not each.yanked, "not yanked", "yanked" if each.yanked else "so"
                )

    def _elsewhere(self, scene: Scene) -> Iterator[Finding]:
        """A name that is ours must not be somebody else's on a public index. Raises CannotTell."""
        from opskit.smoke.checks.http import Check as Http

        for place in self.not_on:
            for requirement in self.require:
                match = _NAME.match(requirement.strip())
                name = re.sub(r"[-_.]+", "-", match[0] if match else requirement).lower()
                try:
                    seen = Http(url=f"{place.rstrip('/')}/{name}/", follow=True).look(scene)
                except Unmet as unmet:
                    raise CannotTell(f"cannot ask {redact.url(place)} for {name}: {unmet.actual}") from unmet
                status = int(seen.data["status"])
                if status not in (200, 404, 410):
                    raise CannotTell(f"{redact.url(place)} answers {status} for {name}")
                there = "there" if status == 200 else "not there"
                yield Finding(f"{name} on {redact.url(place)}", status != 200, "not there", there)


def _resolved(text: str) -> list[Resolved]:
    """pip's report: https://pip.pypa.io/en/stable/reference/installation-report/."""
    try:
        items = json.loads(text)["install"]
        return [
            Resolved(
                each["metadata"]["name"], each["metadata"]["version"], each["download_info"]["url"],
                bool(each["download_info"].get("archive_info", {}).get("hashes")), bool(each.get("is_yanked")),
            )
            for each in items
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise CannotTell("pip printed no report", hint="pip 22.2 or newer is needed", lasting=True) from error


def _complaint(stderr: str) -> str:
    """What pip says at the end; a missing pip is no verdict about the index."""
    if "No module named pip" in stderr:
        raise CannotTell("this Python has no pip", hint="python -m ensurepip", lasting=True)
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[-1] if errors else (stderr.strip().splitlines() or ["pip failed and said nothing"])[-1]
