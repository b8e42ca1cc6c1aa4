"""`{site}` and `{env.TOKEN:-default}` in the strings of a checks file, and which of their values are secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opskit.smoke.fields import Wrong, suggestion
from opskit.smoke.positions import Path

_REFERENCE = re.compile(r"\{\{|\{(env\.)?([A-Za-z_]\w*)(?::-([^{}]*))?\}")
_SECRET_NAME = re.compile(r"(?i)token|secret|passw|(?:^|_)key|(?:^|_)auth|credential")


@dataclass
class Variables:
    """The `[vars]` of a file, filled in; `secrets` grows by every secret value that was used."""

    environment: Mapping[str, str]
    values: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    secret_names: frozenset[str] = frozenset()

    def define(self, table: Any, wrong: Wrong) -> None:
        if not isinstance(table, dict):
            wrong(("vars",), "[vars] must be a table", 'for instance: site = "http://127.0.0.1:8080"')
            return
        for name, value in table.items():
            path: Path = ("vars", name)
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                wrong(path, "a variable is a string or a number")
                continue
            filled = self.fill(value, path, wrong) if isinstance(value, str) else str(value)
            self.values[name] = filled
            from_environment = isinstance(value, str) and "{env." in value
            if name in self.secret_names or (from_environment and _SECRET_NAME.search(name)):
                self.secrets.add(filled)

    def fill_all(self, value: Any, path: Path, wrong: Wrong) -> Any:
        """A copy of a value from the file with every string in it filled in."""
        if isinstance(value, str):
            return self.fill(value, path, wrong) if "{" in value else value
        if isinstance(value, list):
            return [self.fill_all(item, (*path, index), wrong) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {name: self.fill_all(item, (*path, name), wrong) for name, item in value.items()}
        return value

    def fill(self, text: str, path: Path, wrong: Wrong) -> str:
        def value_of(match: re.Match[str]) -> str:
            environment, name, default = match.groups()
            if name is None:
                return "{"
            if environment:
                return self._from_environment(name, default, path, wrong, match.start())
            if name not in self.values:
                hint = suggestion(name, list(self.values)) if self.values else "there is no [vars] table"
                wrong(path, f'unknown variable "{name}"', f"{hint}; {{{{ is a plain brace", at=match.start())
            return self.values.get(name, "")

        return _REFERENCE.sub(value_of, text)

    def _from_environment(self, name: str, default: str | None, path: Path, wrong: Wrong, at: int) -> str:
        value = self.environment.get(name) or default
        if value is None:
            wrong(
                path, f"the environment has no {name}", f"export {name}=…, or write {{env.{name}:-default}}", at=at
            )
            return ""
        if _SECRET_NAME.search(name):
            self.secrets.add(value)
        return value
