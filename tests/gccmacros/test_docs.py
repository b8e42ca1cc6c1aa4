"""docs/gccmacros.md, run."""

from pathlib import Path

import pytest

from opskit.gccmacros.cli import VERBS
from tests import transcripts
from tests.programs import need

DOCUMENT = "docs/gccmacros.md"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: a snapshot that one example takes is what the next one reads."""
    return tmp_path_factory.mktemp("docs")


@pytest.mark.parametrize("example", transcripts.examples(DOCUMENT), ids=str)
def test_the_examples_print_what_they_say(example: transcripts.Example, directory: Path) -> None:
    for program in ("gcc", "clang", "tcc", "aarch64-linux-gnu-gcc"):
        need(program)
    printed = transcripts.run(example.command, directory)
    assert transcripts.matches(example.expected, printed), printed


def test_every_verb_has_its_place() -> None:
    text = (transcripts.ROOT / DOCUMENT).read_text()
    assert [verb for verb in VERBS if verb != "dump" and f"opskit gccmacros {verb}" not in text] == []
