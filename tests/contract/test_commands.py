"""Contracts that every command keeps: help, usage errors, the JSON envelope, exit codes."""

import os
import subprocess
import sys
from typing import Any

import pytest

from opskit import __version__
from opskit.cli import TOOLS
from opskit.outcome import ExitCode
from tests.command import opskit
from tests.contract.commands import EVERY_COMMAND, IDS, takes_json

each_command = pytest.mark.parametrize(("words", "command"), EVERY_COMMAND, ids=IDS)


@each_command
def test_help_exits_0_and_teaches(words: tuple[str, ...], command: Any) -> None:
    ran = opskit(*words, "--help")
    assert ran.code == 0
    assert ran.err == ""
    assert f"Usage: opskit {' '.join(words)}" in ran.out
    assert all(len(line) <= 80 for line in ran.out.splitlines())


@each_command
def test_every_option_is_explained(words: tuple[str, ...], command: Any) -> None:
    silent = [p.name for p in command.params if getattr(p, "opts", None) and not getattr(p, "help", None)]
    assert silent == []


@each_command
def test_an_unknown_option_is_a_usage_error(words: tuple[str, ...], command: Any) -> None:
    ran = opskit(*words, "--no-such-option")
    assert ran.code == ExitCode.USAGE
    assert ran.out == ""
    assert ran.err.startswith("error: no such option: --no-such-option")
    assert "hint: opskit" in ran.err


@pytest.mark.parametrize("words", [words for words, command in EVERY_COMMAND if takes_json(command)], ids=" ".join)
def test_a_failure_speaks_json_when_asked(words: tuple[str, ...]) -> None:
    ran = opskit(*words, "--json", "--no-such-option")
    assert ran.code == ExitCode.USAGE
    assert set(ran.json) == {"opskit", "schema", "command", "status", "data", "errors"}
    assert ran.json["opskit"] == __version__
    assert ran.json["command"] == words[0]
    assert ran.json["status"] == "error"
    assert set(ran.json["errors"][0]) == {"code", "message", "hint"}


@pytest.mark.parametrize("name", TOOLS)
def test_the_table_says_what_the_tool_says(name: str) -> None:
    command = next(command for words, command in EVERY_COMMAND if words == (name,))
    assert command.help.splitlines()[0] == TOOLS[name].help
    assert TOOLS[name].help.endswith(".")
    assert len(TOOLS[name].help) <= 60


def test_the_front_door_lists_every_tool() -> None:
    ran = opskit("--help")
    assert ran.code == 0
    for name, tool in TOOLS.items():
        assert f"  {name} " in ran.out
        assert tool.help in ran.out


def test_no_words_show_the_help_as_a_usage_error() -> None:
    ran = opskit()
    assert ran.code == ExitCode.USAGE
    assert "Usage: opskit" in ran.out


def test_the_version_is_one_line() -> None:
    assert opskit("--version").out == f"opskit {__version__}\n"


def test_a_typo_gets_a_suggestion() -> None:
    ran = opskit("bnech")
    assert ran.code == ExitCode.USAGE
    assert "'bench'" in ran.err


def test_the_console_script_is_the_module() -> None:
    script = os.path.join(os.path.dirname(sys.executable), "opskit")
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert done.stdout == f"opskit {__version__}\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m opskit --help | head -1", shell=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.startswith("Usage")


def test_a_full_disk_for_stdout_is_said() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "opskit", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == ExitCode.UNABLE
    assert done.stderr.startswith("error: cannot write to standard output: No space left on device")


def test_a_locale_without_utf8_is_no_error() -> None:
    ran = opskit("--help", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"})
    assert ran.code == 0
