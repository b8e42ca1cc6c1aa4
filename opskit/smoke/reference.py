"""What each type of check takes, in words: for the terminal and for docs/smoke.md, from the fields themselves."""

from collections.abc import Mapping

from opskit.formats.markdown import table
from opskit.smoke.checks import TYPES, probe_type
from opskit.smoke.fields import Field
from opskit.smoke.model import Common, keys_of


def summary(name: str) -> str:
    """The first line about a type."""
    return (probe_type(name).__doc__ or "").strip().splitlines()[0]


def explanation(name: str) -> str:
    """The whole docstring of a type, one paragraph a line."""
    text = (probe_type(name).__doc__ or "").strip()
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def markdown() -> str:
    """The generated part of docs/smoke.md: one section for each type, then the keys of all."""
    sections = [
        f"### {name}\n\n{explanation(name)}\n\n```toml\n{probe_type(name).EXAMPLE}```\n\n"
        + _keys(keys_of(probe_type(name)))
        for name in TYPES
    ]
    return "\n".join([*sections, f"### Keys of every check\n\n{_keys(keys_of(Common))}"])


def text(name: str) -> str:
    """One type for the terminal, 80 columns wide."""
    words = [line for part in explanation(name).split("\n\n") for line in (*_wrapped(part, ""), "")]
    own, common = _lines(keys_of(probe_type(name))), _lines(keys_of(Common))
    example = probe_type(name).EXAMPLE.rstrip()
    return "\n".join([*words, example, "", *own, "", "and as every check:", *common, ""]).replace("`", "")


def overview() -> str:
    """All types, one a line."""
    width = max(map(len, TYPES))
    lines = [line for name in TYPES for line in _wrapped(summary(name), " " * (width + 4), f"  {name:<{width}}  ")]
    return "\n".join([*lines, "", "opskit smoke types http shows the keys of one.", ""])


def _keys(keys: Mapping[str, Field]) -> str:
    rows = [
        [f"`{name}`{' (needed)' if each.required else ''}", each.reader.words.replace("<", "&lt;"), each.help]
        for name, each in keys.items()
    ]
    return table(["Key", "Value", "Meaning"], rows)


def _lines(keys: Mapping[str, Field]) -> list[str]:
    width = max(map(len, keys))
    return [
        line
        for name, each in keys.items()
        for line in _wrapped(
            f"{each.help}{' (needed)' if each.required else ''}", " " * (width + 4), f"  {name:<{width}}  "
        )
    ]


def _wrapped(words: str, indent: str, first: str | None = None) -> list[str]:
    import textwrap

    start = indent if first is None else first
    return textwrap.wrap(words, 79, initial_indent=start, subsequent_indent=indent) or [start]
