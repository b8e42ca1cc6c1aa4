"""Checks files for tests: written, run as a person runs them, and the results looked up by name."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.smoke.engine import Engine
from opskit.smoke.load import load
from opskit.smoke.model import Report, Result
from tests.command import Ran, opskit


@dataclass(frozen=True)
class Smoked:
    ran: Ran
    results: Mapping[str, Any]

    def status(self, check: str) -> str:
        return str(self.results[check]["status"])


def smoke(directory: Path, text: str, *options: str, env: Mapping[str, str] | None = None) -> Smoked:
    """`opskit smoke --json` on a file with this text."""
    file = directory / "checks.toml"
    file.write_text(text)
    ran = opskit("smoke", str(file), "--json", *options, env=env)
    checks = json.loads(ran.out)["data"].get("checks", [])
    return Smoked(ran, {check["id"]: check for check in checks})


def run(text: str, directory: Path, env: Mapping[str, str] | None = None) -> Report:
    """The same inside this process, for tests of one type."""
    file = directory / "checks.toml"
    file.write_text(text)
    checks, mistakes = load([str(file)], env or os.environ)
    assert [str(mistake) for mistake in mistakes] == []
    return Engine(checks).run()


def one(text: str, directory: Path) -> Result:
    """The result of a file with one check."""
    [result] = run(text, directory).results
    return result


def mistakes(text: str, directory: Path, env: Mapping[str, str] | None = None) -> list[tuple[int, int, str]]:
    """Line, column and problem of each mistake in a text."""
    file = directory / "checks.toml"
    file.write_text(text)
    return [(found.line, found.column, found.problem) for found in load([str(file)], env or {})[1]]
