"""The guide's examples, typed at the hosts that it names; `…` stands for lines that it leaves out."""

import re
from pathlib import Path

import pytest

from tests.zfs.simulated import freebsd, illumos
from tests.zfs.test_commands import At, shell  # noqa: F401 — a fixture is found by its name

GUIDE = Path(__file__).parents[2] / "docs" / "zfs-swap-mirror.md"
BLOCKS = re.findall(r"<!-- on (\w+) -->\n```console\n(.*?)```", GUIDE.read_text(), re.S)


@pytest.mark.parametrize(("platform", "text"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_the_guide_prints_what_the_tool_prints(platform: str, text: str, shell: At) -> None:  # noqa: F811
    with shell({"illumos": illumos, "freebsd": freebsd}[platform]()) as do:
        for exchange in text.split("$ ")[1:]:
            command, _, expected = exchange.partition("\n")
            assert do(*command.split()[3:]) == 0
            lines = expected.splitlines()
            pattern = "".join("(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in lines)
            assert re.fullmatch(pattern, do.err + do.out), f"{command}\n{do.err}{do.out}"


def test_the_guide_names_every_verb_and_exit_code() -> None:
    words = GUIDE.read_text()
    for verb in ("plan", "apply", "resume", "undo", "verify", "status", "mirror", "replace"):
        assert f"`{verb}" in words or f"swap-mirror {verb}" in words
    assert len(BLOCKS) == 2
