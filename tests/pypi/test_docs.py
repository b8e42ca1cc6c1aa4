"""docs/pypi.md: its console examples are run in order, and every option and command it names exists."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from opskit.cli import load
from tests.command import opskit
from tests.pypi.dists import put_wheel

PAGE = Path(__file__).parents[2] / "docs" / "pypi.md"


def test_the_console_examples_do_what_they_show(tmp_path: Path) -> None:
    put_wheel(tmp_path / "dist")
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for part in block.split("$ ")[1:]:
            command, _, expected = part.partition("\n")
            assert command.startswith("opskit ")
            words = f"{sys.executable} -m {command}"
            done = subprocess.run(words, shell=True, capture_output=True, text=True, cwd=tmp_path)
            assert (done.returncode, done.stdout) == (0, expected), command + done.stderr


def test_every_command_and_option_in_the_page_exists() -> None:
    text = PAGE.read_text()
    root = load("pypi")
    for words in re.findall(r"opskit pypi ([a-z]+(?: (?:create|list|revoke))?)", text):
        command = root
        for word in words.split():
            command = getattr(command, "commands", {}).get(word, command)
        assert command is not root, words
    options = {option for command in _all(root) for p in command.params for option in getattr(p, "opts", ())}
    foreign = {
        "--index-url", "--publish-url", "--repository-url", "--token", "--exclude", "--export", "--overwrite",
    }  # fmt: skip
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - foreign:
        assert option in options, option


def _all(command: Any) -> list[Any]:
    return [command, *[c for child in getattr(command, "commands", {}).values() for c in _all(child)]]


def test_every_command_is_in_the_page() -> None:
    text = PAGE.read_text()
    for name in load("pypi").commands:
        assert f"pypi {name}" in text, name


def test_the_help_of_serve_names_the_first_lines() -> None:
    ran = opskit("pypi", "serve", "--help")
    assert "opskit pypi serve --port 8080" in ran.out
