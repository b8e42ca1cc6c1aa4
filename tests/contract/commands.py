"""Every command there is, found by walking the front door's table."""

from typing import Any

from opskit.cli import TOOLS, load


def every_command() -> list[tuple[tuple[str, ...], Any]]:
    """(words, command) of each tool and each of its subcommands."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name in TOOLS:
        _walk((name,), load(name), found)
    return found


def _walk(words: tuple[str, ...], command: Any, found: list[tuple[tuple[str, ...], Any]]) -> None:
    found.append((words, command))
    for name, child in getattr(command, "commands", {}).items():
        _walk((*words, name), child, found)


EVERY_COMMAND = every_command()
IDS = [" ".join(words) for words, _ in EVERY_COMMAND]


def takes_json(command: Any) -> bool:
    return any("--json" in getattr(parameter, "opts", ()) for parameter in command.params)
