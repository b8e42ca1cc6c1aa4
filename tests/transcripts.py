"""The transcripts in the documents, run again: a document that no longer tells the truth is a failure.

In a fenced `console` block a line that starts with `$ ` is a command for the shell and the lines after it are
what it prints. `…` stands for the rest of a line, and alone on a line for any number of lines.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    document: str
    command: str
    expected: str

    def __str__(self) -> str:
        return f"{self.document}: {self.command}"


def examples(document: str) -> list[Example]:
    """The commands of a document, with what it says that they print."""
    found = []
    for block in _BLOCK.findall((ROOT / document).read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            found.append(Example(document, command, expected))
    return found


def run(command: str, directory: Path) -> str:
    """What a command prints, stdout and stderr as a terminal shows them; `opskit` is the one under test."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        cwd=directory, env={**os.environ, "PATH": path},
    )  # fmt: skip
    return done.stdout.replace("\r\n", "\n")


def matches(expected: str, printed: str) -> bool:
    lines = [re.escape(line).replace("…", ".*") for line in expected.rstrip("\n").split("\n")]
    pattern = "\n".join(lines).replace("\n.*\n", "\n(?:.*\n)*")
    return re.fullmatch(re.sub(r"^\.\*\n", r"(?:.*\n)*", pattern), printed.rstrip("\n")) is not None
