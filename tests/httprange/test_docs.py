"""docs/range.md: its transcripts are run again, its tables are made from the cases themselves.

`python -m tests.httprange.test_docs` writes the tables anew.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from opskit.formats.markdown import table
from opskit.httprange import cases
from opskit.httprange.invariants import INVARIANTS
from opskit.httprange.profiles import PROFILES
from tests import transcripts
from tests.servers import target

DOCUMENT = transcripts.ROOT / "docs/range.md"


def _cases() -> str:
    rows = [
        (case.id, case.title, case.section, case.level.value, case.tier.value, case.expected, case.meaning)
        for case in cases.by_id().values()
    ]
    return table(("", "case", "section", "level", "tier", "good", "what it means"), rows)


def _rules() -> str:
    rows = [(r.id, r.title, r.section, r.level.value, r.expected, r.meaning) for r in INVARIANTS]
    return table(("", "rule", "section", "level", "good", "what it means"), rows)


def _profiles() -> str:
    rows = [(p.name, p.who, ", ".join(case for need in p.needs for case in need.cases)) for p in PROFILES.values()]
    return table(("profile", "who", "cases"), rows)


def filled(text: str) -> str:
    """The document with its tables as they must be."""
    tables = {"cases": _cases(), "rules": _rules(), "profiles": _profiles()}
    return re.sub(
        r"<!-- (cases|rules|profiles) -->\n(?:\n?\|.*\n)*",
        lambda match: f"<!-- {match[1]} -->\n\n{tables[match[1]]}",
        text,
    )


def test_the_tables_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text()
    assert filled(text) == text, "run python -m tests.httprange.test_docs"


@pytest.fixture(scope="module")
def servers() -> Iterator[Sequence[tuple[str, str]]]:
    with target() as good, target("--range-defect", "ifrange-ignored") as bad:
        yield ("http://127.0.0.1:8080", good.url), ("http://127.0.0.1:8081", bad.url)


@pytest.mark.parametrize("example", transcripts.examples("docs/range.md"), ids=str)
def test_the_examples_print_what_they_say(
    example: transcripts.Example, servers: Sequence[tuple[str, str]], tmp_path: Path
) -> None:
    command = example.command
    for written, real in servers:
        command = command.replace(written, real)
    printed = transcripts.run(command, tmp_path)
    for written, real in servers:
        printed = printed.replace(real, written)
    assert transcripts.matches(example.expected, printed), printed


def test_every_option_is_in_the_document() -> None:
    from opskit.cli import load

    text = DOCUMENT.read_text()
    own = {"--skip", "--quiet", "--verbose", "--timeout", "--empty-url", "--header", "--help"}
    options = {max(parameter.opts, key=len) for parameter in load("range").params if parameter.opts[0][0] == "-"}
    assert {option for option in options - own if option not in text} == set()


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
