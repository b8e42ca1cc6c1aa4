"""Every key that tomllib reads has a place, and the key is written at that place."""

import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opskit.smoke.positions import positions

SAMPLES = sorted(
    path
    for root in (Path(__file__).parents[2], Path(sysconfig.get_paths()["purelib"]))
    for path in root.rglob("*.toml")
    if ".venv" not in path.relative_to(root).parts
)

TEXT = """\
title = "a"
"quoted key" = 1
a.b.c = [1, 2.5, 1979-05-27 07:32:00, { x = 1 }]

[table."with.dot"]   # comment [not a header]
text = '''
[fake]
key = 1'''
inline = { one = 1, two = { three = [ "#", ']' ] } }
[[list]]
n = 1
[[list.sub]]
m = 1
[[list]]
n = 2
[list.tail]
z = -1.5e3
"""


def every_path(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from every_path(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from every_path(child, (*path, index))


def assert_every_key_is_found(text: str) -> None:
    found = positions(text)
    for path in every_path(tomllib.loads(text)):
        assert path in found.places, path
        place = found.places[path]
        if isinstance(path[-1], str) and text[place.key] not in "\"'" and place.value != place.key:
            assert text[place.key : place.key_end] == path[-1]


def test_every_kind_of_key_has_its_place() -> None:
    assert_every_key_is_found(TEXT)


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("title",), 1, 1),
        (("quoted key",), 2, 1),
        (("a", "b", "c"), 3, 5),
        (("a", "b", "c", 1), 3, 13),
        (("table", "with.dot"), 5, 8),
        (("table", "with.dot", "inline", "two", "three"), 9, 29),
        (("list", 1, "n"), 15, 1),
        (("list", 0, "sub", 0, "m"), 13, 1),
        (("list", 1, "tail", "z"), 17, 1),
    ],
)
def test_a_place_is_a_line_and_a_column(path: tuple[str | int, ...], line: int, column: int) -> None:
    found = positions(TEXT)
    assert found.line_column(found.places[path].key) == (line, column)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_real_files(sample: Path) -> None:
    try:
        tomllib.loads(text := sample.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        pytest.skip("not a TOML file that tomllib reads")
    assert_every_key_is_found(text)


KEYS = st.text(alphabet='abc-_ ."é\\', min_size=1, max_size=4)
VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(alphabet="ab\"'#[]{}=,\\\n", max_size=6)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def written(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(written(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{quoted(key)} = {written(item)}' for key, item in value.items())} }}"
    return str(value)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=3))
def test_whatever_tables_there_are(tables: dict[str, dict[str, Any]]) -> None:
    text = "".join(
        f"[{quoted(name)}]\n" + "".join(f"{quoted(key)} = {written(value)} # [c]\n" for key, value in keys.items())
        for name, keys in tables.items()
    )
    assert tomllib.loads(text) == tables
    assert_every_key_is_found(text)
