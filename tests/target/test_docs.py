"""docs/target.md, run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from opskit.target.pages import PAGES
from tests import transcripts
from tests.programs import need
from tests.servers import Running, target

DOCUMENT = "docs/target.md"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    need("curl")
    with target() as running:
        yield running


@pytest.mark.parametrize("example", transcripts.examples(DOCUMENT), ids=str)
def test_the_examples_print_what_they_say(example: transcripts.Example, server: Running, tmp_path: Path) -> None:
    printed = transcripts.run(example.command.replace("http://127.0.0.1:8080", server.url), tmp_path)
    assert transcripts.matches(example.expected, printed), printed


def test_every_path_is_in_the_table() -> None:
    text = (transcripts.ROOT / DOCUMENT).read_text()
    assert [page.form for page in PAGES.values() if f"| `{page.form}` |" not in text] == []


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a …\n", "a b c\n", True),
        ("a\n…\nb\n", "a\nb\n", True),
        ("a\n…\nb\n", "a\nx\ny\nb\n", True),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("a\n…\nb\n", "a\nx\nc\n", False),
    ],
)
def test_a_transcript_that_differs_is_seen(expected: str, printed: str, same: bool) -> None:
    assert transcripts.matches(expected, printed) is same
