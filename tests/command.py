"""The opskit command as a person runs it: a real process with its own stdout, stderr and exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def data(self) -> Any:
        return self.json["data"]


def opskit(*args: str, env: Mapping[str, str] | None = None, stdin: str = "", timeout: float = 60) -> Ran:
    """Run `opskit ARGS` with piped output."""
    done = subprocess.run(
        [sys.executable, "-m", "opskit", *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )
    return Ran(done.returncode, done.stdout, done.stderr)
